using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Effects on content. Reference counts, and the counters of blocks, are derived here from the changes of manifests and nowhere else.</content>
internal sealed partial class MetadataStore
{
    private readonly SegmentCache _segments = new();
    private readonly byte[] _segmentBuffer = new byte[MetadataLimits.SegmentBlocks * BlockHash.Size];

    /// <returns>By how many bytes the allocation of the file changes.</returns>
    private long Execute(in SetBlocks effect)
    {
        long allocated = Apply(effect);
        _effects.SetBlocks(effect);
        return allocated;
    }

    /// <returns>By how many bytes the allocation of the file changes.</returns>
    private long Execute(in DropBlocks effect)
    {
        long allocated = Apply(effect);
        _effects.DropBlocks(effect);
        return allocated;
    }

    private void Execute(in MoveSegments effect)
    {
        Apply(effect);
        _effects.MoveSegments(effect);
    }

    private long Apply(in SetBlocks effect)
    {
        var (count, mapped) = LoadSegment(effect.Manifest, effect.Segment, _segmentBuffer);
        long before = mapped;
        Span<byte> hashes = _segmentBuffer;
        foreach (ref readonly var block in effect.Blocks)
        {
            int within = (int)(block.Index % MetadataLimits.SegmentBlocks);
            var place = hashes.Slice(within * BlockHash.Size, BlockHash.Size);
            var old = within < count ? new BlockHash(place) : BlockHash.Hole;
            if (old == block.Hash && block.WriteSequence == 0)
                continue;
            // The new reference comes first, so that a block that replaces itself never dies.
            if (!block.Hash.IsHole)
                mapped += Reference(block, effect.Time, effect.Birth);
            if (!old.IsHole)
                mapped -= Dereference(old, effect.Time);
            if (within >= count)
            {
                hashes[(count * BlockHash.Size)..(within * BlockHash.Size)].Clear();
                count = within + 1;
            }
            block.Hash.CopyTo(place);
        }
        StoreSegment(effect.Manifest, effect.Segment, hashes[..(count * BlockHash.Size)], mapped);
        return mapped - before;
    }

    private long Apply(in DropBlocks effect)
    {
        long dropped = 0;
        long segment = effect.First / MetadataLimits.SegmentBlocks;
        long end = effect.End / MetadataLimits.SegmentBlocks + (effect.End % MetadataLimits.SegmentBlocks == 0 ? 0 : 1);
        while (NextSegment(effect.Manifest, segment, end) is { } next)
        {
            dropped += DropWithin(effect, next);
            segment = next + 1;
        }
        return -dropped;
    }

    private long DropWithin(in DropBlocks effect, long segment)
    {
        var (count, mapped) = LoadSegment(effect.Manifest, segment, _segmentBuffer);
        Span<byte> hashes = _segmentBuffer.AsSpan(0, count * BlockHash.Size);
        long start = segment * MetadataLimits.SegmentBlocks;
        long before = mapped;
        int to = (int)Math.Min(count, effect.End - start);
        for (int i = (int)Math.Max(0, effect.First - start); i < to; i++)
        {
            var place = hashes.Slice(i * BlockHash.Size, BlockHash.Size);
            var hash = new BlockHash(place);
            if (hash.IsHole)
                continue;
            mapped -= Dereference(hash, effect.Time);
            place.Clear();
        }
        if (mapped != before)
            StoreSegment(effect.Manifest, segment, hashes, mapped);
        return before - mapped;
    }

    private void Apply(in MoveSegments effect)
    {
        _sql.MoveSegments.Bind(1, effect.From).Bind(2, effect.To).Bind(3, effect.First).Bind(4, effect.End).Run();
        _segments.Clear();
    }

