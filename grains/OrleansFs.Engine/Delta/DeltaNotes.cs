using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>A block that was just made and stored, and where.</summary>
/// <param name="Hash">Its name.</param>
/// <param name="Stream">The file: its inode number.</param>
/// <param name="Index">Its place in the file, in blocks.</param>
/// <param name="Base">What was there before; a hole where nothing was.</param>
/// <param name="Length">Bytes of content.</param>
/// <param name="StoredBytes">What it takes on disk.</param>
internal readonly record struct SealedNote(BlockHash Hash, ulong Stream, long Index, BlockHash Base, int Length, int StoredBytes);

/// <summary>The blocks that were sealed last: where each was made, and over what. A ring: the oldest are forgotten. Thread-safe.</summary>
internal sealed class DeltaNotes
{
    private readonly Lock _lock = new();
    private readonly Dictionary<BlockHash, SealedNote> _notes = [];
    private readonly Dictionary<(ulong Stream, long Index), BlockHash> _places = [];
    private readonly Queue<BlockHash> _order = new();

    public void Add(in SealedNote note)
    {
        lock (_lock)
        {
            // A block that is made again keeps its place in the order: it may be forgotten early, which costs little.
            if (!_notes.ContainsKey(note.Hash))
                _order.Enqueue(note.Hash);
            _notes[note.Hash] = note;
            _places[(note.Stream, note.Index)] = note.Hash;
            if (_order.Count > DeltaLimits.Notes && _notes.Remove(_order.Dequeue(), out var oldest) && _places.TryGetValue((oldest.Stream, oldest.Index), out var there) && there == oldest.Hash)
                _places.Remove((oldest.Stream, oldest.Index));
        }
    }

    public bool TryGet(BlockHash hash, out SealedNote note)
    {
        lock (_lock)
            return _notes.TryGetValue(hash, out note);
    }

    /// <summary>The block that was last made in a place; null where none is remembered.</summary>
    public BlockHash? At(ulong stream, long index)
    {
        lock (_lock)
            return _places.TryGetValue((stream, index), out var hash) ? hash : null;
    }
}
