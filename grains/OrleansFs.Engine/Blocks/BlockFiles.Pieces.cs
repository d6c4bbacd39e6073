using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <content>Reading a part of a block, and the files that are kept open for that.</content>
internal sealed partial class BlockFiles
{
    private readonly BlockDescriptors _open = new((int)Math.Clamp((LinuxFile.DescriptorLimit() ?? 0) / BlockLimits.OpenBlocksShare, 1, BlockLimits.OpenBlocks));

    /// <summary>Reads a part of a block and checks it, without the rest.</summary>
    /// <param name="hash">The block.</param>
    /// <param name="offset">First byte wanted.</param>
    /// <param name="destination">Filled up to the end of the block.</param>
    /// <param name="now">Only where it needs no wait for the disk.</param>
    /// <returns>The outcome. <see cref="PartRead.NotInParts"/> also where anything is amiss: to read the block whole tells what.</returns>
    public PartRead ReadPart(BlockHash hash, int offset, Span<byte> destination, bool now)
    {
        if (Open(hash, now, out var error) is not { } open)
            return now && error == Errno.EAGAIN ? PartRead.MustWait : PartRead.NotInParts;
        try
        {
            error = open.Pieces is null ? ReadHead(open, now) : Errno.None;
            if (error == Errno.None && open.Pieces is { Count: > 0 } pieces)
            {
                int length = Math.Clamp(pieces.Length - offset, 0, destination.Length);
                error = length == 0 ? Errno.None : ReadPieces(open.Descriptor, pieces, offset, destination[..length], now);
                if (error == Errno.None)
                    return PartRead.Of(length);
            }
        }
        finally
        {
            _open.GiveBack(open);
        }
        if (now && error == Errno.EAGAIN)
            return PartRead.MustWait;
        if (error != Errno.None)
            _open.Forget(hash);
        return PartRead.NotInParts;
    }

    /// <summary>The file of a block, for the caller to give back; null where it cannot be opened.</summary>
    /// <param name="hash">The block.</param>
    /// <param name="now">Only where it needs no wait for the disk.</param>
    /// <param name="error">Why not; EAGAIN where it needs a wait.</param>
    private OpenBlock? Open(BlockHash hash, bool now, out Errno error)
    {
        error = Errno.None;
        var open = _open.Get(hash);
        if (open.IsOpen)
            return open;
        int fd = OpenBlock(hash, now);
        if (fd < 0 && LinuxFile.LastError == Errno.EMFILE)
        {
            // Descriptors are the whole process's; others need them more.
            _open.Clear();
            fd = OpenBlock(hash, now);
        }
        if (fd < 0)
            error = LinuxFile.LastError;
        else
            open.Descriptor = fd;
        if (error == Errno.None)
            return open;
        _open.GiveBack(open);
        return null;
    }

    /// <summary>Reads what the head says of the pieces.</summary>
    /// <returns>EAGAIN where it needs a wait.</returns>
    [SkipLocalsInit]
    private static Errno ReadHead(OpenBlock open, bool now)
    {
        Span<byte> head = stackalloc byte[BlockFormat.HeadBytes];
        var error = LinuxFile.ReadAt(open.Descriptor, head, 0, now, out int read);
        if (error != Errno.None)
            return error;
        var header = read < BlockHeader.Size ? default : MemoryMarshal.Read<BlockHeader>(head);
        error = LinuxFile.Length(open.Descriptor, out long length);
        if (error != Errno.None)
            return error;
        open.Pieces = read == head.Length && BlockFormat.Fault(header, length) is null && BlockFormat.PiecesOf(open.Hash, header, head[BlockHeader.Size..]) is { } pieces ? pieces : BlockPieces.None;
        return Errno.None;
    }

    private static Errno ReadPieces(int fd, BlockPieces pieces, int offset, Span<byte> destination, bool now)
    {
        int first = offset / pieces.Size;
        int last = (offset + destination.Length - 1) / pieces.Size;
        int start = first * pieces.Size;
        int length = last * pieces.Size + pieces.LengthOf(last) - start;
        if (length == destination.Length)
            return ReadPieces(fd, pieces, first, last, destination, now);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(length);
        var error = ReadPieces(fd, pieces, first, last, buffer.AsSpan(0, length), now);
        if (error == Errno.None)
            buffer.AsSpan(offset - start, destination.Length).CopyTo(destination);
        ArrayPool<byte>.Shared.Return(buffer);
        return error;
    }

    /// <returns>EIO where the content is not the one of the checksums.</returns>
    private static Errno ReadPieces(int fd, BlockPieces pieces, int first, int last, Span<byte> whole, bool now)
    {
        var error = LinuxFile.ReadAt(fd, whole, BlockFormat.HeadBytes + (long)first * pieces.Size, now, out int read);
        if (error != Errno.None)
            return error;
        if (read < whole.Length)
            return Errno.EIO;
        for (int i = first; i <= last; i++)
        {
            if (!pieces.IsIntact(i, whole.Slice((i - first) * pieces.Size, pieces.LengthOf(i))))
                return Errno.EIO;
        }
        return Errno.None;
    }
}

/// <summary>What came of reading a part of a block.</summary>
/// <param name="Kind">The outcome.</param>
/// <param name="Length">Bytes given.</param>
internal readonly record struct PartRead(PartReadKind Kind, int Length)
{
    public static PartRead MustWait { get; } = new(PartReadKind.MustWait, 0);

    public static PartRead NotInParts { get; } = new(PartReadKind.NotInParts, 0);

    public static PartRead Of(int length) => new(PartReadKind.Read, length);
}

/// <summary>The outcomes of reading a part of a block.</summary>
internal enum PartReadKind
{
    /// <summary>The part is there, and has been checked.</summary>
    Read,

    /// <summary>It needs a wait for the disk.</summary>
    MustWait,

    /// <summary>The block is to be read whole.</summary>
    NotInParts,
}
