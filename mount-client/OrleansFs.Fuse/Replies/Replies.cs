using System.Runtime.InteropServices;

namespace OrleansFs.Fuse;

/// <summary>A node under a name. Laid out as the kernel's struct fuse_entry_out (128 bytes).</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct EntryReply
{
    private ulong _nodeid;
    private ulong _generation;
    private ulong _entryValid;
    private ulong _attrValid;
    private uint _entryValidNsec;
    private uint _attrValidNsec;
    private FuseAttr _attr;

    /// <summary>The node; <see cref="NodeId.None"/> says that there is nothing of that name, and lets the kernel remember it for the entry time-out.</summary>
    public NodeId Node { readonly get => new(_nodeid); set => _nodeid = value.Value; }

    /// <summary>Together with the node unique in the life of the volume: tells apart two inodes that had one number one after the other.</summary>
    public ulong Generation { readonly get => _generation; set => _generation = value; }

    /// <summary>How long the kernel may keep the name. Zero or more; <see cref="TimeSpan.MaxValue"/> is for ever.</summary>
    public TimeSpan EntryTimeout
    {
        readonly get => KernelDuration.ToTimeSpan(_entryValid, _entryValidNsec);
        set => KernelDuration.Split(value, out _entryValid, out _entryValidNsec);
    }

    /// <summary>How long the kernel may keep the attributes. Zero or more; <see cref="TimeSpan.MaxValue"/> is for ever.</summary>
    public TimeSpan AttrTimeout
    {
        readonly get => KernelDuration.ToTimeSpan(_attrValid, _attrValidNsec);
        set => KernelDuration.Split(value, out _attrValid, out _attrValidNsec);
    }

    /// <summary>The attributes.</summary>
    public FuseAttr Attr { readonly get => _attr; set => _attr = value; }
}

/// <summary>Attributes and how long they hold. Laid out as the kernel's struct fuse_attr_out (104 bytes).</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct AttrReply
{
    private ulong _attrValid;
    private uint _attrValidNsec;
    private readonly uint _dummy;
    private FuseAttr _attr;

    /// <summary>How long the kernel may keep them. Zero or more; <see cref="TimeSpan.MaxValue"/> is for ever.</summary>
    public TimeSpan AttrTimeout
    {
        readonly get => KernelDuration.ToTimeSpan(_attrValid, _attrValidNsec);
        set => KernelDuration.Split(value, out _attrValid, out _attrValidNsec);
    }

    /// <summary>The attributes.</summary>
    public FuseAttr Attr { readonly get => _attr; set => _attr = value; }
}

/// <summary>How the kernel is to treat an open file (FOPEN_*).</summary>
[Flags]
public enum OpenReplyFlags : uint
{
    /// <summary>Cached, and what is cached is dropped on open.</summary>
    None = 0,
    /// <summary>Past the page cache.</summary>
    DirectIO = 1 << 0,
    /// <summary>Keep what is cached.</summary>
    KeepCache = 1 << 1,
    /// <summary>No seeking.</summary>
    NonSeekable = 1 << 2,
    /// <summary>For a directory: its listing may be cached.</summary>
    CacheDirectory = 1 << 3,
    /// <summary>A stream: no position at all.</summary>
    Stream = 1 << 4,
    /// <summary>No FLUSH on close (unless the write-back cache is on).</summary>
    NoFlush = 1 << 5,
    /// <summary>Direct writes to one inode in parallel.</summary>
    ParallelDirectWrites = 1 << 6,
    /// <summary>Read and write go to the backing file.</summary>
    Passthrough = 1 << 7,
}

/// <summary>An open file. Laid out as the kernel's struct fuse_open_out (16 bytes).</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct OpenReply
{
    private ulong _handle;
    private OpenReplyFlags _flags;
    private int _backingId;

    /// <summary>An open file.</summary>
    public OpenReply(FileHandle handle, OpenReplyFlags flags = OpenReplyFlags.None)
    {
        _handle = handle.Value;
        _flags = flags;
    }

    /// <summary>What the kernel hands back with each operation.</summary>
    public FileHandle Handle { readonly get => new(_handle); set => _handle = value.Value; }

    /// <summary>How to treat it.</summary>
    public OpenReplyFlags Flags { readonly get => _flags; set => _flags = value; }

    /// <summary>The backing file (FUSE_DEV_IOC_BACKING_OPEN) for <see cref="OpenReplyFlags.Passthrough"/>, else 0.</summary>
    public int BackingId { readonly get => _backingId; set => _backingId = value; }
}

