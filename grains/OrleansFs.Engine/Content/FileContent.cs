using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

/// <summary>
/// The part of a file that is newer than what is committed: its slots, what was truncated and punched away, and what of it the redo log does not have yet.
/// A plain data structure, guarded by the gate of its inode.
/// </summary>
/// <remarks>
/// The content of a file, block by block, is: its slot where it has one; else a hole where the block lies at or past <see cref="TruncatedTo"/> or in a punched range;
/// else what the committed manifest says. A commit takes all of it into the manifest in one transaction, in the order truncate, punch, set.
/// </remarks>
internal sealed class FileContent(PagePool pool, int blockSize)
{
    private readonly Dictionary<long, Slot> _slots = [];
    private readonly List<BlockRange> _punched = [];
    private TaskCompletionSource? _noSeals;

    /// <summary>One settling at a time: freeze, seal, commit.</summary>
    public SemaphoreSlim SettleGate { get; } = new(1, 1);

    public IReadOnlyDictionary<long, Slot> Slots => _slots;

    public IReadOnlyList<BlockRange> Punched => _punched;

    /// <summary>Committed blocks at or past this index are gone; null while none are.</summary>
    public long? TruncatedTo { get; private set; }

    /// <summary>When the oldest uncommitted change was made, in the ticks of the time provider; null while there is none.</summary>
    public long? DirtySince { get; private set; }

    /// <summary>Something other than a plain write happened since the last commit: the redo log cannot carry it.</summary>
    public bool NeedsSettle { get; set; }

    /// <summary>The redo log has so much of it that it is to be settled whatever its age.</summary>
    public bool SettleSoon { get; set; }

    /// <summary>The open transaction has a part of it only: see <see cref="Committer.Tear"/>.</summary>
    public bool IsTorn { get; set; }

    /// <summary>Between freeze and commit: complete blocks wait, so that the commit is one state of the file.</summary>
    public bool Freezing { get; set; }

    /// <summary>Seal workers at work on blocks of this file.</summary>
    public int SealsRunning { get; private set; }

    /// <summary>Counts truncations, punches and clones, so that a settling notices one that came in between.</summary>
    public long Structure { get; private set; }

    /// <summary>The block of the newest write: not sealed for being complete, since its writer has not moved on.</summary>
    public long? Newest { get; set; }

    /// <summary>Ranges written since the last fsync, sorted and merged; what the next redo record has to carry.</summary>
    public List<ByteRange> Unlogged { get; } = [];

    /// <summary>The newest record that the redo log has of it, with its modify and change time; null where it has none.</summary>
    public LoggedState? Logged { get; set; }

    /// <summary>Slots whose base is stored and waits for the next commit.</summary>
    public int UncommittedBlocks { get; private set; }

    public bool IsClean => DirtySince is null;

    public Slot? Find(long index) => _slots.GetValueOrDefault(index);

    /// <summary>Whether the committed manifest still speaks for this block.</summary>
    public bool ManifestCounts(long index)
    {
        if (TruncatedTo is { } cut && index >= cut)
            return false;
        foreach (var range in _punched)
        {
            if (range.Contains(index))
                return false;
        }
        return true;
    }

    /// <summary>Where what is in flight begins to differ from the manifest: the slots, and where the holes begin that were made. From a block on, in order.</summary>
    public long[] Marks(long from) =>
        [.. _slots.Keys.Concat(_punched.Select(p => p.First)).Append(TruncatedTo ?? from).Where(m => m >= from).Order()];

    /// <summary>Adds a slot over what the block was until now.</summary>
    public Slot Add(long index, SealedBlock @base)
    {
        var slot = new Slot(@base, blockSize);
        _slots.Add(index, slot);
        return slot;
    }

    /// <summary>Puts a stored block, or a hole, in place of whatever the slot had.</summary>
    /// <returns>The hash whose pin the former base held and that is to be released; the hole where it held none.</returns>
    public BlockHash Replace(long index, SealedBlock block)
    {
        var released = Remove(index);
        _slots.Add(index, new Slot(block, blockSize) { Uncommitted = true });
        UncommittedBlocks++;
        return released;
    }

    /// <summary>Takes the result of a seal into its slot.</summary>
    /// <returns>The hash of the former base whose pin is to be released; the hole where it held none.</returns>
    public BlockHash SetBase(Slot slot, SealedBlock block)
    {
        var released = slot.Uncommitted ? slot.Base.Hash : BlockHash.Hole;
        UncommittedBlocks += slot.Uncommitted ? 0 : 1;
        slot.Base = block;
        slot.Uncommitted = true;
        return released;
    }

