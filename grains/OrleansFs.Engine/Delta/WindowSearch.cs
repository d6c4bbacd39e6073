using OrleansFs.Engine.Blocks;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>Slides a window over content byte by byte and looks for the first place where it is the content of a known block. Reused; not thread-safe.</summary>
/// <remarks>
/// Each step of a rolling checksum waits for the one before, some nine cycles. So a stretch is cut into four, whose sums roll side by side.
/// </remarks>
internal sealed class WindowSearch
{
    private const int Lanes = 4;

    private readonly int _window;
    private RollingChecksum _a;
    private RollingChecksum _b;
    private RollingChecksum _c;
    private RollingChecksum _d;

    /// <param name="window">S, bytes.</param>
    public WindowSearch(int window)
    {
        _window = window;
        byte[] zeros = new byte[window];
        _a = new RollingChecksum(zeros);
        _b = _a;
        _c = _a;
        _d = _a;
    }

    /// <summary>Finds the first window that is a known block.</summary>
    /// <param name="content">What is searched.</param>
    /// <param name="from">First start of a window.</param>
    /// <param name="to">One past the last; the windows must lie within the content.</param>
    /// <param name="sources">The blocks that count.</param>
    /// <returns>Where it starts and which block it is; null where there is none.</returns>
    public (int Start, BlockHash Source)? Find(ReadOnlySpan<byte> content, int from, int to, IDeltaSources sources)
    {
        while (from < to)
        {
            int positions = Math.Min(to - from, Math.Max(DeltaLimits.ScanBytes, _window / 2));
            if (Scan(content.Slice(from, positions + _window - 1), positions, sources) is { } found)
                return (from + found.Start, found.Source);
            from += positions;
        }
        return null;
    }

    private (int Start, BlockHash Source)? Scan(ReadOnlySpan<byte> content, int positions, IDeltaSources sources)
    {
        int lane = positions / Lanes;
        (int Start, BlockHash Source)? first = null;
        if (lane > 0)
        {
            _a.Restart(content[.._window]);
            _b.Restart(content.Slice(lane, _window));
            _c.Restart(content.Slice(2 * lane, _window));
            _d.Restart(content.Slice(3 * lane, _window));
            first = Roll(content, lane, sources);
        }
        for (int start = lane * Lanes; start < positions && first is null; start++)
        {
            var window = content.Slice(start, _window);
            var weak = WeakChecksum.Compute(window);
            if (sources.Weak.MayHave(weak.Value) && sources.Find(weak, window) is { } source)
                first = (start, source);
        }
        return first;
    }

    /// <summary>Goes through the four lanes at once. A find in one ends those after it; those before it go on, as theirs would be the first.</summary>
    private (int Start, BlockHash Source)? Roll(ReadOnlySpan<byte> content, int lane, IDeltaSources sources)
    {
        var weak = sources.Weak;
        int window = _window;
        // In locals the sums stay in registers.
        var (a, b, c, d) = (_a, _b, _c, _d);
        (int Start, BlockHash Source)? first = null;
        int end = lane * Lanes;
        for (int i = 0; ; i++)
        {
            bool inA = weak.MayHave(a.Value.Value);
            bool inB = weak.MayHave(b.Value.Value);
            bool inC = weak.MayHave(c.Value.Value);
            bool inD = weak.MayHave(d.Value.Value);
            if (inA | inB | inC | inD)
            {
                if (inA && Confirm(content, i, a.Value, sources) is { } found)
                    return (i, found);
                if (inB && lane + i < end && Confirm(content, lane + i, b.Value, sources) is { } second)
                    (first, end) = ((lane + i, second), lane + i);
                if (inC && 2 * lane + i < end && Confirm(content, 2 * lane + i, c.Value, sources) is { } third)
                    (first, end) = ((2 * lane + i, third), 2 * lane + i);
                if (inD && 3 * lane + i < end && Confirm(content, 3 * lane + i, d.Value, sources) is { } fourth)
                    (first, end) = ((3 * lane + i, fourth), 3 * lane + i);
            }
            if (i == lane - 1)
                return first;
            a.Roll(content[i], content[i + window]);
            b.Roll(content[lane + i], content[lane + i + window]);
            c.Roll(content[2 * lane + i], content[2 * lane + i + window]);
            d.Roll(content[3 * lane + i], content[3 * lane + i + window]);
        }
    }

    private BlockHash? Confirm(ReadOnlySpan<byte> content, int start, WeakChecksum weak, IDeltaSources sources) => sources.Find(weak, content.Slice(start, _window));
}
