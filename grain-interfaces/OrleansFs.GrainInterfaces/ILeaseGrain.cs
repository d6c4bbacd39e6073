using Orleans;
using Orleans.Concurrency;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>Content that no file has yet, of one copy. Key: <see cref="NamespaceKey"/>. What each call does is said at <see cref="ILeaseAccess"/>; the rest at <see cref="INamespaceGrain"/>.</summary>
[Alias("ofs.ILeaseGrain")]
public interface ILeaseGrain : IGrainWithStringKey
{
    /// <summary>Doing it twice does no harm.</summary>
    [Alias("Lease"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult<ContentLease>> LeaseAsync(SessionTicket session, InodeNumber holder, TimeSpan time, CancellationToken cancellation);

    [Alias("End")]
    ValueTask<FsResult> EndAsync(SessionTicket session, InodeNumber holder, CancellationToken cancellation);

    [Alias("ListBlocks"), ReadOnly]
    ValueTask<FsResult<BlockHash[]>> ListBlocksAsync(SessionTicket session, InodeNumber inode, long first, int max, CancellationToken cancellation);
}

/// <summary>What has changed in a copy of a volume, out of its journal. Key: <see cref="NamespaceKey"/>. What each call does is said at <see cref="IChangeAccess"/>; the rest at <see cref="INamespaceGrain"/>.</summary>
[Alias("ofs.IChangeGrain")]
public interface IChangeGrain : IGrainWithStringKey
{
    [Alias("Read"), ReadOnly]
    ValueTask<FsResult<ChangePage>> ReadAsync(SessionTicket session, InodeNumber directory, Lsn? after, int max, CancellationToken cancellation);

    /// <summary>Waits <see cref="Limits.RecordWait"/> at most: then <c>EAGAIN</c>, and the client asks again.</summary>
    [Alias("Wait"), ReadOnly]
    ValueTask<FsResult> WaitAsync(SessionTicket session, Lsn after, CancellationToken cancellation);
}
