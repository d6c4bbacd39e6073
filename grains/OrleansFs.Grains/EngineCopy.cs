using OrleansFs.Engine;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>The engine, as the grains see it.</summary>
public sealed class EngineCopy(VolumeCopy volume) : IVolumeCopy, IReplicated, ISessionStore
{
    public CopyDescription Description => new()
    {
        Copy = volume.Copy,
        Volume = volume.Id,
        VolumeName = volume.Name,
        Role = volume.Role == VolumeRole.Master ? CopyRole.Master : CopyRole.Replica,
        BlockSize = volume.BlockSize,
        ReadOnly = volume.ReadOnly,
        Epoch = volume.Epoch,
        FencedBy = volume.FencedBy,
    };

    public bool IsYielding => volume.IsYielding;

    VolumeCopy? IReplicated.Volume => volume;

    ReplicaReceiver? IReplicated.Receiver => null;

    public ISessionStore Sessions => this;

    IReadOnlyList<KeptSession> ISessionStore.Sessions => volume.KeptSessions;

    IReadOnlyList<InodeNumber> ISessionStore.Orphans => volume.KeptOrphans;

    public IReadOnlyList<KeptReply> RepliesOf(SessionId session) => volume.RepliesOf(session.Value);

    public Timestamp Now => volume.Now;

    public FsResult Keep(KeptSession session) => volume.KeepSession(session);

    public FsResult Drop(SessionId session) => volume.DropSession(session.Value);

    public VolumeSession OpenSession(IInodeHolder holder, AccessTimes accessTimes)
    {
        var session = volume.OpenSession(holder, accessTimes);
        return new(session, session.Dispose) { Once = session.Once };
    }

    public ValueTask<FsResult> KeepAsync(CancellationToken cancellation) => volume.KeepAsync(cancellation);

    public FsResult<FileName> NameOf(InodeNumber inode) => volume.NameOf(inode).TryGet(out var name, out var error) ? new FileName(name.Directory, name.Name) : error;

    public FsResult<BlockInfo> GetBlock(BlockHash hash)
    {
        if (!volume.GetBlock(hash).TryGet(out var block, out var error))
            return error;
        return new BlockInfo
        {
            Hash = block.Hash,
            Length = block.Length,
            ReferenceCount = block.References,
            LastUse = block.LastUse,
            WeakChecksum = block.WeakChecksum,
            // A block that is neither here nor was given up is one that was lost.
            Residency = block.IsLocal ? BlockResidency.Local : block.IsEvicted ? BlockResidency.Evicted : BlockResidency.Missing,
            IsPinned = block.IsPinned,
            IsComposed = block.IsComposed,
        };
    }

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadBlockAsync(BlockHash hash, CancellationToken cancellation) => volume.ReadBlockAsync(hash, cancellation);

    public FsResult VerifyBlock(BlockHash hash) => volume.VerifyBlock(hash);

    public async ValueTask<FsResult> FetchBlockAsync(BlockHash hash, CancellationToken cancellation) => Done(await volume.ChangeResidencyAsync(hash, ResidencyAction.Warm, cancellation));

    public async ValueTask<FsResult> SetBlockPinnedAsync(BlockHash hash, bool pinned, CancellationToken cancellation) =>
        Done(await volume.ChangeResidencyAsync(hash, pinned ? ResidencyAction.Pin : ResidencyAction.Unpin, cancellation));

    public async ValueTask<FsResult> EvictBlockAsync(BlockHash hash, CancellationToken cancellation)
    {
        var result = await volume.ChangeResidencyAsync(hash, ResidencyAction.Evict, cancellation);
        // A copy that gives up nothing has a use for every block.
        return result.Error == Errno.EOPNOTSUPP ? Errno.EBUSY : Done(result);
    }

    private static FsResult Done(FsResult<ResidencyChange> result) => result.TryGet(out var change, out var error) ? change.Staying == 0 ? FsResult.Ok : Errno.EBUSY : error;
}
