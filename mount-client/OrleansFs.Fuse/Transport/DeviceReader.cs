using Microsoft.Extensions.Logging;
using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Protocol;

namespace OrleansFs.Fuse.Transport;

/// <summary>
/// A thread that reads requests from /dev/fuse and answers what completes at once. Each has a descriptor of its own (FUSE_DEV_IOC_CLONE), so that answers do
/// not contend; an answer has to be written to the descriptor that its request was read from.
/// </summary>
internal sealed unsafe partial class DeviceReader
{
    private static readonly TimeSpan s_roomCheck = TimeSpan.FromSeconds(1);

    private readonly ProtocolEngine _engine;
    private readonly DeviceRequestPool _pool;
    private readonly ILogger _logger;
    private readonly int _fd;
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal DeviceReader(ProtocolEngine engine, DeviceRequestPool pool, int fd, ILogger logger)
    {
        _engine = engine;
        _pool = pool;
        _fd = fd;
        _logger = logger;
    }

    /// <summary>Completes when the connection is gone and the thread with it.</summary>
    internal Task Done => _done.Task;

    /// <summary>Requests by opcode that this thread began.</summary>
    internal long[] Counters { get; } = new long[OpcodeTable.Size];

    internal void Start(int number)
    {
        Thread thread = new(Run, maxStackSize: 0) { IsBackground = true, Name = $"fuse-read-{number}" };
        thread.Start();
    }

    private void Run()
    {
        try
        {
            Loop();
        }
        catch (Exception exception)
        {
            LogReaderFailed(_logger, exception);
        }
        finally
        {
            _done.SetResult();
        }
    }

    private void Loop()
    {
        DeviceRequest? request = null;
        while (true)
        {
            request ??= _pool.Rent();
            while (!_engine.HasRoom && !IsGone())
                _engine.WaitForRoom(s_roomCheck);
            nint length = Libc.Read(_fd, request.Input, (nuint)request.InputCapacity);
            if (length < 0)
            {
                Errno error = Libc.LastError;
                // ENOENT: the request was aborted before it was read.
                if (error is Errno.EINTR or Errno.EAGAIN or Errno.ENOENT)
                    continue;
                if (error is not (Errno.ENODEV or Errno.ECONNABORTED))
                    LogReadFailed(_logger, error);
                break;
            }
            if (length == 0)
                break;
            if (!request.TryBegin(_fd, (int)length))
            {
                LogNoRequest(_logger, (int)length);
                continue;
            }
            if (!_engine.Dispatch(request, Counters))
                request = null; // its handler still has it; it comes back to the pool
        }
        if (request is not null)
            _pool.Return(request);
    }

    /// <summary>Whether the connection is gone: without room nothing is read, and so nothing else would tell.</summary>
    private bool IsGone()
    {
        Libc.PollFd poll = new() { Descriptor = _fd };
        return Libc.Poll(&poll, 1, 0) == 1 && (poll.Returned & Libc.PollFd.Error) != 0;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "reading /dev/fuse failed: {Error}")]
    private static partial void LogReadFailed(ILogger logger, Errno error);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Length} bytes from /dev/fuse are not a request; skipped")]
    private static partial void LogNoRequest(ILogger logger, int length);

    [LoggerMessage(Level = LogLevel.Critical, Message = "a reader of /dev/fuse failed")]
    private static partial void LogReaderFailed(ILogger logger, Exception exception);
}
