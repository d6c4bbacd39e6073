using Orleans;
using Orleans.Concurrency;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>
/// The receiving end of replication, on the silo of a replica. Key: <see cref="ReplicaKey"/>. What each call does, and in which order they are made, is said at the engine's <c>IReplicaLink</c>, of which this is the form between
/// two silos. Each call may be made again when its answer was lost. An answer is never older than what it speaks of: a position in it is on the replica's disk.
/// </summary>
[Alias("ofs.IReplicaGrain")]
public interface IReplicaGrain : IGrainWithStringKey
{
    [Alias("Hello"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<ReplicaReply> HelloAsync(MasterHello hello, CancellationToken cancellation);

    [Alias("Offer"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<ReplicaReply> OfferAsync(Epoch epoch, [Immutable] BlockHash[] hashes, CancellationToken cancellation);

    [Alias("Store"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<ReplicaReply> StoreAsync(Epoch epoch, [Immutable] BlockMessage[] blocks, CancellationToken cancellation);

    [Alias("Build"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<ReplicaReply> BuildAsync(Epoch epoch, [Immutable] ReadOnlyMemory<byte> program, CancellationToken cancellation);

    [Alias("Apply"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<ReplicaReply> ApplyAsync(JournalShipment shipment, CancellationToken cancellation);

    [Alias("Pulse")]
    ValueTask<ReplicaReply> PulseAsync(Epoch epoch, CancellationToken cancellation);

    [Alias("BeginCopy"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<ReplicaReply> BeginCopyAsync(CopyOffer offer, CancellationToken cancellation);

    [Alias("PutCopy"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<ReplicaReply> PutCopyAsync(Guid copy, long offset, [Immutable] ReadOnlyMemory<byte> data, CancellationToken cancellation);

    [Alias("Wanted"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<ReplicaReply> WantedAsync(Guid copy, BlockHash after, CancellationToken cancellation);

    [Alias("EndCopy"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<ReplicaReply> EndCopyAsync(Guid copy, CancellationToken cancellation);

    [Alias("Fetch"), ReadOnly]
    ValueTask<FetchReply> FetchAsync([Immutable] BlockHash[] hashes, CancellationToken cancellation);

    [Alias("Hold"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<ReplicaReply> HoldAsync(VolumeId volume, Epoch epoch, CopyName by, CancellationToken cancellation);

    [Alias("ReadJournal"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<JournalReply> ReadJournalAsync(Epoch held, Epoch epoch, Guid? branch, Lsn after, CancellationToken cancellation);
}

/// <summary>
/// The sending end of replication for one replica, on the silo of the master. Key: <see cref="ReplicationKey"/>. <c>EROFS</c> answers where that silo is no master (any more).
/// </summary>
[Alias("ofs.IReplicationGrain")]
public interface IReplicationGrain : IGrainWithStringKey
{
    /// <summary>Keeps the replica up to date from now on. Doing it twice begins the connection anew.</summary>
    [Alias("Start")]
    ValueTask<FsResult> StartAsync(CancellationToken cancellation);

    /// <summary>How the replica stands; <c>ENOENT</c> for one that is not known.</summary>
    [Alias("GetReport"), ReadOnly]
    ValueTask<FsResult<ReplicaReport>> GetReportAsync(CancellationToken cancellation);

    /// <summary>The replica is gone for good: it counts for nothing any more, and nothing is kept for it.</summary>
    [Alias("Forget")]
    ValueTask<FsResult> ForgetAsync(CancellationToken cancellation);

    /// <summary>What the replica has and the master has not is given up, with a full copy. <c>ENOENT</c> where it is not attached.</summary>
    [Alias("Discard")]
    ValueTask<FsResult> DiscardAsync(CancellationToken cancellation);
}

/// <summary>How far a drain has come.</summary>
[GenerateSerializer, Immutable, Alias("ofs.DrainStep")]
public readonly record struct DrainStep
{
    /// <summary>Everything up to here is to be on the replicas. To be given back with the next call.</summary>
    [Id(0)] public required Lsn Target { get; init; }

    /// <summary>Everything up to here is on as many as were asked for.</summary>
    [Id(1)] public required Lsn Reached { get; init; }

    /// <summary>Replicas that have all of it.</summary>
    [Id(2)] public required int Copies { get; init; }

    /// <summary>They are as many as were asked for.</summary>
    [Id(3)] public required bool IsDone { get; init; }
}
