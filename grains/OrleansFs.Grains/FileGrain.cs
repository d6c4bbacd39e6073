using Orleans.Concurrency;
using Orleans.GrainDirectory;
using OrleansFs.Engine.Metadata;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Placement;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>A file's content. Calls interleave: the engine orders what must be ordered. All of it may read a disk, hash or wait for memory, and so is done by a lane.</summary>
[GrainType("ofs.file"), CopyPlacement, GrainDirectory(NoDirectory.Name), Reentrant]
internal sealed class FileGrain : IGrainBase, IFileGrain
{
    private readonly CopySessions _sessions;
    private readonly InodeNumber _inode;

    public FileGrain(IGrainContext context, CopySessions sessions)
    {
        GrainContext = context;
        _sessions = sessions;
        var key = FileKey.Parse(GrainKeys.Text(context));
        GrainKeys.RequireHere(key.Copy, sessions.Copy);
        _inode = key.Inode;
    }

    /// <summary>One that is called directly, and has no activation.</summary>
    internal FileGrain(InodeNumber inode, CopySessions sessions)
    {
        GrainContext = null!;
        _sessions = sessions;
        _inode = inode;
    }

    public IGrainContext GrainContext { get; }

    public ValueTask<ContentReply> ReadAsync(SessionTicket session, long offset, int length, ReadFlags flags, CancellationToken cancellation)
    {
        if (_sessions.Find(session) is not { } s)
            return new(Errno.ENOTCONN);
        if (length is < 0 or > GrainInterfaces.Limits.MaxTransfer)
            return new(Errno.EINVAL);
        return _sessions.Reads.RunAsync(() => ReadAsync(s, offset, length, flags, cancellation), cancellation);
    }

    public ValueTask<FsResult<long>> WriteAsync(ChangeRequest request, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation) =>
        data.Length > GrainInterfaces.Limits.MaxTransfer
            ? new(Errno.EINVAL)
            : (flags & WriteFlags.Append) == 0
                ? Change(request, s => s.Access.WriteAsync(_inode, offset, data, flags, cancellation), cancellation)
                : AppendAsync(request, data, flags, cancellation);

    public ValueTask<FsResult> WriteManyAsync(ChangeRequest request, WritePiece[] pieces, Payload data, WriteFlags flags, CancellationToken cancellation)
    {
        if (pieces.Length is < 1 or > GrainInterfaces.Limits.MaxPieces || data.Memory.Length > GrainInterfaces.Limits.MaxTransfer || pieces.Any(p => p.Length < 1)
            || pieces.Sum(p => (long)p.Length) != data.Memory.Length
            || (flags & WriteFlags.Append) != 0)
        {
            return new(Errno.EINVAL);
        }
        var how = flags & ~WriteFlags.Sync;
        var written = Change(request, s => WriteManyAsync(s, pieces, data, how, cancellation), cancellation);
        return how == flags ? written : SyncedAsync(written, request.Ticket, cancellation);
    }

    public ValueTask<FsResult> AllocateAsync(ChangeRequest request, AllocateMode mode, long offset, long length, CancellationToken cancellation) =>
        Change(request, s => s.Access.AllocateAsync(_inode, mode, offset, length, cancellation), cancellation);

    public ValueTask<FsResult<long>> SeekAsync(SessionTicket session, long offset, SeekKind kind, CancellationToken cancellation) =>
        _sessions.Find(session) is { } s
            ? _sessions.Reads.RunAsync(() => s.Access.SeekAsync(_inode, offset, kind, cancellation), cancellation)
            : new(Errno.ENOTCONN);

    public ValueTask<FsResult<long>> CopyRangeAsync(ChangeRequest request, long offset, InodeNumber target, long targetOffset, long length, CancellationToken cancellation) =>
        RecalledAsync(
            request, target, _sessions.RunOnceAsync(request, s => _sessions.Writes.RunAsync(() => s.Access.CopyRangeAsync(_inode, offset, target, targetOffset, length, cancellation), cancellation)));

    public ValueTask<FsResult> FlushAsync(ChangeRequest request, ulong lockOwner, CancellationToken cancellation) =>
        _sessions.RunOnceAsync(request, s => s.Access.FlushAsync(_inode, lockOwner, cancellation));

    public ValueTask<FsResult> SyncAsync(SessionTicket session, bool dataOnly, CancellationToken cancellation) =>
        _sessions.SyncedAsync(session, s => s.Access.SyncAsync(_inode, dataOnly, cancellation));

    public ValueTask<FsResult> SyncHereAsync(SessionTicket session, CancellationToken cancellation) =>
        _sessions.SyncedAsync(session, s => s.Access.SyncHereAsync(_inode, cancellation));

    public ValueTask<FsResult<FileResidency>> GetResidencyAsync(SessionTicket session, CancellationToken cancellation) =>
        _sessions.Find(session) is { } s ? _sessions.Reads.RunAsync(() => s.Access.GetResidencyAsync(_inode, cancellation), cancellation) : new(Errno.ENOTCONN);

