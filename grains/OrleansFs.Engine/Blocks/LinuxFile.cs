using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>The system calls that the block files are made of, relative to an open folder: no path is built twice, and none is looked up from the root. The libraries of .NET have no renameat, sync_file_range or syncfs.</summary>
internal static unsafe partial class LinuxFile
{
    public const int O_RDONLY = 0;
    public const int O_WRONLY = 1;
    public const int O_CREAT = 0x40;
    public const int O_EXCL = 0x80;
    public const int O_CLOEXEC = 0x80000;
    public const int O_NOATIME = 0x40000;
    public const uint SYNC_FILE_RANGE_WRITE = 2;
    public const int POSIX_FADV_WILLNEED = 3;
    public const int POSIX_FADV_DONTNEED = 4;
    private const int RWF_NOWAIT = 8;
    private const int RLIMIT_NOFILE = 7;
    private const ulong RESOLVE_CACHED = 0x20;
    private const int SYS_openat2 = 437;
    private const int AT_FDCWD = -100;
    private const int AT_SYMLINK_NOFOLLOW = 0x100;
    private const int AT_EMPTY_PATH = 0x1000;
    private const uint STATX_BASIC_STATS = 0x7ff;
    private const nuint FS_IOC_GETFLAGS = 0x80086601;
    private const nuint FS_IOC_SETFLAGS = 0x40086602;
    private const long FS_TOPDIR_FL = 0x20000;
    private const int S_IFMT = 0xF000;
    private const int S_IFREG = 0x8000;

    // The flags that differ between architectures (asm/fcntl.h of the kernel).
    public static readonly int O_DIRECTORY = IsArm ? 0x4000 : 0x10000;
    public static readonly int O_NOFOLLOW = IsArm ? 0x8000 : 0x20000;
    public static readonly int O_DIRECT = IsArm ? 0x10000 : 0x4000;

    private static bool IsArm => RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm;

    public static Errno LastError => (Errno)Marshal.GetLastPInvokeError();

    /// <summary>Opens a file relative to a folder; waits out signals. Negative on failure.</summary>
    public static int Open(int folder, ReadOnlySpan<byte> path, int flags, uint mode = 0)
    {
        fixed (byte* p = path)
        {
            int fd;
            do
                fd = openat(folder, p, flags | O_CLOEXEC, mode);
            while (fd < 0 && LastError == Errno.EINTR);
            return fd;
        }
    }

    /// <summary>Opens a file where that needs no read from the disk: EAGAIN where it does. A kernel before 5.12 opens it in any case.</summary>
    public static int OpenCached(int folder, ReadOnlySpan<byte> path, int flags)
    {
        var how = new OpenHow { Flags = (ulong)(flags | O_CLOEXEC), Resolve = RESOLVE_CACHED };
        fixed (byte* p = path)
        {
            int fd = (int)openat2(SYS_openat2, folder, p, &how, (nuint)sizeof(OpenHow));
            return fd < 0 && LastError is Errno.ENOSYS or Errno.EINVAL ? Open(folder, path, flags) : fd;
        }
    }

    /// <summary>Opens a folder by its path, for calls relative to it.</summary>
    public static int OpenFolder(string path)
    {
        byte[] text = System.Text.Encoding.UTF8.GetBytes(path + "\0");
        return Open(AT_FDCWD, text, O_RDONLY | O_DIRECTORY);
    }

    /// <summary>Makes a folder for this user only, by its path. One that is there is good.</summary>
    public static Errno MakeFolder(string path)
    {
        var error = MakeFolder(AT_FDCWD, System.Text.Encoding.UTF8.GetBytes(path + "\0"));
        return error == Errno.EEXIST ? Errno.None : error;
    }

    /// <summary>Closes. Its errors say nothing that a sync does not say, and the descriptor is gone in any case.</summary>
    public static void Close(int fd) => _ = close(fd);

    /// <summary>Writes two spans, one behind the other, from the start of a file.</summary>
    public static Errno WriteAll(int fd, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        fixed (byte* a = first)
        fixed (byte* b = second)
        {
            nint total = first.Length + second.Length;
            var parts = stackalloc IoVector[2];
            for (nint done = 0; done < total;)
            {
                nint skip = Math.Min(done, first.Length);
                parts[0] = new IoVector(a + skip, first.Length - skip);
                parts[1] = new IoVector(b + (done - skip), second.Length - (done - skip));
                nint n = pwritev(fd, parts, 2, done);
                if (n < 0 && LastError != Errno.EINTR)
                    return LastError;
                // A write of nothing without an error does not happen on a regular file; taken for a full disk rather than retried for ever.
                if (n == 0)
                    return Errno.ENOSPC;
                done += Math.Max(n, 0);
            }
            return Errno.None;
        }
    }

