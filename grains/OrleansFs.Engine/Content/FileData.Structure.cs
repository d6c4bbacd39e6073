using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

internal sealed partial class FileData
{
    /// <summary>Sets the size. What is cut off is gone at once for readers, and for the disk with the next settling; what is gained reads as zeros.</summary>
    public FsResult Truncate(Inode inode, long size)
    {
        if (size < 0)
            return Errno.EINVAL;
        var released = new List<BlockHash>();
        lock (inode.Gate)
        {
            var attributes = inode.Snapshot();
            if ((attributes.Flags & (InodeFlags.Immutable | InodeFlags.AppendOnly)) != 0)
                return Errno.EPERM;
            var content = ContentOf(inode);
            try
            {
                if (size >= attributes.Size)
                    FillUpLastBlock(inode, content, attributes.Size, size);
                else if (size % _blockSize != 0)
                    SlotOf(inode, content, size / _blockSize);
            }
            catch (MetadataException e)
            {
                LogNoManifest(inode.Number, e.Message);
                return e.Error;
            }
            if (!TryMarkDirty(inode, content, out var refused))
                return refused;
            if (size < attributes.Size)
                Cut(content, size, released);
            content.MarkStructure();
            long allocated = size < attributes.Size ? Math.Min(attributes.AllocatedBytes, size > long.MaxValue - _blockSize ? long.MaxValue : BlocksOf(size) * _blockSize) - attributes.AllocatedBytes : 0;
            SetSize(inode, size, size == 0 ? -attributes.AllocatedBytes : allocated);
        }
        _sealer.Release(released);
        return FsResult.Ok;
    }