    /// <summary>Drops a slot and gives its pages back; frozen ones belong to the seal worker, who finds the slot gone.</summary>
    /// <returns>The hash whose pin is to be released; the hole where there is none.</returns>
    public BlockHash Remove(long index)
    {
        if (!_slots.Remove(index, out var slot))
            return BlockHash.Hole;
        slot.Top?.Release();
        slot.Top = null;
        if (!slot.Sealing)
            slot.Frozen?.Release();
        UncommittedBlocks -= slot.Uncommitted ? 1 : 0;
        return slot.Uncommitted ? slot.Base.Hash : BlockHash.Hole;
    }

    /// <summary>Whether the slot is still the one that speaks for its block.</summary>
    public bool Has(long index, Slot slot) => ReferenceEquals(_slots.GetValueOrDefault(index), slot);

    /// <summary>Everything from a block on is gone.</summary>
    public void Cut(long blocks, ICollection<BlockHash> released)
    {
        Structure++;
        NeedsSettle = true;
        TruncatedTo = Math.Min(TruncatedTo ?? long.MaxValue, blocks);
        foreach (long index in _slots.Keys.Where(i => i >= blocks).ToArray())
            released.Add(Remove(index));
        for (int i = _punched.Count - 1; i >= 0; i--)
        {
            if (_punched[i].First >= blocks)
                _punched.RemoveAt(i);
        }
    }

    /// <summary>Whole blocks become holes.</summary>
    public void Punch(BlockRange range, ICollection<BlockHash> released)
    {
        Structure++;
        NeedsSettle = true;
        if (range.Count <= _slots.Count)
        {
            for (long index = range.First; index < range.End; index++)
                released.Add(Remove(index));
        }
        else
        {
            foreach (long index in _slots.Keys.Where(range.Contains).ToArray())
                released.Add(Remove(index));
        }
        AddPunched(range);
    }

    /// <summary>A change that is more than a plain write has begun or ended within blocks that stay.</summary>
    public void MarkStructure()
    {
        Structure++;
        NeedsSettle = true;
    }

    /// <returns>True where the file was clean until now.</returns>
    public bool MarkDirty(long now)
    {
        bool first = DirtySince is null;
        DirtySince ??= now;
        return first;
    }

    /// <summary>Notes what an fsync will have to log.</summary>
    public void NoteWritten(long offset, long length)
    {
        var added = new ByteRange(offset, offset + length);
        int at = FirstEndingAtOrAfter(offset);
        int last = at;
        while (last < Unlogged.Count && Unlogged[last].Start <= added.End)
        {
            added = new ByteRange(Math.Min(added.Start, Unlogged[last].Start), Math.Max(added.End, Unlogged[last].End));
            last++;
        }
        Unlogged.RemoveRange(at, last - at);
        Unlogged.Insert(at, added);
        if (Unlogged.Count > Limits.RedoRanges)
            NeedsSettle = true;
    }

    /// <summary>Whether something of a block was written since the last fsync.</summary>
    public bool HasUnlogged(long index)
    {
        int at = FirstEndingAtOrAfter(index * blockSize);
        while (at < Unlogged.Count && Unlogged[at].End == index * blockSize)
            at++;
        return at < Unlogged.Count && Unlogged[at].Start < (index + 1) * blockSize;
    }

