using Microsoft.Extensions.Logging;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>Content that the copy has taken and not yet brought to disk.</content>
internal sealed partial class RemoteSession
{
    private readonly UnstableChanges _unstable;
    private readonly SemaphoreSlim _stabilize = new(0);

    /// <summary>Files that could not be brought to disk when that was tried last.</summary>
    private int _refusedSyncs;

    /// <summary>Memory for what is written.</summary>
    public ContentMemory Memory { get; }

    /// <summary>Writes, and keeps what was written until it is on disk there.</summary>
    /// <param name="inode">The file.</param>
    /// <param name="offset">First byte; of no meaning in an append.</param>
    /// <param name="data">At most <see cref="GrainInterfaces.Limits.MaxTransfer"/> bytes, lent: they are copied.</param>
    /// <param name="flags">How.</param>
    /// <param name="cancellation">Gives up where nothing was done yet.</param>
    public async ValueTask<FsResult<long>> WriteAsync(InodeNumber inode, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation)
    {
        int length = data.Length;
        var buffer = Memory.Rent(length);
        data.CopyTo(buffer.Memory);
        if (await ReserveAsync(length, cancellation) is var full and not Errno.None)
        {
            Memory.Return(buffer, isLent: false);
            return full;
        }
        try
        {
            return await WriteReservedAsync(inode, offset, buffer, length, flags, cancellation);
        }
        catch
        {
            // What was sent may still be on its way out.
            _unstable.Unreserve(length);
            Memory.Return(buffer, isLent: true);
            throw;
        }
    }

    private async ValueTask<FsResult<long>> WriteReservedAsync(InodeNumber inode, long offset, ContentBuffer buffer, int length, WriteFlags flags, CancellationToken cancellation)
    {
        int attempts = 0;
        while (true)
        {
            SessionTicket sent = default;
            var (at, how) = (offset, flags);
            var result = await ChangeAsync((request, token) =>
            {
                attempts++;
                sent = request.Ticket;
                return File(inode).WriteAsync(request, at, buffer.Memory[..length], how, token);
            }, cancellation);
            // Answered at the first attempt: nobody reads the buffer any more. After a lost answer, or none, a message may still be on its way out, and the memory is left to the collector.
            bool isLent = attempts != 1 || result.Error is Errno.EINTR or Errno.EIO;
            if (!result.TryGet(out offset, out _))
            {
                _unstable.Unreserve(length);
                Memory.Return(buffer, isLent);
                return result;
            }
            if (_unstable.TryKeep(new(0, inode, UnstableKind.Write, offset, length, buffer, default) { IsLent = isLent, Flags = flags & WriteFlags.KillPrivileges }, () => sent == Ticket))
            {
                if (_unstable.Bytes >= Limits.UnstableSyncAt)
                    RequestSync();
                return offset;
            }
            // The session was attached anew between the answer and now, maybe to another run of the copy: the same write goes to the place that it was given.
            flags &= ~WriteFlags.Append;
        }
    }

    /// <summary>Sends gathered writes, whose room is reserved, and keeps them until they are on disk there. The batch's buffer and room are taken over, but where <see cref="WriteBehind.IsForRecords"/>.</summary>
    public async ValueTask<Errno> WriteBatchAsync(InodeNumber inode, WriteBatch batch)
    {
        try
        {
            return await WriteReservedBatchAsync(inode, batch);
        }
        catch
        {
            _unstable.Unreserve(batch.Bytes);
            Memory.Return(batch.Buffer, isLent: true);
            throw;
        }
    }

    private async ValueTask<Errno> WriteReservedBatchAsync(InodeNumber inode, WriteBatch batch)
    {
        var (pieces, bytes) = (batch.Pieces, batch.Bytes);
        var flags = batch.WantsSync ? batch.Flags | WriteFlags.Sync : batch.Flags;
        var data = batch.Buffer.Memory[..bytes];
        int attempts = 0;
        while (true)
        {
            SessionTicket sent = default;
            var (now, how) = (pieces, flags);
            Errno error;
            if (batch.IsAppend)
            {
                var result = await ChangeAsync((request, token) =>
                {
                    attempts++;
                    sent = request.Ticket;
                    return File(inode).WriteAsync(request, now[0].Offset, data, how, token);
                }, CancellationToken.None, batch.Begun);
                // Where it went: should the copy lose it, it is written to that place again.
                if (result.TryGet(out long at, out error))
                    pieces = [new WritePiece(at, bytes)];
                flags &= ~WriteFlags.Append;
            }
            else
            {
                error = (await ChangeAsync((request, token) =>
                {
                    attempts++;
                    sent = request.Ticket;
                    return File(inode).WriteManyAsync(request, now, data, how, token);
                }, CancellationToken.None, batch.Begun)).Error;
            }
            bool isLent = attempts != 1 || error == Errno.EIO;
            if (WriteBehind.IsForRecords(batch, error))
                return error;
            if ((flags & WriteFlags.Sync) != 0)
            {
                // Where that failed it is written as any other is, and kept: the caller's own sync tells whether it is still so.
                flags &= ~WriteFlags.Sync;
                batch.IsSynced = error == Errno.None;
                if (!batch.IsSynced)
                    continue;
            }
            if (error != Errno.None || batch.IsSynced)
            {
                _unstable.Unreserve(bytes);
                Memory.Return(batch.Buffer, isLent);
                return error;
            }
            if (_unstable.TryKeep(new(0, inode, UnstableKind.Write, pieces[0].Offset, bytes, batch.Buffer, default) { IsLent = isLent, Pieces = pieces, Flags = flags & WriteFlags.KillPrivileges }, () => sent == Ticket))
            {
                if (_unstable.Bytes >= Limits.UnstableSyncAt)
                    RequestSync();
                return Errno.None;
            }
        }
    }

