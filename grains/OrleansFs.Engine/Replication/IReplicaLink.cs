using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>A replica, as its master, or a replica that is to become the master, calls it: the receiver itself in one process, grain calls between two.</summary>
/// <remarks>
/// Any call may be made again when its answer was lost: each says what is to be there afterwards. A lost connection is any exception, and is answered by a new hello. Offers, stores and fetches may
/// overlap each other and everything else; of the other calls a master makes one at a time.
/// </remarks>
public interface IReplicaLink
{
    /// <summary>Says who the master is. Answers with the epoch and position that the replica has.</summary>
    ValueTask<ReplicaReply> HelloAsync(MasterHello hello, CancellationToken cancellation);

    /// <summary>Asks which blocks the replica lacks. What it says it has stays, for as long as the replica runs.</summary>
    ValueTask<ReplicaReply> OfferAsync(Epoch epoch, BlockHash[] hashes, CancellationToken cancellation);

    /// <summary>Stores blocks; their SHA-256 is computed. Answers with those that it did not take.</summary>
    ValueTask<ReplicaReply> StoreAsync(Epoch epoch, ShippedBlock[] blocks, CancellationToken cancellation);

    /// <summary>
    /// Builds blocks out of others that the replica has, as a message tells (Delta/DeltaProgram.cs), and stores them; their SHA-256 is computed. Answers with those that it could not build, which are to be stored whole;
    /// <see cref="ReplicaOutcome.Lacking"/> where that is all of them.
    /// </summary>
    ValueTask<ReplicaReply> BuildAsync(Epoch epoch, ReadOnlyMemory<byte> program, CancellationToken cancellation);

    /// <summary>Brings the blocks to disk, applies transactions, brings them to disk. The position in the answer is acknowledged.</summary>
    ValueTask<ReplicaReply> ApplyAsync(JournalShipment shipment, CancellationToken cancellation);

    /// <summary>Nothing but an answer.</summary>
    ValueTask<ReplicaReply> PulseAsync(Epoch epoch, CancellationToken cancellation);

    /// <summary>Begins a full copy, or goes on with it: the answer's <see cref="ReplicaReply.Bytes"/> says from where.</summary>
    ValueTask<ReplicaReply> BeginCopyAsync(CopyOffer offer, CancellationToken cancellation);

    /// <summary>A piece of the database.</summary>
    ValueTask<ReplicaReply> PutCopyAsync(Guid copy, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellation);

    /// <summary>Which blocks of the copy, in the order of hashes after one, the replica lacks. The database must be complete.</summary>
    ValueTask<ReplicaReply> WantedAsync(Guid copy, BlockHash after, CancellationToken cancellation);

    /// <summary>Brings the blocks to disk and puts the copy in the place of what the replica has. The position in the answer is acknowledged.</summary>
    ValueTask<ReplicaReply> EndCopyAsync(Guid copy, CancellationToken cancellation);

    /// <summary>Blocks that the replica has. One that it turns out not to have is left out, and reported as damaged with the next answer.</summary>
    ValueTask<FetchReply> FetchAsync(BlockHash[] hashes, CancellationToken cancellation);

    /// <summary>Another replica, the one named, is about to become the master in this epoch: for <see cref="ReplicationLimits.HeldFor"/> nothing of an earlier one is taken. Answers with the epoch and position that the replica has; <see cref="ReplicaOutcome.Fenced"/>, with its epoch, where it knows of that one or a later, or is held for it by a third.</summary>
    ValueTask<ReplicaReply> HoldAsync(VolumeId volume, Epoch epoch, CopyName by, CancellationToken cancellation);

    /// <summary>What this replica has after a position of an epoch and of a branch of its history, a shipment at most; it is held for that long again. <see cref="ReplicaOutcome.Gap"/> where that is no beginning of what it has.</summary>
    ValueTask<JournalReply> ReadJournalAsync(Epoch held, Epoch epoch, Guid? branch, Lsn after, CancellationToken cancellation);
}
