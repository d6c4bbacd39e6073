using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>Content by its hash.</content>
public sealed partial class GrainVolumeAccess : IContentAccess
{
    private readonly Lock _releasing = new();
    private readonly HashSet<ContentName> _released = [];
    private Task _releases = Task.CompletedTask;
    private bool _isReleasing;
    private bool _isEnding;

    private IContentGrain Contents => _session.Grains.GetGrain<IContentGrain>(new NamespaceKey(Copy.Volume, Copy.Copy).ToString());

    public ValueTask<FsResult<ContentInfo>> HoldAsync(ContentName content, CancellationToken cancellation)
    {
        lock (_releasing)
            _released.Remove(content);
        return _session.AskAsync((ticket, token) => Contents.HoldAsync(ticket, content, token), cancellation);
    }

    public async ValueTask<FsResult<int>> ReadAsync(ContentName content, long offset, Memory<byte> destination, CancellationToken cancellation)
    {
        int done = 0;
        while (done < destination.Length)
        {
            int length = Math.Min(destination.Length - done, GrainInterfaces.Limits.MaxTransfer);
            long from = offset + done;
            var result = (await _session.AskAsync((ticket, token) => Contents.ReadAsync(ticket, content, from, length, token), cancellation)).ToResult();
            if (!result.TryGet(out var data, out var error))
                return done > 0 ? done : error;
            data.CopyTo(destination[done..]);
            done += data.Length;
            if (data.Length < length)
                break;
        }
        return done;
    }

    /// <summary>Told to the copy soon, by one call for many. Where that fails the copy holds it until the session ends, and it ends with the session.</summary>
    public void Release(ContentName content)
    {
        lock (_releasing)
        {
            _released.Add(content);
            if (_isReleasing || _isEnding)
                return;
            _isReleasing = true;
            _releases = Task.Run(ReleaseAllAsync);
        }
    }

    private async Task ReleaseAllAsync()
    {
        while (true)
        {
            ContentName[] next;
            lock (_releasing)
            {
                next = _isEnding ? [] : [.. _released.Take(GrainInterfaces.Limits.MaxInodesPerCall)];
                _released.ExceptWith(next);
                _isReleasing = next.Length > 0;
                if (!_isReleasing)
                    return;
            }
            try
            {
                await _session.AskAsync((ticket, token) => Contents.ReleaseAsync(ticket, next, token), CancellationToken.None);
            }
            catch (Exception e)
            {
                _session.LogReleaseFailed(e);
            }
        }
    }

    private async Task StopReleasingAsync()
    {
        Task last;
        lock (_releasing)
        {
            _isEnding = true;
            last = _releases;
        }
        await last;
    }
}
