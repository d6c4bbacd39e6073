using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>The journal: what each transaction did, in the form in which it is applied.</content>
internal sealed partial class MetadataStore
{
    private long _journalBytes;

    /// <summary>One transaction of the journal.</summary>
    /// <param name="Lsn">Of its last mutation.</param>
    /// <param name="Count">Mutations in it.</param>
    /// <param name="Time">When it was committed.</param>
    /// <param name="Effects">Version byte and records.</param>
    internal readonly record struct JournalRow(Lsn Lsn, int Count, Timestamp Time, ReadOnlyMemory<byte> Effects);

    /// <summary>The first committed transaction after a position; null where there is none.</summary>
    public JournalRow? ReadJournal(Lsn after)
    {
        lock (Lock)
        {
            var s = _sql.ReadJournal.Bind(1, after.Value);
            if (!s.Step())
                return null;
            var row = new JournalRow(new Lsn(s.Int64(0)), s.Int32(1), s.Time(2), s.Blob(3).ToArray());
            s.Reset();
            return row;
        }
    }

    /// <summary>Applies a transaction of another copy's journal to this one, as one transaction, committed on return. For a copy that makes no mutations of
    /// its own.</summary>
    /// <exception cref="MetadataException">Nothing has changed.</exception>
    /// <exception cref="InvalidDataException">It does not follow what this copy has, or cannot be read; nothing has changed.</exception>
    public void ApplyJournal(JournalRow row)
    {
        lock (Lock)
        {
            if (Enter() is not Errno.None)
                throw new MetadataException(Errno.EIO, 0, Poison!);
            if (row.Lsn.Value - row.Count != _tail)
                throw new InvalidDataException($"the journal goes on at {row.Lsn.Value - row.Count}, this copy is at {_tail}");
            try
            {
                if (!Replay(EffectReader.OfJournal(row.Effects.Span)))
                    throw new InvalidDataException("a transaction of the journal is not whole");
                AppendJournal(row.Lsn, row.Count, row.Time, row.Effects.Span);
                _sql.Commit.Run();
            }
            catch (Exception e)
            {
                Undo(e);
                throw;
            }
            _inTransaction = false;
            ForgetAll();
        }
    }

    private void AppendJournal(Lsn lsn, int count, Timestamp time, ReadOnlySpan<byte> effects)
    {
        _sql.AddJournal.Bind(1, lsn.Value).Bind(2, (long)count).Bind(3, time).Bind(4, effects).Run();
    }

    /// <summary>Removes the oldest transactions while the journal is over its bound and no replica is registered.</summary>
    /// <returns>Bytes removed.</returns>
    private long CutJournal(long bytes)
    {
        long removed = 0;
        if (bytes <= _budget.JournalBytes || HasReplicas())
            return removed;
        for (int i = 0; i < MetadataLimits.JournalCutRows && bytes - removed > _budget.JournalBytes; i++)
        {
            var s = _sql.OldestJournal;
            if (!s.Step())
                break;
            long lsn = s.Int64(0);
            removed += s.Int64(1);
            s.Reset();
            _sql.DeleteJournal.Bind(1, lsn).Run();
        }
        return removed;
    }

    private bool HasReplicas()
    {
        _sql.CountReplicas.Step();
        bool any = _sql.CountReplicas.Int64(0) > 0;
        _sql.CountReplicas.Reset();
        return any;
    }
}
