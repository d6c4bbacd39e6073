using Orleans;
using Orleans.Concurrency;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>The records of an append-only file, in one copy. Key: <see cref="FileKey"/>. What each call does is said at <see cref="IRecordAccess"/>; the rest at <see cref="INamespaceGrain"/>.</summary>
[Alias("ofs.IRecordGrain")]
public interface IRecordGrain : IGrainWithStringKey
{
    /// <summary>The writer is the session.</summary>
    /// <param name="request">The request. A copy that was started anew does not know it: see <paramref name="number"/>.</param>
    /// <param name="number">Which of the session's appends: 1 and growing. It has one to a file under way at a time.</param>
    /// <param name="isRepeated">It may have been asked for before.</param>
    /// <param name="data">1 to <see cref="RecordLimits.MaxRecord"/> bytes.</param>
    /// <param name="durable">Whether it is to survive a loss of power when it is answered.</param>
    /// <param name="cancellation">Cancels the wait for memory.</param>
    [Alias("Append"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult<RecordInfo>> AppendAsync(ChangeRequest request, long number, bool isRepeated, [Immutable] ReadOnlyMemory<byte> data, bool durable, CancellationToken cancellation);

    [Alias("List"), ReadOnly]
    ValueTask<FsResult<RecordInfo[]>> ListAsync(SessionTicket session, long from, int max, CancellationToken cancellation);

    /// <summary>Waits <see cref="Limits.RecordWait"/> at most: then <c>EAGAIN</c>, and the client asks again.</summary>
    [Alias("Wait"), ReadOnly]
    ValueTask<FsResult> WaitAsync(SessionTicket session, long sequence, CancellationToken cancellation);
}
