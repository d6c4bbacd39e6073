using Orleans;
using Orleans.Concurrency;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>
/// A block in one copy: the door to its row, and the one place where fetching, evicting, verifying and pinning it are done one at a time. Key: <see cref="BlockKey"/>.
/// <see cref="Errno.ENOENT"/> answers a hash that the copy knows no block of.
/// </summary>
[Alias("ofs.IBlockGrain")]
public interface IBlockGrain : IGrainWithStringKey
{
    [Alias("GetInfo"), ReadOnly, AlwaysInterleave]
    ValueTask<FsResult<BlockInfo>> GetInfoAsync(CancellationToken cancellation);

    /// <summary>The whole block; <c>EIO</c> where it cannot be had or is not what its name says.</summary>
    [Alias("Read"), ReadOnly, AlwaysInterleave]
    ValueTask<BytesReply> ReadAsync(CancellationToken cancellation);

    /// <summary>Makes the block local. <c>EIO</c> where no copy can serve it.</summary>
    [Alias("Fetch"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult> FetchAsync(CancellationToken cancellation);

    /// <summary>Reads the block from disk and compares it with its SHA-256: <c>EIO</c> where it is missing or wrong.</summary>
    [Alias("Verify"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult> VerifyAsync(CancellationToken cancellation);

    /// <summary>Keeps the block here whatever the cache needs, or no longer.</summary>
    [Alias("SetPinned")]
    ValueTask<FsResult> SetPinnedAsync(bool pinned, CancellationToken cancellation);

    /// <summary>Gives up the local content. <c>EBUSY</c> where the block is pinned or not backed up: a block is never dropped that no other copy holds.</summary>
    [Alias("Evict")]
    ValueTask<FsResult> EvictAsync(CancellationToken cancellation);
}
