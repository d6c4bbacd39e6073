using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using OrleansFs.Model;

namespace OrleansFs.Mounted.Tests.Posix;

/// <summary>What statx(2) tells.</summary>
public sealed record FileStatus(
    ulong Inode, uint Mode, uint Links, uint Uid, uint Gid, long Size, long Blocks, Timestamp Access, Timestamp Birth, Timestamp Change, Timestamp Modify, uint Major, uint Minor);

/// <summary>System calls that answer an errno. Paths are Latin-1: each character is one byte, so that any name can be said.</summary>
public static unsafe class Sys
{
    public const int O_RDONLY = 0;
    public const int O_WRONLY = 1;
    public const int O_RDWR = 2;
    public const int O_CREAT = 0x40;
    public const int O_EXCL = 0x80;
    public const int O_TRUNC = 0x200;
    public const int O_APPEND = 0x400;
    public const int O_NONBLOCK = 0x800;
    public const int FALLOC_FL_KEEP_SIZE = 1;
    public const int FALLOC_FL_PUNCH_HOLE = 2;
    public const int FALLOC_FL_ZERO_RANGE = 16;
    public const int SEEK_DATA = 3;
    public const int SEEK_HOLE = 4;
    public const int LOCK_SH = 1;
    public const int LOCK_EX = 2;
    public const int LOCK_NB = 4;
    public const int LOCK_UN = 8;
    public const long UTIME_NOW = 0x3FFFFFFF;
    public const long UTIME_OMIT = 0x3FFFFFFE;

    private const int AT_FDCWD = -100;
    private const int AT_SYMLINK_NOFOLLOW = 0x100;
    private const int AT_SYMLINK_FOLLOW = 0x400;
    private const int StatXSize = 256;

    private static readonly bool s_arm = RuntimeInformation.ProcessArchitecture == Architecture.Arm64;

    public static int O_DIRECTORY => s_arm ? 0x4000 : 0x10000;

    public static int O_NOFOLLOW => s_arm ? 0x8000 : 0x20000;

    public static int O_DIRECT => s_arm ? 0x10000 : 0x4000;

    public static int O_TMPFILE => 0x400000 | O_DIRECTORY;

    public static byte[] Bytes(string text) => [.. Encoding.Latin1.GetBytes(text), 0];

    /// <summary>An open descriptor, closed with its owner.</summary>
    public static Errno Open(string path, int flags, uint mode, out FileDescriptor fd)
    {
        int opened = Libc.open(Bytes(path), flags | 0x80000, mode); // O_CLOEXEC
        fd = new FileDescriptor(opened);
        return Outcome(opened);
    }

    public static FileDescriptor Open(string path, int flags, uint mode = 0x1A4)
    {
        var error = Open(path, flags, mode, out var fd);
        return error == Errno.None ? fd : throw new IOException($"open {path}: {error}");
    }

    public static Errno Mkdir(string path, uint mode = 0x1ED) => Outcome(Libc.mkdir(Bytes(path), mode));

    /// <summary>Device numbers in the form of glibc's makedev, which for small numbers is major * 256 + minor.</summary>
    public static Errno Mknod(string path, uint mode, ulong device = 0) => Outcome(Libc.mknod(Bytes(path), mode, device));

    public static Errno Create(string path, uint mode = 0x1A4)
    {
        var error = Open(path, O_CREAT | O_EXCL | O_WRONLY, mode, out var fd);
        fd.Dispose();
        return error;
    }

    public static Errno Unlink(string path) => Outcome(Libc.unlink(Bytes(path)));

    public static Errno Rmdir(string path) => Outcome(Libc.rmdir(Bytes(path)));

    public static Errno Rename(string from, string to, RenameFlags flags = RenameFlags.None) =>
        Outcome(Libc.renameat2(AT_FDCWD, Bytes(from), AT_FDCWD, Bytes(to), (uint)flags));

    public static Errno Link(string from, string to) => Outcome(Libc.link(Bytes(from), Bytes(to)));

    /// <summary>Names an open file that may have no name (O_TMPFILE).</summary>
    public static Errno LinkOpen(FileDescriptor fd, string to) =>
        Outcome(Libc.linkat(AT_FDCWD, Bytes($"/proc/self/fd/{fd.Number}"), AT_FDCWD, Bytes(to), AT_SYMLINK_FOLLOW));

    public static Errno Symlink(string target, string path) => Outcome(Libc.symlink(Bytes(target), Bytes(path)));

    public static Errno ReadLink(string path, out string target)
    {
        byte[] buffer = new byte[4096];
        fixed (byte* at = buffer)
        {
            nint length = Libc.readlink(Bytes(path), at, (nuint)buffer.Length);
            target = length < 0 ? "" : Encoding.Latin1.GetString(buffer, 0, (int)length);
            return Outcome(length);
        }
    }

    public static Errno Chmod(string path, uint mode) => Outcome(Libc.chmod(Bytes(path), mode));

    public static Errno Chown(string path, uint uid, uint gid) => Outcome(Libc.lchown(Bytes(path), uid, gid));

    public static Errno Truncate(string path, long length) => Outcome(Libc.truncate(Bytes(path), length));

