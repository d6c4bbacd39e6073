using Orleans.Concurrency;
using Orleans.GrainDirectory;
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
        await _sessions.AdmitAsync(_id, cancellation);
        var grant = _sessions.Attach(_id, start);
        if (grant.IsOk)
            await _sessions.KeepAsync();
        return grant;
    }

    public async ValueTask<FsResult> RecoveredAsync(SessionTicket session, long lapses, CancellationToken cancellation)
    {
        if (_sessions.Find(session) is not { } s)
            return Errno.ENOTCONN;
        _sessions.CaughtUp(s, lapses);
        _sessions.NoteRecovered(_id);
        await _sessions.Recovered.WaitAsync(cancellation);
        return s.IsDismissed ? Errno.ENOTCONN : FsResult.Ok;
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

    public ValueTask<FsResult> SetLockAsync(ChangeRequest request, InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation)
    {
        // Not before those that had locks have had their time to claim them.
        bool isNew = request.Slot != GrainInterfaces.Limits.RecoverySlot && wanted.Kind != LockKind.Unlock;
        return isNew && !_sessions.Recovered.IsCompleted ? Later() : Now();

        ValueTask<FsResult> Now() => _sessions.RunOnceAsync(request, s => SetLockAsync(s, inode, wanted, wait, cancellation));

        async ValueTask<FsResult> Later()
        {
            try
            {
                while (_sessions.Recovered is { IsCompleted: false } recovered)
                    await recovered.WaitAsync(cancellation);
            }
            catch (OperationCanceledException)
            {
                return Errno.EINTR;
            }
            return await Now();
        }
    }

    private SessionPulse Pulse(ClientSession session)
    {
        var leases = session.Leases;
        leases?.Renew();
        return new SessionPulse { Orphans = session.TakeQuestions(GrainInterfaces.Limits.MaxInodesPerCall), Term = leases?.Term ?? 0, Gateway = _sessions.Gateway, Lapses = session.Lapse.Count };
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
