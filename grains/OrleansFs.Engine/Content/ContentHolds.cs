using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

/// <summary>Blocks that somebody reads by hash: they are not collected, whatever becomes of the files that had them. Thread-safe; the innermost lock.</summary>
/// <remarks>
/// A block is held under the metadata lock, at a moment at which it has a row; who deletes a row looks here under the same lock, and who deletes a file looks again under the block's lock. So held content is
/// there until it is let go. Of no use for what a restart has to keep: that needs a lease.
/// </remarks>
internal sealed class ContentHolds
{
    private readonly Lock _lock = new();
    private readonly Dictionary<BlockHash, int> _held = [];
    private int _count;

    /// <summary>Holds blocks, all or none. False where as many are held as can be. Called with the metadata lock held.</summary>
    public bool TryHold(ReadOnlySpan<BlockHash> blocks)
    {
        lock (_lock)
        {
            if (_held.Count + blocks.Length > Limits.HeldBlocks)
                return false;
            foreach (var block in blocks)
            {
                if (!block.IsHole)
                    CollectionsMarshal.GetValueRefOrAddDefault(_held, block, out _)++;
            }
            Volatile.Write(ref _count, _held.Count);
            return true;
        }
    }

    /// <summary>Takes back what a hold has taken.</summary>
    public void Release(ReadOnlySpan<BlockHash> blocks)
    {
        lock (_lock)
        {
            foreach (var block in blocks)
            {
                if (block.IsHole)
                    continue;
                ref int count = ref CollectionsMarshal.GetValueRefOrNullRef(_held, block);
                if (--count == 0)
                    _held.Remove(block);
            }
            Volatile.Write(ref _count, _held.Count);
        }
    }

    public bool Contains(BlockHash block)
    {
        if (Volatile.Read(ref _count) == 0)
            return false;
        lock (_lock)
            return _held.ContainsKey(block);
    }
}

/// <summary>Content that is held: its blocks and its size.</summary>
/// <param name="Blocks">In order; the hole for a block of zeros.</param>
/// <param name="Size">Bytes.</param>
/// <param name="AllocatedBytes">Bytes of the blocks, holes left out.</param>
internal sealed record HeldContent(BlockHash[] Blocks, long Size, long AllocatedBytes);
