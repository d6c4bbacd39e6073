using System.Runtime.InteropServices;

#pragma warning disable CS0649 // filled by reading the kernel's bytes

namespace OrleansFs.Fuse.Protocol;

// The structures of include/uapi/linux/fuse.h (7.45) that requests begin with, field by field. Sizes and offsets are asserted by KernelStructTests.
// What the file system answers is laid out likewise where it is declared: EntryReply, AttrReply, OpenReply, StatFsReply, StatXReply, FileLock.

/// <summary>struct fuse_in_header: 40 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct InHeader
{
    internal const int Size = 40;

    internal uint len;
    internal uint opcode;
    internal ulong unique;
    internal ulong nodeid;
    internal uint uid;
    internal uint gid;
    internal uint pid;
    internal ushort total_extlen; // of the extensions, in units of 8 bytes
    internal ushort padding;
}

/// <summary>struct fuse_out_header: 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct OutHeader
{
    internal const int Size = 16;

    internal uint len;
    internal int error; // a negated errno; of a notification (unique 0), its code
    internal ulong unique;
}

/// <summary>struct fuse_init_in: 64 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal struct InitIn
{
    internal uint major;
    internal uint minor;
    internal uint max_readahead;
    internal uint flags;
    internal uint flags2;
}

/// <summary>struct fuse_init_out: 64 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal struct InitOut
{
    internal uint major;
    internal uint minor;
    internal uint max_readahead;
    internal uint flags;
    internal ushort max_background;
    internal ushort congestion_threshold;
    internal uint max_write;
    internal uint time_gran;
    internal ushort max_pages;
    internal ushort map_alignment;
    internal uint flags2;
    internal uint max_stack_depth;
    internal ushort request_timeout;
}

/// <summary>struct fuse_forget_in: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ForgetIn
{
    internal ulong nlookup;
}

/// <summary>struct fuse_batch_forget_in: 8 bytes, then count times struct fuse_forget_one, which is <see cref="NodeForget"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct BatchForgetIn
{
    internal uint count;
    internal uint dummy;
}

/// <summary>struct fuse_getattr_in: 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GetAttrIn
{
    internal const uint FUSE_GETATTR_FH = 1;

    internal uint getattr_flags;
    internal uint dummy;
    internal ulong fh;
}

/// <summary>struct fuse_statx_in: 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct StatXIn
{
    internal uint getattr_flags;
    internal uint reserved;
    internal ulong fh;
    internal uint sx_flags;
    internal uint sx_mask;
}

/// <summary>struct fuse_mknod_in: 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MkNodIn
{
    internal uint mode;
    internal uint rdev;
    internal uint umask;
    internal uint padding;
}

/// <summary>struct fuse_mkdir_in: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MkDirIn
{
    internal uint mode;
    internal uint umask;
}

/// <summary>struct fuse_rename_in: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RenameIn
{
    internal ulong newdir;
}

/// <summary>struct fuse_rename2_in: 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Rename2In
{
    internal ulong newdir;
    internal uint flags;
    internal uint padding;
}

/// <summary>struct fuse_link_in: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LinkIn
{
    internal ulong oldnodeid;
}

/// <summary>struct fuse_setattr_in: 88 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SetAttrIn
{
    internal uint valid;
    internal uint padding;
    internal ulong fh;
    internal ulong size;
    internal ulong lock_owner;
    internal long atime;
    internal long mtime;
    internal long ctime;
    internal uint atimensec;
    internal uint mtimensec;
    internal uint ctimensec;
    internal uint mode;
    internal uint unused4;
    internal uint uid;
    internal uint gid;
    internal uint unused5;
}

/// <summary>struct fuse_open_in: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct OpenIn
{
    internal const uint FUSE_OPEN_KILL_SUIDGID = 1;

    internal uint flags;
    internal uint open_flags;
}

/// <summary>struct fuse_create_in: 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CreateIn
{
    internal uint flags;
    internal uint mode;
    internal uint umask;
    internal uint open_flags;
}

/// <summary>struct fuse_release_in: 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ReleaseIn
{
    internal ulong fh;
    internal uint flags;
    internal uint release_flags;
    internal ulong lock_owner;
}

/// <summary>struct fuse_flush_in: 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FlushIn
{
    internal ulong fh;
    internal uint unused;
    internal uint padding;
    internal ulong lock_owner;
}

/// <summary>struct fuse_read_in and struct fuse_write_in: 40 bytes each; the flags of the fifth field are of the operation.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ReadWriteIn
{
    internal const uint LockOwnerValid = 2; // FUSE_READ_LOCKOWNER, FUSE_WRITE_LOCKOWNER

    internal ulong fh;
    internal ulong offset;
    internal uint size;
    internal uint rw_flags; // read_flags, write_flags
    internal ulong lock_owner;
    internal uint flags;
    internal uint padding;
}

