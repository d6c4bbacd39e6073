using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <summary>A session in the process of the volume itself: the engine's face to a mount beside it. No hop: what can be done at once is done by the calling thread.</summary>
public sealed partial class LocalSession : IVolumeAccess, IContentAccess, IDisposable
{
    private readonly VolumeCopy _volume;
    private readonly IInodeHolder _holder;
    private readonly Guid _id;
    private readonly ChangeRecord? _record;
    private readonly AccessTimes _accessTimes;

    internal LocalSession(VolumeCopy volume, IInodeHolder holder, AccessTimes accessTimes)
        : this(volume, holder, accessTimes, Guid.NewGuid(), null)
    {
    }

    private LocalSession(VolumeCopy volume, IInodeHolder holder, AccessTimes accessTimes, Guid id, ChangeRecord? record)
    {
        _accessTimes = accessTimes;
        _volume = volume;
        _holder = holder;
        _id = id;
        _record = record;
    }

    /// <summary>This session for one change, of which it is written down what it was. Not to be disposed of.</summary>
    public IVolumeAccess Once(ChangeRecord record) => new LocalSession(_volume, _holder, _accessTimes, _id, record);

    public ValueTask<FsResult<Attributes>> LookupAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        new(_volume.Metadata.Lookup(directory, name.Span));

    public ValueTask<FsResult<Attributes>> GetAttributesAsync(InodeNumber inode, CancellationToken cancellation) => new(_volume.Metadata.GetAttributes(inode));

    public ValueTask<FsResult<Attributes>> SetAttributesAsync(InodeNumber inode, AttributeChange change, Caller caller, CancellationToken cancellation) =>
        _volume.SetAttributesAsync(inode, change, caller, _record, cancellation);

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadLinkAsync(InodeNumber inode, CancellationToken cancellation) => new(Accessed(inode, _volume.Metadata.ReadLink(inode)));

    public async ValueTask<FsResult<Attributes>> CreateAsync(InodeNumber directory, ReadOnlyMemory<byte> name, NewInode inode, Caller caller, CancellationToken cancellation) =>
        HashFolder.Is(directory, name.Span) ? Errno.EEXIST
        : await _volume.RefuseGrowthAsync(cancellation) is var refused and not Errno.None ? refused
        : _volume.Create(directory, name.Span, inode, caller, _record);

    public async ValueTask<FsResult<Attributes>> CreateUnnamedAsync(InodeNumber directory, NewInode inode, Caller caller, CancellationToken cancellation)
    {
        if (await _volume.RefuseGrowthAsync(cancellation) is var refused and not Errno.None)
            return refused;
        return _volume.CreateUnnamed(directory, inode, caller, _record);
    }

    public async ValueTask<FsResult<Attributes>> LinkAsync(InodeNumber inode, InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation)
    {
        if (HashFolder.Is(directory, name.Span))
            return Errno.EEXIST;
        if (await _volume.RefuseGrowthAsync(cancellation) is var refused and not Errno.None)
            return refused;
        return _volume.Link(inode, directory, name.Span, _record);
    }

    public ValueTask<FsResult> UnlinkAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        new(_volume.Unlink(directory, name.Span, isDirectory: false, _record));

    public ValueTask<FsResult> RemoveDirectoryAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        new(_volume.Unlink(directory, name.Span, isDirectory: true, _record));

    public ValueTask<FsResult> RenameAsync(InodeNumber directory, ReadOnlyMemory<byte> name, InodeNumber newDirectory, ReadOnlyMemory<byte> newName, RenameFlags flags, Caller caller,
        CancellationToken cancellation) =>
        HashFolder.Is(newDirectory, newName.Span) ? new(Errno.EEXIST) : _volume.RenameAsync(directory, name, newDirectory, newName, flags, caller, _record, cancellation);

    public ValueTask<FsResult> ReadDirectoryAsync(InodeNumber directory, long cookie, IDirectorySink sink, bool withAttributes, ReadFlags flags, CancellationToken cancellation) =>
        new(Accessed(directory, _volume.Metadata.ReadDirectory(directory, cookie, sink, withAttributes), flags));

    public ValueTask<FsResult<int>> ReadAsync(InodeNumber inode, long offset, Memory<byte> destination, ReadFlags flags, CancellationToken cancellation) =>
        _volume.Files.ReadAsync(inode, offset, destination, (flags & ReadFlags.NoAccessTime) != 0 ? AccessTimes.Never : _accessTimes, cancellation);

    public ValueTask<FsResult<long>> WriteAsync(InodeNumber inode, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation) =>
        _volume.RefusesChanges ? new(Errno.EROFS) : _volume.Files.WriteAsync(inode, offset, data, flags, cancellation, _record);

