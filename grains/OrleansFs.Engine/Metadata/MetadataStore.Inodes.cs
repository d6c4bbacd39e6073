using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

internal sealed partial class MetadataStore
{
    private readonly ConcurrentDictionary<ulong, Inode> _inodes = new();

    /// <summary>The objects of <see cref="_inodes"/> in the order in which the hand goes round (CLOCK); holes where some were purged.</summary>
    private readonly List<Inode> _ring = [];
    private readonly List<Inode> _dirty = [];
    private int _hand;

    /// <summary>Inodes in memory.</summary>
    public int CachedInodes => _inodes.Count;

    /// <summary>The inode, pinned; null where there is none. Give it back with <see cref="Release"/>. Takes no lock where it is in memory.</summary>
    /// <exception cref="MetadataException">Its row cannot be read.</exception>
    public Inode? Acquire(InodeNumber number)
    {
        if (_inodes.TryGetValue(number.Value, out var known) && known.TryPin())
        {
            known.Recent = true;
            return known;
        }
        lock (Lock)
        {
            Sweep();
            var inode = Find(number);
            return inode is not null && inode.TryPin() ? inode : null;
        }
    }

    /// <summary>Gives back what <see cref="Acquire"/> gave.</summary>
    [SuppressMessage("Performance", "CA1822", Justification = "The counterpart of Acquire.")]
    public void Release(Inode inode) => inode.Unpin();

    /// <summary>The row is written with the next commit. Call after changing <see cref="Inode.Current"/>, without holding the inode's own lock.</summary>
    public void MarkDirty(Inode inode)
    {
        lock (Lock)
        {
            if (SetDirty(inode, timesOnly: true) && PendingMutations == 0 && _dirty.Count == 1)
                Pending?.Invoke();
        }
    }

    public FsResult<Attributes> GetAttributes(InodeNumber inode)
    {
        if (_inodes.TryGetValue(inode.Value, out var known) && !known.IsGone)
        {
            known.Recent = true;
            return known.Snapshot();
        }
        lock (Lock)
        {
            try
            {
                if (!IsReady())
                    return Errno.EIO;
                Sweep();
                return Find(inode) is { } found ? found.Snapshot() : Errno.ESTALE;
            }
            catch (MetadataException e)
            {
                return Failed(e);
            }
        }
    }

    /// <summary>Reading failed; nothing has changed.</summary>
    private Errno Failed(MetadataException error)
    {
        _failures.Tell("the metadata cannot be read", error);
        return error.Error;
    }

    /// <summary>The inode, not pinned: good until the end of the operation. Called with the lock held.</summary>
    private Inode? Find(InodeNumber number)
    {
        if (_inodes.TryGetValue(number.Value, out var known))
        {
            known.Recent = true;
            return known;
        }
        RequireReady();
        var s = _sql.GetInode.Bind(1, number);
        if (!s.Step())
            return null;
        var row = ReadRow(s);
        s.Reset();
        var inode = new Inode(row.Attributes) { Parent = row.Parent, Manifest = row.Manifest, XattrBytes = row.XattrBytes, Linkable = row.Linkable };
        // When it changed last is not known; what is on disk of it is not newer than all there is.
        inode.Changed = _tail;
        Keep(inode);
        return inode;
    }

    private void Keep(Inode inode)
    {
        _inodes[inode.Number.Value] = inode;
        _ring.Add(inode);
    }

    private static InodeRow ReadRow(Statement s) => new()
    {
        Attributes = new Attributes
        {
            Inode = s.Inode(0),
            Mode = s.UInt32(1),
            LinkCount = s.UInt32(2),
            Uid = s.UInt32(3),
            Gid = s.UInt32(4),
            Size = s.Int64(5),
            AllocatedBytes = s.Int64(6),
            AccessTime = s.Time(7),
            ModifyTime = s.Time(8),
            ChangeTime = s.Time(9),
            BirthTime = s.Time(10),
            Device = s.UInt32(11),
            Flags = (InodeFlags)s.Int64(12),
        },
        Parent = s.Inode(13),
        Manifest = s.Inode(14).Value,
        XattrBytes = s.Int32(15),
        Linkable = s.Int64(16) != 0,
    };

    /// <summary>Changes attributes in memory; the row follows at the commit.</summary>
    private void Change(Inode inode, in Attributes next)
    {
        lock (inode)
        {
            inode.Current = next;
            // Only a file's content is newer than its row; of everything else the row follows what is shown.
            if (!next.IsRegular)
                inode.Committed = new CommittedContent(next.Size, next.AllocatedBytes, next.ModifyTime);
        }
        SetDirty(inode);
    }

