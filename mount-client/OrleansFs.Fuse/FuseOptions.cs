namespace OrleansFs.Fuse;

/// <summary>Which way requests travel.</summary>
public enum IoUringMode
{
    /// <summary>io_uring where the kernel's fuse module has it turned on, else /dev/fuse.</summary>
    Auto,
    /// <summary>io_uring; as root it is turned on in the fuse module where it is off. Falls back to /dev/fuse, and says why.</summary>
    On,
    /// <summary>/dev/fuse.</summary>
    Off,
}

/// <summary>What the mount table says of access times (mount(8)). They are the server's: the kernel does not bring them up.</summary>
public enum AccessTimeOption
{
    /// <summary>relatime.</summary>
    Relative,
    /// <summary>strictatime.</summary>
    Strict,
    /// <summary>noatime.</summary>
    Never,
}

/// <summary>How to mount and serve.</summary>
public sealed record FuseOptions
{
    /// <summary>The capabilities asked for by default: those that only help and change nothing for the file system.</summary>
    public const FuseCapabilities DefaultCapabilities =
        FuseCapabilities.AsyncRead | FuseCapabilities.BigWrites | FuseCapabilities.MaxPages | FuseCapabilities.ParallelDirectoryOperations |
        FuseCapabilities.AsyncDirectIO | FuseCapabilities.SetXAttrExtended | FuseCapabilities.IoctlDirectory | FuseCapabilities.HasExpireOnly;

    /// <summary>What /proc/mounts shows as the source. Default: "orleansfs".</summary>
    public string FileSystemName { get; init; } = "orleansfs";

    /// <summary>The type is shown as fuse.SUBTYPE. Default: "orleansfs".</summary>
    public string Subtype { get; init; } = "orleansfs";

    /// <summary>Users other than the one who mounts may enter. Default: false. For an ordinary user it needs user_allow_other in /etc/fuse.conf.</summary>
    public bool AllowOther { get; init; }

    /// <summary>The kernel checks mode bits, owner and ACLs. Default: true.</summary>
    public bool DefaultPermissions { get; init; } = true;

    /// <summary>Mount read-only. Default: false.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>How the kernel shows the mount's access times (noatime, strictatime); it brings up none itself. Default: relatime.</summary>
    public AccessTimeOption AccessTimes { get; init; }

    /// <summary>Honour setuid and setgid programs on the mount; only root may. Default: false.</summary>
    public bool AllowSuid { get; init; }

    /// <summary>Honour device files on the mount; only root may. Default: false.</summary>
    public bool AllowDevices { get; init; }

    /// <summary>The largest write and read, in bytes: a multiple of 4096, 4096 to 1 MiB. Default: 1 MiB, the most that kernels give by default.</summary>
    public int MaxWrite { get; init; } = Limits.MaxWrite;

    /// <summary>The furthest read-ahead of the kernel, in bytes. Default: 1 MiB.</summary>
    public int MaxReadahead { get; init; } = 1 << 20;

    /// <summary>Background requests (read-ahead, write-back, release) that the kernel sends at a time, 1 to 65535. Default: 64.</summary>
    public int MaxBackground { get; init; } = 64;

    /// <summary>The number of background requests past which the kernel calls the mount congested. Default: 3/4 of <see cref="MaxBackground"/>.</summary>
    public int? CongestionThreshold { get; init; }

    /// <summary>
    /// Threads that read /dev/fuse where io_uring is not in use, 1 to 64. Default: one a core, 2 to 8. More that wait are slower, not faster: the kernel wakes
    /// them in turn, each on another core (see the README).
    /// </summary>
    public int? ReaderThreads { get; init; }

    /// <summary>io_uring or not. Default: <see cref="IoUringMode.Auto"/>.</summary>
    public IoUringMode IoUring { get; init; } = IoUringMode.Auto;

    /// <summary>Requests that a core's queue can hold before it grows, 1 to 256. Default: 8, each costing MaxWrite bytes of address space.</summary>
    public int QueueDepth { get; init; } = 8;

    /// <summary>Bytes of a ring entry's payload. Less than the kernel wants makes it refuse the registration, which a test needs.</summary>
    internal int? RingPayloadSize { get; init; }

    /// <summary>Entries of a core's queue, at most. A test of what happens there has fewer.</summary>
    internal int MaxRingEntries { get; init; } = Limits.MaxRingEntries;

    /// <summary>What is asked of the kernel; what it does not offer is left out. Default: <see cref="DefaultCapabilities"/>.</summary>
    public FuseCapabilities Capabilities { get; init; } = DefaultCapabilities;

    /// <summary>The granularity of time stamps in nanoseconds, a power of ten from 1 to 10^9. Default: 1.</summary>
    public uint TimeGranularity { get; init; } = 1;

    /// <summary>
    /// Requests from /dev/fuse whose handler has not completed, at most. Past it nothing more is read there until one completes. Default: 4096. Waits for
    /// locks do not count: the request that releases the lock has to get through.
    /// </summary>
    public int MaxInFlight { get; init; } = Limits.MaxInFlightRequests;

    /// <summary>Bytes of their buffers, at most. Default: 256 MiB.</summary>
    public long MaxBytesInFlight { get; init; } = Limits.MaxInFlightBytes;

    /// <summary>Notifications waiting to be sent, at most. Default: 65,536.</summary>
    public int MaxQueuedNotifications { get; init; } = Limits.MaxQueuedNotifications;

    /// <summary>How long a mount may take until the kernel's INIT is answered. Default: 30 s.</summary>
    public TimeSpan MountTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long an unmount waits for handlers that are still busy, after it cancelled them. Default: 30 s.</summary>
    public TimeSpan UnmountTimeout { get; init; } = TimeSpan.FromSeconds(30);
}
