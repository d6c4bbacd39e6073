using Microsoft.Extensions.Logging;
using Orleans.Concurrency;
using Orleans.GrainDirectory;
using OrleansFs.Engine;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Placement;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>The door to one session of <see cref="CopySessions"/>, which outlives an activation. Calls interleave, so that a heartbeat passes one that waits for a lock.</summary>
[GrainType("ofs.session"), CopyPlacement, GrainDirectory(NoDirectory.Name), Reentrant]
internal sealed class SessionGrain : IGrainBase, ISessionGrain
{
    private readonly CopySessions _sessions;
    private readonly TimeProvider _time;
    private readonly SessionId _id;

    public SessionGrain(IGrainContext context, CopySessions sessions, TimeProvider time)
    {
        GrainContext = context;
        _sessions = sessions;
        _time = time;
        var key = SessionKey.Parse(GrainKeys.Text(context));
        GrainKeys.RequireHere(key.Copy, sessions.Copy);
        _id = key.Session;
    }

    public IGrainContext GrainContext { get; }

    public async ValueTask<FsResult<SessionGrant>> AttachAsync(SessionStart start, CancellationToken cancellation)
    {
        if (!_sessions.Understands(start))
            return Errno.EPROTONOSUPPORT;
        if (!_sessions.IsKnown(_id))
            await _sessions.Recovered.WaitAsync(cancellation);
        var grant = _sessions.Attach(_id, start);
        if (grant.IsOk)
            await _sessions.Commits.JoinAsync(alone: false);
        return grant;
    }

    public async ValueTask<FsResult> RecoveredAsync(SessionTicket session, CancellationToken cancellation)
    {
        if (_sessions.Find(session) is not { } s)
            return Errno.ENOTCONN;
        _sessions.CaughtUp(s, CopySessions.LapsesOf(s));
        _sessions.NoteRecovered(_id);
        await _sessions.Recovered.WaitAsync(cancellation);
        return FsResult.Ok;
    }

    public ValueTask<FsResult<SessionPulse>> HeartbeatAsync(SessionTicket session, CancellationToken cancellation) =>
        new(_sessions.Find(session) is { } s ? Pulse(s) : Errno.ENOTCONN);

    public ValueTask<FsResult<long>> SubscribeAsync(SessionTicket session, ISessionObserver observer, CancellationToken cancellation) => new(_sessions.Subscribe(session, observer));

    public ValueTask<FsResult> ForgetAsync(SessionTicket session, InodeNumber[] inodes, CancellationToken cancellation)
    {
        if (_sessions.Find(session) is not { } s)
            return new(Errno.ENOTCONN);
        if (inodes.Length > GrainInterfaces.Limits.MaxInodesPerCall)
            return new(Errno.EINVAL);
        s.Forget(inodes);
        return new(FsResult.Ok);
    }

    public ValueTask<FsResult> DetachAsync(SessionTicket session, CancellationToken cancellation) => new(_sessions.Detach(session));

    public ValueTask<FsResult<FileLock>> GetLockAsync(SessionTicket session, InodeNumber inode, FileLock wanted, CancellationToken cancellation) =>
        _sessions.Find(session) is { } s ? s.Access.GetLockAsync(inode, wanted, cancellation) : new(Errno.ENOTCONN);

    public ValueTask<FsResult> SetLockAsync(ChangeRequest request, InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation) =>
        _sessions.RunOnceAsync(request, s => SetLockAsync(s, inode, wanted, wait, cancellation));

    private static SessionPulse Pulse(ClientSession session)
    {
        var leases = session.Leases;
        leases?.Renew();
        return new SessionPulse { Orphans = session.TakeQuestions(GrainInterfaces.Limits.MaxInodesPerCall), Term = leases?.Term ?? 0 };
    }

    private async ValueTask<FsResult> SetLockAsync(ClientSession session, InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation)
    {
        FsResult result;
        if (wait)
        {
            using var patience = new CancellationTokenSource(GrainInterfaces.Limits.LockWait, _time);
            using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation, session.Ended, patience.Token);
            result = await session.Access.SetLockAsync(inode, wanted, true, linked.Token);
            if (result.Error == Errno.EINTR && !cancellation.IsCancellationRequested)
                result = session.IsEnded ? Errno.ENOTCONN : Errno.EAGAIN;
        }
        else
        {
            result = await session.Access.SetLockAsync(inode, wanted, false, cancellation);
        }
        session.GiveUpIfEnded();
        return result;
    }
}

