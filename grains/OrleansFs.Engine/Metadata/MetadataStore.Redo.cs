using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>The redo table: small synced writes that are not in blocks yet. Local to this copy.</content>
internal sealed partial class MetadataStore
{
    /// <summary>Bytes in the redo table, by file. Bounded by the files in flight: a commit of the content takes a file out.</summary>
    private readonly Dictionary<ulong, long> _redoBytes = [];
    private long _nextRedo = 1;

    /// <summary>Bytes in the redo table.</summary>
    public long RedoTotal { get; private set; }

    /// <summary>Records a synced write with the file's size and times as they are shown now. The inode's row does not change.</summary>
    public FsResult AppendRedo(Inode inode, long offset, ReadOnlySpan<byte> data)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            if (inode.IsGone)
                return Errno.ESTALE;
            try
            {
                var a = inode.Snapshot();
                var effect = new RedoEffect { Inode = inode.Number, Sequence = _nextRedo, Offset = offset, Size = a.Size, ModifyTime = a.ModifyTime, ChangeTime = a.ChangeTime, Data = data };
                Apply(effect);
                _effects.AppendRedo(effect);
                _nextRedo++;
                _redoBytes[inode.Number.Value] = _redoBytes.GetValueOrDefault(inode.Number.Value) + data.Length;
                RedoTotal += data.Length;
                Done();
                return FsResult.Ok;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>Bytes that the redo table holds of a file.</summary>
    public long RedoBytes(InodeNumber inode)
    {
        lock (Lock)
            return _redoBytes.GetValueOrDefault(inode.Value);
    }

    /// <summary>What was synced and is not in manifests yet. Call once, after opening; it is small: see the engine's limits.</summary>
    public IReadOnlyList<RedoFile> LoadRedo()
    {
        lock (Lock)
        {
            var files = new List<RedoFile>();
            List<RedoWrite> writes = [];
            using var s = _database.Prepare("SELECT ino, offset, size, mtime, ctime, data FROM redo ORDER BY ino, sequence");
            while (s.Step())
            {
                var inode = s.Inode(0);
                if (files.Count == 0 || files[^1].Inode != inode)
                    writes = [];
                else
                    files.RemoveAt(files.Count - 1);
                writes.Add(new RedoWrite(s.Int64(1), s.Blob(5).ToArray()));
                files.Add(new RedoFile(inode, s.Int64(2), s.Time(3), s.Time(4), writes));
            }
            return files;
        }
    }

    private void Apply(in RedoEffect effect) =>
        _sql.AppendRedo.Bind(1, effect.Inode).Bind(2, effect.Sequence).Bind(3, effect.Offset).Bind(4, effect.Size).Bind(5, effect.ModifyTime).Bind(6, effect.ChangeTime)
            .Bind(7, effect.Data).Run();

    private void ExecuteDeleteRedo(InodeNumber inode)
    {
        _sql.DeleteRedo.Bind(1, inode).Run();
        _effects.DeleteRedo(inode);
    }

    private void ForgetRedo(InodeNumber inode)
    {
        if (_redoBytes.Remove(inode.Value, out long bytes))
            RedoTotal -= bytes;
    }

    private void ReadRedoTotals()
    {
        using var s = _database.Prepare("SELECT ino, sum(length(data)), max(sequence) FROM redo GROUP BY ino");
        while (s.Step())
        {
            _redoBytes[s.Inode(0).Value] = s.Int64(1);
            RedoTotal += s.Int64(1);
            _nextRedo = Math.Max(_nextRedo, s.Int64(2) + 1);
        }
    }
}
