using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>How blocks were built that a replica received as instructions, until a transaction names them. Bounded: what is forgotten stays in its file. Thread-safe.</summary>
internal sealed class ReceivedCompositions
{
    private readonly Lock _lock = new();
    private readonly Dictionary<BlockHash, Composition> _waiting = [];
    private readonly Queue<BlockHash> _order = [];
    private long _bytes;

    public void Add(Composition composition)
    {
        lock (_lock)
        {
            if (!_waiting.TryAdd(composition.Row.Hash, composition))
                return;
            _order.Enqueue(composition.Row.Hash);
            _bytes += composition.Row.Program.Length;
            while (_order.Count > DeltaLimits.ReceivedCompositions || _bytes > DeltaLimits.ReceivedBytes)
                Remove(_order.Dequeue());
        }
    }

    /// <summary>Those of some blocks; they are forgotten.</summary>
    public IReadOnlyList<Composition> Take(IEnumerable<BlockHash> named)
    {
        lock (_lock)
            return _waiting.Count == 0 ? [] : [.. named.Select(Remove).OfType<Composition>()];
    }

    private Composition? Remove(BlockHash hash)
    {
        if (!_waiting.Remove(hash, out var composition))
            return null;
        _bytes -= composition.Row.Program.Length;
        return composition;
    }
}
