using System.Buffers;
using System.Buffers.Binary;

namespace OrleansFs.Client.Direct;

/// <summary>What a frame of a direct connection is.</summary>
internal enum FrameKind : byte
{
    /// <summary>From the mount: a call, the body an Orleans request.</summary>
    Call = 1,

    /// <summary>From the copy: the answer to the call of that number, the body an Orleans response.</summary>
    Reply = 2,

    /// <summary>From the mount: nobody waits for that call any more, what can be left undone is. It is answered all the same.</summary>
    Cancel = 3,
}

/// <summary>
/// The head of a frame: the length of the body (4 bytes), what it is (1), whose grain is called (1), two bytes of zero, the number of the call (8), the inode that the grain is of (8), the length of the content that follows
/// the body (4) and four bytes of zero. All little-endian.
/// </summary>
/// <param name="Length">Bytes of the body.</param>
/// <param name="Content">Bytes of the content behind it.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Target">Which of the copy's grains a call is for.</param>
/// <param name="Call">Numbers the calls of a connection.</param>
/// <param name="Inode">The inode of a <see cref="DirectTarget.File"/>, else 0.</param>
internal readonly record struct DirectFrame(int Length, int Content, FrameKind Kind, DirectTarget Target, long Call, ulong Inode)
{
    public const int Size = 32;

    public void Write(Span<byte> to)
    {
        BinaryPrimitives.WriteInt32LittleEndian(to, Length);
        to[4] = (byte)Kind;
        to[5] = (byte)Target;
        to[6] = to[7] = 0;
        BinaryPrimitives.WriteInt64LittleEndian(to[8..], Call);
        BinaryPrimitives.WriteUInt64LittleEndian(to[16..], Inode);
        BinaryPrimitives.WriteInt64LittleEndian(to[24..], (uint)Content);
    }

    /// <summary>Takes the first frame of what has come, but for its content.</summary>
    /// <param name="buffer">What has come; without the head and the body afterwards.</param>
    /// <param name="frame">The head.</param>
    /// <param name="body">The body.</param>
    /// <returns>Whether both are there as a whole.</returns>
    /// <exception cref="InvalidDataException">They are longer than they may be.</exception>
    public static bool TryTake(ref ReadOnlySequence<byte> buffer, out DirectFrame frame, out ReadOnlySequence<byte> body)
    {
        body = default;
        frame = default;
        if (buffer.Length < Size)
            return false;
        Span<byte> head = stackalloc byte[Size];
        buffer.Slice(0, Size).CopyTo(head);
        frame = new DirectFrame(
            BinaryPrimitives.ReadInt32LittleEndian(head), BinaryPrimitives.ReadInt32LittleEndian(head[24..]), (FrameKind)head[4], (DirectTarget)head[5], BinaryPrimitives.ReadInt64LittleEndian(head[8..]), BinaryPrimitives.ReadUInt64LittleEndian(head[16..]));
        if ((uint)frame.Length > Limits.DirectFrame)
            throw new InvalidDataException($"a message of {(uint)frame.Length} bytes, more than {Limits.DirectFrame}");
        if ((uint)frame.Content > GrainInterfaces.Limits.MaxTransfer)
            throw new InvalidDataException($"a message with {(uint)frame.Content} bytes of content, more than {GrainInterfaces.Limits.MaxTransfer}");
        if (buffer.Length < Size + frame.Length)
            return false;
        body = buffer.Slice(Size, frame.Length);
        buffer = buffer.Slice(body.End);
        return true;
    }
}

/// <summary>The grains that are called directly.</summary>
public enum DirectTarget : byte
{
    /// <summary><see cref="GrainInterfaces.INamespaceGrain"/>.</summary>
    Names = 1,

    /// <summary><see cref="GrainInterfaces.IFileGrain"/>.</summary>
    File = 2,
}
