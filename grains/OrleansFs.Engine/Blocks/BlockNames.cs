using System.Buffers.Text;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>The names under <c>blocks</c>, as NUL-terminated bytes for system calls: <c>ab/&lt;64 hex&gt;</c>, <c>tmp/cd/&lt;64 hex&gt;.&lt;number&gt;</c> and <c>free/&lt;number&gt;</c>, all in lower case.</summary>
/// <remarks>A folder of blocks has a number: the byte that it is named by.</remarks>
internal static class BlockNames
{
    /// <summary>Folder of unfinished files.</summary>
    public const string Temporary = "tmp";

    /// <summary>Folder of <see cref="RecycledFiles"/>.</summary>
    public const string Free = "free";

    /// <summary>The number of <see cref="Free"/> among the folders of files without a block's name.</summary>
    public const int FreeFolder = 256;

    /// <summary>Folders of blocks.</summary>
    public const int Folders = 256;

    /// <summary>Bytes of the longest path: <c>tmp/cd/</c>, a hash, a dot, a number of 64 bits in hexadecimal, NUL.</summary>
    public const int MaxPath = 7 + 2 * BlockHash.Size + 1 + 16 + 1;

    /// <summary>Unfinished files in a row that are made in one folder.</summary>
    private const int TogetherBits = 6;

    private static readonly System.Buffers.SearchValues<char> s_lowerHex = System.Buffers.SearchValues.Create("0123456789abcdef");

    public static int FolderOf(BlockHash hash) => hash.FirstByte;

    /// <summary>Writes <c>ab/&lt;64 hex&gt;</c>.</summary>
    public static ReadOnlySpan<byte> File(BlockHash hash, Span<byte> path)
    {
        WriteHash(hash, path[3..]);
        path[3..5].CopyTo(path);
        path[2] = (byte)'/';
        return Ended(path, 3 + 2 * BlockHash.Size);
    }

    /// <summary>Writes <c>tmp/cd/&lt;64 hex&gt;.&lt;number&gt;</c>: one folder for a run of files, so that they lie together on the disk.</summary>
    public static ReadOnlySpan<byte> Unfinished(BlockHash hash, ulong number, Span<byte> path)
    {
        UnfinishedFolder((byte)(number >> TogetherBits), path);
        path[6] = (byte)'/';
        WriteHash(hash, path[7..]);
        path[7 + 2 * BlockHash.Size] = (byte)'.';
        Utf8Formatter.TryFormat(number, path[(8 + 2 * BlockHash.Size)..], out int digits, new System.Buffers.StandardFormat('x'));
        return Ended(path, 8 + 2 * BlockHash.Size + digits);
    }

    /// <summary>Writes <c>tmp/cd</c>.</summary>
    public static ReadOnlySpan<byte> UnfinishedFolder(byte folder, Span<byte> path)
    {
        "tmp/"u8.CopyTo(path);
        return Ended(path, 4 + WriteByte(folder, path[4..]));
    }

    /// <summary>Writes <c>free/&lt;number&gt;</c>.</summary>
    public static ReadOnlySpan<byte> Recycled(ulong number, Span<byte> path)
    {
        "free/"u8.CopyTo(path);
        Utf8Formatter.TryFormat(number, path[5..], out int digits, new System.Buffers.StandardFormat('x'));
        return Ended(path, 5 + digits);
    }

    /// <summary>The folder of a file that has no block's name: the byte that a folder of unfinished files is named by, or <see cref="FreeFolder"/>.</summary>
    public static int UnnamedFolderOf(ReadOnlySpan<byte> unnamed) => Utf8Parser.TryParse(unnamed[4..6], out byte folder, out _, 'x') && unnamed[0] == (byte)'t' ? folder : FreeFolder;

    /// <summary>Writes the name of such a folder.</summary>
    public static ReadOnlySpan<byte> UnnamedFolder(int folder, Span<byte> path) => folder == FreeFolder ? Top(Free, path) : UnfinishedFolder((byte)folder, path);

    /// <summary>Writes the name of a folder beside those of blocks.</summary>
    public static ReadOnlySpan<byte> Top(string name, Span<byte> path) => Ended(path, System.Text.Encoding.ASCII.GetBytes(name, path));

    /// <summary>Writes <c>ab</c>.</summary>
    public static ReadOnlySpan<byte> Folder(int folder, Span<byte> path) => Ended(path, WriteByte((byte)folder, path));

    /// <summary>Reads the name of a folder of blocks, or of unfinished files.</summary>
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
