using System.Runtime.InteropServices;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

internal sealed partial class FileData
{
    [ThreadStatic]
    private static List<int>? t_spare;

    /// <summary>What is written has been promised before: neither the disk is asked, nor what the file has become since.</summary>
    private bool _isReplaying;

    /// <summary>Writes all of the data into in-flight blocks. Waits only where the budget is used up, or where the disk seems full.</summary>
    /// <returns>Where the data went.</returns>
    /// <remarks>Of the changes of content only an append is one that must not be made twice: its reply is kept where one is asked for.</remarks>
    public ValueTask<FsResult<long>> WriteAsync(InodeNumber number, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation, ChangeRecord? record = null)
    {
        var found = RequireRegular(_metadata.Acquire(number));
        if (!found.TryGet(out var inode, out var error))
            return new(error);
        if (data.Length > Limits.WriteStep)
            return WriteStepsAsync(inode, offset, data, flags, record, cancellation);
        return WriteOrWaitAsync(inode, offset, data, flags, null, cancellation, record);
    }

    private ValueTask<FsResult<long>> WriteOrWaitAsync(Inode inode, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, Append? append, CancellationToken cancellation, ChangeRecord? record = null)
    {
        int missing = 0;
        var result = _space.AdmitsContent(data.Length) ? TryWrite(inode, offset, data.Span, flags, append, record, out missing) : Errno.ENOSPC;
        if (missing > 0 || result.Error == Errno.ENOSPC)
            return WaitAndWriteAsync(inode, offset, data, flags, append, record, missing, cancellation);
        _metadata.Release(inode);
        return new(result);
    }

