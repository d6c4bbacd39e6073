using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

internal sealed partial class FileData
{
    /// <summary>fsync(2) of a file: on return its content, size, times and name survive a loss of power.</summary>
    /// <remarks>
    /// Small writes, and those scattered over many blocks, go to the redo log, which costs one sync of it; anything else becomes blocks first. What else has changed of the file, and of where it is found,
    /// is committed; where nothing has, the log is all that has to be waited for. What an orphan holds need not survive, unless it can still get a name (O_TMPFILE, fsync and linkat is how programs make a
    /// file appear whole) or somebody else may have it open (<see cref="KeepsUnnamed"/>).
    /// </remarks>
    public async ValueTask<FsResult> SyncAsync(Inode inode, CancellationToken cancellation)
    {
        // Who syncs a directory means what is below it too.
        if (!Survives(inode) || !inode.Snapshot().IsRegular)
            return await DurableAsync(cancellation);
        // Redo records are this copy's own: what is to be on replicas has to be blocks.
        if (!SyncsAsBlocks && await LogAsync(inode, cancellation) is { } logged)
        {
            // Two logs to wait for are synced at the same time, in their threads.
            var onDisk = _metadata.RedoDurableAsync(logged.Sequence, logged.IsAll ? SyncWait.Here : SyncWait.AtOnce, cancellation);
            if (!logged.IsAll && await DurableAsync(cancellation) is { IsOk: false } failed)
                return failed;
            await onDisk;
            return FsResult.Ok;
        }
        var settled = await SettleAsync(inode, SealedSync.Meanwhile, alongside: null, cancellation);
        if (settled.Error == Errno.ENOSPC)
        {
            await MakeRoom(cancellation);
            settled = await SettleAsync(inode, SealedSync.Meanwhile, alongside: null, cancellation);
        }
        return settled.IsOk ? await DurableAsync(cancellation) : settled;
    }

    /// <summary>Whether files without a name have to survive the end of this process: there are mounts in others, which may have them open, and give up what they keep of them when it is synced.</summary>
    public bool KeepsUnnamed { get; set; }

    /// <summary>Never log: an fsync waits for replicas, which get blocks.</summary>
    public bool SyncsAsBlocks { get; init; }

    /// <summary>syncfs(2): settles every file that is dirty now.</summary>
    public async ValueTask<FsResult> SyncAllAsync(CancellationToken cancellation)
    {
        var settled = await SettleAllAsync(Survives, cancellation);
        if (settled.Error == Errno.ENOSPC)
        {
            await MakeRoom(cancellation);
            settled = await SettleAllAsync(Survives, cancellation);
        }
        var durable = await _committer.DurableAsync(cancellation);
        return settled.IsOk ? durable : settled;
    }

    /// <summary>Puts into the redo log what could not be made into blocks: the rest of a block that is partly written is with replicas that are not reached. The next start has it in memory again.</summary>
    /// <returns><c>EIO</c> where something has to be more than logged, as after a truncation within such a block, or is too much for the log.</returns>
    public async ValueTask<FsResult> LogAllAsync()
    {
        var result = FsResult.Ok;
        long newest = 0;
        foreach (var inode in _dirty.Oldest(int.MaxValue))
        {
            if (!Survives(inode))
                continue;
            if (TryLog(inode, out _, isLastWay: true) is { } logged)
                newest = Math.Max(newest, logged.Sequence);
            else
                result = Errno.EIO;
        }
        await _metadata.RedoDurableAsync(newest, SyncWait.Later, CancellationToken.None);
        var durable = await _committer.DurableAsync(CancellationToken.None);
        return result.IsOk ? durable : result;
    }

    /// <summary>Settles every file that is dirty now and that is wanted.</summary>
    /// <returns>The first error; the other files are settled all the same.</returns>
    public async ValueTask<FsResult> SettleAllAsync(Func<Inode, bool> wanted, CancellationToken cancellation)
    {
        var first = Errno.None;
        foreach (var inode in _dirty.Oldest(int.MaxValue))
        {
            if (!wanted(inode) || !inode.TryPin())
                continue;
            try
            {
                var result = await SettleAsync(inode, SealedSync.Later, alongside: null, cancellation);
                if (!result.IsOk && first == Errno.None)
                    first = result.Error;
            }
            catch (MetadataException e)
            {
                _unsettled.Tell($"inode {inode.Number} cannot be settled, its content stays in memory", e);
                first = first == Errno.None ? e.Error : first;
            }
            finally
            {
                inode.Unpin();
            }
        }
        return first;
    }

