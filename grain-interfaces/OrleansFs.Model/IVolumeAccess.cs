namespace OrleansFs.Model;

/// <summary>
/// One copy of a volume as one session sees it: the only contract a mount knows. Two implementations exist: the engine itself where silo and mount
/// share a process, and grain calls.
/// </summary>
/// <remarks>
/// <para>Calls complete synchronously where they can; a call that has to wait (a fetch, the memory budget, a sync) completes later, and a token cancels the waiting, never the
/// half of a change. Memory passed in is lent until the call completes.</para>
/// <para>Permission is checked by the caller (the kernel's <c>default_permissions</c>). Every call may also answer <c>EIO</c> (see the log), and every mutation
/// <c>EROFS</c> on a read-only copy and <c>ENOSPC</c> when the disk is full. Inodes are named by number; <c>ESTALE</c> is the answer to one that is gone,
/// <c>ENOTDIR</c> to a non-directory where a directory is meant.</para>
/// <para>An unlinked inode lives while a session holds it: see <see cref="IInodeHolder"/> and <see cref="Forget"/>.</para>
/// </remarks>
public interface IVolumeAccess
{
    /// <summary>Finds a name. <c>ENOENT</c>, <c>ENAMETOOLONG</c> past 255 bytes. "." and ".." are known.</summary>
    ValueTask<FsResult<Attributes>> LookupAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation);

    ValueTask<FsResult<Attributes>> GetAttributesAsync(InodeNumber inode, CancellationToken cancellation);

    /// <summary>chmod, chown, truncate, utimensat. <c>EINVAL</c> for a size on what is no regular file (<c>EISDIR</c> on a directory), <c>EFBIG</c>, <c>EPERM</c> by inode flags.</summary>
    ValueTask<FsResult<Attributes>> SetAttributesAsync(InodeNumber inode, AttributeChange change, Caller caller, CancellationToken cancellation);

    /// <summary>Target of a symbolic link; <c>EINVAL</c> for anything else.</summary>
    ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadLinkAsync(InodeNumber inode, CancellationToken cancellation);

    /// <summary>Makes a file, directory, symbolic link, fifo, socket or device. Group and set-group-ID come from a set-group-ID directory, mode and ACLs from its default ACL.
    /// <c>EEXIST</c>, <c>ENOENT</c> where the directory has been removed, <c>EMLINK</c>.</summary>
    ValueTask<FsResult<Attributes>> CreateAsync(InodeNumber directory, ReadOnlyMemory<byte> name, NewInode inode, Caller caller, CancellationToken cancellation);

    /// <summary>Makes a regular file with no name (<c>O_TMPFILE</c>), which the session holds and may link.</summary>
    ValueTask<FsResult<Attributes>> CreateUnnamedAsync(InodeNumber directory, NewInode inode, Caller caller, CancellationToken cancellation);

    /// <summary>Gives an inode another name. <c>EEXIST</c>, <c>EPERM</c> for a directory, <c>EMLINK</c>, <c>ENOENT</c> for an unlinked inode that was not made unnamed.</summary>
    ValueTask<FsResult<Attributes>> LinkAsync(InodeNumber inode, InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation);

    /// <summary><c>EISDIR</c> for a directory, <c>EPERM</c> by flags.</summary>
    ValueTask<FsResult> UnlinkAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation);

    /// <summary><c>ENOTEMPTY</c>, <c>ENOTDIR</c>, <c>EINVAL</c> for "." and <c>ENOTEMPTY</c> for "..".</summary>
    ValueTask<FsResult> RemoveDirectoryAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation);

    /// <summary>renameat2(2) entire. <c>EINVAL</c> for a directory into itself, <c>EISDIR</c>, <c>ENOTDIR</c>, <c>ENOTEMPTY</c>, <c>EEXIST</c>.</summary>
    ValueTask<FsResult> RenameAsync(InodeNumber directory, ReadOnlyMemory<byte> name, InodeNumber newDirectory, ReadOnlyMemory<byte> newName, RenameFlags flags, Caller caller,
        CancellationToken cancellation);

    /// <summary>Gives entries after a cookie (0 is the start; "." and ".." come first) until the sink has no room or the directory ends.
    /// An entry that stays from the first call to the last is given exactly once.</summary>
    ValueTask<FsResult> ReadDirectoryAsync(InodeNumber directory, long cookie, IDirectorySink sink, bool withAttributes, ReadFlags flags, CancellationToken cancellation);

    /// <summary>Reads up to <paramref name="destination"/>'s length; fewer bytes only at the end of the file. Brings up the access time as the session's <see cref="AccessTimes"/>
    /// say; a read of no bytes does that alone.</summary>
    ValueTask<FsResult<int>> ReadAsync(InodeNumber inode, long offset, Memory<byte> destination, ReadFlags flags, CancellationToken cancellation);

    /// <summary>Writes all of the data. <c>EFBIG</c> past 2^63 - 1, <c>EPERM</c> by inode flags. Waits while in-flight memory is at its budget.</summary>
    /// <returns>Where the data went: the offset, or for an append the end of the file before it.</returns>
    ValueTask<FsResult<long>> WriteAsync(InodeNumber inode, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation);

    /// <summary>fallocate(2): allocate, keep size, punch hole, zero range. <c>EOPNOTSUPP</c> for any other mode.</summary>
    ValueTask<FsResult> AllocateAsync(InodeNumber inode, AllocateMode mode, long offset, long length, CancellationToken cancellation);

    /// <summary>The next data or hole at or after an offset; <c>ENXIO</c> past the end of the file, or where no data follows.</summary>
    ValueTask<FsResult<long>> SeekAsync(InodeNumber inode, long offset, SeekKind kind, CancellationToken cancellation);

    /// <summary>Copies a range between files of the volume, sharing whole blocks. <c>EINVAL</c> for overlapping ranges of one file.</summary>
    /// <returns>Bytes copied; fewer than asked at the end of the source.</returns>
    ValueTask<FsResult<long>> CopyRangeAsync(InodeNumber source, long sourceOffset, InodeNumber target, long targetOffset, long length, CancellationToken cancellation);

    /// <summary>A close: gives up the closing owner's fcntl locks. Not a promise of durability.</summary>
    ValueTask<FsResult> FlushAsync(InodeNumber inode, ulong lockOwner, CancellationToken cancellation);

    /// <summary>fsync(2), fdatasync(2), and the same of a directory: on return the inode, its data and its name survive a loss of power.</summary>
    ValueTask<FsResult> SyncAsync(InodeNumber inode, bool dataOnly, CancellationToken cancellation);

    /// <summary>The same for this copy alone: where <see cref="SyncAsync"/> waits for other copies, this does not.</summary>
    ValueTask<FsResult> SyncHereAsync(InodeNumber inode, CancellationToken cancellation) => SyncAsync(inode, dataOnly: false, cancellation);

    /// <summary>syncfs(2): all that was written before survives a loss of power.</summary>
    ValueTask<FsResult> SyncAllAsync(CancellationToken cancellation);

    /// <summary><c>ENODATA</c> where there is none.</summary>
    ValueTask<FsResult<ReadOnlyMemory<byte>>> GetXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation);

    /// <summary><c>EEXIST</c>, <c>ENODATA</c> by flags, <c>E2BIG</c> past 64 KiB. An ACL is checked (<c>EINVAL</c>) and takes effect on the mode.</summary>
    ValueTask<FsResult> SetXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value, XattrFlags flags, CancellationToken cancellation);

    /// <summary>All names, each ended by a NUL, as listxattr(2) has them.</summary>
    ValueTask<FsResult<ReadOnlyMemory<byte>>> ListXattrAsync(InodeNumber inode, CancellationToken cancellation);

    ValueTask<FsResult> RemoveXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation);

    ValueTask<FsResult<SpaceReport>> GetSpaceAsync(CancellationToken cancellation);

    /// <summary>The lock that stands in the way of the given one, or one of kind <see cref="LockKind.Unlock"/>.</summary>
    ValueTask<FsResult<FileLock>> GetLockAsync(InodeNumber inode, FileLock wanted, CancellationToken cancellation);

    /// <summary>Takes or gives up a lock. <c>EAGAIN</c> where it is held and <paramref name="wait"/> is false; <c>EINTR</c> when the wait is cancelled; <c>EDEADLK</c>; <c>ENOLCK</c>.</summary>
    ValueTask<FsResult> SetLockAsync(InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation);

    /// <summary>Where the blocks of a file are. <c>EINVAL</c> for what is no regular file, <c>EOPNOTSUPP</c> where there are no blocks.</summary>
    ValueTask<FsResult<FileResidency>> GetResidencyAsync(InodeNumber inode, CancellationToken cancellation);

    /// <summary>Changes where the blocks of a part of a file are. Who may ask for that is for the caller to check. <c>EROFS</c> where this copy is not the master's and the action is the master's, <c>EOPNOTSUPP</c>
    /// where it gives up nothing, <c>EIO</c> where a block cannot be had.</summary>
    ValueTask<FsResult<ResidencyChange>> ChangeResidencyAsync(InodeNumber inode, ResidencyAction action, long offset, long length, CancellationToken cancellation);

    /// <summary>The session no longer knows this inode: if it is an orphan that nobody else holds, it goes.</summary>
    void Forget(InodeNumber inode);

    ValueTask<FsResult<VolumeStatus>> GetStatusAsync(CancellationToken cancellation);
}

