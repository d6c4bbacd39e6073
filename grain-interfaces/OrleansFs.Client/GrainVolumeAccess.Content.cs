using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

public sealed partial class GrainVolumeAccess
{
    public async ValueTask<FsResult<int>> ReadAsync(InodeNumber inode, long offset, Memory<byte> destination, ReadFlags flags, CancellationToken cancellation)
    {
        if (await _session.WaitForWritesAsync(inode, cancellation) is var left and not Errno.None)
            return left;
        int done = 0;
        do
        {
            int length = Math.Min(destination.Length - done, GrainInterfaces.Limits.MaxTransfer);
            long from = offset + done;
            var reply = await _session.AskAsync((ticket, token) => _session.File(inode).ReadAsync(ticket, from, length, flags, token), cancellation);
            if (reply.Error != Errno.None)
                return done > 0 ? done : reply.Error;
            int read = reply.Content.Memory.Length;
            reply.Content.Memory.CopyTo(destination[done..]);
            reply.Content.Release();
            done += read;
            if (read < length)
                break;
        }
        while (done < destination.Length);
        if ((flags & ReadFlags.NoAccessTime) == 0)
            Cache.WasRead(inode, _session.AccessTimes);
        return done;
    }

    public async ValueTask<FsResult<long>> WriteAsync(InodeNumber inode, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation)
    {
        // A record is taken or refused as a whole, and its writer is told which.
        if (_session.Behind is not { } behind || data.IsEmpty || data.Length > GrainInterfaces.Limits.MaxTransfer || (flags & WriteFlags.Record) != 0)
            return await WriteThroughAsync();
        if (behind.Takes(inode))
        {
            var gathered = await behind.WriteAsync(inode, offset, data, flags, cancellation);
            Cache.Changed(inode);
            return gathered;
        }
        var result = await WriteThroughAsync();
        if (result.IsOk)
            behind.Taken(inode);
        return result;

        async ValueTask<FsResult<long>> WriteThroughAsync()
        {
            var written = await WriteAllAsync(inode, offset, data, flags, cancellation);
            Cache.Changed(inode);
            return written;
        }
    }

    private async ValueTask<FsResult<long>> WriteAllAsync(InodeNumber inode, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation)
    {
        if (await _session.WaitForWritesAsync(inode, cancellation) is var left and not Errno.None)
            return left;
        if ((flags & WriteFlags.Record) != 0 && await WriteRecordAsync(inode, data, cancellation) is var recorded && recorded.Error != Errno.EPERM)
            return recorded;
        long position = offset;
        for (int done = 0; done == 0 || done < data.Length;)
        {
            int length = Math.Min(data.Length - done, GrainInterfaces.Limits.MaxTransfer);
            var result = await _session.WriteAsync(inode, position, data.Slice(done, length), flags, cancellation);
            if (!result.TryGet(out long at, out var error))
            {
                // It is append-only, and was opened before that.
                return error == Errno.EOPNOTSUPP && done == 0 && (flags & WriteFlags.Append) != 0 ? await WriteRecordAsync(inode, data, cancellation) : error;
            }
            if (done == 0)
                offset = at;
            done += length;
            position = at + length;
            // The rest of an append goes where its beginning went. (The kernel sends 1 MiB at most: an append by a mount is one step.)
            flags &= ~WriteFlags.Append;
            if (length == 0)
                break;
        }
        return offset;
    }

    public async ValueTask<FsResult> AllocateAsync(InodeNumber inode, AllocateMode mode, long offset, long length, CancellationToken cancellation)
    {
        if (await _session.WaitForWritesAsync(inode, cancellation) is var left and not Errno.None)
            return left;
        var result = await _session.ReshapeAsync(
            new UnstableChange(0, inode, UnstableKind.Allocate, offset, length, null, mode), (request, token) => _session.File(inode).AllocateAsync(request, mode, offset, length, token), cancellation);
        Cache.Changed(inode);
        return result;
    }

    public async ValueTask<FsResult<long>> SeekAsync(InodeNumber inode, long offset, SeekKind kind, CancellationToken cancellation)
    {
        if (await _session.WaitForWritesAsync(inode, cancellation) is var left and not Errno.None)
            return left;
        return await _session.AskAsync((ticket, token) => _session.File(inode).SeekAsync(ticket, offset, kind, token), cancellation);
    }

    /// <remarks>Made again later it could copy something else, so it is not kept as a write is, but brought to disk.</remarks>
    public async ValueTask<FsResult<long>> CopyRangeAsync(InodeNumber source, long sourceOffset, InodeNumber target, long targetOffset, long length, CancellationToken cancellation)
    {
        if (await _session.WaitForWritesAsync(source, cancellation) is var left and not Errno.None)
            return left;
        if (await _session.WaitForWritesAsync(target, cancellation) is var alsoLeft and not Errno.None)
            return alsoLeft;
        var result = await _session.CopyRangeAsync(source, sourceOffset, target, targetOffset, length, cancellation);
        Cache.Changed(target);
        return result;
    }

    public async ValueTask<FsResult> FlushAsync(InodeNumber inode, ulong lockOwner, CancellationToken cancellation)
    {
        // Close-to-open: who opens the file from now on sees what was written.
        var written = _session.Behind is { } behind ? await behind.SettleForCloseAsync(inode, lockOwner) : Errno.None;
        // The copy is told of its locks in any case; a close fails for what was written, and for nothing else.
        await _session.CloseLocksAsync(inode, lockOwner, cancellation);
        return written;
    }

    public async ValueTask<FsResult> SyncAsync(InodeNumber inode, bool dataOnly, CancellationToken cancellation) =>
        await _session.OwedAsync(inode, cancellation) is var error and not Errno.None ? error : await _session.SyncAsync(inode, dataOnly, cancellation);

    public ValueTask<FsResult<FileLock>> GetLockAsync(InodeNumber inode, FileLock wanted, CancellationToken cancellation) =>
        _session.AskAsync((ticket, token) => _session.Grain.GetLockAsync(ticket, inode, wanted, token), cancellation);

    public async ValueTask<FsResult> SetLockAsync(InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation)
    {
        // What was written under a lock is seen by who has it next.
        if (await _session.WaitForWritesAsync(inode, cancellation) is var left and not Errno.None)
            return left;
        return await _session.SetLockAsync(inode, wanted, wait, cancellation);
    }

    public ValueTask<FsResult<FileResidency>> GetResidencyAsync(InodeNumber inode, CancellationToken cancellation) =>
        _session.AskAsync((ticket, token) => _session.File(inode).GetResidencyAsync(ticket, token), cancellation);

    public ValueTask<FsResult<ResidencyChange>> ChangeResidencyAsync(InodeNumber inode, ResidencyAction action, long offset, long length, CancellationToken cancellation) =>
        _session.AskAsync((ticket, token) => _session.File(inode).ChangeResidencyAsync(ticket, action, offset, length, token), cancellation);
}
