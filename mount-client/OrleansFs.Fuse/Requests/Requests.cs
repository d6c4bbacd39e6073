namespace OrleansFs.Fuse;

/// <summary>Attributes of a node (FUSE_GETATTR).</summary>
/// <param name="Handle">The open file that fstat(2) was called on; absent otherwise.</param>
public readonly record struct GetAttrRequest(FileHandle? Handle);

/// <summary>Attributes by mask (FUSE_STATX, 7.39).</summary>
/// <param name="Handle">The open file it was called on; absent otherwise.</param>
/// <param name="Flags">AT_STATX_* of statx(2).</param>
/// <param name="Mask">STATX_*: which fields are wanted.</param>
public readonly record struct StatXRequest(FileHandle? Handle, uint Flags, uint Mask);

/// <summary>Change attributes (FUSE_SETATTR): chmod, chown, truncate, utimensat. Only the fields that <see cref="Fields"/> names are meant.</summary>
public readonly record struct SetAttrRequest
{
    /// <summary>Which of the fields below are meant.</summary>
    public SetAttrFields Fields { get; init; }

    /// <summary>The open file of ftruncate(2) and the like; absent otherwise.</summary>
    public FileHandle? Handle { get; init; }

    /// <summary>The new length in bytes, 0 to 2^63-1.</summary>
    public long Size { get; init; }

    /// <summary>Who truncates, for mandatory locks; absent unless sent.</summary>
    public ulong? LockOwner { get; init; }

    /// <summary>Access time.</summary>
    public FuseTime AccessTime { get; init; }

    /// <summary>Modification time.</summary>
    public FuseTime ModificationTime { get; init; }

    /// <summary>Change time.</summary>
    public FuseTime ChangeTime { get; init; }

    /// <summary>Mode with its type bits.</summary>
    public uint Mode { get; init; }

    /// <summary>Owner.</summary>
    public uint Uid { get; init; }

    /// <summary>Group.</summary>
    public uint Gid { get; init; }
}

/// <summary>Make a symbolic link (FUSE_SYMLINK). Both lent for the call.</summary>
/// <param name="Name">Its name: 1 to 255 bytes but '/' and NUL.</param>
/// <param name="Target">What it says: 1 to 4095 bytes.</param>
public readonly record struct SymlinkRequest(ReadOnlyMemory<byte> Name, ReadOnlyMemory<byte> Target);

/// <summary>Make a file, fifo, socket or device (FUSE_MKNOD).</summary>
/// <param name="Name">Its name, lent for the call.</param>
/// <param name="Mode">Type and permission bits; the umask is already applied unless <see cref="FuseCapabilities.DontMask"/> was agreed.</param>
/// <param name="Device">For devices: the kernel's 32-bit encoding (minor bits 0-7 and 20-31, major bits 8-19).</param>
/// <param name="Umask">The caller's umask.</param>
public readonly record struct MkNodRequest(ReadOnlyMemory<byte> Name, uint Mode, uint Device, uint Umask);

/// <summary>Make a directory (FUSE_MKDIR).</summary>
/// <param name="Name">Its name, lent for the call.</param>
/// <param name="Mode">Permission bits; the umask is already applied unless <see cref="FuseCapabilities.DontMask"/> was agreed.</param>
/// <param name="Umask">The caller's umask.</param>
public readonly record struct MkDirRequest(ReadOnlyMemory<byte> Name, uint Mode, uint Umask);

/// <summary>Rename (FUSE_RENAME, FUSE_RENAME2); the source directory is the context's node. Names lent for the call.</summary>
/// <param name="Name">The old name.</param>
/// <param name="NewParent">The new directory.</param>
/// <param name="NewName">The new name.</param>
/// <param name="Flags">Flags of renameat2(2).</param>
public readonly record struct RenameRequest(ReadOnlyMemory<byte> Name, NodeId NewParent, ReadOnlyMemory<byte> NewName, RenameFlags Flags);

/// <summary>Make a hard link (FUSE_LINK); the directory is the context's node.</summary>
/// <param name="Source">The node to link.</param>
/// <param name="Name">The new name, lent for the call.</param>
public readonly record struct LinkRequest(NodeId Source, ReadOnlyMemory<byte> Name);

