using Orleans;
using Orleans.Concurrency;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>
/// A file's content, in one copy. Key: <see cref="FileKey"/>. What each call does is said at <see cref="IVolumeAccess"/>; the rest at <see cref="INamespaceGrain"/>.
/// </summary>
[Alias("ofs.IFileGrain")]
public interface IFileGrain : IGrainWithStringKey
{
    /// <param name="session">The session.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="length">0 to <see cref="Limits.MaxTransfer"/> bytes; 0 brings up the access time alone.</param>
    /// <param name="flags">How.</param>
    /// <param name="cancellation">Cancels the wait.</param>
    /// <returns>The bytes; fewer only at the end of the file.</returns>
    [Alias("Read"), ReadOnly]
    ValueTask<ContentReply> ReadAsync(SessionTicket session, long offset, int length, ReadFlags flags, CancellationToken cancellation);

    /// <param name="request">The request.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="data">At most <see cref="Limits.MaxTransfer"/> bytes.</param>
    /// <param name="flags">How. An append to an append-only file is <c>EOPNOTSUPP</c>: it is a record, and <see cref="IRecordGrain"/> is asked for it.</param>
    /// <param name="cancellation">Cancels the wait for memory, never half of a write.</param>
    [Alias("Write")]
    ValueTask<FsResult<long>> WriteAsync(ChangeRequest request, long offset, [Immutable] ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation);

    /// <summary>Several writes in one message, in their order.</summary>
    /// <param name="request">The request.</param>
    /// <param name="pieces">1 to <see cref="Limits.MaxPieces"/>.</param>
    /// <param name="data">The bytes of all pieces, one behind the other; at most <see cref="Limits.MaxTransfer"/>.</param>
    /// <param name="flags">How; not as an append. <see cref="WriteFlags.Sync"/> brings the file to disk with it.</param>
    /// <param name="cancellation">Cancels the wait for memory; pieces before that are written.</param>
    [Alias("WriteMany"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult> WriteManyAsync(ChangeRequest request, [Immutable] WritePiece[] pieces, [Immutable] Payload data, WriteFlags flags, CancellationToken cancellation);

    [Alias("Allocate"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult> AllocateAsync(ChangeRequest request, AllocateMode mode, long offset, long length, CancellationToken cancellation);

    [Alias("Seek"), ReadOnly]
    ValueTask<FsResult<long>> SeekAsync(SessionTicket session, long offset, SeekKind kind, CancellationToken cancellation);

    /// <summary>Copies from this file into another of the same copy.</summary>
    [Alias("CopyRange"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult<long>> CopyRangeAsync(ChangeRequest request, long offset, InodeNumber target, long targetOffset, long length, CancellationToken cancellation);

    [Alias("Flush")]
    ValueTask<FsResult> FlushAsync(ChangeRequest request, ulong lockOwner, CancellationToken cancellation);

    /// <summary>fsync(2). Doing it twice does no harm, so it needs no slot.</summary>
    [Alias("Sync"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult> SyncAsync(SessionTicket session, bool dataOnly, CancellationToken cancellation);

    /// <summary>Brings a file to the disk of this copy, as a client needs that keeps what it has written until then (NFS' COMMIT, RFC 8881 section 18.3): copies for which an fsync waits are not waited for.</summary>
    [Alias("SyncHere"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult> SyncHereAsync(SessionTicket session, CancellationToken cancellation);

    [Alias("GetResidency"), ReadOnly, ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult<FileResidency>> GetResidencyAsync(SessionTicket session, CancellationToken cancellation);

    /// <summary>Doing it twice does no harm.</summary>
    [Alias("ChangeResidency"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult<ResidencyChange>> ChangeResidencyAsync(SessionTicket session, ResidencyAction action, long offset, long length, CancellationToken cancellation);
}

/// <summary>One of several writes in a message.</summary>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Bytes, 1 or more.</param>
[GenerateSerializer, Immutable, Alias("ofs.WritePiece")]
public readonly record struct WritePiece([property: Id(0)] long Offset, [property: Id(1)] int Length);
