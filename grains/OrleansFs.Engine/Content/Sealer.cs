using System.Buffers;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

/// <summary>Makes stored blocks out of frozen ones: puts the layers together, hashes, and stores what is not stored yet.</summary>
/// <remarks>
/// Every hash it gives out is pinned in <see cref="PendingBlocks"/> until <see cref="Release(BlockHash)"/>, so that no collection takes the block before a manifest names it.
/// Lock order: the block's stripe, then the metadata lock. The file is written under the stripe alone.
/// </remarks>
internal sealed class Sealer(MetadataStore metadata, BlockStore blocks, BlockLocks locks, PendingBlocks pending, SpaceGuard space, int blockSize)
{
    /// <summary>Told of each block that was stored, under the block's lock: must only take note.</summary>
    public Action<SealedNote>? Sealed { get; set; }

    /// <summary>Whether a block turned out to be damaged or missing here: its row promises nothing. Null where nobody finds out.</summary>
    public Func<BlockHash, bool>? IsDamaged { get; set; }

    /// <summary>Hashes and stores the content of a frozen block.</summary>
    /// <exception cref="BlockStoreException">The disk is full or fails, or what lies under a partly written block cannot be read. Nothing has changed.</exception>
    public ValueTask<SealedBlock> SealAsync(InodeNumber inode, SealJob job, int baseLength, CancellationToken cancellation)
    {
        bool isWhole = job.Frozen.Covers(0, job.Length) && job.FrozenLimit >= job.Length;
        if (!isWhole)
            return ComposeAsync(inode, job, baseLength, cancellation);
        // Frozen pages are this worker's until it is done.
        return new(Store(inode, job, job.Frozen.TryGetRun(job.Length, out var content) ? content : Gather(job)));
    }

    /// <summary>The content of pages that lie here and there in the memory, as they do once many small files have come and gone: in one piece, and aligned as those are that lie side by side.</summary>
    private static ReadOnlySpan<byte> Gather(SealJob job)
    {
        var content = DirectBuffer.OfThread((job.Length + DirectBuffer.Alignment - 1) / DirectBuffer.Alignment * DirectBuffer.Alignment)[..job.Length];
        job.Frozen.CopyTo(0, content);
        return content;
    }

    /// <summary>Pins a block that is stored, so that another file can name it. False where it is gone.</summary>
    public bool TryShare(BlockHash hash, out SealedBlock block)
    {
        lock (locks.For(hash))
            return TryClaim(hash, out block);
    }

    /// <summary>Ends a pin of a block that is not wanted any more.</summary>
    public void Release(BlockHash hash)
    {
        if (!hash.IsHole)
            pending.Unpin(hash);
    }

    public void Release(List<BlockHash> hashes)
    {
        foreach (var hash in hashes)
            Release(hash);
        hashes.Clear();
    }

    /// <summary>Ends the pins of blocks that a manifest names now.</summary>
    public void ReleaseNamed(List<BlockHash> hashes)
    {
        foreach (var hash in hashes)
        {
            if (!hash.IsHole)
                pending.Unpin(hash, isNamed: true);
        }
        hashes.Clear();
    }

    /// <summary>Puts the layers together.</summary>
    private async ValueTask<SealedBlock> ComposeAsync(InodeNumber inode, SealJob job, int baseLength, CancellationToken cancellation)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(blockSize);
        try
        {
            var content = buffer.AsMemory(0, job.Length);
            content.Span.Clear();
            int under = Math.Min(Math.Min(job.BaseLimit, baseLength), job.Length);
            if (!job.Base.IsHole && under > 0)
                await ReadBaseAsync(new BlockReference(job.Base, baseLength), content[..under], cancellation);
            job.Frozen.CopyTo(0, content.Span[..Math.Min(job.FrozenLimit, job.Length)]);
            return Store(inode, job, content.Span);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private SealedBlock Store(InodeNumber inode, SealJob job, ReadOnlySpan<byte> content)
    {
        if (BlockStore.IsAllZero(content))
            return SealedBlock.Hole;
        var hash = BlockHash.Of(content);
        lock (locks.For(hash))
        {
            if (TryClaim(hash, out var known))
                return known;
            if (!space.AdmitsBlock(content.Length))
                throw new BlockStoreException(Errno.ENOSPC, $"block {hash} is not stored: what is left of the disk is for the metadata");
            var weak = WeakChecksum.Compute(content);
            var stored = blocks.Files.Write(hash, content);
            pending.Pin(hash, new PendingBlock(stored, weak));
            Sealed?.Invoke(new SealedNote(hash, inode.Value, job.Index, job.Base, content.Length, stored.StoredBytes));
            return new SealedBlock(hash, content.Length, weak.Value, stored.StoredBytes, stored.WriteSequence);
        }
    }

    /// <summary>Pins a block that another file has stored or is about to name. A block that is suspect, damaged or lost is not claimed: storing it again heals it.</summary>
    private bool TryClaim(BlockHash hash, out SealedBlock block)
    {
        block = default;
        if (blocks.Files.IsSuspect(hash) || IsDamaged?.Invoke(hash) == true)
            return false;
        if (pending.TryPin(hash, out var known))
        {
            block = new SealedBlock(hash, known.Stored.RawLength, known.Weak.Value, known.Stored.StoredBytes, known.Stored.WriteSequence);
            return true;
        }
        // One that is evicted is stored again: that its file may still be there is no promise.
        if (!metadata.TryGetBlock(hash, out var row) || row.Residency == Residency.Absent || !blocks.Files.Exists(hash))
            return false;
        pending.Pin(hash, new PendingBlock(new StoredBlock(row.Length, (int)row.StoredBytes, BlockCodec.Raw, 0), new WeakChecksum(row.WeakChecksum)));
        block = new SealedBlock(hash, row.Length, row.WeakChecksum, row.StoredBytes, 0);
        return true;
    }

    private async ValueTask ReadBaseAsync(BlockReference block, Memory<byte> destination, CancellationToken cancellation)
    {
        var read = await blocks.ReadAsync(block, 0, destination, cancellation);
        if (!read.IsOk)
            throw new BlockStoreException(Errno.EIO, $"block {block.Hash}, under a partly written one, cannot be read: {read.Reason}");
        destination.Span[read.Length..].Clear();
    }
}
