namespace OrleansFs.Engine;

/// <summary>Every bound of the engine, each with its reason. Those of the metadata and of the block files stand in the Limits.cs of their folders.</summary>
internal static class Limits
{
    /// <summary>How long a master that has handed over takes no changes: far longer than the other takes to become one. After that it goes on, for the other has failed. Half of it is how long the last of its changes may take to come there.</summary>
    public static readonly TimeSpan YieldFor = TimeSpan.FromSeconds(20);

    /// <summary>How long before that the other begins at the latest: for the answer to come there, for its disk, and for clocks that do not go at the same pace.</summary>
    public static readonly TimeSpan YieldMargin = TimeSpan.FromSeconds(7);

    /// <summary>Smallest block, bytes: a page. Below it the block's row outweighs the block.</summary>
    public const int MinBlockSize = 4096;

    /// <summary>Largest block, bytes: what a seal worker and a reader each hold whole in memory.</summary>
    public const int MaxBlockSize = 4 << 20;

    /// <summary>Smallest budget for in-flight content, bytes: a few of the largest requests, so that one can always go on while another is sealed.</summary>
    public const long MinMemory = 16L << 20;

    /// <summary>Smallest bound on block files, bytes: a few of the largest blocks, and room for writers beside them.</summary>
    public const long MinCache = 8L << 20;

    /// <summary>Bytes taken from one write at a time. The kernel sends 1 MiB at most; a caller of the grains may send more, and is served in steps.</summary>
    public const int WriteStep = 1 << 20;

    /// <summary>Share of the in-flight budget, in percent, of which the memory is kept when none of it is in use for a moment: what a mount over the network writes before it waits for a sync.</summary>
    public const int KeptPagesPercent = 50;

    /// <summary>How long that memory is kept: who works writes again in some minutes, and pages that are new cost a fault and a clearing each.</summary>
    public static readonly TimeSpan IdlePagesKept = TimeSpan.FromMinutes(5);

    /// <summary>Age at which in-flight content is settled: what a crash may cost at most, and long enough for most temporary files never to reach the disk.</summary>
    public static readonly TimeSpan SettleAge = TimeSpan.FromSeconds(5);

    /// <summary>How often ages are looked at.</summary>
    public static readonly TimeSpan SettleTick = TimeSpan.FromSeconds(1);

    /// <summary>How long a mutation of names or attributes may stay in the open transaction.</summary>
    public static readonly TimeSpan CommitInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>Mutations after which the transaction is committed before its time: some 10 ms of SQLite under the metadata lock.</summary>
    public const int CommitMutations = 4000;

    /// <summary>Share of the in-flight budget, in percent, past which the oldest content is settled before its time.</summary>
    public const int PressurePercent = 70;

    /// <summary>Blocks that are sealed at the same time: hashed, as many as there are processors, or on their way to the disk, which several keep busy. While it flushes its cache, some 50 ms, all of them wait: the more, the later.</summary>
    public static readonly int SealWorkers = Environment.ProcessorCount + 14;

    /// <summary>Complete blocks that wait for a seal worker; one that finds no place is sealed by age or pressure.</summary>
    public const int SealQueue = 4096;

    /// <summary>Blocks that go into the manifest under one hold of the metadata lock: about 5 ms.</summary>
    public const int CommitChunk = 512;

    /// <summary>Sealed blocks of one file that wait for their commit; past it the file is settled whatever its age, so that a stream of any length takes bounded memory.</summary>
    public const int UncommittedBlocks = 16384;

    /// <summary>Bytes that one fsync puts into the redo log instead of making blocks, in whatever blocks they lie. A database's commit of a few pages is below it.</summary>
    public const long RedoSync = 128 << 10;

    /// <summary>Bytes that the redo log may hold of one file before it is settled whatever its age.</summary>
    public const long RedoFile = 1 << 20;

    /// <summary>Bytes that the redo log may hold of one file before an fsync makes blocks of them, unless they are scattered: where syncs come faster than the file is settled.</summary>
    public const long RedoFileMost = 8 << 20;

    /// <summary>
    /// How many times the bytes written the blocks around them must be for an fsync of any size to be logged. The block of a logged byte is made later all the same, but once for many syncs.
    /// </summary>
    public const int RedoGain = 4;

    /// <summary>Bytes that the redo log may hold of all files: what the next start has to bring back, in a second or two. Never more than a quarter of the in-flight budget.</summary>
    public const long RedoVolume = 64 << 20;

    /// <summary>Separate ranges of one file that an fsync logs: 64 MiB of single pages. It is a sorted array that a write inserts into, some microseconds at this length.</summary>
    public const int RedoRanges = 16384;

