using System.Buffers.Binary;
using System.Security.Cryptography;
using Orleans;

namespace OrleansFs.Model;

/// <summary>The name of a block: the SHA-256 (FIPS 180-4) of its content. The all-zero value names no block: it stands for a hole.</summary>
/// <remarks>Kept as four big-endian words so that it is a plain value: no array, and an order equal to that of its bytes and of its hexadecimal text.</remarks>
[GenerateSerializer, Immutable, Alias("ofs.BlockHash")]
public readonly record struct BlockHash : IComparable<BlockHash>
{
    /// <summary>Bytes of a hash.</summary>
    public const int Size = 32;

    [Id(0)]
    private readonly ulong _a;

    [Id(1)]
    private readonly ulong _b;

    [Id(2)]
    private readonly ulong _c;

    [Id(3)]
    private readonly ulong _d;

    /// <param name="bytes">Exactly <see cref="Size"/> bytes.</param>
    public BlockHash(ReadOnlySpan<byte> bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(bytes.Length, Size);
        _a = BinaryPrimitives.ReadUInt64BigEndian(bytes);
        _b = BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]);
        _c = BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]);
        _d = BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]);
    }

    /// <summary>No block: a hole, which reads as zeros.</summary>
    public static BlockHash Hole => default;

    public bool IsHole => (_a | _b | _c | _d) == 0;

    /// <summary>The first byte, which names the folder of a block file and a lock stripe.</summary>
    public byte FirstByte => (byte)(_a >> 56);

    /// <summary>The first eight bytes, as a number in the order of hashes.</summary>
    public ulong Prefix => _a;

    /// <summary>Hashes content.</summary>
    public static BlockHash Of(ReadOnlySpan<byte> content)
    {
        Span<byte> digest = stackalloc byte[Size];
        SHA256.HashData(content, digest);
        return new BlockHash(digest);
    }

    public void CopyTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, _a);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], _b);
        BinaryPrimitives.WriteUInt64BigEndian(destination[16..], _c);
        BinaryPrimitives.WriteUInt64BigEndian(destination[24..], _d);
    }

    public byte[] ToArray()
    {
        byte[] bytes = new byte[Size];
        CopyTo(bytes);
        return bytes;
    }

    /// <summary>Reads 64 hexadecimal digits of either case.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out BlockHash hash)
    {
        Span<byte> bytes = stackalloc byte[Size];
        bool good = text.Length == 2 * Size && Convert.FromHexString(text, bytes, out _, out int written) == System.Buffers.OperationStatus.Done && written == Size;
        hash = good ? new BlockHash(bytes) : default;
        return good;
    }

    public static BlockHash Parse(string text) => TryParse(text, out var hash) ? hash : throw new FormatException($"'{text}' is not a SHA-256: 64 hexadecimal digits");

    public int CompareTo(BlockHash other)
    {
        int order = _a.CompareTo(other._a);
        if (order == 0)
            order = _b.CompareTo(other._b);
        if (order == 0)
            order = _c.CompareTo(other._c);
        return order != 0 ? order : _d.CompareTo(other._d);
    }

    public override int GetHashCode() => _a.GetHashCode();

    public bool Equals(BlockHash other) => _a == other._a && _b == other._b && _c == other._c && _d == other._d;

    /// <summary>64 lower-case hexadecimal digits.</summary>
    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[Size];
        CopyTo(bytes);
        return Convert.ToHexStringLower(bytes);
    }
}