/// <summary>struct fuse_write_out: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct WriteOut
{
    internal uint size;
    internal uint padding;
}

/// <summary>struct fuse_fsync_in: 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FSyncIn
{
    internal const uint FUSE_FSYNC_FDATASYNC = 1;

    internal ulong fh;
    internal uint fsync_flags;
    internal uint padding;
}

/// <summary>struct fuse_setxattr_in: 16 bytes, of which the first 8 come unless FUSE_SETXATTR_EXT was agreed.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SetXAttrIn
{
    internal const int CompatSize = 8; // FUSE_COMPAT_SETXATTR_IN_SIZE
    internal const uint FUSE_SETXATTR_ACL_KILL_SGID = 1;

    internal uint size;
    internal uint flags;
    internal uint setxattr_flags;
    internal uint padding;
}

/// <summary>struct fuse_getxattr_in and struct fuse_getxattr_out: 8 bytes each.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GetXAttrInOut
{
    internal uint size;
    internal uint padding;
}

/// <summary>struct fuse_lk_in: 48 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LkIn
{
    internal const uint FUSE_LK_FLOCK = 1;

    internal ulong fh;
    internal ulong owner;
    internal FileLock lk; // struct fuse_file_lock
    internal uint lk_flags;
    internal uint padding;
}

/// <summary>struct fuse_access_in: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AccessIn
{
    internal uint mask;
    internal uint padding;
}

/// <summary>struct fuse_interrupt_in: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct InterruptIn
{
    internal ulong unique;
}

/// <summary>struct fuse_ioctl_in: 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IoctlIn
{
    internal const uint FUSE_IOCTL_COMPAT = 1;
    internal const uint FUSE_IOCTL_UNRESTRICTED = 2;
    internal const uint FUSE_IOCTL_32BIT = 8;
    internal const uint FUSE_IOCTL_DIR = 16;

    internal ulong fh;
    internal uint flags;
    internal uint cmd;
    internal ulong arg;
    internal uint in_size;
    internal uint out_size;
}

/// <summary>struct fuse_ioctl_out: 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IoctlOut
{
    internal const int Size = 16;

    internal int result;
    internal uint flags;
    internal uint in_iovs;
    internal uint out_iovs;
}

/// <summary>struct fuse_poll_in: 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PollIn
{
    internal const uint FUSE_POLL_SCHEDULE_NOTIFY = 1;

    internal ulong fh;
    internal ulong kh;
    internal uint flags;
    internal uint events;
}

/// <summary>struct fuse_poll_out: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PollOut
{
    internal uint revents;
    internal uint padding;
}

/// <summary>struct fuse_fallocate_in: 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FAllocateIn
{
    internal ulong fh;
    internal ulong offset;
    internal ulong length;
    internal uint mode;
    internal uint padding;
}

/// <summary>struct fuse_lseek_in: 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LSeekIn
{
    internal ulong fh;
    internal ulong offset;
    internal uint whence;
    internal uint padding;
}

/// <summary>struct fuse_copy_file_range_in: 56 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CopyFileRangeIn
{
    internal ulong fh_in;
    internal ulong off_in;
    internal ulong nodeid_out;
    internal ulong fh_out;
    internal ulong off_out;
    internal ulong len;
    internal ulong flags;
}

/// <summary>struct fuse_syncfs_in: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SyncFsIn
{
    internal ulong padding;
}

/// <summary>struct fuse_notify_inval_inode_out: 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NotifyInvalInodeOut
{
    internal ulong ino;
    internal long off;
    internal long len;
}

/// <summary>struct fuse_notify_inval_entry_out: 16 bytes, then the name and a NUL that namelen does not count.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NotifyInvalEntryOut
{
    internal const uint FUSE_EXPIRE_ONLY = 1;

    internal ulong parent;
    internal uint namelen;
    internal uint flags;
}

/// <summary>struct fuse_notify_delete_out: 24 bytes, then the name and a NUL that namelen does not count.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NotifyDeleteOut
{
    internal ulong parent;
    internal ulong child;
    internal uint namelen;
    internal uint padding;
}

/// <summary>struct fuse_notify_store_out: 24 bytes, then the data.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NotifyStoreOut
{
    internal ulong nodeid;
    internal ulong offset;
    internal uint size;
    internal uint padding;
}

/// <summary>struct fuse_notify_prune_out: 16 bytes, then the node ids (7.45).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NotifyPruneOut
{
    internal uint count;
    internal uint padding;
    internal ulong spare;
}

/// <summary>struct fuse_notify_poll_wakeup_out: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NotifyPollWakeupOut
{
    internal ulong kh;
}
