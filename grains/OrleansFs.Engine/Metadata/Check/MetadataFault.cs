using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>What is wrong with the metadata.</summary>
internal enum MetadataFaultKind
{
    /// <summary>SQLite's own check finds damage. Not repaired here: nothing that is read can be trusted.</summary>
    DatabaseDamaged,
    RootMissing,
    DentryWithoutInode,
    DentryWithoutDirectory,
    DentryTypeWrong,
    DirectoryWithManyNames,
    DirectoryParentWrong,
    DirectoryUnreachable,
    DirectorySizeWrong,
    InodeWithoutName,
    LinkCountWrong,
    ManifestMalformed,
    ManifestShared,
    ManifestWithoutInode,

    /// <summary>A file names a block that has no row. The repair makes a row that says that the block is absent here: reading it fails until a replica or a
    /// new write brings it.</summary>
    ManifestBlockUnknown,
    SegmentNodeWrong,
    ContentHashWrong,
    AllocationWrong,
    ReferenceCountWrong,

    /// <summary>How a composed block is made cannot be read, or leads to blocks that are not there. The repair forgets it: the block is missing then.</summary>
    ComposedUnreadable,

    /// <summary>A block that composed ones are made of is noted as given up. It should be here: the repair says so, and it is had from a replica.</summary>
    ComposedSourceAbsent,

    /// <summary>A composed block has no row, or one that says absent.</summary>
    ComposedWithoutBlock,

    /// <summary>What is noted of the sources of a composed block is not what it is made of.</summary>
    ComposedSourcesWrong,
    PinCountWrong,
    XattrWithoutInode,
    XattrTotalWrong,

    /// <summary>Records, or who made them, of what is no append-only file. The repair deletes the rows; the bytes of the file stay.</summary>
    RecordsWithoutFile,

    /// <summary>The records of a segment cannot be followed from one on. The repair cuts them off there: their bytes stay in the file, and are no records.</summary>
    RecordsMalformed,
    AppenderWrong,
    CounterWrong,
}

/// <summary>One fault that a check found.</summary>
/// <param name="Kind">What is wrong.</param>
/// <param name="Description">In words, with the names and numbers.</param>
internal sealed record MetadataFault(MetadataFaultKind Kind, string Description)
{
    /// <summary>The inode concerned; of a name the directory that it is in.</summary>
    public InodeNumber? Inode { get; init; }

    /// <summary>A name; of an append its writer.</summary>
    public byte[]? Name { get; init; }

    public BlockHash? Block { get; init; }

    public ulong? Manifest { get; init; }

    public long? Segment { get; init; }

    /// <summary>Of records: the site that made them.</summary>
    public ushort? Site { get; init; }

    /// <summary>What should be there, where it is a number.</summary>
    public long? Expected { get; init; }
}

/// <summary>How far a check has come.</summary>
/// <param name="Step">What it is doing.</param>
/// <param name="Done">Rows done in this step.</param>
/// <param name="Total">Rows of this step, where known.</param>
internal readonly record struct CheckProgress(string Step, long Done, long? Total);
