using System.Buffers.Binary;
using System.Text;
using OrleansFs.Model;

namespace OrleansFs.Mounted.Tests.Posix;

/// <summary>An open file.</summary>
public sealed unsafe class FileDescriptor(int number) : IDisposable
{
    private const int F_SETLK = 6;
    private const int F_GETLK = 5;
    private bool _closed = number < 0;

    public int Number { get; } = number;

    public void Dispose() => Close();

    /// <summary>close(2), once: what it answers is the last word on what was written.</summary>
    public Errno Close()
    {
        if (_closed)
            return Errno.None;
        _closed = true;
        return Sys.Outcome(Libc.close(Number));
    }

    public Errno Read(long offset, Span<byte> destination, out int count)
    {
        fixed (byte* at = destination)
        {
            nint read = Libc.pread(Number, at, (nuint)destination.Length, offset);
            count = (int)Math.Max(read, 0);
            return Sys.Outcome(read);
        }
    }

    public byte[] Read(long offset, int length)
    {
        byte[] bytes = new byte[length];
        var error = Read(offset, bytes, out int count);
        return error == Errno.None ? bytes[..count] : throw new IOException($"read: {error}");
    }

    public Errno Write(long offset, ReadOnlySpan<byte> data, out int count)
    {
        fixed (byte* at = data)
        {
            nint written = Libc.pwrite(Number, at, (nuint)data.Length, offset);
            count = (int)Math.Max(written, 0);
            return Sys.Outcome(written);
        }
    }

    public Errno Write(long offset, ReadOnlySpan<byte> data)
    {
        var error = Write(offset, data, out int count);
        return error == Errno.None && count != data.Length ? Errno.EIO : error;
    }

    /// <summary>write(2) at the descriptor's position, or at the end with O_APPEND.</summary>
    public Errno Append(ReadOnlySpan<byte> data)
    {
        fixed (byte* at = data)
            return Sys.Outcome(Libc.write(Number, at, (nuint)data.Length));
    }

    public Errno Truncate(long length) => Sys.Outcome(Libc.ftruncate(Number, length));

    public Errno Sync() => Sys.Outcome(Libc.fsync(Number));

    public Errno SyncData() => Sys.Outcome(Libc.fdatasync(Number));

    /// <summary>Has the kernel give back the pages that it has of the file and that are clean.</summary>
    public Errno DropPages() => (Errno)Libc.posix_fadvise(Number, 0, 0, 4); // POSIX_FADV_DONTNEED; it returns the error

    public Errno Allocate(int mode, long offset, long length) => Sys.Outcome(Libc.fallocate(Number, mode, offset, length));

    public Errno Seek(long offset, int whence, out long position)
    {
        position = Libc.lseek(Number, offset, whence);
        return Sys.Outcome(position);
    }

    /// <summary>copy_file_range(2), again where less than the rest was copied, which is allowed.</summary>
    public Errno CopyTo(long offset, FileDescriptor target, long targetOffset, long length, out long copied)
    {
        copied = 0;
        while (true)
        {
            // The call moves both offsets.
            nint step = Libc.copy_file_range(Number, &offset, target.Number, &targetOffset, (nuint)(length - copied), 0);
            copied += Math.Max(step, 0);
            if (step <= 0 || copied == length)
                return Sys.Outcome(step);
        }
    }

    public Errno Flock(int operation) => Sys.Outcome(Libc.flock(Number, operation));

    /// <summary>fcntl(F_SETLK) on a range; kind is F_RDLCK 0, F_WRLCK 1 or F_UNLCK 2.</summary>
    public Errno LockRange(short kind, long start, long length)
    {
        byte* flock = stackalloc byte[32];
        Fill(flock, kind, start, length);
        return Sys.Outcome(Libc.fcntl(Number, F_SETLK, (nint)flock));
    }

    /// <summary>fcntl(F_GETLK): the kind of the lock in the way, 2 for none.</summary>
    public Errno TestRange(short kind, long start, long length, out short found)
    {
        byte* flock = stackalloc byte[32];
        Fill(flock, kind, start, length);
        var error = Sys.Outcome(Libc.fcntl(Number, F_GETLK, (nint)flock));
        found = *(short*)flock;
        return error;
    }

    // struct flock: type 0, whence 2, start 8, len 16, pid 24
    private static void Fill(byte* flock, short kind, long start, long length)
    {
        new Span<byte>(flock, 32).Clear();
        *(short*)flock = kind;
        *(long*)(flock + 8) = start;
        *(long*)(flock + 16) = length;
    }

    /// <summary>All entries from the present position on, read in pieces of the given size.</summary>
    public IEnumerable<string> Entries(int bufferSize = 32768)
    {
        byte[] buffer = new byte[bufferSize];
        while (true)
        {
            var error = Piece(buffer, out var names);
            if (error != Errno.None)
                throw new IOException($"getdents64: {error}");
            if (names.Count == 0)
                yield break;
            foreach (string name in names)
                yield return name;
        }
    }

    /// <summary>One getdents64(2).</summary>
    public Errno List(out List<string> names) => Piece(new byte[32768], out names);

    private Errno Piece(byte[] buffer, out List<string> names)
    {
        names = [];
        nint length;
        fixed (byte* at = buffer)
            length = Libc.getdents64(Number, at, (nuint)buffer.Length);
        if (length < 0)
            return Sys.Outcome(length);
        for (var rest = buffer.AsSpan(0, (int)length); !rest.IsEmpty; rest = rest[BinaryPrimitives.ReadUInt16LittleEndian(rest[16..])..])
        {
            // struct linux_dirent64: ino 0, off 8, reclen 16, type 18, name 19
            var name = rest[19..BinaryPrimitives.ReadUInt16LittleEndian(rest[16..])];
            names.Add(Encoding.Latin1.GetString(name[..name.IndexOf((byte)0)]));
        }
        return Errno.None;
    }
}
