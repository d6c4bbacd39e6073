using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>Leases of content that no file has, and what has changed.</content>
public sealed partial class LocalSession : ILeaseAccess, IChangeAccess
{
    public ValueTask<FsResult<ContentLease>> LeaseAsync(InodeNumber holder, TimeSpan time, CancellationToken cancellation) => _volume.LeaseAsync(holder, time, cancellation);

    public ValueTask<FsResult> EndLeaseAsync(InodeNumber holder, CancellationToken cancellation) => new(_volume.EndLease(holder));

    public ValueTask<FsResult<BlockHash[]>> ListBlocksAsync(InodeNumber inode, long first, int max, CancellationToken cancellation) =>
        _volume.ListBlocksAsync(inode, first, max, cancellation);

    public ValueTask<FsResult<ChangePage>> ReadChangesAsync(InodeNumber directory, Lsn? after, int max, CancellationToken cancellation) => new(_volume.ReadChanges(directory, after, max));

    public ValueTask<FsResult> WaitForChangeAsync(Lsn after, CancellationToken cancellation) => _volume.WaitForChangeAsync(after, cancellation);
}
