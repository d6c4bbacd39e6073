using Orleans;

namespace OrleansFs.Model;

/// <summary>What a new inode is to be.</summary>
[GenerateSerializer, Immutable, Alias("ofs.NewInode")]
public readonly record struct NewInode
{
    /// <summary>Type and permission bits, before the umask and before a default ACL of the directory take effect.</summary>
    [Id(0)] public uint Mode { get; init; }

    /// <summary>Device number for a device node, otherwise 0.</summary>
    [Id(1)] public uint Device { get; init; }

    /// <summary>Target of a symbolic link, 1 to 4095 bytes; empty for everything else.</summary>
    [Id(2)] public ReadOnlyMemory<byte> SymlinkTarget { get; init; }
}

/// <summary>Flags of renameat2(2).</summary>
[Flags]
public enum RenameFlags
{
    None = 0,
    NoReplace = 1,
    Exchange = 2,
    Whiteout = 4,
}

/// <summary>Flags of setxattr(2), and what FUSE adds for ACLs.</summary>
[Flags]
public enum XattrFlags
{
    None = 0,
    Create = 1,
    Replace = 2,

    /// <summary>Setting an access ACL clears set-group-ID (FUSE_SETXATTR_ACL_KILL_SGID).</summary>
    KillSetGroupId = 1 << 16,
}

/// <summary>Mode bits of fallocate(2).</summary>
[Flags]
public enum AllocateMode
{
    None = 0,
    KeepSize = 1,
    PunchHole = 2,
    ZeroRange = 0x10,
}

/// <summary>How a write is to be done.</summary>
[Flags]
public enum WriteFlags
{
    None = 0,

    /// <summary>At the end of the file, wherever that is when the write happens; the offset is ignored.</summary>
    Append = 1,

    /// <summary>Clear set-user-ID, and set-group-ID where the group may execute.</summary>
    KillPrivileges = 2,

    /// <summary>The kernel's delayed write of dirty pages: it sets times itself with a setattr afterwards.</summary>
    FromPageCache = 4,

    /// <summary>With <see cref="Append"/>: the file is append-only, and this write is one record, entirely or not at all, once.</summary>
    Record = 8,

    /// <summary>Made before, at this place, and answered: made again because the copy may have lost it in a restart. <c>EPERM</c> where the file has become immutable or append-only since: what it had then is on disk.</summary>
    Again = 16,

    /// <summary>
    /// To a file grain: answered when the file is on disk with this and all that was written to it before (<c>FILE_SYNC4</c> of RFC 8881 section 18.32). Where the sync fails its error is the answer, and the write is as any other that
    /// was not synced.
    /// </summary>
    Sync = 32,
}

/// <summary>How a file or a directory is read.</summary>
[Flags]
public enum ReadFlags
{
    None = 0,

    /// <summary>The access time stays as it is, whatever the session's <see cref="AccessTimes"/> say: it was opened with <c>O_NOATIME</c>.</summary>
    NoAccessTime = 1,
}

/// <summary><c>SEEK_DATA</c> and <c>SEEK_HOLE</c> of lseek(2).</summary>
public enum SeekKind
{
    Data = 3,
    Hole = 4,
}

/// <summary>Receives directory entries in cookie order.</summary>
public interface IDirectorySink
{
    /// <summary>Takes one entry, or says that it has no room: then the reader stops and the entry is given again next time.</summary>
    /// <param name="name">The name's bytes, lent for the call.</param>
    /// <param name="inode">The inode it names.</param>
    /// <param name="type">The <c>d_type</c>.</param>
    /// <param name="cookie">Where to go on after this entry.</param>
    /// <param name="attributes">The attributes where they were asked for, else null.</param>
    bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes);
}

/// <summary>A byte-range (fcntl) or whole-file (flock) lock.</summary>
[GenerateSerializer, Immutable, Alias("ofs.FileLock")]
public readonly record struct FileLock
{
    [Id(0)] public LockKind Kind { get; init; }

    /// <summary>First byte.</summary>
    [Id(1)] public ulong Start { get; init; }

    /// <summary>Last byte, inclusive; 2^63 - 1 means to the end of the file wherever that is.</summary>
    [Id(2)] public ulong End { get; init; }

    /// <summary>Process that holds it, for F_GETLK.</summary>
    [Id(3)] public uint Pid { get; init; }

    /// <summary>The kernel's owner of the lock: an open file description for flock, a process's file table for fcntl.</summary>
    [Id(4)] public ulong Owner { get; init; }

    /// <summary>A flock(2) lock: independent of the fcntl ones.</summary>
    [Id(5)] public bool WholeFile { get; init; }
}

/// <summary><c>F_RDLCK</c>, <c>F_WRLCK</c>, <c>F_UNLCK</c>.</summary>
public enum LockKind
{
    Read = 0,
    Write = 1,
    Unlock = 2,
}

/// <summary>What statfs(2) tells, in bytes and inodes.</summary>
[GenerateSerializer, Immutable, Alias("ofs.SpaceReport")]
public readonly record struct SpaceReport
{
    /// <summary>Block size S, bytes.</summary>
    [Id(0)] public int BlockSize { get; init; }

    /// <summary>Used plus free, bytes.</summary>
    [Id(1)] public long TotalBytes { get; init; }

    /// <summary>Bytes that can still be written.</summary>
    [Id(2)] public long FreeBytes { get; init; }

    /// <summary>Bytes of <see cref="FreeBytes"/> that a user other than root can still write.</summary>
    [Id(3)] public long AvailableBytes { get; init; }

    [Id(4)] public long Inodes { get; init; }

    [Id(5)] public long FreeInodes { get; init; }
}