/// <summary>Open a file or directory (FUSE_OPEN, FUSE_OPENDIR).</summary>
/// <param name="Flags">Flags of open(2) without O_CREAT, O_EXCL and O_NOCTTY.</param>
/// <param name="KillSuidGid">Clear setuid, and setgid where the group may execute: the open truncates.</param>
public readonly record struct OpenRequest(OpenFlags Flags, bool KillSuidGid);

/// <summary>Create and open a file (FUSE_CREATE), or make one without a name (FUSE_TMPFILE).</summary>
/// <param name="Name">Its name, lent for the call. Meaningless for a nameless file.</param>
/// <param name="Flags">Flags of open(2).</param>
/// <param name="Mode">Type and permission bits; the umask is already applied unless <see cref="FuseCapabilities.DontMask"/> was agreed.</param>
/// <param name="Umask">The caller's umask.</param>
/// <param name="KillSuidGid">Clear setuid, and setgid where the group may execute, of a file that exists and is truncated.</param>
public readonly record struct CreateRequest(ReadOnlyMemory<byte> Name, OpenFlags Flags, uint Mode, uint Umask, bool KillSuidGid);

/// <summary>Read (FUSE_READ).</summary>
/// <param name="Handle">The open file.</param>
/// <param name="Offset">First byte, 0 to 2^63-1.</param>
/// <param name="Size">How many bytes, the length of the destination. Fewer are answered only at the end of the file, unless the file is opened for direct I/O.</param>
/// <param name="Flags">Flags of open(2) as they are now.</param>
/// <param name="LockOwner">Who reads, for mandatory locks; absent unless sent.</param>
public readonly record struct ReadRequest(FileHandle Handle, long Offset, int Size, OpenFlags Flags, ulong? LockOwner);

/// <summary>Write (FUSE_WRITE).</summary>
/// <param name="Handle">The open file.</param>
/// <param name="Offset">First byte, 0 to 2^63-1.</param>
/// <param name="Data">The bytes, lent until the operation's task completes.</param>
/// <param name="WriteFlags">Flags of this write.</param>
/// <param name="Flags">Flags of open(2) as they are now.</param>
/// <param name="LockOwner">Who writes, for mandatory locks; absent unless sent.</param>
public readonly record struct WriteRequest(FileHandle Handle, long Offset, ReadOnlyMemory<byte> Data, WriteFlags WriteFlags, OpenFlags Flags, ulong? LockOwner);

/// <summary>The last close of an open file or directory (FUSE_RELEASE, FUSE_RELEASEDIR): once for each open. Its answer reaches nobody.</summary>
/// <param name="Handle">The open file.</param>
/// <param name="Flags">Flags of open(2).</param>
/// <param name="ReleaseFlags">Flags of this release.</param>
/// <param name="LockOwner">Whose locks go.</param>
public readonly record struct ReleaseRequest(FileHandle Handle, OpenFlags Flags, ReleaseFlags ReleaseFlags, ulong LockOwner);

/// <summary>A close(2) of one descriptor (FUSE_FLUSH): zero or more for each open. Its errno is what close(2) returns.</summary>
/// <param name="Handle">The open file.</param>
/// <param name="LockOwner">Whose POSIX locks go.</param>
public readonly record struct FlushRequest(FileHandle Handle, ulong LockOwner);

/// <summary>Make durable (FUSE_FSYNC, FUSE_FSYNCDIR).</summary>
/// <param name="Handle">The open file or directory.</param>
/// <param name="DataOnly">fdatasync(2): only what is needed to read the data back.</param>
public readonly record struct FSyncRequest(FileHandle Handle, bool DataOnly);

/// <summary>List a directory (FUSE_READDIR, FUSE_READDIRPLUS).</summary>
/// <param name="Handle">The open directory.</param>
/// <param name="Offset">0 for the start, else the next-offset of the last entry that the reader took.</param>
/// <param name="Flags">Flags of open(2) as they are now.</param>
public readonly record struct ReadDirRequest(FileHandle Handle, ulong Offset, OpenFlags Flags);

/// <summary>Set an extended attribute (FUSE_SETXATTR). Both lent for the call.</summary>
/// <param name="Name">Its name with its prefix, 1 to 255 bytes.</param>
/// <param name="Value">Its value, 0 to 65,536 bytes.</param>
/// <param name="Flags">Flags of setxattr(2).</param>
/// <param name="AclKillSgid">The attribute is an access ACL whose setting clears setgid.</param>
public readonly record struct SetXAttrRequest(ReadOnlyMemory<byte> Name, ReadOnlyMemory<byte> Value, XAttrFlags Flags, bool AclKillSgid);

