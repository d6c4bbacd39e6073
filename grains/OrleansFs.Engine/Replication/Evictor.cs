using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>Keeps the block files of a master within their bound, and within what the disk has: deletes the least recently used ones that enough replicas have.</summary>
/// <remarks>
/// Order, for each batch: choose under the metadata lock, by what is acknowledged at that moment; mark absent; commit and sync; unlink, each under its block's lock, where the row still says absent and nobody has
/// pinned the block. Killed before the sync: nothing has happened. Killed after it: a file that no longer should be there, which is read as ever, and counted by nobody until the next start
/// finds it (<see cref="TakeUpAsync"/>).
/// </remarks>
internal sealed class Evictor : IDisposable
{
    private readonly VolumeCopy _volume;
    private readonly CacheBound _bound;
    private readonly SpaceGuard _disk;
    private readonly BlockLocks _locks;
    private readonly PendingBlocks _pending;
    private readonly int _copies;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly SemaphoreSlim _one = new(1, 1);
    private readonly SemaphoreSlim _wake = new(0, 1);
    private readonly ConcurrentDictionary<BlockHash, byte> _used = new();
    private long _lastTouch;
    private long _evictedBlocks;

    /// <summary>Since when nothing has left the cache and no replica has acknowledged anything, with writers waiting; null where none waits.</summary>
    private Standstill? _standstill;
    private bool _warned;

    public Evictor(VolumeCopy volume, CacheBound bound, SpaceGuard disk, BlockLocks locks, PendingBlocks pending, int copies, TimeProvider time, ILogger logger)
    {
        _volume = volume;
        _bound = bound;
        _disk = disk;
        _locks = locks;
        _pending = pending;
        _copies = copies;
        _time = time;
        _logger = logger;
        _lastTouch = time.GetTimestamp();
    }

    /// <summary>Blocks given up in this run.</summary>
    public long EvictedBlocks => Interlocked.Read(ref _evictedBlocks);

    /// <summary>Why the cache is in danger of filling up, in one line; null while it is not.</summary>
    public string? Trouble
    {
        get
        {
            if (!_bound.IsNearlyFull)
                return null;
            long percent = 100 * _bound.Used / _bound.Bytes;
            int replicas = _volume.Replication.Count;
            if (replicas < _copies)
                return $"the cache is {percent} % full and nothing can leave it: attach {Missing(replicas)}, or allow it more with --cache-size";
            return _bound.Room <= ReplicationLimits.RoomForWriters ? $"the cache is full of blocks that fewer than {_copies} replicas have: writing waits for them" : null;
        }
    }

    /// <summary>A block was read. Bounded: what is read beyond that keeps its place.</summary>
    public void Note(BlockHash hash)
    {
        if (_used.Count < ReplicationLimits.UsedHashes)
            _used[hash] = 0;
    }

    /// <summary>A block has come: what is wanted now is not the first to go.</summary>
    public void NoteStored(BlockHash hash)
    {
        Note(hash);
        Wake();
    }

    /// <summary>Eviction may be due.</summary>
    public void Wake()
    {
        try
        {
            if (_wake.CurrentCount == 0)
                _wake.Release();
        }
        catch (Exception e) when (e is SemaphoreFullException or ObjectDisposedException)
        {
            // Another has just woken it, or it has ended.
        }
    }

