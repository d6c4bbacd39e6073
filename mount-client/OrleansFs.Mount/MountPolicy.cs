using OrleansFs.Fuse;
using OrleansFs.Model;

namespace OrleansFs.Mount;

/// <summary>What the kernel may keep and decide by itself on a mount. It follows from who else changes the volume.</summary>
public sealed record MountPolicy
{
    private const FuseCapabilities Common =
        FuseOptions.DefaultCapabilities | FuseCapabilities.DontMask | FuseCapabilities.PosixAcl | FuseCapabilities.HandleKillPrivV2 |
        FuseCapabilities.ReadDirPlus | FuseCapabilities.ReadDirPlusAuto | FuseCapabilities.CacheSymlinks | FuseCapabilities.ExportSupport;

    /// <summary>
    /// The session is the only one on its volume: the kernel keeps names (also absent ones), attributes and dirty pages without limit, settles locks itself, and
    /// neither a close nor the open of a directory costs a message.
    /// </summary>
    public static MountPolicy Alone { get; } = new()
    {
        EntryTimeout = TimeSpan.MaxValue,
        AttributeTimeout = TimeSpan.MaxValue,
        WritebackCache = true,
        SilentDirectories = true,
        KernelLocks = true,
    };

    /// <summary>Other sessions change the volume too: names and attributes are asked for, an open drops what is cached, writes go through, locks are the volume's.</summary>
    public static MountPolicy SharedSession { get; } = new()
    {
        EntryTimeout = TimeSpan.Zero,
        AttributeTimeout = TimeSpan.Zero,
    };

    /// <summary>
    /// The session is told what others change (<see cref="ICachedAccess"/>): the kernel keeps attributes for as long as they hold, and content from one open to the next; names, and that
    /// there are none, for a moment (<see cref="HeldNames"/>).
    /// </summary>
    public static MountPolicy Leased { get; } = SharedSession with { IsTold = true };

    /// <summary>As <see cref="Leased"/>, in the process of the silo itself: what others change is heard of at once, and for ever.</summary>
    public static MountPolicy Beside { get; } = SharedSession with { IsTold = true, AttributeTimeout = TimeSpan.MaxValue };

    /// <summary>How long the kernel keeps a name, or the knowledge that there is none. <see cref="TimeSpan.MaxValue"/> is for ever.</summary>
    public required TimeSpan EntryTimeout { get; init; }

    /// <summary>How long the kernel keeps attributes. <see cref="TimeSpan.MaxValue"/> is for ever.</summary>
    public required TimeSpan AttributeTimeout { get; init; }

    /// <summary>The session hears of what others change: see <see cref="ICacheHolder.InvalidateAsync"/>.</summary>
    public bool IsTold { get; init; }

    /// <summary>Writes are collected in the page cache; size and times of a file are the kernel's while they are.</summary>
    public bool WritebackCache { get; init; }

    /// <summary>
    /// OPENDIR and RELEASEDIR are not asked of us: the kernel opens directories by itself (fs/fuse/dir.c, no_opendir). It could do the same with files, and open and close would take 4 microseconds instead of 27; but
    /// only an open can refuse an immutable or append-only file, for a FUSE inode has no flags, and the kernel, once it opens by itself, does so until the end of the mount.
    /// </summary>
    public bool SilentDirectories { get; init; }

    /// <summary>flock(2) and fcntl(2) locks are settled in the kernel, between the programs of this machine.</summary>
    public bool KernelLocks { get; init; }

    /// <summary>The call of a program that is being killed, and an interrupted wait for a lock, is cancelled in the volume. Off where every call is short: the means to cancel cost an allocation a request.</summary>
    public bool Cancellable { get; init; }

    /// <summary>What is asked of the kernel.</summary>
    internal FuseCapabilities Capabilities =>
        Common
        | (WritebackCache ? FuseCapabilities.WritebackCache : FuseCapabilities.AutoInvalidateData)
        | (SilentDirectories ? FuseCapabilities.NoOpenDirSupport : FuseCapabilities.None)
        | (KernelLocks ? FuseCapabilities.None : FuseCapabilities.PosixLocks | FuseCapabilities.FlockLocks);
}
