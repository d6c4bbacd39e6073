using System.Buffers;
using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>A block that a reader wants: its name and the length that the manifest gives it.</summary>
internal readonly record struct BlockReference(BlockHash Hash, int Length);

/// <summary>The blocks of one copy as the content layer sees them: files, with a bounded cache of contents in memory before them. Thread-safe.</summary>
/// <remarks>Invariants: 1. A block that is loaded into the cache is loaded once, however many want it. 2. What comes out of here has passed its checksum.</remarks>
internal sealed partial class BlockStore : IDisposable
{
    private readonly BlockCache _cache;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly Dictionary<BlockHash, TaskCompletionSource<BlockReadResult>> _loading = [];
    private readonly DiskReaders _readers;

    private BlockStore(BlockFiles files, long cacheBytes, ILogger logger)
    {
        Files = files;
        _cache = new BlockCache(cacheBytes);
        _logger = logger;
        _readers = new DiskReaders(logger);
    }

    /// <summary>The files under the cache.</summary>
    public BlockFiles Files { get; }

    /// <summary>Held by whoever stores or takes away one of them.</summary>
    public BlockLocks Locks { get; } = new();

    /// <summary>Memory that cached contents take, bytes.</summary>
    public long CachedBytes => _cache.Bytes;

    /// <summary>Opens the blocks under <paramref name="dataFolder"/>.</summary>
    /// <param name="dataFolder">The data folder of the copy.</param>
    /// <param name="cacheBytes">Bound on the contents kept in memory.</param>
    /// <param name="time">For the age of files.</param>
    /// <param name="logger">Told of corrupt blocks and failed syncs.</param>
    public static BlockStore Open(string dataFolder, long cacheBytes, TimeProvider time, ILogger<BlockStore> logger) =>
        new(BlockFiles.Open(dataFolder, time, logger), cacheBytes, logger);

    /// <summary>True where the content is all zero: such a block is a hole and is not stored.</summary>
    public static bool IsAllZero(ReadOnlySpan<byte> content) => !content.ContainsAnyExcept((byte)0);

    /// <summary>
    /// Reads part of a block. Completes at once where the block is in memory, here or in the kernel; waits for the disk on a thread that is made for it; where another reader is loading the same block it
    /// waits for that.
    /// A whole block goes from the file to <paramref name="destination"/> and is not kept. A small part is read by itself where the block's file has checksums of pieces, and is not kept either: the kernel keeps the pages. Of
    /// any other part the whole block is read, and is kept for the next reader.
    /// </summary>
    /// <param name="block">The block. A hole reads as zeros. The length is what the reader expects; a block that is shorter or longer is read as it is.</param>
    /// <param name="offset">First byte wanted.</param>
    /// <param name="destination">Filled up to the end of the block; the result's length says how far. Lent until completion.</param>
    /// <param name="isAlone">Who asks wants nothing else at the same time.</param>
    /// <param name="cancellation">Ends a wait for another reader's load.</param>
    private ValueTask<BlockReadResult> ReadHereAsync(BlockReference block, int offset, Memory<byte> destination, bool isAlone, CancellationToken cancellation)
    {
        if (block.Hash.IsHole)
        {
            int zeros = Math.Clamp(block.Length - offset, 0, destination.Length);
            destination.Span[..zeros].Clear();
            return new(BlockReadResult.Ok(zeros));
        }
        if (_cache.TryCopy(block.Hash, offset, destination.Span, out int copied))
            return new(BlockReadResult.Ok(copied));
        if (block.Length < BlockFormat.MinPieced || destination.Length > Math.Min(BlockLimits.PartRead, block.Length / 2))
            return LoadAsync(block, offset, destination, isAlone, cancellation);
        var part = Files.ReadPart(block.Hash, offset, destination.Span, now: true);
        return part.Kind switch
        {
            PartReadKind.Read => new(BlockReadResult.Ok(part.Length)),
            PartReadKind.MustWait => ReadPartAsync(block, offset, destination, isAlone, cancellation),
            _ => LoadAsync(block, offset, destination, isAlone, cancellation),
        };
    }

    private async ValueTask<BlockReadResult> ReadPartAsync(BlockReference block, int offset, Memory<byte> destination, bool isAlone, CancellationToken cancellation)
    {
        var part = await _readers.RunAsync(() => Files.ReadPart(block.Hash, offset, destination.Span, now: false), isShort: isAlone);
        return part.Kind == PartReadKind.Read ? BlockReadResult.Ok(part.Length) : await LoadAsync(block, offset, destination, isAlone, cancellation);
    }

