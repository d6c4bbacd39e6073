using System.IO.Hashing;
using System.Numerics;
using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>The layout of a block file. A change here is a new format version, and an old sample stays in the tests for ever.</summary>
/// <remarks>
/// <code>
///  0       4         5       6          8            12               16                24
///  +-------+---------+-------+----------+------------+----------------+-----------------+---------------------------+
///  | magic | version | codec | reserved | raw length | payload length | checksum        | payload, to the file's end |
///  | OFSB  | 1       | 0, 1  | 0        | u32        | u32            | XXH3-64, seeded |                           |
///  +-------+---------+-------+----------+------------+----------------+-----------------+---------------------------+
///
///  0                        24                                4096
///  +------------------------+---------------------------------+---------------------------+
///  | header as above, with  | XXH3-64 of each piece, seeded;  | payload: the content,     |
///  | version 2 and codec 0  | zeros                           | to the file's end         |
///  +------------------------+---------------------------------+---------------------------+
/// </code>
/// <para>Little-endian. The checksum is XXH3-64 (xxHash, Y. Collet) of the payload, with a seed made of the other fields of the header and of the first eight bytes of the block's hash: so one pass over
/// the payload also finds a header that changed and a file that got another block's name.</para>
/// <para>Version 2 is for content that is stored as it is and of which parts are read: the checksum of the header is of the bytes 24 to 4095, and those have a checksum for each piece of the content, with a seed
/// made of the one of the header and the piece's number. So a part is known to be right when the head and the pieces that it lies in have been read. A piece is 4 KiB, or as much more, a power of two, as leaves 64 at most.
/// On the disk content that fills its units of allocation takes what it takes in version 1, which begins one for its header; other content one more.</para>
/// </remarks>
internal static class BlockFormat
{
    /// <summary>Files take disk in units of this many bytes: what ext4, xfs and btrfs use unless told otherwise.</summary>
    public const int AllocationUnit = 4096;

    /// <summary>"OFSB" as bytes of the file.</summary>
    public const uint Magic = 0x4253_464F;

    /// <summary>The version with one checksum over all.</summary>
    public const byte Version = 1;

    /// <summary>The version with checksums of pieces.</summary>
    public const byte PiecedVersion = 2;

    /// <summary>Bytes of header and checksums in the version that has pieces.</summary>
    public const int HeadBytes = 4096;

    /// <summary>Least bytes of a piece: a page, which is what a program reads at random.</summary>
    public const int MinPiece = 4096;

    /// <summary>Most pieces of a block.</summary>
    public const int MaxPieces = 64;

    /// <summary>Content from which there are pieces, bytes. To read less whole costs the disk no more than to read a part of it.</summary>
    public const int MinPieced = 16 << 10;

    /// <summary>Multiplier that spreads the header's fields over the seed: 2^64 over the golden ratio, odd. Part of the format.</summary>
    private const ulong SeedMultiplier = 0x9E37_79B9_7F4A_7C15;

    /// <summary>What a file of so many bytes takes on disk.</summary>
    public static int DiskBytes(int fileBytes) => (fileBytes + AllocationUnit - 1) & -AllocationUnit;

    /// <summary>The version in which a content is stored.</summary>
    public static byte VersionOf(BlockCodec codec, int rawLength) => codec == BlockCodec.Raw && rawLength >= MinPieced ? PiecedVersion : Version;

    /// <summary>Where the payload begins.</summary>
    public static int PayloadAt(byte version) => version == PiecedVersion ? HeadBytes : BlockHeader.Size;

    /// <summary>Bytes of a piece of a content, but for the last.</summary>
    public static int PieceBytes(int rawLength) => Math.Max(MinPiece, (int)BitOperations.RoundUpToPowerOf2((uint)rawLength) / MaxPieces);

    /// <summary>How many pieces a content has.</summary>
    public static int Pieces(int rawLength) => (rawLength + PieceBytes(rawLength) - 1) / PieceBytes(rawLength);

    /// <summary>The head of a payload, <see cref="PayloadAt"/> bytes of <paramref name="head"/>.</summary>
    public static ReadOnlySpan<byte> HeadOf(BlockHash hash, BlockCodec codec, int rawLength, ReadOnlySpan<byte> payload, Span<byte> head)
    {
        byte version = VersionOf(codec, rawLength);
        var header = new BlockHeader { Magic = Magic, Version = version, Codec = codec, RawLength = (uint)rawLength, PayloadLength = (uint)payload.Length };
        ulong seed = Seed(hash, header);
        head = head[..PayloadAt(version)];
        if (version == PiecedVersion)
        {
            var table = head[BlockHeader.Size..];
            table.Clear();
            var sums = MemoryMarshal.Cast<byte, ulong>(table);
            int size = PieceBytes(rawLength);
            for (int i = 0, at = 0; at < rawLength; i++, at += size)
                sums[i] = PieceSum(seed, i, payload.Slice(at, Math.Min(size, rawLength - at)));
            header.Checksum = XxHash3.HashToUInt64(table, (long)seed);
        }
        else
        {
            header.Checksum = XxHash3.HashToUInt64(payload, (long)seed);
        }
        MemoryMarshal.Write(head, header);
        return head;
    }