    /// <param name="inode">What changes.</param>
    /// <param name="timesOnly">Nothing but times changes, as it does with each write.</param>
    /// <returns>Whether it was not dirty before.</returns>
    private bool SetDirty(Inode inode, bool timesOnly = false)
    {
        _record?.Add(inode.Number);
        Volatile.Write(ref timesOnly ? ref inode.TimesChanged : ref inode.Changed, _tail + 1);
        lock (inode)
        {
            if (inode.AttributesDirty || inode.IsGone)
                return false;
            inode.AttributesDirty = true;
        }
        _dirty.Add(inode);
        return true;
    }

    /// <summary>Drops objects while there are too many. Only at the start of an operation: see the invariants.</summary>
    private void Sweep()
    {
        if (_ring.Count <= MetadataLimits.CachedInodes)
            return;
        for (int step = 0; step < MetadataLimits.SweepSteps && _ring.Count > MetadataLimits.CachedInodes; step++)
        {
            if (_hand >= _ring.Count)
                _hand = 0;
            var inode = _ring[_hand];
            if (inode.IsGone || TryDrop(inode))
            {
                // The last takes the place of the one that goes, so that the ring has no gaps; it is new, and the hand comes to it last.
                _ring[_hand] = _ring[^1];
                _ring.RemoveAt(_ring.Count - 1);
            }
            _hand++;
        }
    }

    private bool TryDrop(Inode inode)
    {
        if (inode.Recent)
        {
            inode.Recent = false;
            return false;
        }
        lock (inode)
        {
            if (inode.AttributesDirty || inode.IsInFlight)
                return false;
            if (inode.Current.ModifyTime != inode.Committed.ModifyTime)
            {
                // A time was set while content was in flight that was committed with an older one.
                inode.Committed = inode.Committed with { ModifyTime = inode.Current.ModifyTime };
                inode.AttributesDirty = true;
                _dirty.Add(inode);
                return false;
            }
            if (!inode.TryRetire())
                return false;
        }
        _inodes.TryRemove(new KeyValuePair<ulong, Inode>(inode.Number.Value, inode));
        return true;
    }

    /// <summary>Writes every dirty inode's row into the open transaction.</summary>
    private void FlushInodes()
    {
        int done = 0;
        try
        {
            for (; done < _dirty.Count; done++)
            {
                var inode = _dirty[done];
                if (!inode.IsGone)
                    Flush(inode);
            }
        }
        finally
        {
            // Those that were not reached stay dirty.
            _dirty.RemoveRange(0, done);
        }
    }

    private void Flush(Inode inode)
    {
        InodeRow row;
        lock (inode)
        {
            var a = inode.Current;
            if (a.IsRegular)
            {
                if (!inode.IsInFlight)
                    inode.Committed = inode.Committed with { ModifyTime = a.ModifyTime };
                a = a with { Size = inode.Committed.Size, AllocatedBytes = inode.Committed.AllocatedBytes, ModifyTime = inode.Committed.ModifyTime };
            }
            row = new InodeRow { Attributes = a, Parent = inode.Parent, Manifest = inode.Manifest, XattrBytes = inode.XattrBytes, Linkable = inode.Linkable };
            inode.AttributesDirty = false;
        }
        try
        {
            // Nobody finds a file that has no name and will get none.
            bool mayBeFound = row.Attributes.LinkCount > 0 || row.Linkable;
            if (row.Attributes.IsRegular && (inode.HashVoid || inode.IsNew))
                row = row with { HashChanged = true, Hash = mayBeFound ? HashOf(row.Manifest, row.Attributes.Size) : null };
            if (inode.IsNew)
                Execute(row, inode.NewTarget);
            else
                Execute(row);
        }
        catch
        {
            lock (inode)
                inode.AttributesDirty = true;
            throw;
        }
        inode.IsNew = false;
        inode.NewTarget = null;
        inode.HashVoid = false;
    }

    /// <summary>The inode's row is deleted: nothing may be written for it any more.</summary>
    private void Forget(Inode inode)
    {
        lock (inode)
        {
            inode.IsGone = true;
            inode.AttributesDirty = false;
        }
        _inodes.TryRemove(new KeyValuePair<ulong, Inode>(inode.Number.Value, inode));
    }
}