/// <summary>A file that was created and opened: struct fuse_entry_out followed by struct fuse_open_out (144 bytes).</summary>
/// <param name="Entry">The node.</param>
/// <param name="Open">The open file.</param>
[StructLayout(LayoutKind.Sequential)]
public record struct CreateReply(EntryReply Entry, OpenReply Open);

/// <summary>Sizes of the file system. Laid out as the kernel's struct fuse_kstatfs (80 bytes).</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct StatFsReply
{
    private ulong _blocks;
    private ulong _bfree;
    private ulong _bavail;
    private ulong _files;
    private ulong _ffree;
    private uint _bsize;
    private uint _namelen;
    private uint _frsize;
    private readonly uint _padding;
    private readonly ulong _spare0;
    private readonly ulong _spare1;
    private readonly ulong _spare2;

    /// <summary>All space, in units of <see cref="FragmentSize"/>.</summary>
    public ulong Blocks { readonly get => _blocks; set => _blocks = value; }

    /// <summary>Free space, in units of <see cref="FragmentSize"/>.</summary>
    public ulong BlocksFree { readonly get => _bfree; set => _bfree = value; }

    /// <summary>Free space for ordinary users, in units of <see cref="FragmentSize"/>.</summary>
    public ulong BlocksAvailable { readonly get => _bavail; set => _bavail = value; }

    /// <summary>All inodes.</summary>
    public ulong Files { readonly get => _files; set => _files = value; }

    /// <summary>Free inodes.</summary>
    public ulong FilesFree { readonly get => _ffree; set => _ffree = value; }

    /// <summary>The preferred size of reads and writes, in bytes.</summary>
    public uint BlockSize { readonly get => _bsize; set => _bsize = value; }

    /// <summary>The longest name, in bytes.</summary>
    public uint MaxNameLength { readonly get => _namelen; set => _namelen = value; }

    /// <summary>The unit of the block counts, in bytes.</summary>
    public uint FragmentSize { readonly get => _frsize; set => _frsize = value; }
}

/// <summary>The answer to an ioctl.</summary>
/// <param name="Result">What ioctl(2) returns: zero or more.</param>
/// <param name="OutputLength">How many bytes were written to the destination.</param>
public readonly record struct IoctlReply(int Result, int OutputLength);

/// <summary>What was agreed at INIT.</summary>
/// <param name="Capabilities">Those to turn on; what the kernel did not offer is left out.</param>
/// <param name="MaxReadahead">In bytes.</param>
/// <param name="MaxWrite">In bytes; not more than the proposal's.</param>
/// <param name="MaxBackground">Background requests at a time, 1 to 65535.</param>
/// <param name="CongestionThreshold">1 to <paramref name="MaxBackground"/>.</param>
/// <param name="TimeGranularity">In nanoseconds.</param>
public readonly record struct InitReply(
    FuseCapabilities Capabilities, int MaxReadahead, int MaxWrite, int MaxBackground, int CongestionThreshold, uint TimeGranularity);

/// <summary>Durations as the kernel takes them: whole seconds and nanoseconds.</summary>
internal static class KernelDuration
{
    /// <summary>About 34 years: the kernel clips there anyway when it turns seconds into jiffies.</summary>
    private const ulong Forever = 1UL << 30;

    internal static void Split(TimeSpan value, out ulong seconds, out uint nanoseconds)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, TimeSpan.Zero);
        seconds = (ulong)(value.Ticks / TimeSpan.TicksPerSecond);
        nanoseconds = (uint)(value.Ticks % TimeSpan.TicksPerSecond) * 100;
        if (seconds < Forever)
            return;
        seconds = Forever;
        nanoseconds = 0;
    }

    internal static TimeSpan ToTimeSpan(ulong seconds, uint nanoseconds) =>
        seconds >= Forever ? TimeSpan.MaxValue : new TimeSpan(((long)seconds * TimeSpan.TicksPerSecond) + (nanoseconds / 100));
}