    /// <summary>Why the header cannot be that of a block file of this length; null when it can.</summary>
    public static string? Fault(in BlockHeader header, long fileBytes)
    {
        if (header.Magic != Magic)
            return "the magic is wrong";
        if (header.Version is not (Version or PiecedVersion))
            return $"the format version is {header.Version}, known are {Version} and {PiecedVersion}";
        if (header.Codec is not (BlockCodec.Raw or BlockCodec.Lz4) || header.Reserved != 0)
            return $"the codec is {(byte)header.Codec}, reserved is {header.Reserved}";
        if (header.RawLength is 0 or > BlockLimits.MaxContent)
            return $"the length of the content is {header.RawLength}";
        if (header.Version == PiecedVersion && (header.Codec != BlockCodec.Raw || header.RawLength < MinPieced))
            return $"a content of {header.RawLength} bytes with codec {(byte)header.Codec} has no pieces";
        if (header.Codec == BlockCodec.Raw ? header.PayloadLength != header.RawLength : header.PayloadLength is 0 || header.PayloadLength >= header.RawLength)
            return $"{header.PayloadLength} bytes of payload do not fit {header.RawLength} bytes of content";
        long told = PayloadAt(header.Version) + (long)header.PayloadLength;
        return fileBytes == told ? null : $"the file has {fileBytes} bytes, the header tells of {told}";
    }

    /// <summary>True where the payload is the one the header was made for, under that name.</summary>
    /// <param name="hash">The name.</param>
    /// <param name="header">A header without fault.</param>
    /// <param name="table">What follows it in the head, in the version that has pieces.</param>
    /// <param name="payload">The payload.</param>
    public static bool IsIntact(BlockHash hash, in BlockHeader header, ReadOnlySpan<byte> table, ReadOnlySpan<byte> payload)
    {
        if (header.Version == Version)
            return XxHash3.HashToUInt64(payload, (long)Seed(hash, header)) == header.Checksum;
        if (PiecesOf(hash, header, table) is not { } pieces)
            return false;
        for (int i = 0; i < pieces.Count; i++)
        {
            if (!pieces.IsIntact(i, payload.Slice(i * pieces.Size, pieces.LengthOf(i))))
                return false;
        }
        return true;
    }

    /// <summary>The pieces of a block; null where the head is not the one that was made for that name, or has none.</summary>
    /// <param name="hash">The name.</param>
    /// <param name="header">A header without fault.</param>
    /// <param name="table">What follows it in the head.</param>
    public static BlockPieces? PiecesOf(BlockHash hash, in BlockHeader header, ReadOnlySpan<byte> table)
    {
        ulong seed = Seed(hash, header);
        return header.Version == PiecedVersion && XxHash3.HashToUInt64(table, (long)seed) == header.Checksum
            ? new BlockPieces(seed, (int)header.RawLength, MemoryMarshal.Cast<byte, ulong>(table)[..Pieces((int)header.RawLength)].ToArray())
            : null;
    }

    /// <summary>The checksum of a piece.</summary>
    public static ulong PieceSum(ulong seed, int index, ReadOnlySpan<byte> piece) => XxHash3.HashToUInt64(piece, (long)(seed + (ulong)(index + 1) * SeedMultiplier));

    private static ulong Seed(BlockHash hash, in BlockHeader header)
    {
        Span<byte> name = stackalloc byte[BlockHash.Size];
        hash.CopyTo(name);
        ulong fields = header.RawLength | (ulong)header.PayloadLength << 32;
        ulong kind = header.Version | (ulong)header.Codec << 8;
        return (fields * SeedMultiplier + kind) * SeedMultiplier ^ MemoryMarshal.Read<ulong>(name);
    }
}

/// <summary>The checksums of a block's pieces, themselves checked.</summary>
/// <param name="seed">Of the header.</param>
/// <param name="length">Bytes of the content.</param>
/// <param name="sums">One of each piece; none where the block has no pieces, and has to be read whole.</param>
internal sealed class BlockPieces(ulong seed, int length, ulong[] sums)
{
    /// <summary>Of a block that has to be read whole.</summary>
    public static BlockPieces None { get; } = new(0, BlockFormat.MinPiece, []);

    /// <summary>Bytes of the content.</summary>
    public int Length => length;

    public int Count => sums.Length;

    /// <summary>Bytes of each piece but the last.</summary>
    public int Size { get; } = BlockFormat.PieceBytes(length);

    /// <summary>Bytes of a piece.</summary>
    public int LengthOf(int index) => Math.Min(Size, length - index * Size);

    /// <summary>Whether these are the bytes of a piece.</summary>
    public bool IsIntact(int index, ReadOnlySpan<byte> piece) => BlockFormat.PieceSum(seed, index, piece) == sums[index];
}

/// <summary>The first bytes of a block file; see <see cref="BlockFormat"/>.</summary>
[StructLayout(LayoutKind.Explicit, Size = Size)]
internal struct BlockHeader
{
    public const int Size = 4 + 1 + 1 + 2 + 4 + 4 + 8;

    [FieldOffset(0)] public uint Magic;

    [FieldOffset(4)] public byte Version;

    [FieldOffset(5)] public BlockCodec Codec;

    [FieldOffset(6)] public ushort Reserved;

    /// <summary>Bytes of the content.</summary>
    [FieldOffset(8)] public uint RawLength;

    /// <summary>Bytes of the payload.</summary>
    [FieldOffset(12)] public uint PayloadLength;

    [FieldOffset(16)] public ulong Checksum;
}
