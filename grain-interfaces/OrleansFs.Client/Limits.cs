namespace OrleansFs.Client;

/// <summary>The bounds of a client, each with its reason.</summary>
internal static class Limits
{
    /// <summary>Entries of a directory asked for at once: several of the kernel's buffers, so that a page is used up before it is stale.</summary>
    public const int DirectoryPage = 128;

    /// <summary>Inodes of which a session keeps what it was answered: some 250 bytes each, as many as the copy gives leases for.</summary>
    public const int CachedInodes = 65536;

    /// <summary>Names that it keeps, also of what is not there: some 100 bytes each.</summary>
    public const int CachedNames = 131072;

    /// <summary>Changed inodes that are remembered for the sake of answers that are on their way.</summary>
    public const int CacheMarks = 16384;

    /// <summary>How long the kernel keeps attributes by itself: then it asks this process again, which costs no message, and knows whether it is still trusted.</summary>
    public static readonly TimeSpan KernelAttributes = TimeSpan.FromSeconds(1);

    /// <summary>How often a client looks for gateways: a silo that was started again has another one.</summary>
    public static readonly TimeSpan GatewayRefresh = TimeSpan.FromSeconds(2);

    /// <summary>Pause before a call that was interrupted is made again; doubled each time.</summary>
    public static readonly TimeSpan FirstRetry = TimeSpan.FromMilliseconds(20);

    /// <summary>Longest pause between two tries: how late a client may notice that the copy is back.</summary>
    public static readonly TimeSpan LongestRetry = TimeSpan.FromSeconds(1);

    /// <summary>Heartbeat while the copy has questions open: so that unlinked files are freed soon.</summary>
    public static readonly TimeSpan BusyHeartbeat = TimeSpan.FromSeconds(1);

    /// <summary>How long a heartbeat waits for its answer before another is sent: the copy answers at once, so a message that is not answered went to a silo that is no more.</summary>
    public static readonly TimeSpan HeartbeatTimeout = TimeSpan.FromSeconds(5);

    /// <summary>How long one search for a copy that has taken over lasts: a silo that is away is asked for <see cref="DescribeTimeout"/>.</summary>
    public static readonly TimeSpan SuccessorTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Inodes without a name that are given up at once rather than with the next heartbeat.</summary>
    public const int ForgetBatch = 256;

    /// <summary>How long the end of a session waits to tell the copy. Afterwards the lease ends by itself.</summary>
    public static readonly TimeSpan DetachTimeout = TimeSpan.FromSeconds(5);

    /// <summary>Most bytes that a session keeps because the copy may have them in memory only; past it writers wait for a sync. What a fast disk takes in the half second from when content is sent until it is known to be on disk.</summary>
    public const long MaxUnstableBytes = 256L << 20;

    /// <summary>Least, bytes: some of the largest messages.</summary>
    public const long MinUnstableBytes = 32L << 20;

    /// <summary>One part in so many of the machine's memory is what they are in between: 256 MiB of 8 GiB.</summary>
    public const int UnstableShare = 32;

    /// <summary>The bytes that it keeps here.</summary>
    public static readonly long UnstableBytes = Math.Clamp(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / UnstableShare, MinUnstableBytes, MaxUnstableBytes);

    /// <summary>How long the memory for it is kept when nothing is written. Taken anew it costs a tenth and more of the time to write it full.</summary>
    public static readonly TimeSpan ContentMemoryKept = TimeSpan.FromMinutes(5);

    /// <summary>Bytes kept at which a sync is asked for: early enough that writers go on while it is done.</summary>
    public static readonly long UnstableSyncAt = Math.Min(48L << 20, UnstableBytes / 2);

    /// <summary>How long a write waits until something of what is kept has been brought to disk: some times what all of it takes on the slowest disk. Where nothing can be, it is told at once.</summary>
    public static readonly TimeSpan RoomWait = TimeSpan.FromMinutes(5);

    /// <summary>Appends under way at a time, each to another file: as many as there are slots for changes, nearly.</summary>
    public const int AppendStripes = 128;

    /// <summary>Files of which it is remembered that something was lost.</summary>
    public const int LostFiles = 4096;

    /// <summary>How long closes of a file tell that a write of it failed, after the first that did, where nobody syncs the file: long enough for who had it open with that one.</summary>
    public static readonly TimeSpan FailureTold = TimeSpan.FromMinutes(10);

    /// <summary>Processes that are told so at most.</summary>
    public const int FailureClosers = 256;

    /// <summary>How long a write is gathered at least before it is sent, and half of how long at most: how late another mount sees what was written to a file that is still open.</summary>
    public static readonly TimeSpan WriteDelay = TimeSpan.FromMilliseconds(15);

    /// <summary>After so many delays in which nothing was written no more of them begin until something is.</summary>
    public const int IdleWriteDelays = 20;

    /// <summary>Files of which it is remembered that the copy takes writes of them.</summary>
    public const int GatheredFiles = 4096;

    /// <summary>Messages with gathered writes under way: enough that the wire is busy while the copy works, few enough that a close does not wait behind a long row.</summary>
    public const int WritesUnderWay = 8;

