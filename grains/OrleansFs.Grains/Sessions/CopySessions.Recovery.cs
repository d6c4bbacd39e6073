using OrleansFs.Engine.Metadata;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains.Sessions;

/// <content>
/// Sessions of an earlier run of this copy: each is there again, not attached, with its replies and with every orphan, until its client comes back or its lease is over. Until all are back, or the grace is over,
/// nothing is answered that could contradict what an earlier run answered.
/// </content>
public sealed partial class CopySessions
{
    private readonly HashSet<SessionId> _missing = [];
    private readonly Dictionary<SessionId, EndedSession> _ended = [];
    private TaskCompletionSource _recovered = NewRecovery();
    private ITimer? _grace;
    private int _extensions;

    /// <summary>Sessions that were ended for another copy that is to take over; null where none is. If it does not, they come back.</summary>
    private List<YieldedSession>? _yielded;

    /// <summary>Cancelled when sessions are ended for another copy.</summary>
    private CancellationTokenSource _yielding = new();

    /// <summary>Clients can reach the copy: until then no lease runs, for none of them could have been heard of.</summary>
    private volatile bool _serves;

    /// <summary>Completes when every session of before has made again what was lost, or their time is over.</summary>
    public Task Recovered => Volatile.Read(ref _recovered).Task;

    /// <summary>Ends a wait of the mount in this process for a lock: those that had it give it up only because this copy hands over.</summary>
    internal CancellationToken Yielding => Volatile.Read(ref _yielding).Token;

    private void TakeUpSessions()
    {
        if (_copy.Sessions is not { } store)
        {
            _recovered.TrySetResult();
            return;
        }
        foreach (var kept in store.Sessions)
        {
            var id = new SessionId(kept.Id);
            if (kept.Ended is { } ended && !_isExclusive)
            {
                _ended[id] = new EndedSession(kept, null, ended < _opened ? ended : _opened);
                continue;
            }
            if (_isExclusive)
            {
                // Nobody else is let in, so nobody can come back.
                store.Drop(id);
                continue;
            }
            var session = new ClientSession(NewTicket(id), kept.Client, _copy, _time.GetTimestamp(), RepliesOf(id), store.Orphans) { IsAttached = false, Lapse = new Lapse { Since = kept.Lapsed } };
            _sessions[id] = session;
            _missing.Add(id);
        }
        if (_missing.Count == 0)
        {
            // What nobody can have open goes, as it does when there were no sessions at all.
            using var nobody = new EndOf(_copy.OpenSession(HoldsNothing.Instance));
            foreach (var orphan in store.Orphans)
                nobody.Access.Forget(orphan);
            _recovered.TrySetResult();
            return;
        }
    }

    /// <summary>
    /// This copy is about to become the master. The sessions that it had were those of a replica: they end, and their clients attach again. When it is done the sessions of the master before, as far as the journal has told of
    /// them, have their time to come here (as after a restart of a copy).
    /// </summary>
    /// <returns>Disposed when it is done, or cannot be; until then nobody is let in.</returns>
    public IDisposable BecomeMaster()
    {
        EndAll(becomesMaster: true, mayGoOn: false);
        return new Succession(this);
    }

    /// <summary>
    /// Another copy has taken over from this one. What is answered after this counts for nothing (<c>ENOTCONN</c>); clients that follow the master find it when they attach again, the others go on here.
    /// </summary>
    public void EndAll() => EndAll(becomesMaster: false, mayGoOn: false);

    /// <summary>Another copy is about to take over. Where it does not, the sessions have their time to come back, with their locks, before anybody else is let in.</summary>
    public void Yield() => EndAll(becomesMaster: false, mayGoOn: true);

    /// <summary>Waits, where a session may not attach before those that were there before it.</summary>
    internal async ValueTask AdmitAsync(SessionId id, CancellationToken cancellation)
    {
        GoOnIfYielded();
        // While the copy yields nobody is let in, and is told so.
        while (!IsKnown(id) && !_copy.IsYielding && Recovered is { IsCompleted: false } recovered)
            await recovered.WaitAsync(cancellation);
    }

    /// <summary>Nobody has taken over: this copy goes on, with the sessions that it had. It has all that they were answered, but for their locks.</summary>
    private void GoOnIfYielded()
    {
        lock (_attaching)
        {
            if (_yielded is not { } yielded || _isClosed || _copy.IsYielding || _copy.Description is not { Role: CopyRole.Master, ReadOnly: false })
                return;
            _yielded = null;
            _opened = Now;
            if (_recovered.Task.IsCompleted)
                Volatile.Write(ref _recovered, NewRecovery());
            foreach (var (id, client, orphans, lapse) in yielded)
            {
                // A request that was under way was not answered, and may have been executed: what there is of its reply is in the volume.
                var session = new ClientSession(NewTicket(id), client, _copy, _time.GetTimestamp(), RepliesOf(id), orphans) { IsAttached = false, Lapse = lapse };
                _sessions[id] = session;
                _missing.Add(id);
                // The mount in this process goes on at once.
                NoteLapsed(session, _opened);
            }
            if (_missing.Count == 0)
                _recovered.TrySetResult();
        }
        BeginGrace();
    }