    public ValueTask<FsResult> AllocateAsync(InodeNumber inode, AllocateMode mode, long offset, long length, CancellationToken cancellation) =>
        _volume.RefusesChanges ? new(Errno.EROFS) : _volume.Files.AllocateAsync(inode, mode, offset, length, cancellation);

    public ValueTask<FsResult<long>> SeekAsync(InodeNumber inode, long offset, SeekKind kind, CancellationToken cancellation) => new(_volume.Files.Seek(inode, offset, kind));

    public ValueTask<FsResult<long>> CopyRangeAsync(InodeNumber source, long sourceOffset, InodeNumber target, long targetOffset, long length, CancellationToken cancellation) =>
        _volume.RefusesChanges ? new(Errno.EROFS) : _volume.Files.CopyRangeAsync(source, sourceOffset, target, targetOffset, length, cancellation);

    public ValueTask<FsResult> FlushAsync(InodeNumber inode, ulong lockOwner, CancellationToken cancellation)
    {
        _volume.LockTable.ReleaseOwner(_id, inode, lockOwner);
        return new(FsResult.Ok);
    }

    public ValueTask<FsResult> SyncAsync(InodeNumber inode, bool dataOnly, CancellationToken cancellation) => _volume.SyncAsync(inode, _volume.SyncCopies, cancellation);

    public ValueTask<FsResult> SyncHereAsync(InodeNumber inode, CancellationToken cancellation) => _volume.SyncAsync(inode, copies: 0, cancellation);

    public ValueTask<FsResult> SyncAllAsync(CancellationToken cancellation) => _volume.SyncAllAsync(cancellation);

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> GetXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        OwnXattr.Is(name.Span) ? _volume.GetOwnXattrAsync(inode, name, cancellation) : new(_volume.Metadata.GetXattr(inode, name.Span));

    public async ValueTask<FsResult> SetXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value, XattrFlags flags, CancellationToken cancellation) =>
        OwnXattr.Is(name.Span) ? await _volume.SetOwnXattrAsync(inode, name, value, flags, cancellation)
        : await _volume.RefuseGrowthAsync(cancellation) is var refused and not Errno.None ? refused
        : _volume.SetXattr(inode, name.Span, value.Span, flags, _record);

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> ListXattrAsync(InodeNumber inode, CancellationToken cancellation) => new(_volume.Metadata.ListXattr(inode));

    public ValueTask<FsResult> RemoveXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        new(_volume.RefusesChanges ? Errno.EROFS : OwnXattr.Is(name.Span) ? Errno.EPERM : _volume.RemoveXattr(inode, name.Span, _record));

    public ValueTask<FsResult<SpaceReport>> GetSpaceAsync(CancellationToken cancellation) => new(_volume.Space());

    public ValueTask<FsResult<FileLock>> GetLockAsync(InodeNumber inode, FileLock wanted, CancellationToken cancellation) => new(_volume.LockTable.Get(_id, inode, wanted));

    public ValueTask<FsResult> SetLockAsync(InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation) =>
        _volume.LockTable.SetAsync(_id, inode, wanted, wait, cancellation);

    public ValueTask<FsResult<FileResidency>> GetResidencyAsync(InodeNumber inode, CancellationToken cancellation) => new(Task.Run(() => _volume.Why(inode), cancellation));

    public ValueTask<FsResult<ResidencyChange>> ChangeResidencyAsync(InodeNumber inode, ResidencyAction action, long offset, long length, CancellationToken cancellation) =>
        new(Task.Run(() => _volume.ChangeResidencyAsync(inode, action, offset, length, cancellation), cancellation));

    public void Forget(InodeNumber inode) => _volume.Orphanage.Forget(inode);

    /// <remarks>It reads the journal, to tell what no replica has.</remarks>
    public async ValueTask<FsResult<VolumeStatus>> GetStatusAsync(CancellationToken cancellation) => await Task.Run(_volume.Status, cancellation);

    /// <summary>What was answered of an inode was read of it.</summary>
    private TResult Accessed<TResult>(InodeNumber inode, TResult result, ReadFlags flags = ReadFlags.None)
        where TResult : struct, IFsResult<TResult>
    {
        if (result.Error == Errno.None && !_volume.RefusesChanges && (flags & ReadFlags.NoAccessTime) == 0)
            _volume.Metadata.MarkAccessed(inode, _accessTimes);
        return result;
    }

    /// <summary>Ends the session: its locks go, and what only it held.</summary>
    public void Dispose()
    {
        ReleaseAll();
        _volume.LockTable.ReleaseSession(_id);
        _volume.Orphanage.Detach(_holder);
    }
}
