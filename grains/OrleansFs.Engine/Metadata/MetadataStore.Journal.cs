using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>One transaction of the journal.</summary>
/// <param name="Lsn">Of its last mutation.</param>
/// <param name="Count">Mutations in it.</param>
/// <param name="Time">When it was committed.</param>
/// <param name="Effects">Version byte and records.</param>
internal readonly record struct JournalRow(Lsn Lsn, int Count, Timestamp Time, ReadOnlyMemory<byte> Effects);

/// <content>The journal: what each transaction did, in the form in which it is applied.</content>
internal sealed partial class MetadataStore
{
    private long _journalBytes;

    /// <summary>On a replica, what its master's other replicas still need of the journal; null where that is not known. Set by who applies.</summary>
    public Lsn? JournalNeeded { get; set; }

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
    /// <returns>What it said. Nobody sees a state between that before it and that after it.</returns>
    /// <exception cref="MetadataException">Nothing has changed.</exception>
    /// <exception cref="InvalidDataException">It does not follow what this copy has, or cannot be read; nothing has changed.</exception>
    /// <param name="row">The transaction.</param>
    /// <param name="absent">Blocks that are not here: where the transaction names them, or has named them before, their rows say so from its commit on. Who starts after a kill has nothing but the rows to go by.</param>
    public JournalContent ApplyJournal(JournalRow row, IReadOnlyCollection<BlockHash>? absent = null)
    {
        lock (Lock)
        {
            if (Enter() is not Errno.None)
                throw new MetadataException(Errno.EIO, 0, Trouble!);
            if (row.Lsn.Value - row.Count != _tail)
                throw new InvalidDataException($"the journal goes on at {row.Lsn.Value - row.Count}, this copy is at {_tail}");
            JournalContent content;
            long journal;
            try
            {
                if (!Replay(EffectReader.OfJournal(row.Effects.Span)))
                    throw new InvalidDataException("a transaction of the journal is not whole");
                content = JournalContent.Of(row.Effects.Span);
                bool isAny = false;
                foreach (var hash in absent ?? [])
                    isAny |= ApplyResidency(hash, Residency.Absent);
                // With the counters that this changes.
                if (isAny)
                    ApplyState(content.State!.Value);
                AppendJournal(row.Lsn, row.Count, row.Time, row.Effects.Span);
                journal = _journalBytes + row.Effects.Length;
                journal -= CutJournal(journal);
                _sql.Commit.Run();
            }
            catch (Exception e)
            {
                Undo(e);
                throw;
            }
            _inTransaction = false;
            _localPending = false;
            _hasBranch = false;
            _effects.Clear();
            _journalBytes = journal;
            Applied(content);
            return content;
        }
    }

    /// <summary>Brings what is in memory up to what was applied. Objects stay the same, so that who holds one sees the new state.</summary>
    private void Applied(JournalContent content)
    {
        var state = content.State!.Value;
        (_nextInode, _nextCookie) = (state.NextInode, state.NextCookie);
        SetCounters(state.Counters);
        Clock.Advance(state.Clock);
        LogAnew(new CommitPoint(state.Lsn, state.Clock));
        foreach (var number in content.Inodes)
            Reload(number, state.Lsn);
        Volatile.Write(ref _tail, state.Lsn.Value);
        Volatile.Write(ref _committed, state.Lsn.Value);
        Interlocked.Increment(ref _commits);
        LastCommit = _time.GetUtcNow();
        Continue();
    }

    /// <summary>What a transaction says of the tree. What it does to blocks is counted as it is applied.</summary>
    private void SetCounters(Counters tree) => _counters = _counters with
    {
        Files = tree.Files,
        Directories = tree.Directories,
        Others = tree.Others,
        LogicalBytes = tree.LogicalBytes,
        Orphans = tree.Orphans,
    };

    private void Reload(InodeNumber number, Lsn lsn)
    {
        if (!_inodes.TryGetValue(number.Value, out var known))
            return;
        var s = _sql.GetInode.Bind(1, number);
        if (!s.Step())
        {
            Forget(known);
            return;
        }
        var row = ReadRow(s);
        s.Reset();
        Volatile.Write(ref known.Changed, lsn.Value);
        (known.Manifest, known.XattrBytes, known.Parent, known.Linkable) = (row.Manifest, row.XattrBytes, row.Parent, row.Linkable);
        lock (known)
        {
            known.Current = row.Attributes;
            known.Committed = new CommittedContent(row.Attributes.Size, row.Attributes.AllocatedBytes, row.Attributes.ModifyTime);
        }
    }

    private void AppendJournal(Lsn lsn, int count, Timestamp time, ReadOnlySpan<byte> effects)
    {
        _sql.AddJournal.Bind(1, lsn.Value).Bind(2, (long)count).Bind(3, time).Bind(4, effects).Run();
    }

    /// <summary>Removes the oldest transactions while the journal is over its bound: the small one for what nobody needs, the large one for the rest.</summary>
    /// <returns>Bytes removed.</returns>
    private long CutJournal(long bytes)
    {
        long removed = 0;
        for (int i = 0; i < MetadataLimits.JournalCutRows && bytes - removed > _budget.JournalBytes; i++)
        {
            var s = _sql.OldestJournal;
            if (!s.Step())
                break;
            var (lsn, length) = (s.Int64(0), s.Int64(1));
            s.Reset();
            if (lsn > (LowestNeeded?.Value ?? long.MaxValue) && bytes - removed <= _budget.ReplicatedJournalBytes)
                break;
            removed += length;
            _sql.DeleteJournal.Bind(1, lsn).Run();
        }
        return removed;
    }
}
