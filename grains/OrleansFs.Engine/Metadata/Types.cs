using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>What a volume is to be when it is made.</summary>
internal sealed record NewVolume
{
    /// <summary>Name of the volume, for people.</summary>
    public required string Name { get; init; }

    /// <summary>Name of this copy: the silo that serves it.</summary>
    public required CopyName Copy { get; init; }

    /// <summary>S, bytes: a power of two from 4 KiB to 4 MiB.</summary>
    public required int BlockSize { get; init; }

    /// <summary>Owner of the root directory.</summary>
    public uint RootUid { get; init; }

    public uint RootGid { get; init; }

    /// <summary>Permission bits of the root directory.</summary>
    public uint RootMode { get; init; } = 0x1ED;

    /// <summary>The site of this master: the top 16 bits of the inode numbers it makes.</summary>
    public ushort Site { get; init; }

    /// <summary>The identity of a volume of which this becomes a replica; null to make a new volume.</summary>
    public VolumeId? ReplicaOf { get; init; }
}

/// <summary>What does not change about a volume while it is open.</summary>
/// <param name="Id">Its identity.</param>
/// <param name="Name">Its name, for people.</param>
/// <param name="Copy">Which copy of it this is.</param>
/// <param name="BlockSize">S, bytes.</param>
/// <param name="Epoch">The epoch of the master that wrote this copy.</param>
/// <param name="Site">Top 16 bits of the inode numbers made here.</param>
/// <param name="FormatVersion">Of meta.db.</param>
/// <param name="Created">When the volume was made.</param>
internal sealed record VolumeInfo(VolumeId Id, string Name, CopyName Copy, int BlockSize, Epoch Epoch, ushort Site, int FormatVersion, Timestamp Created)
{
    /// <summary>Master or replica.</summary>
    public VolumeRole Role { get; init; }

    /// <summary>The master that took over from this one; null where none did.</summary>
    public Fence? Fence { get; init; }
}

/// <summary>Who took over from a master, and when.</summary>
/// <param name="By">The epoch of the new master.</param>
/// <param name="At">Where it began: mutations after it that this copy has were never replicated to the new master.</param>
internal readonly record struct Fence(Epoch By, Lsn At);

/// <summary>A replica, as its master remembers it.</summary>
/// <param name="Name">The name of that copy.</param>
/// <param name="Acked">Everything up to here is on its disk. At most what it has: written lazily.</param>
/// <param name="Held">The journal is needed from here on because a full copy is under way; null where none is.</param>
/// <param name="Registered">When it was first seen.</param>
/// <param name="Seen">When it last acknowledged.</param>
/// <param name="Lacks">At its last answer it had rows of blocks that it has not got.</param>
internal readonly record struct ReplicaRow(CopyName Name, Lsn Acked, Lsn? Held, Timestamp Registered, Timestamp Seen, bool Lacks)
{
    /// <summary>The journal is needed from here on.</summary>
    public Lsn Needs => Held ?? Acked;
}

/// <summary>Totals of a volume. They change in the same transaction as what they count.</summary>
internal record struct Counters
{
    /// <summary>Regular files, orphans left out.</summary>
    public long Files;

    public long Directories;

    /// <summary>Symbolic links, devices, fifos and sockets.</summary>
    public long Others;

    /// <summary>Sum of the committed sizes of the files counted, bytes.</summary>
    public long LogicalBytes;

    /// <summary>Sum of the lengths of the blocks of all manifests, each reference counted, bytes.</summary>
    public long ReferencedBytes;

    /// <summary>Distinct blocks that are referenced.</summary>
    public long Blocks;

    /// <summary>Sum of their lengths, bytes.</summary>
    public long UniqueBytes;

    /// <summary>What they take on disk, bytes.</summary>
    public long StoredBytes;

    /// <summary>Blocks with a row that nothing refers to.</summary>
    public long DeadBlocks;

    /// <summary>What those take on disk, bytes.</summary>
    public long DeadBytes;

    /// <summary>What the blocks that should be in files of this copy take on disk, dead ones too, bytes. This copy's own.</summary>
    public long LocalBytes;

    /// <summary>Inodes without a name that have not been purged yet.</summary>
    public long Orphans;
}

