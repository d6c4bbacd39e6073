using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Replication;
using OrleansFs.Model;

namespace OrleansFs.Engine;

public sealed partial class VolumeCopy
{
    /// <summary>Metadata bytes that an operation which adds something may take at most, before it is committed.</summary>
    private const long MutationRoom = 64 << 10;

    internal MetadataStore Metadata => _metadata;

    internal Content.FileData Files => _files;

    internal Orphanage Orphanage => _orphanage;

    internal LockTable LockTable => _locks;

    /// <summary>A master that another has taken over from while it ran still has content in memory that it was given before.</summary>
    private bool HasNothingToSync => ReadOnly && !_isMaster;

    /// <summary>Why a mutation that adds something cannot be taken now: EROFS, or ENOSPC before the disk is really full.</summary>
    internal ValueTask<Errno> RefuseGrowthAsync(CancellationToken cancellation)
    {
        if (RefusesChanges)
            return new(Errno.EROFS);
        return _space.Admits(MutationRoom) ? new(Errno.None) : RefuseAfterMakingRoomAsync(cancellation);
    }

    private async ValueTask<Errno> RefuseAfterMakingRoomAsync(CancellationToken cancellation)
    {
        try
        {
            await MakeRoomAsync(cancellation);
            return RefusesChanges ? Errno.EROFS : _space.Admits(MutationRoom) ? Errno.None : Errno.ENOSPC;
        }
        catch (BlockStoreException e)
        {
            return e.Error;
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
    }

    /// <summary>What was done to names, attributes and settled content survives a kill of the process from now on, not a loss of power.</summary>
    public ValueTask<FsResult> KeepAsync(CancellationToken cancellation) => HasNothingToSync ? new(FsResult.Ok) : _committer.KeepAsync(cancellation);

    /// <summary>Changes attributes. A file that becomes immutable or append-only is settled first, in the same transaction: what it had is there as long as the flag is, and is never written again under it.</summary>
    internal ValueTask<FsResult<Attributes>> SetAttributesAsync(InodeNumber number, AttributeChange change, Caller caller, ChangeRecord? record, CancellationToken cancellation)
    {
        const InodeFlags Guards = InodeFlags.Immutable | InodeFlags.AppendOnly;
        return change.Mask == AttributeMask.Flags && (change.Flags & Guards) != 0 && !ReadOnly && _files.Dirty.Count > 0 && _metadata.Acquire(number) is { } inode
            ? SettleAndGuardAsync(inode, change, caller, record, cancellation)
            : new(SetAttributes(number, change, caller, record));
    }

    private async ValueTask<FsResult<Attributes>> SettleAndGuardAsync(Inode inode, AttributeChange change, Caller caller, ChangeRecord? record, CancellationToken cancellation)
    {
        try
        {
            FsResult<Attributes> set = Errno.EIO;
            var settled = await _files.SettleAsync(inode, SealedSync.Later, Set, cancellation);
            return settled.IsOk ? set : settled.Error;

            FsResult Set() => (set = SetAttributes(inode.Number, change, caller, record)).Error;
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

    internal FsResult<Attributes> SetAttributes(InodeNumber number, in AttributeChange change, in Caller caller, ChangeRecord? record)
    {
        if (RefusesChanges)
            return Errno.EROFS;
        if (_metadata.Acquire(number) is not { } inode)
            return Errno.ESTALE;
        try
        {
            if ((change.Mask & AttributeMask.Size) != 0)
            {
                uint mode = inode.Snapshot().Mode;
                if (!Mode.IsRegular(mode))
                    return Mode.IsDirectory(mode) ? Errno.EISDIR : Errno.EINVAL;
                var truncated = _files.Truncate(inode, change.Size);
                if (!truncated.IsOk)
                    return truncated.Error;
            }
            var rest = change with { Mask = change.Mask & ~AttributeMask.Size };
            if (rest.Mask == AttributeMask.None)
                return inode.Snapshot();
            if (rest.Mask != change.Mask)
            {
                // What changes the size does no harm when it is made again, and is: the reply to it would outlive the content that it speaks of.
                lock (_metadata.Lock)
                    return RefusesChanges ? Errno.EROFS : _metadata.ApplyAttributes(inode, rest, caller);
            }
            lock (_metadata.Lock)
            {
                if (RefusesChanges)
                    return Errno.EROFS;
                _metadata.Begin(record);
                return _metadata.End(_metadata.ApplyAttributes(inode, rest, caller));
            }
        }
        finally
        {
            _metadata.Release(inode);
        }
    }

    internal FsResult<Attributes> Create(InodeNumber directory, ReadOnlySpan<byte> name, in NewInode inode, in Caller caller, ChangeRecord? record)
    {
        lock (_metadata.Lock)
        {
            if (RefusesChanges)
                return Errno.EROFS;
            _metadata.Begin(record);
            return _metadata.End(_metadata.Create(directory, name, inode, caller));
        }
    }

    internal FsResult<Attributes> CreateUnnamed(InodeNumber directory, in NewInode inode, in Caller caller, ChangeRecord? record)
    {
        FsResult<Attributes> result;
        lock (_metadata.Lock)
        {
            if (RefusesChanges)
                return Errno.EROFS;
            _metadata.Begin(record);
            result = _metadata.End(_metadata.CreateUnnamed(directory, inode, caller));
        }
        if (result.IsOk)
            _orphanage.AddUnnamed(result.Value.Inode);
        return result;
    }

    internal FsResult<Attributes> Link(InodeNumber inode, InodeNumber directory, ReadOnlySpan<byte> name, ChangeRecord? record)
    {
        FsResult<Attributes> result;
        lock (_metadata.Lock)
        {
            if (RefusesChanges)
                return Errno.EROFS;
            _metadata.Begin(record);
            result = _metadata.End(_metadata.Link(inode, directory, name));
        }
        if (result.IsOk)
        {
            _orphanage.Remove(inode);
            Linked(inode);
        }
        return result;
    }

    internal FsResult Unlink(InodeNumber directory, ReadOnlySpan<byte> name, bool isDirectory, ChangeRecord? record)
    {
        FsResult<InodeNumber?> result;
        lock (_metadata.Lock)
        {
            if (RefusesChanges)
                return Errno.EROFS;
            _metadata.Begin(record);
            result = isDirectory ? _metadata.RemoveDirectory(directory, name) : _metadata.Unlink(directory, name);
            _metadata.End(result.Error);
        }
        if (!result.TryGet(out var orphan, out var error))
            return error;
        if (orphan is { } gone)
            _orphanage.Add(gone);
        return FsResult.Ok;
    }

    /// <summary>Renames. A file that takes the place of another is settled first, in the same transaction: after a crash the name shows the old content or the new, never an empty file.</summary>
    internal ValueTask<FsResult> RenameAsync(InodeNumber directory, ReadOnlyMemory<byte> name, InodeNumber newDirectory, ReadOnlyMemory<byte> newName, RenameFlags flags, Caller caller,
        ChangeRecord? record, CancellationToken cancellation)
    {
        if (RefusesChanges)
            return new(Errno.EROFS);
        if ((flags & (RenameFlags.NoReplace | RenameFlags.Exchange)) == 0 && _files.Dirty.Count > 0
            && _metadata.Lookup(newDirectory, newName.Span).IsOk
            && _metadata.Lookup(directory, name.Span).TryGet(out var source, out _) && source.IsRegular
            && _metadata.Acquire(source.Inode) is { } inode)
        {
            return SettleAndRenameAsync(inode, directory, name, newDirectory, newName, flags, caller, record, cancellation);
        }
        return new(Rename(directory, name.Span, newDirectory, newName.Span, flags, caller, record));
    }

    private async ValueTask<FsResult> SettleAndRenameAsync(Inode inode, InodeNumber directory, ReadOnlyMemory<byte> name, InodeNumber newDirectory, ReadOnlyMemory<byte> newName,
        RenameFlags flags, Caller caller, ChangeRecord? record, CancellationToken cancellation)
    {
        try
        {
            return await _files.SettleAsync(inode, SealedSync.Later, () => Rename(directory, name.Span, newDirectory, newName.Span, flags, caller, record), cancellation);
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

    private FsResult Rename(InodeNumber directory, ReadOnlySpan<byte> name, InodeNumber newDirectory, ReadOnlySpan<byte> newName, RenameFlags flags, in Caller caller, ChangeRecord? record)
    {
        FsResult<InodeNumber?> result;
        lock (_metadata.Lock)
        {
            if (RefusesChanges)
                return Errno.EROFS;
            _metadata.Begin(record);
            result = _metadata.Rename(directory, name, newDirectory, newName, flags, caller);
            _metadata.End(result.Error);
        }
        if (!result.TryGet(out var orphan, out var error))
            return error;
        if (orphan is { } gone)
            _orphanage.Add(gone);
        return FsResult.Ok;
    }

    /// <summary>fsync(2): on disk here and on so many replicas.</summary>
    internal async ValueTask<FsResult> SyncAsync(InodeNumber number, int copies, CancellationToken cancellation)
    {
        if (HasNothingToSync)
            return FsResult.Ok;
        if (_metadata.Acquire(number) is not { } inode)
            return Errno.ESTALE;
        try
        {
            var synced = await _files.SyncAsync(inode, cancellation);
            return synced.IsOk && copies > 0 ? await Replication.WaitForCopiesAsync(_metadata.Committed, copies, _options.SyncTimeout, cancellation) : synced;
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        catch (MetadataException e)
        {
            return e.Error;
        }
        finally
        {
            _metadata.Release(inode);
        }
    }

    internal async ValueTask<FsResult> SyncAllAsync(CancellationToken cancellation)
    {
        if (HasNothingToSync)
            return FsResult.Ok;
        try
        {
            return await _files.SyncAllAsync(cancellation);
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

    internal SpaceReport Space()
    {
        var counters = _metadata.Counters;
        long used = counters.StoredBytes;
        long disk = _space.RoomAfter(counters.DeadBytes);
        // What replicas can still take comes through the cache, as long as there is a disk for that at all.
        long free = _cache is null || disk == 0 ? disk : Math.Max(Math.Min(disk, _cache.Room), Replication.FreeBytes(_options.Copies));
        return new SpaceReport
        {
            BlockSize = BlockSize,
            TotalBytes = used + free,
            FreeBytes = free,
            AvailableBytes = free,
            Inodes = counters.Files + counters.Directories + counters.Others,
            FreeInodes = Math.Min(free / 512, _space.RoomForBlocks),
        };
    }

    internal VolumeStatus Status()
    {
        var counters = _metadata.Counters;
        var composed = _metadata.Composed();
        return new VolumeStatus
        {
            Volume = Name,
            Uuid = Id.ToString(),
            Copy = Copy.Value,
            Role = Role == VolumeRole.Master ? "master" : "replica",
            FormatVersion = _metadata.Volume.FormatVersion,
            BlockSize = BlockSize,
            Files = counters.Files,
            Directories = counters.Directories,
            OtherInodes = counters.Others,
            LogicalBytes = counters.LogicalBytes,
            ReferencedBytes = counters.ReferencedBytes,
            UniqueBytes = counters.UniqueBytes,
            StoredBytes = counters.StoredBytes,
            Blocks = counters.Blocks,
            DeadBlocks = counters.DeadBlocks,
            DeadBytes = counters.DeadBytes,
            ComposedBlocks = composed.Blocks,
            ComposedBytes = composed.Bytes,
            InFlightBytes = _files.InFlightBytes,
            InFlightLimit = _files.InFlightLimit,
            Lsn = _metadata.Committed.Value,
            LastCommit = _metadata.LastCommit,
            Orphans = counters.Orphans,
            MetadataBytes = _metadata.FileBytes,
            ResidentBytes = Environment.WorkingSet,
            CacheBytes = Role == VolumeRole.Master ? _options.CacheSize : null,
            LocalBytes = _metadata.LocalBytes + Pending.StoredBytes,
            PinnedBytes = _cache is not null && Role == VolumeRole.Master && !_options.ReadOnly ? Known(_metadata.PinnedBytes) : null,
            NotBackedUpBytes = Role == VolumeRole.Master && FencedBy is null ? Known(NotBackedUpBytes) : null,
            Replicas = Role == VolumeRole.Master ? [.. Replication.Reports()] : null,
            EvictedBlocks = _evictor?.EvictedBlocks ?? 0,
            FetchedBlocks = _fetcher.FetchedBlocks,
            Verification = _verification.Report,
            Trouble = _metadata.Trouble ?? FenceTrouble ?? _committer.Trouble ?? _files.Trouble ?? _tasks.Trouble ?? _fetcher.Trouble ?? _evictor?.Trouble ?? Replication.SyncTrouble ?? _verification.Trouble ?? (_space.Room == 0 || _space.RoomForBlocks == 0 ? "the disk is full: delete files or make room on it" : null),
        };
    }

    /// <summary>A status says what is wrong; it does not fail for it.</summary>
    private static long? Known(Func<long> ask)
    {
        try
        {
            return ask();
        }
        catch (MetadataException)
        {
            return null;
        }
    }

    private long NotBackedUpBytes()
    {
        if (Replication.ReachedBy(_options.Copies) is not { } reached)
            return _metadata.LocalBytes + Pending.StoredBytes;
        using var lag = new LagMeter(this, _time);
        return lag.BytesAfter(reached) + Pending.StoredBytes;
    }
}
