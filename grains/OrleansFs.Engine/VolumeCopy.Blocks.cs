using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <summary>What a copy knows of one block.</summary>
/// <param name="Hash">Its name.</param>
/// <param name="Length">Bytes of content, 1 to S.</param>
/// <param name="StoredBytes">Bytes on disk here.</param>
/// <param name="References">Manifest entries that name it. At 0 it waits for collection.</param>
/// <param name="LastUse">When it was last made, named anew or read, to some precision.</param>
/// <param name="WeakChecksum">Its rolling checksum; never an identity.</param>
/// <param name="IsLocal">Its content is in a block file here, or in those that it is composed of.</param>
/// <param name="IsEvicted">It was given up here: replicas have it.</param>
/// <param name="IsPinned">It is kept here whatever the cache needs.</param>
/// <param name="IsComposed">It has no file of its own here: it is kept as pieces of others.</param>
public readonly record struct BlockState(
    BlockHash Hash, int Length, long StoredBytes, long References, Timestamp LastUse, ulong WeakChecksum, bool IsLocal, bool IsEvicted, bool IsPinned, bool IsComposed);

public sealed partial class VolumeCopy
{
    /// <summary>What is known of a block; <c>ENOENT</c> where no committed manifest has named it since its last collection.</summary>
    public FsResult<BlockState> GetBlock(BlockHash hash)
    {
        if (!_metadata.TryGetBlock(hash, out var row))
            return Errno.ENOENT;
        return new BlockState(hash, row.Length, row.StoredBytes, row.References, row.LastUse, row.WeakChecksum, _blocks.Files.Exists(hash), row.Residency == Residency.Absent, row.Residency == Residency.Kept,
            _metadata.IsComposed(hash));
    }

    /// <summary>The whole content of a block. <c>ENOENT</c> for one that is not known, <c>EIO</c> where its content cannot be had (the log says why).</summary>
    public async ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadBlockAsync(BlockHash hash, CancellationToken cancellation)
    {
        if (!_metadata.TryGetBlock(hash, out var row))
            return Errno.ENOENT;
        byte[] content = new byte[row.Length];
        var read = await _blocks.ReadAsync(new BlockReference(hash, row.Length), 0, content, cancellation);
        return read.IsOk && read.Length == row.Length ? new ReadOnlyMemory<byte>(content) : Errno.EIO;
    }

    /// <summary>Reads a block from disk and computes its SHA-256 anew. <c>EIO</c> where it is missing or wrong. Disk work: not for a request thread.</summary>
    public FsResult VerifyBlock(BlockHash hash)
    {
        if (!_metadata.TryGetBlock(hash, out _))
            return Errno.ENOENT;
        return _blocks.Files.Verify(hash).IsOk ? FsResult.Ok : Errno.EIO;
    }

    /// <summary>As for a file (<see cref="ChangeResidencyAsync(InodeNumber, ResidencyAction, long, long, CancellationToken)"/>), for one block. <c>ENOENT</c> for one that is not known.</summary>
    public async Task<FsResult<ResidencyChange>> ChangeResidencyAsync(BlockHash hash, ResidencyAction action, CancellationToken cancellation) =>
        _metadata.TryGetBlock(hash, out _) ? await ChangeResidencyAsync([hash], action, cancellation) : Errno.ENOENT;
}