    public ValueTask<FsResult<ResidencyChange>> ChangeResidencyAsync(SessionTicket session, ResidencyAction action, long offset, long length, CancellationToken cancellation) =>
        _sessions.Find(session) is { } s
            ? _sessions.Writes.RunAsync(() => s.Access.ChangeResidencyAsync(_inode, action, offset, length, cancellation), cancellation)
            : new(Errno.ENOTCONN);

    /// <summary>An append happens once, also across a restart: where it went is kept. What it brought may have been lost with the memory of the run that took it, so it is written to that place again.</summary>
    private ValueTask<FsResult<long>> AppendAsync(ChangeRequest request, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation) =>
        RecalledAsync(request, _inode, _sessions.RunOnceAsync(
            request,
            s => _sessions.Writes.RunAsync(() => Leased(s).ChangeContentAsync(request, _inode, () => RecordedAsync(s, request, data, flags, cancellation)), cancellation),
            (s, reply) => WriteAgainAsync(Leased(s), reply, data, (flags & ~WriteFlags.Append) | WriteFlags.Again)));

    private async ValueTask<FsResult<long>> RecordedAsync(ClientSession session, ChangeRequest request, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation)
    {
        // A record is not written again to a place that others may have taken: who appends to such a file asks IRecordGrain.
        if (session.Access is IRecordAccess && (await session.Access.GetAttributesAsync(_inode, cancellation)) is { IsOk: true, Value: { IsRegular: true, Flags: var of } } && (of & InodeFlags.AppendOnly) != 0)
            return Errno.EOPNOTSUPP;
        return await session.Once(new ChangeRecord(new ReplyKey(request.Ticket.Session.Value, request.Slot, request.Sequence))).WriteAsync(_inode, 0, data, flags, cancellation);
    }

    /// <remarks>The append has been made: that there is no room for the request, or that its caller does not wait, is no answer to it.</remarks>
    private async ValueTask<FsResult<long>> WriteAgainAsync(ClientSession session, FsResult<long> reply, ReadOnlyMemory<byte> data, WriteFlags flags)
    {
        FsResult<long> written;
        while ((written = await _sessions.Writes.RunAsync(() => session.Access.WriteAsync(_inode, reply.Value, data, flags, CancellationToken.None), CancellationToken.None)).Error == Errno.EBUSY)
            await Task.Delay(Limits.RoomRetry);
        // It has become immutable or append-only since: what it had then is on disk with that.
        return written.Error == Errno.EPERM ? reply : written;
    }

    /// <remarks>Not part of what is done once: who asks again because the answer was lost is answered when it is synced, too.</remarks>
    private async ValueTask<FsResult> SyncedAsync(ValueTask<FsResult> write, SessionTicket session, CancellationToken cancellation) =>
        await write is { IsOk: false } failed ? failed : await SyncAsync(session, dataOnly: false, cancellation);

    /// <summary>Done again from the start after an interruption, it does no harm.</summary>
    private async ValueTask<FsResult> WriteManyAsync(ClientSession session, WritePiece[] pieces, Payload data, WriteFlags flags, CancellationToken cancellation)
    {
        var rest = data.Memory;
        foreach (var piece in pieces)
        {
            var written = await session.Access.WriteAsync(_inode, piece.Offset, rest[..piece.Length], flags, cancellation);
            if (!written.IsOk)
                return written.Error;
            rest = rest[piece.Length..];
        }
        // All of it was copied. Where a write failed, or was given up, the collector has it.
        data.Release();
        return FsResult.Ok;
    }

    private async ValueTask<ContentReply> ReadAsync(ClientSession session, long offset, int length, ReadFlags flags, CancellationToken cancellation)
    {
        var content = Payload.Rent(length, out var buffer);
        var result = await session.Access.ReadAsync(_inode, offset, buffer, flags, cancellation);
        return result.TryGet(out int read, out var error) ? new ContentReply { Content = content.To(read) } : error;
    }

    private ValueTask<TResult> Change<TResult>(ChangeRequest request, Func<ClientSession, ValueTask<TResult>> change, CancellationToken cancellation)
        where TResult : struct, IFsResult<TResult> => RecalledAsync(request, _inode, _sessions.RunOnceAsync(request, s => _sessions.Writes.RunAsync(() => Leased(s).ChangeContentAsync(request, _inode, () => change(s)), cancellation)));

    /// <summary>The client keeps what it wrote until that is on disk here, and has to hear of a change by another before: it would go over it if it were made again.</summary>
    private ClientSession Leased(ClientSession session)
    {
        session.Lease(_sessions.Leases, _inode);
        return session;
    }

    /// <summary>Content is changed: answered when no other session holds to what was before. Also where that failed, for a part of it may have been done.</summary>
    private async ValueTask<TResult> RecalledAsync<TResult>(ChangeRequest request, InodeNumber changed, ValueTask<TResult> call)
        where TResult : struct, IFsResult<TResult>
    {
        var result = await call;
        if (!ClientSession.ChangedNothing(result.Error))
            await _sessions.Leases.RecallAsync(_sessions.Find(request.Ticket)?.Leases, [changed]);
        return result;
    }
}
