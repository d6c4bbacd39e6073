namespace OrleansFs.Client;

/// <summary>Whether the session is being attached anew, and how often it was: odd while it is. Thread-safe.</summary>
internal sealed class LockMoves
{
    private readonly Lock _lock = new();
    private long _now;

    public long Now => Volatile.Read(ref _now);

    /// <summary>Begins, or ends, and does something with that.</summary>
    public T Step<T>(Func<T> then)
    {
        lock (_lock)
        {
            _now++;
            return then();
        }
    }

    /// <summary>Does something where the session was attached all the time since <see cref="Now"/> was read.</summary>
    public bool TryDo(long since, Action then)
    {
        lock (_lock)
        {
            if (_now != since || since % 2 != 0)
                return false;
            then();
            return true;
        }
    }
}
