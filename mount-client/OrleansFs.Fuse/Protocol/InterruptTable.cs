namespace OrleansFs.Fuse.Protocol;

/// <summary>
/// Finds the request that an INTERRUPT means. Only requests whose handler asked for its cancellation token are in it.
/// </summary>
/// <remarks>
/// An INTERRUPT can overtake its request, because they come by different ways: one that finds nothing is remembered, and cancels the request when it
/// registers. Most of those remembered belong to requests that are already answered; their uniques never come again, and the oldest make room.
/// Cancellation runs the handler's callbacks, so it runs on the pool and never on a transport's thread.
/// </remarks>
internal sealed class InterruptTable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, CancellationTokenSource> _registered = [];
    private readonly HashSet<ulong> _early = [];
    private readonly Queue<ulong> _earlyOrder = new();
    private bool _closed;

    /// <summary>Requests that can be cancelled.</summary>
    internal int Count
    {
        get
        {
            lock (_gate)
                return _registered.Count;
        }
    }

    internal void Register(ulong unique, CancellationTokenSource source)
    {
        bool cancel;
        lock (_gate)
        {
            _registered[unique] = source;
            cancel = _closed || _early.Remove(unique);
        }
        if (cancel)
            source.Cancel(); // no one else has seen it: it has no callbacks yet
    }

    internal void Unregister(ulong unique)
    {
        lock (_gate)
            _registered.Remove(unique);
    }

    internal void Interrupt(ulong unique)
    {
        CancellationTokenSource? source;
        lock (_gate)
        {
            if (!_registered.TryGetValue(unique, out source))
            {
                Remember(unique);
                return;
            }
        }
        CancelOnPool(source);
    }

    /// <summary>The mount goes away: everything is cancelled, and whatever registers from now on as well.</summary>
    internal void CancelAll()
    {
        CancellationTokenSource[] all;
        lock (_gate)
        {
            _closed = true;
            all = [.. _registered.Values];
        }
        foreach (CancellationTokenSource source in all)
            CancelOnPool(source);
    }

    private static void CancelOnPool(CancellationTokenSource source) =>
        ThreadPool.UnsafeQueueUserWorkItem(static s => s.Cancel(), source, preferLocal: false);

    private void Remember(ulong unique)
    {
        if (!_early.Add(unique))
            return;
        _earlyOrder.Enqueue(unique);
        if (_earlyOrder.Count > Limits.MaxEarlyInterrupts)
            _early.Remove(_earlyOrder.Dequeue());
    }
}
