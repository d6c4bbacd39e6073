using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>Blocks of a volume as sources to build others out of: those that a replica has, or that are here. For one round of encoding; not thread-safe.</summary>
/// <remarks>Whatever it names is held (<see cref="HeldBlocks"/>) until it is disposed of.</remarks>
internal sealed class VolumeSources : IDeltaSources, IDisposable
{
    /// <summary>Checksums that turned out to belong to nothing of use, remembered so that content which repeats itself is not looked up again and again.</summary>
    private const int MissesRemembered = 4096;

    private readonly MetadataStore _metadata;
    private readonly VolumeDelta _delta;
    private readonly BlockIndex.Tables _tables;
    private readonly Func<BlockRow, bool> _has;
    private readonly SourceContents _contents;
    private readonly HashSet<BlockHash> _held = [];
    private readonly HashSet<ulong> _misses = [];

    /// <param name="volume">The master.</param>
    /// <param name="tables">Its index.</param>
    /// <param name="has">Whether whoever is to build has a block.</param>
    public VolumeSources(VolumeCopy volume, BlockIndex.Tables tables, Func<BlockRow, bool> has)
    {
        _metadata = volume.Metadata;
        _delta = volume.Delta;
        _tables = tables;
        _has = has;
        _contents = new SourceContents(volume.Metadata, volume.BlockStore.Files, volume.BlockSize);
    }

    public FingerprintTable Weak => _tables.Weak;

    public BlockHash? Find(WeakChecksum weak, ReadOnlySpan<byte> window)
    {
        if (_misses.Contains(weak.Value))
            return null;
        Span<uint> prefixes = stackalloc uint[DeltaLimits.Candidates];
        BlockHash? computed = null;
        foreach (uint prefix in prefixes[.._tables.Weak.Find(weak.Value, prefixes)])
        {
            foreach (var row in _metadata.BlocksByPrefix(prefix, DeltaLimits.Candidates))
            {
                if (row.WeakChecksum != weak.Value || row.Length != window.Length || !Hold(row.Hash))
                    continue;
                if (row.Hash == (computed ??= BlockHash.Of(window)))
                    return row.Hash;
            }
        }
        if (_misses.Count == MissesRemembered)
            _misses.Clear();
        _misses.Add(weak.Value);
        return null;
    }

    public BlockHash? Following(BlockHash hash)
    {
        Span<uint> prefixes = stackalloc uint[DeltaLimits.Candidates];
        return First(prefixes[.._tables.Following(hash, prefixes)]);
    }

    public BlockHash? Preceding(BlockHash hash)
    {
        Span<uint> prefixes = stackalloc uint[DeltaLimits.Candidates];
        return First(prefixes[.._tables.Preceding(hash, prefixes)]);
    }

    public ReadOnlySpan<byte> Read(BlockHash hash) => _contents.Get(hash).Span;

    /// <summary>What whoever builds has of what was in a place before: what was under the block, or under that, where a replica never saw it. A hole where there is nothing.</summary>
    public BlockHash BaseOf(in PlacedBlock block)
    {
        var hash = block.Base;
        for (int step = 0; step < DeltaLimits.BaseSteps && !hash.IsHole; step++)
        {
            if (Hold(hash))
                return hash;
            hash = _delta.Notes.TryGet(hash, out var note) ? note.Base : BlockHash.Hole;
        }
        return BlockHash.Hole;
    }

    /// <summary>Whether whoever builds has a block that was found earlier; it is held then.</summary>
    public bool IsUsable(BlockHash hash) => Hold(hash);

    public void Dispose()
    {
        foreach (var hash in _held)
            _delta.Held.Release(hash);
        _held.Clear();
    }

    private BlockHash? First(ReadOnlySpan<uint> prefixes)
    {
        foreach (uint prefix in prefixes)
        {
            foreach (var row in _metadata.BlocksByPrefix(prefix, DeltaLimits.Candidates))
            {
                if (Hold(row.Hash))
                    return row.Hash;
            }
        }
        return null;
    }

    /// <summary>Holds a block where it may be used; looks at the row after holding it.</summary>
    private bool Hold(BlockHash hash)
    {
        bool anew = _held.Add(hash);
        if (anew)
            _delta.Held.Hold(hash);
        if (_metadata.TryGetBlock(hash, out var row) && _has(row))
            return true;
        if (anew)
        {
            _held.Remove(hash);
            _delta.Held.Release(hash);
        }
        return false;
    }
}
