using Orleans;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>What a copy knows of one block.</summary>
[GenerateSerializer, Immutable, Alias("ofs.BlockInfo")]
public readonly record struct BlockInfo
{
    [Id(0)] public required BlockHash Hash { get; init; }

    /// <summary>Bytes of content, 1 to S.</summary>
    [Id(1)] public required int Length { get; init; }

    /// <summary>How often manifests name it. 0 waits for collection.</summary>
    [Id(2)] public required long ReferenceCount { get; init; }

    /// <summary>When it was last read or written through this copy; null where that is not known.</summary>
    [Id(3)] public required Timestamp? LastUse { get; init; }

    /// <summary>The rolling checksum, never an identity.</summary>
    [Id(4)] public required ulong WeakChecksum { get; init; }

    [Id(5)] public required BlockResidency Residency { get; init; }

    /// <summary>It is kept here whatever the cache needs.</summary>
    [Id(6)] public required bool IsPinned { get; init; }

    /// <summary>It has no file of its own here: it is kept as pieces of others.</summary>
    [Id(7)] public bool IsComposed { get; init; }
}

/// <summary>Where a block's content is.</summary>
[GenerateSerializer, Alias("ofs.BlockResidency")]
public enum BlockResidency
{
    /// <summary>In a block file of this copy.</summary>
    Local = 0,

    /// <summary>Not here: it has to be fetched.</summary>
    Evicted = 1,

    /// <summary>It should be here and is not, or its content is wrong.</summary>
    Missing = 2,
}
