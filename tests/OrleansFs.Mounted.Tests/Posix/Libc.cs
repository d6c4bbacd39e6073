using System.Runtime.InteropServices;

namespace OrleansFs.Mounted.Tests.Posix;

/// <summary>System calls by their C names (x86-64 and arm64 Linux). Paths are bytes ended by a NUL.</summary>
internal static unsafe partial class Libc
{
    private const string Library = "libc";

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int open(byte[] path, int flags, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int close(int fd);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint pread(int fd, byte* buffer, nuint count, long offset);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint pwrite(int fd, byte* buffer, nuint count, long offset);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint write(int fd, byte* buffer, nuint count);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int mkdir(byte[] path, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int mknod(byte[] path, uint mode, ulong device);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int unlink(byte[] path);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int rmdir(byte[] path);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int renameat2(int oldDirectory, byte[] oldPath, int newDirectory, byte[] newPath, uint flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int link(byte[] oldPath, byte[] newPath);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int linkat(int oldDirectory, byte[] oldPath, int newDirectory, byte[] newPath, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int symlink(byte[] target, byte[] path);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint readlink(byte[] path, byte* buffer, nuint size);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int chmod(byte[] path, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int lchown(byte[] path, uint uid, uint gid);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int truncate(byte[] path, long length);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int ftruncate(int fd, long length);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int fsync(int fd);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int fdatasync(int fd);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int access(byte[] path, int mode);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int utimensat(int directory, byte[] path, long* times, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int fallocate(int fd, int mode, long offset, long length);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial long lseek(int fd, long offset, int whence);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint copy_file_range(int source, long* sourceOffset, int target, long* targetOffset, nuint length, uint flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint getdents64(int fd, byte* buffer, nuint size);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int statx(int directory, byte[] path, int flags, uint mask, byte* buffer);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int statfs(byte[] path, long* buffer);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int lsetxattr(byte[] path, byte[] name, byte* value, nuint size, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint lgetxattr(byte[] path, byte[] name, byte* value, nuint size);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint llistxattr(byte[] path, byte* list, nuint size);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int lremovexattr(byte[] path, byte[] name);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int flock(int fd, int operation);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int fcntl(int fd, int command, nint argument);

    [LibraryImport(Library)]
    internal static partial int posix_fadvise(int fd, long offset, long length, int advice);

    [LibraryImport(Library)]
    internal static partial uint umask(uint mask);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint syscall(nint number, nint a, nint b);
}
