using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>The blocks of a replica: which are there, taking new ones, and what turned out to be damaged.</summary>
/// <remarks>
/// Invariants:
/// 1. What <see cref="Has"/> says is there has passed its SHA-256 in this copy: when it was received, or, where no row tells of that, now.
/// 2. A received block's file stays until a transaction names it, a full copy has come without it, or this process ends: who deletes looks here under the block's lock. What was forgotten for want of room is young, and a sweep
/// leaves that alone.
/// 3. A block whose row says absent is damaged, lost, or was gone when its row came; each start finds them again in the table.
/// </remarks>
internal sealed class ReplicaBlocks
{
    private readonly MetadataStore _metadata;
    private readonly BlockFiles _files;
    private readonly BlockLocks _locks;
    private readonly ContentHolds _holds;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;

    /// <summary>Stored or verified in this run, and named by no transaction yet.</summary>
    private readonly ConcurrentDictionary<BlockHash, byte> _received = new();
    private readonly ConcurrentDictionary<BlockHash, byte> _damaged = new();
    private readonly ConcurrentQueue<(BlockHash Hash, long Since)> _collected = new();
    private int _reported;
    private bool _takesCopy;

    public ReplicaBlocks(MetadataStore metadata, BlockFiles files, BlockLocks locks, ContentHolds holds, TimeProvider time, ILogger logger)
    {
        _metadata = metadata;
        _files = files;
        _locks = locks;
        _holds = holds;
        _time = time;
        _logger = logger;
        FindAbsent();
    }

    /// <summary>A full copy is being taken: its rows are not here yet, and no file is deleted for having none.</summary>
    public bool TakesCopy
    {
        get => Volatile.Read(ref _takesCopy);
        set => Volatile.Write(ref _takesCopy, value);
    }

    /// <summary>Damaged blocks that are known now.</summary>
    public int DamagedCount => _damaged.Count;

    /// <summary>Whether the block is here and whole, as far as is known or found out by looking at its header; where no row vouches for it, by its SHA-256.</summary>
    public bool Has(BlockHash hash)
    {
        if (_damaged.ContainsKey(hash) || _files.IsSuspect(hash))
            return false;
        if (_received.ContainsKey(hash))
            return true;
        lock (_locks.For(hash))
            return HasFile(hash);
    }

    /// <summary>Stores a block. Not on disk before the files are synced. False where it is not what its name says.</summary>
    /// <exception cref="BlockStoreException">The disk is full or fails.</exception>
    public bool Store(ShippedBlock block)
    {
        if (!BlockFiles.IsWhole(block))
            return false;
        lock (_locks.For(block.Hash))
        {
            if (!IsThere(block.Hash))
                _files.Write(block, isReadSoon: false);
            Remember(block.Hash);
        }
        return true;
    }

    /// <summary>Stores a block whose SHA-256 has just been computed from its content. Not on disk before the files are synced.</summary>
    /// <exception cref="BlockStoreException">The disk is full or fails.</exception>
    public void Store(BlockHash hash, ReadOnlySpan<byte> content)
    {
        lock (_locks.For(hash))
        {
            if (!IsThere(hash))
                _files.Write(hash, content);
            Remember(hash);
        }
    }

    /// <summary>Of blocks just stored and synced, those that were damaged are no more.</summary>
    public void Mended(IEnumerable<BlockHash> hashes)
    {
        foreach (var hash in hashes)
        {
            if (!_damaged.TryRemove(hash, out _))
                continue;
            _metadata.SetResidency(hash, Residency.Local);
            _logger.LogInformation("block {Hash} was sent again and is whole", hash);
        }
    }

    /// <summary>Every damaged block that is known now.</summary>
    public ICollection<BlockHash> AllDamaged => _damaged.Keys;

    public bool IsDamaged(BlockHash hash) => _damaged.ContainsKey(hash);

    /// <summary>A block that should be here is not, or not whole. What is there of it is moved out of the way.</summary>
    public void NoteDamaged(BlockHash hash, BlockReadResult read)
    {
        // What is made of it cannot be read either, and would keep it from being absent.
        foreach (var made in _metadata.MadeOf(hash, int.MaxValue))
            NoteDamaged(made, BlockReadResult.Missing);
        lock (_locks.For(hash))
        {
            if (!_metadata.TryGetBlock(hash, out var row))
                return;
            bool isCorrupt = read.Status == BlockReadStatus.Corrupt;
            // Since it was read it may have come again.
            if (isCorrupt && _files.VerifyFile(hash) is { IsOk: true } now && now.Length == row.Length)
                return;
            if (_damaged.Count >= ReplicationLimits.DamagedRemembered || !_damaged.TryAdd(hash, 0))
                return;
            string? moved = isCorrupt ? _files.Quarantine(hash) : null;
            _received.TryRemove(hash, out _);
            // Committed at once: who starts after a kill has nothing but the rows to go by. Where that fails it goes with the next.
            if (row.Residency == Residency.Local && _metadata.SetResidency(hash, Residency.Absent))
                _metadata.Commit();
            // Of one that was gone when its row came everybody knows; the transaction that says so may just be on its way into the list.
            if (row.Residency != Residency.Absent || moved is not null)
                _logger.LogWarning("block {Hash} is damaged and will be had from another copy: {Reason}{Moved}", hash, read.Reason, moved is null ? "" : $"; moved to {moved}");
        }
    }

