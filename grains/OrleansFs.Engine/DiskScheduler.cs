using OrleansFs.Engine.Native;

namespace OrleansFs.Engine;

/// <summary>Runs tasks on threads of its own, for work that waits for the disk in its middle: on the thread pool, which has a thread for each core, it would keep what serves requests waiting.</summary>
/// <remarks>
/// What a task awaits holds no thread, and it goes on here. Threads are made when there is work and none is idle, and stay. Not <c>ConcurrentExclusiveSchedulerPair</c>, which has no threads of its own; not a BlockingCollection:
/// see <see cref="Blocks.DiskReaders"/>. The queue is bounded by those who make tasks: the loops that seal, the files that settle at a time, and the messages of blocks that a master has under way.
/// Locks: <see cref="_gate"/> guards queue, counts and end; nothing is called while it is held.
/// </remarks>
/// <param name="name">Of its threads.</param>
/// <param name="threads">Most that there are.</param>
/// <param name="standsBack">Whether they leave the processors to others that want them.</param>
internal sealed class DiskScheduler(string name, int threads, bool standsBack = false) : TaskScheduler, IDisposable
{
    private readonly object _gate = new();
    private readonly Queue<Task> _queue = [];
    private int _made;
    private int _idle;
    private bool _ended;

    public override int MaximumConcurrencyLevel => threads;

    /// <summary>The threads end when nothing is queued. Tasks that come later run on threads that end after them.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _ended = true;
            Monitor.PulseAll(_gate);
        }
    }

    protected override void QueueTask(Task task)
    {
        bool isShort;
        lock (_gate)
        {
            _queue.Enqueue(task);
            isShort = _queue.Count > _idle && _made < threads;
            if (isShort)
                _made++;
            else
                Monitor.Pulse(_gate);
        }
        if (isShort)
            new Thread(Work) { IsBackground = true, Name = name }.Start();
    }

    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => false;

    protected override IEnumerable<Task> GetScheduledTasks()
    {
        lock (_gate)
            return [.. _queue];
    }

    private void Work()
    {
        if (standsBack)
            IdlePriority.StandBack();
        while (Take() is { } task)
            TryExecuteTask(task);
    }

    /// <returns>Null at the end.</returns>
    private Task? Take()
    {
        lock (_gate)
        {
            Task? task;
            _idle++;
            while (!_queue.TryDequeue(out task) && !_ended)
                Monitor.Wait(_gate);
            _idle--;
            if (task is null)
                _made--;
            return task;
        }
    }
}
