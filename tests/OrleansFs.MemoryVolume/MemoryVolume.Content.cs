using OrleansFs.Model;

namespace OrleansFs.MemoryVolume;

/// <summary>Content.</summary>
public sealed partial class MemoryVolume
{
    private FsResult<int> Read(InodeNumber number, long offset, Memory<byte> destination)
    {
        var error = FindFile(number, out var file);
        if (error != Errno.None)
            return error;
        int length = (int)Math.Clamp(file.Attributes.Size - offset, 0, destination.Length);
        file.Content.Read(offset, destination.Span[..length]);
        Touch(file);
        return length;
    }

    private FsResult<long> Write(InodeNumber number, long offset, ReadOnlyMemory<byte> data, WriteFlags flags)
    {
        var error = FindFile(number, out var file);
        if (error != Errno.None)
            return error;
        bool append = (flags & WriteFlags.Append) != 0;
        if (file.Has(InodeFlags.Immutable) || (file.Has(InodeFlags.AppendOnly) && !append && offset < file.Attributes.Size))
            return Errno.EPERM;
        long at = append ? file.Attributes.Size : offset;
        if (at > long.MaxValue - data.Length)
            return Errno.EFBIG;
        file.Content.Write(at, data.Span);
        uint mode = (flags & WriteFlags.KillPrivileges) != 0 ? WithoutPrivileges(file.Attributes.Mode) : file.Attributes.Mode;
        Resized(file, Math.Max(file.Attributes.Size, at + data.Length));
        file.Attributes = file.Attributes with { Mode = mode };
        return at;
    }

    private void Resized(Node file, long size)
    {
        file.Attributes = file.Attributes with { Size = size, AllocatedBytes = file.Content.Allocated };
        Modified(file);
    }

    private FsResult Allocate(InodeNumber number, AllocateMode mode, long offset, long length)
    {
        var error = FindFile(number, out var file);
        if (error != Errno.None)
            return error;
        bool punch = (mode & AllocateMode.PunchHole) != 0;
        bool zero = (mode & AllocateMode.ZeroRange) != 0;
        if ((mode & ~(AllocateMode.KeepSize | AllocateMode.PunchHole | AllocateMode.ZeroRange)) != 0 || (punch && (zero || (mode & AllocateMode.KeepSize) == 0)))
            return Errno.EOPNOTSUPP;
        if (offset > long.MaxValue - length)
            return Errno.EFBIG;
        if (file.Has(InodeFlags.Immutable) || (file.Has(InodeFlags.AppendOnly) && (punch || zero)))
            return Errno.EPERM;
        if (punch || zero)
            file.Content.Punch(offset, offset + length);
        else
            file.Content.Allocate(offset, length);
        Resized(file, (mode & AllocateMode.KeepSize) != 0 ? file.Attributes.Size : Math.Max(file.Attributes.Size, offset + length));
        return FsResult.Ok;
    }

    private FsResult<long> Seek(InodeNumber number, long offset, SeekKind kind)
    {
        var error = FindFile(number, out var file);
        if (error != Errno.None)
            return error;
        if (offset < 0 || offset >= file.Attributes.Size)
            return Errno.ENXIO;
        if (kind == SeekKind.Hole)
            return Math.Min(file.Content.NextHole(offset), file.Attributes.Size);
        return file.Content.NextData(offset) is { } data && data < file.Attributes.Size ? data : Errno.ENXIO;
    }

    private FsResult<long> CopyRange(InodeNumber from, long offset, InodeNumber to, long targetOffset, long length)
    {
        var error = FindFile(from, out var source);
        if (error == Errno.None)
            error = FindFile(to, out _);
        if (error != Errno.None)
            return error;
        length = Math.Clamp(source.Attributes.Size - offset, 0, length);
        if (from == to && offset < targetOffset + length && targetOffset < offset + length)
            return Errno.EINVAL;
        byte[] piece = new byte[64 * 1024];
        for (long done = 0; done < length;)
        {
            int count = (int)Math.Min(piece.Length, length - done);
            source.Content.Read(offset + done, piece.AsSpan(0, count));
            var written = Write(to, targetOffset + done, piece.AsMemory(0, count), WriteFlags.None);
            if (!written.IsOk)
                return written.Error;
            done += count;
        }
        return length;
    }
}