/// <summary>What a content commit records of one block of a file.</summary>
/// <param name="Index">Which block of the file, from 0.</param>
/// <param name="Hash">Its name; <see cref="BlockHash.Hole"/> makes it a hole, and then the rest is ignored.</param>
/// <param name="Length">Bytes of content, 1 to S.</param>
/// <param name="WeakChecksum">Its rolling checksum.</param>
/// <param name="StoredBytes">What its file takes on disk. Counts where the block has no row yet, or was written (<paramref name="WriteSequence"/> above
/// 0).</param>
/// <param name="WriteSequence">Position of the write that must be synced before the transaction is committed; 0 where the block was stored and synced
/// before.</param>
internal readonly record struct ManifestBlock(long Index, BlockHash Hash, int Length, ulong WeakChecksum, long StoredBytes, long WriteSequence);

/// <summary>A change of a file's content, as one mutation. Order of effect: truncate, punch, set.</summary>
internal sealed class ContentCommit
{
    /// <summary>Size of the file afterwards, bytes.</summary>
    public required long Size { get; init; }

    /// <summary>Modify time that belongs to that content.</summary>
    public required Timestamp ModifyTime { get; init; }

    /// <summary>First block to be dropped with all that follow; null where nothing is cut off.</summary>
    public long? TruncateToBlocks { get; init; }

    /// <summary>Ranges of blocks that become holes.</summary>
    public IReadOnlyList<(long First, long Count)> Punched { get; init; } = [];

    /// <summary>What the redo log had of the file when that state was taken, and does not count any more.</summary>
    public RedoMark Logged { get; init; }

    /// <summary>Blocks to be set, by index, each index once.</summary>
    public IReadOnlyList<ManifestBlock> Blocks { get; init; } = [];
}

/// <summary>Where the content of a block is. Values are on disk.</summary>
internal enum Residency
{
    /// <summary>Only on other copies.</summary>
    Absent = 0,

    /// <summary>In a block file of this copy.</summary>
    Local = 1,

    /// <summary>In a block file of this copy, and never to be evicted: someone wants it here.</summary>
    Kept = 2,
}

/// <summary>The row of a block.</summary>
/// <param name="Hash">Its name.</param>
/// <param name="Length">Bytes of content.</param>
/// <param name="StoredBytes">What it takes on disk here.</param>
/// <param name="References">Manifest entries that name it.</param>
/// <param name="LastUse">When it was last made, named anew or read, to some precision.</param>
/// <param name="WeakChecksum">Its rolling checksum.</param>
/// <param name="Residency">Where its content is.</param>
/// <param name="Birth">Position in the journal of the mutation that made it.</param>
/// <param name="Pins">Composed blocks that are built out of it.</param>
internal readonly record struct BlockRow(BlockHash Hash, int Length, long StoredBytes, long References, Timestamp LastUse, ulong WeakChecksum, Residency Residency, Lsn Birth, int Pins);

/// <summary>A block that nothing refers to.</summary>
/// <param name="Hash">Its name.</param>
/// <param name="LastUse">Since when; its grace counts from there.</param>
internal readonly record struct DeadBlock(BlockHash Hash, Timestamp LastUse);

/// <summary>What was synced of a file and is not in its manifest yet.</summary>
/// <param name="Inode">The file.</param>
/// <param name="Size">Its size as of the newest write, bytes.</param>
/// <param name="ModifyTime">As of the newest write.</param>
/// <param name="ChangeTime">As of the newest write.</param>
/// <param name="Writes">In the order in which they were made. Read from the log as they are enumerated; the data of one is good until the next.</param>
internal sealed record RedoFile(InodeNumber Inode, long Size, Timestamp ModifyTime, Timestamp ChangeTime, IEnumerable<RedoWrite> Writes);

/// <summary>One synced write.</summary>
internal readonly record struct RedoWrite(long Offset, ReadOnlyMemory<byte> Data);

/// <summary>meta.db has a format that this program does not know. The message is one line for the user.</summary>
internal sealed class NewerFormatException(int found, int known)
    : Exception($"the volume has metadata format {found}, this program knows up to {known}: use a newer OrleansFs")
{
    public int Found { get; } = found;
}

/// <summary>The file is no meta.db, or is not usable at all. The message is one line for the user.</summary>
internal sealed class NotAVolumeException(string message) : Exception(message);

/// <summary>SQLite refuses or fails; what the operation did has been undone.</summary>
internal sealed class MetadataException(Errno error, int code, string message) : IOException(message)
{
    /// <summary>What the caller is told: ENOSPC or EIO.</summary>
    public Errno Error { get; } = error;

    /// <summary>SQLite's extended result code.</summary>
    public int Code { get; } = code;
}
