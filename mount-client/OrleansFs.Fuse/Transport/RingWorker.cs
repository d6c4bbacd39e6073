using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Protocol;

namespace OrleansFs.Fuse.Transport;

/// <summary>
/// The thread of one processor's queue. It alone touches its ring: it takes requests, answers what completes at once, and takes the answers of other threads
/// from a list.
/// </summary>
/// <remarks>
/// <para>Only this thread may submit, and not for tidiness: the kernel delivers an entry's next request in the context of the thread that submitted the entry's
/// last command, and cancels the entry when that thread ends, as threads of the pool do.</para>
/// <para>One system call a request: it hands over the answer, waits, and comes back with the next request.</para>
/// <para>An entry is with the kernel, or with the handler, or in the list of completed ones; never in two of these.</para>
/// </remarks>
internal sealed unsafe partial class RingWorker : IDisposable
{
    private const uint Submissions = 64; // more are flushed in between
    private const uint Completions = 1024; // one an entry; what does not fit the kernel keeps
    private const ulong WakeTag = ulong.MaxValue;
    private const uint CmdRegister = 1; // FUSE_IO_URING_CMD_REGISTER
    private const uint CmdCommitAndFetch = 2; // FUSE_IO_URING_CMD_COMMIT_AND_FETCH

    private readonly ProtocolEngine _engine;
    private readonly RingTransport _transport;
    private readonly ILogger _logger;
    private readonly int? _cpu;
    private readonly List<RingQueue> _queues;
    private readonly List<RingRequest> _entries = [];
    private readonly List<NativeBuffer> _headers = [];
    private readonly ManualResetEventSlim _go = new();
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private IoUring? _ring;
    private RingRequest? _completed;
    private int _waiting;
    private int _alive;
    private volatile bool _stop;
    private bool _warnedOfGrowth;

    internal RingWorker(ProtocolEngine engine, RingTransport transport, int? cpu, IEnumerable<int> queues, ILogger logger)
    {
        _engine = engine;
        _transport = transport;
        _cpu = cpu;
        _queues = [.. queues.Select(id => new RingQueue(id))];
        _logger = logger;
    }

    /// <summary>Completes when every entry is given back by the kernel and the thread is gone.</summary>
    internal Task Done => _done.Task;

    /// <summary>Requests by opcode that this thread began.</summary>
    internal long[] Counters { get; } = new long[OpcodeTable.Size];

    internal void Start(string name) => new Thread(Run) { IsBackground = true, Name = name }.Start();

    /// <summary>INIT is answered: registers the entries.</summary>
    internal void Go() => _go.Set();

    /// <summary>Ends the thread without waiting for the kernel. Its entries are never used again.</summary>
    internal void Stop()
    {
        _stop = true;
        _go.Set();
        WakeUp();
    }

    /// <summary>Requests whose handlers are still busy. A snapshot for the log.</summary>
    internal IEnumerable<Request> Suspended() => [.. _entries.Where(e => e.IsSuspended)];

    /// <summary>Frees the entries' memory; only when no handler is busy and the thread is gone.</summary>
    public void Dispose()
    {
        _ring?.Dispose();
        _entries.ForEach(e => e.Dispose());
        _headers.ForEach(h => h.Free());
        _go.Dispose();
    }

    /// <summary>An answer from another thread: puts it on the list, and wakes the ring's thread where it waits.</summary>
    internal void HandOver(RingRequest request)
    {
        RingRequest? head = Volatile.Read(ref _completed);
        while (true)
        {
            request.NextCompleted = head;
            RingRequest? seen = Interlocked.CompareExchange(ref _completed, request, head);
            if (ReferenceEquals(seen, head))
                break;
            head = seen;
        }
        WakeUp();
    }

    /// <summary>An answer from this ring's own thread: goes out with the next entry into the kernel.</summary>
    internal void Commit(RingRequest request) => Command(request, CmdCommitAndFetch);

    private void WakeUp()
    {
        // The ring's thread raises the flag, then looks at the list; this side fills the list, then looks at the flag. One of both sees the other.
        if (Volatile.Read(ref _waiting) == 1 && Interlocked.Exchange(ref _waiting, 0) == 1 && _ring?.Wake(WakeTag) == false && !_done.Task.IsCompleted)
            LogWakeFailed(_logger, Libc.LastError);
    }

    private void Run()
    {
        string? failure = null;
        try
        {
            failure = SetUp();
            _transport.ReportSetUp(failure);
            if (failure is not null)
                return;
            _go.Wait();
            if (_stop)
                return;
            Register();
            _transport.ReportRegistered();
            while (_alive > 0 && !_stop)
                Turn();
        }
        catch (Exception exception)
        {
            LogWorkerFailed(_logger, exception, _cpu);
            _transport.ReportBroken();
        }
        finally
        {
            _ring?.Dispose();
            _done.SetResult();
        }
    }

    private string? SetUp()
    {
        if (_cpu is int cpu && !CpuSet.TryPin(cpu))
            LogNotPinned(_logger, cpu);
        try
        {
            _ring = new IoUring(Submissions, Completions, _transport.Device);
            foreach (RingQueue queue in _queues)
                Allocate(queue, _cpu == queue.Id ? _transport.Depth : 1);
            return null;
        }
        catch (Exception exception) when (exception is IoUringException or InsufficientMemoryException)
        {
            return exception.Message;
        }
    }

    private void Register()
    {
        foreach (RingRequest entry in _entries)
            Command(entry, CmdRegister);
        _ring!.Enter(wait: false);
        Reap();
    }