/// <summary>Who knows inodes by number beyond their names: the mount whose kernel has them in its cache or open.</summary>
public interface IInodeHolder
{
    /// <summary>Whether the session still knows this inode. Asked when the last name goes; must not block, nor call back into the volume.</summary>
    bool Holds(InodeNumber inode);

    /// <summary>It is in another process, and has the inode open also when that of the copy has ended and is there again.</summary>
    bool OutlivesProcess => false;

    /// <summary>The inode has no name any more, and others wait for its end: what is known of it only because it was looked up is to be let go. Asked again and again while the session holds it; must not block.</summary>
    void LetGo(InodeNumber inode)
    {
    }
}

/// <summary>A holder that keeps attributes and content, and so has to hear of what others change. Whoever stands between a session and its mount passes all of it on: there is no default to forget.</summary>
public interface ICacheHolder : IInodeHolder
{
    /// <summary>Others have changed these inodes: what is kept of their attributes, content and, of directories, names is dropped. Completes when nobody is shown it any more. May be called at any moment, also while a call of the holder is
    /// under way that waits for just this; so it must not wait for one.</summary>
    /// <param name="inodes">The inodes.</param>
    /// <param name="areChanged">False: nobody has changed them, but changes of them would not be told of any more.</param>
    ValueTask InvalidateAsync(InodeNumber[] inodes, bool areChanged);

