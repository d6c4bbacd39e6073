using System.Buffers;
using System.Runtime.InteropServices;
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
internal sealed class RunEncoder(VolumeCopy volume, VolumeSources sources, DeltaGate gate, TimeProvider time)
{
    private readonly List<PlacedBlock> _run = [];
    private readonly List<BlockHash> _bases = [];
    private readonly List<bool> _search = [];
    private readonly List<DeltaCopy> _pieces = [];
    private readonly List<PlacedBlock> _taken = [];

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
        // A match may reach into the next block, which need not be one of these.
        BlockHash? after = next < blocks.Count && blocks[next].Stream == _run[0].Stream && blocks[next].Index == _run[^1].Index + 1 ? blocks[next].Hash
            : _run[0].Stream is { } file ? volume.Delta.Notes.At(file, _run[^1].Index + 1) : null;
        await volume.Delta.Turn.WaitAsync(cancellation);
        byte[] buffer = ArrayPool<byte>.Shared.Rent((_run.Count + 1) * volume.BlockSize);
        long began = time.GetTimestamp();
        try
        {
            int length = ReadRun(buffer);
            if (length == 0)
                return next;
            int all = length + (after is { } hash && length == _run.Count * volume.BlockSize ? Read(hash, buffer.AsSpan(length, volume.BlockSize)) : 0);
            var copies = volume.Delta.Encoder.Encode(new DeltaRun(buffer.AsMemory(0, all), length, _bases, _search), sources);
            Give(buffer.AsSpan(0, length), copies, take);
            return next;
        }
        finally
        {
            Time += time.GetElapsedTime(began);
            ArrayPool<byte>.Shared.Return(buffer);
            volume.Delta.Turn.Release();
        }
    }

    /// <summary>Puts together a run of blocks that follow one another and are worth it.</summary>
    private int Gather(List<PlacedBlock> blocks, int from)
    {
        _run.Clear();
        _bases.Clear();
        _search.Clear();
        int most = MostBlocks(volume.BlockSize);
        int i = from;
        for (; i < blocks.Count && _run.Count < most; i++)
        {
            var block = blocks[i];
            if (_run.Count > 0 && (block.Stream != _run[0].Stream || block.Index != _run[^1].Index + 1 || _run[^1].Length < volume.BlockSize))
                break;
            var known = sources.BaseOf(block);
            bool searched = block.Stream is { } stream && gate.Admits(stream, block.Index);
            if (!searched && known.IsHole)
                break;
            _run.Add(block);
            _bases.Add(known);
            _search.Add(searched);
        }
        return i;
    }

    /// <returns>Bytes of the run; 0 where a block of it cannot be read here.</returns>
    private int ReadRun(byte[] buffer)
    {
        int length = 0;
        foreach (var block in _run)
        {
            if (block.Length == 0 || Read(block.Hash, buffer.AsSpan(length, block.Length)) != block.Length)
                return 0;
            length += block.Length;
        }
        return length;
    }

    private int Read(BlockHash hash, Span<byte> destination) => volume.BlockStore.Files.Read(hash, destination) is { IsOk: true } read ? read.Length : 0;

    /// <summary>Gives each block with the copies that are its own.</summary>
    private void Give(ReadOnlySpan<byte> content, IReadOnlyList<DeltaCopy> copies, TakeEncoded take)
    {
        int next = 0, start = 0;
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
            if (_search[i] && _run[i].Stream is { } stream)
                gate.Found(stream);
        }
    }
}