    /// <summary>Reads from the start of a file into three spans, one behind the other, up to its end.</summary>
    /// <param name="fd">The file.</param>
    /// <param name="first">Takes its beginning.</param>
    /// <param name="second">Takes what follows.</param>
    /// <param name="third">Takes the rest.</param>
    /// <param name="now">Only where it needs no wait for the disk: EAGAIN where it does.</param>
    /// <param name="read">Bytes read.</param>
    public static Errno ReadAll(int fd, Span<byte> first, Span<byte> second, Span<byte> third, bool now, out int read)
    {
        int flags = now ? RWF_NOWAIT : 0;
        read = 0;
        fixed (byte* a = first)
        fixed (byte* b = second)
        fixed (byte* c = third)
        {
            var parts = stackalloc IoVector[3];
            while (true)
            {
                int skipA = Math.Min(read, first.Length);
                int skipB = Math.Min(read - skipA, second.Length);
                int skipC = read - skipA - skipB;
                parts[0] = new IoVector(a + skipA, first.Length - skipA);
                parts[1] = new IoVector(b + skipB, second.Length - skipB);
                parts[2] = new IoVector(c + skipC, third.Length - skipC);
                if (parts[0].Length + parts[1].Length + parts[2].Length == 0)
                    return Errno.None;
                nint n = preadv2(fd, parts, 3, read, flags);
                if (n < 0 && LastError == Errno.EOPNOTSUPP && flags != 0)
                {
                    // A file system that cannot tell.
                    flags = 0;
                    continue;
                }
                if (n < 0 && LastError != Errno.EINTR)
                    return LastError;
                if (n == 0)
                    return Errno.None;
                read += (int)Math.Max(n, 0);
            }
        }
    }

    /// <summary>Reads from a place in a file on, up to its end.</summary>
    /// <param name="fd">The file.</param>
    /// <param name="destination">Filled.</param>
    /// <param name="offset">Where to begin.</param>
    /// <param name="now">Only where it needs no wait for the disk: EAGAIN where it does.</param>
    /// <param name="read">Bytes read.</param>
    public static Errno ReadAt(int fd, Span<byte> destination, long offset, bool now, out int read)
    {
        int flags = now ? RWF_NOWAIT : 0;
        read = 0;
        fixed (byte* to = destination)
        {
            while (read < destination.Length)
            {
                var part = new IoVector(to + read, destination.Length - read);
                nint n = preadv2(fd, &part, 1, (nint)offset + read, flags);
                if (n < 0 && LastError == Errno.EOPNOTSUPP && flags != 0)
                {
                    flags = 0;
                    continue;
                }
                if (n < 0 && LastError != Errno.EINTR)
                    return LastError;
                if (n == 0)
                    return Errno.None;
                read += (int)Math.Max(n, 0);
            }
            return Errno.None;
        }
    }

    public static Errno Rename(int folder, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
    {
        fixed (byte* a = from)
        fixed (byte* b = to)
            return renameat(folder, a, folder, b) == 0 ? Errno.None : LastError;
    }

    public static Errno Unlink(int folder, ReadOnlySpan<byte> path)
    {
        fixed (byte* p = path)
            return unlinkat(folder, p, 0) == 0 ? Errno.None : LastError;
    }

    public static Errno MakeFolder(int folder, ReadOnlySpan<byte> path)
    {
        fixed (byte* p = path)
            return mkdirat(folder, p, 0x1C0 /* 0700 */) == 0 ? Errno.None : LastError;
    }

    /// <summary>Tells ext2, 3 or 4 that what is in a folder's folders has nothing to do with each other (chattr(1), T), so that it spreads them over the disk. Of no effect elsewhere. A hint.</summary>
    public static void SpreadFolders(int folder, ReadOnlySpan<byte> path)
    {
        int fd = Open(folder, path, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
            return;
        long flags = 0;
        if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0)
        {
            flags |= FS_TOPDIR_FL;
            _ = ioctl(fd, FS_IOC_SETFLAGS, &flags);
        }
        Close(fd);
    }

    /// <summary>What a file is. Links are not followed.</summary>
    public static Errno Stat(int folder, ReadOnlySpan<byte> path, out FileStat stat)
    {
        StatX s;
        fixed (byte* p = path)
        {
            int result = statx(folder, p, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &s);
            stat = result == 0 ? new FileStat((s.Mode & S_IFMT) == S_IFREG, (long)s.Size, (long)s.Blocks * 512, s.Links, s.Inode) : default;
            return result == 0 ? Errno.None : LastError;
        }
    }

    /// <summary>Length of an open file, bytes.</summary>
    public static Errno Length(int fd, out long length)
    {
        StatX s;
        byte empty = 0;
        int result = statx(fd, &empty, AT_EMPTY_PATH, STATX_BASIC_STATS, &s);
        length = result == 0 ? (long)s.Size : 0;
        return result == 0 ? Errno.None : LastError;
    }

    /// <summary>Begins to write a file's dirty pages; does not wait for them. A hint: what it fails to do a sync does.</summary>
    public static void BeginWriteBack(int fd) => _ = sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);