    public static Errno Access(string path, int mode) => Outcome(Libc.access(Bytes(path), mode));

    /// <param name="path">What gets the times; a symbolic link itself.</param>
    /// <param name="access">Null leaves it.</param>
    /// <param name="modify">Null leaves it.</param>
    public static Errno SetTimes(string path, Timestamp? access, Timestamp? modify)
    {
        long* times = stackalloc long[4];
        (times[0], times[1]) = access is { } a ? (a.Seconds, (long)a.SubsecondNanoseconds) : (0, UTIME_OMIT);
        (times[2], times[3]) = modify is { } m ? (m.Seconds, (long)m.SubsecondNanoseconds) : (0, UTIME_OMIT);
        return Outcome(Libc.utimensat(AT_FDCWD, Bytes(path), times, AT_SYMLINK_NOFOLLOW));
    }

    public static Errno SetTimesNow(string path) => Outcome(Libc.utimensat(AT_FDCWD, Bytes(path), null, AT_SYMLINK_NOFOLLOW));

    public static Errno Stat(string path, out FileStatus status)
    {
        byte[] buffer = new byte[StatXSize];
        fixed (byte* at = buffer)
        {
            var error = Outcome(Libc.statx(AT_FDCWD, Bytes(path), AT_SYMLINK_NOFOLLOW, 0xFFF, at));
            status = Parse(buffer);
            return error;
        }
    }

    public static FileStatus Stat(string path)
    {
        var error = Stat(path, out var status);
        return error == Errno.None ? status : throw new IOException($"stat {path}: {error}");
    }

    // struct statx: mask 0, blksize 4, attributes 8, nlink 16, uid 20, gid 24, mode 28, ino 32, size 40, blocks 48, attributes_mask 56, atime 64, btime 80, ctime 96, mtime 112, rdev 128
    private static FileStatus Parse(ReadOnlySpan<byte> s) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(s[32..]),
        BinaryPrimitives.ReadUInt16LittleEndian(s[28..]),
        BinaryPrimitives.ReadUInt32LittleEndian(s[16..]),
        BinaryPrimitives.ReadUInt32LittleEndian(s[20..]),
        BinaryPrimitives.ReadUInt32LittleEndian(s[24..]),
        BinaryPrimitives.ReadInt64LittleEndian(s[40..]),
        BinaryPrimitives.ReadInt64LittleEndian(s[48..]),
        Time(s[64..]), Time(s[80..]), Time(s[96..]), Time(s[112..]),
        BinaryPrimitives.ReadUInt32LittleEndian(s[128..]),
        BinaryPrimitives.ReadUInt32LittleEndian(s[132..]));

    private static Timestamp Time(ReadOnlySpan<byte> at) => Timestamp.From(BinaryPrimitives.ReadInt64LittleEndian(at), BinaryPrimitives.ReadUInt32LittleEndian(at[8..]));

    /// <summary>Blocks, free, available (in f_bsize units), files, free files, f_bsize of statfs(2).</summary>
    public static (long Blocks, long Free, long Available, long Files, long FilesFree, long Unit) StatFs(string path)
    {
        long* buffer = stackalloc long[16]; // struct statfs: type, bsize, blocks, bfree, bavail, files, ffree
        var error = Outcome(Libc.statfs(Bytes(path), buffer));
        return error == Errno.None ? (buffer[2], buffer[3], buffer[4], buffer[5], buffer[6], buffer[1]) : throw new IOException($"statfs {path}: {error}");
    }

    public static Errno SetXattr(string path, string name, ReadOnlySpan<byte> value, XattrFlags flags = XattrFlags.None)
    {
        fixed (byte* at = value)
            return Outcome(Libc.lsetxattr(Bytes(path), Bytes(name), at, (nuint)value.Length, (int)flags));
    }

    public static Errno GetXattr(string path, string name, out byte[] value, int room = 65536)
    {
        byte[] buffer = new byte[room];
        fixed (byte* at = buffer)
        {
            nint length = Libc.lgetxattr(Bytes(path), Bytes(name), at, (nuint)room);
            value = length > 0 ? buffer[..(int)Math.Min(length, room)] : [];
            return Outcome(length);
        }
    }

    public static Errno ListXattr(string path, out string[] names)
    {
        byte[] buffer = new byte[65536];
        fixed (byte* at = buffer)
        {
            nint length = Libc.llistxattr(Bytes(path), at, (nuint)buffer.Length);
            names = length > 0 ? Encoding.Latin1.GetString(buffer, 0, (int)length).Split('\0', StringSplitOptions.RemoveEmptyEntries) : [];
            Array.Sort(names, StringComparer.Ordinal);
            return Outcome(length);
        }
    }

    public static Errno RemoveXattr(string path, string name) => Outcome(Libc.lremovexattr(Bytes(path), Bytes(name)));

    /// <summary>The names of a directory without "." and "..", in the order given.</summary>
    public static List<string> List(string path)
    {
        using var fd = Open(path, O_RDONLY | O_DIRECTORY);
        return [.. fd.Entries().Where(name => name is not ("." or ".."))];
    }

    internal static Errno Outcome(long result) => result >= 0 ? Errno.None : (Errno)Marshal.GetLastPInvokeError();
}
