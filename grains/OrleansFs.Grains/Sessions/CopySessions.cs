using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Leases;
using OrleansFs.Model;

namespace OrleansFs.Grains.Sessions;

/// <summary>The remote mounts of one copy, and the threads that work for them. One for each silo; thread-safe.</summary>
public sealed partial class CopySessions : IDisposable
{
    private readonly ConcurrentDictionary<SessionId, ClientSession> _sessions = new();
    private readonly Lock _attaching = new();
    private readonly IVolumeCopy _copy;
    private readonly TimeProvider _time;
    private readonly Guid _run = Guid.NewGuid();
    private readonly bool _isExclusive;
    private readonly ILogger<CopySessions> _logger;
    private readonly ITimer _expiry;
    private readonly Meter _meter = new("OrleansFs.Grains");
    private readonly Counter<long> _expired;
    private readonly Counter<long> _replayed;
    private VolumeSession? _status;
    private bool _isClosed;
    private bool _isBecomingMaster;

    public CopySessions(IVolumeCopy copy, TimeProvider time, bool exclusive, ILogger<CopySessions> logger)
    {
        _copy = copy;
        _time = time;
        _opened = Now;
        _isExclusive = exclusive;
        _logger = logger;
        _expired = _meter.CreateCounter<long>("orleansfs.sessions.expired", "{session}", "Sessions that ended because nothing was heard of their mount.");
        _replayed = _meter.CreateCounter<long>("orleansfs.requests.replayed", "{request}", "Requests that arrived again and were answered from the reply cache.");
        _meter.CreateObservableGauge("orleansfs.sessions", () => _sessions.Count, "{session}", "Mounts in processes of their own.");
        _meter.CreateObservableGauge("orleansfs.leases", () => Leases.Count, "{lease}", "Inodes of which a mount in another process was told, each once for each mount.");
        _meter.CreateObservableGauge("orleansfs.requests.content", () => Reads.Present + Writes.Present, "{request}", "Requests for content under way or waiting.");
        TakeUpSessions();
        _expiry = time.CreateTimer(_ => ExpireSilent(), null, Limits.ExpiryTick, Limits.ExpiryTick);
    }

    internal IVolumeCopy Copy => _copy;

    /// <summary>The copy, as clients are told of it.</summary>
    internal CopyDescription Description => _copy.Description with { Contract = Contract.Id };

    /// <summary>What was changed before survives a kill of the process. Where that fails, everything is still in the open transaction, for the next to try again: the copy logs it and says it in its status.</summary>
    internal async ValueTask KeepAsync() => _ = await _copy.KeepAsync(CancellationToken.None);

    internal LeaseTable Leases { get; } = new();

    internal WorkLane Reads { get; } = new(Limits.ConcurrentReads, Limits.QueuedRequests);

    internal WorkLane Writes { get; } = new(Limits.ConcurrentWrites, Limits.QueuedRequests);

    /// <summary>Where the silo takes direct calls, "address:port"; null: nowhere.</summary>
    public string? Gateway { get; set; }

    /// <summary>Sessions now.</summary>
    public int Count => _sessions.Count;

