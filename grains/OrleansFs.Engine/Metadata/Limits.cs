namespace OrleansFs.Engine.Metadata;

/// <summary>Every bound of the metadata store, each with its reason.</summary>
internal static class MetadataLimits
{
    /// <summary>Numbers of inodes and of names that a new epoch leaves out: more than a master can give out before a replica that follows it is told. (Of 2^48 inode numbers there are.)</summary>
    public const ulong EpochGap = 1UL << 24;

    /// <summary>Segments of a file, 128 GiB of default blocks, past which its content hash is not kept up with every commit, which would have to read as many rows: some 5 ms. It is computed when asked for.</summary>
    public const int HashedSegments = 4096;

    /// <summary>Segments of a large file whose part of a content hash is computed under one hold of the metadata lock: half a millisecond, or two where they have no node yet.</summary>
    public const int HashStep = 64;

    /// <summary>How often the hash of a large file is begun anew because the file has changed meanwhile, before everybody waits for it.</summary>
    public const int HashAttempts = 3;

    /// <summary>Files of one content hash that are looked at for its content: one is enough unless they are being changed.</summary>
    public const int HashCandidates = 16;

    /// <summary>How long a writer's newest append is remembered: far longer than one tries whose answer was lost.</summary>
    public static readonly TimeSpan AppenderKept = TimeSpan.FromHours(1);

    /// <summary>Bytes of a name: NAME_MAX of Linux.</summary>
    public const int NameLength = 255;

    /// <summary>Bytes of a symbolic link's target: PATH_MAX without its NUL.</summary>
    public const int TargetLength = 4095;

    /// <summary>Names of one inode, and sub-directories of one directory: what fits into 31 bits, as st_nlink is a signed 32-bit number to some
    /// programs.</summary>
    public const uint LinkCount = int.MaxValue;

    /// <summary>Bytes of the name of an extended attribute: XATTR_NAME_MAX of Linux.</summary>
    public const int XattrName = 255;

    /// <summary>Bytes of the value of an extended attribute: XATTR_SIZE_MAX of Linux.</summary>
    public const int XattrValue = 64 << 10;

    /// <summary>Bytes of all extended attributes of an inode, names included: keeps an inode from being a second file system.</summary>
    public const long XattrTotal = 1 << 20;

    /// <summary>Entries of a POSIX ACL: what fits into the value of an extended attribute.</summary>
    public const int AclEntries = (XattrValue - 4) / 8;

    /// <summary>Inodes kept in memory beyond those in use: some 20 MiB.</summary>
    public const int CachedInodes = 64 << 10;

    /// <summary>Names kept in memory, a power of two: some 6 MiB, or 12 with the longest names.</summary>
    public const int CachedDentries = 32 << 10;

    /// <summary>Slots that the search for an inode to drop looks at for each one taken in. More than one, so that the cache shrinks again after a burst of
    /// inodes in use.</summary>
    public const int SweepSteps = 16;

    /// <summary>Hashes in one segment of a manifest: 8 KiB, which is three database pages, and 32 MiB of content at the default block size.</summary>
    public const int SegmentBlocks = 256;

    /// <summary>Segments kept in memory: 2 MiB, which is 8 GiB of content at the default block size.</summary>
    public const int CachedSegments = 256;

    /// <summary>Segments that one mutation drops itself; of more it hands the rest to an orphan, so that no transaction is giant and nobody waits long for the metadata lock.
    /// 4 segments are 1,024 blocks, some 7 ms.</summary>
    public const int DropSegments = 4;

    /// <summary>Blocks whose use is noted in one call: some 5 ms under the metadata lock.</summary>
    public const int TouchBatch = 1024;

    /// <summary>Rows that an enumeration takes under one hold of the metadata lock.</summary>
    public const int PageRows = 512;

    /// <summary>Bytes of the journal while no replica is registered: what a replica that registers soon may catch up from without a full copy.</summary>
    public const long JournalBytes = 64L << 20;

    /// <summary>Bytes of the journal that are kept for replicas that are away: some 15 million blocks or 3 million small files, after which a full copy is the shorter way.</summary>
    public const long ReplicatedJournalBytes = 1L << 30;

    /// <summary>Journal rows that one commit removes at most: more than it adds, so that the journal shrinks, and few enough not to be felt.</summary>
    public const int JournalCutRows = 8;

    /// <summary>On a small disk the WAL, the journal, and the redo log take at most one part in so many of it. WAL and journal together are half of what the engine keeps free there
    /// (a twentieth), so that names can be removed when it is full; the redo log does not grow into that. From 10 GiB on the bounds beside this one are the lower ones.</summary>
    public const int DiskShare = 80;

    /// <summary>Least of both, bytes: some hundred pages, which is a transaction or two.</summary>
    public const long LeastLogBytes = 1 << 20;

    /// <summary>Bytes that must be free beside what a check may write, twice meta.db at most, for it to write them there.</summary>
    public const long ScratchBytes = 16L << 20;

    /// <summary>Inodes that must be free for a check to make a file beside meta.db.</summary>
    public const int ScratchInodes = 16;

    /// <summary>Bytes of WAL from which on a checkpoint is worth its two syncs.</summary>
    public const long CheckpointBytes = 16L << 20;

    /// <summary>Bytes of WAL past which writers wait for the end of a checkpoint, so that the log starts anew and does not grow for ever.</summary>
    public const long RestartBytes = 64L << 20;

    /// <summary>Bytes of the redo log, both files: the most that one fsync of small scattered writes takes, twice, so that one file can be written while the other is settled.</summary>
    public const long RedoBytes = 128L << 20;

    /// <summary>Bytes of the effect log: some 20,000 mutations, which no interval between two commits has unless the disk is slow. Past it each change waits for a commit.</summary>
    public const long EffectBytes = 8L << 20;

    /// <summary>Passes of a repair over the volume. Each repair brings to light at most what hung on it, so a few are enough; the bound keeps a repair that
    /// undoes itself from going on for ever.</summary>
    public const int RepairPasses = 16;

    /// <summary>How long after a failure the open transaction is not built again, while the store answers EIO: a replay for each request would be more than a failing disk needs.</summary>
    public static readonly TimeSpan RebuildPause = TimeSpan.FromSeconds(1);

    /// <summary>SQLite's page cache, KiB.</summary>
    public const int CacheKibibytes = 64 << 10;

    /// <summary>How long opening waits for another connection to let go of the database (a backup, an sqlite3 shell), milliseconds.</summary>
    public const int BusyMilliseconds = 5000;

    /// <summary>Directories above a file that are followed to name it; a deeper path, or a cycle in a damaged tree, is cut.</summary>
    public const int PathDepth = 4096;
}