    /// <summary>Punched ranges between two commits of a file, past which it is settled whatever its age.</summary>
    public const int PunchedRanges = 64;

    /// <summary>Blocks that one copy_file_range call shares; the caller goes on from there.</summary>
    public const int ShareBlocks = 4096;

    /// <summary>Bytes that one copy_file_range call moves through memory where blocks cannot be shared.</summary>
    public const int CopyStep = 4 << 20;

    /// <summary>Between the steps of the look, at each start, for block files that an eviction has left: about as long as a step.</summary>
    public static readonly TimeSpan TakeUpPause = TimeSpan.FromMilliseconds(5);

    /// <summary>How long a pass over files of which some cannot be settled goes on: then those are tried again, and writers who wait for memory are told.</summary>
    public static readonly TimeSpan SettlePatience = TimeSpan.FromSeconds(30);

    /// <summary>Files that are settled in one round, the longest waiting first.</summary>
    public const int SettleRound = 64;

    /// <summary>Interruptions of a settling by truncations after which the log says so: each costs some microseconds, so that so many mean a program at odds with itself.</summary>
    public const int SettleRounds = 1000;

    /// <summary>One part in so many of the disk is kept free, within the two bounds that follow.</summary>
    public const int DiskReserveShare = 20;

    /// <summary>Most that is kept free on the disk for the metadata of deletions when it is full, bytes: twice what the WAL and the journal may grow by.</summary>
    public const long MaxDiskReserve = 256L << 20;

    /// <summary>Least that is kept free, bytes, on a small disk.</summary>
    public const long MinDiskReserve = 4L << 20;

    /// <summary>How often a file is looked at anew where blocks that were to be read of it have been collected meanwhile. Each time all of them have to be written over and collected within one read.</summary>
    public const int ReadAttempts = 4;

    /// <summary>Orphans that wait for their purge in memory; more are found again in meta.db.</summary>
    public const int PurgeQueue = 65536;

    /// <summary>Manifest segments of an orphan that one step of its purge takes: about 2 ms under the metadata lock, and as long for others before the next.</summary>
    public const int PurgeSegments = 1;

    /// <summary>How long orphans are purged before whoever wants room looks whether there is: some 20 steps, which are 640 MiB of default blocks.</summary>
    public static readonly TimeSpan PurgeTurn = TimeSpan.FromMilliseconds(100);

    /// <summary>How long closing waits for a background task to end.</summary>
    public static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(30);

    /// <summary>Of failures that repeat themselves as long as a disk is full or broken, one line in so much time.</summary>
    public static readonly TimeSpan TroublePause = TimeSpan.FromSeconds(10);

