using System.Buffers.Text;

namespace OrleansFs.Engine.Native;

/// <summary>What the system tells of its memory (/proc/meminfo of proc(5)).</summary>
internal static class MemoryInfo
{
    /// <summary>Bytes in the page cache that are to be written to disks, or are being written; 0 where the system does not tell.</summary>
    public static long Unwritten()
    {
        Span<byte> text = stackalloc byte[4096];
        try
        {
            using var file = File.OpenHandle("/proc/meminfo");
            text = text[..RandomAccess.Read(file, text, 0)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
        return Value(text, "\nDirty:"u8) + Value(text, "\nWriteback:"u8);
    }

    private static long Value(ReadOnlySpan<byte> text, ReadOnlySpan<byte> name)
    {
        int at = text.IndexOf(name);
        return at >= 0 && Utf8Parser.TryParse(text[(at + name.Length)..].TrimStart((byte)' '), out long kibibytes, out _) ? kibibytes << 10 : 0;
    }
}
