using OrleansFs.Engine;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>A copy that may be one of several: what the grains of replication work on.</summary>
internal interface IReplicated
{
    /// <summary>The copy; null while a replica has had no contact with a master.</summary>
    VolumeCopy? Volume { get; }

    /// <summary>The receiving end, on a silo that was started as a replica; null on another.</summary>
    ReplicaReceiver? Receiver { get; }
}

/// <summary>A replica, as the grains see it: nothing at first, then a copy like any other, whose mutations answer <c>EROFS</c> until it is promoted.</summary>
public sealed class ReplicaCopy(ReplicaReceiver receiver, CopyName name) : IVolumeCopy, IReplicated
{
    private EngineCopy? _engine;

    /// <summary>Whether there is a copy to be read.</summary>
    public bool IsReady => receiver.Volume is { Epoch.Value: > 0 };

    public bool IsYielding => Engine is { IsYielding: true };

    public CopyDescription Description => Engine?.Description ?? new CopyDescription
    {
        Copy = name,
        Volume = default,
        VolumeName = "",
        Role = CopyRole.Replica,
        BlockSize = 0,
        ReadOnly = true,
        Epoch = default,
    };

    VolumeCopy? IReplicated.Volume => receiver.Volume;

    ReplicaReceiver? IReplicated.Receiver => receiver;

    /// <summary>Once this is the master.</summary>
    public ISessionStore? Sessions => Engine is { Description.Role: CopyRole.Master } engine ? engine : null;

    private EngineCopy? Engine => receiver.Volume is { } volume ? _engine ??= new EngineCopy(volume) : null;

    /// <exception cref="CopyAwayException">There is no copy yet.</exception>
    public VolumeSession OpenSession(IInodeHolder holder, AccessTimes accessTimes) => Engine?.OpenSession(holder, accessTimes) ?? throw new CopyAwayException(name);

    public ValueTask<FsResult> KeepAsync(CancellationToken cancellation) => Engine?.KeepAsync(cancellation) ?? new(FsResult.Ok);

    public FsResult<FileName> NameOf(InodeNumber inode) => Engine?.NameOf(inode) ?? Errno.ENOENT;

    public FsResult<BlockInfo> GetBlock(BlockHash hash) => Engine?.GetBlock(hash) ?? Errno.ENOENT;

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadBlockAsync(BlockHash hash, CancellationToken cancellation) => Engine?.ReadBlockAsync(hash, cancellation) ?? new(Errno.ENOENT);

    public FsResult VerifyBlock(BlockHash hash) => Engine?.VerifyBlock(hash) ?? Errno.ENOENT;

    public ValueTask<FsResult> FetchBlockAsync(BlockHash hash, CancellationToken cancellation) => Engine?.FetchBlockAsync(hash, cancellation) ?? new(Errno.ENOENT);

    public ValueTask<FsResult> SetBlockPinnedAsync(BlockHash hash, bool pinned, CancellationToken cancellation) => Engine?.SetBlockPinnedAsync(hash, pinned, cancellation) ?? new(Errno.ENOENT);

    public ValueTask<FsResult> EvictBlockAsync(BlockHash hash, CancellationToken cancellation) => Engine?.EvictBlockAsync(hash, cancellation) ?? new(Errno.ENOENT);
}