    private async ValueTask<FsResult<long>> WaitAndWriteAsync(Inode inode, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, Append? append, ChangeRecord? record, int missing,
        CancellationToken cancellation)
    {
        try
        {
            bool collected = false;
            while (true)
            {
                bool hadRoom = true;
                if (missing > 0)
                {
                    SignalPressure();
                    try
                    {
                        await _pool.WaitForRoomAsync(missing, cancellation);
                    }
                    catch (BlockStoreException e) when (e.Error == Errno.ENOSPC && !collected)
                    {
                        hadRoom = await MakeRoom(cancellation);
                        collected = true;
                    }
                }
                else
                {
                    hadRoom = await MakeRoom(cancellation);
                    collected = true;
                }
                if (!_space.AdmitsContent(data.Length))
                {
                    // Many wait for the same room, and others may have had it.
                    missing = 0;
                    if (hadRoom)
                        continue;
                    return Errno.ENOSPC;
                }
                var result = TryWrite(inode, offset, data.Span, flags, append, record, out missing);
                if (missing == 0 && (collected || result.Error != Errno.ENOSPC))
                    return result;
            }
        }
        catch (BlockStoreException e)
        {
            return e.Error;
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        finally
        {
            _metadata.Release(inode);
        }
    }

    private async ValueTask<FsResult<long>> WriteStepsAsync(Inode inode, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, ChangeRecord? record, CancellationToken cancellation)
    {
        try
        {
            long? start = null;
            for (int done = 0; done < data.Length; done += Limits.WriteStep)
            {
                var step = data.Slice(done, Math.Min(Limits.WriteStep, data.Length - done));
                var result = await WriteAsync(inode.Number, start + done ?? offset, step, start is null ? flags : flags & ~WriteFlags.Append, cancellation, start is null ? record : null);
                if (!result.TryGet(out long at, out var error))
                    return error;
                start ??= at;
            }
            return start ?? offset;
        }
        finally
        {
            _metadata.Release(inode);
        }
    }

    private FsResult<long> TryWrite(Inode inode, long offset, ReadOnlySpan<byte> data, WriteFlags flags, Append? append, ChangeRecord? record, out int missing)
    {
        try
        {
            return WriteNow(inode, offset, data, flags, append, record, out missing);
        }
        catch (MetadataException e)
        {
            LogNoManifest(inode.Number, e.Message);
            missing = 0;
            return e.Error;
        }
    }

    private FsResult<long> WriteNow(Inode inode, long offset, ReadOnlySpan<byte> data, WriteFlags flags, Append? append, ChangeRecord? record, out int missing)
    {
        missing = 0;
        lock (inode.Gate)
        {
            var attributes = inode.Snapshot();
            if ((attributes.Flags & InodeFlags.Immutable) != 0 && (flags & WriteFlags.FromPageCache) == 0 && !_isReplaying)
                return Errno.EPERM;
            if ((attributes.Flags & InodeFlags.AppendOnly) != 0 && (flags & WriteFlags.Again) != 0)
                return Errno.EPERM;
            bool isRecord = (attributes.Flags & InodeFlags.AppendOnly) != 0 && !_isReplaying;
            if (CheckAppend(inode, attributes, offset, data.Length, flags, append) is { } known)
                return known;
            long at = (flags & WriteFlags.Append) != 0 ? attributes.Size : offset;
            if (at < 0 || at > long.MaxValue - data.Length)
                return Errno.EFBIG;
            if (data.IsEmpty)
                return at;
            var content = ContentOf(inode);
            var spare = t_spare ??= [];
            missing = RentFor(content, at, data.Length, spare);
            if (missing > 0)
                return at;
            long end = at + data.Length;
            long allocated;
            try
            {
                // What can fail comes first: a write is in the file as a whole, or not at all.
                if (end > attributes.Size)
                    FillUpLastBlock(inode, content, attributes.Size, end);
                MakeSlots(inode, content, at, end);
                if (!TryMarkDirty(inode, content, out var refused))
                    return refused;
                if ((flags & WriteFlags.KillPrivileges) != 0 && _metadata.ApplyAttributes(inode, new AttributeChange { Mask = AttributeMask.KillPrivileges }, default) is { IsOk: false, Error: var kept })
                    return kept;
                if (isRecord && end > attributes.Size && Record(inode, Math.Max(at, attributes.Size), end, append) is var unrecorded and not Errno.None)
                    return unrecorded;
                allocated = Place(inode, content, at, data, spare);
            }
            finally
            {
                // None where all went well.
                ReturnSpare(spare);
            }
            content.NoteWritten(at, data.Length);
            SetSize(inode, Math.Max(attributes.Size, end), allocated, isFromPageCache: (flags & WriteFlags.FromPageCache) != 0);
            if (content.UncommittedBlocks > Limits.UncommittedBlocks)
                SignalPressure();
            if (isRecord)
                Recorded?.Invoke(inode.Number);
            // Where an append went is said before any of it can be committed: the gate is held.
            if (record?.Reply is { } key && (flags & WriteFlags.Append) != 0)
                _metadata.KeepReply(inode, key, ReplyValue.Of(at));
            return at;
        }
    }

    /// <summary>Takes the pages that a write needs.</summary>
    /// <returns>0, or how many pages it takes where they are not to be had now.</returns>
    private int RentFor(FileContent content, long offset, int length, List<int> spare)
    {
        int pages = 0;
        for (long at = offset; at < offset + length;)
        {
            long index = at / _blockSize;
            int within = (int)(at % _blockSize);
            int n = (int)Math.Min(_blockSize - within, offset + length - at);
            pages += content.Find(index)?.Top?.MissingPages(within, n) ?? (within + n - 1) / PagePool.PageSize - within / PagePool.PageSize + 1;
            at += n;
        }
        Span<int> rented = pages <= 512 ? stackalloc int[pages] : new int[pages];
        if (!_pool.TryRent(rented))
            return pages;
        spare.Clear();
        spare.AddRange(rented);
        return 0;
    }

    private void ReturnSpare(List<int> spare)
    {
        _pool.Return(CollectionsMarshal.AsSpan(spare));
        spare.Clear();
    }

    /// <summary>Makes the slots of a range that have none.</summary>
    /// <exception cref="MetadataException">The list of the file's blocks cannot be read: nothing has changed.</exception>
    private void MakeSlots(Inode inode, FileContent content, long start, long end)
    {
        for (long index = start / _blockSize; index <= (end - 1) / _blockSize; index++)
            SlotOf(inode, content, index);
    }

    /// <summary>Copies data into the blocks' in-flight extents, and hands on blocks that are complete and left behind.</summary>
    /// <returns>Bytes by which the allocation grew: what lies in blocks that were holes.</returns>
    private long Place(Inode inode, FileContent content, long offset, ReadOnlySpan<byte> data, List<int> spare)
    {
        long allocated = 0;
        while (!data.IsEmpty)
        {
            long index = offset / _blockSize;
            int within = (int)(offset % _blockSize);
            int n = Math.Min(_blockSize - within, data.Length);
            var slot = SlotOf(inode, content, index);
            slot.Top ??= content.NewTop(slot);
            int added = slot.Top.Write(within, data[..n], spare);
            if (slot.Base.IsHole)
                allocated += added;
            if (content.Newest is { } newest && newest != index)
                OfferForSealing(inode, content, newest);
            content.Newest = index;
            offset += n;
            data = data[n..];
        }
        return allocated;
    }

    /// <summary>The file grows: a last block that was short is not the last any more, and is hashed anew with zeros to its full length.</summary>
    private void FillUpLastBlock(Inode inode, FileContent content, long size, long newSize)
    {
        if (size % _blockSize == 0 || LengthOf(size / _blockSize, size) == LengthOf(size / _blockSize, newSize))
            return;
        var slot = SlotOf(inode, content, size / _blockSize);
        if (!slot.Base.IsHole || slot.Frozen is not null)
            slot.Reseal = true;
        else if (slot.Top is null && !slot.Uncommitted)
            content.Remove(size / _blockSize);
    }

    private void OfferForSealing(Inode inode, FileContent content, long index)
    {
        if (content.Find(index) is { Sealing: false, Frozen: null, Top.IsComplete: true } slot && !content.Freezing && inode.Snapshot().LinkCount > 0)
            _complete.Writer.TryWrite(new SealRequest(inode, content, index, slot));
    }

    /// <summary>After a settling: the blocks that became complete meanwhile. Call with the gate held.</summary>
    private void OfferComplete(Inode inode, FileContent content)
    {
        foreach (long index in content.Slots.Keys)
        {
            if (index != content.Newest)
                OfferForSealing(inode, content, index);
        }
    }
}
