using Microsoft.Extensions.Logging;

namespace OrleansFs.Fuse.Protocol;

/// <summary>What the protocol asks of the connection that carries it.</summary>
internal interface IConnection
{
    /// <summary>INIT is about to be answered: gets ready whatever has to be there before, and says what more to agree on.</summary>
    FuseCapabilities Prepare(FuseCapabilities offered, InitReply agreed);

    /// <summary>INIT is answered: requests may come.</summary>
    void Started();

    /// <summary>INIT could not be answered.</summary>
    void Failed(string reason);
}

/// <summary>
/// The protocol: takes a request apart, calls the file system, puts the answer together. Bytes in, bytes out; knows no device.
/// </summary>
internal sealed partial class ProtocolEngine
{
    private readonly IConnection _connection;
    private readonly ILogger _logger;
    private readonly object _roomSignal = new();
    private int _inFlight;
    private int _counted;
    private long _bytesInFlight;
    private long _handlerExceptions;
    private long _malformed;
    private long _interrupts;
    private volatile bool _cut;

    internal ProtocolEngine(FuseFileSystem fileSystem, FuseOptions options, IConnection connection, ILogger logger)
    {
        FileSystem = fileSystem;
        Options = options;
        _connection = connection;
        _logger = logger;
    }

    internal FuseFileSystem FileSystem { get; }

    internal FuseOptions Options { get; }

    internal InterruptTable Interrupts { get; } = new();

    /// <summary>The protocol's minor version in use; 0 before INIT.</summary>
    internal uint Minor { get; private set; }

    internal FuseCapabilities Capabilities { get; private set; }

    internal int InFlight => Volatile.Read(ref _inFlight);

    internal long BytesInFlight => Volatile.Read(ref _bytesInFlight);

    internal long HandlerExceptions => Volatile.Read(ref _handlerExceptions);

    internal long Malformed => Volatile.Read(ref _malformed);

    internal long InterruptCount => Volatile.Read(ref _interrupts);

    /// <summary>Answers every request from now on with ENOTCONN.</summary>
    internal void Cut() => _cut = true;

    /// <summary>
    /// Serves one request. When it returns true the request is answered and the caller's again; when false its handler still works on it, and the request
    /// may even be answered already by another thread: the caller must not touch it.
    /// </summary>
    /// <param name="request">Begun, not split.</param>
    /// <param name="counters">Requests by opcode, the calling thread's own.</param>
    internal bool Dispatch(Request request, long[] counters)
    {
        OpcodeRow? row = OpcodeTable.Find(request.Opcode);
        counters[row is null ? 0 : (int)request.Opcode]++;
        if (row is null)
            return Fail(request, Errno.ENOSYS);
        if (!request.TrySplit(OpSize(row)))
            return Refuse(request, row, Errno.EPROTO);
        if (_cut && !row.HasNoReply)
            return Fail(request, Errno.ENOTCONN);
        try
        {
            return row.Handler(this, request);
        }
        catch (Exception exception)
        {
            // Only what a handler throws before it returned its task lands here: nothing is sent yet.
            Errno error = HandlerFailed(request, exception);
            if (request.Opcode == FuseOpcode.FUSE_INIT)
                _connection.Failed("the file system failed to start");
            if (!row.HasNoReply)
                return Fail(request, error);
            request.EndCall();
            request.Drop();
            return true;
        }
    }

    /// <summary>Waits until there is room for another request, or the time is over.</summary>
    internal void WaitForRoom(TimeSpan atMost)
    {
        if (HasRoom)
            return;
        lock (_roomSignal)
        {
            if (!HasRoom)
                Monitor.Wait(_roomSignal, atMost);
        }
    }

    internal bool HasRoom => Volatile.Read(ref _counted) < Options.MaxInFlight && BytesInFlight < Options.MaxBytesInFlight;

    /// <summary>Answers a request that is wrong in itself.</summary>
    internal bool Refuse(Request request, Errno error)
    {
        if (error == Errno.EPROTO)
        {
            Interlocked.Increment(ref _malformed);
            LogMalformed(_logger, request.Opcode, request.Unique, request.Node);
        }
        return Fail(request, error == Errno.EPROTO ? Errno.EIO : error);
    }

    internal static bool Fail(Request request, Errno error)
    {
        request.EndCall();
        request.Send(error, 0, suspended: false);
        return true;
    }

    private bool Refuse(Request request, OpcodeRow row, Errno error)
    {
        if (!row.HasNoReply)
            return Refuse(request, error);
        Interlocked.Increment(ref _malformed);
        LogMalformed(_logger, request.Opcode, request.Unique, request.Node);
        request.Drop();
        return true;
    }

    private int OpSize(OpcodeRow row) =>
        row.Opcode == FuseOpcode.FUSE_SETXATTR && (Capabilities & FuseCapabilities.SetXAttrExtended) == 0 ? SetXAttrIn.CompatSize : row.OpSize;

    private void Suspend(Request request)
    {
        request.IsSuspended = true;
        Interlocked.Increment(ref _inFlight);
        if (Counts(request))
            Interlocked.Increment(ref _counted);
        Interlocked.Add(ref _bytesInFlight, request.AccountedBytes);
    }

    /// <summary>A wait for a lock may end only with a request that is still to come: it must not keep that one out.</summary>
    private static bool Counts(Request request) => request.Opcode != FuseOpcode.FUSE_SETLKW;

    private void Resume(Request request, Errno error, int length)
    {
        bool wasFull = !HasRoom;
        int bytes = request.AccountedBytes;
        bool counts = Counts(request);
        request.EndCall();
        request.Send(error, length, suspended: true);
        if (counts)
            Interlocked.Decrement(ref _counted);
        Interlocked.Add(ref _bytesInFlight, -bytes);
        int left = Interlocked.Decrement(ref _inFlight);
        if (wasFull || left == 0)
        {
            lock (_roomSignal)
                Monitor.PulseAll(_roomSignal);
        }
    }

    /// <summary>Waits until no handler is busy; false when the time is over.</summary>
    internal bool WaitUntilIdle(TimeSpan atMost, TimeProvider time)
    {
        long start = time.GetTimestamp();
        lock (_roomSignal)
        {
            while (InFlight > 0)
            {
                TimeSpan left = atMost - time.GetElapsedTime(start);
                if (left <= TimeSpan.Zero)
                    return false;
                Monitor.Wait(_roomSignal, left);
            }
        }
        return true;
    }

    private Errno HandlerFailed(Request request, Exception exception)
    {
        // A handler that lets its own cancellation out says EINTR; any other exception is a bug of the handler.
        if (exception is OperationCanceledException && request.CancellationToken.IsCancellationRequested)
            return Errno.EINTR;
        Interlocked.Increment(ref _handlerExceptions);
        LogHandlerFailed(_logger, exception, request.Opcode, request.Unique, request.Node);
        return Errno.EIO;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Opcode} (unique {Unique}, node {Node}): the handler threw; answered EIO")]
    private static partial void LogHandlerFailed(ILogger logger, Exception exception, FuseOpcode opcode, ulong unique, NodeId node);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Opcode} (unique {Unique}, node {Node}): the request is malformed; answered EIO")]
    private static partial void LogMalformed(ILogger logger, FuseOpcode opcode, ulong unique, NodeId node);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Opcode} (unique {Unique}, node {Node}): the handler answered {Value}, which is not possible; answered EIO")]
    private static partial void LogImpossibleAnswer(ILogger logger, FuseOpcode opcode, ulong unique, NodeId node, long value);
}
