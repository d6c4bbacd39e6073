using OrleansFs.Engine.Metadata;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains.Leases;

/// <summary>
/// The volume for the mount in the silo's own process: the engine without a hop, and a change is answered when no other session holds to what was before. Nothing is asked before the sessions of an earlier run
/// are back: the first thing that a mount asks is the room there is, and until that is answered the kernel asks nothing else. Where they come back later on, after another copy was to take over, locks wait for them.
/// </summary>
internal sealed class BesideAccess(VolumeSession session, LeaseTable leases, CopySessions sessions) : IVolumeAccess, IContentAccess
{
    private readonly IVolumeAccess _volume = session.Access;
    private readonly Task _begun = sessions.Recovered;
    private readonly IContentAccess? _content = session.Access as IContentAccess;

    public ValueTask<FsResult<ContentInfo>> HoldAsync(ContentName content, CancellationToken cancellation) => _content?.HoldAsync(content, cancellation) ?? new(Errno.EOPNOTSUPP);

    public ValueTask<FsResult<int>> ReadAsync(ContentName content, long offset, Memory<byte> destination, CancellationToken cancellation) =>
        _content?.ReadAsync(content, offset, destination, cancellation) ?? new(Errno.EOPNOTSUPP);

    public void Release(ContentName content) => _content?.Release(content);