    /// <summary>Pause after a background task failed, before it is tried again.</summary>
    public static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);

    /// <summary>Share of a bounded cache, in percent, above which eviction begins: before writers meet the bound.</summary>
    public const int EvictAbovePercent = 95;

    /// <summary>Share of a bounded cache, in percent, to which eviction goes on: rarely and in long runs.</summary>
    public const int EvictToPercent = 90;

    /// <summary>Share of a bounded cache, in percent, from which the user is told where nothing can be evicted.</summary>
    public const int WarnPercent = 90;

    /// <summary>Blocks marked in one transaction of an eviction, which ends with a sync: some milliseconds.</summary>
    public const int EvictBatch = 512;

    /// <summary>Blocks of a file fetched at a time when all of it is wanted: as many as are fetched ahead of readers.</summary>
    public const int WarmBatch = 64;

    /// <summary>How often a block is fetched that is to be pinned and that a full cache gives up in the same moment.</summary>
    public const int PinAttempts = 8;

    /// <summary>How often it is looked whether eviction is due; writers that find no room ask at once.</summary>
    public static readonly TimeSpan EvictTick = TimeSpan.FromMilliseconds(500);

    /// <summary>How often what was read is written down: a kill forgets the order of so long.</summary>
    public static readonly TimeSpan TouchInterval = TimeSpan.FromSeconds(10);

    /// <summary>Blocks that can be held by who reads them by hash, 128 GiB of default ones: at 100 bytes each, here and in the list of the content that they are of.</summary>
    public const int HeldBlocks = 1 << 20;

    /// <summary>Blocks of a file that are held under one hold of the metadata lock: 64 segments, less than a millisecond.</summary>
    public const int HoldStep = 16384;

    /// <summary>Inodes without a name that are asked for at each <see cref="LeaseTick"/>: as many as fit into a queue of notifications to the kernel with room to spare.</summary>
    public const int OrphansAsked = 512;

    /// <summary>How often leases of content are looked through: how late one may end.</summary>
    public static readonly TimeSpan LeaseTick = TimeSpan.FromSeconds(5);

    /// <summary>Transactions of the journal that one reading of changes looks at, where it finds few: some milliseconds.</summary>
    public const int ChangeRows = 256;

    /// <summary>Names of one file at which its changes are told.</summary>
    public const int WatchedNames = 64;

    /// <summary>Files whose content hash is computed before others are looked for.</summary>
    public const int HashBatch = 64;

    /// <summary>How often blocks that nothing refers to are looked for.</summary>
    public static readonly TimeSpan CollectInterval = TimeSpan.FromMinutes(1);

    /// <summary>How often it is looked whether the disk is short of room, which makes a collection due at once.</summary>
    public static readonly TimeSpan CollectTick = TimeSpan.FromSeconds(1);

    /// <summary>Dead blocks taken in one transaction: some milliseconds of SQLite.</summary>
    public const int CollectBatch = 512;

    /// <summary>Damaged blocks that the next start of a master knows of: some 70 KiB of text. Of more the rest is found again when it is read, or verified.</summary>
    public const int DamagedKept = 1024;

    /// <summary>How long a process serves before it looks for block files that an earlier one has left: its user waits for other things at first.</summary>
    public static readonly TimeSpan SweepAfterStart = TimeSpan.FromMinutes(5);

    /// <summary>How often a replica looks for block files that it needs no more, and that it has not been told of.</summary>
    public static readonly TimeSpan SweepInterval = TimeSpan.FromDays(1);

    /// <summary>Age of an unfinished block file at which its writer is known to be gone.</summary>
    public static readonly TimeSpan TemporaryAge = TimeSpan.FromHours(1);

    /// <summary>How long a process serves before a verification that is due begins: its user waits for other things at first.</summary>
    public static readonly TimeSpan VerifyAfterStart = TimeSpan.FromMinutes(5);

    /// <summary>How often it is looked whether a verification is due.</summary>
    public static readonly TimeSpan VerifyTick = TimeSpan.FromMinutes(1);

    /// <summary>How often blocks are asked for again that are damaged on a master and that no replica could give.</summary>
    public static readonly TimeSpan VerifyMendTick = TimeSpan.FromSeconds(30);

    /// <summary>How often it is written down how far a verification is.</summary>
    public static readonly TimeSpan VerifySaved = TimeSpan.FromSeconds(10);

    /// <summary>Bytes of block files that are verified in one go.</summary>
    public const long VerifyBatchBytes = 4 << 20;

    /// <summary>Bytes a second of a verification that nobody asked for: a tenth of what a disk can do, and 10 TiB in eight days.</summary>
    public const long VerifyRate = 16 << 20;

    /// <summary>Share of a bounded cache, in percent, that may be pinned: the rest is for what is written and read.</summary>
    public const int PinPercent = 80;

    /// <summary>Lock requests that may wait on one file; one more is ENOLCK.</summary>
    public const int LockWaiters = 4096;

    /// <summary>Mean duration of calls that wait for the disk up to which a request's own thread makes them: what the other requests of its core can be made to wait. A solid-state disk reads in 0.1 ms and syncs in 0.1 to
    /// 0.5; a hard disk takes 10.</summary>
    public static readonly TimeSpan ShortCall = TimeSpan.FromMilliseconds(1);

    /// <summary>How long that is known: a disk that nobody has asked for so long may be asleep.</summary>
    public static readonly TimeSpan ShortCallKnown = TimeSpan.FromSeconds(1);

    /// <summary>Of so many calls that requests make themselves one goes to another thread, to see whether others come meanwhile.</summary>
    public const int CallsByCaller = 32;

    /// <summary>Calls that go to another thread after one during which others came.</summary>
    public const int CallsApart = 16;

    /// <summary>Free bytes below which the disk is asked each time, which takes a microsecond: more than any disk takes in <see cref="DiskProbe"/>.</summary>
    public const long DiskProbeAlways = 1L << 30;

    /// <summary>The files of deleted blocks take one part in so many of what is free on the disk, at most.</summary>
    public const int RecycledShare = 8;

    /// <summary>Bytes that a block may take on the disk beside its content: the ends of its last cluster, its name and its inode.</summary>
    public const long BlockOverhead = 8 << 10;

    /// <summary>Inodes that a block takes on the disk: its file.</summary>
    public const int BlockInodes = 1;

    /// <summary>Inodes that are kept free on the disk: the databases' logs, unfinished files, and whatever else runs there.</summary>
    public const int InodeReserve = 256;

    /// <summary>Room for so many blocks is little: a folder of small files that is unpacked takes it.</summary>
    public const int FewBlocks = 1000;

    /// <summary>How old the knowledge of the disk's free space may be, while there is plenty.</summary>
    public static readonly TimeSpan DiskProbe = TimeSpan.FromMilliseconds(100);
}
