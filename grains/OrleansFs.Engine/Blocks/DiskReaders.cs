using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace OrleansFs.Engine.Blocks;

/// <summary>Threads that wait for the disk, so that those that serve requests, of which there is one a core, do not, or not for long (<see cref="CallerPace"/>).</summary>
/// <remarks>They are made with the first read that has to wait. The queue is bounded: who finds it full does the work himself. Not the thread pool: it grows by a thread in half a second when its threads block.</remarks>
internal sealed class DiskReaders(ILogger logger) : IDisposable
{
    private readonly BlockingCollection<Action> _queue = new(BlockLimits.DiskQueue);
    private readonly Lock _lock = new();
    private readonly CallerPace _pace = new(TimeProvider.System);
    private int _present;
    private Thread[]? _threads;
    private bool _disposed;

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
        Start();
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
        if (!_queue.TryAdd(Read))
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
        lock (_lock)
        {
            if (_disposed)
                return;
            _disposed = true;
            threads = _threads ?? [];
        }
        _queue.CompleteAdding();
        foreach (var thread in threads)
        {
            if (!thread.Join(BlockLimits.StopTimeout))
                logger.LogError("a read from the disk did not end in {Timeout}", BlockLimits.StopTimeout);
        }
    }

    private void Start()
    {
        if (Volatile.Read(ref _threads) is not null)
            return;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_threads is not null)
                return;
            var threads = new Thread[BlockLimits.DiskReaders];
            for (int i = 0; i < threads.Length; i++)
            {
                threads[i] = new Thread(Work) { IsBackground = true, Name = $"block-read-{i}" };
                threads[i].Start();
            }
            Volatile.Write(ref _threads, threads);
        }
    }

    private void Work()
    {
        foreach (var read in _queue.GetConsumingEnumerable())
            read();
    }
}
