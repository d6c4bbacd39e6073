using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>A lock for each of 256 classes of blocks, taken by whoever stores or deletes the file of a block.</summary>
internal sealed class BlockLocks
{
    /// <summary>The lock of a block: <c>lock (locks.For(hash))</c>.</summary>
    public Lock For(BlockHash hash) => throw new NotImplementedException();
}

/// <summary>What is known of a pinned block: enough to make its row, should that have been collected meanwhile.</summary>
internal readonly record struct PendingBlock(StoredBlock Stored, WeakChecksum Weak);

/// <summary>Blocks whose files are stored and wanted, and which no committed manifest refers to yet, or not on behalf of the one who pinned them.</summary>
internal sealed class PendingBlocks
{
    /// <summary>Blocks pinned now.</summary>
    public int Count => throw new NotImplementedException();

    /// <summary>Pins a block whose file is there: just stored, or found by its row. Called with the block's lock held.</summary>
    public void Pin(BlockHash hash, PendingBlock block) => throw new NotImplementedException();

    /// <summary>Pins once more a block that is pinned already; false where it is not. Called with the block's lock held.</summary>
    public bool TryPin(BlockHash hash, out PendingBlock block) => throw new NotImplementedException();

    /// <summary>True where the block is pinned. What it says holds for as long as the block's lock is held.</summary>
    public bool Contains(BlockHash hash) => throw new NotImplementedException();

    /// <summary>Takes back one pin, after the transaction that refers to the block is in the database, or after the content that wanted it is gone.</summary>
    public void Unpin(BlockHash hash) => throw new NotImplementedException();
}