    private ValueTask<BlockReadResult> LoadAsync(BlockReference block, int offset, Memory<byte> destination, bool isAlone, CancellationToken cancellation)
    {
        bool whole = offset == 0 && destination.Length >= block.Length;
        TaskCompletionSource<BlockReadResult>? other;
        lock (_lock)
        {
            if (!_loading.TryGetValue(block.Hash, out other) && !whole)
                _loading.Add(block.Hash, new TaskCompletionSource<BlockReadResult>(TaskCreationOptions.RunContinuationsAsynchronously));
        }
        if (other is not null)
            return ReadAfterAsync(other.Task, block, offset, destination, cancellation);
        if (whole)
        {
            return Files.TryRead(block.Hash, destination.Span[..block.Length]) is { IsOk: true } read
                ? new(read)
                : new(_readers.RunAsync(() => ReadWhole(block, destination.Span), isShort: isAlone && block.Length < BlockFormat.MinPieced));
        }
        return LoadNow(block, offset, destination.Span) is { } loaded ? new(loaded) : new(_readers.RunAsync(() => LoadAndCopy(block, offset, destination.Span), isShort: isAlone && block.Length < BlockFormat.MinPieced));
    }

    /// <summary>Ends the readers and closes all files. Does not sync. No call may be under way.</summary>
    public void Dispose()
    {
        _readers.Dispose();
        Files.Dispose();
    }

    private async ValueTask<BlockReadResult> ReadAfterAsync(Task<BlockReadResult> loading, BlockReference block, int offset, Memory<byte> destination, CancellationToken cancellation)
    {
        var loaded = await loading.WaitAsync(cancellation);
        if (!loaded.IsOk)
            return loaded;
        // It may have been evicted already where the cache is small; then this reader reads for itself.
        return _cache.TryCopy(block.Hash, offset, destination.Span, out int copied) ? BlockReadResult.Ok(copied) : ReadPart(block, offset, destination.Span, keep: false);
    }

    /// <summary>Does the load where it needs no wait for the disk. Null where it does, or where there is anything amiss: then the entry in <see cref="_loading"/> stays.</summary>
    private BlockReadResult? LoadNow(BlockReference block, int offset, Span<byte> destination)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(block.Length);
        if (Files.TryRead(block.Hash, buffer.AsSpan(0, block.Length)) is not { IsOk: true } read)
        {
            ArrayPool<byte>.Shared.Return(buffer);
            return null;
        }
        int copied = Math.Clamp(read.Length - offset, 0, destination.Length);
        buffer.AsSpan(Math.Min(offset, read.Length), copied).CopyTo(destination);
        _cache.Add(block.Hash, buffer, read.Length);
        var result = BlockReadResult.Ok(copied);
        EndLoad(block.Hash, result);
        return result;
    }

    /// <summary>Does a load that this thread has entered in <see cref="_loading"/>, and wakes who waits for it.</summary>
    private BlockReadResult LoadAndCopy(BlockReference block, int offset, Span<byte> destination)
    {
        var result = BlockReadResult.Unreadable(Errno.EIO);
        try
        {
            // Another load may have ended between the look into the cache and the entry made here.
            return result = _cache.TryCopy(block.Hash, offset, destination, out int copied) ? BlockReadResult.Ok(copied) : ReadPart(block, offset, destination, keep: true);
        }
        finally
        {
            EndLoad(block.Hash, result);
        }
    }

    private void EndLoad(BlockHash hash, BlockReadResult result)
    {
        TaskCompletionSource<BlockReadResult> waiting;
        lock (_lock)
        {
            waiting = _loading[hash];
            _loading.Remove(hash);
        }
        waiting.SetResult(result);
    }

    /// <summary>Reads a block into a buffer, copies from it, and gives the buffer to the cache or back.</summary>
    private BlockReadResult ReadPart(BlockReference block, int offset, Span<byte> destination, bool keep)
    {
        byte[]? buffer = ArrayPool<byte>.Shared.Rent(block.Length);
        try
        {
            var read = Files.Read(block.Hash, buffer.AsSpan(0, block.Length));
            Files.Composed?.NoteUse(block.Hash);
            if (read.Status == BlockReadStatus.Corrupt && Files.Inspect(block.Hash) is { IsOk: true } actual && actual.Length > block.Length)
            {
                // The manifest may know less of a block than it holds: a file that was cut within it.
                ArrayPool<byte>.Shared.Return(buffer);
                buffer = ArrayPool<byte>.Shared.Rent(actual.Length);
                read = Files.Read(block.Hash, buffer.AsSpan(0, actual.Length));
            }
            if (!read.IsOk)
                return Report(block, read);
            int copied = Math.Clamp(read.Length - offset, 0, destination.Length);
            buffer.AsSpan(Math.Min(offset, read.Length), copied).CopyTo(destination);
            if (keep)
            {
                var owned = buffer;
                buffer = null;
                _cache.Add(block.Hash, owned, read.Length);
            }
            return BlockReadResult.Ok(copied);
        }
        finally
        {
            if (buffer is not null)
                ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private BlockReadResult ReadWhole(BlockReference block, Span<byte> destination)
    {
        var read = Files.Read(block.Hash, destination[..block.Length]);
        Files.Composed?.NoteUse(block.Hash);
        return read.Status == BlockReadStatus.Corrupt ? ReadPart(block, 0, destination[..block.Length], keep: false) : read.IsOk ? read : Report(block, read);
    }

    private BlockReadResult Report(BlockReference block, BlockReadResult read)
    {
        // With another copy to ask, the read is not over.
        if (Source is null)
            _logger.LogError("block {Hash} cannot be read: {Reason}", block.Hash, read.Reason);
        return read;
    }
}