/// <summary>Says what this silo serves.</summary>
[GrainType("ofs.copy"), CopyPlacement, GrainDirectory(NoDirectory.Name), Reentrant]
internal sealed class CopyGrain : IGrainBase, ICopyGrain
{
    private readonly CopySessions _sessions;
    private readonly ReplicasInCluster _replicas;
    private readonly IGrainFactory _grains;
    private readonly ILogger _logger;

    public CopyGrain(IGrainContext context, CopySessions sessions, ReplicasInCluster replicas, IGrainFactory grains, ILogger<CopyGrain> logger)
    {
        _grains = grains;
        GrainContext = context;
        _sessions = sessions;
        _replicas = replicas;
        _logger = logger;
        GrainKeys.RequireHere(CopyGrainKey.Parse(GrainKeys.Text(context)).Copy, sessions.Copy);
    }

    public IGrainContext GrainContext { get; }

    private VolumeCopy? Volume => (_sessions.Copy as IReplicated)?.Volume;

    public ValueTask<FsResult<CopyDescription>> DescribeAsync(CancellationToken cancellation) => new(_sessions.Description);

    public async ValueTask<FsResult<MasterReport>> ListReplicasAsync(CancellationToken cancellation) =>
        Volume is { Role: VolumeRole.Master } volume ? await Task.Run(volume.Replication.Measure, cancellation) : Errno.EROFS;

    public async ValueTask<FsResult<DrainStep>> DrainAsync(int copies, Lsn? target, CancellationToken cancellation)
    {
        if (Volume is not { Role: VolumeRole.Master } volume)
            return Errno.EROFS;
        if (copies < 1)
            return Errno.EINVAL;
        var step = await Task.Run(() => volume.Replication.DrainStepAsync(copies, target, GrainInterfaces.Limits.DrainWait, cancellation), cancellation);
        if (!step.TryGet(out var reached, out var error))
            return error;
        return new DrainStep { Target = reached.Target, Reached = reached.Reached, Copies = reached.Copies, IsDone = reached.Copies >= copies };
    }

    public async ValueTask<FsResult<VerificationReport>> VerifyAsync(VerificationAction action, CancellationToken cancellation) =>
        Volume is { } volume ? await Task.Run(() => volume.Verify(action), cancellation) : Errno.EAGAIN;

    public async ValueTask<FsResult<Lsn>> YieldAsync(CopyName to, CancellationToken cancellation) =>
        Volume is { } volume ? await Task.Run(() => volume.YieldAsync(to, GrainInterfaces.Limits.YieldPatience, cancellation), cancellation) : Errno.EROFS;

    public async ValueTask<FsResult<Promotion>> PromoteAsync(bool force, CancellationToken cancellation)
    {
        if (Volume is not { } volume || volume.Epoch.Value == 0)
            return Errno.EAGAIN;
        if (volume.Role == VolumeRole.Master || (_sessions.Copy as IReplicated)?.Receiver is not { } receiver)
            return Errno.EEXIST;
        try
        {
            var others = await _replicas.FindAsync(volume.Copy, volume.Id, cancellation);
            var handOver = others.Master is { } master ? await TakeOverAsync(master, volume.Copy, cancellation) : HandOver.Away;
            if (handOver == HandOver.Refused && !force)
                return Errno.EBUSY;
            var epoch = await Task.Run(() => receiver.PromoteAsync(others.Links, force, cancellation), cancellation);
            return new Promotion { Epoch = epoch, HandedOver = handOver == HandOver.Done ? others.Master : null };
        }
        catch (NotNewestException e)
        {
            _logger.LogError("{Reason}", e.Message);
            return Errno.ESTALE;
        }
        catch (VolumeException e)
        {
            _logger.LogError(e, "the promotion failed");
            return Errno.EIO;
        }
    }

    /// <summary>Has the master bring to this copy all that it was given.</summary>
    private async ValueTask<HandOver> TakeOverAsync(CopyName master, CopyName here, CancellationToken cancellation)
    {
        try
        {
            var result = await _grains.GetGrain<ICopyGrain>(new CopyGrainKey(master).ToString()).YieldAsync(here, cancellation);
            if (result.IsOk)
                return HandOver.Done;
            _logger.LogWarning("the master '{Master}' does not hand over: not everything that it was given could be brought here ({Error})", master, result.Error);
            return result.Error == Errno.EROFS ? HandOver.Away : HandOver.Refused;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            _logger.LogWarning("the master '{Master}' does not hand over: {Reason}", master, e.Message.ReplaceLineEndings(" "));
            return e is TimeoutException ? HandOver.Refused : HandOver.Away;
        }
    }

    private enum HandOver
    {
        /// <summary>There is no master that can be reached.</summary>
        Away,

        /// <summary>It is there, and cannot bring here all that it has.</summary>
        Refused,

        Done,
    }
}
