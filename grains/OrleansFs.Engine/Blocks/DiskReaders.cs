using Microsoft.Extensions.Logging;

namespace OrleansFs.Engine.Blocks;

/// <summary>Threads that wait for the disk, so that those that serve requests, of which there is one a core, do not, or not for long (<see cref="CallerPace"/>).</summary>
/// <remarks>
/// They are made with the first read that has to wait. The queue is bounded: who finds it full does the work himself. Not the thread pool: it grows by a thread in half a second when its threads block. Not a
/// BlockingCollection: whoever waits for it spins first, and eight of them, who are woken for a read each, take a core from those who serve.
/// Locks: <see cref="_gate"/> guards queue, threads and end; nothing is called while it is held.
/// </remarks>
internal sealed class DiskReaders(ILogger logger) : IDisposable
{
    private readonly object _gate = new();
    private readonly Queue<Action> _queue = [];
    private readonly CallerPace _pace = new(TimeProvider.System);
    private int _present;
    private Thread[]? _threads;
    private bool _ended;

    /// <summary>Runs a read on one of the threads; one that takes little, on a disk that is fast, and while there are no others, on the caller's.</summary>
    public Task<T> RunAsync<T>(Func<T> read, bool isShort)
    {
        bool here = isShort && _pace.IsForCaller();
        Interlocked.Increment(ref _present);
        if (here)
        {
            try
            {
                return Task.FromResult(Run(read, isShort));
            }
            catch (Exception e)
            {
                return Task.FromException<T>(e);
            }
        }
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        void Read()
        {
            try
            {
                done.SetResult(Run(read, isShort));
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        }
        if (!TryQueue(Read))
            Read();
        return done.Task;
    }

    private T Run<T>(Func<T> read, bool isShort)
    {
        long begun = _pace.Begin();
        try
        {
            return read();
        }
        finally
        {
            bool shared = Interlocked.Decrement(ref _present) > 0;
            if (isShort)
                _pace.Note(begun, shared);
        }
    }

    /// <summary>Ends the threads when what is queued is done. Nothing may be run any more.</summary>
    public void Dispose()
    {
        Thread[] threads;
        lock (_gate)
        {
            if (_ended)
                return;
            _ended = true;
            threads = _threads ?? [];
            Monitor.PulseAll(_gate);
        }
        foreach (var thread in threads)
        {
            if (!thread.Join(BlockLimits.StopTimeout))
                logger.LogError("a read from the disk did not end in {Timeout}", BlockLimits.StopTimeout);
        }
    }

    /// <returns>False where too many are waiting.</returns>
    private bool TryQueue(Action read)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_ended, this);
            _threads ??= Start();
            if (_queue.Count >= BlockLimits.DiskQueue)
                return false;
            _queue.Enqueue(read);
            Monitor.Pulse(_gate);
            return true;
        }
    }

    private Thread[] Start()
    {
        var threads = new Thread[BlockLimits.DiskReaders];
        for (int i = 0; i < threads.Length; i++)
        {
            threads[i] = new Thread(Work) { IsBackground = true, Name = $"block-read-{i}" };
            threads[i].Start();
        }
        return threads;
    }

    private void Work()
    {
        while (Take() is { } read)
            read();
    }

    /// <returns>Null at the end.</returns>
    private Action? Take()
    {
        lock (_gate)
        {
            Action? read;
            while (!_queue.TryDequeue(out read) && !_ended)
                Monitor.Wait(_gate);
            return read;
        }
    }
}
