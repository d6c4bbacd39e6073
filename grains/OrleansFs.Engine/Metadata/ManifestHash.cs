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
    /// <param name="segments">Gives segment, node and hashes of a manifest (1), in order, from a segment (2) on, so many at most (3).</param>
    /// <param name="manifest">Its key.</param>
    /// <param name="size">Bytes of the file.</param>
    /// <param name="blockSize">S, bytes.</param>
    /// <param name="limit">Rows that are read at most.</param>
    /// <returns>Null past the limit, where there are blocks past the size, and where a row is malformed.</returns>
    public static BlockHash? Compute(Statement segments, ulong manifest, long size, int blockSize, int limit)
    {
        var hasher = new ManifestHasher(size, blockSize);
        try
        {
            segments.Bind(1, manifest).Bind(2, 0L).Bind(3, long.MaxValue);
            for (int rows = 0; segments.Step(); rows++)
            {
                if (rows == limit || !hasher.TryAppend(segments))
                    return null;
            }
            return hasher.Finish();
        }
        finally
        {
            segments.Reset();
        }
    }
}

/// <summary>Computes the hash of a file out of the rows of its manifest, as they come.</summary>
/// <param name="size">Bytes of the file.</param>
/// <param name="blockSize">S, bytes.</param>
internal sealed class ManifestHasher(long size, int blockSize)
{
    private readonly ContentHashBuilder _builder = new(blockSize);
    private readonly long _blocks = ManifestHash.BlocksOf(size, blockSize);

    /// <summary>The segment after the last one that was taken.</summary>
    public long Next { get; private set; }

    /// <summary>Takes the next row: segment, node and hashes. False where it is malformed, or has blocks past the size.</summary>
    public bool TryAppend(Statement row)
    {
        long segment = row.Int64(0), last = (_blocks - 1) / MetadataLimits.SegmentBlocks;
        if (segment > last)
            return false;
        _builder.AppendHoles((segment - Next) * MetadataLimits.SegmentBlocks);
        Next = segment + 1;
        if (segment < last && !row.IsNull(1))
        {
            _builder.AppendSegment(row.Blob(1));
            return true;
        }
        var hashes = row.Blob(2);
        if (hashes.Length % BlockHash.Size != 0 || hashes.Length > MetadataLimits.SegmentBlocks * BlockHash.Size || segment * MetadataLimits.SegmentBlocks + hashes.Length / BlockHash.Size > _blocks)
            return false;
        _builder.Append(hashes);
        if (segment < last)
            _builder.AppendHoles(MetadataLimits.SegmentBlocks - hashes.Length / BlockHash.Size);
        return true;
    }

    /// <summary>The hash of the whole: what was not taken is holes. Ends the use.</summary>
    public BlockHash Finish() => _builder.Finish(size);
}
