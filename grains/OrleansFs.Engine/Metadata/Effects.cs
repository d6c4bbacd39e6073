using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

// Effects are what a mutation does to the tables: the master builds an effect, applies it and appends it to the journal; a replica reads it from the journal
// and applies it.
// Both through the same Apply. Layout of a record (EffectWriter writes it, EffectReader reads it, nothing else knows it):
//
//   kind          1 byte
//   payload       as the kind has it: varints (LEB128) for counts and ids, 8 bytes little-endian for times, 32 bytes for hashes, varint length + bytes for
// byte strings
//
// A journal value is one version byte and then records. The files that must change together: this one, EffectWriter.cs, EffectReader.cs,
// MetadataStore.Apply.cs.

/// <summary>Kinds of effects. Values are on disk and on the wire and are never reused. From 0x80 on they are local: they are never in a journal
/// value.</summary>
internal enum EffectKind : byte
{
    AddInode = 1,
    PutInode = 2,
    DeleteInode = 3,
    PutDentry = 4,
    DeleteDentry = 5,
    SetXattr = 6,
    DeleteXattr = 7,
    DeleteXattrs = 8,
    SetBlocks = 9,
    DropBlocks = 10,
    MoveSegments = 11,
    PutState = 12,
    DeleteBlock = 13,
    BeginEpoch = 14,
    AddRecord = 24,
    TrimRecords = 25,
    DropRecords = 26,

    /// <summary>The name that goes and the one that comes next are one that was renamed. It changes nothing.</summary>
    Rename = 27,

    PutSession = 28,
    DeleteSession = 29,
    PutReply = 30,
    BeginBranch = 31,

    SettleRedo = 0x80,
    ForgetRedo = 0x81,
    Touch = 0x82,
    PutReplica = 0x84,
    DeleteReplica = 0x85,
    SetResidency = 0x86,
    Fence = 0x87,
    Compose = 0x8B,
    Decompose = 0x8C,
}

/// <summary>The row of an inode.</summary>
internal readonly record struct InodeRow
{
    /// <summary>With size, allocated bytes and modify time as they are committed.</summary>
    public required Attributes Attributes { get; init; }

    public required InodeNumber Parent { get; init; }

    public required ulong Manifest { get; init; }

    public required int XattrBytes { get; init; }

    public required bool Linkable { get; init; }

    /// <summary>The content has changed since the row was written: <see cref="Hash"/> takes the place of the content hash in it.</summary>
    public bool HashChanged { get; init; }

    /// <summary>The content hash; null where it is not known.</summary>
    public BlockHash? Hash { get; init; }
}

/// <summary>A name, new or with another inode. A name that exists keeps its cookie.</summary>
internal readonly ref struct PutDentry
{
    public required InodeNumber Parent { get; init; }

    public required ReadOnlySpan<byte> Name { get; init; }

    public required long Cookie { get; init; }

    public required InodeNumber Inode { get; init; }

    public required byte Type { get; init; }
}

/// <summary>Blocks of one segment of a manifest.</summary>
internal readonly ref struct SetBlocks
{
    public required ulong Manifest { get; init; }

    public required long Segment { get; init; }

    /// <summary>Becomes the last use of the blocks concerned.</summary>
    public required Timestamp Time { get; init; }

    /// <summary>Birth of the blocks that have no row yet.</summary>
    public required Lsn Birth { get; init; }

    /// <summary>All within the segment.</summary>
    public required ReadOnlySpan<ManifestBlock> Blocks { get; init; }
}

/// <summary>Blocks that become holes: from <see cref="First"/> to before <see cref="End"/>.</summary>
internal readonly record struct DropBlocks(ulong Manifest, long First, long End, Timestamp Time);

/// <summary>Segments from <see cref="First"/> to before <see cref="End"/> change their manifest; reference counts stay.</summary>
internal readonly record struct MoveSegments(ulong From, ulong To, long First, long End);

/// <summary>What the row of the volume holds at the end of a transaction.</summary>
internal readonly record struct VolumeState(ulong NextInode, long NextCookie, Timestamp Clock, Lsn Lsn, Counters Counters);

/// <summary>A master's time: the mutations after <see cref="Start"/> are those of this epoch.</summary>
/// <param name="Epoch">From 1.</param>
/// <param name="Start">Mutations there were before it.</param>
/// <param name="Time">When it began.</param>
internal readonly record struct EpochStart(Epoch Epoch, Lsn Start, Timestamp Time);

/// <summary>The mutations after <see cref="Start"/> were made by one opening of a folder: two histories that differ have no branch in common in which they do.</summary>
/// <param name="Start">Mutations there were before it.</param>
/// <param name="Id">Random.</param>
internal readonly record struct Branch(Lsn Start, Guid Id);