    private void EndAll(bool becomesMaster, bool mayGoOn)
    {
        ClientSession[] ended;
        TaskCompletionSource before;
        lock (_attaching)
        {
            _isBecomingMaster = becomesMaster;
            _grace?.Dispose();
            ended = [.. _sessions.Values];
            _sessions.Clear();
            _missing.Clear();
            if (mayGoOn)
            {
                (_yielded ??= []).AddRange(ended.Select(s => new YieldedSession(s.Ticket.Session, s.Client, s.Orphans, s.Lapse)));
            }
            else
            {
                _yielded = null;
                _ended.Clear();
            }
            before = _recovered;
            if (becomesMaster || mayGoOn)
                Volatile.Write(ref _recovered, NewRecovery());
        }
        // All of them before the first gives up its locks: who waits for one of these is not to get it.
        foreach (var session in ended)
            session.Dismiss();
        // Who waits for the others of before has been dismissed, and finds that out.
        before.TrySetResult();
        var yielding = Interlocked.Exchange(ref _yielding, new CancellationTokenSource());
        yielding.Cancel();
        foreach (var session in ended)
            session.Dispose();
    }

    private void Succeed()
    {
        lock (_attaching)
        {
            _isBecomingMaster = false;
            _opened = Now;
            TakeUpSessions();
        }
        BeginGrace();
    }

    private static TaskCompletionSource NewRecovery() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The silo serves: from now on the sessions of before have their time to come back.</summary>
    public void BeginGrace()
    {
        foreach (var session in _sessions.Values)
            session.Touch(_time.GetTimestamp());
        _serves = true;
        if (Recovered.IsCompleted)
            return;
        LogAwaiting(_logger, _missing.Count, GrainInterfaces.Limits.Grace.TotalSeconds);
        lock (_attaching)
        {
            _extensions = 0;
            _grace?.Dispose();
            _grace = _time.CreateTimer(_ => EndGrace(), null, GrainInterfaces.Limits.Grace, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Whether a session was known to an earlier run, and so may attach while new ones have to wait.</summary>
    internal bool IsKnown(SessionId id) => _sessions.ContainsKey(id);

    /// <summary>The client of a session has brought back what there was to bring back.</summary>
    internal void NoteRecovered(SessionId id)
    {
        bool isLast;
        lock (_attaching)
            isLast = _missing.Remove(id) && _missing.Count == 0;
        if (isLast && _recovered.TrySetResult())
            LogAllBack(_logger);
    }

    private bool IsComingBack(SessionId id) =>
        _sessions.TryGetValue(id, out var session) && session.IsAttached && _time.GetElapsedTime(session.LastSeen) <= 2 * GrainInterfaces.Limits.HeartbeatPeriod;

    private void EndGrace()
    {
        int missing;
        lock (_attaching)
        {
            // One that is there, and still brings back what there was, is not to lose its locks to others, nor to be told that they may have written.
            if (_extensions < Limits.GraceExtensions && _missing.Any(IsComingBack))
            {
                _extensions++;
                _grace?.Dispose();
                _grace = _time.CreateTimer(_ => EndGrace(), null, GrainInterfaces.Limits.Grace, Timeout.InfiniteTimeSpan);
                return;
            }
            missing = _missing.Count;
            // From now on others change what these may still have to write, and the next start does not wait for them again.
            foreach (var id in _missing)
            {
                if (_sessions.TryGetValue(id, out var session))
                    NoteLapsed(session, _opened, session.IsAttached ? null : Now);
            }
            _missing.Clear();
        }
        if (_recovered.TrySetResult())
            LogGraceOver(_logger, missing);
    }

    /// <summary>What is left of a session that has ended; of one that is new, nothing. <see cref="_attaching"/> is held.</summary>
    private (ReplySlots Replies, Lapse Lapse) Ended(SessionId id)
    {
        _ended.Remove(id, out var ended);
        return (ended?.Replies ?? RepliesOf(id), new Lapse { Since = ended?.Row.Lapsed });
    }

    private ReplySlots RepliesOf(SessionId id)
    {
        var replies = new ReplySlots(GrainInterfaces.Limits.MaxSlots);
        if (_copy.Sessions is { } store)
            replies.Restore(store.RepliesOf(id));
        return replies;
    }

    /// <summary>A session has ended without having said so: should its client come back after all, what it was answered is still known. <see cref="_attaching"/> is held.</summary>
    private void RememberEnded(ClientSession session)
    {
        var now = Now;
        NoteLapsed(session, TimeAt(session.LastSeen), now);
        _ended[session.Ticket.Session] = new EndedSession(Row(session, now), session.Replies, now);
    }

    private void ForgetEnded()
    {
        lock (_attaching)
        {
            foreach (var (id, ended) in _ended)
            {
                if (Now.Nanoseconds - ended.Since.Nanoseconds <= Limits.RepliesKept.Ticks * 100 && _ended.Count <= Limits.MaxSessions)
                    continue;
                _ended.Remove(id);
                _copy.Sessions?.Drop(id);
            }
        }
    }

    /// <summary>A session whose lease is over.</summary>
    /// <param name="Row">What is kept of it.</param>
    /// <param name="Replies">Its replies; null where they have not been read in this run.</param>
    /// <param name="Since">Since when, by the volume's time; no later than this run, whatever the clock was then.</param>
    private sealed record EndedSession(KeptSession Row, ReplySlots? Replies, Timestamp Since);

    /// <summary>A session of a copy that was to hand over.</summary>
    private sealed record YieldedSession(SessionId Id, string Client, InodeNumber[] Orphans, Lapse Lapse);

    private sealed class Succession(CopySessions sessions) : IDisposable
    {
        public void Dispose() => sessions.Succeed();
    }

    private sealed class EndOf(VolumeSession session) : IDisposable
    {
        public IVolumeAccess Access => session.Access;

        public void Dispose() => session.End();
    }
}
