using System.Runtime.InteropServices;
using System.Text;

namespace OrleansFs.Fuse.Tests.Mounted;

/// <summary>
/// System calls as a program makes them, errors as numbers. Every call leaves managed code, so that a collection in the server, which is this very process,
/// never waits for the thread that waits for the server. For the same reason mapped memory is touched by memcpy only.
/// </summary>
internal static unsafe partial class Posix
{
    internal const int O_RDONLY = 0;
    internal const int O_WRONLY = 1;
    internal const int O_RDWR = 2;
    internal const int O_CREAT = 0x40;
    internal const int O_EXCL = 0x80;
    internal const int O_DIRECTORY = 0x10000;
    internal const int O_TMPFILE = 0x400000 | O_DIRECTORY;
    internal const int SIGUSR1 = 10;
    internal const int SIGTERM = 15;
    internal const int LOCK_SH = 1;
    internal const int LOCK_EX = 2;
    internal const int LOCK_NB = 4;
    internal const int LOCK_UN = 8;
    internal const int RENAME_NOREPLACE = 1;
    internal const int RENAME_EXCHANGE = 2;
    internal const int AtCwd = -100;
    internal const int AtSymlinkNoFollow = 0x100;
    internal const uint STATX_BASIC_STATS = 0x7FF;
    internal const uint STATX_BTIME = 0x800;

    /// <summary>What a failed call left behind.</summary>
    internal static Errno LastError => (Errno)Marshal.GetLastPInvokeError();

    internal static int Open(string path, int flags, uint mode = 0x1A4) => Open(Bytes(path), flags, mode);

    internal static int Open(byte[] path, int flags, uint mode = 0x1A4)
    {
        fixed (byte* p = Terminated(path))
            return OpenNative(p, flags, mode);
    }

    /// <summary>Opens, or fails the test.</summary>
    internal static int MustOpen(string path, int flags, uint mode = 0x1A4)
    {
        int fd = Open(path, flags, mode);
        return fd >= 0 ? fd : throw new IOException($"open {path}: {LastError}");
    }

    internal static long Write(int fd, ReadOnlySpan<byte> data, long offset)
    {
        fixed (byte* p = data)
            return PWrite(fd, p, (nuint)data.Length, offset);
    }

    internal static long Read(int fd, Span<byte> data, long offset)
    {
        fixed (byte* p = data)
            return PRead(fd, p, (nuint)data.Length, offset);
    }

    internal static int SetXAttr(string path, string name, ReadOnlySpan<byte> value, int flags = 0)
    {
        fixed (byte* p = Bytes0(path), n = Bytes0(name), v = value)
            return SetXAttrNative(p, n, v, (nuint)value.Length, flags);
    }

    internal static long GetXAttr(string path, string name, Span<byte> value)
    {
        fixed (byte* p = Bytes0(path), n = Bytes0(name), v = value)
            return GetXAttrNative(p, n, v, (nuint)value.Length);
    }

    internal static long ListXAttr(string path, Span<byte> list)
    {
        fixed (byte* p = Bytes0(path), v = list)
            return ListXAttrNative(p, v, (nuint)list.Length);
    }

    internal static int RemoveXAttr(string path, string name)
    {
        fixed (byte* p = Bytes0(path), n = Bytes0(name))
            return RemoveXAttrNative(p, n);
    }

    internal static int Rename(string from, string to, uint flags)
    {
        fixed (byte* f = Bytes0(from), t = Bytes0(to))
            return RenameAt2(AtCwd, f, AtCwd, t, flags);
    }

    internal static int Ioctl(int fd, nuint command, Span<byte> data)
    {
        fixed (byte* d = data)
            return IoctlNative(fd, command, d);
    }

    /// <summary>Shares a file's page and copies bytes into it.</summary>
    internal static void WriteThroughMapping(int fd, ReadOnlySpan<byte> data)
    {
        nint map = MMap(0, 4096, 3, 1, fd, 0);
        if (map == -1)
            throw new IOException($"mmap: {LastError}");
        fixed (byte* d = data)
            MemCpy(map, (nint)d, (nuint)data.Length);
        if (MSync(map, 4096, 4) != 0 || MUnmap(map, 4096) != 0)
            throw new IOException($"msync: {LastError}");
    }

