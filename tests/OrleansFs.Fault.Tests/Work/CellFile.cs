using System.Runtime.InteropServices;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>One of the ways to a file that is written in place.</summary>
internal sealed unsafe class CellFile : IDisposable
{
    private const int Alignment = 4096;
    private const int MS_SYNC = 4;
    private readonly FileDescriptor _file;
    private readonly byte* _buffer;
    private readonly int _bufferLength;
    private readonly byte* _map;
    private readonly nuint _mapLength;

    private CellFile(FileDescriptor file, int maxLength, bool mapped)
    {
        _file = file;
        _bufferLength = maxLength;
        _buffer = (byte*)NativeMemory.AlignedAlloc((nuint)maxLength, Alignment);
        if (!mapped)
            return;
        _mapLength = (nuint)maxLength;
        // On disk before the work begins, which does not change the size.
        if (_file.Truncate(maxLength) is var grown and not Errno.None)
            throw new WorkEndedException(grown, "truncate");
        if (_file.Sync() is var synced and not Errno.None)
            throw new WorkEndedException(synced, "fsync");
        nint map = Native.mmap(0, _mapLength, 3, 1, file.Number, 0);
        if (map == -1)
            throw new WorkEndedException((Errno)Marshal.GetLastPInvokeError(), "mmap");
        _map = (byte*)map;
    }

    public static CellFile Open(CellAccess access, string path, int maxLength) =>
        new(Sys.Open(path, Sys.O_RDWR | Sys.O_CREAT | (access == CellAccess.Direct ? Sys.O_DIRECT : 0)), maxLength, access == CellAccess.Mapped);

    /// <summary>Memory that any way of writing takes.</summary>
    public Span<byte> Buffer(int length) => new(_buffer, Math.Min(length, _bufferLength));

    public Errno Write(long offset, ReadOnlySpan<byte> data)
    {
        if (_map is null)
            return _file.Write(offset, data);
        // In native code: where the file is gone the store ends the process, as it would any program.
        fixed (byte* from = data)
            Native.memcpy(_map + offset, from, (nuint)data.Length);
        return Errno.None;
    }

    public Errno Truncate(long length) => _file.Truncate(length);

    public Errno Punch(long offset, long length) => _file.Allocate(Sys.FALLOC_FL_PUNCH_HOLE | Sys.FALLOC_FL_KEEP_SIZE, offset, length);

    public Errno Sync(bool dataOnly)
    {
        if (_map is not null)
            return Native.msync(_map, _mapLength, MS_SYNC) == 0 ? Errno.None : (Errno)Marshal.GetLastPInvokeError();
        return dataOnly ? _file.SyncData() : _file.Sync();
    }

    public void Dispose()
    {
        if (_map is not null)
            Native.munmap(_map, _mapLength);
        NativeMemory.AlignedFree(_buffer);
        _file.Dispose();
    }
}
