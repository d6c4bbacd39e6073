using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>Blocks that have no file of their own here, as they can be put together out of others that have.</summary>
internal interface IComposedBlocks
{
    /// <summary>The length of the content; <see cref="BlockReadStatus.Missing"/> where the block is not composed, or a file that it needs is not there. Reads no file.</summary>
    BlockReadResult Inspect(BlockHash hash);

    /// <summary>The block is composed, and every file that it needs is there and on disk: another file may rely on it.</summary>
    bool IsReliable(BlockHash hash);

    /// <summary>Puts the block together and checks it. <see cref="BlockReadStatus.Missing"/> where it is not composed, or a source is not there or not whole.</summary>
    /// <param name="hash">The block.</param>
    /// <param name="destination">Has room for the length that the block is known to have, at least.</param>
    /// <param name="given">Contents of sources that were had from elsewhere; null where there are none.</param>
    BlockReadResult Read(BlockHash hash, Span<byte> destination, IReadOnlyDictionary<BlockHash, ReadOnlyMemory<byte>>? given = null);

    /// <summary>The sources of a composed block that cannot be read here, with what is wrong with each. Reads their files. None where the block is not composed.</summary>
    IReadOnlyList<(BlockHash Source, BlockReadResult Fault)> FaultySources(BlockHash hash);

    /// <summary>Somebody has read the block for its content.</summary>
    void NoteUse(BlockHash hash);
}
