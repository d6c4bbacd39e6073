using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>A run of consecutive blocks of one file that are to be built, and the block after them where that is at hand.</summary>
/// <param name="Content">The blocks' contents, one after another, and what follows. Lent for the call.</param>
/// <param name="Length">Bytes of it that are to be built; the rest is only looked at.</param>
/// <param name="Bases">For each block what was in its place before; a hole where nothing was, or it is of no use.</param>
/// <param name="Search">For each block whether its content is to be searched for.</param>
/// <param name="From">First byte at which a window may begin.</param>
/// <param name="Before">What is known to lie before the run: the content may go on as that does. Null where nothing is.</param>
internal readonly record struct DeltaRun(ReadOnlyMemory<byte> Content, int Length, IReadOnlyList<BlockHash> Bases, IReadOnlyList<bool> Search, int From = 0, DeltaPosition? Before = null);

/// <summary>A place in a source.</summary>
/// <param name="Source">The block.</param>
/// <param name="Offset">The place in it; its length where it is at the end.</param>
internal readonly record struct DeltaPosition(BlockHash Source, int Offset);

/// <summary>Finds out of which pieces of other blocks a run of new blocks can be put together. Reused; not thread-safe.</summary>
/// <remarks>
/// <para>In this order, each in what is left: 1. a block is compared with what was in its place, byte for byte; 2. the beginning is compared with what goes on from where the run before ended; 3. a window as long as a block slides
/// over the rest, and what it finds (by weak checksum, confirmed by SHA-256: no old data is read) is extended into the sources that lie beside the one found, as far as they are at hand; 4. what is left between two copies is searched
/// for pieces of what was there, or would be there, in the sources.</para>
/// <para>Invariant: the copies are sorted and do not overlap, each is within the run, and each was compared: byte for byte, or by SHA-256.</para>
/// </remarks>
internal sealed class DeltaEncoder
{
    private readonly int _blockSize;
    private readonly WindowSearch _windows;
    private readonly PieceMatcher _pieces = new();
    private readonly List<DeltaCopy> _copies = [];
    private readonly List<DeltaCopy> _found = [];
    private readonly List<BlockHash> _candidates = [];

    /// <summary>What is before the gap that is looked at, and what is after it.</summary>
    private BlockHash? _left;
    private BlockHash? _right;

    /// <param name="blockSize">S, bytes.</param>
    public DeltaEncoder(int blockSize)
    {
        _blockSize = blockSize;
        _windows = new WindowSearch(blockSize);
    }

    /// <summary>The copies that a run can be put together of, in order; what is between them is literal. Good until the next call.</summary>
    public IReadOnlyList<DeltaCopy> Encode(in DeltaRun run, IDeltaSources sources)
    {
        _copies.Clear();
        for (int i = 0; i < run.Bases.Count; i++)
        {
            if (!run.Bases[i].IsHole)
                CompareInPlace(run, i, sources);
        }
        if (run.Before is { } before)
            GoOn(run, before, sources);
        InGaps(run, _blockSize / 2, FindWindows, sources);
        InGaps(run, DeltaLimits.MinGap, FindPieces, sources);
        return _copies;
    }

    private delegate void Fill(in DeltaRun run, int start, int end, IDeltaSources sources);

    /// <summary>Does something with each stretch that is not covered; what it finds is in <see cref="_found"/>, sorted.</summary>
    private void InGaps(in DeltaRun run, int least, Fill fill, IDeltaSources sources)
    {
        int position = 0;
        for (int i = 0; i <= _copies.Count; i++)
        {
            int end = i < _copies.Count ? _copies[i].Start : run.Length;
            if (end - position >= least)
            {
                _found.Clear();
                _left = i > 0 ? _copies[i - 1].Source : null;
                _right = i < _copies.Count ? _copies[i].Source : null;
                fill(run, position, end, sources);
                _copies.InsertRange(i, _found);
                i += _found.Count;
            }
            position = i < _copies.Count ? _copies[i].End : end;
        }
    }

    /// <summary>What is as it was, where it was.</summary>
    private void CompareInPlace(in DeltaRun run, int block, IDeltaSources sources)
    {
        int start = block * _blockSize;
        var target = run.Content.Span[start..Math.Min(start + _blockSize, run.Length)];
        var source = sources.Read(run.Bases[block]);
        int common = Math.Min(target.Length, source.Length);
        for (int i = 0; i < common;)
        {
            int same = target[i..common].CommonPrefixLength(source[i..common]);
            if (same >= DeltaLimits.MinCopy)
                _copies.Add(new DeltaCopy(start + i, same, run.Bases[block], i));
            i = NextSame(target[..common], source[..common], i + same);
        }
    }

    /// <summary>Where two contents are the same again for long enough: stretches of <see cref="DeltaLimits.MinCopy"/> bytes hold eight at a multiple of eight from here.</summary>
    private static int NextSame(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, int from)
    {
        int i = from + 1;
        for (; i + sizeof(ulong) <= a.Length; i += sizeof(ulong))
        {
            if (MemoryMarshal.Read<ulong>(a[i..]) != MemoryMarshal.Read<ulong>(b[i..]))
                continue;
            int start = i;
            while (start > from + 1 && a[start - 1] == b[start - 1])
                start--;
            if (a[start..].CommonPrefixLength(b[start..]) >= DeltaLimits.MinCopy)
                return start;
        }
        return a.Length;
    }

