namespace OrleansFs.Engine.Blocks;

/// <summary>Every bound of the block store, each with its reason.</summary>
internal static class BlockLimits
{
    /// <summary>Content of a block, bytes: the largest S.</summary>
    public const int MaxContent = 4 << 20;

    /// <summary>
    /// Blocks that a sync brings to disk one by one (fdatasync of each, fsync of its folder); of more it syncs the whole file system once. One by one costs 0.25 ms a block here, the
    /// file system 0.3 ms for one block and 0.6 ms for 32; but it also waits for what other programs have written, which a lone small fsync should not have to.
    /// </summary>
    public const int SyncOneByOne = 4;

    /// <summary>
    /// Blocks past the page cache that a sync brings to disk by themselves where other programs have much that is not on disk: syncfs would wait for theirs. 512 blocks of 128 KiB take 0.06 s here either way, and syncfs 0.3 s more where 256 MiB of
    /// others' have to be written first. A descriptor is kept for each; a process that may have few keeps one in <see cref="OpenBlocksShare"/> of what it may have.
    /// </summary>
    public const int SyncEach = 2048;

    /// <summary>What others have that is not on disk from which that pays, bytes.</summary>
    public const long OthersUnwritten = 32 << 20;

    /// <summary>Threads that sync blocks by themselves: a file system gathers syncs that are asked for together, and so does a disk.</summary>
    public const int SyncThreads = 32;

    /// <summary>Blocks written and not synced at which a sync begins by itself: bounds what is remembered of them, and what one sync has to do.</summary>
    public const int UnsyncedBlocks = 8192;

    /// <summary>The same in bytes that are not in the page cache: while more is written the disk brings to rest what it has, and whoever waits for a sync at the end waits for the rest only.</summary>
    public const long UnsyncedBytes = 64 << 20;

    /// <summary>Blocks written and not synced, or suspect, at which a writer waits for the sync, and fails if that fails.</summary>
    public const int MaxUnsyncedBlocks = 4 * UnsyncedBlocks;

    /// <summary>Block files kept open for reading, of 16 KiB and more: some 8 MiB of the kernel's memory for inodes and names, and few of the descriptors that a process may have where it is started by systemd or a
    /// shell (524,288 and more; .NET asks for all of them). To open one costs three reads of the disk when nothing of it is in memory, 0.22 ms here.</summary>
    public const int OpenBlocks = 4096;

    /// <summary>Where a process may have few descriptors, one in so many is for block files that are kept open: 256 of the 1,024 of old systems.</summary>
    public const int OpenBlocksShare = 4;

    /// <summary>Longest read that is done without the rest of the block, bytes. Longer ones come from programs, or a kernel, that go on to read the rest.</summary>
    public const int PartRead = 32 << 10;

    /// <summary>Payload from which write-back begins as soon as a block is written, bytes. Smaller ones are left to the kernel, which puts many into one request.</summary>
    public const int EarlyWriteBack = 32 << 10;

    /// <summary>
    /// Payload from which the kernel's pages of a block are given back once they are on disk, bytes. The mount's own pages hold the same content, so that keeping both halves the memory
    /// of the machine; and reusing the pages at once doubles the speed of a long write on a virtual machine. Smaller blocks are cheaper to keep than to read again.
    /// </summary>
    public const int DropAfterSync = 32 << 10;

    /// <summary>Contents kept in memory for replicas, bytes: half a second of writing at full speed, which a replica on the same machine is behind at the end of it.</summary>
    public const long FreshBytes = 128 << 20;

    /// <summary>How long they are kept for a replica that does not take them.</summary>
    public static readonly TimeSpan FreshKept = TimeSpan.FromSeconds(5);

    /// <summary>How long their memory is kept when nothing is written: as long as that of what is in flight.</summary>
    public static readonly TimeSpan FreshIdle = TimeSpan.FromMinutes(5);

    /// <summary>Most that <see cref="RecycledFiles"/> take on the disk, bytes: what a busy volume gives up and takes anew between two of its collections.</summary>
    public const long RecycledBytes = 512L << 20;

    /// <summary>How long they are kept while nobody wants any, and none comes.</summary>
    public static readonly TimeSpan RecycledKept = TimeSpan.FromMinutes(4);

    /// <summary>How often the name of a block whose file does not hold it is looked up again, while files of deleted blocks are being written anew.</summary>
    public const int LooksAgain = 10;

    /// <summary>Stored blocks that no manifest came to name, and whose files wait for their deletion; of more a sweep finds the files. 4 MiB, and more than are sealed in a second.</summary>
    public const int AbandonedBlocks = 65_536;

    /// <summary>Content below which compression is not tried, bytes: it cannot save a disk unit.</summary>
    public const int MinCompress = BlockFormat.AllocationUnit;

    /// <summary>How long closing waits for the sync under way.</summary>
    public static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(30);

    /// <summary>Share of the cache, in percent, for blocks that were asked for more than once. What is read once, in whatever amount, passes through the rest.</summary>
    public const int CacheProtectedPercent = 75;

    /// <summary>Memory that a cached block takes besides its content, bytes: two objects and a place in the index. Keeps a cache of tiny blocks within its bound.</summary>
    public const int CacheOverhead = 192;

    /// <summary>Threads that wait for the disk: enough for a solid-state disk to work in parallel, and for a hard disk to have something to sort.</summary>
    public const int DiskReaders = 8;

    /// <summary>Reads that wait for one of these threads.</summary>
    public const int DiskQueue = 1024;

    /// <summary>Bytes that one file fetches ahead of its reader from another copy, at most.</summary>
    public const int ReadAheadBytes = 4 << 20;

    /// <summary>Reads in a row, each beginning where the one before ended, before reading ahead begins.</summary>
    public const int SequentialReads = 2;

    /// <summary>Largest content hashed in one piece from a stream, bytes.</summary>
    public const int HashPiece = 1 << 20;
}
