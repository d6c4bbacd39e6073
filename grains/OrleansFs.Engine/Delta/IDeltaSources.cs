using OrleansFs.Engine.Blocks;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>The blocks that a target may be built out of: those that whoever builds is known to have.</summary>
internal interface IDeltaSources
{
    /// <summary>Full blocks by their weak checksum: a filter, for the inner loop of the search.</summary>
    FingerprintTable Weak { get; }

    /// <summary>The full block of which a window is the content: confirmed by SHA-256, no old data is read. Null where there is none.</summary>
    BlockHash? Find(WeakChecksum weak, ReadOnlySpan<byte> window);

    /// <summary>What follows a block in some file; null where that is not known.</summary>
    BlockHash? Following(BlockHash hash);

    /// <summary>What is before it.</summary>
    BlockHash? Preceding(BlockHash hash);

    /// <summary>The content of a block, where it is at hand; empty where it is not. Good for the next <see cref="DeltaLimits.SourcesHeld"/> - 1 calls.</summary>
    ReadOnlySpan<byte> Read(BlockHash hash);
}

/// <summary>A piece of a target that a source has too.</summary>
/// <param name="Start">First byte, in the target.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Source">The block that has it.</param>
/// <param name="Offset">First byte there.</param>
internal readonly record struct DeltaCopy(int Start, int Length, BlockHash Source, int Offset)
{
    public int End => Start + Length;
}
