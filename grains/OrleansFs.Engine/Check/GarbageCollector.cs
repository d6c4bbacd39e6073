using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Check;

/// <summary>What a collection did, or would do.</summary>
/// <param name="Blocks">Blocks that nothing referred to, now deleted.</param>
/// <param name="Strays">Files in the block folders that no row speaks of, now deleted.</param>
/// <param name="Bytes">Bytes of files freed.</param>
public readonly record struct CollectionReport(long Blocks, long Strays, long Bytes);

/// <summary>
/// Deletes blocks that nothing refers to, in an order in which nothing can be lost: the row, in a transaction that looks again; the transaction to disk; then the file, and only where neither a row nor a pin has come
/// back. Row and file each go under the lock that whoever stores the same block takes.
/// </summary>
/// <remarks>
/// What a crash leaves: before the transaction is on disk, a row whose file is still there; after it, a file without a row, which the next sweep deletes. A loss of power cannot
/// bring a row back whose file is gone, since files go after the sync. One collection at a time.
/// </remarks>
internal sealed class GarbageCollector(
    MetadataStore metadata, BlockFiles files, BlockLocks locks, PendingBlocks pending, ContentHolds holds, Committer committer, TimeProvider time, ILogger logger)
    : IDisposable
{
    private readonly SemaphoreSlim _one = new(1, 1);
    private bool _isDeleting;

    /// <summary>Blocks whose rows are deleted, and whose files may still be there. Of whoever has <see cref="_one"/>.</summary>
    private readonly List<BlockHash> _rowless = [];

    /// <summary>Rows are gone whose files are still there: their room is to be had by a collection, which waits for the one under way, and ends what that could not.</summary>
    public bool IsDeleting => Volatile.Read(ref _isDeleting);

    /// <summary>Puts composed blocks that need a block back into files; false where that failed, and the block must stay. Null where there are none.</summary>
    public Func<BlockHash, CancellationToken, ValueTask<bool>>? Release { get; set; }

    /// <summary>Collects.</summary>
    /// <param name="grace">How long a block has to have been unused, and a stray file to have been there.</param>
    /// <param name="sweep">Also walk through the block folders for files that no row speaks of. Takes time in proportion to all blocks.</param>
    /// <param name="dryRun">Delete nothing, count only.</param>
    /// <param name="progress">Told what has been done so far.</param>
    /// <param name="cancellation">Stops between steps.</param>
    /// <exception cref="BlockStoreException">The disk fails.</exception>
    public async Task<CollectionReport> CollectAsync(TimeSpan grace, bool sweep, bool dryRun, IProgress<CollectionReport>? progress, CancellationToken cancellation)
    {
        await _one.WaitAsync(cancellation);
        try
        {
            // Without grace, also what died in this moment, and what died before the wall clock was set back.
            var before = grace <= TimeSpan.Zero ? new Timestamp(long.MaxValue) : Timestamp.From(time.GetUtcNow() - grace);
            var report = await CollectDeadAsync(before, dryRun, progress, cancellation);
            return sweep ? await Task.Run(() => Sweep(grace, dryRun, report, progress, cancellation), cancellation) : report;
        }
        finally
        {
            Volatile.Write(ref _isDeleting, _rowless.Count > 0);
            _one.Release();
        }
    }

    /// <summary>Deletes the files of blocks that were stored and that no manifest came to name.</summary>
    /// <exception cref="BlockStoreException">The disk fails.</exception>
    public async Task DeleteAbandonedAsync(CancellationToken cancellation)
    {
        if (!pending.HasAbandoned)
            return;
        await _one.WaitAsync(cancellation);
        try
        {
            // One of them may have had a row before, which has to be gone on disk.
            await DeleteFilesAsync(default);
            foreach (var hash in pending.Abandoned())
            {
                cancellation.ThrowIfCancellationRequested();
                DeleteOrLeave(hash);
            }
        }
        finally
        {
            Volatile.Write(ref _isDeleting, _rowless.Count > 0);
            _one.Release();
        }
    }

    /// <summary>Deletes files that no row speaks of and nobody is about to name, however young, with pauses in between: what a kill has left, and what was abandoned and forgotten.</summary>
    /// <returns>How many.</returns>
    /// <exception cref="BlockStoreException">The disk fails.</exception>
    public async Task<long> SweepGentlyAsync(CancellationToken cancellation)
    {
        var strays = new List<BlockHash>();
        long seen = 0, deleted = 0;
        foreach (var entry in files.Enumerate())
        {
            if (entry.Hash is { } hash && !metadata.TryGetBlock(hash, out _) && !pending.Contains(hash))
                strays.Add(hash);
            if (++seen % Limits.CollectBatch != 0)
                continue;
            deleted += await DeleteStraysAsync(strays, cancellation);
            await Task.Delay(Limits.TakeUpPause, time, cancellation);
        }
        return deleted + await DeleteStraysAsync(strays, cancellation);
    }

    public void Dispose() => _one.Dispose();

    private async ValueTask<long> DeleteStraysAsync(List<BlockHash> strays, CancellationToken cancellation)
    {
        if (strays.Count == 0)
            return 0;
        long deleted = 0;
        await _one.WaitAsync(cancellation);
        try
        {
            // The row of one may have been deleted just now, and by a transaction that is not on disk.
            var durable = await committer.DurableAsync(CancellationToken.None);
            if (!durable.IsOk)
                throw new BlockStoreException(durable.Error, "a sweep cannot be committed");
            foreach (var hash in strays)
                deleted += DeleteOrLeave(hash) ? 1 : 0;
        }
        finally
        {
            _one.Release();
        }
        strays.Clear();
        return deleted;
    }

    private async Task<CollectionReport> CollectDeadAsync(Timestamp before, bool dryRun, IProgress<CollectionReport>? progress, CancellationToken cancellation)
    {
        // What an earlier one could not end comes first.
        var report = dryRun ? default : await DeleteFilesAsync(default);
        DeadBlock? after = null;
        while (metadata.DeadBlocks(before, Limits.CollectBatch, after) is [.., var last] dead)
        {
            after = last;
            Volatile.Write(ref _isDeleting, !dryRun);
            try
            {
                // What is composed goes first: then what it is made of need not be released.
                foreach (var block in dead.OrderBy(b => metadata.IsComposed(b.Hash) ? 0 : 1))
                {
                    cancellation.ThrowIfCancellationRequested();
                    if (dryRun)
                        report = report with { Blocks = report.Blocks + 1, Bytes = report.Bytes + (files.DiskBytes(block.Hash) ?? 0) };
                    else if (!pending.Contains(block.Hash) && !holds.Contains(block.Hash) && await ReleaseAsync(block.Hash, cancellation) && DeleteRow(block.Hash))
                        _rowless.Add(block.Hash);
                }
            }
            finally
            {
                // Also where it ends here: nothing but a sweep would find these files again.
                report = await DeleteFilesAsync(report);
            }
            Volatile.Write(ref _isDeleting, _rowless.Count > 0);
            progress?.Report(report);
        }
        return report;
    }

    /// <summary>Brings to disk that rows are gone, and deletes their files. What fails is left to the next collection.</summary>
    private async ValueTask<CollectionReport> DeleteFilesAsync(CollectionReport report)
    {
        if (_rowless.Count == 0)
            return report;
        var durable = await committer.DurableAsync(CancellationToken.None);
        if (!durable.IsOk)
            throw new BlockStoreException(durable.Error, "the collection cannot be committed");
        for (int i = _rowless.Count - 1; i >= 0; i--)
        {
            try
            {
                report = report with { Blocks = report.Blocks + 1, Bytes = report.Bytes + DeleteFile(_rowless[i]) };
                _rowless.RemoveAt(i);
            }
            catch (BlockStoreException e)
            {
                logger.LogWarning(e, "the file of a block that nothing refers to is left for now");
            }
        }
        return report;
    }

    private ValueTask<bool> ReleaseAsync(BlockHash hash, CancellationToken cancellation) => Release?.Invoke(hash, cancellation) ?? new(true);

    private bool DeleteRow(BlockHash hash)
    {
        // Blocks are pinned under the one lock, and held under the other. A pin looked for only when the file goes would come too late for a composed block: all there is of it goes with the row.
        lock (locks.For(hash))
        {
            lock (metadata.Lock)
                return !pending.Contains(hash) && !holds.Contains(hash) && metadata.DeleteDeadBlock(hash);
        }
    }

    private CollectionReport Sweep(TimeSpan grace, bool dryRun, CollectionReport report, IProgress<CollectionReport>? progress, CancellationToken cancellation)
    {
        var before = Timestamp.From(time.GetUtcNow() - grace);
        long seen = 0;
        foreach (var entry in files.Enumerate())
        {
            cancellation.ThrowIfCancellationRequested();
            if (++seen % Limits.CollectBatch == 0)
                progress?.Report(report);
            if (entry.ModifyTime > before || entry.Hash is not { } hash || metadata.TryGetBlock(hash, out _) || pending.Contains(hash))
                continue;
            long bytes = dryRun ? files.DiskBytes(hash) ?? 0 : DeleteFile(hash);
            if (bytes > 0)
                report = report with { Strays = report.Strays + 1, Bytes = report.Bytes + bytes };
        }
        if (!dryRun)
            files.DeleteTemporaries(Limits.TemporaryAge);
        return report;
    }

    /// <summary>Deletes the file of a block without a row; one that cannot be deleted is left to the sweep after the next start.</summary>
    private bool DeleteOrLeave(BlockHash hash)
    {
        try
        {
            return DeleteFile(hash) > 0;
        }
        catch (BlockStoreException e)
        {
            logger.LogWarning(e, "a block file that nothing refers to is left for now");
            pending.Forget(hash);
            return false;
        }
    }

    /// <returns>Bytes freed; 0 where the block has come back, or was gone.</returns>
    private long DeleteFile(BlockHash hash)
    {
        lock (locks.For(hash))
        {
            if (pending.Contains(hash) || holds.Contains(hash))
                return 0;
            bool hasRow = metadata.TryGetBlock(hash, out _);
            long bytes = hasRow ? 0 : files.DiskBytes(hash) ?? 0;
            bool isDeleted = !hasRow && files.Delete(hash);
            pending.Forget(hash);
            if (!isDeleted)
                return 0;
            logger.LogDebug("block {Hash} collected", hash);
            return bytes;
        }
    }
}