    /// <summary>Settles the files of which the redo log has something: what was synced has its blocks and its hash then.</summary>
    /// <returns>Whether there were any.</returns>
    public async ValueTask<FsResult<bool>> SettleLoggedAsync(CancellationToken cancellation)
    {
        if (_metadata.RedoTotal == 0 || _dirty.Count == 0)
            return false;
        bool any = false;
        var settled = await SettleAllAsync(inode => _metadata.RedoBytes(inode.Number) > 0 && (any = true), cancellation);
        return settled.IsOk ? any : settled.Error;
    }

    /// <summary>Writes what the redo log says into memory again, as the session before this one had it, and makes blocks of it.</summary>
    /// <remarks>
    /// A disk that is full keeps nobody out: content that cannot be stored now stays in memory and in the redo log, as it was before the crash. A volume that is opened read-only stores nothing. Where blocks may be with
    /// replicas only, which nobody reaches before the volume is open, the rest of a block that is partly written is not waited for: blocks are made when the content is old enough, as always. The redo log holds a
    /// quarter of the memory at most, so it fits.
    /// </remarks>
    /// <param name="files">What the log says.</param>
    /// <param name="isElsewhere">Blocks may be with replicas only.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="InvalidDataException">There is not memory enough for it.</exception>
    public async Task ReplayAsync(IReadOnlyList<RedoFile> files, bool isElsewhere, CancellationToken cancellation)
    {
        _isReplaying = true;
        foreach (var file in files)
        {
            if (_metadata.Acquire(file.Inode) is not { } inode)
                continue;
            try
            {
                foreach (var (offset, data) in file.Writes)
                    Replay(inode, offset, data);
                lock (inode)
                    inode.Current = inode.Current with { ModifyTime = file.ModifyTime, ChangeTime = file.ChangeTime };
                if (ReadOnly || (isElsewhere && InFlightBytes <= InFlightLimit / 2))
                    continue;
                var settled = await SettleAsync(inode, SealedSync.Later, alongside: null, cancellation);
                if (!settled.IsOk)
                    _logger.LogWarning("what was synced of inode {Inode} cannot be made into blocks yet ({Error}); it stays in memory and in the redo log", file.Inode, settled.Error);
            }
            finally
            {
                _metadata.Release(inode);
            }
        }
        _isReplaying = false;
    }

    private void Replay(Inode inode, long offset, ReadOnlyMemory<byte> data)
    {
        var written = TryWrite(inode, offset, data.Span, WriteFlags.None, null, null, out int missing);
        if (missing > 0)
            throw new InvalidDataException($"what was synced before a crash takes more than the {InFlightLimit} bytes of memory that are allowed: allow more");
        if (!written.IsOk)
            throw new InvalidDataException($"what was synced of inode {inode.Number} cannot be brought back: {written.Error}");
    }

    private bool Survives(Inode inode) => KeepsUnnamed || CanBeFound(inode);

    /// <summary>The file has a name, or may get one. A link that comes in between changes the first to the second, and so the second is looked at last.</summary>
    private static bool CanBeFound(Inode inode) => inode.Linkable || inode.Snapshot().LinkCount > 0;

    /// <summary>Commits, and brings it to disk or goes on in the thread that did: what is left to do is to tell the program.</summary>
    private async ValueTask<FsResult> DurableAsync(CancellationToken cancellation)
    {
        var result = await _committer.CommitAsync(cancellation);
        if (result.IsOk)
            await _metadata.DurableAsync(cancellation, SyncWait.Here);
        return result;
    }

