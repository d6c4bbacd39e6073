using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>What outlives this process of the sessions in other processes: see <see cref="MetadataStore.KeepReply"/>.</content>
public sealed partial class VolumeCopy
{
    /// <summary>Sessions that had not ended when this copy was opened as the master, or became it, and such as had whose replies are kept.</summary>
    public IReadOnlyList<KeptSession> KeptSessions { get; private set; } = [];

    /// <summary>Inodes without a name then, that such a session may have open. They live until <see cref="LocalSession.Forget"/> finds that nobody holds them.</summary>
    public IReadOnlyList<InodeNumber> KeptOrphans { get; private set; } = [];

    /// <summary>The replies kept for a session; none where they cannot be read.</summary>
    public IReadOnlyList<KeptReply> RepliesOf(Guid session)
    {
        try
        {
            return _metadata.Replies(session);
        }
        catch (MetadataException)
        {
            return [];
        }
    }

    /// <summary>The volume's time: what is changed from now on is not stamped with an earlier one.</summary>
    public Timestamp Now => _metadata.Clock.Now();

    /// <summary>A session begins, or something of it is another: known after a restart from the next commit on. EAGAIN while another copy is about to take over.</summary>
    public FsResult KeepSession(KeptSession session)
    {
        lock (_metadata.Lock)
            return IsYielding ? Errno.EAGAIN : ReadOnly ? FsResult.Ok : _metadata.PutSession(session);
    }

    /// <summary>A session has ended: its replies go. EAGAIN while another copy is about to take over: what is kept of it is found ended at the next start.</summary>
    public FsResult DropSession(Guid session)
    {
        lock (_metadata.Lock)
            return IsYielding ? Errno.EAGAIN : ReadOnly ? FsResult.Ok : _metadata.DeleteSession(session);
    }

    /// <summary>One of the names of an inode. <c>ENOENT</c> where it has none.</summary>
    public FsResult<(InodeNumber Directory, byte[] Name)> NameOf(InodeNumber inode)
    {
        try
        {
            return _metadata.NamesOf(inode, 1) is [var name] ? name : Errno.ENOENT;
        }
        catch (MetadataException)
        {
            return Errno.EIO;
        }
    }

    internal FsResult SetXattr(InodeNumber inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, XattrFlags flags, ChangeRecord? record)
    {
        lock (_metadata.Lock)
        {
            if (RefusesChanges)
                return Errno.EROFS;
            _metadata.Begin(record);
            var result = _metadata.SetXattr(inode, name, value, flags);
            _metadata.End(result.Error);
            return result;
        }
    }

    internal FsResult RemoveXattr(InodeNumber inode, ReadOnlySpan<byte> name, ChangeRecord? record)
    {
        lock (_metadata.Lock)
        {
            if (RefusesChanges)
                return Errno.EROFS;
            _metadata.Begin(record);
            var result = _metadata.RemoveXattr(inode, name);
            _metadata.End(result.Error);
            return result;
        }
    }

    private void TakeUpOrphans()
    {
        KeptSessions = _metadata.Sessions();
        // A session of before may have any of them open; one whose lease was over has given them up.
        bool isHeld = KeptSessions.Any(s => s.Ended is null);
        QueueOrphans(keepAll: isHeld);
        KeptOrphans = isHeld ? _orphansFound : [];
    }
}
