namespace OrleansFs.Engine.Delta;

/// <summary>Decides for which blocks a search is worth its price, by what it gave in the same file. Not thread-safe.</summary>
/// <remarks>Each file begins with a credit. A block that is searched takes from it, a find fills it up; without credit every <see cref="DeltaLimits.ProbeEvery"/>th block is searched.</remarks>
internal sealed class DeltaGate(DeltaMode mode, int blockSize)
{
    private readonly int _credit = Math.Max(DeltaLimits.CreditBlocks, DeltaLimits.CreditBytes / blockSize);
    private readonly Dictionary<ulong, int> _credits = [];

    /// <summary>Whether to search for the content of a block. Takes from the credit where the answer is yes.</summary>
    public bool Admits(ulong stream, long index)
    {
        if (mode != DeltaMode.Auto)
            return mode == DeltaMode.Always;
        int credit = _credits.GetValueOrDefault(stream, _credit);
        if (credit <= 0)
            return index % DeltaLimits.ProbeEvery == 0;
        Set(stream, credit - 1);
        return true;
    }

    /// <summary>A search has given something.</summary>
    public void Found(ulong stream) => Set(stream, _credit);

    private void Set(ulong stream, int credit)
    {
        if (_credits.Count >= DeltaLimits.Streams)
            _credits.Clear();
        _credits[stream] = credit;
    }
}
