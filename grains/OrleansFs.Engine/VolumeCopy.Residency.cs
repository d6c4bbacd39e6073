using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>Which of a file's blocks are here, and what a user may do about it.</content>
public sealed partial class VolumeCopy
{
    /// <summary>Gives up the local blocks of a file, as far as enough replicas have them, nobody has pinned them and nothing of them is in flight.</summary>
    /// <returns>How many are not here now. <c>EOPNOTSUPP</c> where this copy evicts nothing.</returns>
    public async Task<FsResult<long>> EvictFileAsync(InodeNumber inode, CancellationToken cancellation)
    {
        if (_evictor is not { } evictor || Role != VolumeRole.Master)
            return Errno.EOPNOTSUPP;
        long evicted = 0;
        foreach (var hash in BlocksOf(inode))
            evicted += (await evictor.EvictAsync(hash, cancellation)).IsOk ? 1 : 0;
        return evicted;
    }

    /// <summary>Fetches every block of a file that is not here.</summary>
    /// <param name="inode">The file.</param>
    /// <param name="progress">Told how many blocks have been looked at.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <returns>How many came. EIO where one cannot be had.</returns>
    public async Task<FsResult<long>> WarmFileAsync(InodeNumber inode, IProgress<long>? progress, CancellationToken cancellation)
    {
        long came = 0, seen = 0;
        foreach (var batch in BlocksOf(inode).Chunk(Limits.WarmBatch))
        {
            BlockHash[] absent = [.. batch.Where(h => !_blocks.Files.Exists(h))];
            if (absent.Length > 0)
                _blocks.Source?.FetchAhead(absent);
            foreach (var hash in absent)
            {
                if (_blocks.Source is not { IsAlone: false } source || await source.FetchAsync(hash, cancellation) is null)
                    return Errno.EIO;
                came++;
            }
            progress?.Report(seen += batch.Length);
        }
        return came;
    }

    /// <summary>Keeps the blocks that a file has now in files here, fetching those that are not; or lets them be evicted again. What is written to the file later is as any other content.</summary>
    /// <returns>How many blocks. EIO where one cannot be had.</returns>
    public async Task<FsResult<long>> PinFileAsync(InodeNumber inode, bool pinned, CancellationToken cancellation)
    {
        if (Role != VolumeRole.Master)
            return Errno.EROFS;
        long blocks = 0;
        foreach (var hash in BlocksOf(inode))
        {
            if (pinned && !_blocks.Files.Exists(hash) && (_blocks.Source is not { IsAlone: false } source || await source.FetchAsync(hash, cancellation) is null))
                return Errno.EIO;
            lock (Locks.For(hash))
            {
                // A block that has been evicted in between is not pinned by saying so.
                if (!_metadata.TryGetBlock(hash, out var row) || row.Residency == Residency.Absent || !_blocks.Files.Exists(hash))
                    continue;
                _metadata.SetResidency(hash, pinned ? Residency.Kept : Residency.Local);
                blocks++;
            }
        }
        var durable = await _committer.DurableAsync(cancellation);
        return durable.IsOk ? blocks : durable.Error;
    }

    /// <summary>Where the blocks of a file are.</summary>
    public FsResult<FileResidency> Why(InodeNumber number)
    {
        if (_metadata.Acquire(number) is not { } inode)
            return Errno.ESTALE;
        var attributes = inode.Snapshot();
        bool isDirty;
        lock (inode.Gate)
            isDirty = inode.Content is not null;
        _metadata.Release(inode);
        if (!attributes.IsRegular)
            return Errno.EINVAL;
        var replicas = _metadata.Replicas();
        var why = new FileResidency { Size = attributes.Size, IsInFlight = isDirty, Replicas = [.. replicas.Select(r => new ReplicaHolds { Name = r.Name.Value })] };
        int fewest = replicas.Count;
        foreach (var group in BlocksOf(number, distinct: false).GroupBy(h => h))
        {
            if (!_metadata.TryGetBlock(group.Key, out var row))
                continue;
            int copies = 0;
            for (int i = 0; i < replicas.Count; i++)
            {
                if (replicas[i].Acked < row.Birth || Replication.IsDamaged(replicas[i].Name, row.Hash))
                    continue;
                copies++;
                why.Replicas[i] = why.Replicas[i] with { Blocks = why.Replicas[i].Blocks + 1 };
            }
            fewest = Math.Min(fewest, copies);
            bool isHere = _blocks.Files.Exists(row.Hash);
            bool isOwn = row.References <= group.LongCount();
            why = why with
            {
                Blocks = why.Blocks + 1,
                LocalBlocks = why.LocalBlocks + (isHere ? 1 : 0),
                PinnedBlocks = why.PinnedBlocks + (row.Residency == Residency.Kept ? 1 : 0),
                SharedBlocks = why.SharedBlocks + (isOwn ? 0 : 1),
                FreedBytes = why.FreedBytes + (isOwn && isHere ? row.StoredBytes : 0),
            };
        }
        return why with { Copies = why.Blocks == 0 ? 0 : fewest };
    }

    /// <summary>The committed blocks of a file, a segment of its manifest at a time, holes left out.</summary>
    private IEnumerable<BlockHash> BlocksOf(InodeNumber inode, bool distinct = true)
    {
        var attributes = _metadata.GetAttributes(inode);
        long count = attributes.IsOk && attributes.Value.IsRegular ? (attributes.Value.Size + BlockSize - 1) / BlockSize : 0;
        var hashes = new BlockHash[MetadataLimits.SegmentBlocks];
        for (long first = 0; first < count; first += hashes.Length)
        {
            _metadata.ReadManifest(inode, first, hashes);
            var mapped = hashes.Where(h => !h.IsHole);
            foreach (var hash in (distinct ? mapped.Distinct() : mapped).ToArray())
                yield return hash;
        }
    }
}