    /// <summary>Whatever is kept may be wrong: the session was away for longer than anybody waits for it.</summary>
    void InvalidateAll();
}

/// <summary>A session that is told what others change: what it answers may be kept by whoever asked, for some time.</summary>
public interface ICachedAccess
{
    /// <summary>How long the attributes that were answered last for an inode may be kept. Zero where somebody has changed it since then, or changes of it would not be heard of.</summary>
    TimeSpan AttributesHold(InodeNumber inode);

    /// <summary>How long what was answered last of a name in a directory may be kept, also that there is nothing of that name. Zero where changes of the directory would not be heard of.</summary>
    TimeSpan NamesHold(InodeNumber directory);
}

/// <summary>Reads that leave an access time as the session has it.</summary>
public static class VolumeReads
{
    /// <summary>Reads as programs do that ask for nothing special.</summary>
    public static ValueTask<FsResult<int>> ReadAsync(this IVolumeAccess volume, InodeNumber inode, long offset, Memory<byte> destination, CancellationToken cancellation) =>
        volume.ReadAsync(inode, offset, destination, ReadFlags.None, cancellation);

    /// <summary>Lists as programs do that ask for nothing special.</summary>
    public static ValueTask<FsResult> ReadDirectoryAsync(this IVolumeAccess volume, InodeNumber directory, long cookie, IDirectorySink sink, bool withAttributes, CancellationToken cancellation) =>
        volume.ReadDirectoryAsync(directory, cookie, sink, withAttributes, ReadFlags.None, cancellation);
}