    /// <summary>Pieces of 1 MiB of one file that are compared with what is kept of it: four times what a session keeps, when it is written here and there.</summary>
    public const int ComparedPieces = 512;

    /// <summary>How long a change is kept before a sync is asked for. The copy itself brings content to blocks after 5 s.</summary>
    public static readonly TimeSpan UnstableAge = TimeSpan.FromSeconds(5);

    /// <summary>How long the end of a session waits for what was written to be on disk: as long as the longest call.</summary>
    public static readonly TimeSpan LastSync = TimeSpan.FromMinutes(2);

    /// <summary>How long a silo may take to greet who connects to it before it counts as one that cannot be reached. On a local network that takes a millisecond.</summary>
    public static readonly TimeSpan ProbeTimeout = TimeSpan.FromSeconds(2);

    /// <summary>How long a silo that is in the cluster may take to say what it serves before it counts as one that is not there: a new connection, and a machine that is busy.</summary>
    public static readonly TimeSpan DescribeTimeout = TimeSpan.FromSeconds(8);

    /// <summary>How long the other end of a new connection may take to prove that it belongs to the cluster. A round trip, on a machine that may be busy.</summary>
    public static readonly TimeSpan Handshake = TimeSpan.FromSeconds(10);

    /// <summary>Requests that wait for a lock at the copy at a time: half of the slots for changes, so that the others are there for whatever else is done. More of them wait here, and each of them there for some seconds.</summary>
    public const int WaitingLocks = GrainInterfaces.Limits.MaxSlots / 2;

    /// <summary>Bytes of a connection's buffers, each: what one recv(2) takes at most, and what an idle connection keeps.</summary>
    public const int PipeSegment = 64 << 10;

    /// <summary>Least room for one recv(2), bytes: a small message.</summary>
    public const int LeastReceive = 4 << 10;

    /// <summary>Bytes on their way from or to a socket past which they wait: a few of the largest messages.</summary>
    public const int PipePause = 4 << 20;

    /// <summary>Longest message on a direct connection, bytes: content of a call, and as much again for what is said about it.</summary>
    public const int DirectFrame = 2 * GrainInterfaces.Limits.MaxTransfer;

    /// <summary>Bytes that are kept for writing a message on a direct connection: most are shorter.</summary>
    public const int DirectMessage = 16 << 10;

    /// <summary>Calls of one direct connection under way at a time, past which no more are read: more than a kernel and its readers ask for.</summary>
    public const int DirectCalls = 512;

    /// <summary>How often it is looked whether calls had no answer for longer than they may.</summary>
    public static readonly TimeSpan DirectExpiry = TimeSpan.FromSeconds(1);

    /// <summary>How long the thread of a connection asks for more before it sleeps: the time of an answer, or of a program's way to its next question. To be woken costs some 50 us on a machine whose cores fall asleep.</summary>
    public static readonly TimeSpan SocketSpin = TimeSpan.FromMicroseconds(200);

    /// <summary>How often in a row it may have looked for nothing before it sleeps at once.</summary>
    public const uint SpinMisses = 8;

    /// <summary>Of so many waits it looks in one again then.</summary>
    public const uint SpinAgain = 16;

    /// <summary>How long it sleeps at a time, in milliseconds, before it looks whether the socket is still open. Who closes one wakes it.</summary>
    public const int SocketWait = 30_000;

    /// <summary>Its stack, bytes: it does what a request asks for, as a thread of the pool does otherwise.</summary>
    public const int SocketStack = 1536 << 10;

    /// <summary>Pause before a direct connection that was lost, or refused, is made again.</summary>
    public static readonly TimeSpan DirectPause = TimeSpan.FromSeconds(1);

    /// <summary>Connections of one listener that have proved nothing yet, each with a thread: more than come at once when a silo is back after a while and its mounts with it. Who meets a crowd tries again.</summary>
    public const int Strangers = 128;

    /// <summary>Connections that the kernel keeps until they are accepted.</summary>
    public const int Backlog = 512;

    /// <summary>Pause after a connection could not be accepted.</summary>
    public static readonly TimeSpan AcceptPause = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// How long what was sent on TCP may go without the other machine's word that it has come, before the connection is given up: it sends again for a quarter of an hour otherwise, with pauses of minutes, and after an address
    /// has changed or a router has forgotten the connection all of that is in vain. Beyond the loss of a network that roams; two heartbeats. A machine that acknowledges and takes nothing more has the same time.
    /// </summary>
    public static readonly TimeSpan Unacknowledged = TimeSpan.FromSeconds(20);

    /// <summary>How long a connection is idle before the kernel asks the other end whether it is still there, as with Orleans' own transport. Who is gone is found out sooner by other means.</summary>
    public static readonly TimeSpan KeepAliveAfter = TimeSpan.FromSeconds(90);

    /// <summary>How often it asks then.</summary>
    public static readonly TimeSpan KeepAliveEvery = TimeSpan.FromSeconds(30);

    /// <summary>How often before the connection is closed.</summary>
    public const int KeepAliveTries = 10;
}
