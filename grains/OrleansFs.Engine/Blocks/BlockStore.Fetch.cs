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
        if (read.Status == BlockReadStatus.Corrupt && QuarantineIfDamaged(block.Hash) is { } moved)
            _logger.LogWarning("block {Hash} is damaged and is had from another copy: {Reason}; moved to {Path}", block.Hash, read.Reason, moved);
        // A composed block may be nowhere else, and what it is made of may.
        if (await ComposeAsync(source, block, cancellation) is { } built)
            return Give(built, offset, destination);
        return await source.FetchAsync(block.Hash, cancellation) is { } content ? Give(content, offset, destination) : Tell(block, read);
    }

    /// <summary>Moves the file of a block out of the way (<see cref="BlockFiles.Quarantine"/>) where it is damaged still: whoever else found that may have stored the block again. Gives the new path; null where nothing was moved.</summary>
    public string? QuarantineIfDamaged(BlockHash hash)
    {
        lock (Locks.For(hash))
            return Files.VerifyFile(hash).Status == BlockReadStatus.Corrupt ? Files.Quarantine(hash) : null;
    }

    private static BlockReadResult Give(ReadOnlyMemory<byte> content, int offset, Memory<byte> destination)
    {
        int copied = Math.Clamp(content.Length - offset, 0, destination.Length);
        content.Span.Slice(Math.Min(offset, content.Length), copied).CopyTo(destination.Span);
        return BlockReadResult.Ok(copied);
    }

    /// <summary>Has what is missing or damaged of the sources of a composed block from another copy, and puts the block together. Null where it is not composed, or that is not to be had.</summary>
    private async ValueTask<ReadOnlyMemory<byte>?> ComposeAsync(IBlockSource source, BlockReference block, CancellationToken cancellation)
    {
        if (Files.Composed is not { } composed)
            return null;
        var faulty = await Task.Run(() => composed.FaultySources(block.Hash), cancellation);
        var given = new Dictionary<BlockHash, ReadOnlyMemory<byte>>();
        foreach (var (hash, fault) in faulty)
        {
            if (fault.Status == BlockReadStatus.Corrupt && QuarantineIfDamaged(hash) is { } moved)
                _logger.LogWarning("block {Hash}, of which {Target} is made, is damaged and is had from another copy: {Reason}; moved to {Path}", hash, block.Hash, fault.Reason, moved);
            if (await source.FetchAsync(hash, cancellation) is not { } content)
            {
                Unreadable?.Invoke(hash);
                return null;
            }
            given[hash] = content;
        }
        if (given.Count == 0)
            return null;
        byte[] built = new byte[BlockLimits.MaxContent];
        var read = await Task.Run(() => composed.Read(block.Hash, built, given), cancellation);
        if (!read.IsOk)
            return null;
        return built.AsMemory(0, read.Length);
    }

    private BlockReadResult Tell(BlockReference block, BlockReadResult read)
    {
        _logger.LogError("block {Hash} cannot be read: {Reason}", block.Hash, read.Reason);
        Unreadable?.Invoke(block.Hash);
        foreach (var (hash, fault) in Files.Composed?.FaultySources(block.Hash) ?? [])
        {
            _logger.LogError("block {Hash}, of which {Target} is made, cannot be read: {Reason}", hash, block.Hash, fault.Reason);
            Unreadable?.Invoke(hash);
        }
        return read;
    }
}
