using OrleansFs.Engine.Metadata;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>The copy that the grains of one silo serve. Thread-safe.</summary>
public interface IVolumeCopy
{
    CopyDescription Description { get; }

    /// <summary>Whether there is anything to be read: a replica has nothing before its first full copy.</summary>
    bool IsReady => true;

    /// <summary>Changes are refused for a while: another copy is about to become the master.</summary>
    bool IsYielding => false;

    /// <param name="holder">Asked whether the session still knows an inode that has lost its last name.</param>
    /// <param name="accessTimes">When reads of the session bring up access times.</param>
    VolumeSession OpenSession(IInodeHolder holder, AccessTimes accessTimes = AccessTimes.Relative);

    /// <summary>What was done to names and attributes before survives a kill of the process.</summary>
    ValueTask<FsResult> KeepAsync(CancellationToken cancellation) => new(FsResult.Ok);

    /// <summary>What this copy keeps of sessions beyond the end of the process; null where it keeps nothing, for no session changes it.</summary>
    ISessionStore? Sessions => null;

    /// <summary>One of the names of an inode. <c>ENOENT</c> where it has none.</summary>
    FsResult<FileName> NameOf(InodeNumber inode) => Errno.ENOENT;

    /// <summary><c>ENOENT</c> for a hash that names no block here.</summary>
    FsResult<BlockInfo> GetBlock(BlockHash hash);

    ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadBlockAsync(BlockHash hash, CancellationToken cancellation);

    /// <summary>Disk work: not for a grain's thread.</summary>
    FsResult VerifyBlock(BlockHash hash);

    /// <summary>Makes a block local. <c>EIO</c> where no copy can serve it.</summary>
    ValueTask<FsResult> FetchBlockAsync(BlockHash hash, CancellationToken cancellation);

    /// <summary><c>EROFS</c> on a replica, which keeps everything.</summary>
    ValueTask<FsResult> SetBlockPinnedAsync(BlockHash hash, bool pinned, CancellationToken cancellation);

    /// <summary><c>EBUSY</c> where the block is pinned or not backed up, or the copy gives up nothing; <c>EROFS</c> on a replica.</summary>
    ValueTask<FsResult> EvictBlockAsync(BlockHash hash, CancellationToken cancellation);
}

/// <summary>A name in a directory.</summary>
public readonly record struct FileName(InodeNumber Directory, byte[] Name);

/// <summary>What outlives a process of the sessions that it served. Thread-safe.</summary>
public interface ISessionStore
{
    /// <summary>Sessions that had not ended when the copy was opened, and such as had whose replies are kept.</summary>
    IReadOnlyList<KeptSession> Sessions { get; }

    /// <summary>The volume's time.</summary>
    Timestamp Now { get; }

    /// <summary>Inodes without a name that these may have open.</summary>
    IReadOnlyList<InodeNumber> Orphans { get; }

    IReadOnlyList<KeptReply> RepliesOf(SessionId session);

    /// <summary>Known after a restart from the next commit on.</summary>
    FsResult Keep(KeptSession session);

    FsResult Drop(SessionId session);
}

/// <summary>A session on a copy.</summary>
/// <param name="Access">What it works on.</param>
/// <param name="End">Gives up all that it holds. May be called more than once.</param>
public sealed record VolumeSession(IVolumeAccess Access, Action End)
{
    /// <summary>The session for one change, of which the copy writes down what it was; null where it does not.</summary>
    public Func<ChangeRecord, IVolumeAccess>? Once { get; init; }
}
