namespace OrleansFs.Fuse.Protocol;

/// <summary>
/// Finds the request that an INTERRUPT means. Only requests whose handler asked for its cancellation token are in it.
/// </summary>
/// <remarks>
/// <para>
/// The kernel sends one for any signal that wakes the caller (fs/fuse/dev.c, request_wait_answer), and no other for the same request. Programs expect EINTR of a
/// regular file from a wait for a lock only (signal(7)), so that another request is cancelled where its caller is being killed: if not by this signal, then by
/// a later one, which is looked for as long as the request is under way.
/// </para><para>
/// An INTERRUPT can overtake its request, because they come by different ways: one that finds nothing is remembered, and cancels the request when it
/// registers. Most of those remembered belong to requests that are already answered; their uniques never come again, and the oldest make room.
/// Cancellation runs the handler's callbacks, so it runs on the pool and never on a transport's thread.
/// </para>
/// </remarks>
internal sealed class InterruptTable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, Entry> _registered = [];
    private readonly HashSet<ulong> _signalled = [];
    private readonly HashSet<ulong> _early = [];
    private readonly Queue<ulong> _earlyOrder = new();
    private bool _closed;
    private bool _looks;

    /// <summary>Requests that can be cancelled.</summary>
    internal int Count
    {
        get
        {
            lock (_gate)
                return _registered.Count;
        }
    }

    /// <param name="unique">The request.</param>
    /// <param name="source">What cancels it.</param>
    /// <param name="caller">The thread that waits for it.</param>
    /// <param name="byAnySignal">A signal that the caller handles ends it, too.</param>
    internal void Register(ulong unique, CancellationTokenSource source, uint caller, bool byAnySignal)
    {
        Entry entry = new(source, caller, byAnySignal);
        bool cancel, interrupted;
        lock (_gate)
        {
            _registered[unique] = entry;
            cancel = _closed;
            interrupted = _early.Remove(unique);
        }
        if (cancel || (interrupted && entry.Ends))
            source.Cancel(); // no one else has seen it: it has no callbacks yet
        else if (interrupted)
            Watch(unique);
    }

    internal void Unregister(ulong unique)
    {
        lock (_gate)
        {
            _registered.Remove(unique);
            _signalled.Remove(unique);
        }
    }

    internal void Interrupt(ulong unique)
    {
        Entry entry;
        lock (_gate)
        {
            if (!_registered.TryGetValue(unique, out entry))
            {
                Remember(unique);
                return;
            }
        }
        if (entry.Ends)
            CancelOnPool(entry.Source);
        else
            Watch(unique);
    }

    /// <summary>The mount goes away: everything is cancelled, and whatever registers from now on as well.</summary>
    internal void CancelAll()
    {
        Entry[] all;
        lock (_gate)
        {
            _closed = true;
            all = [.. _registered.Values];
            _signalled.Clear();
        }
        foreach (Entry entry in all)
            CancelOnPool(entry.Source);
    }

    private void Watch(ulong unique)
    {
        lock (_gate)
        {
            if (_closed || !_registered.ContainsKey(unique))
                return;
            _signalled.Add(unique);
            if (_looks)
                return;
            _looks = true;
        }
        _ = LookAgainAsync();
    }

    /// <summary>Until none of those who were signalled waits any more.</summary>
    private async Task LookAgainAsync()
    {
        while (true)
        {
            await Task.Delay(Limits.SignalledLook).ConfigureAwait(false);
            List<(ulong Unique, Entry Entry)> signalled;
            lock (_gate)
            {
                if (_signalled.Count == 0)
                {
                    _looks = false;
                    return;
                }
                signalled = [.. _signalled.Select(unique => (unique, _registered[unique]))];
            }
            foreach (var (unique, entry) in signalled.Where(s => s.Entry.Ends))
            {
                lock (_gate)
                    _signalled.Remove(unique);
                CancelOnPool(entry.Source);
            }
        }
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

    private readonly record struct Entry(CancellationTokenSource Source, uint Caller, bool ByAnySignal)
    {
        internal bool Ends => ByAnySignal || CallingThread.IsDying(Caller);
    }
}
