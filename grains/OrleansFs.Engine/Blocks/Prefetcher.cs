using Microsoft.Extensions.Logging;

namespace OrleansFs.Engine.Blocks;

/// <summary>Loads blocks ahead of their readers on the thread pool: a bounded queue and a few workers that exist while there is something in it.</summary>
/// <remarks>Invariant: while the queue is not empty, a worker is running or has been queued to the pool. <see cref="_lock"/> guards all state.</remarks>
internal sealed class Prefetcher(Action<BlockReference> load, ILogger logger) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Queue<BlockReference> _queue = new();
    private readonly ManualResetEventSlim _idle = new(true);
    private int _workers;
    private bool _stopping;

    /// <summary>Queues a block; false where the queue is full.</summary>
    public bool TryAdd(BlockReference block)
    {
        lock (_lock)
        {
            if (_stopping || _queue.Count >= BlockLimits.PrefetchQueue)
                return false;
            _queue.Enqueue(block);
            if (_workers == BlockLimits.PrefetchWorkers)
                return true;
            _workers++;
            _idle.Reset();
        }
        ThreadPool.UnsafeQueueUserWorkItem(static self => self.Work(), this, preferLocal: false);
        return true;
    }

    /// <summary>Drops what is queued and waits for what is being loaded.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _stopping = true;
            _queue.Clear();
        }
        if (!_idle.Wait(BlockLimits.StopTimeout))
            logger.LogError("reading ahead did not end in {Timeout}", BlockLimits.StopTimeout);
    }

    private void Work()
    {
        while (TryTake(out var block))
        {
            try
            {
                load(block);
            }
            catch (Exception e)
            {
                // A hint that failed: the reader who really wants the block gets to hear of it.
                logger.LogWarning(e, "reading block {Hash} ahead failed", block.Hash);
            }
        }
    }

    private bool TryTake(out BlockReference block)
    {
        lock (_lock)
        {
            if (_queue.TryDequeue(out block))
                return true;
            if (--_workers == 0)
                _idle.Set();
            return false;
        }
    }
}
