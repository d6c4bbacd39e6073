using System.Runtime.CompilerServices;
using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Protocol;

namespace OrleansFs.Fuse.Transport;

/// <summary>
/// An entry of an io_uring queue: a page of headers and a payload that serve both ways. The kernel fills them, posts a completion, and takes the answer with
/// the entry's next command (COMMIT_AND_FETCH).
/// </summary>
/// <remarks>
/// The header page, struct fuse_uring_req_header of 288 bytes and then room for what has to outlive the payload:
/// <code>
///     0    in_out           128: struct fuse_in_header, then struct fuse_out_header
///     128  op_in            128: the fixed part of the arguments
///     256  ring_ent_in_out   32: flags 8, commit_id 8, payload_sz 4, padding 4, reserved 8
///     288  (struct iovec[2] 32, for the registration)
///     512  names that are needed while the reply overwrites the payload
/// </code>
/// </remarks>
internal sealed unsafe class RingRequest : Request, IDisposable
{
    internal const int HeaderPage = 4096;
    internal const int HeaderSize = 288; // sizeof(struct fuse_uring_req_header)

    private const int OpIn = 128;
    private const int OpInSize = 128;
    private const int CommitIdAt = 264;
    private const int PayloadSizeAt = 272;
    private const int VectorsAt = 288;
    private const int PreservedAt = 512;

    private readonly RingWorker _worker;
    private readonly NativeBuffer _headers;
    private readonly NativeBuffer _payload;
    private readonly int _headerStart;

    internal RingRequest(ProtocolEngine engine, RingWorker worker, RingQueue queue, int index, NativeBuffer headers, int headerStart, int payloadSize)
        : base(engine)
    {
        _worker = worker;
        Queue = queue;
        Index = index;
        _headers = headers;
        _headerStart = headerStart;
        _payload = new NativeBuffer(payloadSize);
    }

    internal RingQueue Queue { get; }

    /// <summary>Its place among the worker's entries: what its completions carry.</summary>
    internal int Index { get; }

    /// <summary>The next one in the list of those that other threads completed.</summary>
    internal RingRequest? NextCompleted { get; set; }

    /// <summary>The kernel's name for the request in progress; 0 while the entry is not registered.</summary>
    internal ulong CommitId { get; private set; }

    internal override Memory<byte> ReplyMemory => _payload.Memory;

    internal override byte* ReplyPointer => _payload.Pointer;

    internal override bool MayWaitForLock => _worker.MayWaitForLock(Queue);

    private byte* Header => _headers.Pointer + _headerStart;

    /// <summary>Address of the two vectors that a registration points to.</summary>
    internal ulong Vectors
    {
        get
        {
            Libc.IoVec* vectors = (Libc.IoVec*)(Header + VectorsAt);
            vectors[0] = new Libc.IoVec { Base = Header, Length = HeaderSize };
            vectors[1] = new Libc.IoVec { Base = _payload.Pointer, Length = (nuint)_payload.Length };
            return (ulong)vectors;
        }
    }

    /// <summary>The kernel filled the entry.</summary>
    internal void BeginFromRing()
    {
        byte* header = Header;
        CommitId = Unsafe.ReadUnaligned<ulong>(header + CommitIdAt);
        Begin(Unsafe.ReadUnaligned<InHeader>(header));
    }

    internal override bool TrySplit(int opSize)
    {
        uint size = Unsafe.ReadUnaligned<uint>(Header + PayloadSizeAt);
        if (opSize > OpInSize || size > (uint)_payload.Length || size < ExtensionLength)
            return false;
        Op = Header + OpIn;
        Payload = size == 0 ? default : Slice(_payload, 0, (int)size);
        return true;
    }

    internal override ReadOnlyMemory<byte> Preserve(ReadOnlyMemory<byte> payload)
    {
        if (payload.Length > HeaderPage - PreservedAt)
            return payload.ToArray();
        Memory<byte> kept = _headers.Memory.Slice(_headerStart + PreservedAt, payload.Length);
        payload.CopyTo(kept);
        return kept;
    }

    internal override void Send(Errno error, int bodyLength, bool suspended)
    {
        byte* header = Header;
        Unsafe.WriteUnaligned(header, new OutHeader { len = (uint)(OutHeader.Size + bodyLength), error = -(int)error, unique = Unique });
        Unsafe.WriteUnaligned(header + PayloadSizeAt, (uint)bodyLength);
        if (suspended)
            _worker.HandOver(this);
        else
            _worker.Commit(this);
    }

    /// <summary>The kernel sends nothing without an answer this way; if it did, the entry must still go back.</summary>
    internal override void Drop() => Send(Errno.None, 0, suspended: false);

    public void Dispose() => _payload.Free();
}

/// <summary>One queue of the connection: the requests of the programs on one processor.</summary>
internal sealed class RingQueue(int id)
{
    /// <summary>The processor's number.</summary>
    internal ushort Id { get; } = checked((ushort)id);

    /// <summary>Entries in all.</summary>
    internal int Entries { get; set; }

    /// <summary>Entries whose handlers are still busy.</summary>
    internal int Suspended { get; set; }
}
