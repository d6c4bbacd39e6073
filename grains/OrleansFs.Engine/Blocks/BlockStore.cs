using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>A block that a reader wants: its name and the length that the manifest gives it.</summary>
internal readonly record struct BlockReference(BlockHash Hash, int Length);

/// <summary>The blocks of one copy as the content layer sees them: files, with a bounded cache of contents in memory before them. Thread-safe.</summary>
internal sealed class BlockStore : IDisposable
{
    private BlockStore() => throw new NotImplementedException();

    /// <summary>The files under the cache.</summary>
    public BlockFiles Files => throw new NotImplementedException();

    /// <summary>Opens the blocks under <paramref name="dataFolder"/>.</summary>
    /// <param name="dataFolder">The data folder of the copy.</param>
    /// <param name="cacheBytes">Bound on the contents kept in memory.</param>
    /// <param name="time">For the age of files.</param>
    /// <param name="logger">Told of corrupt blocks and failed syncs.</param>
    public static BlockStore Open(string dataFolder, long cacheBytes, TimeProvider time, ILogger<BlockStore> logger) => throw new NotImplementedException();

    /// <summary>True where the content is all zero: such a block is a hole and is not stored.</summary>
    public static bool IsAllZero(ReadOnlySpan<byte> content) => throw new NotImplementedException();

    /// <summary>
    /// Reads part of a block. Completes at once where the block is in memory or its file can be read by this thread; where another reader is loading the same block it waits for that.
    /// A whole block goes from the file to <paramref name="destination"/> and is not kept; of a partly read one the content is kept for the next reader.
    /// </summary>
    /// <param name="block">The block. A hole reads as zeros.</param>
    /// <param name="offset">First byte wanted.</param>
    /// <param name="destination">Filled up to the end of the block; the result's length says how far. Lent until completion.</param>
    /// <param name="cancellation">Ends a wait for another reader's load.</param>
    public ValueTask<BlockReadResult> ReadAsync(BlockReference block, int offset, Memory<byte> destination, CancellationToken cancellation) => throw new NotImplementedException();

    /// <summary>Loads blocks into the cache on the thread pool. A hint: what is there already, or is too much, is left out.</summary>
    public void Prefetch(ReadOnlySpan<BlockReference> blocks) => throw new NotImplementedException();

    /// <summary>Ends read-ahead and closes all files. Does not sync.</summary>
    public void Dispose() => throw new NotImplementedException();
}
