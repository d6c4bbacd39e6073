using OrleansFs.Model;

namespace OrleansFs.Mount;

/// <summary>
/// A volume with the folder <c>.orleansfs</c> in its root, which no listing shows. What is asked of an inode of the folder goes there, everything else to the volume. A name of that kind which the volume has of
/// itself, from a time without the folder, is out of sight.
/// </summary>
/// <remarks>The folder cannot be removed or renamed (<c>EBUSY</c>), nothing else can take its name (<c>EEXIST</c>), and nothing in it changes (<c>EPERM</c>).</remarks>
internal sealed class FolderedVolume(IVolumeAccess volume, ContentFolder folder, bool listsXattrs) : IVolumeAccess
{
    private const Errno Refused = Errno.EPERM;

    public ContentFolder Folder => folder;

    /// <summary>What is asked of everything but the folder.</summary>
    public IVolumeAccess Volume => volume;

    /// <summary>Whether the volume has a name of its own where the folder is.</summary>
    public async ValueTask<bool> HidesAsync(CancellationToken cancellation) => (await volume.LookupAsync(InodeNumber.Root, HashFolder.Name.ToArray(), cancellation)).IsOk;

    public ValueTask<FsResult<Attributes>> LookupAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        directory.IsOfMount ? folder.LookupAsync(directory, name, cancellation)
        : HashFolder.Is(directory, name.Span) ? new(folder.Root)
        : volume.LookupAsync(directory, name, cancellation);

    public ValueTask<FsResult<Attributes>> GetAttributesAsync(InodeNumber inode, CancellationToken cancellation) =>
        inode.IsOfMount ? new(folder.GetAttributes(inode)) : volume.GetAttributesAsync(inode, cancellation);

    public ValueTask<FsResult<Attributes>> SetAttributesAsync(InodeNumber inode, AttributeChange change, Caller caller, CancellationToken cancellation) =>
        inode.IsOfMount ? new(Refused) : volume.SetAttributesAsync(inode, change, caller, cancellation);

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadLinkAsync(InodeNumber inode, CancellationToken cancellation) =>
        inode.IsOfMount ? new(Errno.EINVAL) : volume.ReadLinkAsync(inode, cancellation);

    public ValueTask<FsResult<Attributes>> CreateAsync(InodeNumber directory, ReadOnlyMemory<byte> name, NewInode inode, Caller caller, CancellationToken cancellation) =>
        directory.IsOfMount ? new(Refused) : HashFolder.Is(directory, name.Span) ? new(Errno.EEXIST) : volume.CreateAsync(directory, name, inode, caller, cancellation);

    public ValueTask<FsResult<Attributes>> CreateUnnamedAsync(InodeNumber directory, NewInode inode, Caller caller, CancellationToken cancellation) =>
        directory.IsOfMount ? new(Refused) : volume.CreateUnnamedAsync(directory, inode, caller, cancellation);

    public ValueTask<FsResult<Attributes>> LinkAsync(InodeNumber inode, InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        inode.IsOfMount || directory.IsOfMount ? new(Refused) : HashFolder.Is(directory, name.Span) ? new(Errno.EEXIST) : volume.LinkAsync(inode, directory, name, cancellation);

    public ValueTask<FsResult> UnlinkAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        directory.IsOfMount ? new(Refused) : HashFolder.Is(directory, name.Span) ? new(Errno.EISDIR) : volume.UnlinkAsync(directory, name, cancellation);

    public ValueTask<FsResult> RemoveDirectoryAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        directory.IsOfMount ? new(Refused) : HashFolder.Is(directory, name.Span) ? new(Errno.EBUSY) : volume.RemoveDirectoryAsync(directory, name, cancellation);

    public ValueTask<FsResult> RenameAsync(InodeNumber directory, ReadOnlyMemory<byte> name, InodeNumber newDirectory, ReadOnlyMemory<byte> newName, RenameFlags flags, Caller caller,
        CancellationToken cancellation)
    {
        if (directory.IsOfMount || newDirectory.IsOfMount)
            return new(Refused);
        if (HashFolder.Is(directory, name.Span) || HashFolder.Is(newDirectory, newName.Span))
            return new((flags & RenameFlags.NoReplace) != 0 && HashFolder.Is(newDirectory, newName.Span) ? Errno.EEXIST : Errno.EBUSY);
        return volume.RenameAsync(directory, name, newDirectory, newName, flags, caller, cancellation);
    }

    public ValueTask<FsResult> ReadDirectoryAsync(InodeNumber directory, long cookie, IDirectorySink sink, bool withAttributes, ReadFlags flags, CancellationToken cancellation) =>
        directory.IsOfMount ? new(ContentFolder.List(directory, cookie, sink))
        : volume.ReadDirectoryAsync(directory, cookie, directory == InodeNumber.Root ? new WithoutFolder(sink) : sink, withAttributes, flags, cancellation);

    public ValueTask<FsResult<int>> ReadAsync(InodeNumber inode, long offset, Memory<byte> destination, ReadFlags flags, CancellationToken cancellation) =>
        inode.IsOfMount ? folder.ReadAsync(inode, offset, destination, cancellation) : volume.ReadAsync(inode, offset, destination, flags, cancellation);

    public ValueTask<FsResult<long>> WriteAsync(InodeNumber inode, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation) =>
        inode.IsOfMount ? new(Refused) : volume.WriteAsync(inode, offset, data, flags, cancellation);

    public ValueTask<FsResult> AllocateAsync(InodeNumber inode, AllocateMode mode, long offset, long length, CancellationToken cancellation) =>
        inode.IsOfMount ? new(Refused) : volume.AllocateAsync(inode, mode, offset, length, cancellation);

    public ValueTask<FsResult<long>> SeekAsync(InodeNumber inode, long offset, SeekKind kind, CancellationToken cancellation) =>
        inode.IsOfMount ? new(folder.Seek(inode, offset, kind)) : volume.SeekAsync(inode, offset, kind, cancellation);

    /// <remarks>Out of the folder the kernel copies by reading and writing; what is written is found to be stored already.</remarks>
    public ValueTask<FsResult<long>> CopyRangeAsync(InodeNumber source, long sourceOffset, InodeNumber target, long targetOffset, long length, CancellationToken cancellation) =>
        target.IsOfMount ? new(Refused)
        : source.IsOfMount ? new(Errno.EOPNOTSUPP)
        : volume.CopyRangeAsync(source, sourceOffset, target, targetOffset, length, cancellation);

    public ValueTask<FsResult> FlushAsync(InodeNumber inode, ulong lockOwner, CancellationToken cancellation) =>
        inode.IsOfMount ? new(FsResult.Ok) : volume.FlushAsync(inode, lockOwner, cancellation);

    public ValueTask<FsResult> SyncAsync(InodeNumber inode, bool dataOnly, CancellationToken cancellation) =>
        inode.IsOfMount ? new(FsResult.Ok) : volume.SyncAsync(inode, dataOnly, cancellation);

    public ValueTask<FsResult> SyncAllAsync(CancellationToken cancellation) => volume.SyncAllAsync(cancellation);

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> GetXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        inode.IsOfMount ? new(folder.GetXattr(inode, name.Span)) : volume.GetXattrAsync(inode, name, cancellation);

    public ValueTask<FsResult> SetXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value, XattrFlags flags, CancellationToken cancellation) =>
        inode.IsOfMount ? new(Refused) : volume.SetXattrAsync(inode, name, value, flags, cancellation);

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> ListXattrAsync(InodeNumber inode, CancellationToken cancellation) =>
        inode.IsOfMount ? new(ReadOnlyMemory<byte>.Empty) : listsXattrs ? ListAllAsync(inode, cancellation) : volume.ListXattrAsync(inode, cancellation);

