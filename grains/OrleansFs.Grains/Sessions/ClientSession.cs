using OrleansFs.Engine.Metadata;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains.Sessions;

/// <summary>One attachment of a remote mount, at the copy: its access to the volume, its replies, its lease, and which orphans it may know.</summary>
/// <remarks>
/// Invariants: (1) an inode that lost its last name is held by the session until the client said that it does not know it, or until the session ended; (2) after the end the
/// session holds nothing, and what an operation that was still under way took is given up by that operation (<see cref="IsEnded"/> is looked at after taking).
/// </remarks>
internal sealed partial class ClientSession : IInodeHolder, IDisposable
{
    private readonly Lock _lock = new();
    private readonly HashSet<InodeNumber> _orphans = [];
    private readonly Queue<InodeNumber> _questions = new();
    private readonly HashSet<InodeNumber> _forgotten = [];
    private readonly Queue<InodeNumber> _forgottenOrder = new();
    private readonly CancellationTokenSource _ended = new();
    private readonly VolumeSession _volume;
    private long _lastSeen;
    private bool _isEnded;

    /// <param name="ticket">What the client shows.</param>
    /// <param name="client">Where and what, for the log.</param>
    /// <param name="copy">The copy.</param>
    /// <param name="now">Timestamp of <see cref="TimeProvider"/>.</param>
    /// <param name="replies">The session's replies, of this attachment and those before it.</param>
    /// <param name="orphans">Inodes without a name that the client may know.</param>
    /// <param name="accessTimes">When its reads bring up access times.</param>
    public ClientSession(SessionTicket ticket, string client, IVolumeCopy copy, long now, ReplySlots replies, IEnumerable<InodeNumber> orphans, AccessTimes accessTimes = AccessTimes.Relative)
    {
        Ticket = ticket;
        Client = client;
        _lastSeen = now;
        Replies = replies;
        foreach (var orphan in orphans)
        {
            if (_orphans.Add(orphan))
                _questions.Enqueue(orphan);
        }
        Ended = _ended.Token;
        _volume = copy.OpenSession(this, accessTimes);
    }

    /// <summary>The client has been heard of in this run of the copy.</summary>
    public bool IsAttached { get; init; } = true;

    /// <summary>What the client was not told: guarded by <see cref="CopySessions"/>.</summary>
    public Lapse Lapse { get; init; } = new();

    /// <summary>How often it had lapsed when the client was told (<see cref="SessionGrant.Lapses"/>).</summary>
    public long GrantedLapses { get; init; }

    /// <summary>Others have gone on without the client since: what it has to bring back may be older than what they wrote, and it does not know that.</summary>
    public bool HasLapsed => Lapse.Count != GrantedLapses;

    public SessionTicket Ticket { get; }

    /// <summary>Where and what, for the log.</summary>
    public string Client { get; }

    public ReplySlots Replies { get; }

    public IVolumeAccess Access => _volume.Access;

    /// <summary>The access for one change, of which is written down what it was.</summary>
    public IVolumeAccess Once(ChangeRecord record) => _volume.Once?.Invoke(record) ?? Access;

    /// <summary>Inodes without a name that the client may know.</summary>
    public InodeNumber[] Orphans
    {
        get
        {
            lock (_lock)
                return [.. _orphans];
        }
    }

    /// <summary>Cancelled when the session ends: what waits on its behalf stops waiting.</summary>
    public CancellationToken Ended { get; }

    public bool IsEnded
    {
        get
        {
            lock (_lock)
                return _isEnded;
        }
    }

    /// <summary>Ended by the copy, not by its client or its lease: nothing of it is remembered here.</summary>
    public bool IsDismissed { get; private set; }

    /// <summary>Timestamp of <see cref="TimeProvider"/> at which the client was last heard of.</summary>
    public long LastSeen => Volatile.Read(ref _lastSeen);

    public void Touch(long now) => Volatile.Write(ref _lastSeen, now);

    bool IInodeHolder.OutlivesProcess => true;

    /// <summary>Asked when an inode has no name any more. The client cannot be asked within the call: it may know the inode until it says that it does not.</summary>
    public bool Holds(InodeNumber inode)
    {
        lock (_lock)
        {
            if (_isEnded || _forgotten.Contains(inode))
                return false;
            if (_orphans.Add(inode))
                _questions.Enqueue(inode);
            return true;
        }
    }

    /// <summary>The session made an inode without a name.</summary>
    public void Hold(InodeNumber inode)
    {
        lock (_lock)
        {
            if (!_isEnded)
            {
                if (_orphans.Add(inode))
                    _questions.Enqueue(inode);
                return;
            }
        }
        Access.Forget(inode);
    }

    /// <summary>Orphans that the client is to be asked about, in turn: one that it keeps is asked about again after all others.</summary>
    public InodeNumber[] TakeQuestions(int count)
    {
        lock (_lock)
        {
            var asked = new List<InodeNumber>(Math.Min(count, _questions.Count));
            for (int rest = _questions.Count; rest > 0 && asked.Count < count; rest--)
            {
                var inode = _questions.Dequeue();
                if (!_orphans.Contains(inode))
                    continue; // given up in the meantime
                asked.Add(inode);
                _questions.Enqueue(inode);
            }
            return [.. asked];
        }
    }

    /// <summary>The client does not know these inodes any more.</summary>
    public void Forget(ReadOnlySpan<InodeNumber> inodes)
    {
        lock (_lock)
        {
            foreach (var inode in inodes)
            {
                // Also one that is no orphan yet: no, for the client may look it up again by its name.
                if (!_orphans.Remove(inode) || !_forgotten.Add(inode))
                    continue;
                _forgottenOrder.Enqueue(inode);
                if (_forgottenOrder.Count > Limits.RememberedForgotten)
                    _forgotten.Remove(_forgottenOrder.Dequeue());
            }
        }
        foreach (var inode in inodes)
            Access.Forget(inode);
    }

    /// <summary>Gives up what an operation took while the session ended under it.</summary>
    public void GiveUpIfEnded()
    {
        if (IsEnded)
            _volume.End();
    }

    /// <summary>Ends the session. Locks, holds and waits go.</summary>
    public void End()
    {
        InodeNumber[] held;
        lock (_lock)
        {
            if (_isEnded)
                return;
            _isEnded = true;
            held = [.. _orphans];
            _orphans.Clear();
            _questions.Clear();
        }
        Leases = null;
        _ended.Cancel();
        foreach (var inode in held)
            Access.Forget(inode);
        _volume.End();
    }

    /// <summary>Another copy is the master, or is about to be: what the session is answered from now on counts for nothing. It is to be ended then.</summary>
    public void Dismiss() => IsDismissed = true;

    public void Dispose()
    {
        End();
        _ended.Dispose();
    }
}
