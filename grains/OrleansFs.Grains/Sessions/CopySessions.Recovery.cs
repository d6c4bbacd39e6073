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

    /// <summary>Clients can reach the copy: until then no lease runs, for none of them could have been heard of.</summary>
    private volatile bool _serves;

    /// <summary>Completes when every session of before has made again what was lost, or their time is over.</summary>
    public Task Recovered => Volatile.Read(ref _recovered).Task;

    private void TakeUpSessions()
    {
        if (_copy.Sessions is not { } store)
        {
            _recovered.SetResult();
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
            _recovered.SetResult();
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
        EndAll(becomesMaster: true);
        return new Succession(this);
    }

    /// <summary>
    /// Another copy has taken over from this one, or is about to. What is answered after this counts for nothing (<c>ENOTCONN</c>); clients that follow the master find it when they attach again, the others go on here.
    /// </summary>
    public void EndAll() => EndAll(becomesMaster: false);

    private void EndAll(bool becomesMaster)
    {
        ClientSession[] ended;
        lock (_attaching)
        {
            _isBecomingMaster = becomesMaster;
            ended = [.. _sessions.Values];
            _sessions.Clear();
            _missing.Clear();
            _ended.Clear();
            if (becomesMaster && _recovered.Task.IsCompleted)
                Volatile.Write(ref _recovered, NewRecovery());
        }
        if (!becomesMaster)
            _recovered.TrySetResult();
        foreach (var session in ended)
            session.Dismiss();
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
        _grace?.Dispose();
        _grace = _time.CreateTimer(_ => EndGrace(), null, GrainInterfaces.Limits.Grace, Timeout.InfiniteTimeSpan);
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

    private void EndGrace()
    {
        int missing;
        lock (_attaching)
        {
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