    /// <summary>fallocate(2). Space is not set aside (deduplication and compression make that meaningless); what it makes of the content is exact.</summary>
    public async ValueTask<FsResult> AllocateAsync(InodeNumber number, AllocateMode mode, long offset, long length, CancellationToken cancellation)
    {
        bool punch = mode == (AllocateMode.PunchHole | AllocateMode.KeepSize);
        bool zero = (mode & ~AllocateMode.KeepSize) == AllocateMode.ZeroRange;
        if (!punch && !zero && (mode & ~AllocateMode.KeepSize) != AllocateMode.None)
            return Errno.EOPNOTSUPP;
        if (offset < 0 || length <= 0)
            return Errno.EINVAL;
        if (offset > long.MaxValue - length)
            return Errno.EFBIG;
        var found = RequireRegular(_metadata.Acquire(number));
        if (!found.TryGet(out var inode, out var error))
            return error == Errno.EISDIR ? Errno.EISDIR : Errno.ENODEV;
        try
        {
            if ((inode.Snapshot().Flags & (InodeFlags.Immutable | (punch || zero ? InodeFlags.AppendOnly : InodeFlags.None))) != 0)
                return Errno.EPERM;
            bool grow = (mode & AllocateMode.KeepSize) == 0;
            // Every byte of an append-only file is of a record.
            if (grow && (inode.Snapshot().Flags & InodeFlags.AppendOnly) != 0 && offset + length > inode.Snapshot().Size)
                return Errno.EPERM;
            if (!punch && !zero && !_space.Admits(length))
            {
                await MakeRoom(cancellation);
                if (!_space.Admits(length))
                    return Errno.ENOSPC;
            }
            while (punch || zero)
            {
                int missing = TryClear(inode, offset, length, out var refused);
                if (refused != Errno.None)
                    return refused;
                if (missing == 0)
                    break;
                SignalPressure();
                await _pool.WaitForRoomAsync(missing, cancellation);
            }
            if (grow && offset + length > inode.Snapshot().Size)
                return Grow(inode, offset + length);
            return FsResult.Ok;
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        catch (BlockStoreException e)
        {
            return e.Error;
        }
        catch (MetadataException e)
        {
            LogNoManifest(number, e.Message);
            return e.Error;
        }
        finally
        {
            _metadata.Release(inode);
        }
    }

    private FsResult Grow(Inode inode, long size)
    {
        lock (inode.Gate)
        {
            long old = inode.Snapshot().Size;
            if (size <= old)
                return FsResult.Ok;
            var content = ContentOf(inode);
            FillUpLastBlock(inode, content, old, size);
            if (!TryMarkDirty(inode, content, out var refused))
                return refused;
            content.MarkStructure();
            SetSize(inode, size, 0);
            return FsResult.Ok;
        }
    }

    /// <summary>Drops the blocks past a size and cuts the one that it falls into, which has a slot.</summary>
    private void Cut(FileContent content, long size, List<BlockHash> released)
    {
        content.Cut(BlocksOf(size), released);
        int rest = (int)(size % _blockSize);
        long index = size / _blockSize;
        if (rest == 0 || content.Find(index) is not { } slot)
            return;
        slot.Top?.Truncate(rest);
        if (slot.Top?.End == 0)
        {
            slot.Top.Release();
            slot.Top = null;
        }
        slot.Limit = Math.Min(slot.Limit, rest);
        slot.FrozenLimit = Math.Min(slot.FrozenLimit, rest);
        if (slot.Frozen is not null || !slot.Base.IsHole)
            slot.Reseal = true;
        else if (slot.Top is null && !slot.Uncommitted)
            content.Remove(index);
    }

    /// <summary>Makes a range read as zeros within the size: whole blocks become holes, the ends are cleared in memory.</summary>
    /// <returns>0, or how many pages it takes where they are not to be had now. Nothing has changed then, nor where it is refused.</returns>
    private int TryClear(Inode inode, long offset, long length, out Errno refused)
    {
        refused = Errno.None;
        var released = new List<BlockHash>();
        lock (inode.Gate)
        {
            var attributes = inode.Snapshot();
            long end = Math.Min(offset + length, attributes.Size);
            if (offset >= end)
                return 0;
            var content = ContentOf(inode);
            long first = offset / _blockSize + (offset % _blockSize == 0 ? 0 : 1);
            long last = end == attributes.Size ? BlocksOf(end) : end / _blockSize;
            var spare = t_spare ??= [];
            spare.Clear();
            // The end of the last block there can be is past what a long holds.
            long headEnd = first > end / _blockSize ? end : first * _blockSize;
            long tailStart = last > end / _blockSize ? end : Math.Max(headEnd, last * _blockSize);
            var head = SlotToClear(inode, content, offset, headEnd);
            var tail = SlotToClear(inode, content, tailStart, end);
            int pages = (head is null ? 0 : PagesOf(headEnd - offset)) + (tail is null ? 0 : PagesOf(end - tailStart));
            Span<int> rented = pages <= 512 ? stackalloc int[pages] : new int[pages];
            if (!TryMarkDirty(inode, content, out refused))
                return 0;
            if (!_pool.TryRent(rented))
                return pages;
            spare.AddRange(rented);
            ClearWithin(head, content, offset, headEnd, spare);
            if (last > first)
                content.Punch(new BlockRange(first, last - first), released);
            ClearWithin(tail, content, tailStart, end, spare);
            ReturnSpare(spare);
            content.MarkStructure();
            long freed = last > first ? Math.Min(attributes.AllocatedBytes, (last - first) * _blockSize) : 0;
            SetSize(inode, attributes.Size, -freed);
            if (content.Punched.Count > Limits.PunchedRanges)
                SignalPressure();
        }
        _sealer.Release(released);
        return 0;
    }

    private static int PagesOf(long length) => length <= 0 ? 0 : (int)(length / PagePool.PageSize) + 2;

    /// <summary>The slot of a range within one block; null where nothing is to be cleared.</summary>
    private Slot? SlotToClear(Inode inode, FileContent content, long from, long to)
    {
        if (from >= to)
            return null;
        long index = from / _blockSize;
        return content.Find(index) ?? (CommittedBase(inode, index) is { IsHole: false } stored ? content.Add(index, stored) : null);
    }

    private void ClearWithin(Slot? slot, FileContent content, long from, long to, List<int> spare)
    {
        if (slot is null)
            return;
        slot.Top ??= content.NewTop(slot);
        slot.Top.Clear((int)(from % _blockSize), (int)(to - from), spare);
    }
}
