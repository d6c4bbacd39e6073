using Orleans;

namespace OrleansFs.Model;

/// <summary>What <c>orleansfs status</c> shows. Field names are a contract: the JSON of <c>--json</c> has the same in camelCase.</summary>
[GenerateSerializer, Immutable, Alias("ofs.VolumeStatus")]
public readonly record struct VolumeStatus
{
    [Id(0)] public required string Volume { get; init; }

    [Id(1)] public required string Uuid { get; init; }

    [Id(2)] public required string Copy { get; init; }

    /// <summary>"master" or "replica".</summary>
    [Id(3)] public required string Role { get; init; }

    /// <summary>On-disk format version.</summary>
    [Id(4)] public int FormatVersion { get; init; }

    /// <summary>S, bytes.</summary>
    [Id(5)] public int BlockSize { get; init; }

    [Id(6)] public long Files { get; init; }

    [Id(7)] public long Directories { get; init; }

    /// <summary>Symbolic links, devices, fifos and sockets.</summary>
    [Id(8)] public long OtherInodes { get; init; }

    /// <summary>Sum of the sizes of all files, bytes.</summary>
    [Id(9)] public long LogicalBytes { get; init; }

    /// <summary>Bytes of all file data without holes, each reference counted.</summary>
    [Id(10)] public long ReferencedBytes { get; init; }

    /// <summary>Bytes of the distinct blocks, before compression.</summary>
    [Id(11)] public long UniqueBytes { get; init; }

    /// <summary>Bytes that the distinct blocks take on disk, after compression.</summary>
    [Id(12)] public long StoredBytes { get; init; }

    /// <summary>Distinct blocks that are referenced.</summary>
    [Id(13)] public long Blocks { get; init; }

    /// <summary>Blocks no longer referenced, waiting for collection.</summary>
    [Id(14)] public long DeadBlocks { get; init; }

    [Id(15)] public long DeadBytes { get; init; }

    /// <summary>Bytes in memory that are newer than what is hashed and committed.</summary>
    [Id(16)] public long InFlightBytes { get; init; }

    /// <summary>The bound on <see cref="InFlightBytes"/>.</summary>
    [Id(17)] public long InFlightLimit { get; init; }

    /// <summary>Newest position of the journal.</summary>
    [Id(18)] public long Lsn { get; init; }

    /// <summary>When the newest transaction was committed.</summary>
    [Id(19)] public DateTimeOffset? LastCommit { get; init; }

    /// <summary>Unlinked inodes that are still in use.</summary>
    [Id(20)] public long Orphans { get; init; }

    /// <summary>Bytes of meta.db and its WAL.</summary>
    [Id(21)] public long MetadataBytes { get; init; }

    /// <summary>Resident memory of the process that serves the volume, bytes; null when read from a folder at rest.</summary>
    [Id(22)] public long? ResidentBytes { get; init; }

    /// <summary>Why writing is refused or slowed, or data cannot be read, in one line; null when all is well.</summary>
    [Id(23)] public string? Trouble { get; init; }

    /// <summary>Bound on what block files may take here, bytes; null where the disk is the bound, and on a replica.</summary>
    [Id(24)] public long? CacheBytes { get; init; }

    /// <summary>What block files take here, bytes.</summary>
    [Id(25)] public long LocalBytes { get; init; }

    /// <summary>Of them, what is pinned; null where nothing is ever evicted.</summary>
    [Id(26)] public long? PinnedBytes { get; init; }

    /// <summary>Of them, what fewer replicas have than the master wants before it evicts, bytes; null on a replica and on a former master.</summary>
    [Id(27)] public long? NotBackedUpBytes { get; init; }

    /// <summary>The replicas of a master, without their lag in bytes; null on a replica.</summary>
    [Id(28)] public ReplicaReport[]? Replicas { get; init; }

    /// <summary>Blocks that were given up here since the process started: replicas have them.</summary>
    [Id(29)] public long EvictedBlocks { get; init; }

    /// <summary>Blocks that were had from replicas since then.</summary>
    [Id(30)] public long FetchedBlocks { get; init; }

    /// <summary>How the verification of the block files here stands.</summary>
    [Id(31)] public VerificationReport? Verification { get; init; }

    /// <summary>Blocks that are kept here as pieces of others.</summary>
    [Id(32)] public long ComposedBlocks { get; init; }

    /// <summary>What these take, bytes.</summary>
    [Id(33)] public long ComposedBytes { get; init; }

    /// <summary>Referenced over unique bytes: 1 where nothing is stored twice.</summary>
    public double DeduplicationRatio => UniqueBytes == 0 ? 1 : (double)ReferencedBytes / UniqueBytes;

    /// <summary>Unique over stored bytes: 1 where nothing compresses.</summary>
    public double CompressionRatio => StoredBytes == 0 ? 1 : (double)UniqueBytes / StoredBytes;
}
