using System.Runtime.InteropServices;

namespace OrleansFs.Fuse;

/// <summary>The flags of open(2) as this architecture numbers them.</summary>
/// <param name="Value">The bits.</param>
public readonly record struct OpenFlags(uint Value)
{
    private static readonly bool s_arm = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm;

    /// <summary>O_RDONLY 0, O_WRONLY 1, O_RDWR 2 (3 is an ioctl-only open).</summary>
    public uint AccessMode => Value & 3;

    /// <summary>Whether reading is allowed.</summary>
    public bool CanRead => AccessMode is 0 or 2;

    /// <summary>Whether writing is allowed.</summary>
    public bool CanWrite => AccessMode is 1 or 2;

    /// <summary>O_CREAT.</summary>
    public bool Create => (Value & 0x40) != 0;

    /// <summary>O_EXCL.</summary>
    public bool Exclusive => (Value & 0x80) != 0;

    /// <summary>O_TRUNC; arrives only when <see cref="FuseCapabilities.AtomicTruncate"/> was agreed.</summary>
    public bool Truncate => (Value & 0x200) != 0;

    /// <summary>O_APPEND.</summary>
    public bool Append => (Value & 0x400) != 0;

    /// <summary>O_NONBLOCK.</summary>
    public bool NonBlocking => (Value & 0x800) != 0;

    /// <summary>O_DSYNC; O_SYNC includes it.</summary>
    public bool DataSync => (Value & 0x1000) != 0;

    /// <summary>O_SYNC: data and metadata.</summary>
    public bool Sync => (Value & 0x101000) == 0x101000;

    /// <summary>O_DIRECT.</summary>
    public bool Direct => (Value & (s_arm ? 0x10000u : 0x4000u)) != 0;

    /// <summary>O_DIRECTORY.</summary>
    public bool Directory => (Value & (s_arm ? 0x4000u : 0x10000u)) != 0;

    /// <summary>O_NOATIME.</summary>
    public bool NoAccessTime => (Value & 0x40000) != 0;

    /// <summary>FMODE_EXEC (0x20): the kernel opens the file to execute it.</summary>
    public bool Execute => (Value & 0x20) != 0;
}

/// <summary>Which fields of a <see cref="SetAttrRequest"/> are to be set (FATTR_*).</summary>
[Flags]
public enum SetAttrFields : uint
{
    /// <summary>None.</summary>
    None = 0,
    /// <summary>Permission bits and file type.</summary>
    Mode = 1 << 0,
    /// <summary>Owner.</summary>
    Uid = 1 << 1,
    /// <summary>Group.</summary>
    Gid = 1 << 2,
    /// <summary>Length: truncate or extend.</summary>
    Size = 1 << 3,
    /// <summary>Access time, as given.</summary>
    AccessTime = 1 << 4,
    /// <summary>Modification time, as given.</summary>
    ModificationTime = 1 << 5,
    /// <summary>The handle is valid.</summary>
    Handle = 1 << 6,
    /// <summary>Access time, to the server's clock. Comes together with <see cref="AccessTime"/>.</summary>
    AccessTimeNow = 1 << 7,
    /// <summary>Modification time, to the server's clock. Comes together with <see cref="ModificationTime"/>.</summary>
    ModificationTimeNow = 1 << 8,
    /// <summary>The lock owner is valid.</summary>
    LockOwner = 1 << 9,
    /// <summary>Change time, as given: only the kernel's write-back cache sends it.</summary>
    ChangeTime = 1 << 10,
    /// <summary>Clear setuid, and setgid where the group may execute (a truncate or chown by a caller without CAP_FSETID).</summary>
    KillSuidGid = 1 << 11,
}

/// <summary>Flags of a write (FUSE_WRITE_*).</summary>
[Flags]
public enum WriteFlags : uint
{
    /// <summary>None.</summary>
    None = 0,
    /// <summary>Write-back of cached pages: the handle is any one that is open for writing, the caller is the kernel.</summary>
    Cache = 1 << 0,
    /// <summary>The lock owner is valid.</summary>
    LockOwner = 1 << 1,
    /// <summary>Clear setuid, and setgid where the group may execute.</summary>
    KillSuidGid = 1 << 2,
}

