using System.Buffers.Text;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>The names under <c>blocks</c>, as NUL-terminated bytes for system calls: <c>ab/cd/&lt;64 hex&gt;</c> and <c>tmp/&lt;64 hex&gt;.&lt;number&gt;</c>, all in lower case.</summary>
/// <remarks>A folder has a number: the first level its byte, the second <c>256 + first * 256 + second</c>; the folder <c>blocks</c> itself is <see cref="Root"/>.</remarks>
internal static class BlockNames
{
    /// <summary>Folder of unfinished files.</summary>
    public const string Temporary = "tmp";

    /// <summary>Number of the folder <c>blocks</c>.</summary>
    public const int Root = 256 + 65536;

    /// <summary>Bytes of the longest path: <c>tmp/</c>, a hash, a dot, a number of 64 bits in hexadecimal, NUL.</summary>
    public const int MaxPath = 4 + 2 * BlockHash.Size + 1 + 16 + 1;

    private static readonly System.Buffers.SearchValues<char> s_lowerHex = System.Buffers.SearchValues.Create("0123456789abcdef");

    public static int FolderOf(BlockHash hash) => 256 + hash.FirstByte * 256 + hash.SecondByte;

    public static int Parent(int folder) => folder < 256 ? Root : (folder - 256) >> 8;

    /// <summary>Writes <c>ab/cd/&lt;64 hex&gt;</c>.</summary>
    public static ReadOnlySpan<byte> File(BlockHash hash, Span<byte> path)
    {
        WriteHash(hash, path[6..]);
        path[6..8].CopyTo(path);
        path[2] = (byte)'/';
        path[8..10].CopyTo(path[3..]);
        path[5] = (byte)'/';
        return Ended(path, 6 + 2 * BlockHash.Size);
    }

    /// <summary>Writes <c>tmp/&lt;64 hex&gt;.&lt;number&gt;</c>.</summary>
    public static ReadOnlySpan<byte> Unfinished(BlockHash hash, ulong number, Span<byte> path)
    {
        "tmp/"u8.CopyTo(path);
        WriteHash(hash, path[4..]);
        path[4 + 2 * BlockHash.Size] = (byte)'.';
        Utf8Formatter.TryFormat(number, path[(5 + 2 * BlockHash.Size)..], out int digits, new System.Buffers.StandardFormat('x'));
        return Ended(path, 5 + 2 * BlockHash.Size + digits);
    }

    /// <summary>Writes <c>ab</c> or <c>ab/cd</c>.</summary>
    public static ReadOnlySpan<byte> Folder(int folder, Span<byte> path)
    {
        if (folder < 256)
            return Ended(path, WriteByte((byte)folder, path));
        int n = WriteByte((byte)((folder - 256) >> 8), path);
        path[n++] = (byte)'/';
        return Ended(path, n + WriteByte((byte)folder, path[n..]));
    }

    /// <summary>Reads the name of a folder of either level.</summary>
    public static bool TryParseFolder(ReadOnlySpan<char> name, out byte value)
    {
        value = 0;
        return name.Length == 2 && IsLowerHex(name) && byte.TryParse(name, System.Globalization.NumberStyles.AllowHexSpecifier, null, out value);
    }

    /// <summary>Reads the name of a block file.</summary>
    public static bool TryParseFile(ReadOnlySpan<char> name, out BlockHash hash)
    {
        hash = default;
        return name.Length == 2 * BlockHash.Size && IsLowerHex(name) && BlockHash.TryParse(name, out hash);
    }

    private static bool IsLowerHex(ReadOnlySpan<char> name) => !name.ContainsAnyExcept(s_lowerHex);

    private static void WriteHash(BlockHash hash, Span<byte> destination)
    {
        Span<byte> bytes = stackalloc byte[BlockHash.Size];
        hash.CopyTo(bytes);
        Convert.TryToHexStringLower(bytes, destination, out _);
    }

    private static int WriteByte(byte value, Span<byte> destination)
    {
        Convert.TryToHexStringLower([value], destination, out int written);
        return written;
    }

    private static ReadOnlySpan<byte> Ended(Span<byte> path, int length)
    {
        path[length] = 0;
        return path[..(length + 1)];
    }
}
