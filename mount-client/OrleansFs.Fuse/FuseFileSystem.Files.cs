namespace OrleansFs.Fuse;

/// <summary>Operations on open files and directories.</summary>
public abstract partial class FuseFileSystem
{
    /// <summary>Open a file (FUSE_OPEN).</summary>
    public virtual ValueTask<FuseResult<OpenReply>> Open(FuseContext context, OpenRequest request) => FuseResult.Fail<OpenReply>(Errno.ENOSYS);

    /// <summary>Create and open a file (FUSE_CREATE); counts one lookup.</summary>
    public virtual ValueTask<FuseResult<CreateReply>> Create(FuseContext context, CreateRequest request) => FuseResult.Fail<CreateReply>(Errno.ENOSYS);

    /// <summary>Make and open a file without a name (FUSE_TMPFILE, 7.37); counts one lookup.</summary>
    public virtual ValueTask<FuseResult<CreateReply>> TmpFile(FuseContext context, CreateRequest request) => FuseResult.Fail<CreateReply>(Errno.ENOSYS);

    /// <summary>Read (FUSE_READ) into the destination, which is <see cref="ReadRequest.Size"/> long; answers how many bytes.</summary>
    public virtual ValueTask<FuseResult<int>> Read(FuseContext context, ReadRequest request, Memory<byte> destination) => FuseResult.Fail<int>(Errno.ENOSYS);

    /// <summary>Write (FUSE_WRITE); answers how many bytes were taken.</summary>
    public virtual ValueTask<FuseResult<int>> Write(FuseContext context, WriteRequest request) => FuseResult.Fail<int>(Errno.ENOSYS);

    /// <summary>A close(2) (FUSE_FLUSH).</summary>
    public virtual ValueTask<FuseResult> Flush(FuseContext context, FlushRequest request) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>The last close (FUSE_RELEASE).</summary>
    public virtual ValueTask<FuseResult> Release(FuseContext context, ReleaseRequest request) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>Make a file durable (FUSE_FSYNC).</summary>
    public virtual ValueTask<FuseResult> FSync(FuseContext context, FSyncRequest request) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>Open a directory (FUSE_OPENDIR).</summary>
    public virtual ValueTask<FuseResult<OpenReply>> OpenDir(FuseContext context, OpenRequest request) => FuseResult.Fail<OpenReply>(Errno.ENOSYS);

    /// <summary>List a directory (FUSE_READDIR): add entries to the writer until it is full or there are no more; none means the end.</summary>
    public virtual ValueTask<FuseResult> ReadDir(FuseContext context, ReadDirRequest request, DirectoryWriter writer) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>List a directory with attributes (FUSE_READDIRPLUS): as ReadDir; each entry added with its node counts one lookup.</summary>
    public virtual ValueTask<FuseResult> ReadDirPlus(FuseContext context, ReadDirRequest request, DirectoryWriter writer) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>The last close of a directory (FUSE_RELEASEDIR).</summary>
    public virtual ValueTask<FuseResult> ReleaseDir(FuseContext context, ReleaseRequest request) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>Make a directory durable (FUSE_FSYNCDIR).</summary>
    public virtual ValueTask<FuseResult> FSyncDir(FuseContext context, FSyncRequest request) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>The first lock that conflicts (FUSE_GETLK); one of type <see cref="LockType.Unlock"/> when none does.</summary>
    public virtual ValueTask<FuseResult<FileLock>> GetLk(FuseContext context, LockRequest request) => FuseResult.Fail<FileLock>(Errno.ENOSYS);

    /// <summary>Take or release a lock (FUSE_SETLK, FUSE_SETLKW); EAGAIN when it conflicts and the caller does not wait.</summary>
    public virtual ValueTask<FuseResult> SetLk(FuseContext context, LockRequest request) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>A restricted ioctl (FUSE_IOCTL); ENOTTY for a command that is not known. Output is written to the destination.</summary>
    public virtual ValueTask<FuseResult<IoctlReply>> Ioctl(FuseContext context, IoctlRequest request, Memory<byte> destination) =>
        FuseResult.Fail<IoctlReply>(Errno.ENOSYS);

    /// <summary>Which events are ready (FUSE_POLL): POLL* bits.</summary>
    public virtual ValueTask<FuseResult<uint>> Poll(FuseContext context, PollRequest request) => FuseResult.Fail<uint>(Errno.ENOSYS);

    /// <summary>Allocate, punch or zero (FUSE_FALLOCATE); EOPNOTSUPP for a mode that is not known.</summary>
    public virtual ValueTask<FuseResult> FAllocate(FuseContext context, FAllocateRequest request) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>Find data or a hole (FUSE_LSEEK); answers the offset, or ENXIO.</summary>
    public virtual ValueTask<FuseResult<long>> LSeek(FuseContext context, LSeekRequest request) => FuseResult.Fail<long>(Errno.ENOSYS);

    /// <summary>Copy between two files (FUSE_COPY_FILE_RANGE and its 64-bit form, 7.45); answers how many bytes.</summary>
    public virtual ValueTask<FuseResult<long>> CopyFileRange(FuseContext context, CopyFileRangeRequest request) => FuseResult.Fail<long>(Errno.ENOSYS);
}