    /// <summary>Some of statx(2). The birth time is never cached: asking for it asks the file system.</summary>
    internal static (long Size, long BirthSeconds, uint LinkCount, ushort Mode) StatX(string path, uint mask = STATX_BASIC_STATS)
    {
        byte* buffer = stackalloc byte[256];
        fixed (byte* p = Bytes0(path))
        {
            if (StatXNative(AtCwd, p, AtSymlinkNoFollow, mask, buffer) != 0)
                throw new IOException($"statx {path}: {LastError}");
        }
        return (*(long*)(buffer + 40), *(long*)(buffer + 80), *(uint*)(buffer + 16), *(ushort*)(buffer + 28));
    }

    internal static bool Exists(string path)
    {
        byte* buffer = stackalloc byte[256];
        fixed (byte* p = Bytes0(path))
            return StatXNative(AtCwd, p, AtSymlinkNoFollow, STATX_BASIC_STATS, buffer) == 0;
    }

    /// <summary>What a kernel thread calls "shrink the dentries of this mount": a remount does it, and FORGETs follow.</summary>
    internal static void DropEntries(string mountPoint)
    {
        const nuint MS_REMOUNT = 32 | 2 | 4; // keeps nosuid and nodev
        fixed (byte* p = Bytes0(mountPoint))
        {
            if (MountNative(null, p, null, MS_REMOUNT, null) != 0)
                throw new IOException($"remount: {LastError}");
        }
    }

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private static byte[] Bytes0(string text) => Terminated(Bytes(text));

    private static byte[] Terminated(byte[] text) => [.. text, 0];

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    internal static partial int Kill(int pid, int signal);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    internal static partial int Close(int fd);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    internal static partial int FSync(int fd);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    internal static partial int Flock(int fd, int operation);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    internal static partial int FAllocate(int fd, int mode, long offset, long length);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    internal static partial long LSeek(int fd, long offset, int whence);

    [LibraryImport("libc", EntryPoint = "copy_file_range", SetLastError = true)]
    internal static partial long CopyFileRange(int from, long* offsetFrom, int to, long* offsetTo, nuint length, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    internal static partial int FTruncate(int fd, long length);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true)]
    private static partial int OpenNative(byte* path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "pwrite", SetLastError = true)]
    private static partial nint PWrite(int fd, byte* data, nuint count, long offset);

    [LibraryImport("libc", EntryPoint = "pread", SetLastError = true)]
    private static partial nint PRead(int fd, byte* data, nuint count, long offset);

    [LibraryImport("libc", EntryPoint = "setxattr", SetLastError = true)]
    private static partial int SetXAttrNative(byte* path, byte* name, byte* value, nuint size, int flags);

    [LibraryImport("libc", EntryPoint = "getxattr", SetLastError = true)]
    private static partial nint GetXAttrNative(byte* path, byte* name, byte* value, nuint size);

    [LibraryImport("libc", EntryPoint = "listxattr", SetLastError = true)]
    private static partial nint ListXAttrNative(byte* path, byte* list, nuint size);

    [LibraryImport("libc", EntryPoint = "removexattr", SetLastError = true)]
    private static partial int RemoveXAttrNative(byte* path, byte* name);

    [LibraryImport("libc", EntryPoint = "renameat2", SetLastError = true)]
    private static partial int RenameAt2(int fromDirectory, byte* from, int toDirectory, byte* to, uint flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int IoctlNative(int fd, nuint command, byte* data);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true)]
    private static partial int StatXNative(int directory, byte* path, int flags, uint mask, byte* buffer);

    [LibraryImport("libc", EntryPoint = "mount", SetLastError = true)]
    private static partial int MountNative(byte* source, byte* target, byte* type, nuint flags, byte* data);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint MMap(nint address, nuint length, int protection, int flags, int fd, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int MUnmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "msync", SetLastError = true)]
    private static partial int MSync(nint address, nuint length, int flags);

    [LibraryImport("libc", EntryPoint = "memcpy")]
    private static partial nint MemCpy(nint to, nint from, nuint count);
}