    /// <summary>One round: answers of other threads, into the kernel and back, new requests.</summary>
    private void Turn()
    {
        TakeCompleted();
        IoUring ring = _ring!;
        bool wait = false;
        if (!ring.HasCompletion)
        {
            Interlocked.Exchange(ref _waiting, 1); // a full fence: see WakeUp
            wait = Volatile.Read(ref _completed) is null && !_stop;
        }
        ring.Enter(wait);
        Volatile.Write(ref _waiting, 0);
        Reap();
    }

    private void Reap()
    {
        while (_ring!.TryTake(out ulong tag, out int result))
        {
            if (tag == WakeTag)
                continue;
            RingRequest entry = _entries[(int)tag];
            if (result == 0)
                Serve(entry);
            else
                Lost(entry, (Errno)(-result));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Serve(RingRequest entry)
    {
        entry.BeginFromRing();
        // What is answered does not wait for what may take long.
        if (_ring!.Pending > 0 && OpcodeTable.Find(entry.Opcode) is { IsHeavy: true })
            _ring.Enter(wait: false);
        RingQueue queue = entry.Queue;
        if (!_engine.Dispatch(entry, Counters))
        {
            queue.Suspended++;
            if (queue.Suspended >= queue.Entries - 1)
                Grow(queue);
        }
    }

    /// <summary>Whether a request may wait for a lock: not where the queue has all the entries that it may have, and its last free ones are for what is no wait.</summary>
    internal bool MayWaitForLock(RingQueue queue) =>
        queue.Entries < _engine.Options.MaxRingEntries || queue.Suspended < queue.Entries - (queue.Entries / Limits.EntriesForUnlocks) - 1;

    private void Lost(RingRequest entry, Errno error)
    {
        if (error is Errno.EAGAIN or Errno.EINTR && !_stop)
        {
            Command(entry, entry.CommitId == 0 ? CmdRegister : CmdCommitAndFetch);
            return;
        }
        _alive--;
        if (entry.CommitId == 0)
            _transport.ReportRefused(error);
        // Gone with the connection, or with a request that was aborted; anything else is not to be expected.
        else if (error is not (Errno.ENOTCONN or Errno.ECONNABORTED or Errno.ECANCELED or Errno.ENOENT))
            LogEntryLost(_logger, entry.Queue.Id, error);
    }

    private void TakeCompleted()
    {
        if (Volatile.Read(ref _completed) is null)
            return;
        RingRequest? next = Interlocked.Exchange(ref _completed, null);
        while (next is not null)
        {
            RingRequest entry = next;
            next = entry.NextCompleted;
            entry.NextCompleted = null;
            entry.Queue.Suspended--;
            Command(entry, CmdCommitAndFetch);
        }
    }

    private void Command(RingRequest entry, uint command)
    {
        byte* sqe = _ring!.Next();
        if (sqe is null)
        {
            _ring.Enter(wait: false);
            sqe = _ring.Next();
            if (sqe is null)
                throw new InvalidOperationException("The submission queue is full after it was submitted.");
        }
        sqe[0] = IoUring.OpUringCmd;
        sqe[1] = IoUring.FixedFile; // fd 0: the first registered file, the device
        *(uint*)(sqe + 8) = command;
        *(ulong*)(sqe + 32) = (ulong)entry.Index;
        if (command == CmdRegister)
        {
            *(ulong*)(sqe + 16) = entry.Vectors;
            *(uint*)(sqe + 24) = 2;
        }
        // struct fuse_uring_cmd_req in the command area: flags 8, commit_id 8, qid 2
        *(ulong*)(sqe + 56) = entry.CommitId;
        *(ushort*)(sqe + 64) = entry.Queue.Id;
    }

    private void Allocate(RingQueue queue, int count)
    {
        NativeBuffer headers = new(count * RingRequest.HeaderPage);
        _headers.Add(headers);
        for (int i = 0; i < count; i++)
        {
            _entries.Add(new RingRequest(_engine, this, queue, _entries.Count, headers, i * RingRequest.HeaderPage, _transport.PayloadSize));
            queue.Entries++;
            _alive++;
        }
    }

    /// <summary>
    /// All entries but one wait for their handlers, perhaps for a lock that a request still to come has to release: adds as many again.
    /// </summary>
    private void Grow(RingQueue queue)
    {
        int more = Math.Min(Math.Max(queue.Entries, 4), _engine.Options.MaxRingEntries - queue.Entries);
        if (more <= 0)
        {
            if (!_warnedOfGrowth)
                LogQueueFull(_logger, queue.Id, queue.Entries);
            _warnedOfGrowth = true;
            return;
        }
        int first = _entries.Count;
        Allocate(queue, more);
        for (int i = first; i < _entries.Count; i++)
            Command(_entries[i], CmdRegister);
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "the thread of processor {Cpu} could not be kept there")]
    private static partial void LogNotPinned(ILogger logger, int cpu);

    [LoggerMessage(Level = LogLevel.Critical, Message = "the io_uring thread of processor {Cpu} failed")]
    private static partial void LogWorkerFailed(ILogger logger, Exception exception, int? cpu);

    [LoggerMessage(Level = LogLevel.Error, Message = "an entry of io_uring queue {Queue} is lost: {Error}")]
    private static partial void LogEntryLost(ILogger logger, int queue, Errno error);

    [LoggerMessage(Level = LogLevel.Error, Message = "an io_uring thread could not be woken: {Error}")]
    private static partial void LogWakeFailed(ILogger logger, Errno error);

    [LoggerMessage(Level = LogLevel.Warning, Message = "io_uring queue {Queue} has {Entries} requests whose handlers wait; more are not taken until one completes")]
    private static partial void LogQueueFull(ILogger logger, int queue, int entries);
}
