using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>A block file that is open for reading. Given back to <see cref="BlockDescriptors"/>, by each who got it.</summary>
internal sealed class OpenBlock(BlockHash hash)
{
    private const int NotYet = -1;

    private int _descriptor = NotYet;

    public BlockHash Hash { get; } = hash;

    /// <summary>The file. Only for who got this from <see cref="BlockDescriptors"/>; who is the first sets it.</summary>
    public int Descriptor
    {
        get => Volatile.Read(ref _descriptor);
        set => Volatile.Write(ref _descriptor, value);
    }

    public bool IsOpen => Descriptor != NotYet;

    /// <summary>What its head says, checked; null while nobody has looked.</summary>
    public BlockPieces? Pieces { get; set; }

    /// <summary>Its place in the order of use; null while it is not kept. With the next, guarded by the lock of <see cref="BlockDescriptors"/>.</summary>
    public LinkedListNode<OpenBlock>? Place { get; set; }

    /// <summary>Reads under way.</summary>
    public int Users { get; set; }
}

/// <summary>Block files that are kept open, so that a block that is read again is not looked up by its name again. Bounded, the least recently used is closed first. Thread-safe.</summary>
/// <remarks>
/// Invariants: 1. A file that was replaced, removed or moved after it was opened is not given out any more once <see cref="Forget"/> was called: an entry is in the index before its file is opened, so that
/// the call finds it. 2. A descriptor is closed when its entry is not kept and has no users, once. 3. The lock is held for memory only.
/// </remarks>
internal sealed class BlockDescriptors(int capacity)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<BlockHash, OpenBlock> _index = [];
    private readonly LinkedList<OpenBlock> _order = new();

    /// <summary>The entry of a block, for the caller to read from and give back. One that is not open yet is his to open.</summary>
    public OpenBlock Get(BlockHash hash)
    {
        int close = -1;
        OpenBlock? block;
        lock (_lock)
        {
            if (_index.TryGetValue(hash, out block))
            {
                // Another is opening it: this caller opens it for himself.
                if (!block.IsOpen)
                    return new OpenBlock(hash) { Users = 1 };
                _order.Remove(block.Place!);
                _order.AddFirst(block.Place!);
            }
            else
            {
                block = new OpenBlock(hash);
                block.Place = _order.AddFirst(block);
                _index.Add(hash, block);
                if (_index.Count > capacity)
                    close = Drop(_order.Last!.Value);
            }
            block.Users++;
        }
        Close(close);
        return block;
    }

    /// <summary>Ends a use. One that could not be opened is not kept.</summary>
    public void GiveBack(OpenBlock block)
    {
        int close = -1;
        lock (_lock)
        {
            block.Users--;
            if (!block.IsOpen && block.Place is not null)
                close = Drop(block);
            else if (block.Place is null && block.Users == 0)
                close = block.Descriptor;
        }
        Close(close);
    }

    /// <summary>The file of a block is another one now, or none.</summary>
    public void Forget(BlockHash hash)
    {
        int close = -1;
        lock (_lock)
        {
            if (_index.TryGetValue(hash, out var block))
                close = Drop(block);
        }
        Close(close);
    }

    /// <summary>Keeps none of them.</summary>
    public void Clear()
    {
        var close = new List<int>();
        lock (_lock)
        {
            while (_order.Last is { } last)
                close.Add(Drop(last.Value));
        }
        foreach (int descriptor in close)
            Close(descriptor);
    }

    /// <returns>What is to be closed; -1 where there is nothing, or somebody reads.</returns>
    private int Drop(OpenBlock block)
    {
        _index.Remove(block.Hash);
        _order.Remove(block.Place!);
        block.Place = null;
        return block.Users == 0 ? block.Descriptor : -1;
    }

    private static void Close(int descriptor)
    {
        if (descriptor >= 0)
            LinuxFile.Close(descriptor);
    }
}
