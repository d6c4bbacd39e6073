using System.IO.Hashing;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>How a block can be kept as pieces of others.</summary>
/// <param name="Row">What is noted of it.</param>
/// <param name="Sources">What it is made of, each once.</param>
internal sealed record Composition(ComposedRow Row, BlockHash[] Sources);

/// <summary>Makes compositions where they save at least half of what a block takes. Not thread-safe.</summary>
internal sealed class CompositionWriter
{
    /// <summary>What a source takes in the tables besides the program, bytes.</summary>
    private const int Overhead = 2 * 2 * BlockHash.Size;

    private readonly DeltaWriter _writer = new();

    /// <summary>Null where it has more pieces than it may, or saves less than half.</summary>
    /// <param name="block">The block.</param>
    /// <param name="content">Its content.</param>
    /// <param name="start">Where it begins in what the copies are told of.</param>
    /// <param name="copies">What it can be built out of; the rest is literal.</param>
    /// <param name="storedBytes">What it takes now.</param>
    public Composition? TryMake(BlockHash block, ReadOnlySpan<byte> content, int start, ReadOnlySpan<DeltaCopy> copies, long storedBytes)
    {
        int pieces = copies.Length;
        int position = start;
        foreach (var copy in copies)
        {
            if (copy.Source == block)
                return null;
            pieces += copy.Start > position ? 1 : 0;
            position = copy.End;
        }
        pieces += start + content.Length > position ? 1 : 0;
        if (copies.Length == 0 || pieces > DeltaLimits.ComposePieces)
            return null;
        _writer.Clear();
        _writer.Add(block, content, start, copies);
        BlockHash[] sources = [.. _writer.Sources];
        byte[] program = _writer.Take(_ => false, DeltaProgram.FullVersion);
        return program.Length + sources.Length * Overhead <= storedBytes / 2 ? new Composition(new ComposedRow(block, XxHash3.HashToUInt64(content), program), sources) : null;
    }
}
