using System.Runtime.ExceptionServices;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

internal sealed partial class FileData
{
    /// <summary>Takes everything that is in flight of a file into its manifest, together with its size and times, in the open transaction.</summary>
    /// <param name="inode">The file; pinned by the caller.</param>
    /// <param name="sealedSync">When what is sealed already is brought to disk.</param>
    /// <param name="alongside">Done under the same hold of the metadata lock as the end of the settling, and so in the same transaction; also where nothing is in flight.</param>
    /// <param name="cancellation">Ends the waiting before the settling, and that for what was sealed before: then all stays in flight. Not the settling.</param>
    public async ValueTask<FsResult> SettleAsync(Inode inode, SealedSync sealedSync, Func<FsResult>? alongside, CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                FileContent? content;
                // A write that found no memory, and gave up, leaves one that is clean.
                lock (inode.Gate)
                    content = inode.Content is { IsClean: false } dirty ? dirty : null;
                if (content is null)
                    return alongside?.Invoke() ?? FsResult.Ok;
                await content.SettleGate.WaitAsync(cancellation);
                try
                {
                    if (await SettleOnceAsync(inode, content, sealedSync, alongside, cancellation) is { } result)
                        return result;
                }
                finally
                {
                    content.SettleGate.Release();
                }
            }
        }
        catch (BlockStoreException e)
        {
            _unsettled.Tell($"inode {inode.Number} cannot be settled, its content stays in memory", e);
            return e.Error;
        }
    }

    /// <returns>Null where the content has been settled or dropped by another meanwhile: look anew.</returns>
    private async ValueTask<FsResult?> SettleOnceAsync(Inode inode, FileContent content, SealedSync sealedSync, Func<FsResult>? alongside, CancellationToken cancellation)
    {
        var synced = Task.CompletedTask;
        if (sealedSync != SealedSync.Later && SequenceToSync(inode, content) is { } sequence and > 0)
            synced = _blocks.Files.SyncAsync(sequence, cancellation).AsTask();
        if (sealedSync == SealedSync.Before)
            await synced;
        var released = new List<BlockHash>();
        try
        {
            for (int round = 0; ; round++)
            {
                if (await FreezeAsync(inode, content, cancellation) is not { } frozen)
                    return null;
                await SealAllAsync(inode, content, frozen.Jobs);
                await synced;
                lock (inode.Gate)
                {
                    bool changed = content.Structure != frozen.Structure;
                    if (!ReferenceEquals(inode.Content, content))
                        return null;
                    // What lay over a layer whose seal had failed before is newer than that layer, and belongs to the same state of the file: it is sealed in another round.
                    if (!changed && !frozen.LeavesNewer)
                    {
                        var result = CommitSettled(inode, content, frozen, alongside, released);
                        if (result.Error != Errno.ESTALE || !inode.IsGone)
                            return result;
                        // Changed when its purge was under way already.
                        Drop(inode, released);
                        return null;
                    }
                    if (round % Limits.SettleRounds == Limits.SettleRounds - 1)
                        _logger.LogWarning("inode {Inode}: truncations have interrupted its settling {Rounds} times", inode.Number, round + 1);
                }
            }
        }
        finally
        {
            lock (inode.Gate)
            {
                content.Freezing = false;
                if (ReferenceEquals(inode.Content, content))
                    OfferComplete(inode, content);
            }
            _sealer.ReleaseNamed(released);
            // Where it was not waited for: its failure is told to whoever needs what it was about.
            await synced.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static long? SequenceToSync(Inode inode, FileContent content)
    {
        lock (inode.Gate)
            return content.Slots.Values.Where(s => s.Uncommitted).Select(s => (long?)s.Base.WriteSequence).Max();
    }

    /// <summary>Freezes every block that needs it, and with them the size and times that they belong to.</summary>
    private async ValueTask<Frozen?> FreezeAsync(Inode inode, FileContent content, CancellationToken cancellation)
    {
        while (true)
        {
            Task others;
            lock (inode.Gate)
            {
                if (!ReferenceEquals(inode.Content, content) || content.IsClean)
                    return null;
                content.Freezing = true;
                others = content.WhenNoSeals();
                if (others.IsCompleted)
                {
                    var attributes = inode.Snapshot();
                    var jobs = new List<SealJob>();
                    bool leavesNewer = false;
                    foreach (var (index, slot) in content.Slots)
                    {
                        int length = LengthOf(index, attributes.Size);
                        if (slot.NeedsSeal && length > 0 && content.Freeze(index, slot, length) is { } job)
                        {
                            jobs.Add(job);
                            leavesNewer |= slot.Top is not null || slot.Reseal;
                        }
                    }
                    return new Frozen(jobs, leavesNewer, content.Structure, attributes.Size, attributes.ModifyTime, _metadata.RedoMark(inode.Number));
                }
            }
            await others.WaitAsync(cancellation);
        }
    }

    /// <summary>Brings every job to its end, whatever happens to the others: an unfinished one would hold its block, and whoever settles the file, for ever.</summary>
    /// <exception cref="BlockStoreException">One failed; the first failure is told.</exception>
    private async ValueTask SealAllAsync(Inode inode, FileContent content, List<SealJob> jobs)
    {
        Exception? failure = null;
        if (jobs.Count <= 2)
        {
            foreach (var job in jobs)
                await EndAsync(job);
        }
        else
        {
            await Parallel.ForEachAsync(jobs, new ParallelOptions { MaxDegreeOfParallelism = Limits.SealWorkers, TaskScheduler = Sealing }, (job, _) => EndAsync(job));
        }
        if (failure is not null)
            ExceptionDispatchInfo.Throw(failure);

        async ValueTask EndAsync(SealJob job)
        {
            try
            {
                await SealOneAsync(inode, content, job);
            }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref failure, e, null);
            }
        }
    }

    private async ValueTask SealOneAsync(Inode inode, FileContent content, SealJob job)
    {
        SealedBlock? made = null;
        bool isWanted;
        lock (inode.Gate)
            isWanted = content.Has(job.Index, job.Slot);
        try
        {
            // A file that was deleted meanwhile, or made shorter, needs no block.
            if (isWanted)
                made = await _sealer.SealAsync(inode.Number, job, job.Slot.Base.Length, CancellationToken.None);
        }
        finally
        {
            BlockHash released;
            lock (inode.Gate)
                released = content.Finish(job, made);
            _sealer.Release(released);
        }
    }

    /// <summary>Brings the settled state into the open transaction. Call with the gate held.</summary>
    private FsResult CommitSettled(Inode inode, FileContent content, Frozen frozen, Func<FsResult>? alongside, List<BlockHash> released)
    {
        var blocks = content.Slots.Where(s => s.Value.Uncommitted).OrderBy(s => s.Key)
            .Select(s => new ManifestBlock(s.Key, s.Value.Base.Hash, s.Value.Base.Length, s.Value.Base.WeakChecksum, s.Value.Base.StoredBytes, s.Value.Base.WriteSequence)).ToList();
        var result = CommitBlocks(inode, content, frozen, blocks, alongside);
        if (!result.IsOk)
            return result;
        Named?.Invoke(blocks);
        content.Committed(released, _time.GetTimestamp());
        RefreshAllocation(inode);
        if (content.IsClean)
            MarkClean(inode);
        else
            _dirty.Renew(inode);
        return FsResult.Ok;
    }

    /// <summary>One transaction, the metadata lock free between its steps, so that a large file holds up nobody.</summary>
    private FsResult CommitBlocks(Inode inode, FileContent content, Frozen frozen, List<ManifestBlock> blocks, Func<FsResult>? alongside)
    {
        lock (_metadata.Lock)
            _committer.Hold();
        try
        {
            int done = 0;
            while (true)
            {
                var step = blocks.GetRange(done, Math.Min(Limits.CommitChunk, blocks.Count - done));
                lock (_metadata.Lock)
                {
                    var result = _metadata.CommitContent(inode, new ContentCommit
                    {
                        Size = frozen.Size,
                        ModifyTime = frozen.ModifyTime,
                        TruncateToBlocks = done == 0 ? content.TruncatedTo : null,
                        Punched = done == 0 ? [.. content.Punched.Select(p => (p.First, p.Count))] : [],
                        Logged = done + step.Count == blocks.Count ? frozen.Logged : default,
                        Blocks = step,
                    });
                    if (!result.IsOk)
                    {
                        if (done > 0)
                            Tear(content, result.Error);
                        return result;
                    }
                    done += step.Count;
                    if (done < blocks.Count)
                        continue;
                    Mend(content);
                    return alongside?.Invoke() ?? result;
                }
            }
        }
        finally
        {
            lock (_metadata.Lock)
                _committer.Release();
        }
    }

    /// <summary>A crash is to find the file in no state that it never had. Call with the gate and the metadata lock held.</summary>
    private void Tear(FileContent content, Errno error)
    {
        if (!content.IsTorn)
            _committer.Tear(error);
        content.IsTorn = true;
    }

    /// <summary>The open transaction has all of it, or the file is gone. Call with the gate and the metadata lock held.</summary>
    private void Mend(FileContent content)
    {
        if (content.IsTorn)
            _committer.Mend();
        content.IsTorn = false;
    }

    private static void RefreshAllocation(Inode inode)
    {
        lock (inode)
            inode.Current = inode.Current with { AllocatedBytes = inode.Committed.AllocatedBytes };
    }

    /// <param name="Jobs">Layers to seal.</param>
    /// <param name="LeavesNewer">Under some of them the seal had failed before, and what was written since lies over it and is not frozen yet.</param>
    /// <param name="Structure">Of the content at that moment.</param>
    /// <param name="Size">Of the file at that moment, bytes.</param>
    /// <param name="ModifyTime">At that moment.</param>
    /// <param name="Logged">What the redo log had of it at that moment.</param>
    private sealed record Frozen(List<SealJob> Jobs, bool LeavesNewer, long Structure, long Size, Timestamp ModifyTime, RedoMark Logged);
}

/// <summary>When a settling brings to disk what was sealed before it began. The transaction that refers to it is committed when it is there, in any case.</summary>
internal enum SealedSync
{
    /// <summary>With the commit, which waits for it.</summary>
    Later,

    /// <summary>Before the settling, so that the commit of others need not wait, nor an fsync for more of the settling than it must.</summary>
    Before,

    /// <summary>While the rest is sealed: somebody waits for all of it.</summary>
    Meanwhile,
}
