using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>Finds pieces of a target in a few sources, wherever they are in them. Reused; not thread-safe.</summary>
/// <remarks>As in LZ4 and xdelta: a table from eight bytes to a place, here of the sources; the target is looked through with steps that grow while nothing is found.</remarks>
internal sealed class PieceMatcher
{
    private const int Word = 8;

    /// <summary>Positions without a find after which the step grows by one.</summary>
    private const int Patience = 64;

    private readonly int[] _slots = new int[DeltaLimits.PieceSlots];

    /// <summary>Adds the copies found of a target.</summary>
    /// <param name="target">What is searched.</param>
    /// <param name="at">Where it begins, in what the copies are told of.</param>
    /// <param name="sources">Blocks to search in.</param>
    /// <param name="blocks">Gives their contents.</param>
    /// <param name="copies">Gets the copies, in order.</param>
    public void Match(ReadOnlySpan<byte> target, int at, ReadOnlySpan<BlockHash> sources, IDeltaSources blocks, List<DeltaCopy> copies)
    {
        if (target.Length < DeltaLimits.MinMoved)
            return;
        // The best source is not known: each is searched in what the ones before have left.
        int first = copies.Count;
        for (int i = 0; i < sources.Length; i++)
        {
            var content = blocks.Read(sources[i]);
            if (content.Length < DeltaLimits.MinMoved)
                continue;
            Fill(content);
            if (i == 0)
            {
                Search(target, at, sources[i], content, copies);
                continue;
            }
            var before = copies.GetRange(first, copies.Count - first);
            copies.RemoveRange(first, copies.Count - first);
            int position = 0;
            foreach (var copy in before)
            {
                Search(target[position..(copy.Start - at)], at + position, sources[i], content, copies);
                copies.Add(copy);
                position = copy.End - at;
            }
            Search(target[position..], at + position, sources[i], content, copies);
        }
    }

    private void Fill(ReadOnlySpan<byte> content)
    {
        Array.Fill(_slots, -1);
        // So far apart that all fit; every eighth byte where there is room, as pieces are longer.
        int step = Math.Max(Word, content.Length / (DeltaLimits.PieceSlots / 2));
        // From the end: of equal places the first one stays.
        for (int i = (content.Length - Word) / step * step; i >= 0; i -= step)
            _slots[Slot(content, i)] = i;
    }

    private void Search(ReadOnlySpan<byte> target, int at, BlockHash source, ReadOnlySpan<byte> content, List<DeltaCopy> copies)
    {
        int covered = 0;
        int misses = 0;
        for (int i = 0; i + Word <= target.Length;)
        {
            int place = _slots[Slot(target, i)];
            if (place < 0 || Load(content, place) != Load(target, i))
            {
                i += 1 + misses++ / Patience;
                continue;
            }
            int back = 0;
            while (back < i - covered && back < place && target[i - back - 1] == content[place - back - 1])
                back++;
            int length = back + target[i..].CommonPrefixLength(content[place..]);
            if (length < DeltaLimits.MinMoved)
            {
                i += 1 + misses++ / Patience;
                continue;
            }
            copies.Add(new DeltaCopy(at + i - back, length, source, place - back));
            i += length - back;
            covered = i;
            misses = 0;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Load(ReadOnlySpan<byte> bytes, int at) => Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref MemoryMarshal.GetReference(bytes), at));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Slot(ReadOnlySpan<byte> bytes, int at) => (int)(Load(bytes, at) * 0x9E37_79B9_7F4A_7C15 >> 64 - SlotBits);

    private static readonly int SlotBits = BitOperations.Log2(DeltaLimits.PieceSlots);
}
