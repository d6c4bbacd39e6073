using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <content>Blocks that are not here, or not whole.</content>
internal sealed partial class BlockStore
{
    /// <summary>Other copies; null where there can be none.</summary>
    public IBlockSource? Source { get; set; }

    /// <summary>Told of each block that is read; null where nobody wants to know.</summary>
    public Action<BlockHash>? Used { get; set; }

    /// <summary>Told of each block that could not be read here and was had from no other copy; null where nobody wants to know.</summary>
    public Action<BlockHash>? Unreadable { get; set; }

    /// <summary>Reads part of a block, as <see cref="ReadHereAsync"/> does; one that is not here, or not whole, is had from another copy.</summary>
    /// <param name="block">The block. A hole reads as zeros.</param>
    /// <param name="offset">First byte wanted.</param>
    /// <param name="destination">Filled up to the end of the block; the result's length says how far. Lent until completion.</param>
    /// <param name="cancellation">Ends a wait.</param>
    /// <param name="isAlone">Who asks wants nothing else at the same time: a short read need not make room for another.</param>
    public ValueTask<BlockReadResult> ReadAsync(BlockReference block, int offset, Memory<byte> destination, CancellationToken cancellation, bool isAlone = false)
    {
        Used?.Invoke(block.Hash);
        var reading = ReadHereAsync(block, offset, destination, isAlone, cancellation);
        if (Source is not { } source)
            return reading;
        if (!reading.IsCompletedSuccessfully)
            return ReadOrFetchAsync(source, reading, block, offset, destination, cancellation);
        var read = reading.Result;
        return read.IsOk ? new(read) : ReadOrFetchAsync(source, new(read), block, offset, destination, cancellation);
    }

    private async ValueTask<BlockReadResult> ReadOrFetchAsync(IBlockSource source, ValueTask<BlockReadResult> reading, BlockReference block, int offset, Memory<byte> destination,
        CancellationToken cancellation)
    {
        var read = await reading;
        if (read.IsOk)
            return read;
        if (source.IsAlone)
            return Tell(block, read);
        if (read.Status == BlockReadStatus.Corrupt)
            _logger.LogWarning("block {Hash} is damaged and is had from another copy: {Reason}; moved to {Path}", block.Hash, read.Reason, Files.Quarantine(block.Hash));
        if (await source.FetchAsync(block.Hash, cancellation) is not { } content)
            return Tell(block, read);
        int copied = Math.Clamp(content.Length - offset, 0, destination.Length);
        content.Span.Slice(Math.Min(offset, content.Length), copied).CopyTo(destination.Span);
        return BlockReadResult.Ok(copied);
    }

    private BlockReadResult Tell(BlockReference block, BlockReadResult read)
    {
        _logger.LogError("block {Hash} cannot be read: {Reason}", block.Hash, read.Reason);
        Unreadable?.Invoke(block.Hash);
        return read;
    }
}
