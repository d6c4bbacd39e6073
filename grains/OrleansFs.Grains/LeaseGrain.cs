using Orleans.Concurrency;
using Orleans.GrainDirectory;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Placement;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>What the two grains below have in common: a session of this volume, whose copy can what is asked.</summary>
internal static class CopyAbility
{
    /// <summary>Whether a grain's key names this copy of this volume.</summary>
    public static bool IsOfVolume(IGrainContext context, CopySessions sessions)
    {
        var key = NamespaceKey.Parse(GrainKeys.Text(context));
        GrainKeys.RequireHere(key.Copy, sessions.Copy);
        return key.Volume == sessions.Copy.Description.Volume;
    }
}

/// <summary>Content that no file has yet. Calls interleave; what may read a disk goes to a lane.</summary>
[GrainType("ofs.lease"), CopyPlacement, GrainDirectory(NoDirectory.Name), Reentrant]
internal sealed class LeaseGrain : IGrainBase, ILeaseGrain
{
    private readonly CopySessions _sessions;
    private readonly bool _isOfThisVolume;

    public LeaseGrain(IGrainContext context, CopySessions sessions)
    {
        GrainContext = context;
        _sessions = sessions;
        _isOfThisVolume = CopyAbility.IsOfVolume(context, sessions);
    }

    public IGrainContext GrainContext { get; }

    public ValueTask<FsResult<ContentLease>> LeaseAsync(SessionTicket session, InodeNumber holder, TimeSpan time, CancellationToken cancellation) =>
        Find(session, out var error) is { } access ? _sessions.Writes.RunAsync(() => access.LeaseAsync(holder, time, cancellation), cancellation) : new(error);

    public ValueTask<FsResult> EndAsync(SessionTicket session, InodeNumber holder, CancellationToken cancellation) =>
        Find(session, out var error) is { } access ? access.EndLeaseAsync(holder, cancellation) : new(error);

    public ValueTask<FsResult<BlockHash[]>> ListBlocksAsync(SessionTicket session, InodeNumber inode, long first, int max, CancellationToken cancellation) =>
        Find(session, out var error) is { } access ? _sessions.Reads.RunAsync(() => access.ListBlocksAsync(inode, first, max, cancellation), cancellation) : new(error);

    private ILeaseAccess? Find(SessionTicket ticket, out Errno error)
    {
        var session = _isOfThisVolume ? _sessions.Find(ticket) : null;
        error = session is null ? Errno.ENOTCONN : Errno.EOPNOTSUPP;
        return session?.Access as ILeaseAccess;
    }
}

/// <summary>What has changed. Calls interleave; what reads the journal goes to a lane.</summary>
[GrainType("ofs.change"), CopyPlacement, GrainDirectory(NoDirectory.Name), Reentrant]
internal sealed class ChangeGrain : IGrainBase, IChangeGrain
{
    private readonly CopySessions _sessions;
    private readonly TimeProvider _time;
    private readonly bool _isOfThisVolume;

    public ChangeGrain(IGrainContext context, CopySessions sessions, TimeProvider time)
    {
        GrainContext = context;
        _sessions = sessions;
        _time = time;
        _isOfThisVolume = CopyAbility.IsOfVolume(context, sessions);
    }

    public IGrainContext GrainContext { get; }

    public ValueTask<FsResult<ChangePage>> ReadAsync(SessionTicket session, InodeNumber directory, Lsn? after, int max, CancellationToken cancellation) =>
        Find(session) is not { } s ? new(Errno.ENOTCONN)
        : s.Access is not IChangeAccess access ? new(Errno.EOPNOTSUPP)
        : _sessions.Reads.RunAsync(() => access.ReadChangesAsync(directory, after, Math.Min(max, GrainInterfaces.Limits.MaxChanges), cancellation), cancellation);

    public async ValueTask<FsResult> WaitAsync(SessionTicket session, Lsn after, CancellationToken cancellation)
    {
        if (Find(session) is not { } s)
            return Errno.ENOTCONN;
        if (s.Access is not IChangeAccess access)
            return Errno.EOPNOTSUPP;
        using var patience = new CancellationTokenSource(GrainInterfaces.Limits.RecordWait, _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation, s.Ended, patience.Token);
        var result = await access.WaitForChangeAsync(after, linked.Token);
        return result.Error == Errno.EINTR && !cancellation.IsCancellationRequested ? s.IsEnded ? Errno.ENOTCONN : Errno.EAGAIN : result;
    }

    private ClientSession? Find(SessionTicket ticket) => _isOfThisVolume ? _sessions.Find(ticket) : null;
}
