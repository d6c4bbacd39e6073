using OrleansFs.Engine.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>The redo log: small synced writes that are not in blocks yet. Local to this copy.</content>
internal sealed partial class MetadataStore
{
    private RedoLog? _redo;
    private IReadOnlyList<RedoEntry> _redoFound = [];

    /// <summary>Settled records before this one have no row any more.</summary>
    private long _redoForgotten;

    /// <summary>Newest mutation that moved a directory: where a file is found depends on it.</summary>
    private long _moved;

    /// <summary>Bytes of content in the redo log that count.</summary>
    public long RedoTotal => _redo!.LiveBytes;

    /// <summary>Bytes of a file's content in the redo log that count.</summary>
    public long RedoBytes(InodeNumber inode) => _redo!.MarkOf(inode).Bytes;

    /// <summary>What the redo log has of a file. Call with the file's gate held.</summary>
    public RedoMark RedoMark(InodeNumber inode) => _redo!.MarkOf(inode);

    /// <summary>Whether all of a file but what the redo log carries is on disk: its row, its names, and its manifest. Call with the file's gate held.</summary>
    public bool IsDurable(Inode inode) => _sync is { } sync && Math.Max(Volatile.Read(ref inode.Changed), Volatile.Read(ref _moved)) <= sync.DurableLsn;

    /// <summary>Whether that is so of its times too.</summary>
    public bool AreTimesDurable(Inode inode) => _sync is { } sync && Volatile.Read(ref inode.TimesChanged) <= sync.DurableLsn;

    /// <summary>Writes ranges of a file to the redo log, with its size and times as they are shown now. The inode's row does not change. Null where that cannot be done now: nothing has changed then.</summary>
    /// <remarks>Call with the file's gate held and the metadata lock not. The record counts where the newest mutation that concerns the file is in meta.db: who needs it on disk commits that too.</remarks>
    public long? AppendRedo(Inode inode, IReadOnlyList<ByteRange> ranges, RedoSource source, Func<long, bool> mayGrow)
    {
        if (Poison is not null)
            return null;
        var a = inode.Snapshot();
        // A change that is being made, or was undone, is not what this builds on.
        var basis = new Lsn(Math.Min(Volatile.Read(ref inode.Changed), Volatile.Read(ref _tail)));
        var draft = new RedoRecord(0, 0, inode.Number, basis, a.Size, a.ModifyTime, a.ChangeTime, 0, 0);
        return _redo!.Append(draft, ranges, source, mayGrow);
    }

    /// <summary>Completes, in a thread that must not be held up, when the redo log is on disk up to a record.</summary>
    /// <exception cref="MetadataException">The disk failed: it is not known what of it is on disk, and the store is poisoned.</exception>
    public Task RedoDurableAsync(long sequence, SyncWait how, CancellationToken cancellation) => _redo!.WaitAsync(sequence, how, cancellation);

    /// <summary>What was synced and is not in manifests yet, by file. Call once, after opening.</summary>
    public IReadOnlyList<RedoFile> LoadRedo()
    {
        var files = new List<RedoFile>();
        foreach (var entries in _redoFound.GroupBy(e => e.Record.Inode))
        {
            var newest = entries.Last().Record;
            files.Add(new RedoFile(newest.Inode, newest.Size, newest.ModifyTime, newest.ChangeTime, entries.SelectMany(e => e.Writes())));
        }
        _redoFound = [];
        return files;
    }

    /// <summary>Opens the log, and sets aside for good what does not count: what is settled, and what builds on mutations that were lost. Before the first transaction.</summary>
    private void OpenRedo()
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(_path))!;
        // A replica has none. One that is there is from a time when this folder was another copy's.
        if (Volume.Role == VolumeRole.Replica)
            RedoLog.Delete(folder);
        var settled = new Dictionary<ulong, long>();
        using (var s = _database.Prepare("SELECT ino, sequence FROM redo_settled"))
        {
            while (s.Step())
                settled[s.Inode(0).Value] = s.Int64(1);
        }
        var dropped = new HashSet<long>();
        using (var s = _database.Prepare("SELECT sequence FROM redo_lost"))
        {
            while (s.Step())
                dropped.Add(s.Int64(0));
        }
        long floor = settled.Values.Concat(dropped).DefaultIfEmpty().Max();
        _redo = RedoLog.Open(folder, Volume.Id, _budget.RedoBytes, floor, () => _sync?.DurableLsn ?? 0, OnRedoFailed, _logger, out var found);
        var live = new List<RedoEntry>();
        var lost = new List<long>();
        using var exists = _database.Prepare("SELECT 1 FROM inode WHERE ino = ?1");
        foreach (var entry in found)
        {
            var record = entry.Record;
            if (dropped.Contains(record.Sequence) || settled.TryGetValue(record.Inode.Value, out long through) && record.Sequence <= through)
                continue;
            if (record.Basis.Value <= _tail && exists.Bind(1, record.Inode).Step())
                live.Add(entry);
            else
                lost.Add(record.Sequence);
            exists.Reset();
        }
        if (lost.Count > 0)
            SetAside(lost);
        foreach (var entry in live)
            _redo.Adopt(entry);
        _redoFound = live;
    }

    /// <summary>Writes down that records do not count, so that they do not come back when the number of the file, or of the mutation, has been given again. No sync that wrote one was answered.</summary>
    private void SetAside(List<long> lost)
    {
        _database.Execute("BEGIN IMMEDIATE");
        using (var s = _database.Prepare("INSERT INTO redo_lost (sequence) VALUES (?1)"))
        {
            foreach (long sequence in lost)
                s.Bind(1, sequence).Run();
        }
        _database.Execute("COMMIT");
    }

    /// <summary>Notes in the open transaction that records of a file are in its manifest.</summary>
    private void ExecuteSettleRedo(InodeNumber inode, long sequence)
    {
        long oldest = _redo!.Oldest;
        if (oldest > _redoForgotten)
        {
            ForgetRedo(oldest);
            _effects.ForgetRedo(oldest);
            _redoForgotten = oldest;
        }
        _sql.SettleRedo.Bind(1, inode).Bind(2, sequence).Run();
        _effects.SettleRedo(inode, sequence);
    }

    private void ForgetRedo(long before)
    {
        _sql.ForgetSettledRedo.Bind(1, before).Run();
        _sql.ForgetLostRedo.Bind(1, before).Run();
    }

    private void OnRedoFailed(Exception error)
    {
        lock (Lock)
            SetPoison($"the redo log cannot be brought to disk: {error.Message}", error);
    }
}
