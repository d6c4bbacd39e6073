using OrleansFs.Engine;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>The engine, as the grains see it.</summary>
public sealed class EngineCopy(VolumeCopy volume) : IVolumeCopy, IReplicated
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
    };

    VolumeCopy? IReplicated.Volume => volume;

    ReplicaReceiver? IReplicated.Receiver => null;

    public VolumeSession OpenSession(IInodeHolder holder)
    {
        var session = volume.OpenSession(holder);
        return new(session, session.Dispose);
    }

    public ValueTask<FsResult> CommitAsync(CancellationToken cancellation) => volume.CommitAsync(cancellation);

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
            // This copy evicts nothing, so a block that is known and has no file is one that was lost.
            Residency = block.IsLocal ? BlockResidency.Local : BlockResidency.Missing,
            IsPinned = false,
        };
    }

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadBlockAsync(BlockHash hash, CancellationToken cancellation) => volume.ReadBlockAsync(hash, cancellation);

    public FsResult VerifyBlock(BlockHash hash) => volume.VerifyBlock(hash);

    /// <summary>There is no other copy to fetch from: a block is here or cannot be had.</summary>
    public ValueTask<FsResult> FetchBlockAsync(BlockHash hash, CancellationToken cancellation) =>
        new(volume.GetBlock(hash).TryGet(out var block, out var error) ? block.IsLocal ? FsResult.Ok : Errno.EIO : error);

    /// <summary>Everything stays here anyway.</summary>
    public FsResult SetBlockPinned(BlockHash hash, bool pinned) => Errno.EOPNOTSUPP;

    /// <summary>No other copy holds it.</summary>
    public FsResult EvictBlock(BlockHash hash) => volume.GetBlock(hash).TryGet(out _, out var error) ? Errno.EBUSY : error;
}