    internal FsResult<SessionGrant> Attach(SessionId id, SessionStart start)
    {
        ClientSession session;
        ClientSession? earlier;
        lock (_attaching)
        {
            if (_isClosed)
                return Errno.ENOTCONN;
            if (_isExclusive)
                return Errno.EBUSY;
            bool isToGoOn = _yielded is not null && _copy.Description is { Role: CopyRole.Master, ReadOnly: false };
            if (_isBecomingMaster || _copy.IsYielding || isToGoOn || !_copy.IsReady)
                return Errno.EAGAIN;
            // Before anything is kept of it: what the client would bring back here belongs to other files.
            if (start.Volume != default && start.Volume != _copy.Description.Volume)
            {
                LogOtherVolume(_logger, start.Client, start.Volume);
                return Errno.ESTALE;
            }
            if (!_sessions.TryGetValue(id, out earlier))
            {
                if (_sessions.Count >= Limits.MaxSessions)
                {
                    LogTooMany(_logger, start.Client, Limits.MaxSessions);
                    return Errno.EMFILE;
                }
            }
            else if (earlier.IsAttached)
            {
                // Its leases go with the attachment, and it may keep content of files that others change from now on.
                NoteLapsed(earlier, TimeAt(earlier.LastSeen));
            }
            // What it was answered, and what it may have open, stays its own; its locks it claims anew.
            var (replies, lapse) = earlier is null ? Ended(id) : (earlier.Replies, earlier.Lapse);
            session = new ClientSession(NewTicket(id), start.Client, _copy, _time.GetTimestamp(), replies, earlier?.Orphans ?? [], start.AccessTimes) { Lapse = lapse, GrantedLapses = lapse.Count };
            if (_copy.Sessions?.Keep(Row(session, ended: null)) is { IsOk: false, Error: var error })
                return error;
            _sessions[id] = session;
        }
        earlier?.Dispose();
        LogAttached(_logger, id, start.Client);
        return new SessionGrant
        {
            Ticket = session.Ticket,
            Lease = GrainInterfaces.Limits.SessionLease,
            Slots = session.Replies.Count,
            Copy = Description,
            Run = _run,
            Lapsed = session.Lapse.Since,
            Gateway = Gateway,
            Lapses = session.GrantedLapses,
        };
    }

    /// <summary>Whether the client and this silo mean the same by what they say to each other.</summary>
    internal bool Understands(SessionStart start)
    {
        if (Contract.Mismatch($"the mount {start.Client}", start.Contract) is not { } mismatch)
            return true;
        LogOtherContract(_logger, mismatch);
        return false;
    }

    /// <summary>The volume for the mount in this process.</summary>
    /// <param name="mount">What its kernel knows.</param>
    /// <param name="accessTimes">When its reads bring up access times.</param>
    public IVolumeAccess OpenBeside(ICacheHolder mount, AccessTimes accessTimes)
    {
        Leases.Beside = mount;
        return new BesideAccess(_copy.OpenSession(mount, accessTimes), Leases, this);
    }

    /// <summary>The client is told from now on when what it was answered is no longer so. <c>EOPNOTSUPP</c> on a replica, which changes by itself.</summary>
    internal FsResult<long> Subscribe(SessionTicket ticket, ISessionObserver client)
    {
        if (Find(ticket) is not { } session)
            return Errno.ENOTCONN;
        if (_copy.Description is not { Role: CopyRole.Master, ReadOnly: false } || _copy.Sessions is null)
            return Errno.EOPNOTSUPP;
        var holder = new LeaseHolder(Leases, client, session.Client, _time, _logger, renewed => NoteLapsed(session, TimeAt(renewed)));
        session.Leases = holder;
        return holder.Term;
    }

    /// <summary>The session of a ticket, whose lease is renewed by that; null: <c>ENOTCONN</c>.</summary>
    internal ClientSession? Find(SessionTicket ticket)
    {
        if (!_sessions.TryGetValue(ticket.Session, out var session) || session.Ticket != ticket)
            return null;
        session.Touch(_time.GetTimestamp());
        return session;
    }

    /// <summary>Does something once for a session (see <see cref="ChangeRequest"/>).</summary>
    /// <param name="request">The request.</param>
    /// <param name="operation">What to do.</param>
    /// <param name="again">See <see cref="ReplySlots.RunAsync"/>.</param>
    internal ValueTask<TResult> RunOnceAsync<TResult>(
        ChangeRequest request, Func<ClientSession, ValueTask<TResult>> operation, Func<ClientSession, TResult, ValueTask<TResult>>? again = null)
        where TResult : struct, IFsResult<TResult>
    {
        if (Find(request.Ticket) is not { } session || (request.Slot == GrainInterfaces.Limits.RecoverySlot && session.HasLapsed))
            return new(TResult.Failed(Errno.ENOTCONN));
        var result = session.Replies.RunAsync(request.Slot, request.Sequence, () => SeenAfter(session, operation), out bool replayed, again is null ? null : reply => again(session, reply));
        if (replayed)
            _replayed.Add(1);
        return result;
    }

