using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>What a master has for building blocks out of others: once for the volume, whatever number of replicas there are.</summary>
internal sealed class VolumeDelta : IDisposable
{
    private readonly Lazy<DeltaEncoder> _encoder;

    /// <param name="mode">Whether to build at all.</param>
    /// <param name="metadataPath">The database of the volume.</param>
    /// <param name="blockSize">S, bytes.</param>
    /// <param name="commit">Commits its open transaction.</param>
    public VolumeDelta(DeltaMode mode, string metadataPath, int blockSize, Func<CancellationToken, ValueTask<FsResult>> commit)
    {
        Mode = mode;
        Index = new BlockIndex(metadataPath, blockSize, commit);
        _encoder = new Lazy<DeltaEncoder>(() => new DeltaEncoder(blockSize));
    }

    public DeltaMode Mode { get; }

    public BlockIndex Index { get; }

    public DeltaNotes Notes { get; } = new();

    public HeldBlocks Held { get; } = new();

    /// <summary>Held by who encodes: one at a time, so that the memory for it is there once and one processor at most is busy with it.</summary>
    public SemaphoreSlim Turn { get; } = new(1, 1);

    /// <summary>For who holds <see cref="Turn"/>.</summary>
    public DeltaEncoder Encoder => _encoder.Value;

    public void Dispose() => Turn.Dispose();
}

/// <summary>A block that a replica lacks, and what is known of its place.</summary>
/// <param name="Hash">Its name.</param>
/// <param name="Stream">The file that it was made in; null where nobody remembers.</param>
/// <param name="Index">Its place there, in blocks.</param>
/// <param name="Base">What was in that place before; a hole where nothing was.</param>
/// <param name="Length">Bytes of content.</param>
/// <param name="StoredBytes">What sending it whole would take, about.</param>
internal readonly record struct PlacedBlock(BlockHash Hash, ulong? Stream, long Index, BlockHash Base, int Length, int StoredBytes);
