using Orleans;

namespace OrleansFs.Model;

/// <summary>Where the committed blocks of a file are, each distinct block counted once.</summary>
[GenerateSerializer, Immutable, Alias("ofs.FileResidency")]
public readonly record struct FileResidency
{
    /// <summary>Of the file, bytes.</summary>
    [Id(0)] public required long Size { get; init; }

    [Id(1)] public long Blocks { get; init; }

    /// <summary>In files here.</summary>
    [Id(2)] public long LocalBlocks { get; init; }

    /// <summary>Kept here whatever the cache needs.</summary>
    [Id(3)] public long PinnedBlocks { get; init; }

    /// <summary>Other files, or other places in this one, have them too.</summary>
    [Id(4)] public long SharedBlocks { get; init; }

    /// <summary>What deleting the file would free here, bytes on disk.</summary>
    [Id(5)] public long FreedBytes { get; init; }

    /// <summary>Content newer than that is in memory.</summary>
    [Id(6)] public required bool IsInFlight { get; init; }

    /// <summary>Replicas that have every block, at least: of the block that the fewest have.</summary>
    [Id(7)] public int Copies { get; init; }

    /// <summary>The replicas that the master knows. None on a replica, which knows of no other.</summary>
    [Id(8)] public required ReplicaHolds[] Replicas { get; init; }

    /// <summary>The copy that was asked.</summary>
    [Id(9)] public required string Copy { get; init; }

    /// <summary>It is the master, or was one.</summary>
    [Id(10)] public required bool IsMaster { get; init; }

    /// <summary>What the blocks take on disk where they are, bytes.</summary>
    [Id(11)] public long StoredBytes { get; init; }

    /// <summary>What those take that are here, bytes on disk.</summary>
    [Id(12)] public long LocalBytes { get; init; }

    /// <summary>What those take that are shared, bytes on disk.</summary>
    [Id(13)] public long SharedBytes { get; init; }

    /// <summary>Blocks that no other copy is known to have. On a former master: those that were never replicated.</summary>
    [Id(14)] public long OnlyHereBlocks { get; init; }

    /// <summary>Names of the file: deleting frees nothing before the last of them goes.</summary>
    [Id(15)] public uint Links { get; init; }

    /// <summary>Blocks of it that are kept there as pieces of others.</summary>
    [Id(16)] public long ComposedBlocks { get; init; }

    /// <summary>It was the master, and another has taken over: it takes no changes.</summary>
    [Id(17)] public required bool IsFenced { get; init; }

    /// <summary>Not here: to be fetched when they are read.</summary>
    public long EvictedBlocks => Blocks - LocalBlocks;
}

/// <summary>How many blocks of a file a replica has.</summary>
[GenerateSerializer, Immutable, Alias("ofs.ReplicaHolds")]
public readonly record struct ReplicaHolds
{
    [Id(0)] public required string Name { get; init; }

    [Id(1)] public long Blocks { get; init; }
}

/// <summary>What is to be done about where the blocks of a file are.</summary>
[GenerateSerializer, Alias("ofs.ResidencyAction")]
public enum ResidencyAction
{
    /// <summary>Fetch those that are not here, and keep them here whatever the cache needs.</summary>
    Pin = 1,

    /// <summary>Keep them no longer than others.</summary>
    Unpin = 2,

    /// <summary>Fetch those that are not here.</summary>
    Warm = 3,

    /// <summary>Give up those here that may be given up.</summary>
    Evict = 4,
}

/// <summary>What has become of the blocks of a part of a file.</summary>
[GenerateSerializer, Immutable, Alias("ofs.ResidencyChange")]
public readonly record struct ResidencyChange
{
    /// <summary>Distinct blocks of that part.</summary>
    [Id(0)] public required long Blocks { get; init; }

    /// <summary>Those of them for which something has changed.</summary>
    [Id(1)] public required long Changed { get; init; }

    /// <summary>Those of them that have to stay: pinned, in flight, or not on enough replicas.</summary>
    [Id(2)] public required long Staying { get; init; }
}
