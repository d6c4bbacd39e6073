using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

internal sealed partial class FileData
{
    private readonly SemaphoreSlim _pressure = new(0, 1);

    /// <summary>The volume takes no mutations: reading leaves no trace either.</summary>
    public bool ReadOnly { get; set; }

    /// <summary>Whether changes are answered with EROFS now, as where another copy takes over.</summary>
    public required Func<bool> RefusesChanges { get; init; }

    /// <summary>Settles what is in flight and deletes what nothing refers to, before a full disk is a reason to refuse anything. True where there was room for a write then: who finds none, because others have had it, asks again.</summary>
    public required Func<CancellationToken, Task<bool>> MakeRoom { get; set; }

    /// <summary>Why content cannot be stored, in one line; null while it can.</summary>
    public string? Trouble { get; private set; }

    /// <summary>Seals blocks that are complete, until cancelled. Several run at once.</summary>
    public async Task SealCompleteAsync(CancellationToken cancellation)
    {
        await foreach (var request in _complete.Reader.ReadAllAsync(cancellation))
        {
            SealJob? job = null;
            lock (request.Inode.Gate)
            {
                bool due = request.Content.Has(request.Index, request.Slot) && !request.Content.Freezing && request.Slot is { Sealing: false, Frozen: null, Top.IsComplete: true }
                    && request.Content.Newest != request.Index;
                if (due)
                    job = request.Content.Freeze(request.Index, request.Slot, _blockSize);
            }
            if (job is null)
                continue;
            try
            {
                await SealOneAsync(request.Inode, request.Content, job);
                Trouble = null;
            }
            catch (BlockStoreException e)
            {
                NoteTrouble(e);
            }
        }
    }

    /// <summary>Settles what has become old, and under pressure what is oldest, until cancelled.</summary>
    public async Task SettleOldAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            bool asked = await _pressure.WaitAsync(Limits.SettleTick, cancellation);
            if (!asked)
                _pool.Trim(Limits.SettleTick);
            await SettlePassAsync(cancellation);
        }
    }

    /// <summary>The inode is gone for good: what was in flight of it is dropped.</summary>
    public void Discard(Inode inode)
    {
        var released = new List<BlockHash>();
        lock (inode.Gate)
            Drop(inode, released);
        _sealer.Release(released);
    }

    /// <summary>The same with the gate held.</summary>
    /// <param name="inode">The file.</param>
    /// <param name="released">Receives the hashes whose pins end.</param>
    private void Drop(Inode inode, List<BlockHash> released)
    {
        if (inode.Content is not { } content)
            return;
        lock (_metadata.Lock)
            Mend(content);
        bool dirty = !content.IsClean;
        content.Discard(released);
        inode.Content = null;
        if (dirty)
        {
            _dirty.Remove(inode);
            inode.Unpin();
        }
    }

    private bool UnderPressure => InFlightBytes > InFlightLimit / 100 * Limits.PressurePercent;

    /// <summary>Settles what is due, in rounds. What cannot be settled now is tried once: it keeps nothing else waiting.</summary>
    private async Task SettlePassAsync(CancellationToken cancellation)
    {
        var failed = new ConcurrentDictionary<Inode, Errno>();
        long returned = _pool.Returned;
        long began = _time.GetTimestamp();
        // Not for ever, where writers keep it going: what has failed is to be tried again, and who waits for memory is to be told.
        while (await SettleRoundAsync(failed, cancellation) && (failed.IsEmpty || _time.GetElapsedTime(began) < Limits.SettlePatience))
            cancellation.ThrowIfCancellationRequested();
        // For want of room something can be done: that is told before anything else.
        if (!failed.IsEmpty && _pool.Returned == returned)
            _pool.Fail(failed.Values.Contains(Errno.ENOSPC) ? Errno.ENOSPC : failed.First().Value);
    }

    /// <returns>True where another round is due at once.</returns>
    private async Task<bool> SettleRoundAsync(ConcurrentDictionary<Inode, Errno> failed, CancellationToken cancellation)
    {
        bool pressure = UnderPressure;
        var due = _dirty.Oldest(Limits.SettleRound).Where(i => !failed.ContainsKey(i) && IsDue(i, pressure)).ToList();
        if (due.Count == 0)
            return false;
        await Parallel.ForEachAsync(due, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = cancellation }, async (inode, token) =>
        {
            if (!inode.TryPin())
                return;
            try
            {
                await SealLoggedAsync(inode);
                var result = await SettleAsync(inode, pressure ? SealedSync.Later : SealedSync.Before, alongside: null, token);
                if (result.IsOk)
                    Trouble = null;
                else
                    Fail(inode, result.Error);
            }
            catch (MetadataException e)
            {
                _unsettled.Tell($"inode {inode.Number} cannot be settled, its content stays in memory", e);
                Fail(inode, e.Error);
            }
            finally
            {
                inode.Unpin();
            }
        });
        return due.Count == Limits.SettleRound || UnderPressure || !failed.IsEmpty;

        void Fail(Inode inode, Errno error)
        {
            failed.TryAdd(inode, error);
            // The others come before it.
            _dirty.Renew(inode);
        }
    }

    /// <summary>Makes blocks of what the redo log has already: an fsync, which has to wait for a settling, then waits for the end of it only.</summary>
    private async Task SealLoggedAsync(Inode inode)
    {
        var jobs = new List<SealJob>();
        FileContent? content;
        lock (inode.Gate)
        {
            content = inode.Content;
            if (content is null || content.Freezing || _metadata.RedoBytes(inode.Number) == 0)
                return;
            // The last block waits for the settling, which knows the size that goes with it.
            long whole = inode.Snapshot().Size / _blockSize;
            foreach (var (index, slot) in content.Slots)
            {
                if (index < whole && slot.NeedsSeal && !content.HasUnlogged(index) && content.Freeze(index, slot, _blockSize) is { } job)
                    jobs.Add(job);
            }
        }
        try
        {
            await SealAllAsync(inode, content, jobs);
        }
        catch (BlockStoreException e)
        {
            NoteTrouble(e);
        }
    }

    private bool IsDue(Inode inode, bool pressure)
    {
        lock (inode.Gate)
        {
            if (inode.Content is not { DirtySince: { } since } content)
                return false;
            // Nobody can commit anything before.
            if (content.IsTorn)
                return true;
            bool orphan = inode.Snapshot().LinkCount == 0;
            if (orphan && !pressure)
            {
                // What has no name need not outlive the process: it reaches the disk only where memory is short.
                _dirty.Renew(inode);
                return false;
            }
            if (pressure || content.SettleSoon || content.UncommittedBlocks > Limits.UncommittedBlocks || content.Punched.Count > Limits.PunchedRanges)
                return true;
            return _time.GetElapsedTime(since) >= Limits.SettleAge;
        }
    }

    private void SignalPressure()
    {
        try
        {
            if (_pressure.CurrentCount == 0)
                _pressure.Release();
        }
        catch (SemaphoreFullException)
        {
            // Another has just asked for the same.
        }
    }

    private void NoteTrouble(BlockStoreException e)
    {
        Trouble = e.Message;
        _unstored.Tell("a block cannot be stored, its content stays in memory", e);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "inode {inode}: its list of blocks cannot be read: {reason}")]
    private partial void LogNoManifest(InodeNumber inode, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "inode {inode}: block {hash} cannot be read: {reason}")]
    private partial void LogUnreadable(InodeNumber inode, BlockHash hash, string? reason);
}
