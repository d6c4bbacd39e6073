using System.Buffers.Binary;
using System.Collections.Concurrent;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <summary>
/// Leases of content that no file has: inodes without a name that are kept until a time. A holder of inodes as a session is, so that whoever lets go of an orphan finds it held. Its state is in memory; the volume
/// has it too, as an extended attribute of the inode, from which a start finds it again.
/// </summary>
internal sealed class ContentLeases : IInodeHolder
{
    private readonly ConcurrentDictionary<InodeNumber, Timestamp> _ends = new();

    public bool Holds(InodeNumber inode) => _ends.ContainsKey(inode);

    public void Set(InodeNumber inode, Timestamp ends) => _ends[inode] = ends;

    public bool Remove(InodeNumber inode) => _ends.TryRemove(inode, out _);

    /// <summary>Removes one that is over by now; not one that was renewed meanwhile.</summary>
    public IEnumerable<InodeNumber> RemoveEnded(Timestamp now) => _ends.Where(l => l.Value <= now && _ends.TryRemove(l)).Select(l => l.Key);
}

/// <content>Leases of content, and the blocks of a file.</content>
public sealed partial class VolumeCopy
{
    private readonly ContentLeases _leases = new();

    /// <summary>Nobody sees it: what has no name cannot be opened.</summary>
    private static ReadOnlySpan<byte> LeaseXattr => "trusted.orleansfs.lease"u8;

    internal async ValueTask<FsResult<ContentLease>> LeaseAsync(InodeNumber holder, TimeSpan time, CancellationToken cancellation)
    {
        if (time <= TimeSpan.Zero || time > LeaseLimits.Longest)
            return Errno.EINVAL;
        if (await RefuseGrowthAsync(cancellation) is var refused and not Errno.None)
            return refused;
        if (_metadata.Acquire(holder) is not { } inode)
            return Errno.ESTALE;
        try
        {
            if (!inode.Linkable || !inode.Snapshot().IsRegular)
                return Errno.EINVAL;
            var settled = await _files.SettleAsync(inode, SealedSync.Before, null, cancellation);
            if (!settled.IsOk)
                return settled.Error;
            var ends = new Timestamp(_metadata.Clock.Now().Nanoseconds + time.Ticks * 100);
            byte[] value = new byte[sizeof(long)];
            BinaryPrimitives.WriteInt64LittleEndian(value, ends.Nanoseconds);
            // Held before it is said so: who lets go of it in between finds it held.
            _leases.Set(holder, ends);
            if (_orphanage.IsPurging(holder))
            {
                EndLease(holder);
                return Errno.ESTALE;
            }
            var written = _metadata.SetXattr(holder, LeaseXattr, value, XattrFlags.None);
            if (written.IsOk)
                written = await _committer.DurableAsync(CancellationToken.None);
            return !written.IsOk ? written.Error
                : _metadata.ContentHash(holder) is { } hash ? new ContentLease { Hash = hash, Size = inode.Snapshot().Size, Holder = holder, Ends = ends }
                : Errno.ESTALE;
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

    internal FsResult EndLease(InodeNumber holder)
    {
        if (_leases.Remove(holder))
            _orphanage.Forget(holder);
        return FsResult.Ok;
    }

    /// <summary>The inode has a name now, and its lease is over.</summary>
    internal void Linked(InodeNumber inode)
    {
        if (_leases.Remove(inode))
            _metadata.RemoveXattr(inode, LeaseXattr);
    }

    internal async ValueTask<FsResult<BlockHash[]>> ListBlocksAsync(InodeNumber inode, long first, int max, CancellationToken cancellation)
    {
        if (first < 0 || max is < 1 or > LeaseLimits.MaxBlocks)
            return Errno.EINVAL;
        try
        {
            // Who begins to read means the file as it is now.
            if (first == 0 && !ReadOnly && await SettleAsync(inode, cancellation) is { IsOk: false, Error: var error })
                return error;
            if (_metadata.CommittedSize(inode) is not { } size)
                return Errno.EINVAL;
            var hashes = new BlockHash[(int)Math.Clamp(ManifestHash.BlocksOf(size, BlockSize) - first, 0, max)];
            _metadata.ReadManifest(inode, first, hashes);
            return hashes;
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

    /// <summary>Purges the orphans that were found at the start, and keeps those that are leased, or all.</summary>
    private void QueueOrphans(bool keepAll = false)
    {
        _orphanage.Attach(_leases);
        foreach (var orphan in _orphansFound)
        {
            var lease = _metadata.GetXattr(orphan, LeaseXattr);
            if (!lease.IsOk || lease.Value.Length != sizeof(long))
            {
                if (keepAll)
                    _orphanage.AddUnnamed(orphan);
                else
                    _orphanage.Queue(orphan);
                continue;
            }
            _leases.Set(orphan, new Timestamp(BinaryPrimitives.ReadInt64LittleEndian(lease.Value.Span)));
            _orphanage.AddUnnamed(orphan);
        }
    }

    private async Task EndLeasesAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await Task.Delay(Limits.LeaseTick, _time, cancellation);
            foreach (var inode in _leases.RemoveEnded(_metadata.Clock.Now()))
                _orphanage.Forget(inode);
            _orphanage.AskToLetGo(Limits.OrphansAsked);
        }
    }
}
