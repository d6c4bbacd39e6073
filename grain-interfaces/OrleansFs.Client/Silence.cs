namespace OrleansFs.Client;

/// <summary>
/// Whether the copy leaves the session's heart without an answer. Where its process is stopped, or the network swallows everything, no connection breaks: calls would wait for time-outs of their own, which are made for the
/// longest work of a copy that lives, and say nothing of how long a caller wants to wait. Thread-safe.
/// </summary>
internal sealed class Silence
{
    private readonly Lock _lock = new();
    private TaskCompletionSource _change = New();
    private bool _isSilent;
    private long _since;

    /// <summary>A heartbeat has not been answered in time.</summary>
    /// <param name="since">When it was sent: a timestamp.</param>
    public void Begin(long since)
    {
        lock (_lock)
        {
            if (_isSilent)
                return;
            _since = since;
            Change(true);
        }
    }

    /// <summary>The copy has answered something.</summary>
    public void End()
    {
        if (!Volatile.Read(ref _isSilent))
            return;
        lock (_lock)
        {
            if (_isSilent)
                Change(false);
        }
    }

    /// <summary>Since when; null where the copy answers.</summary>
    /// <param name="change">Completes when it begins or ends.</param>
    public long? Since(out Task change)
    {
        lock (_lock)
        {
            change = _change.Task;
            return _isSilent ? _since : null;
        }
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Change(bool isSilent)
    {
        Volatile.Write(ref _isSilent, isSilent);
        _change.SetResult();
        _change = New();
    }
}
