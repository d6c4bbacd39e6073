namespace OrleansFs.Engine.Blocks;

/// <summary>Blocks to be fetched before they are asked for.</summary>
internal readonly record struct ReadAheadRange(long FirstBlock, int Count)
{
    public bool IsEmpty => Count == 0;
}

/// <summary>Decides, for one open file, which blocks to read ahead: none unless access is sequential. No I/O of its own: for blocks that have to come from another copy; those that are here are the kernel's to read ahead.</summary>
/// <remarks>A struct without allocation, for the file's own object to hold. Calls that race give a worse guess and nothing else.</remarks>
internal struct ReadAhead
{
    private long _expected;
    private long _fetched;
    private int _reads;

    /// <summary>Told each read before it is done.</summary>
    /// <param name="offset">First byte read.</param>
    /// <param name="length">Bytes read.</param>
    /// <param name="blockSize">S.</param>
    /// <returns>What to fetch now; may reach beyond the end of the file. Empty for random access, and while enough has been fetched before.</returns>
    public ReadAheadRange Observe(long offset, int length, int blockSize)
    {
        // The kernel sends the parts of a large read to several threads: one may be seen a little early or late.
        long slack = 2L * length;
        long end = offset + length;
        if (offset < _expected - slack || offset > _expected + slack)
        {
            _expected = end;
            _fetched = 0;
            _reads = 0;
            return default;
        }
        if (end <= _expected)
            return default;
        _expected = end;
        if (_reads < int.MaxValue)
            _reads++;
        if (_reads < BlockLimits.SequentialReads)
            return default;
        // Two blocks at first, twice as many with each read, up to the bound.
        long most = Math.Max(1, BlockLimits.ReadAheadBytes / blockSize);
        long window = Math.Min(most, 2L << Math.Min(_reads - BlockLimits.SequentialReads, 24));
        long next = (_expected - 1) / blockSize + 1;
        long from = Math.Max(next, _fetched);
        long to = next + window;
        // In halves of the window: fewer and longer fetches.
        if (to - from < (window + 1) / 2)
            return default;
        _fetched = to;
        return new ReadAheadRange(from, (int)(to - from));
    }
}
