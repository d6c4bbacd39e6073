using Orleans.Concurrency;
using Orleans.GrainDirectory;
using OrleansFs.Engine;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Placement;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>The receiver of a replica, for its master. Calls interleave: the receiver orders what must be ordered. All of it hashes or works on a disk, and is done by threads of the pool.</summary>
[GrainType("ofs.replica"), CopyPlacement, GrainDirectory(NoDirectory.Name), Reentrant]
internal sealed class ReplicaGrain : IGrainBase, IReplicaGrain
{
    private readonly ReplicaReceiver? _receiver;
    private readonly VolumeCopy? _master;

    public ReplicaGrain(IGrainContext context, CopySessions sessions)
    {
        GrainContext = context;
        GrainKeys.RequireHere(ReplicaKey.Parse(GrainKeys.Text(context)).Copy, sessions.Copy);
        _receiver = (sessions.Copy as IReplicated)?.Receiver;
        _master = _receiver is null ? (sessions.Copy as IReplicated)?.Volume : null;
    }

    public IGrainContext GrainContext { get; }

    /// <remarks>A master answers to a former one that it is the master now.</remarks>
    public async ValueTask<ReplicaReply> HelloAsync(MasterHello hello, CancellationToken cancellation)
    {
        var reply = _master is { } master && master.Id == hello.Volume && master.Epoch.Value > hello.Epoch.Value
            ? new ReplicaReply { Outcome = ReplicaOutcome.Fenced, Epoch = master.Epoch, EpochStart = EpochBeginning.After(master.Epochs, hello.Epoch) ?? master.EpochStart, Hashes = [], Damaged = [] }
            : Contract.Mismatch($"the master '{hello.Master}'", hello.Contract) is { } mismatch ? ReplicaLink.Refused(mismatch)
            : await Run(r => r.HelloAsync(hello, cancellation));
        return reply with { Contract = Contract.Id };
    }

    public ValueTask<ReplicaReply> OfferAsync(Epoch epoch, BlockHash[] hashes, CancellationToken cancellation) => Run(r => r.OfferAsync(epoch, hashes, cancellation));

    public async ValueTask<ReplicaReply> StoreAsync(Epoch epoch, BlockMessage[] blocks, CancellationToken cancellation)
    {
        try
        {
            return await Run(r => r.StoreAsync(epoch, Array.ConvertAll(blocks, b => b.ToBlock()), cancellation));
        }
        finally
        {
            foreach (var block in blocks)
                block.Payload.Release();
        }
    }

    public ValueTask<ReplicaReply> BuildAsync(Epoch epoch, ReadOnlyMemory<byte> program, CancellationToken cancellation) => Run(r => r.BuildAsync(epoch, program, cancellation));

    public ValueTask<ReplicaReply> ApplyAsync(JournalShipment shipment, CancellationToken cancellation) => Run(r => r.ApplyAsync(shipment, cancellation));

    public ValueTask<ReplicaReply> PulseAsync(Epoch epoch, CancellationToken cancellation) => Run(r => r.PulseAsync(epoch, cancellation));

    public ValueTask<ReplicaReply> BeginCopyAsync(CopyOffer offer, CancellationToken cancellation) => Run(r => r.BeginCopyAsync(offer, cancellation));

    public ValueTask<ReplicaReply> PutCopyAsync(Guid copy, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellation) => Run(r => r.PutCopyAsync(copy, offset, data, cancellation));

    public ValueTask<ReplicaReply> WantedAsync(Guid copy, BlockHash after, CancellationToken cancellation) => Run(r => r.WantedAsync(copy, after, cancellation));

    public ValueTask<ReplicaReply> EndCopyAsync(Guid copy, CancellationToken cancellation) => Run(r => r.EndCopyAsync(copy, cancellation));

    public async ValueTask<FetchReply> FetchAsync(BlockHash[] hashes, CancellationToken cancellation) =>
        _receiver is { } receiver ? await Task.Run(() => receiver.FetchAsync(hashes, cancellation).AsTask(), cancellation)
        : _master is { } master ? await Task.Run(() => new FetchReply { Blocks = master.ReadForOthers(hashes, cancellation) }, cancellation)
        : new FetchReply { Blocks = [] };

    public ValueTask<ReplicaReply> HoldAsync(VolumeId volume, Epoch epoch, CopyName by, CancellationToken cancellation) => Run(r => r.HoldAsync(volume, epoch, by, cancellation));

    public async ValueTask<JournalReply> ReadJournalAsync(Epoch held, Epoch epoch, Guid? branch, Lsn after, CancellationToken cancellation) =>
        _receiver is { } receiver
            ? await Task.Run(() => receiver.ReadJournalAsync(held, epoch, branch, after, cancellation).AsTask(), cancellation)
            : new JournalReply { Outcome = ReplicaOutcome.Refused, Entries = [], Trouble = NoReplica };

    private string NoReplica => $"the copy in {GrainKeys.Text(GrainContext)} is no replica";

    private async ValueTask<ReplicaReply> Run(Func<ReplicaReceiver, ValueTask<ReplicaReply>> call) =>
        _receiver is { } receiver
            ? await Task.Run(() => call(receiver).AsTask())
            : ReplicaLink.Refused(NoReplica);
}
