using System.Buffers;
using OrleansFs.Engine.Delta;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <content>Building blocks out of those that are here.</content>
public sealed partial class ReplicaReceiver
{
    /// <remarks>What is built passes its SHA-256 before it is stored, like whatever comes from elsewhere. A source that is lost or damaged is reported as such, and the block is asked for whole.</remarks>
    public ValueTask<ReplicaReply> BuildAsync(Epoch epoch, ReadOnlyMemory<byte> program, CancellationToken cancellation) =>
        RunAsync(epoch, async volume =>
        {
            if (DeltaProgram.TryRead(program.Span) is not { } parsed)
                return Answer(volume, ReplicaOutcome.Lacking);
            var builder = new BlockBuilder(volume, parsed);
            byte[] buffer = ArrayPool<byte>.Shared.Rent(Blocks.BlockLimits.MaxContent);
            try
            {
                var reply = await TakeAsync(volume, builder.Build(buffer), cancellation);
                return reply with { Hashes = [.. reply.Hashes, .. builder.Failed] };
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        });

    private sealed class BlockBuilder(VolumeCopy volume, DeltaProgram program)
    {
        private readonly SourceContents _contents = new(volume.Metadata, volume.BlockStore.Files, volume.BlockSize);

        /// <summary>Those of which a source is missing, too short, or not to be told from another.</summary>
        public List<BlockHash> Failed { get; } = [];

        /// <summary>Builds the blocks that are not here yet, one after the other, each in the same buffer.</summary>
        public IEnumerable<ShippedBlock> Build(byte[] buffer)
        {
            foreach (var target in program.Targets)
            {
                if (volume.ReplicaBlocks.Has(target.Hash))
                    continue;
                if (!target.TryBuild(buffer.AsSpan(0, target.Length), program.Literals.Span, Read))
                    Failed.Add(target.Hash);
                else
                    yield return new ShippedBlock { Hash = target.Hash, Length = target.Length, IsCompressed = false, Payload = buffer.AsMemory(0, target.Length) };
            }
        }

        private ReadOnlyMemory<byte> Read(int source)
        {
            var (prefix, whole) = program.Sources[source];
            if ((whole ?? Resolve(prefix)) is not { } hash || volume.ReplicaBlocks.IsDamaged(hash))
                return default;
            var content = _contents.Get(hash);
            if (_contents.Fault is { } fault)
                volume.ReplicaBlocks.NoteDamaged(hash, fault);
            return content;
        }

        private BlockHash? Resolve(ulong prefix)
        {
            var rows = volume.Metadata.BlocksByPrefix(prefix, 2);
            return rows.Count == 1 ? rows[0].Hash : null;
        }
    }
}
