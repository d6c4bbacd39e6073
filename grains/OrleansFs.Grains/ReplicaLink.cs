using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>A replica on another silo, as the engine calls it.</summary>
internal sealed class ReplicaLink(IReplicaGrain replica) : IReplicaLink
{
    public ValueTask<ReplicaReply> HelloAsync(MasterHello hello, CancellationToken cancellation) => replica.HelloAsync(hello, cancellation);

    public ValueTask<ReplicaReply> OfferAsync(Epoch epoch, BlockHash[] hashes, CancellationToken cancellation) => replica.OfferAsync(epoch, hashes, cancellation);

    public ValueTask<ReplicaReply> StoreAsync(Epoch epoch, ShippedBlock[] blocks, CancellationToken cancellation) => replica.StoreAsync(epoch, blocks, cancellation);

    public ValueTask<ReplicaReply> BuildAsync(Epoch epoch, ReadOnlyMemory<byte> program, CancellationToken cancellation) => replica.BuildAsync(epoch, program, cancellation);

    public ValueTask<ReplicaReply> ApplyAsync(JournalShipment shipment, CancellationToken cancellation) => replica.ApplyAsync(shipment, cancellation);

    public ValueTask<ReplicaReply> PulseAsync(Epoch epoch, CancellationToken cancellation) => replica.PulseAsync(epoch, cancellation);

    public ValueTask<ReplicaReply> BeginCopyAsync(CopyOffer offer, CancellationToken cancellation) => replica.BeginCopyAsync(offer, cancellation);

    public ValueTask<ReplicaReply> PutCopyAsync(Guid copy, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellation) => replica.PutCopyAsync(copy, offset, data, cancellation);

    public ValueTask<ReplicaReply> WantedAsync(Guid copy, BlockHash after, CancellationToken cancellation) => replica.WantedAsync(copy, after, cancellation);

    public ValueTask<ReplicaReply> EndCopyAsync(Guid copy, CancellationToken cancellation) => replica.EndCopyAsync(copy, cancellation);

    public ValueTask<FetchReply> FetchAsync(BlockHash[] hashes, CancellationToken cancellation) => replica.FetchAsync(hashes, cancellation);
}
