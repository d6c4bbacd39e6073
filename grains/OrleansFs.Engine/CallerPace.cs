namespace OrleansFs.Engine;

/// <summary>
/// Decides who makes the next call that waits for the disk: the thread that serves the request, or one that is made for waiting. The first saves two changes of threads, which on cores that halt when idle
/// cost as much as the call; but it holds up the other requests of its core meanwhile, and their calls cannot be made at the same time, or be one call for several.
/// </summary>
/// <remarks>
/// The server makes it while such calls were short until a moment ago, and nobody else came during the last of them. While he makes one himself he cannot see who else would come on his own core; so every so
/// often one goes to the other thread all the same, to see. Thread-safe.
/// </remarks>
/// <param name="time">Measures the calls.</param>
internal sealed class CallerPace(TimeProvider time)
{
    private readonly Lock _lock = new();
    private TimeSpan? _mean;
    private long _last;
    private int _apart;
    private int _here;

    /// <summary>Whether the thread that serves the request is to make the call.</summary>
    public bool IsForCaller()
    {
        lock (_lock)
        {
            if (_apart > 0 || _mean is not { } mean || mean > Limits.ShortCall || time.GetElapsedTime(_last) > Limits.ShortCallKnown)
                return false;
            if (++_here < Limits.CallsByCaller)
                return true;
            _here = 0;
            return false;
        }
    }

    /// <summary>When a call begins.</summary>
    public long Begin() => time.GetTimestamp();

    /// <summary>Told of each call that succeeded.</summary>
    /// <param name="begun">What <see cref="Begin"/> gave.</param>
    /// <param name="shared">Whether others came meanwhile.</param>
    public void Note(long begun, bool shared)
    {
        long now = time.GetTimestamp();
        var took = time.GetElapsedTime(begun, now);
        lock (_lock)
        {
            // A moving mean: one long call among a hundred does not count for much, and a disk that has become slow does after a few. What was long ago says nothing of a disk that may sleep by now.
            _mean = _mean is { } mean && time.GetElapsedTime(_last, now) <= Limits.ShortCallKnown ? mean + (took - mean) / 8 : took;
            _last = now;
            _apart = shared ? Limits.CallsApart : Math.Max(0, _apart - 1);
        }
    }
}