    /// <summary>A change by a session is not later than when it was last heard of.</summary>
    private async ValueTask<TResult> SeenAfter<TResult>(ClientSession session, Func<ClientSession, ValueTask<TResult>> operation)
        where TResult : struct, IFsResult<TResult>
    {
        var result = await operation(session);
        session.Touch(_time.GetTimestamp());
        // It may be missing from what another copy goes on with: the client asks there.
        return session.IsDismissed ? TResult.Failed(Errno.ENOTCONN) : result;
    }

    /// <summary>Brings something to disk for a session. What another copy goes on with may be without it: the client asks there.</summary>
    internal async ValueTask<FsResult> SyncedAsync(SessionTicket ticket, Func<ClientSession, ValueTask<FsResult>> sync)
    {
        if (Find(ticket) is not { } session)
            return Errno.ENOTCONN;
        var result = await OffGrain.RunAsync(() => sync(session));
        return session.IsDismissed ? Errno.ENOTCONN : result;
    }

    internal FsResult Detach(SessionTicket ticket)
    {
        if (Find(ticket) is not { } session || !_sessions.TryRemove(new(ticket.Session, session)))
            return Errno.ENOTCONN;
        session.Dispose();
        _copy.Sessions?.Drop(ticket.Session);
        NoteRecovered(ticket.Session);
        LogDetached(_logger, ticket.Session, session.Client);
        return FsResult.Ok;
    }

    /// <summary>The volume's status, for whoever asks; <c>EAGAIN</c> where there is nothing yet to tell of.</summary>
    internal ValueTask<FsResult<VolumeStatus>> GetStatusAsync(CancellationToken cancellation)
    {
        if (!_copy.IsReady)
            return new(Errno.EAGAIN);
        VolumeSession status;
        lock (_attaching)
            status = _status ??= _copy.OpenSession(HoldsNothing.Instance);
        return status.Access.GetStatusAsync(cancellation);
    }

    /// <summary>Ends all sessions: the silo stops. Their mounts attach again when it is back.</summary>
    public void Dispose()
    {
        lock (_attaching)
        {
            if (_isClosed)
                return;
            _isClosed = true;
        }
        _expiry.Dispose();
        _grace?.Dispose();
        _recovered.TrySetResult();
        foreach (var session in _sessions.Values)
            session.Dispose();
        _sessions.Clear();
        _status?.End();
        _meter.Dispose();
        Reads.Dispose();
        Writes.Dispose();
    }

    /// <summary>Random, so that a ticket of an earlier run of this silo is not taken for one of this.</summary>
    private static SessionTicket NewTicket(SessionId id) => new(id, BitConverter.ToInt64(RandomNumberGenerator.GetBytes(8)));

    private void ExpireSilent()
    {
        try
        {
            GoOnIfYielded();
            foreach (var session in _sessions.Values)
            {
                var silent = _time.GetElapsedTime(session.LastSeen);
                if (silent <= GrainInterfaces.Limits.SessionLease || (!session.IsAttached && !_serves))
                    continue;
                lock (_attaching)
                {
                    if (!_sessions.TryRemove(new(session.Ticket.Session, session)))
                        continue;
                    RememberEnded(session);
                }
                session.Dispose();
                _expired.Add(1);
                LogExpired(_logger, session.Ticket.Session, session.Client, silent.TotalSeconds);
            }
            ForgetEnded();
        }
        catch (Exception e)
        {
            LogExpiryFailed(_logger, e); // A timer's callback has nobody to throw to; the next tick tries again.
        }
    }

    private sealed class HoldsNothing : IInodeHolder
    {
        public static readonly HoldsNothing Instance = new();

        public bool Holds(InodeNumber inode) => false;
    }
}
