using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Protocol;

namespace OrleansFs.Fuse.Tests.Protocol;

/// <summary>A request made of bytes, whose answer is kept as bytes.</summary>
internal sealed unsafe class BufferRequest : Request, IDisposable
{
    private const int Capacity = 64 * 1024;

    private readonly NativeBuffer _input = new(Capacity);
    private readonly NativeBuffer _reply = new(Capacity);
    private readonly int _length;

    internal BufferRequest(ProtocolEngine engine, ReadOnlySpan<byte> bytes)
        : base(engine)
    {
        bytes.CopyTo(_input.GetSpan());
        _length = bytes.Length;
        Restart();
    }

    /// <summary>The whole reply: header and body. Null while there is none; empty when there will be none.</summary>
    internal byte[]? Answer { get; private set; }

    internal TaskCompletionSource Answered { get; private set; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal int Sends { get; private set; }

    internal bool KeepsAnswer { get; init; } = true;

    internal override Memory<byte> ReplyMemory => _reply.Memory[OutHeader.Size..];

    internal override byte* ReplyPointer => _reply.Pointer + OutHeader.Size;

    internal int Error => -MemoryMarshal.Read<int>(Answer.AsSpan(4));

    internal ReadOnlySpan<byte> Body => Answer.AsSpan(OutHeader.Size);

    internal void Restart() => Begin(Unsafe.ReadUnaligned<InHeader>(_input.Pointer));

    internal override bool TrySplit(int opSize)
    {
        int rest = _length - InHeader.Size - opSize;
        if (rest < ExtensionLength)
            return false;
        Op = _input.Pointer + InHeader.Size;
        Payload = Slice(_input, InHeader.Size + opSize, rest);
        return true;
    }

    internal override ReadOnlyMemory<byte> Preserve(ReadOnlyMemory<byte> payload) => payload;

    internal override void Send(Errno error, int bodyLength, bool suspended)
    {
        Sends++;
        if (!KeepsAnswer)
            return;
        OutHeader header = new() { len = (uint)(OutHeader.Size + bodyLength), error = -(int)error, unique = Unique };
        Unsafe.WriteUnaligned(_reply.Pointer, header);
        Answer = _reply.GetSpan()[..(int)header.len].ToArray();
        Answered.TrySetResult();
    }

    internal override void Drop()
    {
        Answer = [];
        Answered.TrySetResult();
    }

    public void Dispose()
    {
        _input.Free();
        _reply.Free();
    }
}

/// <summary>A connection without a kernel.</summary>
internal sealed class LooseConnection : IConnection
{
    internal string? Failure { get; private set; }

    internal bool HasStarted { get; private set; }

    internal FuseCapabilities Extra { get; init; }

    public FuseCapabilities Prepare(FuseCapabilities offered, InitReply agreed) => Extra;

    public void Started() => HasStarted = true;

    public void Failed(string reason) => Failure = reason;
}
