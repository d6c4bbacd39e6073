using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>A record, and who named the append that made it.</summary>
internal readonly record struct AddRecord(InodeNumber Inode, RecordInfo Record, AppendName? Name);

/// <content>
/// The records of append-only files. A record is a mutation of its own, executed while its data is being placed: it has an LSN, and is in the journal. What a crash leaves is decided by what is committed: synced content
/// whose record was lost does not count (it builds on that mutation: see <see cref="AppendRedo"/>), and a record whose content was lost is cut off at the next start (<see cref="TrimRecords"/>).
/// </content>
internal sealed partial class MetadataStore
{
    private readonly byte[] _chunkBuffer = new byte[RecordChunk.Records * RecordChunk.EntryBytes];

    /// <summary>Notes that a write has become a record. Call with the file's gate held.</summary>
    public FsResult<RecordInfo> AppendRecord(Inode inode, long offset, long length, AppendName? name)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            if (inode.IsGone)
                return Errno.ESTALE;
            try
            {
                var record = new RecordInfo { Site = Volume.Site, Sequence = CountRecords(inode.Number), Offset = offset, Length = length, Lsn = new Lsn(_tail + 1), Time = Clock.Now() };
                var effect = new AddRecord(inode.Number, record, name);
                Apply(effect);
                _effects.AddRecord(effect);
                SetDirty(inode);
                Done();
                return record;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>The newest append of a writer; null where it has made none lately.</summary>
    /// <exception cref="MetadataException">The table cannot be read.</exception>
    public (long Number, RecordInfo Record)? NewestAppend(InodeNumber inode, Guid writer)
    {
        lock (Lock)
        {
            RequireReady();
            var s = _sql.GetAppender.Bind(1, inode).Bind(2, writer.ToByteArray());
            if (!s.Step())
                return null;
            var found = (s.Int64(0), new RecordInfo
            {
                Site = (ushort)s.Int64(1),
                Sequence = s.Int64(2),
                Offset = s.Int64(3),
                Length = s.Int64(4),
                Lsn = new Lsn(s.Int64(5)),
                Time = s.Time(6),
            });
            s.Reset();
            return found;
        }
    }

    /// <summary>Records of this site from one on.</summary>
    /// <param name="inode">The file.</param>
    /// <param name="from">The first.</param>
    /// <param name="max">How many at most.</param>
    /// <param name="end">Bytes of the file that can be read: records past it have come before their content.</param>
    /// <exception cref="MetadataException">The table cannot be read.</exception>
    public List<RecordInfo> Records(InodeNumber inode, long from, int max, long end)
    {
        lock (Lock)
        {
            RequireReady();
            var records = new List<RecordInfo>();
            var s = _sql.RecordChunks.Bind(1, inode).Bind(2, (long)Volume.Site).Bind(3, from / RecordChunk.Records);
            try
            {
                while (records.Count < max && s.Step())
                {
                    var record = RecordChunk.Before(Volume.Site, s.Int64(0) * RecordChunk.Records, s.Int64(2), new Lsn(s.Int64(3)), s.Time(4));
                    var rest = s.Blob(5);
                    while (records.Count < max && RecordChunk.TryRead(ref rest, ref record))
                    {
                        if (record.Offset + record.Length > end)
                            return records;
                        if (record.Sequence >= from)
                            records.Add(record);
                    }
                }
                return records;
            }
            finally
            {
                s.Reset();
            }
        }
    }

    /// <summary>How many records of this site a file has, also those whose content has not come yet.</summary>
    /// <exception cref="MetadataException">The table cannot be read.</exception>
    public long RecordCount(InodeNumber inode)
    {
        lock (Lock)
        {
            RequireReady();
            return CountRecords(inode);
        }
    }

    /// <summary>Cuts off records whose content a crash has lost: past the size that the files have. Call when what was synced is in memory again, before anything is appended.</summary>
    public FsResult TrimRecords()
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                ExecuteTrimRecords();
                return FsResult.Ok;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    private void ExecuteTrimRecords()
    {
        var guarded = new List<InodeNumber>();
        while (_sql.GuardedInodes.Step())
            guarded.Add(_sql.GuardedInodes.Inode(0));
        _sql.GuardedInodes.Reset();
        foreach (var number in guarded)
        {
            if (Find(number) is not { } inode || !inode.Snapshot().IsRegular)
                continue;
            long keep = CountWithin(number, inode.Snapshot().Size);
            if (keep == CountRecords(number))
                continue;
            ApplyTrimRecords(number, Volume.Site, keep);
            _effects.TrimRecords(number, Volume.Site, keep);
            Done();
        }
    }

    /// <summary>The file is append-only no more, or goes: nothing is said of records any more.</summary>
    private void ExecuteDropRecords(InodeNumber inode)
    {
        ApplyDropRecords(inode);
        _effects.DropRecords(inode);
    }

    private void ApplyDropRecords(InodeNumber inode)
    {
        _sql.DropRecords.Bind(1, inode).Run();
        _sql.DropAppenders.Bind(1, inode).Run();
    }

    private long CountRecords(InodeNumber inode)
    {
        var s = _sql.LastChunk.Bind(1, inode).Bind(2, (long)Volume.Site);
        long count = s.Step() ? s.Int64(0) * RecordChunk.Records + s.Int64(1) : 0;
        s.Reset();
        return count;
    }

    private long CountWithin(InodeNumber inode, long end)
    {
        long first = Math.Max(0, CountRecords(inode) - 1) / RecordChunk.Records * RecordChunk.Records;
        while (true)
        {
            var tail = Records(inode, first, int.MaxValue, end);
            if (tail.Count > 0 || first == 0)
                return first + tail.Count;
            first -= RecordChunk.Records;
        }
    }

    private void Apply(in AddRecord effect)
    {
        var record = effect.Record;
        long chunk = record.Sequence / RecordChunk.Records;
        var s = _sql.GetChunk.Bind(1, effect.Inode).Bind(2, (long)record.Site).Bind(3, chunk);
        var before = RecordChunk.Before(record.Site, record.Sequence, record.Offset, record.Lsn, record.Time);
        var (first, count, length) = (before, 0L, 0);
        if (s.Step())
        {
            count = s.Int64(0);
            before = first = RecordChunk.Before(record.Site, chunk * RecordChunk.Records, s.Int64(1), new Lsn(s.Int64(2)), s.Time(3));
            var entries = s.Blob(4);
            length = entries.Length;
            entries.CopyTo(_chunkBuffer);
            s.Reset();
            ReadOnlySpan<byte> rest = _chunkBuffer.AsSpan(0, length);
            while (RecordChunk.TryRead(ref rest, ref before))
            {
            }
        }
        length += RecordChunk.Write(_chunkBuffer.AsSpan(length), record, before);
        _sql.PutChunk.Bind(1, effect.Inode).Bind(2, (long)record.Site).Bind(3, chunk).Bind(4, count + 1).Bind(5, first.Offset).Bind(6, first.Lsn.Value).Bind(7, first.Time)
            .Bind(8, _chunkBuffer.AsSpan(0, length)).Run();
        if (effect.Name is { } name)
            ApplyAppender(effect.Inode, name, record);
    }

    private void ApplyAppender(InodeNumber inode, in AppendName name, in RecordInfo record)
    {
        byte[] writer = name.Writer.ToByteArray();
        var known = _sql.GetAppender.Bind(1, inode).Bind(2, writer);
        bool isNew = !known.Step();
        known.Reset();
        // No longer than a writer tries: see MetadataLimits.AppenderKept.
        if (isNew)
            _sql.ForgetAppenders.Bind(1, inode).Bind(2, new Timestamp(record.Time.Nanoseconds - MetadataLimits.AppenderKept.Ticks * 100)).Run();
        _sql.PutAppender.Bind(1, inode).Bind(2, writer).Bind(3, name.Number).Bind(4, (long)record.Site).Bind(5, record.Sequence).Bind(6, record.Offset).Bind(7, record.Length)
            .Bind(8, record.Lsn.Value).Bind(9, record.Time).Run();
    }

    private void ApplyTrimRecords(InodeNumber inode, ushort site, long keep)
    {
        long chunk = keep / RecordChunk.Records;
        int within = (int)(keep % RecordChunk.Records);
        _sql.DropChunks.Bind(1, inode).Bind(2, (long)site).Bind(3, within == 0 ? chunk : chunk + 1).Run();
        _sql.TrimAppenders.Bind(1, inode).Bind(2, (long)site).Bind(3, keep).Run();
        if (within == 0)
            return;
        var s = _sql.GetChunk.Bind(1, inode).Bind(2, (long)site).Bind(3, chunk);
        if (!s.Step())
            return;
        var (offset, lsn, time) = (s.Int64(1), s.Int64(2), s.Time(3));
        byte[] entries = RecordChunk.FirstOf(s.Blob(4), within).ToArray();
        s.Reset();
        _sql.PutChunk.Bind(1, inode).Bind(2, (long)site).Bind(3, chunk).Bind(4, (long)within).Bind(5, offset).Bind(6, lsn).Bind(7, time).Bind(8, entries).Run();
    }

    private bool ReplayRecords(EffectKind kind, ref EffectReader reader)
    {
        switch (kind)
        {
            case EffectKind.AddRecord:
                Apply(reader.Record());
                return true;
            case EffectKind.TrimRecords:
                ApplyTrimRecords(reader.Inode(), (ushort)reader.Number(), (long)reader.Number());
                return true;
            case EffectKind.DropRecords:
                ApplyDropRecords(reader.Inode());
                return true;
            case EffectKind.Rename:
                return true;
            default:
                return false;
        }
    }
}