    /// <summary>Logs what was written since the last sync; where a settling under way has some of it in hand, after that. Null where it has to be made into blocks.</summary>
    private async ValueTask<Logged?> LogAsync(Inode inode, CancellationToken cancellation)
    {
        if (UnloggedBytes(inode) > Limits.RedoSync)
        {
            // Much to copy, and not in the thread that takes requests.
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        }
        var logged = TryLog(inode, out var settling);
        if (settling is null)
            return logged;
        await settling.SettleGate.WaitAsync(cancellation);
        settling.SettleGate.Release();
        return TryLog(inode, out _);
    }

    private static long UnloggedBytes(Inode inode)
    {
        lock (inode.Gate)
            return inode.Content?.Unlogged.Sum(r => r.Length) ?? 0;
    }

    /// <summary>Puts what was written since the last sync into the redo log; nothing where nothing is in flight. Null where it cannot be, or does not pay.</summary>
    /// <param name="inode">The file; pinned by the caller.</param>
    /// <param name="settling">The content, where some of it is being settled.</param>
    /// <param name="isLastWay">Blocks cannot be made: it always pays.</param>
    private Logged? TryLog(Inode inode, out FileContent? settling, bool isLastWay = false)
    {
        settling = null;
        lock (inode.Gate)
        {
            if (inode.Content is not { IsClean: false } content)
                return new Logged(0, _metadata.IsDurable(inode) && _metadata.AreTimesDurable(inode));
            if (content.NeedsSettle)
                return null;
            var a = inode.Snapshot();
            if (content.Unlogged.Count == 0 && content.Logged is { } before && before.ModifyTime == a.ModifyTime && before.ChangeTime == a.ChangeTime)
                return new Logged(before.Sequence, _metadata.IsDurable(inode));
            if (!content.Unlogged.TrueForAll(r => IsInMemory(content, r)))
            {
                settling = content.Freezing ? content : null;
                return null;
            }
            if ((!isLastWay && !PaysToLog(inode, content)) || _metadata.AppendRedo(inode, content.Unlogged, (at, target) => CopyNewest(content, at, target), _space.Admits) is not { } sequence)
                return null;
            content.Unlogged.Clear();
            content.Logged = new LoggedState(sequence, a.ModifyTime, a.ChangeTime);
            return new Logged(sequence, _metadata.IsDurable(inode));
        }
    }

    /// <summary>Whether the redo log is the shorter way to the disk: for a little, and for much that is scattered over many blocks.</summary>
    private bool PaysToLog(Inode inode, FileContent content)
    {
        long bytes = content.Unlogged.Sum(r => r.Length);
        if (_metadata.RedoTotal + bytes > Math.Min(Limits.RedoVolume, InFlightLimit / 4))
            return false;
        long total = _metadata.RedoBytes(inode.Number) + bytes;
        if (content.Slots.Values.Count(s => s.NeedsSeal) * (long)_blockSize >= total * Limits.RedoGain)
            return true;
        if (total > Limits.RedoFile && !content.SettleSoon)
        {
            content.SettleSoon = true;
            SignalPressure();
        }
        return bytes <= Limits.RedoSync && total <= Limits.RedoFileMost;
    }

    /// <summary>Whether a range lies wholly in memory, where nobody has it in hand. Where some of it has been sealed already blocks are the shorter way.</summary>
    private bool IsInMemory(FileContent content, ByteRange range)
    {
        for (long at = range.Start; at < range.End;)
        {
            int within = (int)(at % _blockSize);
            int n = (int)Math.Min(_blockSize - within, range.End - at);
            if (content.Find(at / _blockSize) is not { } slot || !slot.IsAtHand(within, within + n))
                return false;
            at += n;
        }
        return true;
    }

    private void CopyNewest(FileContent content, long at, Span<byte> target)
    {
        while (!target.IsEmpty)
        {
            int within = (int)(at % _blockSize);
            int n = Math.Min(_blockSize - within, target.Length);
            content.Find(at / _blockSize)!.CopyTo(within, target[..n]);
            at += n;
            target = target[n..];
        }
    }

    /// <summary>What an fsync has to wait for.</summary>
    /// <param name="Sequence">A record of the redo log; 0 where there is none.</param>
    /// <param name="IsAll">Nothing else: all that the log does not carry is on disk.</param>
    private readonly record struct Logged(long Sequence, bool IsAll);
}
