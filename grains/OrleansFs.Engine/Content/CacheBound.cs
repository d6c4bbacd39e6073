using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;

namespace OrleansFs.Engine.Content;

/// <summary>The bound on what the block files of this copy may take, and how much of it is used: counted as the disk counts.</summary>
/// <param name="bytes">The bound.</param>
/// <param name="metadata">Knows what the blocks with a row take that should be here.</param>
/// <param name="pending">Knows what the blocks take that have none yet.</param>
/// <param name="pool">Knows what is in flight and will become blocks.</param>
internal sealed class CacheBound(long bytes, MetadataStore metadata, PendingBlocks pending, PagePool pool)
{
    public long Bytes => bytes;

    /// <summary>What block files take.</summary>
    public long Used => metadata.LocalBytes + pending.StoredBytes;

    /// <summary>Room for new content.</summary>
    public long Room => Math.Max(0, bytes - Used - InFlight);

    /// <summary>What is in flight, as it will lie on the disk where it does not compress: each block with what is stored under it, its header and the end of its last cluster.</summary>
    private long InFlight => pool.BytesInUse + pool.Unwritten + ((long)pool.Blocks * BlockFormat.AllocationUnit);

    /// <summary>Eviction is due.</summary>
    public bool IsHigh => Used + InFlight > bytes / 100 * Limits.EvictAbovePercent;

    /// <summary>What is to be evicted, bytes; 0 and less where nothing is. In a small cache more than its share, so that a writer finds room.</summary>
    public long Excess => Used + InFlight - Math.Min(bytes / 100 * Limits.EvictToPercent, bytes - 2 * Limits.WriteStep);

    /// <summary>What may be pinned: the rest is for what is written and read.</summary>
    public long PinnedMost => bytes / 100 * Limits.PinPercent;

    /// <summary>Time to say that the cache is getting full.</summary>
    public bool IsNearlyFull => Used > bytes / 100 * Limits.WarnPercent;

    public bool Admits(long more) => Room >= more;
}
