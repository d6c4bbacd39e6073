using System.Runtime.InteropServices;

namespace OrleansFs.Cli.Files;

/// <summary>What a name leads to, without opening it: to open a fifo lets its writers go on, and a device may begin to do something. (.NET tells regular files from directories and links only.)</summary>
internal static partial class FileKind
{
    private const int AT_FDCWD = -100;
    private const int AT_SYMLINK_NOFOLLOW = 0x100;
    private const uint STATX_TYPE = 1;
    private const int StatxSize = 256;
    private const int ModeAt = 28;
    private const int S_IFMT = 0xF000;
    private const int S_IFREG = 0x8000;
    private const int S_IFLNK = 0xA000;

    /// <returns>False for what is there and is no regular file. What cannot be looked at, and symbolic links, are for who opens them to refuse.</returns>
    public static unsafe bool MayHaveContent(string path)
    {
        byte* answer = stackalloc byte[StatxSize];
        if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, answer) != 0)
            return true;
        return (*(ushort*)(answer + ModeAt) & S_IFMT) is S_IFREG or S_IFLNK;
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int statx(int folder, string path, int flags, uint mask, byte* answer);
}
