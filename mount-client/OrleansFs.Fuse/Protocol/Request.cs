using System.Runtime.CompilerServices;
using OrleansFs.Fuse.Interop;

namespace OrleansFs.Fuse.Protocol;

/// <summary>
/// One request from the kernel, and the room for its answer. A transport owns it and uses it again and again.
/// </summary>
/// <remarks>
/// Invariants: (1) between Begin and Send it belongs to the handler, and the memory it lends is not touched by the transport; (2) Send is called exactly
/// once; after it nothing of the request may be read, for it may already be another one; (3) a request that is suspended is sent with suspended = true, by
/// whichever thread completes it, and one that is not by the thread that began it.
/// </remarks>
internal abstract unsafe class Request : CallState
{
    private readonly ProtocolEngine _engine;
    private DirectoryWriter? _directory;
    private CancellationTokenSource? _cancellation;

    private protected Request(ProtocolEngine engine) => _engine = engine;

    internal FuseOpcode Opcode { get; private set; }

    /// <summary>The fixed part of the arguments; at least the table's OpSize long once TrySplit succeeded.</summary>
    internal byte* Op { get; private protected set; }

    /// <summary>What follows the fixed part: names, values, data, extensions.</summary>
    internal ReadOnlyMemory<byte> Payload { get; private protected set; }

    /// <summary>How much the caller takes, for answers of variable length.</summary>
    internal int Wanted { get; private set; }

    /// <summary>Whether its handler is still busy after the thread that began it has moved on.</summary>
    internal bool IsSuspended { get; set; }

    /// <summary>Bytes that count against the bound while it is suspended.</summary>
    internal int AccountedBytes => Payload.Length + Wanted;

    /// <summary>Where the body of the answer goes. Valid after TrySplit.</summary>
    internal abstract Memory<byte> ReplyMemory { get; }

    internal abstract byte* ReplyPointer { get; }

    internal FuseContext Context => new(this);

    internal override RequestExtensions Extensions
    {
        get
        {
            int length = ExtensionLength;
            return length == 0 ? default : new RequestExtensions(Payload[^length..]);
        }
    }

    internal override CancellationToken CancellationToken
    {
        get
        {
            CancellationTokenSource? source = Volatile.Read(ref _cancellation);
            if (source is null)
            {
                CancellationTokenSource made = new();
                source = Interlocked.CompareExchange(ref _cancellation, made, null) ?? made;
                if (ReferenceEquals(source, made))
                    _engine.Interrupts.Register(Unique, made, Pid, byAnySignal: Opcode == FuseOpcode.FUSE_SETLKW);
            }
            return source.Token;
        }
    }

    private protected int ExtensionLength { get; private set; }

    /// <summary>The writer of a listing, over as much of the reply as the caller takes.</summary>
    internal DirectoryWriter DirectoryWriterFor(bool isPlus)
    {
        _directory ??= new DirectoryWriter();
        _directory.Reset(ReplyMemory[..Wanted], isPlus);
        return _directory;
    }

    /// <summary>The length of the body of an operation that answers nothing but success: a listing's, or none.</summary>
    internal int DirectoryLengthIfListing() =>
        Opcode is FuseOpcode.FUSE_READDIR or FuseOpcode.FUSE_READDIRPLUS && _directory is not null ? _directory.Length : 0;

    /// <summary>Sets how much the caller takes; false where it is more than the reply can hold, which no kernel asks.</summary>
    internal bool TryWant(uint size)
    {
        if (size > (uint)ReplyMemory.Length)
            return false;
        Wanted = (int)size;
        return true;
    }

    /// <summary>Whether a wait for a lock leaves room for the request that ends it.</summary>
    internal virtual bool MayWaitForLock => true;

    /// <summary>Separates the fixed part from the rest.</summary>
    internal abstract bool TrySplit(int opSize);

    /// <summary>Memory that stays as it is when the reply is written. Only the transports whose reply overlays the payload copy.</summary>
    internal abstract ReadOnlyMemory<byte> Preserve(ReadOnlyMemory<byte> payload);

    /// <summary>Answers, and gives the request up.</summary>
    internal abstract void Send(Errno error, int bodyLength, bool suspended);

    /// <summary>Gives the request up without an answer (FORGET and the like).</summary>
    internal abstract void Drop();

    /// <summary>Ends what is kept for the handler; to be called before Send.</summary>
    internal void EndCall()
    {
        if (_cancellation is null)
            return;
        _engine.Interrupts.Unregister(Unique);
        _cancellation = null;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal T ReadOp<T>()
        where T : unmanaged => Unsafe.ReadUnaligned<T>(Op);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected void Begin(in InHeader header)
    {
        Opcode = (FuseOpcode)header.opcode;
        Unique = header.unique;
        Node = new NodeId(header.nodeid);
        Uid = header.uid;
        Gid = header.gid;
        Pid = header.pid;
        ExtensionLength = header.total_extlen * 8;
        Wanted = 0;
        Payload = default;
        IsSuspended = false;
    }

    private protected static ReadOnlyMemory<byte> Slice(NativeBuffer buffer, int start, int length) => buffer.Memory.Slice(start, length);
}