    /// <summary>One manifest entry more names a block; a block without a row gets one.</summary>
    /// <returns>Its length.</returns>
    private long Reference(in ManifestBlock block, Timestamp time, Lsn birth)
    {
        var s = _sql.CountBlock.Bind(1, block.Hash);
        if (!s.Step())
        {
            _sql.AddBlock.Bind(1, block.Hash).Bind(2, (long)block.Length).Bind(3, block.StoredBytes).Bind(4, time).Bind(5, block.WeakChecksum).Bind(6, birth.Value).Run();
            _counters.Blocks++;
            _counters.UniqueBytes += block.Length;
            _counters.StoredBytes += block.StoredBytes;
            _counters.LocalBytes += block.StoredBytes;
            _counters.ReferencedBytes += block.Length;
            return block.Length;
        }
        var (length, stored, references, isLocal) = (s.Int64(0), s.Int64(1), s.Int64(2), s.Int64(3) != (long)Residency.Absent);
        s.Reset();
        bool anew = block.WriteSequence > 0;
        long storedNow = anew ? block.StoredBytes : stored;
        var put = (anew ? _sql.StoreBlock : _sql.PutBlock).Bind(1, block.Hash).Bind(2, references + 1).Bind(3, time).Bind(4, storedNow);
        // Stored again it is born again: what a replica acknowledged before says nothing of a block that was lost here, and may have been lost there.
        if (anew)
            put.Bind(5, birth.Value);
        put.Run();
        _counters.ReferencedBytes += length;
        // It is in a file now.
        if (anew)
            DropComposed(block.Hash);
        if (anew)
            _counters.LocalBytes += storedNow - (isLocal ? stored : 0);
        if (references > 0)
        {
            _counters.StoredBytes += storedNow - stored;
            return length;
        }
        _counters.DeadBlocks--;
        _counters.DeadBytes -= stored;
        _counters.Blocks++;
        _counters.UniqueBytes += length;
        _counters.StoredBytes += storedNow;
        return length;
    }

    /// <summary>One manifest entry less names a block. At none it is dead, and waits out its grace from now.</summary>
    /// <returns>Its length.</returns>
    /// <exception cref="MetadataException">There is no such block, or nothing refers to it: the metadata contradicts itself.</exception>
    private long Dereference(BlockHash hash, Timestamp time)
    {
        var s = _sql.CountBlock.Bind(1, hash);
        if (!s.Step())
            throw new MetadataException(Errno.EIO, 0, $"a manifest names block {hash}, which has no row: run fsck");
        var (length, stored, references) = (s.Int64(0), s.Int64(1), s.Int64(2));
        s.Reset();
        if (references <= 0)
            throw new MetadataException(Errno.EIO, 0, $"a manifest names block {hash}, whose reference count is {references}: run fsck");
        _sql.PutBlock.Bind(1, hash).Bind(2, references - 1).Bind(3, time).Bind(4, stored).Run();
        _counters.ReferencedBytes -= length;
        if (references == 1)
        {
            _counters.Blocks--;
            _counters.UniqueBytes -= length;
            _counters.StoredBytes -= stored;
            _counters.DeadBlocks++;
            _counters.DeadBytes += stored;
        }
        return length;
    }

    private void ReplayContent(EffectKind kind, ref EffectReader reader, Span<ManifestBlock> blocks)
    {
        switch (kind)
        {
            case EffectKind.SetBlocks:
                Apply(reader.Blocks(blocks));
                break;
            case EffectKind.DropBlocks:
                Apply(reader.Drop());
                break;
            case EffectKind.MoveSegments:
                Apply(reader.Move());
                break;
            case EffectKind.SettleRedo:
                _sql.SettleRedo.Bind(1, reader.Inode()).Bind(2, (long)reader.Number()).Run();
                break;
            case EffectKind.ForgetRedo:
                ForgetRedo((long)reader.Number());
                break;
            case EffectKind.Touch:
                var time = reader.Time();
                for (ulong left = reader.Number(); left > 0; left--)
                    _sql.TouchBlock.Bind(1, reader.Hash()).Bind(2, time).Run();
                break;
            case EffectKind.DeleteBlock:
                ApplyDeleteBlock(reader.Hash());
                break;
            case EffectKind.Compose:
                var composed = new ComposedRow(reader.Hash(), unchecked((ulong)reader.Time().Nanoseconds), reader.Bytes().ToArray());
                var sources = new BlockHash[reader.Number()];
                for (int i = 0; i < sources.Length; i++)
                    sources[i] = reader.Hash();
                ApplyCompose(composed, sources, (long)reader.Number());
                break;
            case EffectKind.Decompose:
                var whole = reader.Hash();
                ApplyDecompose(whole, (long)reader.Number());
                break;
            case EffectKind.SetResidency:
                var residency = reader.Residency();
                ApplyResidency(reader.Hash(), residency);
                break;
            default:
                throw new InvalidDataException($"journal record of unknown kind {(byte)kind}");
        }
    }
}
