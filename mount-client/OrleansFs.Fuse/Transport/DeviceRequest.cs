using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Protocol;

namespace OrleansFs.Fuse.Transport;

/// <summary>A request read from /dev/fuse and answered by writing to the descriptor it was read from.</summary>
/// <remarks>
/// One buffer of two pages and the largest payload holds both ways:
/// <code>
///     0         4016     4096                                            8192 + MaxWrite
///     |  (reply) | header | data of a WRITE, page-aligned ...                     |
///     |          | header, arguments | ... | reply header | reply body, page-aligned
/// </code>
/// The reply's body begins at the first page behind the input; behind a write so large that no page is left, in the 4000 bytes before it.
/// </remarks>
internal sealed unsafe partial class DeviceRequest : Request, IDisposable
{
    private const int Page = 4096;
    private const int InputStart = Page - InHeader.Size - 40; // 40: struct fuse_write_in
    private const int SmallReplyCapacity = InputStart - OutHeader.Size;

    private readonly NativeBuffer _buffer;
    private readonly DeviceRequestPool _pool;
    private readonly ILogger _logger;
    private int _fd;
    private int _inputLength;
    private int _replyStart;
    private int _replyCapacity;

    internal DeviceRequest(ProtocolEngine engine, DeviceRequestPool pool, int maxWrite, ILogger logger)
        : base(engine)
    {
        _pool = pool;
        _logger = logger;
        _buffer = new NativeBuffer((2 * Page) + maxWrite);
    }

    /// <summary>Where the device is to be read into.</summary>
    internal byte* Input => _buffer.Pointer + InputStart;

    /// <summary>How much: the header, the arguments of a write and the largest payload, and a little more, as the kernel demands.</summary>
    internal int InputCapacity => _buffer.Length - InputStart;

    internal override Memory<byte> ReplyMemory => _buffer.Memory.Slice(_replyStart, _replyCapacity);

    internal override byte* ReplyPointer => _buffer.Pointer + _replyStart;

    /// <summary>Takes what was read.</summary>
    /// <returns>False where it is no request at all.</returns>
    internal bool TryBegin(int fd, int length)
    {
        if (length < InHeader.Size)
            return false;
        InHeader header = Unsafe.ReadUnaligned<InHeader>(Input);
        if (header.len != (uint)length)
            return false;
        _fd = fd;
        _inputLength = length;
        int end = InputStart + length;
        _replyStart = (end + OutHeader.Size + Page - 1) & ~(Page - 1);
        _replyCapacity = _buffer.Length - _replyStart;
        if (_replyCapacity < Page)
        {
            _replyStart = OutHeader.Size;
            _replyCapacity = SmallReplyCapacity;
        }
        Begin(header);
        return true;
    }

    internal override bool TrySplit(int opSize)
    {
        int rest = _inputLength - InHeader.Size - opSize;
        if (rest < ExtensionLength)
            return false;
        Op = Input + InHeader.Size;
        Payload = rest == 0 ? default : Slice(_buffer, InputStart + InHeader.Size + opSize, rest);
        return true;
    }

    internal override ReadOnlyMemory<byte> Preserve(ReadOnlyMemory<byte> payload) => payload;

    internal override void Send(Errno error, int bodyLength, bool suspended)
    {
        nint written = Write(error, bodyLength);
        if (written < 0)
            NotTaken(error, bodyLength);
        if (suspended)
            _pool.Return(this);
    }

    internal override void Drop()
    {
    }

    public void Dispose() => _buffer.Free();

    private nint Write(Errno error, int bodyLength)
    {
        byte* start = ReplyPointer - OutHeader.Size;
        OutHeader header = new() { len = (uint)(OutHeader.Size + bodyLength), error = -(int)error, unique = Unique };
        Unsafe.WriteUnaligned(start, header);
        return Libc.Write(_fd, start, header.len);
    }

    private void NotTaken(Errno error, int bodyLength)
    {
        Errno why = Libc.LastError;
        // ENOENT: the request is gone, because the connection was aborted. ENODEV and its like: so is the connection; the reader will notice.
        if (why is Errno.ENOENT or Errno.ENODEV or Errno.ECONNABORTED or Errno.ENOTCONN)
            return;
        LogReplyNotTaken(_logger, Opcode, Unique, Node, error, bodyLength, why);
        if (bodyLength > 0 || error != Errno.EIO)
            _ = Write(Errno.EIO, 0); // whoever waits must not wait for ever
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Opcode} (unique {Unique}, node {Node}): the kernel did not take the answer ({Error}, {Length} bytes): {Why}")]
    private static partial void LogReplyNotTaken(ILogger logger, FuseOpcode opcode, ulong unique, NodeId node, Errno error, int length, Errno why);
}

/// <summary>Requests that are not in use. Keeps a few, because each may hold a megabyte that was touched.</summary>
internal sealed class DeviceRequestPool(ProtocolEngine engine, int maxWrite, ILogger logger)
{
    private readonly Lock _gate = new();
    private readonly Stack<DeviceRequest> _spare = new();
    private readonly HashSet<DeviceRequest> _lent = [];
    private bool _closed;

    internal DeviceRequest Rent()
    {
        lock (_gate)
        {
            if (!_spare.TryPop(out DeviceRequest? request))
                request = new DeviceRequest(engine, this, maxWrite, logger);
            _lent.Add(request);
            return request;
        }
    }

    internal void Return(DeviceRequest request)
    {
        lock (_gate)
        {
            _lent.Remove(request);
            if (!_closed && _spare.Count < Limits.MaxSpareRequests)
            {
                _spare.Push(request);
                return;
            }
        }
        request.Dispose();
    }

    /// <summary>Requests whose handlers are still busy.</summary>
    internal IReadOnlyList<Request> Suspended()
    {
        lock (_gate)
            return [.. _lent.Where(r => r.IsSuspended)];
    }

    /// <summary>Frees what is spare, now and whatever comes back later.</summary>
    internal void Close()
    {
        lock (_gate)
        {
            _closed = true;
            while (_spare.TryPop(out DeviceRequest? request))
                request.Dispose();
        }
    }
}
