using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>A lock for each of 256 classes of blocks, taken by whoever stores or deletes the file of a block, so that the two never overlap for one hash.</summary>
/// <remarks>
/// Storing, with the lock held: if the block is suspect or known to be damaged, or neither pinned nor known by its row with its file there, write the file; pin it; let go. Unpin when the transaction that names it
/// is in the database. Deleting, with the lock held: if there is neither a row nor a pin, unlink the file. So a block that is stored while it is being collected is either
/// kept or written anew. Order: this lock, then the metadata lock.
/// </remarks>
internal sealed class BlockLocks
{
    private readonly Lock[] _locks = [.. Enumerable.Range(0, 256).Select(_ => new Lock())];

    /// <summary>The lock of a block: <c>lock (locks.For(hash))</c>.</summary>
    public Lock For(BlockHash hash) => _locks[hash.FirstByte];
}

/// <summary>What is known of a pinned block: enough to make its row, should that have been collected meanwhile.</summary>
internal readonly record struct PendingBlock(StoredBlock Stored, WeakChecksum Weak);

/// <summary>Blocks whose files are stored and wanted, and which no committed manifest refers to yet, or not on behalf of the one who pinned them. Thread-safe.</summary>
/// <remarks>
/// Invariants:
/// 1. While a block is pinned its file is not deleted: who deletes looks here under the block's lock, and pins are made under that lock.
/// 2. A pin is taken back once: after the transaction that names the block has been committed to the open transaction, or after what wanted it is gone. Taking back needs no lock: at worst a deletion that could have
///    been done is left for the next collection.
/// 3. As many entries as there are sealed blocks without a commit: the content layer bounds those.
/// 4. A block that was stored, and whose last pin went without a manifest that names it, is abandoned: its file is to be deleted, and counts until it is. So many are remembered; of more the files are left to a sweep.
/// </remarks>
internal sealed class PendingBlocks
{
    private readonly Lock _lock = new();
    private readonly Dictionary<BlockHash, Entry> _entries = [];

    /// <summary>What the files of abandoned blocks take, bytes.</summary>
    private readonly Dictionary<BlockHash, long> _abandoned = [];
    private long _storedBytes;
    private bool _isOverflown;

    /// <summary>Blocks pinned now.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
                return _entries.Count;
        }
    }

    /// <summary>What the files take on disk that were stored for blocks pinned now, or abandoned, bytes. Takes no lock.</summary>
    public long StoredBytes => Volatile.Read(ref _storedBytes);

    /// <summary>There are abandoned blocks.</summary>
    public bool HasAbandoned
    {
        get
        {
            lock (_lock)
                return _abandoned.Count > 0;
        }
    }

    /// <summary>The abandoned blocks.</summary>
    public IReadOnlyList<BlockHash> Abandoned()
    {
        lock (_lock)
            return [.. _abandoned.Keys];
    }

    /// <summary>Whether there were more abandoned blocks than are remembered, since this was last asked.</summary>
    public bool TakeOverflow()
    {
        lock (_lock)
        {
            bool was = _isOverflown;
            _isOverflown = false;
            return was;
        }
    }

    /// <summary>The file of an abandoned block is gone, or a row speaks of it. Called with the block's lock held, and where it is not pinned.</summary>
    public void Forget(BlockHash hash)
    {
        lock (_lock)
            ForgetNow(hash);
    }

    /// <summary>Pins a block whose file is there: just stored, or found by its row. Called with the block's lock held. What is told of a block that is pinned already is the newer.</summary>
    public void Pin(BlockHash hash, PendingBlock block)
    {
        lock (_lock)
        {
            ForgetNow(hash);
            ref var entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_entries, hash, out _);
            _storedBytes += Stored(block) - (entry.Pins > 0 ? Stored(entry.Block) : 0);
            entry = new Entry(block, entry.Pins + 1);
        }
    }

    /// <summary>Pins once more a block that is pinned already; false where it is not. Called with the block's lock held.</summary>
    public bool TryPin(BlockHash hash, out PendingBlock block)
    {
        lock (_lock)
        {
            ref var entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, hash);
            if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref entry))
            {
                block = default;
                return false;
            }
            block = entry.Block;
            entry = entry with { Pins = entry.Pins + 1 };
            return true;
        }
    }

    /// <summary>True where the block is pinned. A false holds for as long as the block's lock is held.</summary>
    public bool Contains(BlockHash hash)
    {
        lock (_lock)
            return _entries.ContainsKey(hash);
    }

    /// <summary>Takes back one pin, after the transaction that refers to the block is in the database, or after the content that wanted it is gone.</summary>
    /// <param name="hash">The block.</param>
    /// <param name="isNamed">A manifest names it.</param>
    /// <exception cref="InvalidOperationException">The block is not pinned: a bug in the caller.</exception>
    public void Unpin(BlockHash hash, bool isNamed = false)
    {
        lock (_lock)
        {
            ref var entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, hash);
            if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref entry))
                throw new InvalidOperationException($"block {hash} is not pinned");
            if (entry.Pins == 1)
            {
                long stored = Stored(entry.Block);
                _entries.Remove(hash);
                if (isNamed || stored == 0)
                    _storedBytes -= stored;
                else
                    Abandon(hash, stored);
            }
            else
            {
                entry = entry with { Pins = entry.Pins - 1 };
            }
        }
    }

    private void Abandon(BlockHash hash, long stored)
    {
        if (_abandoned.Count < BlockLimits.AbandonedBlocks)
        {
            _abandoned.Add(hash, stored);
            return;
        }
        _storedBytes -= stored;
        _isOverflown = true;
    }

    private void ForgetNow(BlockHash hash)
    {
        if (_abandoned.Remove(hash, out long stored))
            _storedBytes -= stored;
    }

    /// <summary>One that was there before counts with its row.</summary>
    private static long Stored(in PendingBlock block) => block.Stored.WriteSequence > 0 ? block.Stored.StoredBytes : 0;

    private readonly record struct Entry(PendingBlock Block, int Pins);
}
