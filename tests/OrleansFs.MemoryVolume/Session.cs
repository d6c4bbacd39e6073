using OrleansFs.Model;

namespace OrleansFs.MemoryVolume;

/// <summary>The contract, each call under the volume's lock.</summary>
public sealed partial class MemoryVolume
{
    private sealed class Session(MemoryVolume volume) : IVolumeAccess
    {
        private ValueTask<T> Run<T>(Func<T> call)
        {
            lock (volume._gate)
                return new(call());
        }

        public ValueTask<FsResult<Attributes>> LookupAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
            Run(() => volume.Lookup(directory, name));

        public ValueTask<FsResult<Attributes>> GetAttributesAsync(InodeNumber inode, CancellationToken cancellation) => Run(() => volume.GetAttributes(inode));

        public ValueTask<FsResult<Attributes>> SetAttributesAsync(InodeNumber inode, AttributeChange change, Caller caller, CancellationToken cancellation) =>
            Run(() => volume.SetAttributes(inode, change));

        public ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadLinkAsync(InodeNumber inode, CancellationToken cancellation) => Run(() => volume.ReadLink(inode));

        public ValueTask<FsResult<Attributes>> CreateAsync(InodeNumber directory, ReadOnlyMemory<byte> name, NewInode inode, Caller caller, CancellationToken cancellation) =>
            Run(() => volume.Create(directory, name, inode, caller));

        public ValueTask<FsResult<Attributes>> CreateUnnamedAsync(InodeNumber directory, NewInode inode, Caller caller, CancellationToken cancellation) =>
            Run(() => volume.CreateUnnamed(directory, inode, caller));

        public ValueTask<FsResult<Attributes>> LinkAsync(InodeNumber inode, InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
            Run(() => volume.Link(inode, directory, name));

        public ValueTask<FsResult> UnlinkAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) => Run(() => volume.Unlink(directory, name));

        public ValueTask<FsResult> RemoveDirectoryAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
            Run(() => volume.RemoveDirectory(directory, name));

        public ValueTask<FsResult> RenameAsync(
            InodeNumber directory, ReadOnlyMemory<byte> name, InodeNumber newDirectory, ReadOnlyMemory<byte> newName, RenameFlags flags, Caller caller,
            CancellationToken cancellation) =>
            Run(() => volume.Rename(directory, name, newDirectory, newName, flags, caller));

        public ValueTask<FsResult> ReadDirectoryAsync(InodeNumber directory, long cookie, IDirectorySink sink, bool withAttributes, ReadFlags flags, CancellationToken cancellation) =>
            Run(() => volume.ReadDirectory(directory, cookie, sink, withAttributes));

        public ValueTask<FsResult<int>> ReadAsync(InodeNumber inode, long offset, Memory<byte> destination, ReadFlags flags, CancellationToken cancellation) =>
            Run(() => volume.Read(inode, offset, destination));

        public ValueTask<FsResult<long>> WriteAsync(InodeNumber inode, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation) =>
            Run(() => volume.Write(inode, offset, data, flags));

        public ValueTask<FsResult> AllocateAsync(InodeNumber inode, AllocateMode mode, long offset, long length, CancellationToken cancellation) =>
            Run(() => volume.Allocate(inode, mode, offset, length));

        public ValueTask<FsResult<long>> SeekAsync(InodeNumber inode, long offset, SeekKind kind, CancellationToken cancellation) =>
            Run(() => volume.Seek(inode, offset, kind));

        public ValueTask<FsResult<long>> CopyRangeAsync(
            InodeNumber source, long sourceOffset, InodeNumber target, long targetOffset, long length, CancellationToken cancellation) =>
            Run(() => volume.CopyRange(source, sourceOffset, target, targetOffset, length));

        public ValueTask<FsResult> FlushAsync(InodeNumber inode, ulong lockOwner, CancellationToken cancellation) =>
            volume.SetLockAsync(inode, new FileLock { Kind = LockKind.Unlock, End = ulong.MaxValue, Owner = lockOwner }, wait: false, cancellation);

        public ValueTask<FsResult> SyncAsync(InodeNumber inode, bool dataOnly, CancellationToken cancellation) => Run(() => new FsResult(volume.Find(inode, out _)));

        public ValueTask<FsResult> SyncAllAsync(CancellationToken cancellation) => new(FsResult.Ok);

        public ValueTask<FsResult<ReadOnlyMemory<byte>>> GetXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
            Run(() => volume.GetXattr(inode, name));

        public ValueTask<FsResult> SetXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value, XattrFlags flags, CancellationToken cancellation) =>
            Run(() => volume.SetXattr(inode, name, value, flags));

        public ValueTask<FsResult<ReadOnlyMemory<byte>>> ListXattrAsync(InodeNumber inode, CancellationToken cancellation) => Run(() => volume.ListXattr(inode));

        public ValueTask<FsResult> RemoveXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation) => Run(() => volume.RemoveXattr(inode, name));

        public ValueTask<FsResult<SpaceReport>> GetSpaceAsync(CancellationToken cancellation) => Run(() => (FsResult<SpaceReport>)volume.Space());

        public ValueTask<FsResult<FileLock>> GetLockAsync(InodeNumber inode, FileLock wanted, CancellationToken cancellation) => Run(() => volume.GetLock(inode, wanted));

        public ValueTask<FsResult> SetLockAsync(InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation) =>
            volume.SetLockAsync(inode, wanted, wait, cancellation);

        public ValueTask<FsResult<FileResidency>> GetResidencyAsync(InodeNumber inode, CancellationToken cancellation) => new(Errno.EOPNOTSUPP);

        public ValueTask<FsResult<ResidencyChange>> ChangeResidencyAsync(InodeNumber inode, ResidencyAction action, long offset, long length, CancellationToken cancellation) =>
            new(Errno.EOPNOTSUPP);

        public void Forget(InodeNumber inode)
        {
            lock (volume._gate)
            {
                if (volume._nodes.TryGetValue(inode, out var node))
                    volume.DropIfUnused(node);
            }
        }

        public ValueTask<FsResult<VolumeStatus>> GetStatusAsync(CancellationToken cancellation) => Run(() => (FsResult<VolumeStatus>)volume.Status());
    }
}