    /// <summary>Gives the kernel's clean pages of a file back. A hint.</summary>
    public static void DropPages(int fd) => _ = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);

    /// <summary>Has the kernel read a part of a file into the page cache, without waiting for it.</summary>
    public static void ReadAhead(int fd, long offset, long length) => _ = posix_fadvise(fd, offset, length, POSIX_FADV_WILLNEED);

    /// <summary>What kind of file system an open file is on: f_type of statfs(2); 0 where that cannot be told.</summary>
    public static long FileSystemType(int fd)
    {
        // struct statfs of 64-bit systems: 120 bytes, f_type first.
        long* status = stackalloc long[32];
        return fstatfs(fd, status) == 0 ? status[0] : 0;
    }

    /// <summary>Descriptors that this process may have; null where that cannot be told.</summary>
    public static long? DescriptorLimit()
    {
        ResourceLimit limit;
        return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (long)Math.Min(limit.Current, long.MaxValue) : null;
    }

    public static Errno SyncData(int fd) => fdatasync(fd) == 0 ? Errno.None : LastError;

    public static Errno Sync(int fd) => fsync(fd) == 0 ? Errno.None : LastError;

    /// <summary>syncfs(2) of what a folder is on.</summary>
    public static Errno SyncFileSystemOf(string folder)
    {
        int fd = OpenFolder(folder);
        if (fd < 0)
            return LastError;
        var error = SyncFileSystem(fd);
        _ = close(fd);
        return error;
    }

    public static Errno SyncFileSystem(int fd) => syncfs(fd) == 0 ? Errno.None : LastError;

    [LibraryImport("libc", SetLastError = true)]
    private static partial int openat(int folder, byte* path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int close(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pwritev(int fd, IoVector* parts, int count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint preadv2(int fd, IoVector* parts, int count, long offset, int flags);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint openat2(nint number, int folder, byte* path, OpenHow* how, nuint size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int renameat(int oldFolder, byte* oldPath, int newFolder, byte* newPath);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int unlinkat(int folder, byte* path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int mkdirat(int folder, byte* path, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int statx(int folder, byte* path, int flags, uint mask, StatX* result);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int sync_file_range(int fd, long offset, long length, uint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int posix_fadvise(int fd, long offset, long length, int advice);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int syncfs(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fstatfs(int fd, long* status);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(int fd, nuint request, long* argument);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getrlimit(int resource, ResourceLimit* limit);

    /// <summary><c>struct rlimit</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct ResourceLimit
    {
        public ulong Current;
        public ulong Most;
    }

    /// <summary><c>struct iovec</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct IoVector(byte* start, nint length)
    {
        private readonly byte* _start = start;
        public readonly nint Length = length;
    }

    /// <summary><c>struct open_how</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct OpenHow
    {
        public ulong Flags;
        public ulong Mode;
        public ulong Resolve;
    }

    /// <summary>The parts used of <c>struct statx</c> (linux/stat.h), which is the same on every architecture.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct StatX
    {
        [FieldOffset(16)] public uint Links;

        [FieldOffset(28)] public ushort Mode;

        [FieldOffset(32)] public ulong Inode;

        [FieldOffset(40)] public ulong Size;

        [FieldOffset(48)] public ulong Blocks;
    }
}

/// <summary>Of what statx(2) tells of a file.</summary>
/// <param name="IsRegular">Neither a folder nor a link, a device, a pipe or a socket.</param>
/// <param name="Length">Bytes.</param>
/// <param name="DiskBytes">Bytes that it takes on the disk.</param>
/// <param name="Links">Its names.</param>
/// <param name="Inode">Its number.</param>
internal readonly record struct FileStat(bool IsRegular, long Length, long DiskBytes, uint Links, ulong Inode);