    /// <summary>What lies where the run before ended, and after that.</summary>
    private void GoOn(in DeltaRun run, DeltaPosition before, IDeltaSources sources)
    {
        int end = _copies.Count > 0 ? _copies[0].Start : run.Length;
        if (end == 0)
            return;
        _found.Clear();
        var content = run.Content.Span[..end];
        var known = sources.Read(before.Source);
        var rest = known[Math.Min(before.Offset, known.Length)..];
        int same = content.CommonPrefixLength(rest);
        if (same >= DeltaLimits.MinCopy)
            _found.Add(new DeltaCopy(0, same, before.Source, before.Offset));
        if (same == rest.Length && known.Length > 0)
            ExtendOn(content, same, end, before.Source, sources);
        _copies.InsertRange(0, _found);
    }

    private void FindWindows(in DeltaRun run, int start, int end, IDeltaSources sources)
    {
        var content = run.Content.Span;
        int from = Math.Max(start, run.From);
        while (NextSearched(run, from, end) is { } stretch)
        {
            int to = Math.Min(stretch.End, content.Length - _blockSize + 1);
            if (_windows.Find(content, stretch.Start, to, sources) is not { } found)
            {
                from = stretch.End;
                continue;
            }
            ExtendBack(content, from: _found.Count > 0 ? _found[^1].End : start, found.Start, found.Source, sources);
            int reached = Math.Min(found.Start + _blockSize, end);
            _found.Add(new DeltaCopy(found.Start, reached - found.Start, found.Source, 0));
            from = ExtendOn(content, reached, end, found.Source, sources);
        }
    }

    /// <summary>The next stretch of blocks that are to be searched.</summary>
    private (int Start, int End)? NextSearched(in DeltaRun run, int from, int end)
    {
        while (from < end && !run.Search[from / _blockSize])
            from = (from / _blockSize + 1) * _blockSize;
        if (from >= end)
            return null;
        int to = from;
        while (to < end && run.Search[to / _blockSize])
            to = (to / _blockSize + 1) * _blockSize;
        return (from, Math.Min(to, end));
    }

    /// <summary>Goes back from a find, through the blocks that are before it in its file, for as long as everything is the same.</summary>
    private void ExtendBack(ReadOnlySpan<byte> content, int from, int found, BlockHash source, IDeltaSources sources)
    {
        int at = _found.Count;
        while (found > from && sources.Preceding(source) is { } before)
        {
            var known = sources.Read(before);
            int same = CommonSuffix(content[from..found], known);
            if (same >= DeltaLimits.MinCopy)
                _found.Insert(at, new DeltaCopy(found - same, same, before, known.Length - same));
            found -= same;
            source = before;
            if (same == 0 || same < known.Length)
                return;
        }
    }

    /// <summary>Goes on after a find, through the blocks that follow it in its file, for as long as everything is the same.</summary>
    /// <returns>Where it ended.</returns>
    private int ExtendOn(ReadOnlySpan<byte> content, int from, int end, BlockHash source, IDeltaSources sources)
    {
        while (from < end && sources.Following(source) is { } after)
        {
            var known = sources.Read(after);
            int same = content[from..end].CommonPrefixLength(known);
            if (same >= DeltaLimits.MinCopy)
                _found.Add(new DeltaCopy(from, same, after, 0));
            from += same;
            source = after;
            if (same == 0 || same < known.Length)
                break;
        }
        return from;
    }

    private static int CommonSuffix(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        int most = Math.Min(a.Length, b.Length);
        int same = 0;
        while (same + 64 <= most && a.Slice(a.Length - same - 64, 64).SequenceEqual(b.Slice(b.Length - same - 64, 64)))
            same += 64;
        while (same < most && a[a.Length - same - 1] == b[b.Length - same - 1])
            same++;
        return same;
    }

    /// <summary>Pieces that have moved: in what lies beside the copies on either side, and in what was there, block by block.</summary>
    private void FindPieces(in DeltaRun run, int start, int end, IDeltaSources sources)
    {
        for (int at = start; at < end;)
        {
            int block = at / _blockSize;
            int to = Math.Min(end, (block + 1) * _blockSize);
            _candidates.Clear();
            if (at == start && _left is { } left)
            {
                Consider(left);
                Consider(sources.Following(left));
            }
            if (to == end && _right is { } right)
            {
                Consider(right);
                Consider(sources.Preceding(right));
            }
            if (run.Bases[block] is { IsHole: false } known)
            {
                Consider(known);
                Consider(sources.Preceding(known));
                Consider(sources.Following(known));
            }
            if (to - at >= DeltaLimits.MinGap && _candidates.Count > 0)
                _pieces.Match(run.Content.Span[at..to], at, CollectionsMarshal.AsSpan(_candidates), sources, _found);
            at = to;
        }
    }

    private void Consider(BlockHash? source)
    {
        if (source is { IsHole: false } hash && _candidates.Count < DeltaLimits.GapSources && !_candidates.Contains(hash))
            _candidates.Add(hash);
    }
}
