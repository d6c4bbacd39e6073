using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Inodes without a name.</content>
internal sealed partial class MetadataStore
{
    /// <summary>Inodes without a name, as of the last commit before opening: call once, after opening.</summary>
    public IReadOnlyList<InodeNumber> Orphans()
    {
        lock (Lock)
        {
            var orphans = new List<InodeNumber>();
            while (_sql.Orphans.Step())
                orphans.Add(_sql.Orphans.Inode(0));
            return orphans;
        }
    }

    /// <summary>Deletes an orphan at once where its manifest has no more than so many segments. EAGAIN where it has: call <see cref="PurgeStep"/> until it answers true. EBUSY where the
    /// inode has a name. ESTALE where it is gone already. EROFS where another copy is about to take over. The caller has made sure that nobody holds it.</summary>
    public FsResult PurgeOrphan(InodeNumber inode, int maxSegments = MetadataLimits.DropSegments)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                if (Find(inode) is not { } orphan)
                    return Errno.ESTALE;
                if (orphan.Current.LinkCount != 0)
                    return Errno.EBUSY;
                if (RefusesOwn?.Invoke() == true)
                    return Errno.EROFS;
                if (orphan.Committed.AllocatedBytes > 0 && CountSegments(orphan.Manifest, 0, long.MaxValue, maxSegments + 1) > maxSegments)
                    return Errno.EAGAIN;
                Purge(orphan);
                return FsResult.Ok;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>Deletes part of an orphan, from its end, at most so many segments of its manifest. True when the orphan is gone or was never there.</summary>
    /// <exception cref="MetadataException">Nothing has changed.</exception>
    public bool PurgeStep(InodeNumber inode, int maxSegments)
    {
        lock (Lock)
        {
            if (Enter() is not Errno.None)
                throw new MetadataException(Errno.EIO, 0, Trouble!);
            try
            {
                if (Find(inode) is not { } orphan)
                    return true;
                if (orphan.Current.LinkCount != 0)
                    throw new InvalidOperationException($"inode {inode} has a name and is not to be purged");
                if (RefusesOwn?.Invoke() == true)
                    return false;
                if (SegmentFromEnd(orphan.Manifest, maxSegments) is not { } last)
                {
                    Purge(orphan);
                    return true;
                }
                long allocated = Execute(new DropBlocks(orphan.Manifest, (last + 1) * MetadataLimits.SegmentBlocks, long.MaxValue, Clock.Now()));
                lock (orphan)
                {
                    orphan.Committed = orphan.Committed with { AllocatedBytes = orphan.Committed.AllocatedBytes + allocated };
                    orphan.Current = orphan.Current with { AllocatedBytes = orphan.Committed.AllocatedBytes };
                }
                // What is left of it is no content that the file ever had: see Flush.
                orphan.HashVoid = true;
                orphan.Linkable = false;
                SetDirty(orphan);
                Done();
                return false;
            }
            catch (Exception e)
            {
                Undo(e);
                throw;
            }
        }
    }

    /// <summary>The last segment before so many others; null where there are no more than those.</summary>
    private long? SegmentFromEnd(ulong manifest, int others)
    {
        var s = _sql.SegmentsBackwards.Bind(1, manifest);
        int seen = 0;
        while (seen <= others && s.Step())
            seen++;
        long? segment = seen > others ? s.Int64(0) : null;
        s.Reset();
        return segment;
    }

    private void Purge(Inode orphan)
    {
        if (orphan.Committed.AllocatedBytes > 0)
            Execute(new DropBlocks(orphan.Manifest, 0, long.MaxValue, Clock.Now()));
        if (orphan.XattrBytes > 0)
            ExecuteDeleteXattrs(orphan.Number);
        if ((orphan.Current.Flags & InodeFlags.AppendOnly) != 0)
            ExecuteDropRecords(orphan.Number);
        if (!orphan.IsNew)
            ExecuteDeleteInode(orphan.Number);
        _redo!.Settle(orphan.Number, new RedoMark(long.MaxValue, long.MaxValue), new Lsn(_tail + 1));
        _counters.Orphans--;
        Forget(orphan);
        Done();
    }
}
