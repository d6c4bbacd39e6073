using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>A piece of content that says what it is: of which family, which version, at which place. Any mixture of two is seen.</summary>
/// <remarks>
/// 8 bytes mark, 8 bytes family and version, 8 bytes index, and the rest words that follow from these. Every third version repeats a short pattern, so that it compresses. Version 0 is a hole: all zero.
/// </remarks>
internal static class Cell
{
    /// <summary>Least length that can be told apart, bytes.</summary>
    public const int HeaderSize = 24;

    private const ulong Mark = 0x4C4C4543_5346524F;

    /// <summary>Writes a cell; its length is the destination's, of which the header is cut off where it is shorter.</summary>
    public static void Fill(Span<byte> destination, int family, int version, long index)
    {
        destination.Clear();
        if (version == 0)
            return;
        Span<byte> header = stackalloc byte[HeaderSize];
        BinaryPrimitives.WriteUInt64LittleEndian(header, Mark);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], family);
        BinaryPrimitives.WriteInt32LittleEndian(header[12..], version);
        BinaryPrimitives.WriteInt64LittleEndian(header[16..], index);
        int head = Math.Min(HeaderSize, destination.Length);
        header[..head].CopyTo(destination);
        ulong seed = Mix((ulong)(uint)family << 32 | (uint)version) ^ Mix((ulong)index + 1);
        bool compressible = version % 3 == 0;
        var words = MemoryMarshal.Cast<byte, ulong>(destination[head..]);
        for (int i = 0; i < words.Length; i++)
            words[i] = Mix(seed + (ulong)(compressible ? i % 2 : i));
        for (int i = head + words.Length * 8; i < destination.Length; i++)
            destination[i] = (byte)seed;
    }

    /// <summary>The version that a cell says it is; null where it is none. Zeros are version 0.</summary>
    public static int? VersionOf(ReadOnlySpan<byte> cell, int family, long index)
    {
        if (!cell.ContainsAnyExcept((byte)0))
            return 0;
        if (cell.Length < HeaderSize || BinaryPrimitives.ReadUInt64LittleEndian(cell) != Mark)
            return null;
        int version = BinaryPrimitives.ReadInt32LittleEndian(cell[12..]);
        byte[] expected = new byte[cell.Length];
        Fill(expected, family, version, index);
        return cell.SequenceEqual(expected) ? version : null;
    }

    /// <summary>Whether each 8 bytes of a cell are those of one of some versions: what a program that was stopped while it stored into mapped memory may leave.</summary>
    public static bool IsMixtureOf(ReadOnlySpan<byte> cell, int family, long index, IEnumerable<int> versions)
    {
        var candidates = versions.Select(version =>
        {
            byte[] content = new byte[4096];
            Fill(content, family, version, index);
            return content;
        }).ToList();
        for (int at = 0; at < cell.Length; at += 8)
        {
            var word = cell.Slice(at, 8);
            bool known = false;
            foreach (byte[] candidate in candidates)
                known |= word.SequenceEqual(candidate.AsSpan(at, 8));
            if (!known)
                return false;
        }
        return true;
    }

    /// <summary>What a piece of content is, for people.</summary>
    public static string Describe(ReadOnlySpan<byte> cell)
    {
        if (!cell.ContainsAnyExcept((byte)0))
            return "zeros";
        return cell.Length >= HeaderSize && BinaryPrimitives.ReadUInt64LittleEndian(cell) == Mark
            ? $"family {BinaryPrimitives.ReadInt32LittleEndian(cell[8..])} version {BinaryPrimitives.ReadInt32LittleEndian(cell[12..])} index {BinaryPrimitives.ReadInt64LittleEndian(cell[16..])}, damaged"
            : $"nothing that was ever written ({Convert.ToHexString(cell[..Math.Min(16, cell.Length)])}...)";
    }

    /// <summary>The finalizer of SplitMix64 (Steele, Lea, Flood 2014).</summary>
    public static ulong Mix(ulong z)
    {
        z += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return BitOperations.RotateLeft(z ^ (z >> 31), 1);
    }
}