/// <summary>A lock operation (FUSE_GETLK, FUSE_SETLK, FUSE_SETLKW).</summary>
/// <param name="Handle">The open file.</param>
/// <param name="Owner">Who locks, as the kernel names it.</param>
/// <param name="Lock">Range, kind and process.</param>
/// <param name="IsFlock">flock(2), owned by the open file description; otherwise fcntl(2), owned by the process.</param>
/// <param name="Wait">SETLKW: wait until it is granted, or the call is cancelled (then <see cref="Errno.EINTR"/>).</param>
public readonly record struct LockRequest(FileHandle Handle, ulong Owner, FileLock Lock, bool IsFlock, bool Wait);

/// <summary>A byte range lock.</summary>
/// <param name="Start">First byte.</param>
/// <param name="End">Last byte, inclusive; 2^63-1 is "to the end, however it grows".</param>
/// <param name="Type">Kind.</param>
/// <param name="Pid">Process that holds it; as an answer to GETLK.</param>
public readonly record struct FileLock(ulong Start, ulong End, LockType Type, uint Pid);

/// <summary>A restricted ioctl(2) (FUSE_IOCTL): the sizes come from the command number.</summary>
/// <param name="Handle">The open file or directory.</param>
/// <param name="Command">Command number.</param>
/// <param name="Argument">The argument, as a number; never to be used as an address.</param>
/// <param name="Input">What the caller passed in; lent for the call.</param>
/// <param name="IsDirectory">The handle is a directory's.</param>
/// <param name="Is32Bit">The caller is a 32-bit process.</param>
public readonly record struct IoctlRequest(FileHandle Handle, uint Command, ulong Argument, ReadOnlyMemory<byte> Input, bool IsDirectory, bool Is32Bit);

/// <summary>Poll (FUSE_POLL).</summary>
/// <param name="Handle">The open file.</param>
/// <param name="KernelHandle">What to give to <see cref="FuseNotifier.TryPollWakeup"/> when the file becomes ready.</param>
/// <param name="Events">POLL* that are of interest.</param>
/// <param name="ScheduleNotify">The caller waits: a wake-up is wanted.</param>
public readonly record struct PollRequest(FileHandle Handle, ulong KernelHandle, uint Events, bool ScheduleNotify);

/// <summary>Allocate, punch or zero (FUSE_FALLOCATE).</summary>
/// <param name="Handle">The open file.</param>
/// <param name="Offset">First byte.</param>
/// <param name="Length">How many bytes, at least 1.</param>
/// <param name="Mode">What to do.</param>
public readonly record struct FAllocateRequest(FileHandle Handle, long Offset, long Length, FAllocateMode Mode);

/// <summary>Find data or a hole (FUSE_LSEEK).</summary>
/// <param name="Handle">The open file.</param>
/// <param name="Offset">Where to begin.</param>
/// <param name="Whence">What to find.</param>
public readonly record struct LSeekRequest(FileHandle Handle, long Offset, SeekWhence Whence);

/// <summary>Copy between two files of this mount (FUSE_COPY_FILE_RANGE, FUSE_COPY_FILE_RANGE_64); the source is the context's node.</summary>
/// <param name="Handle">The source.</param>
/// <param name="Offset">First byte of the source.</param>
/// <param name="TargetNode">The target's node.</param>
/// <param name="TargetHandle">The target.</param>
/// <param name="TargetOffset">First byte of the target.</param>
/// <param name="Length">How many bytes.</param>
/// <param name="Flags">Flags of copy_file_range(2).</param>
public readonly record struct CopyFileRangeRequest(
    FileHandle Handle, long Offset, NodeId TargetNode, FileHandle TargetHandle, long TargetOffset, long Length, ulong Flags);

/// <summary>The start of a connection (FUSE_INIT).</summary>
/// <param name="Major">The kernel's major protocol version: 7.</param>
/// <param name="Minor">The kernel's minor protocol version: 31 or more.</param>
/// <param name="Offered">What the kernel can do.</param>
/// <param name="Proposal">What the library would answer: the <see cref="FuseOptions"/> cut to what the kernel can do.</param>
public readonly record struct InitRequest(uint Major, uint Minor, FuseCapabilities Offered, InitReply Proposal);
