using System.Collections.Concurrent;
using System.IO.Hashing;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>Reads composed blocks. Thread-safe.</summary>
/// <remarks>Invariant: a source is read from a file of its own, never composed, whatever the tables say: so reading ends.</remarks>
internal sealed class ComposedBlocks(MetadataStore metadata, BlockFiles files, int blockSize) : IComposedBlocks
{
    private readonly BlockFiles _files = files;
    private readonly ConcurrentDictionary<BlockHash, int> _reads = new();

    /// <summary>Told of a block that was read so often that it is better in a file; null where nobody can put it there.</summary>
    public Action<BlockHash>? Hot { get; set; }

    public BlockReadResult Inspect(BlockHash hash) =>
        Find(hash, out _) is { } program && program.Sources.All(s => s.Hash is { } source && _files.DiskBytes(source) is not null) ? BlockReadResult.Ok(program.Targets[0].Length) : BlockReadResult.Missing;

    public bool IsReliable(BlockHash hash) =>
        Find(hash, out _) is { } program && program.Sources.All(s => s.Hash is { } source && _files.DiskBytes(source) is not null && !_files.IsSuspect(source));

    public BlockReadResult Read(BlockHash hash, Span<byte> destination, IReadOnlyDictionary<BlockHash, ReadOnlyMemory<byte>>? given)
    {
        if (Find(hash, out var row) is not { } program)
            return BlockReadResult.Missing;
        var target = program.Targets[0];
        if (target.Length > destination.Length)
            return BlockReadResult.Corrupt($"the content has {target.Length} bytes, more than the {destination.Length} that are known of the block");
        var content = destination[..target.Length];
        bool isBuilt = target.TryBuild(content, program.Literals.Span, new PieceReader(this, program, given).Read);
        return isBuilt && XxHash3.HashToUInt64(content) == row.Content ? BlockReadResult.Ok(target.Length) : BlockReadResult.Missing;
    }

    /// <summary>Reads the pieces of one block: by themselves where a source has checksums of its parts, out of the whole source otherwise.</summary>
    private sealed class PieceReader(ComposedBlocks blocks, DeltaProgram program, IReadOnlyDictionary<BlockHash, ReadOnlyMemory<byte>>? given)
    {
        private SourceContents? _whole;

        public bool Read(int number, int offset, Span<byte> piece)
        {
            if (program.Sources[number].Hash is not { } source)
                return false;
            ReadOnlyMemory<byte> content = default;
            if (given?.TryGetValue(source, out content) != true)
            {
                if (blocks._files.ReadPart(source, offset, piece, now: false) is { Kind: PartReadKind.Read } part)
                    return part.Length == piece.Length;
                content = (_whole ??= blocks.NewContents()).Get(source);
            }
            return offset + piece.Length <= content.Length && content.Span.Slice(offset, piece.Length).TryCopyTo(piece);
        }
    }

    private SourceContents NewContents() => new(metadata, _files, blockSize, filesOnly: true);

    public IReadOnlyList<(BlockHash Source, BlockReadResult Fault)> FaultySources(BlockHash hash)
    {
        var faulty = new List<(BlockHash, BlockReadResult)>();
        if (Find(hash, out _) is not { } program)
            return faulty;
        var sources = NewContents();
        foreach (var part in program.Sources)
        {
            if (part.Hash is not { } source)
                continue;
            sources.Get(source);
            if (sources.Fault is { } fault)
                faulty.Add((source, fault));
        }
        return faulty;
    }

    public void NoteUse(BlockHash hash)
    {
        if (!metadata.IsComposed(hash))
            return;
        if (_reads.AddOrUpdate(hash, 1, (_, reads) => reads + 1) >= DeltaLimits.HotReads)
        {
            _reads.TryRemove(hash, out _);
            Hot?.Invoke(hash);
        }
        // Forgetting costs a block a few reads more.
        if (_reads.Count > DeltaLimits.ReadsCounted)
            _reads.Clear();
    }

    /// <summary>How a block is made; null where it is not composed, or that cannot be read.</summary>
    private DeltaProgram? Find(BlockHash hash, out ComposedRow row) =>
        metadata.TryGetComposed(hash, out row) && DeltaProgram.TryRead(row.Program) is { Targets: [var target] } program && target.Hash == hash ? program : null;
}