    /// <summary>Evicts while that is due, until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await _wake.WaitAsync(Limits.EvictTick, cancellation);
            if (_time.GetElapsedTime(_lastTouch) >= Limits.TouchInterval)
                WriteUses();
            if (_bound.IsHigh || _disk.IsScarce)
                await EvictToGoalAsync(cancellation);
            _volume.BlockStore.Files.TrimRecycled();
            Warn();
        }
    }

    /// <summary>Finds the files that an eviction which was cut short has left: their blocks are here again, counted, and go when it is their turn and replicas have them then.</summary>
    public Task TakeUpAsync(CancellationToken cancellation) => Task.Run(() => TakeUp(cancellation), cancellation);

    /// <summary>Makes room for a block that has come, as far as others can leave.</summary>
    /// <returns>False where the cache, or the disk, is full of what has to stay.</returns>
    public async ValueTask<bool> MakeRoomAsync(long bytes, CancellationToken cancellation)
    {
        if (Fits(bytes))
            return true;
        await EvictToGoalAsync(cancellation);
        return Fits(bytes);
    }

    /// <summary>
    /// Waits until new content can be taken: for eviction, and for replicas to come and to acknowledge what can be evicted then. The time-out is one for all writers, from the moment at which nothing moves any more: who
    /// comes later need not wait for it again.
    /// </summary>
    /// <returns>False where the time-out is over.</returns>
    public async Task<bool> WaitForRoomAsync(TimeSpan patience, Func<CancellationToken, ValueTask> settle, CancellationToken cancellation)
    {
        while (true)
        {
            await EvictToGoalAsync(cancellation);
            if (HasRoom())
                return true;
            // What is in memory has to be blocks, and on replicas, before anything of it can leave.
            await settle(cancellation);
            if (HasRoom())
                return true;
            if (StandingStill() >= patience)
                return false;
            await _volume.Replication.AcknowledgedAsync(Limits.EvictTick, cancellation);
        }
    }

    /// <summary>Evicts the blocks that a user does not want here, as far as that is allowed.</summary>
    public async Task<ResidencyChange> EvictAsync(IReadOnlyCollection<BlockHash> hashes, CancellationToken cancellation)
    {
        long gone = 0, staying = 0;
        foreach (var batch in hashes.Chunk(Limits.EvictBatch))
        {
            await _one.WaitAsync(cancellation);
            try
            {
                var chosen = new List<BlockRow>();
                foreach (var hash in batch)
                {
                    if (!_volume.Metadata.TryGetBlock(hash, out var row) || row.Residency == Residency.Absent)
                        continue;
                    if (MayGo(row))
                        chosen.Add(row);
                    else
                        staying++;
                }
                int evicted = chosen.Count > 0 ? await EvictAsync(chosen) : 0;
                gone += evicted;
                staying += chosen.Count - evicted;
            }
            finally
            {
                _one.Release();
            }
        }
        // Who asks for it wants to see the room.
        _volume.BlockStore.Files.DropRecycled();
        return new ResidencyChange { Blocks = hashes.Count, Changed = gone, Staying = staying };
    }

    /// <summary>Writes down what was read lately: the order of eviction survives a restart.</summary>
    public void WriteUses()
    {
        _lastTouch = _time.GetTimestamp();
        BlockHash[] used = [.. _used.Keys];
        foreach (var hash in used)
            _used.TryRemove(hash, out _);
        foreach (var batch in used.Chunk(MetadataLimits.TouchBatch))
            _ = _volume.Metadata.Touch(batch);
    }

    public void Dispose()
    {
        _one.Dispose();
        _wake.Dispose();
    }

    private bool Fits(long bytes) => _bound.Used + bytes <= _bound.Bytes && !_disk.IsScarce;

    private bool HasRoom()
    {
        if (_bound.Room <= ReplicationLimits.RoomForWriters || !_disk.AdmitsContent(Limits.WriteStep))
            return false;
        Volatile.Write(ref _standstill, null);
        return true;
    }

    /// <summary>For how long writers have been waiting in vain.</summary>
    private TimeSpan StandingStill()
    {
        var (evicted, reached) = (EvictedBlocks, _volume.Replication.ReachedBy(_copies));
        long now = _time.GetTimestamp();
        var known = Volatile.Read(ref _standstill);
        // One that nobody has asked about for long is over: there was room, or nobody to want it.
        bool goesOn = known is not null && known.Evicted == evicted && known.Reached == reached && _time.GetElapsedTime(known.Asked, now) < ReplicationLimits.StandstillRemembered;
        long since = goesOn ? known!.Since : now;
        Volatile.Write(ref _standstill, new Standstill(since, now, evicted, reached));
        return _time.GetElapsedTime(since, now);
    }

    private string Missing(int replicas) => (_copies - replicas, replicas) switch
    {
        (1, 0) => "a replica",
        (1, _) => "one more replica",
        (var more, _) => $"{more}{(replicas == 0 ? "" : " more")} replicas",
    };

    private async Task EvictToGoalAsync(CancellationToken cancellation)
    {
        await _one.WaitAsync(cancellation);
        try
        {
            // Measured once: some file systems have the room of deleted files only later.
            long forDisk = _disk.Shortage;
            if (Math.Max(_bound.Excess, forDisk) > 0)
                WriteUses();
            BlockRow? after = null;
            while (Math.Max(_bound.Excess, forDisk) > 0 && _volume.Replication.ReachedBy(_copies) is not null)
            {
                var rows = _volume.Metadata.OldestLocal(after, Limits.EvictBatch);
                if (rows.Count == 0)
                    return;
                after = rows[^1];
                var chosen = new List<BlockRow>();
                long left = Math.Max(_bound.Excess, forDisk);
                foreach (var row in rows.Where(MayGo))
                {
                    if (left <= 0)
                        break;
                    chosen.Add(row);
                    left -= row.StoredBytes;
                    forDisk -= row.StoredBytes;
                }
                if (chosen.Count > 0)
                    await EvictAsync(chosen);
            }
        }
        finally
        {
            _one.Release();
        }
    }

    /// <summary>Enough replicas have acknowledged the block's birth, and do not report it damaged; nobody here relies on its file; and the file has been synced without fault.</summary>
    private bool MayGo(BlockRow row)
    {
        if (row.Residency != Residency.Local || row.Pins > 0 || _pending.Contains(row.Hash) || _volume.BlockStore.Files.IsSuspect(row.Hash))
            return false;
        return HasCopies(row);
    }

    private bool HasCopies(BlockRow row)
    {
        // What a former master has may be nowhere else: replicas that acknowledged it may have given it up for the new one.
        if (_volume.FencedBy is not null)
            return false;
        int copies = _volume.Metadata.Replicas().Count(r => r.Acked >= row.Birth && !_volume.Replication.IsDamaged(r, row.Hash));
        return copies >= _copies;
    }

    private async Task TakeUp(CancellationToken cancellation)
    {
        long taken = 0, seen = 0;
        bool isSynced = false;
        foreach (var entry in _volume.BlockStore.Files.Enumerate())
        {
            // Nobody waits for it: others come in between.
            if (++seen % Limits.EvictBatch == 0)
                await Task.Delay(Limits.TakeUpPause, _time, cancellation);
            if (entry.Hash is not { } hash || !_volume.Metadata.TryGetBlock(hash, out var row) || row.Residency != Residency.Absent)
                continue;
            // What an earlier run wrote and did not sync is no block that anybody may rely on.
            if (!isSynced)
                _volume.BlockStore.Files.SyncEarlierRuns();
            isSynced = true;
            await _one.WaitAsync(cancellation);
            try
            {
                taken += BringBackVerified(hash) ? 1 : 0;
            }
            finally
            {
                _one.Release();
            }
        }
        if (taken > 0)
            _logger.LogInformation("{Blocks} blocks that were about to leave the cache when an earlier run ended are still here", taken);
    }

    /// <summary>A file that a run before has left is looked at as a whole: it may be one that was fetched or stored anew and that a loss of power has torn. Such a one goes.</summary>
    private bool BringBackVerified(BlockHash hash)
    {
        lock (_locks.For(hash))
        {
            if (_pending.Contains(hash) || !_volume.Metadata.TryGetBlock(hash, out var row) || row.Residency != Residency.Absent)
                return false;
            if (_volume.BlockStore.Files.Verify(hash).IsOk)
                return BringBack(hash);
            _volume.BlockStore.Files.Delete(hash);
            return false;
        }
    }

    /// <returns>Whether the block was given up and is here all the same.</returns>
    private bool BringBack(BlockHash hash)
    {
        lock (_locks.For(hash))
        {
            return _volume.Metadata.TryGetBlock(hash, out var row) && row.Residency == Residency.Absent && _volume.BlockStore.Files.DiskBytes(hash) is not null
                && _volume.Metadata.SetResidency(hash, Residency.Local);
        }
    }

    /// <summary>Marks, commits and deletes. Once the first is marked it is not cut short: a file that no row counts would take from the room of the cache for good.</summary>
    private async Task<int> EvictAsync(IReadOnlyList<BlockRow> rows)
    {
        try
        {
            return await GiveUpAsync(rows);
        }
        catch (Exception e) when (e is BlockStoreException or MetadataException)
        {
            try
            {
                foreach (var row in rows)
                    BringBack(row.Hash);
            }
            catch (Exception again) when (again is BlockStoreException or MetadataException)
            {
                _logger.LogWarning("an eviction has failed, and what it had begun is put right by the next start: {Reason}", again.Message);
            }
            throw;
        }
    }

    private async Task<int> GiveUpAsync(IReadOnlyList<BlockRow> rows)
    {
        var composed = new HashSet<BlockHash>();
        foreach (var row in rows)
        {
            // Somebody may have pinned it since it was chosen, or a replica have told that its copy is damaged.
            lock (_locks.For(row.Hash))
            {
                // One that is composed is none any more, and nobody may rely on it from here on.
                if (!_volume.Metadata.TryGetBlock(row.Hash, out var now) || !MayGo(now))
                    continue;
                bool isComposed = _volume.Metadata.IsComposed(row.Hash);
                if (_volume.Metadata.SetResidency(row.Hash, Residency.Absent) && isComposed)
                    composed.Add(row.Hash);
            }
        }
        var durable = await _volume.BlockCommitter.DurableAsync(CancellationToken.None);
        if (!durable.IsOk)
            throw new BlockStoreException(durable.Error, "an eviction cannot be committed");
        int gone = 0;
        foreach (var row in rows)
        {
            lock (_locks.For(row.Hash))
            {
                if (!_volume.Metadata.TryGetBlock(row.Hash, out var now) || now.Residency != Residency.Absent)
                    continue;
                if (_pending.Contains(row.Hash))
                    _volume.Metadata.SetResidency(row.Hash, Residency.Local);
                // Until its file is gone nothing is given up: a replica may have told of damage while that was written down, or another copy have taken over.
                else if (!composed.Contains(row.Hash) && !HasCopies(now))
                    BringBack(row.Hash);
                else if ((_volume.BlockStore.Files.Delete(row.Hash) || composed.Contains(row.Hash)))
                    gone++;
            }
        }
        Interlocked.Add(ref _evictedBlocks, gone);
        return gone;
    }

    private sealed record Standstill(long Since, long Asked, long Evicted, Lsn? Reached);

    private void Warn()
    {
        string? trouble = Trouble;
        if (trouble is not null && !_warned)
            _logger.LogWarning("{Trouble}", trouble);
        _warned = trouble is not null;
    }
}
