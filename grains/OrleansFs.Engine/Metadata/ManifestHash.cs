using OrleansFs.Engine.Blocks;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>The content hash of a file out of the rows of its manifest.</summary>
internal static class ManifestHash
{
    private const int SegmentBytes = MetadataLimits.SegmentBlocks * BlockHash.Size;

    /// <summary>Blocks of a file of a size, in bytes.</summary>
    public static long BlocksOf(long size, int blockSize) => size / blockSize + (size % blockSize == 0 ? 0 : 1);

    /// <summary>Whether a segment's row keeps its node. The first segment of a small file does not: it would be computed for every file and looked at for none.</summary>
    public static bool KeepsNode(long segment, ReadOnlySpan<byte> hashes) => segment > 0 || hashes.Length == SegmentBytes;

    /// <summary>The node of a segment that is not the last of its file: holes up to its end count.</summary>
    public static BlockHash NodeOf(ReadOnlySpan<byte> hashes)
    {
        Span<byte> full = stackalloc byte[SegmentBytes];
        hashes.CopyTo(full);
        full[hashes.Length..].Clear();
        return BlockHash.Of(full);
    }

    /// <summary>The hash of a file that has one segment.</summary>
    /// <param name="hashes">Of its blocks, trailing holes left off.</param>
    /// <param name="size">Bytes of the file: at most 256 S.</param>
    /// <param name="blockSize">S, bytes.</param>
    public static BlockHash OfOneSegment(ReadOnlySpan<byte> hashes, long size, int blockSize)
    {
        if (hashes.Length == BlockHash.Size && size <= blockSize && new BlockHash(hashes) is { IsHole: false } only)
            return only;
        var builder = new ContentHashBuilder(blockSize);
        builder.Append(hashes);
        return builder.Finish(size);
    }

    /// <summary>The hash of any file.</summary>
    /// <param name="segments">Gives segment, node and hashes of a manifest, in order.</param>
    /// <param name="manifest">Its key.</param>
    /// <param name="size">Bytes of the file.</param>
    /// <param name="blockSize">S, bytes.</param>
    /// <param name="limit">Rows that are read at most.</param>
    /// <returns>Null past the limit, where there are blocks past the size, and where a row is malformed.</returns>
    public static BlockHash? Compute(Statement segments, ulong manifest, long size, int blockSize, int limit)
    {
        long blocks = BlocksOf(size, blockSize);
        long last = (blocks - 1) / MetadataLimits.SegmentBlocks;
        var builder = new ContentHashBuilder(blockSize);
        long next = 0;
        try
        {
            segments.Bind(1, manifest);
            for (int rows = 0; segments.Step(); rows++)
            {
                long segment = segments.Int64(0);
                if (rows == limit || segment > last)
                    return null;
                builder.AppendHoles((segment - next) * MetadataLimits.SegmentBlocks);
                next = segment + 1;
                if (segment < last && !segments.IsNull(1))
                {
                    builder.AppendSegment(segments.Blob(1));
                    continue;
                }
                var hashes = segments.Blob(2);
                if (hashes.Length % BlockHash.Size != 0 || hashes.Length > SegmentBytes || segment * MetadataLimits.SegmentBlocks + hashes.Length / BlockHash.Size > blocks)
                    return null;
                builder.Append(hashes);
                if (segment < last)
                    builder.AppendHoles(MetadataLimits.SegmentBlocks - hashes.Length / BlockHash.Size);
            }
            return builder.Finish(size);
        }
        finally
        {
            segments.Reset();
        }
    }
}
