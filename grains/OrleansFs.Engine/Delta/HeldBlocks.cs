using System.Collections.Concurrent;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>Blocks that replicas are being told to build others out of: they are not collected meanwhile, so that they stay on the replicas. Thread-safe.</summary>
/// <remarks>Who holds a block looks it up afterwards; who deletes its row looks here under the same lock (<see cref="Metadata.MetadataStore.IsHeld"/>). So either the row is gone and the block is not used, or it stays.</remarks>
internal sealed class HeldBlocks
{
    private readonly ConcurrentDictionary<BlockHash, int> _holds = new();

    public bool Contains(BlockHash hash) => _holds.ContainsKey(hash);

    public void Hold(BlockHash hash) => _holds.AddOrUpdate(hash, 1, (_, holds) => holds + 1);

    public void Release(BlockHash hash)
    {
        while (_holds.TryGetValue(hash, out int holds))
        {
            if (holds == 1 ? _holds.TryRemove(new(hash, 1)) : _holds.TryUpdate(hash, holds - 1, holds))
                return;
        }
    }
}