    private int FirstEndingAtOrAfter(long offset)
    {
        // Mostly the newest write goes on where the one before ended.
        if (Unlogged.Count == 0 || Unlogged[^1].End < offset)
            return Unlogged.Count;
        int low = 0, high = Unlogged.Count - 1;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (Unlogged[middle].End < offset)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

    /// <summary>All that was sealed is in the manifest now. Slots written to meanwhile stay, over what has become their committed base.</summary>
    /// <param name="released">Receives the hashes whose pins end.</param>
    /// <param name="now">Ticks, the new age of what stays.</param>
    public void Committed(ICollection<BlockHash> released, long now)
    {
        TruncatedTo = null;
        _punched.Clear();
        NeedsSettle = false;
        SettleSoon = false;
        Unlogged.Clear();
        foreach (var (index, slot) in _slots.ToArray())
        {
            if (slot.Uncommitted)
                released.Add(slot.Base.Hash);
            slot.Uncommitted = false;
            if (!slot.NeedsSeal && slot.Frozen is null)
                _slots.Remove(index);
            else if (slot.Top is { } top)
                NoteSlot(index, top);
        }
        UncommittedBlocks = 0;
        DirtySince = _slots.Count == 0 ? null : now;
    }

    /// <summary>Takes the newest extents out of the writers' hands, for a seal worker. Nothing to do where a worker has the block already.</summary>
    /// <param name="index">The block.</param>
    /// <param name="slot">Its slot.</param>
    /// <param name="length">Bytes the block has in the file, 1 to S.</param>
    public SealJob? Freeze(long index, Slot slot, int length)
    {
        if (slot.Sealing)
            return null;
        if (slot.Frozen is null)
        {
            slot.Frozen = slot.Top ?? NewTop(slot);
            slot.FrozenLimit = blockSize;
            slot.Top = null;
            slot.Reseal = false;
        }
        slot.Sealing = true;
        SealsRunning++;
        return new SealJob(index, slot, slot.Frozen, slot.FrozenLimit, slot.Base.Hash, slot.Limit, length);
    }

    /// <summary>The seal worker is done: its result takes the place of the layers it was made of, where they still count.</summary>
    /// <param name="job">What was frozen.</param>
    /// <param name="sealedBlock">What came of it; null where it failed: then the frozen layer stays.</param>
    /// <returns>The hash whose pin is to be released; the hole where there is none.</returns>
    public BlockHash Finish(SealJob job, SealedBlock? sealedBlock)
    {
        var released = BlockHash.Hole;
        var slot = job.Slot;
        slot.Sealing = false;
        if (!Has(job.Index, slot))
        {
            job.Frozen.Release();
            released = sealedBlock?.Hash ?? BlockHash.Hole;
        }
        else if (sealedBlock is { } made)
        {
            released = SetBase(slot, made);
            slot.Limit = slot.FrozenLimit;
            slot.Frozen = null;
            job.Frozen.Release();
        }
        if (--SealsRunning == 0)
        {
            _noSeals?.TrySetResult();
            _noSeals = null;
        }
        return released;
    }

    /// <summary>Completes when no seal worker is at work on this file any more.</summary>
    public Task WhenNoSeals()
    {
        if (SealsRunning == 0)
            return Task.CompletedTask;
        _noSeals ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return _noSeals.Task;
    }

    /// <summary>Drops everything: the file is gone.</summary>
    public void Discard(ICollection<BlockHash> released)
    {
        foreach (long index in _slots.Keys.ToArray())
            released.Add(Remove(index));
        Structure++;
        DirtySince = null;
        Unlogged.Clear();
    }

    public InFlightBlock NewTop(Slot slot) => new(pool, blockSize, Math.Max(Math.Min(slot.Base.Length, slot.Limit), slot.Frozen?.End ?? 0));

    private void NoteSlot(long index, InFlightBlock top)
    {
        foreach (var extent in top.Extents)
            NoteWritten(index * blockSize + extent.Start, extent.Length);
    }

    private void AddPunched(BlockRange range)
    {
        foreach (ref var known in CollectionsMarshal.AsSpan(_punched))
        {
            if (known.First <= range.End && range.First <= known.End)
            {
                long first = Math.Min(known.First, range.First);
                known = new BlockRange(first, Math.Max(known.End, range.End) - first);
                return;
            }
        }
        _punched.Add(range);
    }
}

/// <summary>A frozen block on its way to being hashed and stored.</summary>
/// <param name="Index">Its index in the file.</param>
/// <param name="Slot">The slot it came from.</param>
/// <param name="Frozen">The newest extents; may be none.</param>
/// <param name="FrozenLimit">Bytes of <paramref name="Frozen"/> that count.</param>
/// <param name="Base">What lies under them.</param>
/// <param name="BaseLimit">Bytes of <paramref name="Base"/> that count.</param>
/// <param name="Length">Bytes of the block.</param>
internal sealed record SealJob(long Index, Slot Slot, InFlightBlock Frozen, int FrozenLimit, BlockHash Base, int BaseLimit, int Length);

/// <summary>What of a file's times and content is in the redo log.</summary>
/// <param name="Sequence">The newest record.</param>
/// <param name="ModifyTime">In it.</param>
/// <param name="ChangeTime">In it.</param>
internal readonly record struct LoggedState(long Sequence, Timestamp ModifyTime, Timestamp ChangeTime);

/// <summary>A run of block indices.</summary>
/// <param name="First">The first block.</param>
/// <param name="Count">How many, at least 1.</param>
internal readonly record struct BlockRange(long First, long Count)
{
    public long End => First + Count;

    public bool Contains(long index) => index >= First && index < End;
}

/// <summary>A range of bytes of a file.</summary>
/// <param name="Start">First byte.</param>
/// <param name="End">One past the last.</param>
internal readonly record struct ByteRange(long Start, long End)
{
    public long Length => End - Start;
}
