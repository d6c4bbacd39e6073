using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>Leases of content that no file has, and what has changed.</content>
public sealed partial class GrainVolumeAccess : ILeaseAccess, IChangeAccess
{
    private string VolumeKey => new NamespaceKey(Copy.Volume, Copy.Copy).ToString();

    private ILeaseGrain ContentLeases => _session.Grains.GetGrain<ILeaseGrain>(VolumeKey);

    private IChangeGrain Journal => _session.Grains.GetGrain<IChangeGrain>(VolumeKey);

    public ValueTask<FsResult<ContentLease>> LeaseAsync(InodeNumber holder, TimeSpan time, CancellationToken cancellation) =>
        _session.AskAsync((ticket, token) => ContentLeases.LeaseAsync(ticket, holder, time, token), cancellation);

    public ValueTask<FsResult> EndLeaseAsync(InodeNumber holder, CancellationToken cancellation) => _session.AskAsync((ticket, token) => ContentLeases.EndAsync(ticket, holder, token), cancellation);

    public ValueTask<FsResult<BlockHash[]>> ListBlocksAsync(InodeNumber inode, long first, int max, CancellationToken cancellation) =>
        _session.AskAsync((ticket, token) => ContentLeases.ListBlocksAsync(ticket, inode, first, max, token), cancellation);

    public ValueTask<FsResult<ChangePage>> ReadChangesAsync(InodeNumber directory, Lsn? after, int max, CancellationToken cancellation) =>
        _session.AskAsync((ticket, token) => Journal.ReadAsync(ticket, directory, after, max, token), cancellation);

    public async ValueTask<FsResult> WaitForChangeAsync(Lsn after, CancellationToken cancellation)
    {
        FsResult result;
        do
            result = await _session.AskAsync((ticket, token) => Journal.WaitAsync(ticket, after, token), cancellation);
        while (result.Error == Errno.EAGAIN && !cancellation.IsCancellationRequested);
        return result.Error == Errno.EAGAIN ? Errno.EINTR : result;
    }
}
