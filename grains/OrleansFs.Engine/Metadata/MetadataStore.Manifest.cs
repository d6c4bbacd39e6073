using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Reading manifests.</content>
internal sealed partial class MetadataStore
{
    /// <summary>The block hashes from a block on; <see cref="BlockHash.Hole"/> where there is none. All holes for an inode that is gone.</summary>
    /// <exception cref="MetadataException">The manifest cannot be read.</exception>
    public void ReadManifest(InodeNumber inode, long firstBlock, Span<BlockHash> hashes)
    {
        lock (Lock)
        {
            Sweep();
            hashes.Clear();
            if (Find(inode) is not { } found)
                return;
            while (!hashes.IsEmpty)
            {
                int within = (int)(firstBlock % MetadataLimits.SegmentBlocks);
                int take = Math.Min(hashes.Length, MetadataLimits.SegmentBlocks - within);
                var segment = Segment(found.Manifest, firstBlock / MetadataLimits.SegmentBlocks);
                int known = Math.Min(take, segment.Length / BlockHash.Size - within);
                for (int i = 0; i < known; i++)
                    hashes[i] = new BlockHash(segment.Slice((within + i) * BlockHash.Size, BlockHash.Size));
                hashes = hashes[take..];
                firstBlock += take;
            }
        }
    }

    /// <summary>The first block at or after one that is no hole; null where all that follow are.</summary>
    public long? NextMapped(InodeNumber inode, long fromBlock)
    {
        lock (Lock)
        {
            Sweep();
            if (Find(inode) is not { } found)
                return null;
            RequireReady();
            var s = _sql.SegmentsFrom.Bind(1, found.Manifest).Bind(2, fromBlock / MetadataLimits.SegmentBlocks);
            try
            {
                while (s.Step())
                {
                    long start = s.Int64(0) * MetadataLimits.SegmentBlocks;
                    var hashes = s.Blob(1);
                    for (int i = (int)Math.Max(0, fromBlock - start); i < hashes.Length / BlockHash.Size; i++)
                    {
                        if (!IsHole(hashes, i))
                            return start + i;
                    }
                }
                return null;
            }
            finally
            {
                s.Reset();
            }
        }
    }

    /// <summary>The first block at or after one that is a hole. There always is one: a manifest has no end. The lock is free between some rows of it and the next.</summary>
    public long NextUnmapped(InodeNumber inode, long fromBlock)
    {
        long at = fromBlock;
        while (!IsUnmapped(inode, ref at))
        {
        }
        return at;
    }

    /// <summary>Goes on to the next hole, by so many rows at most.</summary>
    /// <returns>Whether it is there.</returns>
    private bool IsUnmapped(InodeNumber inode, ref long at)
    {
        lock (Lock)
        {
            Sweep();
            if (Find(inode) is not { } found)
                return true;
            RequireReady();
            long whole = (long)MetadataLimits.SegmentBlocks * Volume.BlockSize;
            var s = _sql.MappedFrom.Bind(1, found.Manifest).Bind(2, at / MetadataLimits.SegmentBlocks);
            try
            {
                for (int row = 0; row < MetadataLimits.PageRows; row++)
                {
                    if (!s.Step() || s.Int64(0) * MetadataLimits.SegmentBlocks > at)
                        return true;
                    long segment = s.Int64(0);
                    long end = (segment + 1) * MetadataLimits.SegmentBlocks;
                    // The hashes of a segment without a hole need not be read.
                    at = s.Int64(1) == whole ? end : NextHole(Segment(found.Manifest, segment), at, end);
                    if (at < end)
                        return true;
                }
                return false;
            }
            finally
            {
                s.Reset();
            }
        }
    }

    /// <summary>The first hole of a segment from a block of it on; its end where it has none.</summary>
    private static long NextHole(ReadOnlySpan<byte> hashes, long from, long end)
    {
        long start = end - MetadataLimits.SegmentBlocks;
        for (; from < end; from++)
        {
            if ((from - start) * BlockHash.Size >= hashes.Length || IsHole(hashes, (int)(from - start)))
                return from;
        }
        return end;
    }

    private static bool IsHole(ReadOnlySpan<byte> hashes, int index) => !hashes.Slice(index * BlockHash.Size, BlockHash.Size).ContainsAnyExcept((byte)0);

    /// <summary>A segment's hashes; good until the cache is changed.</summary>
    private ReadOnlySpan<byte> Segment(ulong manifest, long segment)
    {
        if (_segments.TryGet(manifest, segment, out var hashes, out _))
            return hashes;
        RequireReady();
        var s = _sql.GetSegment.Bind(1, manifest).Bind(2, segment);
        if (s.Step())
        {
            _segments.Set(manifest, segment, s.Blob(1), s.Int64(0));
            s.Reset();
        }
        else
        {
            _segments.Set(manifest, segment, [], 0);
        }
        _segments.TryGet(manifest, segment, out hashes, out _);
        return hashes;
    }

    /// <summary>Copies a segment out to be changed.</summary>
    private (int Count, long Mapped) LoadSegment(ulong manifest, long segment, Span<byte> buffer)
    {
        Segment(manifest, segment).CopyTo(buffer);
        _segments.TryGet(manifest, segment, out var hashes, out long mapped);
        return (hashes.Length / BlockHash.Size, mapped);
    }

    private void StoreSegment(ulong manifest, long segment, ReadOnlySpan<byte> hashes, long mapped)
    {
        while (!hashes.IsEmpty && IsHole(hashes, hashes.Length / BlockHash.Size - 1))
            hashes = hashes[..^BlockHash.Size];
        if (hashes.IsEmpty)
            _sql.DeleteSegment.Bind(1, manifest).Bind(2, segment).Run();
        else
            BindNode(_sql.PutSegment.Bind(1, manifest).Bind(2, segment).Bind(3, mapped).Bind(4, hashes), segment, hashes).Run();
        _segments.Set(manifest, segment, hashes, mapped);
    }

    private long? NextSegment(ulong manifest, long from, long end)
    {
        var s = _sql.EachSegment.Bind(1, manifest).Bind(2, from).Bind(3, end);
        if (!s.Step())
            return null;
        long segment = s.Int64(0);
        s.Reset();
        return segment;
    }
}