    public void Unreserve(int length) => _unstable.Unreserve(length);

    /// <summary>Truncates or allocates, and keeps that it was done until it is on disk there. Done again it does no harm.</summary>
    public async ValueTask<TResult> ReshapeAsync<TResult>(UnstableChange change, Func<ChangeRequest, CancellationToken, ValueTask<TResult>> call, CancellationToken cancellation)
        where TResult : struct, IFsResult<TResult>
    {
        while (true)
        {
            SessionTicket sent = default;
            var result = await ChangeAsync((request, token) =>
            {
                sent = request.Ticket;
                return call(request, token);
            }, cancellation);
            if (result.Error != Errno.None || _unstable.TryKeep(change, () => sent == Ticket))
                return result;
        }
    }

    /// <summary>fsync of a file: what was kept of it is on disk.</summary>
    public async ValueTask<FsResult> SyncAsync(InodeNumber inode, bool dataOnly, CancellationToken cancellation)
    {
        long? newest = _unstable.Newest;
        var (written, isSynced) = (Errno.None, false);
        try
        {
            if (Behind is { } behind)
                (written, isSynced) = await behind.SettleForSyncAsync(inode, cancellation);
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        if (!isSynced)
            newest = _unstable.Newest;
        var result = isSynced ? FsResult.Ok : await AskAsync((ticket, token) => File(inode).SyncAsync(ticket, dataOnly, token), cancellation);
        if (_unstable.TakeLoss(inode))
            return Errno.EIO;
        // Told now and not again, also to a caller who was interrupted: the next sync would say that all is well.
        if (written != Errno.None)
            result = written;
        if (result.IsOk && newest is { } upTo)
            Drop(upTo, inode);
        return result;
    }

    /// <summary>Copies a range of a file, and has the other brought to disk. Gathered writes are the caller's to settle.</summary>
    public async ValueTask<FsResult<long>> CopyRangeAsync(InodeNumber source, long sourceOffset, InodeNumber target, long targetOffset, long length, CancellationToken cancellation)
    {
        while (true)
        {
            SessionTicket copied = default, synced = default;
            var result = await ChangeAsync((request, token) =>
            {
                copied = request.Ticket;
                return File(source).CopyRangeAsync(request, sourceOffset, target, targetOffset, length, token);
            }, cancellation);
            if (!result.IsOk)
                return result;
            // What is kept of the file by now is older than the copy: made again without it, it would go over it.
            long? newest = _unstable.Newest;
            var here = await AskAsync((ticket, token) =>
            {
                synced = ticket;
                return File(target).SyncHereAsync(ticket, token);
            }, CancellationToken.None);
            if (!here.IsOk)
                return here.Error;
            if (newest is { } upTo)
                Drop(upTo, target);
            // Else the session was attached anew in between, maybe to a run that knows nothing of it. Nobody was answered: what others have done meanwhile was done before it.
            if (synced == copied)
                return result;
        }
    }

    /// <summary>syncfs: everything kept is on disk.</summary>
    public async ValueTask<FsResult> SyncAllAsync(CancellationToken cancellation)
    {
        try
        {
            if (Behind is { } behind)
                await behind.SettleAllAsync().AsTask().WaitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        // A change that is kept was answered before, and is in this run of the copy or is written to it again before the session's ticket for it is there.
        long? newest = _unstable.Newest;
        var result = await AskAsync((ticket, token) => Names.SyncAllAsync(ticket, token), cancellation);
        if (result.IsOk && newest is { } upTo)
            Drop(upTo);
        return result;
    }

    /// <summary>What was kept is on disk. A copy that takes no changes any more is not where it has to be: the one that has taken over is given it, too.</summary>
    private void Drop(long upTo, InodeNumber? inode = null)
    {
        if (!_options.FollowsMaster || !Copy.ReadOnly)
            _unstable.Drop(upTo, inode);
    }

    private void RequestSync()
    {
        if (_stabilize.CurrentCount == 0)
            _stabilize.Release();
    }

    /// <summary>Takes room for a write; where all of it is taken, when something has been brought to disk.</summary>
    /// <returns>EINTR when cancelled; why nothing can be brought to disk, where that is so; EIO after <see cref="Limits.RoomWait"/>.</returns>
    public async ValueTask<Errno> ReserveAsync(int length, CancellationToken cancellation)
    {
        try
        {
            while (_unstable.TryReserve(length) is { } room)
            {
                RequestSync();
                if (await room.WaitAsync(Limits.RoomWait, _time, cancellation) is var refused and not Errno.None)
                    return refused;
            }
            return Errno.None;
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        catch (TimeoutException)
        {
            return Errno.EIO;
        }
    }

    /// <summary>Asks for a sync when something was kept for long, or much of it.</summary>
    private async Task StabilizeAsync()
    {
        while (!_ended.IsCancellationRequested)
        {
            try
            {
                await WaitAsync(_stabilize, Limits.UnstableAge);
                Memory.Release();
                if (Volatile.Read(ref _isBehind) != 0)
                    await TryCatchUpAsync();
                else if (_unstable.Newest is not null || Behind is { IsEmpty: false })
                    await StabilizeOnceAsync();
            }
            catch (OperationCanceledException) when (_ended.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e)
            {
                LogSyncFailed(_logger, e);
                _unstable.Refuse(Errno.EIO);
            }
        }
        // The end of the session: what was written is left on disk. A copy that is away cannot be waited for.
        using var patience = new CancellationTokenSource(Limits.LastSync, _time);
        if (_unstable.Newest is null && Behind is null or { IsEmpty: true })
            return;
        var synced = await SyncAllAsync(patience.Token);
        var error = synced.IsOk && _owes && _unstable.Newest is not null ? Errno.EROFS : synced.Error;
        if (error != Errno.None)
            LogNotSynced(_logger, Copy.Copy, error);
    }

    /// <summary>Has everything brought to disk; where one file cannot be, the others one by one: what it keeps is its own, and not the room of all.</summary>
    /// <returns>Files of which something is kept that cannot be brought to disk; null where it is not known.</returns>
    private async Task<IReadOnlyList<InodeNumber>?> StabilizeOnceAsync()
    {
        long dropped = _unstable.Dropped;
        var all = await SyncAllAsync(_ended.Token);
        if (all.IsOk)
        {
            _refusedSyncs = 0;
            return [];
        }
        var refused = await StabilizeEachAsync();
        // Who waits for room would wait for as long as that lasts.
        if (_unstable.Dropped == dropped)
            _unstable.Refuse(all.Error);
        if (refused is not null && refused.Count != _refusedSyncs)
            LogSyncRefused(_logger, Copy.Copy, refused.Count, all.Error);
        _refusedSyncs = refused?.Count ?? _refusedSyncs;
        return refused;
    }

    private async Task<IReadOnlyList<InodeNumber>?> StabilizeEachAsync()
    {
        var refused = new List<InodeNumber>();
        foreach (var inode in _unstable.Files())
        {
            if (_ended.IsCancellationRequested || Volatile.Read(ref _isAway) != 0)
                return null;
            long? newest = _unstable.Newest;
            var one = await AskAsync((ticket, token) => File(inode).SyncHereAsync(ticket, token), _ended.Token);
            // A file that is gone by now needs nothing any more.
            if (one.Error is not (Errno.None or Errno.ESTALE))
                refused.Add(inode);
            else if (newest is { } upTo)
                Drop(upTo, inode);
        }
        return _ended.IsCancellationRequested || Volatile.Read(ref _isAway) != 0 ? null : refused;
    }

    public void LogWriteFailed(InodeNumber inode, Exception exception) => LogWriteFailed(_logger, inode, exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "inode {Inode}: what was gathered could not be sent")]
    private static partial void LogWriteFailed(ILogger logger, InodeNumber inode, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "the copy '{Copy}' cannot bring everything to disk ({Error}); of {Files} files what was written is kept here until it can")]
    private static partial void LogSyncRefused(ILogger logger, CopyName copy, int files, Errno error);

    [LoggerMessage(Level = LogLevel.Error, Message = "a sync of what was written failed")]
    private static partial void LogSyncFailed(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "the session ends before the copy '{Copy}' has brought to disk all that was written: {Error}")]
    private static partial void LogNotSynced(ILogger logger, CopyName copy, Errno error);
}
