using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>
/// Sessions in other processes, and the replies to their changes: kept with the changes themselves, so that a change whose answer was lost with the process is answered again instead of made again. Replicas are told of
/// both by the journal: a replica that becomes the master goes on with the sessions of the one before.
/// </content>
internal sealed partial class MetadataStore
{
    private ChangeRecord? _record;

    /// <summary>Keeps the reply to a change of content, which is in memory yet. A mutation of the file: who has that synced, and each replica that gets it, has the reply too. Call with the file's gate held since before the change.</summary>
    public void KeepReply(Inode inode, in ReplyKey key, byte[] value)
    {
        lock (Lock)
        {
            if (TryKeepReply(key, value))
            {
                Volatile.Write(ref inode.Changed, _tail + 1);
                Done();
            }
        }
    }

    /// <summary>Keeps the reply to the change that was just made. Called with the lock held since before the change, so that no commit comes in between.</summary>
    private void KeepReply(in ReplyKey key, byte[] value)
    {
        // It is journaled with the change; where that changed nothing it is a mutation itself.
        if (TryKeepReply(key, value) && PendingMutations == 0)
            Done();
    }

    private bool TryKeepReply(in ReplyKey key, byte[] value)
    {
        if (Enter() is not Errno.None)
            return false; // The change itself is in no better place: IsReady says why.
        try
        {
            ApplyPutReply(key, value);
            _effects.PutReply(key, value);
            return true;
        }
        catch (Exception e)
        {
            Undo(e);
            return false;
        }
    }

    /// <summary>What is changed from here to <see cref="End(Errno)"/> is written down. The lock is held from the one to the other.</summary>
    public void Begin(ChangeRecord? record) => _record = record;

    /// <summary>A change that gives nothing is made, or has failed.</summary>
    public void End(Errno outcome)
    {
        var record = _record;
        _record = null;
        if (outcome == Errno.None && record?.Reply is { } key)
            KeepReply(key, ReplyValue.Nothing());
    }

    /// <summary>A change that gives attributes is made, or has failed.</summary>
    public FsResult<Attributes> End(FsResult<Attributes> result)
    {
        var record = _record;
        _record = null;
        if (record?.Reply is { } key && result.TryGet(out var attributes, out _))
            KeepReply(key, ReplyValue.Of(attributes));
        return result;
    }

    /// <summary>A session begins, or something of it is another. A mutation.</summary>
    public FsResult PutSession(KeptSession session)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                ApplyPutSession(session);
                _effects.PutSession(session);
                Done();
                return FsResult.Ok;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>A session has ended and nobody will ask for its replies. A mutation.</summary>
    public FsResult DeleteSession(Guid session)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                ApplyDeleteSession(session);
                _effects.DeleteSession(session);
                Done();
                return FsResult.Ok;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>Sessions whose replies are kept.</summary>
    /// <exception cref="MetadataException">They cannot be read.</exception>
    public IReadOnlyList<KeptSession> Sessions()
    {
        lock (Lock)
        {
            RequireReady();
            var sessions = new List<KeptSession>();
            using var s = _database.Prepare("SELECT id, client, lapsed, ended FROM session");
            while (s.Step())
                sessions.Add(new KeptSession(new Guid(s.Blob(0)), s.Text(1), s.IsNull(2) ? null : s.Time(2), s.IsNull(3) ? null : s.Time(3)));
            return sessions;
        }
    }

    /// <summary>The replies kept for a session.</summary>
    /// <exception cref="MetadataException">They cannot be read.</exception>
    public IReadOnlyList<KeptReply> Replies(Guid session)
    {
        lock (Lock)
        {
            RequireReady();
            var replies = new List<KeptReply>();
            var s = _sql.Replies.Bind(1, session.ToByteArray());
            while (s.Step())
                replies.Add(new KeptReply(s.Int32(0), s.Int64(1), s.Blob(2).ToArray()));
            return replies;
        }
    }

    private void ApplyPutSession(KeptSession session) => _sql.PutSession.Bind(1, session.Id.ToByteArray()).BindText(2, session.Client).Bind(3, session.Lapsed).Bind(4, session.Ended).Run();

    private void ApplyDeleteSession(Guid session)
    {
        byte[] id = session.ToByteArray();
        _sql.DeleteReplies.Bind(1, id).Run();
        _sql.DeleteSession.Bind(1, id).Run();
    }

    private void ApplyPutReply(in ReplyKey key, ReadOnlySpan<byte> value) =>
        _sql.PutReply.Bind(1, key.Session.ToByteArray()).Bind(2, (long)key.Slot).Bind(3, key.Sequence).Bind(4, value).Run();
}
