namespace OrleansFs.Grains;

/// <summary>The bounds of the grains, each with its reason.</summary>
internal static class Limits
{
    /// <summary>Sessions of one copy. Each may have <see cref="GrainInterfaces.Limits.MaxSlots"/> requests under way.</summary>
    public const int MaxSessions = 1024;

    /// <summary>Reads of content under way at once: what keeps a disk busy. More only take threads from the pool.</summary>
    public const int ConcurrentReads = 32;

    /// <summary>Changes of content under way at once. Those that wait for memory hold their place, so there are more than of reads.</summary>
    public const int ConcurrentWrites = 64;

    /// <summary>Requests that wait for one of those places; the next is told to come again. At 1 MiB each the largest part of them is answered within a second.</summary>
    public const int QueuedRequests = 4096;

    /// <summary>How often the grace goes on for a session that is there and still brings back what there was: a minute in all, for 256 MiB by a slow line.</summary>
    public const int GraceExtensions = 5;

    /// <summary>Pause before a place is asked for again by what must not be told to come again.</summary>
    public static readonly TimeSpan RoomRetry = TimeSpan.FromMilliseconds(20);

    /// <summary>Inodes that a session has given up and of which it is not asked again. An orphan that another session keeps open for long and that is older than so many others
    /// is asked about once more, which costs a message.</summary>
    public const int RememberedForgotten = 65536;

    /// <summary>How long the replies of a session are kept whose lease is over without a word of its client: a laptop that slept, a network that was away. A change that was sent before is then still answered instead of
    /// made twice.</summary>
    public static readonly TimeSpan RepliesKept = TimeSpan.FromMinutes(10);

    /// <summary>Leases of one session: some hundred bytes each, so some 10 MB for a mount that has walked over a large tree.</summary>
    public const int LeasesOfSession = 65536;

    /// <summary>Of those so many go at a time, the oldest, once there are too many: a message that takes leases back costs a mount as much as making a file, and one for each new lease had it make a third less.</summary>
    public const int LeasesTakenBack = LeasesOfSession / 8;

    /// <summary>Pause before a client that was not reached is told again to let go of what it caches.</summary>
    public static readonly TimeSpan RecallRetry = TimeSpan.FromMilliseconds(200);

    /// <summary>How often a master looks for replicas that have come into the cluster.</summary>
    public static readonly TimeSpan ReplicaTick = TimeSpan.FromSeconds(1);

    /// <summary>How long the silo of another copy may take to say what it serves, where a replica becomes the master.</summary>
    public static readonly TimeSpan DescribeTimeout = TimeSpan.FromSeconds(5);

    /// <summary>How often a master is asked to hand over in one promotion that takes longer than it stands by that.</summary>
    public const int HandOvers = 2;

    /// <summary>How often what a replica has acknowledged is written to grain storage, where it has changed.</summary>
    public static readonly TimeSpan ReplicationSaved = TimeSpan.FromSeconds(30);

    /// <summary>How often sessions are looked through for ended leases.</summary>
    public static readonly TimeSpan ExpiryTick = TimeSpan.FromSeconds(2);
}
