using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>Which of a file's blocks are here, and what a user may do about it.</content>
public sealed partial class VolumeCopy
{
    private readonly SemaphoreSlim _pinning = new(1, 1);

    /// <summary>Does what a user wants of the blocks of a part of a file: those that it has now. What is written to it later is as any other content. Disk and network work: not for a request thread.</summary>
    /// <param name="inode">The file.</param>
    /// <param name="action">What is wanted.</param>
    /// <param name="offset">First byte of the part.</param>
    /// <param name="length">Its length, bytes.</param>
    /// <param name="cancellation">Ends it; what has been done stays.</param>
    /// <returns>EROFS where it is for a master to do and this is none, EOPNOTSUPP where this copy gives up nothing, EIO where a block cannot be had.</returns>
    public async Task<FsResult<ResidencyChange>> ChangeResidencyAsync(InodeNumber inode, ResidencyAction action, long offset, long length, CancellationToken cancellation)
    {
        if (offset < 0 || length < 1)
            return Errno.EINVAL;
        if (RefuseChange(action) is var refused and not Errno.None)
            return refused;
        try
        {
            if (action is ResidencyAction.Pin or ResidencyAction.Unpin && await SettleAsync(inode, cancellation) is { IsOk: false, Error: var error })
                return error;
            var changed = await ChangeResidencyAsync(BlocksOf(inode, offset, length).ToHashSet(), action, cancellation);
            // What is in flight cannot go yet. It is not settled for that: where the cache is full and no replica answers, which is when one asks for an eviction, it could wait for both.
            return changed.IsOk && action == ResidencyAction.Evict && InFlightBlocks(inode, offset, length) is > 0 and var inFlight
                ? changed.Value with { Blocks = changed.Value.Blocks + inFlight, Staying = changed.Value.Staying + inFlight }
                : changed;
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        catch (MetadataException e)
        {
            return e.Error;
        }
    }

    /// <summary>Why it is not for this copy to do.</summary>
    private Errno RefuseChange(ResidencyAction action)
    {
        if (_options.ReadOnly || (action != ResidencyAction.Warm && (Role != VolumeRole.Master || FencedBy is not null)))
            return Errno.EROFS;
        return action == ResidencyAction.Evict && _evictor is null ? Errno.EOPNOTSUPP : Errno.None;
    }

    private async Task<FsResult<ResidencyChange>> ChangeResidencyAsync(HashSet<BlockHash> blocks, ResidencyAction action, CancellationToken cancellation)
    {
        if (RefuseChange(action) is var refused and not Errno.None)
            return refused;
        try
        {
            return action switch
            {
                ResidencyAction.Pin => await PinAsync(blocks, cancellation),
                ResidencyAction.Unpin => await UnpinAsync(blocks, cancellation),
                ResidencyAction.Warm => await WarmAsync(blocks, cancellation),
                ResidencyAction.Evict => await _evictor!.EvictAsync(blocks, cancellation),
                _ => Errno.EINVAL,
            };
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
            return e.Error;
        }
    }

    /// <summary>Blocks of a part of a file that no commit has yet.</summary>
    private long InFlightBlocks(InodeNumber number, long offset, long length)
    {
        if (_metadata.Acquire(number) is not { } inode)
            return 0;
        long first = offset / BlockSize, last = (length > long.MaxValue - offset ? long.MaxValue : offset + length - 1) / BlockSize;
        long blocks;
        lock (inode.Gate)
            blocks = inode.Content?.Slots.Keys.Count(index => index >= first && index <= last) ?? 0;
        _metadata.Release(inode);
        return blocks;
    }

    /// <summary>What is in flight of a file becomes blocks.</summary>
    private async ValueTask<FsResult> SettleAsync(InodeNumber number, CancellationToken cancellation)
    {
        if (_metadata.Acquire(number) is not { } inode)
            return Errno.ESTALE;
        try
        {
            var settled = await _files.SettleAsync(inode, SealedSync.Later, null, cancellation);
            return settled.IsOk ? await _committer.CommitAsync(cancellation) : settled;
        }
        finally
        {
            _metadata.Release(inode);
        }
    }

    private async Task<FsResult<ResidencyChange>> WarmAsync(HashSet<BlockHash> blocks, CancellationToken cancellation)
    {
        long came = 0;
        foreach (var batch in blocks.Chunk(Limits.WarmBatch))
        {
            came += FetchAhead(batch);
            foreach (var hash in batch)
            {
                // As if it were read: what is wanted now is not the first to go.
                _evictor?.Note(hash);
                if (!_blocks.Files.Exists(hash) && !await FetchAndKeepAsync(hash, cancellation))
                    return Errno.EIO;
            }
        }
        return new ResidencyChange { Blocks = blocks.Count, Changed = came, Staying = 0 };
    }

    /// <returns>ENOSPC where the pinned blocks would take more of the cache than they may: nothing has changed then.</returns>
    private async Task<FsResult<ResidencyChange>> PinAsync(HashSet<BlockHash> blocks, CancellationToken cancellation)
    {
        // One at a time: each looks at what those before it have pinned.
        await _pinning.WaitAsync(cancellation);
        try
        {
            return await PinNowAsync(blocks, cancellation);
        }
        finally
        {
            _pinning.Release();
        }
    }

    private async Task<FsResult<ResidencyChange>> PinNowAsync(HashSet<BlockHash> blocks, CancellationToken cancellation)
    {
        long changed = 0;
        if (_cache is { } cache && _metadata.PinnedBytes() + blocks.Sum(UnpinnedBytes) > cache.PinnedMost)
            return Errno.ENOSPC;
        foreach (var batch in blocks.Chunk(Limits.WarmBatch))
        {
            FetchAhead(batch);
            foreach (var hash in batch)
            {
                int attempt = 0;
                while (!TryPin(hash, ref changed))
                {
                    // In a full cache what has just come may have gone again before it was pinned.
                    if (!await FetchAndKeepAsync(hash, cancellation))
                        return Errno.EIO;
                    // It came, and there is no room to keep it.
                    if (++attempt > Limits.PinAttempts)
                        return Errno.ENOSPC;
                }
            }
        }
        return await KeptAsync(blocks.Count, changed, cancellation);
    }

    private long UnpinnedBytes(BlockHash hash) => _metadata.TryGetBlock(hash, out var row) && row.Residency != Residency.Kept ? row.StoredBytes : 0;

    private async Task<FsResult<ResidencyChange>> UnpinAsync(HashSet<BlockHash> blocks, CancellationToken cancellation)
    {
        long changed = 0;
        foreach (var hash in blocks)
        {
            // Also where it is lost: it comes back as it is wanted.
            lock (Locks.For(hash))
            {
                if (_metadata.TryGetBlock(hash, out var row) && row.Residency == Residency.Kept && _metadata.SetResidency(hash, Residency.Local))
                    changed++;
            }
        }
        return await KeptAsync(blocks.Count, changed, cancellation);
    }

    /// <returns>How many of them are not here.</returns>
    private int FetchAhead(IEnumerable<BlockHash> hashes)
    {
        BlockHash[] absent = [.. hashes.Where(h => !_blocks.Files.Exists(h))];
        if (absent.Length > 0)
            _blocks.Source?.FetchAhead(absent);
        return absent.Length;
    }

    private async ValueTask<bool> FetchAndKeepAsync(BlockHash hash, CancellationToken cancellation) =>
        _blocks.Source is { IsAlone: false } source && await source.FetchAndKeepAsync(hash, cancellation);

    /// <remarks>A file whose row says absent is one that the evictor has in hand: it looks at the row again, under the same lock, before it deletes the file.</remarks>
    /// <returns>Whether the block is here, and stays so.</returns>
    private bool TryPin(BlockHash hash, ref long changed)
    {
        lock (Locks.For(hash))
        {
            if (!_metadata.TryGetBlock(hash, out _) || !_blocks.Files.Exists(hash))
                return false;
            if (_metadata.SetResidency(hash, Residency.Kept))
                changed++;
            return true;
        }
    }

    private async ValueTask<FsResult<ResidencyChange>> KeptAsync(long blocks, long changed, CancellationToken cancellation)
    {
        var durable = await _committer.DurableAsync(cancellation);
        return durable.IsOk ? new ResidencyChange { Blocks = blocks, Changed = changed, Staying = 0 } : durable.Error;
    }

    /// <summary>Where the blocks of a file are.</summary>
    public FsResult<FileResidency> Why(InodeNumber number)
    {
        if (_metadata.Acquire(number) is not { } inode)
            return Errno.ESTALE;
        var attributes = inode.Snapshot();
        bool isDirty;
        lock (inode.Gate)
            isDirty = inode.IsInFlight;
        _metadata.Release(inode);
        if (!attributes.IsRegular)
            return Errno.EINVAL;
        var replicas = _metadata.Replicas();
        var why = new FileResidency
        {
            Size = attributes.Size,
            IsInFlight = isDirty,
            Copy = Copy.Value,
            IsMaster = Role == VolumeRole.Master,
            IsFenced = FencedBy is not null,
            Links = attributes.LinkCount,
            Replicas = [.. replicas.Select(r => new ReplicaHolds { Name = r.Name.Value })],
        };
        int fewest = replicas.Count;
        foreach (var group in BlocksOf(number, 0, attributes.Size).GroupBy(h => h))
        {
            if (!_metadata.TryGetBlock(group.Key, out var row))
                continue;
            int copies = 0;
            for (int i = 0; i < replicas.Count; i++)
            {
                if (replicas[i].Acked < row.Birth || Replication.IsDamaged(replicas[i], row.Hash))
                    continue;
                copies++;
                why.Replicas[i] = why.Replicas[i] with { Blocks = why.Replicas[i].Blocks + 1 };
            }
            fewest = Math.Min(fewest, copies);
            bool isHere = _blocks.Files.Exists(row.Hash);
            bool isOwn = row.References <= group.LongCount();
            // Of a former master the one that took over has what was before it.
            bool isOnlyHere = Role == VolumeRole.Master && (FencedAt is { } fenced ? row.Birth > fenced : copies == 0);
            why = why with
            {
                Blocks = why.Blocks + 1,
                LocalBlocks = why.LocalBlocks + (isHere ? 1 : 0),
                ComposedBlocks = why.ComposedBlocks + (_metadata.IsComposed(row.Hash) ? 1 : 0),
                PinnedBlocks = why.PinnedBlocks + (row.Residency == Residency.Kept ? 1 : 0),
                SharedBlocks = why.SharedBlocks + (isOwn ? 0 : 1),
                OnlyHereBlocks = why.OnlyHereBlocks + (isOnlyHere ? 1 : 0),
                StoredBytes = why.StoredBytes + row.StoredBytes,
                LocalBytes = why.LocalBytes + (isHere ? row.StoredBytes : 0),
                SharedBytes = why.SharedBytes + (isOwn ? 0 : row.StoredBytes),
                FreedBytes = why.FreedBytes + (isOwn && isHere ? row.StoredBytes : 0),
            };
        }
        return why with { Copies = why.Blocks == 0 ? 0 : fewest };
    }

    /// <summary>The committed blocks of a part of a file, a segment of its manifest at a time, holes left out.</summary>
    private IEnumerable<BlockHash> BlocksOf(InodeNumber inode, long offset, long length)
    {
        var attributes = _metadata.GetAttributes(inode);
        long size = attributes.IsOk && attributes.Value.IsRegular ? attributes.Value.Size : 0;
        long end = length >= size - offset ? size : offset + length;
        long last = end / BlockSize + (end % BlockSize == 0 ? 0 : 1);
        var hashes = new BlockHash[MetadataLimits.SegmentBlocks];
        // From one that is no hole to the next: a file may be 8 EiB of holes.
        for (long? next = offset / BlockSize; next is { } from && from < last && _metadata.NextMapped(inode, from) is { } first && first < last; next = last - first <= hashes.Length ? null : first + hashes.Length)
        {
            int count = (int)Math.Min(hashes.Length, last - first);
            _metadata.ReadManifest(inode, first, hashes.AsSpan(0, count));
            foreach (var hash in hashes.Take(count).Where(h => !h.IsHole).ToArray())
                yield return hash;
        }
    }
}
