using OrleansFs.Engine.Blocks;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>The content hash of a file, out of its manifest. See <see cref="ContentHashBuilder"/> for what it is.</content>
internal sealed partial class MetadataStore
{
    /// <summary>The content hash of a file as it is committed: what is in flight does not count. Null for an inode that is gone or no regular file.</summary>
    /// <exception cref="MetadataException">The manifest cannot be read.</exception>
    public BlockHash? ContentHash(InodeNumber inode)
    {
        lock (Lock)
        {
            Sweep();
            if (Find(inode) is not { } found || !found.Snapshot().IsRegular)
                return null;
            return HashOf(found.Manifest, found.Committed.Size, int.MaxValue);
        }
    }

    /// <returns>Null where the manifest has more rows than the limit, or blocks past the size.</returns>
    private BlockHash? HashOf(ulong manifest, long size, int limit = MetadataLimits.HashedSegments)
    {
        int blockSize = Volume.BlockSize;
        if (size > (long)blockSize * MetadataLimits.SegmentBlocks)
            return ManifestHash.Compute(_sql.HashSegments, manifest, size, blockSize, limit);
        var segment = Segment(manifest, 0);
        return segment.Length > ManifestHash.BlocksOf(size, blockSize) * BlockHash.Size ? null : ManifestHash.OfOneSegment(segment, size, blockSize);
    }

    private static Statement BindNode(Statement s, long segment, ReadOnlySpan<byte> hashes) =>
        ManifestHash.KeepsNode(segment, hashes) ? s.Bind(5, ManifestHash.NodeOf(hashes)) : s.BindNull(5);
}
