namespace OrleansFs.Fuse;

/// <summary>
/// A file system by node id. One method an operation; what is not overridden answers ENOSYS (which the kernel remembers, and then does without).
/// </summary>
/// <remarks>
/// <para>Methods are called on the thread that took the request from the kernel, several at a time, and must not block: what has to wait returns a task
/// that is not complete, and is answered from where it completes. A method that blocks holds up its core's requests.</para>
/// <para>What completes at once is answered at once, by that thread, without an allocation.</para>
/// <para>Names are bytes: 1 to 255 of them, any but '/' and NUL. Memory in a request is lent until the returned task completes. A destination is part of
/// the reply buffer, is the handler's until then, and holds garbage at first.</para>
/// <para>An exception is a bug: it is logged with opcode, unique and node, and answered with EIO. Only an <see cref="OperationCanceledException"/> of a
/// request that is cancelled is no bug, and says EINTR.</para>
/// <para>A handler must not reach into its own mount, nor wait for <see cref="FuseNotifier.FlushAsync"/>: the kernel may hold a lock that only the answer to
/// this very request releases.</para>
/// </remarks>
public abstract partial class FuseFileSystem
{
    /// <summary>The connection starts (FUSE_INIT). Called once, before anything else. The default takes the proposal.</summary>
    public virtual ValueTask<FuseResult<InitReply>> Init(InitRequest request) => FuseResult.Ok(request.Proposal);

    /// <summary>The mount is gone: every node is forgotten and every handle is closed, whatever the kernel had no time to say. Called once, after all else.</summary>
    public virtual ValueTask Destroy() => ValueTask.CompletedTask;

    /// <summary>The kernel takes back knowledge of nodes (FUSE_FORGET, FUSE_BATCH_FORGET). Must not wait, has no answer.</summary>
    /// <param name="forgets">Lent for the call; the same node may appear more than once.</param>
    public virtual void Forget(ReadOnlySpan<NodeForget> forgets)
    {
    }

    /// <summary>Look a name up in a directory (FUSE_LOOKUP); counts one lookup of the node that it answers. A node of 0 is a negative entry that may be cached.</summary>
    public virtual ValueTask<FuseResult<EntryReply>> Lookup(FuseContext context, ReadOnlyMemory<byte> name) => FuseResult.Fail<EntryReply>(Errno.ENOSYS);

    /// <summary>Attributes (FUSE_GETATTR).</summary>
    public virtual ValueTask<FuseResult<AttrReply>> GetAttr(FuseContext context, GetAttrRequest request) => FuseResult.Fail<AttrReply>(Errno.ENOSYS);

    /// <summary>Attributes by mask, with the birth time (FUSE_STATX, 7.39).</summary>
    public virtual ValueTask<FuseResult<StatXReply>> StatX(FuseContext context, StatXRequest request) => FuseResult.Fail<StatXReply>(Errno.ENOSYS);

    /// <summary>Change attributes (FUSE_SETATTR); answers the new ones.</summary>
    public virtual ValueTask<FuseResult<AttrReply>> SetAttr(FuseContext context, SetAttrRequest request) => FuseResult.Fail<AttrReply>(Errno.ENOSYS);

    /// <summary>The target of a symbolic link (FUSE_READLINK): written to the destination; answers how many bytes.</summary>
    public virtual ValueTask<FuseResult<int>> ReadLink(FuseContext context, Memory<byte> destination) => FuseResult.Fail<int>(Errno.ENOSYS);

    /// <summary>Make a symbolic link (FUSE_SYMLINK); counts one lookup.</summary>
    public virtual ValueTask<FuseResult<EntryReply>> Symlink(FuseContext context, SymlinkRequest request) => FuseResult.Fail<EntryReply>(Errno.ENOSYS);

    /// <summary>Make a file, fifo, socket or device (FUSE_MKNOD); counts one lookup.</summary>
    public virtual ValueTask<FuseResult<EntryReply>> MkNod(FuseContext context, MkNodRequest request) => FuseResult.Fail<EntryReply>(Errno.ENOSYS);

    /// <summary>Make a directory (FUSE_MKDIR); counts one lookup.</summary>
    public virtual ValueTask<FuseResult<EntryReply>> MkDir(FuseContext context, MkDirRequest request) => FuseResult.Fail<EntryReply>(Errno.ENOSYS);

    /// <summary>Remove a name (FUSE_UNLINK). The node lives on while it is open or known.</summary>
    public virtual ValueTask<FuseResult> Unlink(FuseContext context, ReadOnlyMemory<byte> name) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>Remove an empty directory (FUSE_RMDIR).</summary>
    public virtual ValueTask<FuseResult> RmDir(FuseContext context, ReadOnlyMemory<byte> name) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>Rename (FUSE_RENAME, FUSE_RENAME2).</summary>
    public virtual ValueTask<FuseResult> Rename(FuseContext context, RenameRequest request) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>Make a hard link (FUSE_LINK); counts one lookup of the linked node.</summary>
    public virtual ValueTask<FuseResult<EntryReply>> Link(FuseContext context, LinkRequest request) => FuseResult.Fail<EntryReply>(Errno.ENOSYS);

    /// <summary>Check permissions (FUSE_ACCESS); never asked with <see cref="FuseOptions.DefaultPermissions"/>.</summary>
    public virtual ValueTask<FuseResult> Access(FuseContext context, AccessMask mask) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>Sizes of the file system (FUSE_STATFS).</summary>
    public virtual ValueTask<FuseResult<StatFsReply>> StatFs(FuseContext context) => FuseResult.Fail<StatFsReply>(Errno.ENOSYS);

    /// <summary>Everything that was written before is to be made durable (FUSE_SYNCFS, 7.34).</summary>
    public virtual ValueTask<FuseResult> SyncFs(FuseContext context) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>Set an extended attribute (FUSE_SETXATTR).</summary>
    public virtual ValueTask<FuseResult> SetXAttr(FuseContext context, SetXAttrRequest request) => FuseResult.Fail(Errno.ENOSYS);

    /// <summary>
    /// An extended attribute (FUSE_GETXATTR). Answers the length of the value, and copies the value to the destination where it fits; the library answers the
    /// rest: the length alone to a caller that gave no room (the destination is empty), ERANGE to one that gave too little.
    /// </summary>
    /// <returns>The length in bytes; ENODATA when there is none.</returns>
    public virtual ValueTask<FuseResult<int>> GetXAttr(FuseContext context, ReadOnlyMemory<byte> name, Memory<byte> destination) =>
        FuseResult.Fail<int>(Errno.ENOSYS);

    /// <summary>The names of the extended attributes (FUSE_LISTXATTR), each ended by a NUL; with the same rule on length and destination as GetXAttr.</summary>
    public virtual ValueTask<FuseResult<int>> ListXAttr(FuseContext context, Memory<byte> destination) => FuseResult.Fail<int>(Errno.ENOSYS);

    /// <summary>Remove an extended attribute (FUSE_REMOVEXATTR); ENODATA when there is none.</summary>
    public virtual ValueTask<FuseResult> RemoveXAttr(FuseContext context, ReadOnlyMemory<byte> name) => FuseResult.Fail(Errno.ENOSYS);
}
