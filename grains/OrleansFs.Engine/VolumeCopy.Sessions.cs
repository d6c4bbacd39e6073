using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>What outlives this process of the sessions in other processes: see <see cref="MetadataStore.KeepReply"/>.</content>
public sealed partial class VolumeCopy
{
    /// <summary>Sessions that had not ended when the volume was closed or the process was killed.</summary>
    public IReadOnlyList<KeptSession> KeptSessions { get; private set; } = [];

    /// <summary>Inodes without a name at the opening that such a session may have open. They live until <see cref="LocalSession.Forget"/> finds that nobody holds them.</summary>
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

    /// <summary>A session begins: it is known after a restart from the next commit on.</summary>
    public FsResult KeepSession(Guid session, string client) => ReadOnly ? FsResult.Ok : _metadata.PutSession(session, client);

    /// <summary>A session has ended: its replies go.</summary>
    public FsResult DropSession(Guid session) => ReadOnly ? FsResult.Ok : _metadata.DeleteSession(session);

    internal FsResult SetXattr(InodeNumber inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, XattrFlags flags, ChangeRecord? record)
    {
        lock (_metadata.Lock)
        {
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
            _metadata.Begin(record);
            var result = _metadata.RemoveXattr(inode, name);
            _metadata.End(result.Error);
            return result;
        }
    }

    private void TakeUpOrphans()
    {
        KeptSessions = _metadata.Sessions();
        // A session of before may have any of them open.
        QueueOrphans(keepAll: KeptSessions.Count > 0);
        KeptOrphans = KeptSessions.Count > 0 ? _orphansFound : [];
    }
}
