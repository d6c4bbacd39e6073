using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>Where in the sources the runs that were encoded last have ended: what comes next in the file is likely to go on from there. For one replica; not thread-safe.</summary>
/// <remarks>A hint: who takes one looks at the source first. When there are too many all are forgotten, and the block before a run is searched in their place.</remarks>
internal sealed class DeltaTrail
{
    private readonly Dictionary<(ulong Stream, long Index), DeltaPosition> _ends = [];

    /// <summary>A run has ended before a block, and its content is that up to a place in a source.</summary>
    public void Note(ulong stream, long index, DeltaPosition end)
    {
        if (_ends.Count >= DeltaLimits.TrailEnds)
            _ends.Clear();
        _ends[(stream, index)] = end;
    }

    /// <summary>Where what lies before a block ended; null where that is not known. Told once.</summary>
    public DeltaPosition? Take(ulong stream, long index) => _ends.Remove((stream, index), out var end) ? end : null;
}
