using System.IO.Hashing;
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
/// </code>
/// Little-endian. The checksum is XXH3-64 (xxHash, Y. Collet) of the payload, with a seed made of the other fields of the header and of the first eight bytes of the block's hash: so one pass over
/// the payload also finds a header that changed and a file that got another block's name.
/// </remarks>
internal static class BlockFormat
{
    /// <summary>Files take disk in units of this many bytes: what ext4, xfs and btrfs use unless told otherwise.</summary>
    public const int AllocationUnit = 4096;

    /// <summary>"OFSB" as bytes of the file.</summary>
    public const uint Magic = 0x4253_464F;

    public const byte Version = 1;

    /// <summary>Multiplier that spreads the header's fields over the seed: 2^64 over the golden ratio, odd. Part of the format.</summary>
    private const ulong SeedMultiplier = 0x9E37_79B9_7F4A_7C15;

    /// <summary>What a file of so many bytes takes on disk.</summary>
    public static int DiskBytes(int fileBytes) => (fileBytes + AllocationUnit - 1) & -AllocationUnit;

    /// <summary>The header of a payload.</summary>
    public static BlockHeader HeaderOf(BlockHash hash, BlockCodec codec, int rawLength, ReadOnlySpan<byte> payload)
    {
        var header = new BlockHeader { Magic = Magic, Version = Version, Codec = codec, RawLength = (uint)rawLength, PayloadLength = (uint)payload.Length };
        header.Checksum = Checksum(hash, header, payload);
        return header;
    }

    /// <summary>Why the header cannot be that of a block file of this length; null when it can.</summary>
    public static string? Fault(in BlockHeader header, long fileBytes)
    {
        if (header.Magic != Magic)
            return "the magic is wrong";
        if (header.Version != Version)
            return $"the format version is {header.Version}, known is {Version}";
        if (header.Codec is not (BlockCodec.Raw or BlockCodec.Lz4) || header.Reserved != 0)
            return $"the codec is {(byte)header.Codec}, reserved is {header.Reserved}";
        if (header.RawLength is 0 or > BlockLimits.MaxContent)
            return $"the length of the content is {header.RawLength}";
        if (header.Codec == BlockCodec.Raw ? header.PayloadLength != header.RawLength : header.PayloadLength is 0 || header.PayloadLength >= header.RawLength)
            return $"{header.PayloadLength} bytes of payload do not fit {header.RawLength} bytes of content";
        return fileBytes == BlockHeader.Size + header.PayloadLength ? null : $"the file has {fileBytes} bytes, the header tells of {BlockHeader.Size + header.PayloadLength}";
    }

    /// <summary>True where the payload is the one the header was made for, under that name.</summary>
    public static bool IsIntact(BlockHash hash, in BlockHeader header, ReadOnlySpan<byte> payload) => Checksum(hash, header, payload) == header.Checksum;

    private static ulong Checksum(BlockHash hash, in BlockHeader header, ReadOnlySpan<byte> payload)
    {
        Span<byte> name = stackalloc byte[BlockHash.Size];
        hash.CopyTo(name);
        ulong fields = header.RawLength | (ulong)header.PayloadLength << 32;
        ulong kind = header.Version | (ulong)header.Codec << 8;
        ulong seed = (fields * SeedMultiplier + kind) * SeedMultiplier ^ MemoryMarshal.Read<ulong>(name);
        return XxHash3.HashToUInt64(payload, (long)seed);
    }
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
