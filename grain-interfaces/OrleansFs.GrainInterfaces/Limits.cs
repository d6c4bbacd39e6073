namespace OrleansFs.GrainInterfaces;

/// <summary>The bounds of the contract between a mount and a copy, each with its reason.</summary>
public static class Limits
{
    /// <summary>Bytes of file data in one call. The kernel's largest FUSE request (256 pages); one message stays far under Orleans' bound of 100 MiB.</summary>
    public const int MaxTransfer = 1 << 20;

    /// <summary>Writes in one message: as many of 4 KiB as fill it.</summary>
    public const int MaxPieces = 256;

    /// <summary>Directory entries in one page. With attributes a page is then some 30 KiB: a few hundred microseconds to send, and never a large object.</summary>
    public const int MaxDirectoryEntries = 256;

    /// <summary>Requests that change something that one session may have under way, which is also how many replies a copy keeps for it. The kernel has 64 requests in the
    /// background by default; a slot is some 300 bytes.</summary>
    public const int MaxSlots = 256;

    /// <summary>The slot for what brings a session back at a copy that was started anew, one at a time: locks, and content that was answered before. All others may be taken by calls that wait for just that.</summary>
    public const int RecoverySlot = MaxSlots - 1;

    /// <summary>Inodes in one message of a session: what fits a page of answers without making a call long.</summary>
    public const int MaxInodesPerCall = 1024;

    /// <summary>How long a copy keeps a session that it hears nothing of. A machine that sleeps for a moment or a garbage collection must not lose its locks; a dead one must
    /// not keep others waiting for long.</summary>
    public static readonly TimeSpan SessionLease = TimeSpan.FromSeconds(30);

    /// <summary>How long a copy that was started anew waits for the sessions of before to bring back what it has lost: a client finds a silo that is back within two or three seconds. Longer than a client
    /// trusts what it has cached, so that nothing is changed behind the back of one that does not know yet.</summary>
    public static readonly TimeSpan Grace = TimeSpan.FromSeconds(10);

    /// <summary>How long a copy waits for a client to let go of what it caches before it takes it that the client trusts nothing any more. So long may a change wait for a client that was killed.</summary>
    public static readonly TimeSpan CacheLease = TimeSpan.FromSeconds(6);

    /// <summary>How long a client trusts what it caches after it sent a heartbeat that was answered: less than <see cref="CacheLease"/>, by more than clocks differ in a few seconds.</summary>
    public static readonly TimeSpan CacheTrust = TimeSpan.FromSeconds(5);

    /// <summary>How often a client shows that it lives: two may be lost before it has to ask for what it caches. Also how late an unlinked file is freed that no mount had open.</summary>
    public static readonly TimeSpan HeartbeatPeriod = TimeSpan.FromMilliseconds(1500);

    /// <summary>How long a call waits for a lock at the copy before it asks again: under every time-out of a call, so that a dead connection is noticed.</summary>
    public static readonly TimeSpan LockWait = TimeSpan.FromSeconds(10);

    /// <summary>Changes in one answer, and those of the last transaction on top: some 100 KiB.</summary>
    public const int MaxChanges = 512;

    /// <summary>How long a call waits for a record, or for a change, before it asks again: under every time-out of a call, as for a lock.</summary>
    public static readonly TimeSpan RecordWait = TimeSpan.FromSeconds(10);

    /// <summary>How long one call of a drain waits: often enough for a progress bar to move.</summary>
    public static readonly TimeSpan DrainWait = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a master that hands over tries to bring all to the next one while it still takes changes.</summary>
    public static readonly TimeSpan YieldPatience = TimeSpan.FromSeconds(60);

    /// <summary>Time-out of calls that sync or copy a lot, as Orleans' attribute wants it. Others have <see cref="CallTimeout"/>.</summary>
    public const string LongCallTimeout = "00:02:00";

    /// <summary>Time-out of a call that has nothing to wait for but the copy. The caller then asks again.</summary>
    public static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(30);
}