    /// <summary>The damaged blocks. Of more than an answer has room for as many as it has, others each time: fewer would be taken for all.</summary>
    public BlockHash[] Damaged()
    {
        if (_damaged.IsEmpty)
            return [];
        var known = _damaged.Keys;
        int from = known.Count <= ReplicationLimits.DamagedPerReply ? 0 : (int)((uint)Interlocked.Add(ref _reported, ReplicationLimits.DamagedPerReply) % (uint)known.Count);
        return [.. known.Skip(from).Concat(known.Take(from)).Take(ReplicationLimits.DamagedPerReply)];
    }

    /// <summary>A transaction has been applied. Files of what it collected are deleted long after it is on disk.</summary>
    /// <param name="content">What it says of blocks.</param>
    /// <param name="gone">Those of its blocks that nobody had: their rows say so, and they are asked for until they have come or are collected.</param>
    public void Applied(JournalContent content, IEnumerable<BlockHash> gone)
    {
        foreach (var block in content.Blocks)
            _received.TryRemove(block.Hash, out _);
        foreach (var hash in gone)
        {
            if (_damaged.Count < ReplicationLimits.DamagedRemembered && _metadata.TryGetBlock(hash, out var row) && row.Residency == Residency.Absent)
                _damaged.TryAdd(hash, 0);
        }
        long now = _time.GetTimestamp();
        foreach (var hash in content.Collected)
        {
            _damaged.TryRemove(hash, out _);
            if (_collected.Count < ReplicationLimits.CollectedQueue)
                _collected.Enqueue((hash, now));
        }
    }

    /// <summary>Another database has taken the place of the one that was. What is damaged is so still, whatever its rows say.</summary>
    public void Replaced()
    {
        _received.Clear();
        bool isMarked = false;
        foreach (var hash in _damaged.Keys)
        {
            // One that is mended at this moment may be asked for once more.
            if (_metadata.TryGetBlock(hash, out _))
                isMarked |= _metadata.SetResidency(hash, Residency.Absent);
            else
                _damaged.TryRemove(hash, out _);
        }
        if (isMarked)
            _metadata.Commit();
        FindAbsent();
    }

    /// <summary>Deletes the files of blocks collected some time ago.</summary>
    public void DeleteCollected()
    {
        while (_collected.TryPeek(out var oldest) && _time.GetElapsedTime(oldest.Since) >= ReplicationLimits.CollectedKept && _collected.TryDequeue(out oldest))
        {
            // Who reads it by its hash holds only what had a row: it is looked at again later.
            if (_holds.Contains(oldest.Hash))
                _collected.Enqueue((oldest.Hash, _time.GetTimestamp()));
            else
                DeleteStray(oldest.Hash);
        }
    }

    /// <summary>Deletes files that no row speaks of, older than a time.</summary>
    /// <returns>How many, and the bytes they took.</returns>
    public (long Files, long Bytes) Sweep(TimeSpan age, CancellationToken cancellation)
    {
        var before = Timestamp.From(_time.GetUtcNow() - age);
        long files = 0, bytes = 0;
        foreach (var entry in _files.Enumerate())
        {
            cancellation.ThrowIfCancellationRequested();
            if (entry.ModifyTime > before || entry.Hash is not { } hash || DeleteStray(hash) is not { } freed)
                continue;
            files++;
            bytes += freed;
        }
        return (files, bytes);
    }

    /// <summary>Deletes the file of a block that no row speaks of.</summary>
    /// <returns>The bytes it took; null where it stays, or was gone.</returns>
    public long? DeleteStray(BlockHash hash)
    {
        lock (_locks.For(hash))
        {
            if (TakesCopy || _received.ContainsKey(hash) || _metadata.TryGetBlock(hash, out _) || _holds.Contains(hash))
                return null;
            long bytes = _files.DiskBytes(hash) ?? 0;
            return _files.Delete(hash) ? bytes : null;
        }
    }

    private bool IsThere(BlockHash hash) => !_files.IsSuspect(hash) && !_damaged.ContainsKey(hash) && (_received.ContainsKey(hash) || HasFile(hash));

    private bool HasFile(BlockHash hash)
    {
        bool vouched = _metadata.TryGetBlock(hash, out var row) && row.Residency == Residency.Local;
        var read = vouched ? _files.Inspect(hash) : _files.Verify(hash);
        if (read.IsOk && (!vouched || read.Length == row.Length))
        {
            if (!vouched)
                Remember(hash);
            return true;
        }
        if (vouched)
            NoteDamaged(hash, read.IsOk ? BlockReadResult.Corrupt($"it is {read.Length} bytes long, not {row.Length}") : read);
        return false;
    }

    private void Remember(BlockHash hash)
    {
        // Forgetting costs another look at the files when a transaction names them.
        if (_received.Count >= ReplicationLimits.ReceivedHashes)
            _received.Clear();
        _received[hash] = 0;
    }

    private void FindAbsent()
    {
        foreach (var hash in _metadata.AbsentBlocks(ReplicationLimits.DamagedRemembered))
            _damaged[hash] = 0;
    }
}
