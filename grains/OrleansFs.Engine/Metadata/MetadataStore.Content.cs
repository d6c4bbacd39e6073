using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Changing the content of a file: manifest, reference counts, size and modify time in one mutation.</content>
internal sealed partial class MetadataStore
{
    /// <summary>Orphans that the commit under way has made.</summary>
    private readonly List<InodeNumber> _detached = [];
    private readonly List<ManifestBlock> _run = [];

    /// <summary>Told of an orphan that the store has made itself, out of a large truncation or punch, with the lock held: must only take note. It is to be given to <see cref="PurgeStep"/>.</summary>
    public Action<InodeNumber>? Detached { get; set; }

    /// <summary>The highest <see cref="ManifestBlock.WriteSequence"/> that the open transaction refers to. Read with <see cref="Lock"/> held.</summary>
    public long RequiredBlockSequence { get; private set; }

    /// <summary>Changes manifest, reference counts, size and modify time together. <see cref="Inode.Committed"/> becomes what the commit says.
    /// ESTALE for an inode that has been purged.</summary>
    /// <remarks>A file too large for one hold of the lock is committed by several calls in one transaction; the first has the truncation and the
    /// punches.</remarks>
    public FsResult CommitContent(Inode inode, ContentCommit commit)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            if (inode.IsGone)
                return Errno.ESTALE;
            _detached.Clear();
            try
            {
                var now = Clock.Now();
                ulong manifest = inode.Manifest;
                long required = RequiredBlockSequence;
                long allocated = 0;
                if (commit.TruncateToBlocks is { } end)
                    allocated += Drop(ref manifest, end, long.MaxValue, now);
                foreach (var (first, count) in commit.Punched)
                    allocated += Drop(ref manifest, first, first + count, now);
                allocated += SetAll(manifest, commit.Blocks, now, ref required);
                if (commit.Logged is { Sequence: > 0 } logged)
                    ExecuteSettleRedo(inode.Number, logged.Sequence);
                RequiredBlockSequence = required;
                ContentCommitted(inode, commit, manifest, allocated);
                Done();
            }
            catch (Exception e)
            {
                return Undo(e);
            }
            foreach (var orphan in _detached)
                Detached?.Invoke(orphan);
            return FsResult.Ok;
        }
    }

    private void ContentCommitted(Inode inode, ContentCommit commit, ulong manifest, long allocated)
    {
        inode.Manifest = manifest;
        inode.HashVoid = true;
        if (commit.Logged is { Sequence: > 0 } logged)
            _redo!.Settle(inode.Number, logged, new Lsn(_tail + 1));
        lock (inode)
        {
            if (inode.Current.LinkCount > 0)
                _counters.LogicalBytes += commit.Size - inode.Committed.Size;
            inode.Committed = new CommittedContent(commit.Size, inode.Committed.AllocatedBytes + allocated, commit.ModifyTime);
        }
        SetDirty(inode);
    }

    private long SetAll(ulong manifest, IReadOnlyList<ManifestBlock> blocks, Timestamp now, ref long required)
    {
        long allocated = 0;
        for (int i = 0; i < blocks.Count;)
        {
            long segment = blocks[i].Index / MetadataLimits.SegmentBlocks;
            _run.Clear();
            for (; i < blocks.Count && blocks[i].Index / MetadataLimits.SegmentBlocks == segment; i++)
            {
                _run.Add(blocks[i]);
                if (!blocks[i].Hash.IsHole)
                    required = Math.Max(required, blocks[i].WriteSequence);
            }
            allocated += Execute(new SetBlocks { Manifest = manifest, Segment = segment, Time = now, Birth = new Lsn(_tail + 1), Blocks = CollectionsMarshal.AsSpan(_run) });
        }
        return allocated;
    }

    /// <summary>Makes holes of a range of blocks. Of a long range whole segments go to an orphan, to be dropped in the background.</summary>
    /// <returns>By how many bytes the allocation of the file changes.</returns>
    private long Drop(ref ulong manifest, long first, long end, Timestamp now)
    {
        if (end <= first)
            return 0;
        long from = first / MetadataLimits.SegmentBlocks + (first % MetadataLimits.SegmentBlocks == 0 ? 0 : 1);
        long to = end / MetadataLimits.SegmentBlocks;
        long allocated = 0;
        if (to > from && CountSegments(manifest, from, to, MetadataLimits.DropSegments + 1) > MetadataLimits.DropSegments)
            allocated -= Detach(ref manifest, from, to, now);
        return allocated + Execute(new DropBlocks(manifest, first, end, now));
    }

    /// <summary>Gives whole segments to a fresh orphan. Whichever is less is moved: what goes, or, under a new key, what stays.</summary>
    /// <returns>Bytes that went with them.</returns>
    private long Detach(ref ulong manifest, long from, long to, Timestamp now)
    {
        long all = CountSegments(manifest, 0, long.MaxValue, long.MaxValue);
        long going = CountSegments(manifest, from, to, long.MaxValue);
        var s = _sql.SumSegments.Bind(1, manifest).Bind(2, from).Bind(3, to);
        s.Step();
        long bytes = s.Int64(0);
        s.Reset();
        var orphan = new InodeNumber(_nextInode++);
        ulong key = orphan.Value;
        ulong left = key;
        if (all - going < going)
        {
            if (all > going)
            {
                Execute(new MoveSegments(manifest, key, 0, from));
                Execute(new MoveSegments(manifest, key, to, long.MaxValue));
            }
            (left, manifest) = (manifest, key);
        }
        else
        {
            Execute(new MoveSegments(manifest, key, from, to));
        }
        var attributes = new Attributes
        {
            Inode = orphan,
            Mode = Mode.S_IFREG,
            Size = bytes,
            AllocatedBytes = bytes,
            AccessTime = now,
            ModifyTime = now,
            ChangeTime = now,
            BirthTime = now,
        };
        Execute(new InodeRow { Attributes = attributes, Parent = default, Manifest = left, XattrBytes = 0, Linkable = false }, []);
        _counters.Orphans++;
        _detached.Add(orphan);
        return bytes;
    }

    /// <summary>Counts segments, and stops at a limit.</summary>
    private long CountSegments(ulong manifest, long from, long to, long limit)
    {
        var s = _sql.EachSegment.Bind(1, manifest).Bind(2, from).Bind(3, to);
        long count = 0;
        while (count < limit && s.Step())
            count++;
        s.Reset();
        return count;
    }
}
