using System.Buffers;
using System.Runtime.InteropServices;
using Orleans;
using Orleans.Serialization;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Cloning;
using Orleans.Serialization.Codecs;
using Orleans.Serialization.Serializers;
using Orleans.Serialization.WireProtocol;

namespace OrleansFs.GrainInterfaces;

/// <summary>Content that a message carries. What came over the network lies in an array of the pool, which whoever has used it up gives back: an array of 1 MiB for each message would keep the garbage collector at work.</summary>
/// <remarks>Who does not give it back does no harm, the collector has it then. On the wire it is what a byte array is, or, where the message has a place for it behind itself (<see cref="IContentCarrier"/>), its length only.</remarks>
[Immutable]
public readonly struct Payload
{
    /// <summary>Content below which an array of its own is cheaper than one of the pool, bytes.</summary>
    internal const int LeastPooled = 16 << 10;

    private readonly Loan? _loan;

    /// <summary>Memory that stays as it is until the call has ended.</summary>
    public Payload(ReadOnlyMemory<byte> memory) => Memory = memory;

    private Payload(ReadOnlyMemory<byte> memory, Loan? loan) => (Memory, _loan) = (memory, loan);

    /// <summary>The content. Not to be looked at after <see cref="Release"/>.</summary>
    public ReadOnlyMemory<byte> Memory { get; }

    public static implicit operator Payload(ReadOnlyMemory<byte> memory) => new(memory);

    public static implicit operator Payload(Memory<byte> memory) => new(memory);

    /// <summary>Nobody needs the content any more. Of no effect on what did not come over the network, or the second time.</summary>
    public void Release() => _loan?.End();

    /// <summary>An array for content that is to be sent.</summary>
    /// <param name="length">Bytes.</param>
    /// <param name="content">Where to put it.</param>
    public static Payload Rent(int length, out Memory<byte> content)
    {
        var payload = Received(length, out _);
        content = MemoryMarshal.AsMemory(payload.Memory);
        return payload;
    }

    /// <summary>The first bytes of it, in its place.</summary>
    public Payload To(int length) => new(Memory[..length], _loan);

    /// <summary>An array for content that has come.</summary>
    internal static Payload Received(int length, out Span<byte> content)
    {
        if (length == 0)
        {
            content = default;
            return default;
        }
        byte[] array = length < LeastPooled ? GC.AllocateUninitializedArray<byte>(length) : ArrayPool<byte>.Shared.Rent(length);
        content = array.AsSpan(0, length);
        return new Payload(array.AsMemory(0, length), length < LeastPooled ? null : new Loan(array));
    }

    private sealed class Loan(byte[] array)
    {
        private byte[]? _array = array;

        public void End()
        {
            if (Interlocked.Exchange(ref _array, null) is { } array)
                ArrayPool<byte>.Shared.Return(array);
        }
    }
}

/// <summary>Where a message is written that is followed by one content, which is sent from where it lies.</summary>
internal interface IContentCarrier
{
    /// <summary>Takes the content that is to follow. False where there is one already.</summary>
    bool TryCarry(ReadOnlyMemory<byte> content);
}

/// <summary>Writes and reads a <see cref="Payload"/>: a length, and the bytes where they do not follow the message.</summary>
[RegisterSerializer]
public sealed class PayloadCodec : IFieldCodec<Payload>
{
    [ThreadStatic]
    private static Payload t_followed;

    /// <summary>Says what content follows the message that this thread reads next; <c>default</c>: none.</summary>
    internal static void Follow(Payload content) => t_followed = content;

    public void WriteField<TBufferWriter>(ref Writer<TBufferWriter> writer, uint fieldIdDelta, Type? expectedType, Payload value)
        where TBufferWriter : IBufferWriter<byte>
    {
        ReferenceCodec.MarkValueField(writer.Session);
        if (value.Memory.Length >= Payload.LeastPooled && writer.Output is IContentCarrier carrier && carrier.TryCarry(value.Memory))
        {
            writer.WriteFieldHeader(fieldIdDelta, expectedType!, typeof(Payload), WireType.VarInt);
            writer.WriteVarUInt32((uint)value.Memory.Length);
            return;
        }
        writer.WriteFieldHeader(fieldIdDelta, expectedType!, typeof(Payload), WireType.LengthPrefixed);
        writer.WriteVarUInt32((uint)value.Memory.Length);
        writer.Write(value.Memory.Span);
    }

    public Payload ReadValue<TInput>(ref Reader<TInput> reader, Field field)
    {
        ReferenceCodec.MarkValueField(reader.Session);
        if (field.WireType == WireType.VarInt)
            return Followed(reader.ReadVarUInt32());
        field.EnsureWireType(WireType.LengthPrefixed);
        uint length = reader.ReadVarUInt32();
        if (length > Limits.MaxTransfer)
            throw new InvalidOperationException($"a message carries {length} bytes of content, more than {Limits.MaxTransfer}");
        var payload = Payload.Received((int)length, out var content);
        reader.ReadBytes(content);
        return payload;
    }

    private static Payload Followed(uint length)
    {
        var content = t_followed;
        if (length == 0 || content.Memory.Length != length)
            throw new InvalidOperationException($"a message is to be followed by {length} bytes of content, and is not");
        t_followed = default;
        return content;
    }
}

/// <summary>Within a process the content is shared.</summary>
[RegisterCopier]
public sealed class PayloadCopier : IDeepCopier<Payload>, IOptionalDeepCopier
{
    public bool IsShallowCopyable() => true;

    public Payload DeepCopy(Payload input, CopyContext context) => input;
}
