using Orleans;

namespace OrleansFs.Model;

/// <summary>Bits of <c>st_mode</c> (inode(7)), in their own spelling.</summary>
public static class Mode
{
    public const uint S_IFMT = 0xF000;
    public const uint S_IFSOCK = 0xC000;
    public const uint S_IFLNK = 0xA000;
    public const uint S_IFREG = 0x8000;
    public const uint S_IFBLK = 0x6000;
    public const uint S_IFDIR = 0x4000;
    public const uint S_IFCHR = 0x2000;
    public const uint S_IFIFO = 0x1000;
    public const uint S_ISUID = 0x800;
    public const uint S_ISGID = 0x400;
    public const uint S_ISVTX = 0x200;
    public const uint S_IXGRP = 0x8;

    /// <summary>What chmod(2) may set: permissions, set-user-ID, set-group-ID and sticky.</summary>
    public const uint PermissionMask = 0xFFF;

    public static bool IsDirectory(uint mode) => (mode & S_IFMT) == S_IFDIR;

    public static bool IsRegular(uint mode) => (mode & S_IFMT) == S_IFREG;

    public static bool IsSymlink(uint mode) => (mode & S_IFMT) == S_IFLNK;

    /// <summary>The <c>d_type</c> of readdir(3) for a mode.</summary>
    public static byte DirectoryEntryType(uint mode) => (byte)((mode & S_IFMT) >> 12);
}

/// <summary>What stat(2) tells of an inode.</summary>
[GenerateSerializer, Immutable, Alias("ofs.Attributes")]
public readonly record struct Attributes
{
    [Id(0)] public InodeNumber Inode { get; init; }

    /// <summary>Type and permission bits, as <see cref="Model.Mode"/> names them.</summary>
    [Id(1)] public uint Mode { get; init; }

    /// <summary>Names of a file; for a directory 2 plus its sub-directories. 0 only for an unlinked inode that is still in use.</summary>
    [Id(2)] public uint LinkCount { get; init; }

    [Id(3)] public uint Uid { get; init; }

    [Id(4)] public uint Gid { get; init; }

    /// <summary>Bytes, 0 to 2^63 - 1. For a directory the number of its entries; for a symbolic link the bytes of its target.</summary>
    [Id(5)] public long Size { get; init; }

    /// <summary>Bytes that the file's blocks hold, holes left out, before deduplication and compression. <c>st_blocks</c> is this in units of 512.</summary>
    [Id(6)] public long AllocatedBytes { get; init; }

    [Id(7)] public Timestamp AccessTime { get; init; }

    [Id(8)] public Timestamp ModifyTime { get; init; }

    [Id(9)] public Timestamp ChangeTime { get; init; }

    [Id(10)] public Timestamp BirthTime { get; init; }

    /// <summary>Device number of a device node, in the kernel's <c>new_encode_dev</c> form; 0 for everything else.</summary>
    [Id(11)] public uint Device { get; init; }

    /// <summary>Inode flags (<see cref="InodeFlags"/>).</summary>
    [Id(12)] public InodeFlags Flags { get; init; }

    public bool IsDirectory => Model.Mode.IsDirectory(Mode);

    public bool IsRegular => Model.Mode.IsRegular(Mode);

    public bool IsSymlink => Model.Mode.IsSymlink(Mode);
}

/// <summary>Flags of an inode with the values of <c>FS_IOC_GETFLAGS</c> (ioctl_iflags(2)).</summary>
[Flags]
public enum InodeFlags
{
    None = 0,
    Immutable = 0x10,
    AppendOnly = 0x20,
    NoDump = 0x40,
    NoAccessTime = 0x80,

    /// <summary>
    /// The volume's own, shown to no program: the file was immutable or append-only once. What a client wrote before that is not written again by it after a restart of the copy, for it would go over what has come
    /// since; so what is written now is on disk when it is answered. (A bit that Linux uses for directories only.)
    /// </summary>
    WasGuarded = 0x40000000,
}

/// <summary>Which attributes a change sets; values that are not named stay.</summary>
[Flags]
public enum AttributeMask
{
    None = 0,
    Mode = 1 << 0,
    Uid = 1 << 1,
    Gid = 1 << 2,
    Size = 1 << 3,
    AccessTime = 1 << 4,
    ModifyTime = 1 << 5,
    ChangeTime = 1 << 6,

    /// <summary>The access time becomes the volume's present time.</summary>
    AccessTimeNow = 1 << 7,

    /// <summary>The modify time becomes the volume's present time.</summary>
    ModifyTimeNow = 1 << 8,

    /// <summary>Set-user-ID, and set-group-ID where the group may execute, are cleared (a truncation by who may not keep them).</summary>
    KillPrivileges = 1 << 9,
    Flags = 1 << 10,
}

/// <summary>A setattr: chmod, chown, truncate and utimensat in one. All of it happens or none.</summary>
[GenerateSerializer, Immutable, Alias("ofs.AttributeChange")]
public readonly record struct AttributeChange
{
    [Id(0)] public AttributeMask Mask { get; init; }

    /// <summary>Permission bits; type bits are ignored.</summary>
    [Id(1)] public uint Mode { get; init; }

    [Id(2)] public uint Uid { get; init; }

    [Id(3)] public uint Gid { get; init; }

    /// <summary>Bytes, 0 to 2^63 - 1.</summary>
    [Id(4)] public long Size { get; init; }

    [Id(5)] public Timestamp AccessTime { get; init; }

    [Id(6)] public Timestamp ModifyTime { get; init; }

    [Id(7)] public Timestamp ChangeTime { get; init; }

    [Id(8)] public InodeFlags Flags { get; init; }
}

/// <summary>On whose behalf a call is made. Permission is checked where the call enters (the kernel, for a mount); this decides ownership.</summary>
[GenerateSerializer, Immutable, Alias("ofs.Caller")]
public readonly record struct Caller([property: Id(0)] uint Uid, [property: Id(1)] uint Gid, [property: Id(2)] uint Pid, [property: Id(3)] uint Umask);
