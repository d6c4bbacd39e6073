using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>Segments of manifests in memory, direct-mapped: a segment has one place, and who comes later takes it. Used under the metadata lock.</summary>
internal sealed class SegmentCache
{
    private readonly Entry[] _entries = new Entry[MetadataLimits.CachedSegments];

    /// <summary>The hashes of a segment, trailing holes left off, and the sum of its blocks' lengths. Empty where it is known that there are none.</summary>
    public bool TryGet(ulong manifest, long segment, out ReadOnlySpan<byte> hashes, out long mapped)
    {
        ref var entry = ref Place(manifest, segment);
        bool known = entry.Hashes is not null && entry.Manifest == manifest && entry.Segment == segment;
        hashes = known ? entry.Hashes.AsSpan(0, entry.Length) : default;
        mapped = known ? entry.Mapped : 0;
        return known;
    }

    public void Set(ulong manifest, long segment, ReadOnlySpan<byte> hashes, long mapped)
    {
        ref var entry = ref Place(manifest, segment);
        entry.Hashes ??= new byte[MetadataLimits.SegmentBlocks * BlockHash.Size];
        hashes.CopyTo(entry.Hashes);
        (entry.Manifest, entry.Segment, entry.Length, entry.Mapped) = (manifest, segment, hashes.Length, mapped);
    }

    public void Clear() => Array.Clear(_entries);

    private ref Entry Place(ulong manifest, long segment) =>
        ref _entries[(int)(((manifest * 0x9E3779B97F4A7C15) >> 40) + (ulong)segment) & (MetadataLimits.CachedSegments - 1)];

    private struct Entry
    {
        public ulong Manifest;
        public long Segment;
        public int Length;
        public long Mapped;
        public byte[]? Hashes;
    }
}
