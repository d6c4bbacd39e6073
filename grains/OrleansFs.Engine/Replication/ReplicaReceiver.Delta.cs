using System.Buffers;
using System.Runtime.InteropServices;
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
                var reply = await TakeAsync(volume, builder.Build(buffer), Store, cancellation);
                return reply with { Hashes = [.. reply.Hashes, .. builder.Failed.Select(i => parsed.Targets[i].Hash).OfType<BlockHash>()], Unbuilt = builder.Failed.Count == 0 ? null : [.. builder.Failed] };
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }

            bool Store(ShippedBlock block)
            {
                volume.ReplicaBlocks.Store(block.Hash, block.Payload.Span);
                if (_composes && builder.TryCompose(block) is { } composition)
                    _received.Add(composition);
                return true;
            }
        });

    private sealed class BlockBuilder(VolumeCopy volume, DeltaProgram program)
    {
        private readonly SourceContents _contents = new(volume.Metadata, volume.BlockStore.Files, volume.BlockSize);
        private readonly CompositionWriter _compositions = new();
        private readonly List<DeltaCopy> _copies = [];
        private DeltaTarget? _built;

        /// <summary>Those of which a source is missing, too short, or not to be told from another, by their place in the message; and what did not become what its name says.</summary>
        public List<int> Failed { get; } = [];

        /// <summary>Builds the blocks that are not here yet, one after the other, each in the same buffer.</summary>
        public IEnumerable<ShippedBlock> Build(byte[] buffer)
        {
            for (int i = 0; i < program.Targets.Count; i++)
            {
                var target = program.Targets[i];
                if ((target.Hash ?? Resolve(target.Prefix)) is { } known && volume.ReplicaBlocks.Has(known))
                    continue;
                var content = buffer.AsMemory(0, target.Length);
                if (target.TryBuild(content.Span, program.Literals.Span, Read) && BlockHash.Of(content.Span) is var hash && hash.Prefix == target.Prefix && hash == (target.Hash ?? hash))
                {
                    _built = target;
                    yield return new ShippedBlock { Hash = hash, Length = target.Length, IsCompressed = false, Payload = content };
                }
                else
                {
                    Failed.Add(i);
                }
            }
        }

        /// <summary>How the block that was just built can be kept as pieces of others; null where that saves too little. What is copied from a composed block is copied from what that is made of: depth stays one.</summary>
        public Composition? TryCompose(in ShippedBlock block)
        {
            _copies.Clear();
            foreach (var piece in _built!.Copies)
            {
                if (HashOf(piece.Source) is not { } source)
                    return null;
                if (!volume.Metadata.TryGetComposed(source, out var row))
                    _copies.Add(new DeltaCopy(piece.Start, piece.Length, source, piece.Offset));
                else if (DeltaProgram.TryRead(row.Program) is { Targets: [var made] } inner)
                    AddPieces(piece, made, inner);
                else
                    return null;
                if (_copies.Count > DeltaLimits.ComposePieces)
                    return null;
            }
            long stored = volume.BlockStore.Files.DiskBytes(block.Hash) ?? block.Length;
            return _compositions.TryMake(block.Hash, block.Payload.Span, 0, CollectionsMarshal.AsSpan(_copies), stored);
        }

        private void AddPieces(in DeltaPiece piece, DeltaTarget made, DeltaProgram inner)
        {
            foreach (var copy in made.Copies)
            {
                int from = Math.Max(copy.Start, piece.Offset), to = Math.Min(copy.Start + copy.Length, piece.Offset + piece.Length);
                if (from < to && inner.Sources[copy.Source].Hash is { } source)
                    _copies.Add(new DeltaCopy(piece.Start + from - piece.Offset, to - from, source, copy.Offset + from - copy.Start));
            }
        }

        private BlockHash? HashOf(int source) => program.Sources[source].Hash ?? Resolve(program.Sources[source].Prefix);

        private ReadOnlyMemory<byte> Read(int source)
        {
            if (HashOf(source) is not { } hash || volume.ReplicaBlocks.IsDamaged(hash))
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
