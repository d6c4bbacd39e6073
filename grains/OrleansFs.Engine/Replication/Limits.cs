namespace OrleansFs.Engine.Replication;

/// <summary>Every bound of replication, each with its reason.</summary>
internal static class ReplicationLimits
{
    /// <summary>Bytes of journal in one shipment, and read from it at a time: some 10,000 small files, 10 ms to apply.</summary>
    public const int ShipmentBytes = 4 << 20;

    /// <summary>Transactions in one shipment: 25 s of a volume that is written to all the time.</summary>
    public const int ShipmentRows = 256;

    /// <summary>Shipments that wait for being applied, for each replica: one under way, one ready, so that neither half of a sender waits for the other.</summary>
    public const int QueuedShipments = 2;

    /// <summary>Bytes of content in one message of blocks: what Orleans sends at full speed over loopback, and far under its bound of 100 MiB.</summary>
    public const int MessageBytes = 1 << 20;

    /// <summary>Messages of blocks under way to one replica: 8 MiB, which covers a link of 1 GB/s and 8 ms.</summary>
    public const int MessagesUnderWay = 8;

    /// <summary>Bytes in flight from which a master is busy with its own writers: 64 default blocks for each processor.</summary>
    public static readonly long HoldFrom = Environment.ProcessorCount * (8L << 20);

    /// <summary>How long new blocks wait for that to be over. A burst of writes that is synced within that time is not held up by replicas.</summary>
    public static readonly TimeSpan HoldAtMost = TimeSpan.FromSeconds(1);

    /// <summary>How often it is looked whether it is.</summary>
    public static readonly TimeSpan HoldStep = TimeSpan.FromMilliseconds(20);

    /// <summary>Threads of a replica that hash and write what comes: one waits for the disk while the other computes. More take the disk from a master that is on it too, six of them half of it.</summary>
    public const int TakeWorkers = 2;

    /// <summary>Hashes in one offer: 128 KiB.</summary>
    public const int OfferedHashes = 4096;

    /// <summary>Sealed blocks that wait for being offered before their commit; of more the oldest are left to the journal.</summary>
    public const int SealedQueue = 4096;

    /// <summary>Hashes that a sender remembers as being on its replica: spares offering each sealed block twice. 4 MiB.</summary>
    public const int KnownHashes = 65_536;

    /// <summary>Blocks that a replica remembers as received and named by no transaction yet; of more it looks at the files again. 6 MiB.</summary>
    public const int ReceivedHashes = 65_536;

    /// <summary>Damaged blocks that one answer tells of.</summary>
    public const int DamagedPerReply = 256;

    /// <summary>Damaged blocks that are remembered of one replica. With more, nothing of it counts as backed up until they are mended.</summary>
    public const int DamagedRemembered = 65_536;

    /// <summary>How long a sender waits for work before it asks how the replica is.</summary>
    public static readonly TimeSpan Pulse = TimeSpan.FromSeconds(1);

    /// <summary>First pause after a failed connection; doubled each time.</summary>
    public static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(500);

    /// <summary>Longest pause after a failed connection.</summary>
    public static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(15);

    /// <summary>How long one call to a replica may take. A sync of 1 GiB on a slow disk is below it.</summary>
    public static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(110);

    /// <summary>How long an answer is waited for before the replica is asked whether it is there at all.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>How long that question may take: a replica that puts a full copy of a large database into place answers nothing meanwhile. A connection that is lost ends it before.</summary>
    public static readonly TimeSpan PulseTimeout = TimeSpan.FromSeconds(30);

    /// <summary>How long one replica may take to serve blocks before the next is asked.</summary>
    public static readonly TimeSpan FetchTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Pause before all replicas are asked again for a block that none could give.</summary>
    public static readonly TimeSpan FetchPause = TimeSpan.FromMilliseconds(100);

    /// <summary>How long a block that no replica could give is asked for only once by each reader: longer than the kernel takes to ask again for what it could not read ahead.</summary>
    public static readonly TimeSpan InVainRemembered = TimeSpan.FromSeconds(5);

    /// <summary>Blocks of which that is remembered.</summary>
    public const int InVainHashes = 4096;

    /// <summary>Blocks that are fetched ahead of readers at a time: 8 MiB of default blocks, over all files.</summary>
    public const int FetchedAhead = 64;

    /// <summary>Blocks that readers were given and that are being kept, besides those that came ahead: 8 MiB of default blocks. Readers of more wait.</summary>
    public const int KeptAtOnce = 64;

    /// <summary>Blocks whose reading is noted between two times that it is written down: 1 GiB of default blocks in ten seconds, 80 ms of SQLite.</summary>
    public const int UsedHashes = 8192;

    /// <summary>Room in a bounded cache that lets waiting writers go on, bytes: a write of the largest size.</summary>
    public const long RoomForWriters = Engine.Limits.WriteStep;

    /// <summary>How long it is known that writers have waited in vain for room, where none has asked since: one that comes later waits again.</summary>
    public static readonly TimeSpan StandstillRemembered = TimeSpan.FromSeconds(10);

    /// <summary>How often blocks that a shipment turned out to lack are sent before the connection is given up.</summary>
    public const int LackingRounds = 4;

    /// <summary>Bytes of a database in one message.</summary>
    public const int CopyPiece = 1 << 20;

    /// <summary>Block rows that a replica looks at in one question of a full copy: some 100 ms where all are there.</summary>
    public const int WantedRows = 8192;

    /// <summary>Blocks that one such question may ask for: 16 to 128 MiB at the default block size.</summary>
    public const int WantedHashes = 1024;

    /// <summary>How long the file of a collected block is kept on a replica: a reader that has just looked up its manifest still finds it.</summary>
    public static readonly TimeSpan CollectedKept = TimeSpan.FromSeconds(30);

    /// <summary>Collected blocks whose files wait for their deletion; the files of more are left to the next sweep.</summary>
    public const int CollectedQueue = 262_144;

    /// <summary>How long a replica takes nothing of its master while another one becomes the master; each call of that one begins it anew. A promotion that ends without having happened leaves no replica held for longer.</summary>
    public static readonly TimeSpan HeldFor = TimeSpan.FromSeconds(30);

    /// <summary>How long a replica that becomes the master waits for the others to say how far they are. One that does not answer is away.</summary>
    public static readonly TimeSpan HoldTimeout = TimeSpan.FromSeconds(10);

    /// <summary>How long closing waits for a sender to end.</summary>
    public static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(30);

    /// <summary>Journal bytes that are looked at to tell how many bytes a replica lacks: some 100,000 blocks, half a second.</summary>
    public const int LagBytesRead = 4 << 20;

    /// <summary>Transactions that are looked at for that.</summary>
    public const int LagRowsRead = 16_384;
}
