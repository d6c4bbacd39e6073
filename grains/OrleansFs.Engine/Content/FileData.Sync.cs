using System.Buffers;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

internal sealed partial class FileData
{
    /// <summary>fsync(2) of a file: on return its content, size, times and name survive a loss of power.</summary>
    /// <remarks>Small writes, and those scattered over many blocks, go to the redo table, which costs one sync of the WAL; anything else becomes blocks first. What an orphan holds need not survive, unless it can still get a name: O_TMPFILE, fsync and linkat is
    /// how programs make a file appear whole.</remarks>
    public async ValueTask<FsResult> SyncAsync(Inode inode, CancellationToken cancellation)
    {
        // Redo rows are this copy's own: what is to be on replicas has to be blocks.
        FileContent? settling = null;
        if (CanBeFound(inode) && (SyncsAsBlocks || !TryLog(inode, out settling)) && (settling is null || !await TryLogAfterAsync(settling, inode, cancellation)))
        {
            var settled = await SettleAsync(inode, syncFirst: true, alongside: null, cancellation);
            if (settled.Error == Errno.ENOSPC)
            {
                await MakeRoom(cancellation);
                settled = await SettleAsync(inode, syncFirst: true, alongside: null, cancellation);
            }
            if (!settled.IsOk)
                return settled;
        }
        return await _committer.DurableAsync(cancellation);
    }

    /// <summary>Never log: an fsync waits for replicas, which get blocks.</summary>
    public bool SyncsAsBlocks { get; init; }

    /// <summary>syncfs(2): settles every file that is dirty now.</summary>
    public async ValueTask<FsResult> SyncAllAsync(CancellationToken cancellation)
    {
        var settled = await SettleAllAsync(CanBeFound, cancellation);
        if (settled.Error == Errno.ENOSPC)
        {
            await MakeRoom(cancellation);
            settled = await SettleAllAsync(CanBeFound, cancellation);
        }
        var durable = await _committer.DurableAsync(cancellation);
        return settled.IsOk ? durable : settled;
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
                var result = await SettleAsync(inode, syncFirst: false, alongside: null, cancellation);
                if (!result.IsOk && first == Errno.None)
                    first = result.Error;
            }
            finally
            {
                inode.Unpin();
            }
        }
        return first;
    }

    /// <summary>Writes what the redo rows say into memory again, as the session before this one had it, and makes blocks of it.</summary>
    /// <remarks>
    /// A disk that is full keeps nobody out: content that cannot be stored now stays in memory and in the redo table, as it was before the crash. A volume that is opened read-only stores nothing.
    /// </remarks>
    /// <exception cref="InvalidDataException">There is not memory enough for it.</exception>
    public async Task ReplayAsync(IReadOnlyList<RedoFile> files, CancellationToken cancellation)
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
                if (ReadOnly)
                    continue;
                var settled = await SettleAsync(inode, syncFirst: false, alongside: null, cancellation);
                if (!settled.IsOk)
                    _logger.LogWarning("what was synced of inode {Inode} cannot be made into blocks yet ({Error}); it stays in memory and in the redo table", file.Inode, settled.Error);
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
        var written = TryWrite(inode, offset, data.Span, WriteFlags.None, out int missing);
        if (missing > 0)
            throw new InvalidDataException($"what was synced before a crash takes more than the {InFlightLimit} bytes of memory that are allowed: allow more");
        if (!written.IsOk)
            throw new InvalidDataException($"what was synced of inode {inode.Number} cannot be brought back: {written.Error}");
    }

    /// <summary>The file has a name, or may get one. A link that comes in between changes the first to the second, and so the second is looked at last.</summary>
    private static bool CanBeFound(Inode inode) => inode.Linkable || inode.Snapshot().LinkCount > 0;

    /// <summary>Waits for the settling under way, which takes most into the manifest, and logs what is left.</summary>
    private async ValueTask<bool> TryLogAfterAsync(FileContent settling, Inode inode, CancellationToken cancellation)
    {
        await settling.SettleGate.WaitAsync(cancellation);
        settling.SettleGate.Release();
        return TryLog(inode, out _);
    }

    /// <summary>Puts what was written since the last sync into the redo table. True also where there is nothing in flight.</summary>
    /// <param name="inode">The file; pinned by the caller.</param>
    /// <param name="settling">The content, where it cannot be logged now because it is being settled: the end of that deletes all redo rows of the file, also those of what came after its freeze.</param>
    private bool TryLog(Inode inode, out FileContent? settling)
    {
        settling = null;
        lock (inode.Gate)
        {
            if (inode.Content is not { } content || content.IsClean)
                return true;
            if (content.Freezing)
            {
                settling = content;
                return false;
            }
            if (content.NeedsSettle || !PaysToLog(inode, content) || !content.Unlogged.TrueForAll(r => IsInMemory(content, r)) || !Log(inode, content))
                return false;
            content.Unlogged.Clear();
            return true;
        }
    }

    /// <summary>Whether the redo table is the shorter way to the disk: for a little, and for much that is scattered over many blocks.</summary>
    private bool PaysToLog(Inode inode, FileContent content)
    {
        long bytes = content.Unlogged.Sum(r => r.Length);
        if (_metadata.RedoTotal + bytes > Math.Min(Limits.RedoVolume, InFlightLimit / 4))
            return false;
        long total = _metadata.RedoBytes(inode.Number) + bytes;
        return (bytes <= Limits.RedoSync && total <= Limits.RedoFile) || content.Slots.Values.Count(s => s.NeedsSeal) * (long)_blockSize >= total * Limits.RedoGain;
    }

    /// <summary>Whether a range lies wholly in newest extents. Where some of it has been sealed already blocks are the shorter way.</summary>
    private bool IsInMemory(FileContent content, ByteRange range)
    {
        for (long at = range.Start; at < range.End;)
        {
            int within = (int)(at % _blockSize);
            int n = (int)Math.Min(_blockSize - within, range.End - at);
            if (content.Find(at / _blockSize)?.Top is not { } top || !top.Covers(within, within + n))
                return false;
            at += n;
        }
        return true;
    }

    /// <summary>Puts all unlogged ranges into one transaction, the metadata lock free between its steps.</summary>
    private bool Log(Inode inode, FileContent content)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(_blockSize);
        lock (_metadata.Lock)
            _committer.Hold();
        try
        {
            int next = 0;
            long at = content.Unlogged.Count > 0 ? content.Unlogged[0].Start : 0;
            while (next < content.Unlogged.Count)
            {
                lock (_metadata.Lock)
                {
                    if (!LogStep(inode, content, buffer, ref next, ref at))
                        return false;
                }
            }
            return true;
        }
        finally
        {
            lock (_metadata.Lock)
                _committer.Release();
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Logs from a byte of a range on, a row a block. Call with the metadata lock held.</summary>
    private bool LogStep(Inode inode, FileContent content, byte[] buffer, ref int next, ref long at)
    {
        for (long logged = 0; logged < Limits.RedoStep && next < content.Unlogged.Count;)
        {
            var range = content.Unlogged[next];
            int within = (int)(at % _blockSize);
            var data = buffer.AsSpan(0, (int)Math.Min(_blockSize - within, range.End - at));
            content.Find(at / _blockSize)!.Top!.CopyTo(within, data);
            if (!_metadata.AppendRedo(inode, at, data).IsOk)
                return false;
            at += data.Length;
            logged += data.Length;
            if (at == range.End && ++next < content.Unlogged.Count)
                at = content.Unlogged[next].Start;
        }
        return true;
    }
}
