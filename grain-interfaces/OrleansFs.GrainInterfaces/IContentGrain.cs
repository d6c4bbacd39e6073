using Orleans;
using Orleans.Concurrency;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>
/// Content of one copy by its hash. Key: <see cref="NamespaceKey"/>. What each call does is said at <see cref="IContentAccess"/>; the rest at <see cref="INamespaceGrain"/>. What is held is held by the session
/// and ends with it; holding twice is holding once.
/// </summary>
[Alias("ofs.IContentGrain")]
public interface IContentGrain : IGrainWithStringKey
{
    /// <summary>Doing it twice does no harm.</summary>
    [Alias("Hold"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult<ContentInfo>> HoldAsync(SessionTicket session, ContentName content, CancellationToken cancellation);

    /// <param name="session">The session.</param>
    /// <param name="content">Held content.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="length">1 to <see cref="Limits.MaxTransfer"/> bytes.</param>
    /// <param name="cancellation">Cancels the wait.</param>
    /// <returns>The bytes; fewer only at the end of the content.</returns>
    [Alias("Read"), ReadOnly]
    ValueTask<BytesReply> ReadAsync(SessionTicket session, ContentName content, long offset, int length, CancellationToken cancellation);

    /// <param name="session">The session.</param>
    /// <param name="contents">At most <see cref="Limits.MaxInodesPerCall"/>.</param>
    /// <param name="cancellation">Cancels the wait.</param>
    [Alias("Release")]
    ValueTask<FsResult> ReleaseAsync(SessionTicket session, [Immutable] ContentName[] contents, CancellationToken cancellation);
}
