using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>Where blocks come from that are not in a file here.</summary>
internal interface IBlockSource
{
    /// <summary>There is no other copy: a block that is not here is lost.</summary>
    bool IsAlone { get; }

    /// <summary>The whole content of a block; null where it cannot be had. Waits, within a bound.</summary>
    ValueTask<ReadOnlyMemory<byte>?> FetchAsync(BlockHash hash, CancellationToken cancellation);

    /// <summary>The same, and waits until the block is kept here, where it can be. False where it cannot be had.</summary>
    ValueTask<bool> FetchAndKeepAsync(BlockHash hash, CancellationToken cancellation);

    /// <summary>Blocks that will be wanted soon and are not here. A hint.</summary>
    void FetchAhead(IReadOnlyList<BlockHash> hashes);
}
