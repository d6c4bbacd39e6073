using System.Buffers;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

internal sealed partial class FileData
{
    /// <summary>copy_file_range(2): whole blocks are shared, what does not fall on blocks of both files is copied. May copy less than asked; the caller goes on from there.</summary>
    public async ValueTask<FsResult<long>> CopyRangeAsync(InodeNumber sourceNumber, long sourceOffset, InodeNumber targetNumber, long targetOffset, long length,
        CancellationToken cancellation)
    {
        if (sourceOffset < 0 || targetOffset < 0 || length < 0)
            return Errno.EINVAL;
        if (targetOffset > long.MaxValue - length)
            return Errno.EFBIG;
        var foundSource = RequireRegular(_metadata.Acquire(sourceNumber));
        if (!foundSource.TryGet(out var source, out var error))
            return error;
        try
        {
            var foundTarget = RequireRegular(_metadata.Acquire(targetNumber));
            if (!foundTarget.TryGet(out var target, out error))
                return error;
            try
            {
                return await CopyRangeAsync(source, sourceOffset, target, targetOffset, length, cancellation);
            }
            finally
            {
                _metadata.Release(target);
            }
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        catch (MetadataException e)
        {
            LogNoManifest(sourceNumber, e.Message);
            return e.Error;
        }
        catch (BlockStoreException e)
        {
            return e.Error;
        }
        finally
        {
            _metadata.Release(source);
        }
    }

    private async ValueTask<FsResult<long>> CopyRangeAsync(Inode source, long sourceOffset, Inode target, long targetOffset, long length, CancellationToken cancellation)
    {
        long size = source.Snapshot().Size;
        if (sourceOffset >= size)
            return 0L;
        length = Math.Min(length, size - sourceOffset);
        if (ReferenceEquals(source, target) && sourceOffset < targetOffset + length && targetOffset < sourceOffset + length)
            return Errno.EINVAL;
        if ((target.Snapshot().Flags & (InodeFlags.Immutable | InodeFlags.AppendOnly)) != 0)
            return Errno.EPERM;
        long sharable = Sharable(sourceOffset, targetOffset, length, size, target.Snapshot().Size);
        if (sharable > 0)
        {
            var settled = await SettleAsync(source, SealedSync.Later, alongside: null, cancellation);
            if (!settled.IsOk)
                return settled.Error;
            var shared = Share(source, sourceOffset, target, targetOffset, sharable);
            if (!shared.IsOk || shared.Value > 0)
                return shared;
        }
        int head = (int)((_blockSize - sourceOffset % _blockSize) % _blockSize);
        bool aligned = sourceOffset % _blockSize == targetOffset % _blockSize;
        long step = aligned && head > 0 && sharable == 0 ? Math.Min(head, length) : Math.Min(length, Limits.CopyStep);
        return await CopyBytesAsync(source, sourceOffset, target, targetOffset, (int)Math.Min(step, Limits.CopyStep), cancellation);
    }

    /// <summary>Bytes from the offsets on that are whole blocks of both files: a short last block counts where it becomes the target's last.</summary>
    private long Sharable(long sourceOffset, long targetOffset, long length, long sourceSize, long targetSize)
    {
        if (sourceOffset % _blockSize != 0 || targetOffset % _blockSize != 0)
            return 0;
        long whole = length - length % _blockSize;
        bool endsBoth = sourceOffset + length == sourceSize && targetOffset + length >= targetSize;
        return Math.Min(endsBoth ? length : whole, (long)Limits.ShareBlocks * _blockSize);
    }

    /// <summary>Makes blocks of the source the target's own. The source's blocks are those committed; one written since ends the run.</summary>
    private FsResult<long> Share(Inode source, long sourceOffset, Inode target, long targetOffset, long length)
    {
        var run = new List<SealedBlock>();
        var released = new List<BlockHash>();
        try
        {
            Pin(source, sourceOffset, length, run);
            if (run.Count == 0)
                return 0L;
            long shared = Math.Min(length, (long)run.Count * _blockSize);
            lock (target.Gate)
            {
                // Both may have changed while the source was settled.
                var attributes = target.Snapshot();
                if ((attributes.Flags & (InodeFlags.Immutable | InodeFlags.AppendOnly)) != 0)
                {
                    released.AddRange(run.Select(b => b.Hash));
                    return Errno.EPERM;
                }
                if (shared % _blockSize != 0 && targetOffset + shared < attributes.Size)
                {
                    released.Add(run[^1].Hash);
                    run.RemoveAt(run.Count - 1);
                    shared -= shared % _blockSize;
                    if (run.Count == 0)
                        return 0L;
                }
                var content = ContentOf(target);
                long end = targetOffset + shared;
                if (end > attributes.Size)
                    FillUpLastBlock(target, content, attributes.Size, end);
                if (!TryMarkDirty(target, content, out var refused))
                {
                    released.AddRange(run.Select(b => b.Hash));
                    return refused;
                }
                for (int i = 0; i < run.Count; i++)
                    released.Add(content.Replace(targetOffset / _blockSize + i, run[i]));
                content.MarkStructure();
                SetSize(target, Math.Max(attributes.Size, end), run.Sum(b => (long)b.Length));
                if (content.UncommittedBlocks > Limits.UncommittedBlocks)
                    SignalPressure();
            }
            return shared;
        }
        catch (Exception e) when (e is MetadataException or BlockStoreException)
        {
            // No slot has one of them yet: it is before that that something can fail.
            released.AddRange(run.Select(b => b.Hash));
            throw;
        }
        finally
        {
            _sealer.Release(released);
        }
    }

    /// <summary>Pins the blocks of a range, as far as they are stored. A short one counts where it is the source's last, and is as long as that.</summary>
    /// <param name="source">The file.</param>
    /// <param name="offset">On the boundary of a block.</param>
    /// <param name="length">Of the range.</param>
    /// <param name="run">Receives them.</param>
    private void Pin(Inode source, long offset, long length, List<SealedBlock> run)
    {
        lock (source.Gate)
        {
            long size = source.Snapshot().Size;
            long first = offset / _blockSize;
            for (long index = first; index <= (offset + length - 1) / _blockSize; index++)
            {
                if (source.Content?.Find(index) is { } slot && (slot.NeedsSeal || slot.Frozen is not null))
                    break;
                var known = source.Content?.Find(index)?.Base ?? CommittedBase(source, index);
                if (LengthOf(index, size) != Math.Min(_blockSize, offset + length - index * _blockSize))
                    break;
                if (known.IsHole)
                    run.Add(SealedBlock.Hole);
                else if (_sealer.TryShare(known.Hash, out var pinned))
                    run.Add(pinned);
                else
                    break;
                if (!known.IsHole && run[^1].Length != LengthOf(index, size))
                {
                    _sealer.Release(known.Hash);
                    run.RemoveAt(run.Count - 1);
                    break;
                }
            }
        }
    }

    private async ValueTask<FsResult<long>> CopyBytesAsync(Inode source, long sourceOffset, Inode target, long targetOffset, int length, CancellationToken cancellation)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            var read = await ReadAsync(source.Number, sourceOffset, buffer.AsMemory(0, length), AccessTimes.Relative, cancellation);
            if (!read.TryGet(out int n, out var error))
                return error;
            var written = await WriteAsync(target.Number, targetOffset, buffer.AsMemory(0, n), WriteFlags.None, cancellation);
            return written.IsOk ? n : written.Error;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
