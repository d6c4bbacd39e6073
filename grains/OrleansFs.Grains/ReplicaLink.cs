using Microsoft.AspNetCore.Connections;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>A replica on another silo, as the engine calls it.</summary>
internal sealed class ReplicaLink(IReplicaGrain replica) : IReplicaLink
{
    public async ValueTask<ReplicaReply> HelloAsync(MasterHello hello, CancellationToken cancellation)
    {
        var reply = await CallAsync(() => replica.HelloAsync(hello with { Contract = Contract.Id }, cancellation));
        // That there is a newer master is heeded whoever says so.
        return reply.Outcome != ReplicaOutcome.Fenced && Contract.Mismatch("the replica", reply.Contract) is { } mismatch ? Refused(mismatch) : reply;
    }

    public ValueTask<ReplicaReply> OfferAsync(Epoch epoch, BlockHash[] hashes, CancellationToken cancellation) => CallAsync(() => replica.OfferAsync(epoch, hashes, cancellation));

    public ValueTask<ReplicaReply> StoreAsync(Epoch epoch, ShippedBlock[] blocks, CancellationToken cancellation) => CallAsync(() => replica.StoreAsync(epoch, Array.ConvertAll(blocks, BlockMessage.Of), cancellation));

    public ValueTask<ReplicaReply> BuildAsync(Epoch epoch, ReadOnlyMemory<byte> program, CancellationToken cancellation) => CallAsync(() => replica.BuildAsync(epoch, program, cancellation));

    public ValueTask<ReplicaReply> ApplyAsync(JournalShipment shipment, CancellationToken cancellation) => CallAsync(() => replica.ApplyAsync(shipment, cancellation));

    public ValueTask<ReplicaReply> PulseAsync(Epoch epoch, CancellationToken cancellation) => CallAsync(() => replica.PulseAsync(epoch, cancellation));

    public ValueTask<ReplicaReply> BeginCopyAsync(CopyOffer offer, CancellationToken cancellation) => CallAsync(() => replica.BeginCopyAsync(offer, cancellation));

    public ValueTask<ReplicaReply> PutCopyAsync(Guid copy, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellation) => CallAsync(() => replica.PutCopyAsync(copy, offset, data, cancellation));

    public ValueTask<ReplicaReply> WantedAsync(Guid copy, BlockHash after, CancellationToken cancellation) => CallAsync(() => replica.WantedAsync(copy, after, cancellation));

    public ValueTask<ReplicaReply> EndCopyAsync(Guid copy, CancellationToken cancellation) => CallAsync(() => replica.EndCopyAsync(copy, cancellation));

    public ValueTask<FetchReply> FetchAsync(BlockHash[] hashes, CancellationToken cancellation) => CallAsync(() => replica.FetchAsync(hashes, cancellation));

    public ValueTask<ReplicaReply> HoldAsync(VolumeId volume, Epoch epoch, CopyName by, CancellationToken cancellation) => CallAsync(() => replica.HoldAsync(volume, epoch, by, cancellation));

    public ValueTask<JournalReply> ReadJournalAsync(Epoch held, Epoch epoch, Guid? branch, Lsn after, CancellationToken cancellation) => CallAsync(() => replica.ReadJournalAsync(held, epoch, branch, after, cancellation));

    /// <summary>An answer that the replica is not to be replicated to.</summary>
    public static ReplicaReply Refused(string trouble) => new() { Outcome = ReplicaOutcome.Refused, Hashes = [], Damaged = [], Trouble = trouble };

    /// <summary>What Orleans says of a silo that cannot be reached names its classes and has their stack in it; who looks after replicas wants one line.</summary>
    private static async ValueTask<T> CallAsync<T>(Func<ValueTask<T>> call)
    {
        try
        {
            return await call();
        }
        catch (Exception e) when (e is OrleansException or ConnectionAbortedException)
        {
            throw new IOException("its silo cannot be reached", e);
        }
    }
}
