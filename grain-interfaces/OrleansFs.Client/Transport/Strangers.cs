using Microsoft.AspNetCore.Connections;

namespace OrleansFs.Client.Transport;

/// <summary>
/// Connections of a listener whose other end has not proved yet that it belongs to the cluster. Anybody can make them, and each has a thread: so there is a bound. One more, and the oldest goes: who belongs to the cluster has
/// proved it after one round trip, and is the last that is met by this.
/// </summary>
internal sealed class Strangers
{
    private readonly Lock _lock = new();
    private readonly LinkedList<SocketConnection> _there = new();

    public void Add(SocketConnection connection)
    {
        SocketConnection? oldest = null;
        lock (_lock)
        {
            if (_there.Count == Limits.Strangers)
            {
                oldest = _there.First!.Value;
                _there.RemoveFirst();
            }
            _there.AddLast(connection);
        }
        oldest?.Abort(new ConnectionAbortedException("others have come since, and this one has not proved that it belongs to the cluster"));
    }

    /// <summary>It has proved it, or is gone.</summary>
    public void Remove(SocketConnection connection)
    {
        lock (_lock)
            _there.Remove(connection);
    }
}
