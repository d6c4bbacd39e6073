using Orleans.Concurrency;
using Orleans.GrainDirectory;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Placement;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>The records of a file. Calls interleave: the engine orders appends. <c>EOPNOTSUPP</c> where the copy has no records.</summary>
[GrainType("ofs.record"), CopyPlacement, GrainDirectory(NoDirectory.Name), Reentrant]
internal sealed class RecordGrain : IGrainBase, IRecordGrain
{
    private readonly CopySessions _sessions;
    private readonly TimeProvider _time;
    private readonly InodeNumber _inode;

    public RecordGrain(IGrainContext context, CopySessions sessions, TimeProvider time)
    {
        GrainContext = context;
        _sessions = sessions;
        _time = time;
        var key = FileKey.Parse(GrainKeys.Text(context));
        GrainKeys.RequireHere(key.Copy, sessions.Copy);
        _inode = key.Inode;
    }

    public IGrainContext GrainContext { get; }

    public ValueTask<FsResult<RecordInfo>> AppendAsync(ChangeRequest request, long number, bool isRepeated, ReadOnlyMemory<byte> data, bool durable, CancellationToken cancellation)
    {
        if (number < 1)
            return new(Errno.EINVAL);
        var name = new AppendName { Writer = request.Ticket.Session.Value, Number = number, IsRepeated = isRepeated };
        return RecalledAsync(request, _sessions.RunOnceAsync(
            request,
            s => s.Access is IRecordAccess access
                ? _sessions.Writes.RunAsync(() => access.AppendAsync(_inode, data, name, durable, cancellation), cancellation)
                : new(Errno.EOPNOTSUPP)));
    }

    /// <summary>Answered when no other session holds to the file as it was before.</summary>
    private async ValueTask<FsResult<RecordInfo>> RecalledAsync(ChangeRequest request, ValueTask<FsResult<RecordInfo>> call)
    {
        var result = await call;
        if (!ClientSession.ChangedNothing(result.Error))
            await _sessions.Leases.RecallAsync(_sessions.Find(request.Ticket)?.Leases, [_inode]);
        return result;
    }

    public ValueTask<FsResult<RecordInfo[]>> ListAsync(SessionTicket session, long from, int max, CancellationToken cancellation) =>
        _sessions.Find(session) is not { } s ? new(Errno.ENOTCONN)
        : s.Access is not IRecordAccess access ? new(Errno.EOPNOTSUPP)
        : max is < 1 or > RecordLimits.MaxListed ? new(Errno.EINVAL)
        : _sessions.Reads.RunAsync(() => access.ListRecordsAsync(_inode, from, max, cancellation), cancellation);

    public async ValueTask<FsResult> WaitAsync(SessionTicket session, long sequence, CancellationToken cancellation)
    {
        if (_sessions.Find(session) is not { } s)
            return Errno.ENOTCONN;
        if (s.Access is not IRecordAccess access)
            return Errno.EOPNOTSUPP;
        using var patience = new CancellationTokenSource(GrainInterfaces.Limits.RecordWait, _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation, s.Ended, patience.Token);
        var result = await access.WaitForRecordAsync(_inode, sequence, linked.Token);
        return result.Error == Errno.EINTR && !cancellation.IsCancellationRequested ? s.IsEnded ? Errno.ENOTCONN : Errno.EAGAIN : result;
    }
}