    public ValueTask<FsResult<Attributes>> LookupAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) => _volume.LookupAsync(directory, name, cancellation);

    public ValueTask<FsResult<Attributes>> GetAttributesAsync(InodeNumber inode, CancellationToken cancellation) => _volume.GetAttributesAsync(inode, cancellation);

    public ValueTask<FsResult<Attributes>> SetAttributesAsync(InodeNumber inode, AttributeChange change, Caller caller, CancellationToken cancellation) =>
        (change.Mask & AttributeMask.Size) != 0
            ? Told(_volume.SetAttributesAsync(inode, change, caller, cancellation), inode)
            : Told(a => a.SetAttributesAsync(inode, change, caller, cancellation));

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadLinkAsync(InodeNumber inode, CancellationToken cancellation) => _volume.ReadLinkAsync(inode, cancellation);

    public ValueTask<FsResult<Attributes>> CreateAsync(InodeNumber directory, ReadOnlyMemory<byte> name, NewInode inode, Caller caller, CancellationToken cancellation) =>
        Told(a => a.CreateAsync(directory, name, inode, caller, cancellation));

    public ValueTask<FsResult<Attributes>> CreateUnnamedAsync(InodeNumber directory, NewInode inode, Caller caller, CancellationToken cancellation) =>
        _volume.CreateUnnamedAsync(directory, inode, caller, cancellation);

    public ValueTask<FsResult<Attributes>> LinkAsync(InodeNumber inode, InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        Told(a => a.LinkAsync(inode, directory, name, cancellation));

    public ValueTask<FsResult> UnlinkAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) => Told(a => a.UnlinkAsync(directory, name, cancellation));

    public ValueTask<FsResult> RemoveDirectoryAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        Told(a => a.RemoveDirectoryAsync(directory, name, cancellation));

    public ValueTask<FsResult> RenameAsync(InodeNumber directory, ReadOnlyMemory<byte> name, InodeNumber newDirectory, ReadOnlyMemory<byte> newName, RenameFlags flags, Caller caller,
        CancellationToken cancellation) => Told(a => a.RenameAsync(directory, name, newDirectory, newName, flags, caller, cancellation));

    public ValueTask<FsResult> ReadDirectoryAsync(InodeNumber directory, long cookie, IDirectorySink sink, bool withAttributes, ReadFlags flags, CancellationToken cancellation) =>
        _volume.ReadDirectoryAsync(directory, cookie, sink, withAttributes, flags, cancellation);

    public ValueTask<FsResult<int>> ReadAsync(InodeNumber inode, long offset, Memory<byte> destination, ReadFlags flags, CancellationToken cancellation) =>
        _volume.ReadAsync(inode, offset, destination, flags, cancellation);

    public ValueTask<FsResult<long>> WriteAsync(InodeNumber inode, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation) =>
        Told(_volume.WriteAsync(inode, offset, data, flags, cancellation), inode);

    public ValueTask<FsResult> AllocateAsync(InodeNumber inode, AllocateMode mode, long offset, long length, CancellationToken cancellation) =>
        Told(_volume.AllocateAsync(inode, mode, offset, length, cancellation), inode);

    public ValueTask<FsResult<long>> SeekAsync(InodeNumber inode, long offset, SeekKind kind, CancellationToken cancellation) => _volume.SeekAsync(inode, offset, kind, cancellation);

    public ValueTask<FsResult<long>> CopyRangeAsync(InodeNumber source, long sourceOffset, InodeNumber target, long targetOffset, long length, CancellationToken cancellation) =>
        Told(_volume.CopyRangeAsync(source, sourceOffset, target, targetOffset, length, cancellation), target);

    public ValueTask<FsResult> FlushAsync(InodeNumber inode, ulong lockOwner, CancellationToken cancellation) => _volume.FlushAsync(inode, lockOwner, cancellation);

    public ValueTask<FsResult> SyncAsync(InodeNumber inode, bool dataOnly, CancellationToken cancellation) => _volume.SyncAsync(inode, dataOnly, cancellation);

    public ValueTask<FsResult> SyncHereAsync(InodeNumber inode, CancellationToken cancellation) => _volume.SyncHereAsync(inode, cancellation);

    public ValueTask<FsResult> SyncAllAsync(CancellationToken cancellation) => _volume.SyncAllAsync(cancellation);

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> GetXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation) => _volume.GetXattrAsync(inode, name, cancellation);

    public ValueTask<FsResult> SetXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value, XattrFlags flags, CancellationToken cancellation) =>
        OwnXattr.Is(name.Span) ? Told(_volume.SetXattrAsync(inode, name, value, flags, cancellation), inode) : Told(a => a.SetXattrAsync(inode, name, value, flags, cancellation));

    public ValueTask<FsResult<ReadOnlyMemory<byte>>> ListXattrAsync(InodeNumber inode, CancellationToken cancellation) => _volume.ListXattrAsync(inode, cancellation);

    public ValueTask<FsResult> RemoveXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation) => Told(a => a.RemoveXattrAsync(inode, name, cancellation));

    public ValueTask<FsResult<SpaceReport>> GetSpaceAsync(CancellationToken cancellation)
    {
        return _begun.IsCompleted ? _volume.GetSpaceAsync(cancellation) : Wait();

        async ValueTask<FsResult<SpaceReport>> Wait()
        {
            await _begun.WaitAsync(cancellation);
            return await _volume.GetSpaceAsync(cancellation);
        }
    }

    public ValueTask<FsResult<FileLock>> GetLockAsync(InodeNumber inode, FileLock wanted, CancellationToken cancellation) => _volume.GetLockAsync(inode, wanted, cancellation);

    public ValueTask<FsResult> SetLockAsync(InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation)
    {
        return wanted.Kind == LockKind.Unlock || (!wait && sessions.Recovered.IsCompleted) ? _volume.SetLockAsync(inode, wanted, wait, cancellation) : Wait();

        async ValueTask<FsResult> Wait()
        {
            while (true)
            {
                // In this order: a hand-over that begins in between is seen by the one or by the other.
                var yielding = sessions.Yielding;
                if (sessions.Recovered is { IsCompleted: false } recovered)
                {
                    try
                    {
                        await recovered.WaitAsync(cancellation);
                    }
                    catch (OperationCanceledException)
                    {
                        return Errno.EINTR;
                    }
                    continue;
                }
                using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation, yielding);
                var result = await _volume.SetLockAsync(inode, wanted, wait, linked.Token);
                if (result.Error != Errno.EINTR || cancellation.IsCancellationRequested || !yielding.IsCancellationRequested)
                    return result;
            }
        }
    }

    public ValueTask<FsResult<FileResidency>> GetResidencyAsync(InodeNumber inode, CancellationToken cancellation) => _volume.GetResidencyAsync(inode, cancellation);

    public ValueTask<FsResult<ResidencyChange>> ChangeResidencyAsync(InodeNumber inode, ResidencyAction action, long offset, long length, CancellationToken cancellation) =>
        _volume.ChangeResidencyAsync(inode, action, offset, length, cancellation);

    public void Forget(InodeNumber inode) => _volume.Forget(inode);

    public ValueTask<FsResult<VolumeStatus>> GetStatusAsync(CancellationToken cancellation) => _volume.GetStatusAsync(cancellation);

    /// <summary>Changes names or attributes; which inodes that concerns the engine says.</summary>
    private ValueTask<TResult> Told<TResult>(Func<IVolumeAccess, ValueTask<TResult>> change)
        where TResult : struct, IFsResult<TResult>
    {
        var record = new ChangeRecord(null);
        var call = change(session.Once?.Invoke(record) ?? _volume);
        if (!call.IsCompletedSuccessfully)
            return Wait(call);
        var recalled = leases.RecallAsync(null, record.Inodes);
        return recalled.IsCompletedSuccessfully ? new(call.Result) : Then(recalled, call.Result);

        async ValueTask<TResult> Wait(ValueTask<TResult> pending)
        {
            var result = await pending;
            await leases.RecallAsync(null, record.Inodes);
            return result;
        }

        static async ValueTask<TResult> Then(ValueTask recalled, TResult result)
        {
            await recalled;
            return result;
        }
    }

    /// <summary>Changes content of one file.</summary>
    private ValueTask<TResult> Told<TResult>(ValueTask<TResult> call, InodeNumber inode)
        where TResult : struct, IFsResult<TResult>
    {
        return Wait(call);

        async ValueTask<TResult> Wait(ValueTask<TResult> pending)
        {
            var result = await pending;
            await leases.RecallAsync(null, [inode]);
            return result;
        }
    }
}