    public ValueTask<FsResult> RemoveXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        inode.IsOfMount ? new(Refused) : volume.RemoveXattrAsync(inode, name, cancellation);

    public ValueTask<FsResult<SpaceReport>> GetSpaceAsync(CancellationToken cancellation) => volume.GetSpaceAsync(cancellation);

    public ValueTask<FsResult<FileLock>> GetLockAsync(InodeNumber inode, FileLock wanted, CancellationToken cancellation) =>
        inode.IsOfMount ? new(wanted with { Kind = LockKind.Unlock }) : volume.GetLockAsync(inode, wanted, cancellation);

    /// <remarks>The same content has another number on another mount: there is nothing to be locked.</remarks>
    public ValueTask<FsResult> SetLockAsync(InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation) =>
        inode.IsOfMount ? new(wanted.Kind == LockKind.Unlock ? FsResult.Ok : Errno.ENOLCK) : volume.SetLockAsync(inode, wanted, wait, cancellation);

    public ValueTask<FsResult<FileResidency>> GetResidencyAsync(InodeNumber inode, CancellationToken cancellation) =>
        inode.IsOfMount ? new(Errno.EOPNOTSUPP) : volume.GetResidencyAsync(inode, cancellation);

    public ValueTask<FsResult<ResidencyChange>> ChangeResidencyAsync(InodeNumber inode, ResidencyAction action, long offset, long length, CancellationToken cancellation) =>
        inode.IsOfMount ? new(Errno.EOPNOTSUPP) : volume.ChangeResidencyAsync(inode, action, offset, length, cancellation);

    public void Forget(InodeNumber inode)
    {
        if (inode.IsOfMount)
            folder.Forget(inode, ulong.MaxValue);
        else
            volume.Forget(inode);
    }

    public ValueTask<FsResult<VolumeStatus>> GetStatusAsync(CancellationToken cancellation) => volume.GetStatusAsync(cancellation);

    private async ValueTask<FsResult<ReadOnlyMemory<byte>>> ListAllAsync(InodeNumber inode, CancellationToken cancellation)
    {
        var stored = await volume.ListXattrAsync(inode, cancellation);
        var attributes = await volume.GetAttributesAsync(inode, cancellation);
        if (!stored.IsOk || !attributes.IsOk || !attributes.Value.IsRegular)
            return stored;
        return new ReadOnlyMemory<byte>(
        [
            .. stored.Value.Span, .. OwnXattr.Hash, 0, .. OwnXattr.Blocks, 0, .. OwnXattr.Local, 0, .. OwnXattr.Copies, 0, .. OwnXattr.Pinned, 0, .. OwnXattr.AppendOnly, 0,
        ]);
    }

    /// <summary>The root's entries but for a stored one of the folder's name.</summary>
    private sealed class WithoutFolder(IDirectorySink sink) : IDirectorySink
    {
        public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes) =>
            name.SequenceEqual(HashFolder.Name) || sink.TryAdd(name, inode, type, cookie, attributes);
    }
}
