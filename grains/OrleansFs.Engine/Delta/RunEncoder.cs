using System.Buffers;
using System.Runtime.InteropServices;
using OrleansFs.Engine.Native;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>What becomes of a block that was encoded.</summary>
/// <param name="block">The block.</param>
/// <param name="content">Its content.</param>
/// <param name="start">Where it begins in what the copies are told of.</param>
/// <param name="copies">What it can be built out of; the rest is literal.</param>
/// <returns>Whether that is of use.</returns>
internal delegate bool TakeEncoded(in PlacedBlock block, ReadOnlySpan<byte> content, int start, ReadOnlySpan<DeltaCopy> copies);

/// <summary>Goes through blocks, sorted by file and place, and encodes those for which it may pay, a run at a time. Not thread-safe.</summary>
/// <remarks>
/// What is found at the edges of a run must not hang on where these happen to be: a window needs a block's length of content, and the block at an edge has a part of it only. So a run goes on from where the one before it ended
/// (<see cref="DeltaTrail"/>). The block after it is looked into as far as it is there; a block that is all alone is searched together with the one before it.
/// </remarks>
internal sealed class RunEncoder(VolumeCopy volume, VolumeSources sources, DeltaGate gate, DeltaTrail trail)
{
    private readonly List<PlacedBlock> _run = [];
    private readonly List<BlockHash> _bases = [];
    private readonly List<bool> _search = [];
    private readonly List<DeltaCopy> _pieces = [];
    private readonly List<PlacedBlock> _taken = [];
    private DeltaPosition? _before;

    /// <summary>The blocks of the last run that were of use.</summary>
    public IReadOnlyList<PlacedBlock> Taken => _taken;

    /// <summary>Time of a processor that it took so far.</summary>
    public TimeSpan Time { get; private set; }

    /// <summary>Blocks of one run at most.</summary>
    public static int MostBlocks(int blockSize) => Math.Max(2, DeltaLimits.RunBytes / blockSize);

    /// <summary>Encodes the next run; where the next block is not worth it, only passes it over.</summary>
    /// <returns>Where to go on.</returns>
    public async ValueTask<int> NextAsync(List<PlacedBlock> blocks, int from, TakeEncoded take, CancellationToken cancellation)
    {
        _taken.Clear();
        int next = Gather(blocks, from);
        if (_run.Count == 0)
            return from + 1;
        BlockHash? after = Neighbour(blocks, next, _run[^1], 1);
        // With two blocks there is a window for each block of the old content that begins in the first of them.
        bool isAlone = _run.Count == 1 && after is null;
        BlockHash? lead = _before is null && _search[0] && isAlone ? Neighbour(blocks, from - 1, _run[0], -1) : null;
        await volume.Delta.Turn.WaitAsync(cancellation);
        byte[] buffer = ArrayPool<byte>.Shared.Rent((_run.Count + 2) * volume.BlockSize);
        var began = ThreadTime.Now;
        try
        {
            Encode(buffer, lead, after, take);
            return next;
        }
        finally
        {
            Time += ThreadTime.Now - began;
            ArrayPool<byte>.Shared.Return(buffer);
            volume.Delta.Turn.Release();
        }
    }

    /// <summary>What is beside a run in its file, which need not be one of the blocks to be encoded.</summary>
    private BlockHash? Neighbour(List<PlacedBlock> blocks, int at, in PlacedBlock edge, int step)
    {
        if (edge.Stream is not { } file)
            return null;
        long index = edge.Index + step;
        return at >= 0 && at < blocks.Count && blocks[at].Stream == file && blocks[at].Index == index ? blocks[at].Hash : volume.Delta.Notes.At(file, index);
    }

    private void Encode(byte[] buffer, BlockHash? lead, BlockHash? after, TakeEncoded take)
    {
        int size = volume.BlockSize;
        int first = lead is { } hash && Read(hash, buffer.AsSpan(0, size)) == size ? size : 0;
        int length = ReadRun(buffer.AsSpan(first));
        if (length == 0)
            return;
        if (first > 0)
        {
            // As a block of the run that nobody wants. It may be on the replica already, and is not to be found as itself.
            _bases.Insert(0, BlockHash.Hole);
            _search.Insert(0, true);
        }
        int all = first + length;
        int looked = after is { } beyond && length == _run.Count * size ? Read(beyond, buffer.AsSpan(all, size)) : 0;
        var copies = volume.Delta.Encoder.Encode(new DeltaRun(buffer.AsMemory(0, all + looked), all, _bases, _search, first > 0 ? 1 : 0, _before), sources);
        if (first > 0)
            _search.RemoveAt(0);
        Give(buffer.AsSpan(0, all), first, copies, take);
        if (_run[^1] is { Stream: { } file } last && copies.Count > 0 && copies[^1] is var end && end.End == all)
            trail.Note(file, last.Index + 1, new DeltaPosition(end.Source, end.Offset + end.Length));
    }

    /// <summary>Puts together a run of blocks that follow one another and are worth it.</summary>
    private int Gather(List<PlacedBlock> blocks, int from)
    {
        _run.Clear();
        _bases.Clear();
        _search.Clear();
        int most = MostBlocks(volume.BlockSize);
        _before = blocks[from].Stream is { } file && trail.Take(file, blocks[from].Index) is { } before && sources.IsUsable(before.Source) ? before : null;
        int i = from;
        for (; i < blocks.Count && _run.Count < most; i++)
        {
            var block = blocks[i];
            if (_run.Count > 0 && (block.Stream != _run[0].Stream || block.Index != _run[^1].Index + 1 || _run[^1].Length < volume.BlockSize))
                break;
            var known = sources.BaseOf(block);
            bool searched = block.Stream is { } stream && gate.Admits(stream, block.Index);
            if (!searched && known.IsHole && (i > from || _before is null))
                break;
            _run.Add(block);
            _bases.Add(known);
            _search.Add(searched);
        }
        return i;
    }

    /// <returns>Bytes of the run; 0 where a block of it cannot be read here.</returns>
    private int ReadRun(Span<byte> buffer)
    {
        int length = 0;
        foreach (var block in _run)
        {
            if (block.Length == 0 || Read(block.Hash, buffer.Slice(length, block.Length)) != block.Length)
                return 0;
            length += block.Length;
        }
        return length;
    }

    private int Read(BlockHash hash, Span<byte> destination) => volume.BlockStore.Files.Read(hash, destination) is { IsOk: true } read ? read.Length : 0;

    /// <summary>Gives each block with the copies that are its own.</summary>
    private void Give(ReadOnlySpan<byte> content, int start, IReadOnlyList<DeltaCopy> copies, TakeEncoded take)
    {
        int next = 0;
        while (next < copies.Count && copies[next].End <= start)
            next++;
        for (int i = 0; i < _run.Count; start += _run[i++].Length)
        {
            int end = start + _run[i].Length;
            _pieces.Clear();
            for (; next < copies.Count && copies[next].Start < end; next++)
            {
                var copy = copies[next];
                int from = Math.Max(copy.Start, start);
                int to = Math.Min(copy.End, end);
                _pieces.Add(new DeltaCopy(from, to - from, copy.Source, copy.Offset + from - copy.Start));
                if (copy.End > end)
                    break;
            }
            if (!take(_run[i], content[start..end], start, CollectionsMarshal.AsSpan(_pieces)))
                continue;
            _taken.Add(_run[i]);
            if ((_search[i] || _before is not null) && _run[i].Stream is { } stream)
                gate.Found(stream);
        }
    }
}
