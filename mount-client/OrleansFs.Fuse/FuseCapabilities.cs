namespace OrleansFs.Fuse;

/// <summary>
/// What kernel and file system can agree on at INIT (FUSE_* flags of include/uapi/linux/fuse.h; bits 32 and up travel in flags2 with FUSE_INIT_EXT).
/// </summary>
[Flags]
public enum FuseCapabilities : ulong
{
    /// <summary>None.</summary>
    None = 0,
    /// <summary>Several reads of one file at a time, in any order.</summary>
    AsyncRead = 1UL << 0,
    /// <summary>fcntl(2) locks are the file system's.</summary>
    PosixLocks = 1UL << 1,
    /// <summary>O_TRUNC arrives with the open, not as a SETATTR before it.</summary>
    AtomicTruncate = 1UL << 3,
    /// <summary>"." and ".." may be looked up: needed for export by NFS.</summary>
    ExportSupport = 1UL << 4,
    /// <summary>Writes of more than a page.</summary>
    BigWrites = 1UL << 5,
    /// <summary>The umask is not applied by the kernel: the file system applies it, as default ACLs demand.</summary>
    DontMask = 1UL << 6,
    /// <summary>splice(2) to the device. Not used by this library.</summary>
    SpliceWrite = 1UL << 7,
    /// <summary>splice(2) with moving pages. Not used by this library.</summary>
    SpliceMove = 1UL << 8,
    /// <summary>splice(2) from the device. Not used by this library.</summary>
    SpliceRead = 1UL << 9,
    /// <summary>flock(2) locks are the file system's.</summary>
    FlockLocks = 1UL << 10,
    /// <summary>ioctl(2) on directories.</summary>
    IoctlDirectory = 1UL << 11,
    /// <summary>The kernel drops cached pages when it sees a file's mtime or size changed.</summary>
    AutoInvalidateData = 1UL << 12,
    /// <summary>READDIRPLUS instead of READDIR.</summary>
    ReadDirPlus = 1UL << 13,
    /// <summary>READDIRPLUS only where the reader looks names up.</summary>
    ReadDirPlusAuto = 1UL << 14,
    /// <summary>Direct I/O in parallel.</summary>
    AsyncDirectIO = 1UL << 15,
    /// <summary>Writes are collected in the page cache, and size and mtime are the kernel's while they are.</summary>
    WritebackCache = 1UL << 16,
    /// <summary>An open answered ENOSYS is never sent again, and succeeds.</summary>
    NoOpenSupport = 1UL << 17,
    /// <summary>Lookups and readdir of one directory in parallel.</summary>
    ParallelDirectoryOperations = 1UL << 18,
    /// <summary>The file system clears setuid, setgid and capabilities on write, chown and truncate.</summary>
    HandleKillPriv = 1UL << 19,
    /// <summary>POSIX ACLs, kept by the file system in system.posix_acl_*, checked by the kernel.</summary>
    PosixAcl = 1UL << 20,
    /// <summary>Reading the device of an aborted connection answers ECONNABORTED, not ENODEV.</summary>
    AbortError = 1UL << 21,
    /// <summary>Requests of more than 32 pages.</summary>
    MaxPages = 1UL << 22,
    /// <summary>READLINK answers are cached.</summary>
    CacheSymlinks = 1UL << 23,
    /// <summary>An opendir answered ENOSYS is never sent again, and succeeds.</summary>
    NoOpenDirSupport = 1UL << 24,
    /// <summary>Cached pages go only when the file system says so.</summary>
    ExplicitInvalidateData = 1UL << 25,
    /// <summary>DAX alignment; for virtiofs.</summary>
    MapAlignment = 1UL << 26,
    /// <summary>Sub-mounts; for virtiofs.</summary>
    SubMounts = 1UL << 27,
    /// <summary>The file system clears setuid and setgid where it is told so (KILL_SUIDGID); spares a GETXATTR for each write.</summary>
    HandleKillPrivV2 = 1UL << 28,
    /// <summary>SETXATTR has its extended form.</summary>
    SetXAttrExtended = 1UL << 29,
    /// <summary>Flags past bit 31 are there. Set by the library.</summary>
    InitExtended = 1UL << 30,
    /// <summary>The security context comes with what makes an inode.</summary>
    SecurityContext = 1UL << 32,
    /// <summary>DAX by inode; for virtiofs.</summary>
    HasInodeDax = 1UL << 33,
    /// <summary>The caller's supplementary group that owns the directory comes with what makes an inode.</summary>
    CreateSupplementaryGroup = 1UL << 34,
    /// <summary>An entry can be marked expired instead of being thrown out.</summary>
    HasExpireOnly = 1UL << 35,
    /// <summary>Shared mmap of files that are open for direct I/O.</summary>
    DirectIOAllowMmap = 1UL << 36,
    /// <summary>Read and write go to a backing file without asking.</summary>
    Passthrough = 1UL << 37,
    /// <summary>File handles of name_to_handle_at(2) are not supported.</summary>
    NoExportSupport = 1UL << 38,
    /// <summary>Requests can be sent again.</summary>
    HasResend = 1UL << 39,
    /// <summary>Id-mapped mounts.</summary>
    AllowIdMap = 1UL << 40,
    /// <summary>Requests come over io_uring. Set by the library.</summary>
    OverIoUring = 1UL << 41,
    /// <summary>The kernel aborts a connection that does not answer in time.</summary>
    RequestTimeout = 1UL << 42,
}
