using OrleansFs.GrainInterfaces;
using OrleansFs.Grains;
using OrleansFs.Model;

namespace OrleansFs.Cluster.Tests.Support;

/// <summary>A copy in memory, for tests of what the grains add to it.</summary>
internal sealed class MemoryCopy(TimeProvider time) : IVolumeCopy
{
    public MemoryVolume.MemoryVolume Volume { get; } = new(time);

    public CopyDescription Description { get; } = new()
    {
        Copy = CopyName.Parse("memory"),
        Volume = VolumeId.New(),
        VolumeName = "memory",
        Role = CopyRole.Master,
        BlockSize = 131072,
        ReadOnly = false,
        Epoch = new Epoch(1),
    };

    public int Ended { get; private set; }

    public VolumeSession OpenSession(IInodeHolder holder, AccessTimes accessTimes) => new(Volume.OpenSession(holder), () => Ended++);

    public FsResult<BlockInfo> GetBlock(BlockHash hash) => Errno.ENOENT;

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadBlockAsync(BlockHash hash, CancellationToken cancellation) => new(Errno.ENOENT);

    public FsResult VerifyBlock(BlockHash hash) => Errno.ENOENT;

    public ValueTask<FsResult> FetchBlockAsync(BlockHash hash, CancellationToken cancellation) => new(Errno.ENOENT);

    public ValueTask<FsResult> SetBlockPinnedAsync(BlockHash hash, bool pinned, CancellationToken cancellation) => new(Errno.ENOENT);

    public ValueTask<FsResult> EvictBlockAsync(BlockHash hash, CancellationToken cancellation) => new(Errno.ENOENT);
}