/// <summary>Flags of renameat2(2).</summary>
[Flags]
public enum RenameFlags : uint
{
    /// <summary>Replace what is at the target.</summary>
    None = 0,
    /// <summary>RENAME_NOREPLACE: <see cref="Errno.EEXIST"/> if the target exists.</summary>
    NoReplace = 1 << 0,
    /// <summary>RENAME_EXCHANGE: swap both; both must exist.</summary>
    Exchange = 1 << 1,
    /// <summary>RENAME_WHITEOUT: leave a character device 0:0 at the source.</summary>
    Whiteout = 1 << 2,
}

/// <summary>Flags of setxattr(2).</summary>
[Flags]
public enum XAttrFlags : uint
{
    /// <summary>Create or replace.</summary>
    None = 0,
    /// <summary>XATTR_CREATE: <see cref="Errno.EEXIST"/> if it exists.</summary>
    Create = 1 << 0,
    /// <summary>XATTR_REPLACE: <see cref="Errno.ENODATA"/> if it does not.</summary>
    Replace = 1 << 1,
}

/// <summary>Flags of a release (FUSE_RELEASE_*).</summary>
[Flags]
public enum ReleaseFlags : uint
{
    /// <summary>None.</summary>
    None = 0,
    /// <summary>FUSE_RELEASE_FLUSH.</summary>
    Flush = 1 << 0,
    /// <summary>The owner's flock(2) lock on this handle goes too.</summary>
    UnlockFlock = 1 << 1,
}

/// <summary>Modes of fallocate(2) (FALLOC_FL_*).</summary>
[Flags]
public enum FAllocateMode : uint
{
    /// <summary>Allocate, and extend the size where the range passes it.</summary>
    Allocate = 0,
    /// <summary>Leave the size as it is.</summary>
    KeepSize = 1,
    /// <summary>Make a hole; comes with <see cref="KeepSize"/>.</summary>
    PunchHole = 2,
    /// <summary>Remove the range and move what follows down.</summary>
    CollapseRange = 8,
    /// <summary>Make the range read as zero.</summary>
    ZeroRange = 16,
    /// <summary>Insert a hole and move what follows up.</summary>
    InsertRange = 32,
    /// <summary>Give shared blocks a copy of their own.</summary>
    UnshareRange = 64,
}

/// <summary>Whence of lseek(2), as far as the kernel asks: the rest it answers itself.</summary>
public enum SeekWhence : uint
{
    /// <summary>SEEK_SET.</summary>
    Set = 0,
    /// <summary>SEEK_CUR.</summary>
    Current = 1,
    /// <summary>SEEK_END.</summary>
    End = 2,
    /// <summary>SEEK_DATA: the next byte that is not in a hole; <see cref="Errno.ENXIO"/> past the last.</summary>
    Data = 3,
    /// <summary>SEEK_HOLE: the next byte that is in a hole, the end of the file being one.</summary>
    Hole = 4,
}

/// <summary>What access(2) asks for.</summary>
[Flags]
public enum AccessMask : uint
{
    /// <summary>F_OK: whether it exists.</summary>
    Exists = 0,
    /// <summary>X_OK.</summary>
    Execute = 1,
    /// <summary>W_OK.</summary>
    Write = 2,
    /// <summary>R_OK.</summary>
    Read = 4,
}

/// <summary>The kind of a lock (F_RDLCK, F_WRLCK, F_UNLCK).</summary>
public enum LockType : uint
{
    /// <summary>Shared.</summary>
    Read = 0,
    /// <summary>Exclusive.</summary>
    Write = 1,
    /// <summary>None: release it; as an answer, nothing conflicts.</summary>
    Unlock = 2,
}

/// <summary>The type of a directory entry (DT_*): the type bits of a mode shifted down by 12.</summary>
public enum FileType : uint
{
    /// <summary>Not known; the kernel asks when it matters.</summary>
    Unknown = 0,
    /// <summary>A fifo.</summary>
    Fifo = 1,
    /// <summary>A character device.</summary>
    CharacterDevice = 2,
    /// <summary>A directory.</summary>
    Directory = 4,
    /// <summary>A block device.</summary>
    BlockDevice = 6,
    /// <summary>A regular file.</summary>
    Regular = 8,
    /// <summary>A symbolic link.</summary>
    SymbolicLink = 10,
    /// <summary>A socket.</summary>
    Socket = 12,
}
