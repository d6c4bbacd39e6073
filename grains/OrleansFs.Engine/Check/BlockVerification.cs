using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Native;
using OrleansFs.Engine.Replication;
using OrleansFs.Model;

namespace OrleansFs.Engine.Check;

/// <summary>
/// Reads every block file of a copy again and again, in passes, and has what is damaged or missing from another copy: a disk that loses bits is found out while there still is one that has them.
/// </summary>
/// <remarks>
/// Invariants: 1. A pass goes on where it was, also after a restart; at most <see cref="Limits.VerifySaved"/> of it is done twice. 2. It reads from the disk, not what the kernel happens to remember, and
/// leaves nothing in the page cache. 3. One that is due takes its time; one that was asked for takes what others leave of the disk. 4. A block that is whole elsewhere is never given up here for being damaged: it is
/// moved to <c>lost+blocks</c> when its content is wrong, and its row stays.
/// </remarks>
public sealed class BlockVerification : IDisposable
{
    private readonly VolumeCopy _volume;
    private readonly TimeSpan? _every;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _wake = new(0, 1);

    /// <summary>On a master: damaged or missing here, and not had from a replica yet.</summary>
    private readonly ConcurrentDictionary<BlockHash, byte> _unrepaired = new();
    private VerificationState _state;
    private long _saved;
    private long _mended;
    private bool _isToSave;

    internal BlockVerification(VolumeCopy volume, TimeSpan? every, TimeProvider time, ILogger logger)
    {
        _volume = volume;
        _every = every;
        _time = time;
        _logger = logger;
        _state = VerificationState.Read(volume.DataFolder);
        _saved = _mended = time.GetTimestamp();
        // What is written again must not be taken for stored because of a block that an earlier run has found damaged.
        foreach (var hash in IsReplica ? [] : _state.UnrepairedBlocks())
            _unrepaired.TryAdd(hash, 0);
    }

    /// <summary>How it stands.</summary>
    public VerificationReport Report
    {
        get
        {
            VerificationState state;
            lock (_lock)
                state = _state;
            var counters = _volume.Metadata.Counters;
            return new VerificationReport
            {
                Last = state.Last,
                LastBlocks = state.LastBlocks,
                LastDamaged = state.LastDamaged,
                Began = state.Began,
                Blocks = state.Blocks,
                TotalBlocks = Math.Max(state.Blocks, counters.Blocks + counters.DeadBlocks),
                Damaged = state.Damaged,
                Unrepaired = Unrepaired,
            };
        }
    }

    /// <summary>What is damaged and stays so, in one line; null where nothing is.</summary>
    internal string? Trouble => _unrepaired.IsEmpty ? null : $"{_unrepaired.Count} blocks are damaged or missing here, and no replica could give them yet: 'orleansfs fsck --verify-data' on the unmounted folder names their files";

    /// <summary>When the next pass begins by itself; null: never. The first of a volume is due as long after it was made as others are one after the other: until then its blocks are young.</summary>
    internal DateTimeOffset? Due => _every is { } every ? (_state.Last ?? _volume.Metadata.Volume.Created.ToDateTimeOffset()) + every : null;

    private bool IsReplica => _volume.Role == VolumeRole.Replica;

    private long Unrepaired => IsReplica ? _volume.DamagedOnReplica : _unrepaired.Count;

    /// <summary>Begins a pass now; one under way goes on, and hurries.</summary>
    public void Start()
    {
        lock (_lock)
            _state = _state.Began is null ? New(isAsked: true) : _state with { IsAsked = true };
        Save();
        Wake();
    }

    /// <summary>Ends the pass under way; the next is due in its time.</summary>
    public void Stop()
    {
        lock (_lock)
            _state = Ended(_state);
        Save();
    }

    public void Dispose() => _wake.Dispose();

    /// <summary>A block that should be here turned out to be damaged or missing, and no other copy gave it. On a master.</summary>
    internal void NoteDamaged(BlockHash hash)
    {
        if (_unrepaired.Count < ReplicationLimits.DamagedRemembered && IsExpected(hash) && _unrepaired.TryAdd(hash, 0))
            SaveSoon();
    }

    /// <summary>Whether a block is known to be damaged or missing here.</summary>
    internal bool IsDamaged(BlockHash hash) => _unrepaired.ContainsKey(hash);

    /// <summary>A writer has stored the block anew.</summary>
    internal void NoteStored(BlockHash hash)
    {
        if (!_unrepaired.IsEmpty && _unrepaired.TryRemove(hash, out _))
            SaveSoon();
    }

    private void SaveSoon()
    {
        Volatile.Write(ref _isToSave, true);
        Wake();
    }

    /// <summary>Verifies when that is due or asked for, until cancelled.</summary>
    internal async Task RunAsync(CancellationToken cancellation)
    {
        // Not in the first minutes of a process: that is when its user waits for it.
        long began = _time.GetTimestamp();
        try
        {
            while (true)
            {
                bool mayBegin = _time.GetElapsedTime(began) >= Limits.VerifyAfterStart;
                if (IsRunning(mayBegin))
                    await PassAsync(cancellation);
                else
                    await _wake.WaitAsync(Limits.VerifyTick, cancellation);
                await MendAsync(cancellation);
                if (Interlocked.Exchange(ref _isToSave, false))
                    Save();
            }
        }
        finally
        {
            Save();
        }
    }

    /// <summary>Whether there is a pass to go on with; one that is due begins.</summary>
    private bool IsRunning(bool mayBegin)
    {
        lock (_lock)
        {
            if (_state.Began is null && mayBegin && Due is { } due && _time.GetUtcNow() >= due)
                _state = New(isAsked: false);
            return _state.Began is not null && (mayBegin || _state.IsAsked);
        }
    }

    private async Task PassAsync(CancellationToken cancellation)
    {
        while (true)
        {
            VerificationState state;
            lock (_lock)
                state = _state;
            if (state.Began is null)
                return;
            long began = _time.GetTimestamp();
            var batch = await IdlePriority.RunAsync(() => Verify(state.After, cancellation), cancellation);
            if (batch.Damaged.Count > 0)
                await RepairAsync(batch.Damaged, cancellation);
            Advance(state, batch);
            await MendAsync(cancellation);
            // Asked for meanwhile, it does not wait any longer.
            var pause = TimeSpan.FromSeconds((double)batch.Bytes / Limits.VerifyRate) - _time.GetElapsedTime(began);
            if (!batch.IsLast && !state.IsAsked && pause > TimeSpan.Zero)
                await _wake.WaitAsync(pause, cancellation);
        }
    }

    private void Advance(VerificationState before, in Batch batch)
    {
        lock (_lock)
        {
            // Stopped meanwhile, or begun anew.
            if (_state.Began != before.Began || _state.Cursor != before.Cursor)
                return;
            _state = _state with { Cursor = batch.Last.ToString(), Blocks = _state.Blocks + batch.Blocks, Damaged = _state.Damaged + batch.Damaged.Count };
            if (batch.IsLast)
                _state = Ended(_state) with { Last = _time.GetUtcNow(), LastBlocks = _state.Blocks, LastDamaged = _state.Damaged };
        }
        if (batch.IsLast)
            _logger.LogInformation("all block files have been verified: {Blocks} since {Began}, {Damaged} of them damaged or missing", before.Blocks + batch.Blocks, before.Began, before.Damaged + batch.Damaged.Count);
        if (batch.IsLast || _time.GetElapsedTime(_saved) >= Limits.VerifySaved)
            Save();
    }

    /// <summary>The next blocks: as many as are read in some tenths of a second.</summary>
    private Batch Verify(BlockHash after, CancellationToken cancellation)
    {
        var rows = _volume.Metadata.BlocksAfter(after);
        var damaged = new List<(BlockHash, BlockReadResult)>();
        long blocks = 0, bytes = 0;
        foreach (var row in rows)
        {
            cancellation.ThrowIfCancellationRequested();
            after = row.Hash;
            if (row.Residency == Residency.Absent)
                continue;
            blocks++;
            bytes += _volume.Metadata.IsComposed(row.Hash) ? row.Length : row.StoredBytes;
            var read = _volume.BlockStore.Files.VerifyOnDisk(row.Hash);
            // What is not here may have been given up or collected since its row was read.
            if (!read.IsOk && IsExpected(row.Hash))
                damaged.Add((row.Hash, read));
            if (bytes >= Limits.VerifyBatchBytes)
                break;
        }
        return new Batch(after, blocks, bytes, damaged, IsLast: rows.Count == 0);
    }

    private bool IsExpected(BlockHash hash) => _volume.Metadata.TryGetBlock(hash, out var now) && now.Residency != Residency.Absent;

    private async Task RepairAsync(IReadOnlyList<(BlockHash Hash, BlockReadResult Read)> damaged, CancellationToken cancellation)
    {
        foreach (var (hash, read) in damaged)
        {
            if (IsReplica)
            {
                _volume.ReplicaBlocks.NoteDamaged(hash, read);
                continue;
            }
            bool isNew = _unrepaired.Count < ReplicationLimits.DamagedRemembered && _unrepaired.TryAdd(hash, 0);
            if (isNew)
                SaveSoon();
            // Also where a reader has told of it, or there are too many to remember: what has no file nobody takes for stored.
            string? moved = read.Status == BlockReadStatus.Corrupt ? _volume.BlockStore.QuarantineIfDamaged(hash) : null;
            if (isNew || moved is not null)
                _logger.LogWarning("block {Hash} is damaged: {Reason}{Moved}", hash, read.Reason, moved is null ? "" : $"; moved to {moved}");
        }
        if (!IsReplica)
            await MendNowAsync(cancellation);
    }

    /// <summary>Tries again, now and then: a replica may have come.</summary>
    private async Task MendAsync(CancellationToken cancellation)
    {
        if (_unrepaired.IsEmpty || IsReplica || _time.GetElapsedTime(_mended) < Limits.VerifyMendTick)
            return;
        await MendNowAsync(cancellation);
    }

    private async Task MendNowAsync(CancellationToken cancellation)
    {
        _mended = _time.GetTimestamp();
        int perCall = Math.Clamp(ReplicationLimits.MessageBytes / _volume.BlockSize, 1, Limits.WarmBatch);
        foreach (var chunk in _unrepaired.Keys.Chunk(perCall))
        {
            // Collected, given up, or had by a reader meanwhile.
            BlockHash[] wanted = [.. chunk.Where(h => IsExpected(h) && !_volume.BlockStore.Files.Verify(h).IsOk)];
            var mended = await _volume.MendAsync(wanted, cancellation);
            foreach (var hash in chunk.Except(wanted.Except(mended)))
                NoteStored(hash);
            foreach (var hash in mended)
                _logger.LogInformation("block {Hash} has been had from a replica and is whole", hash);
        }
    }

    private VerificationState New(bool isAsked) => Ended(_state) with { Began = _time.GetUtcNow(), IsAsked = isAsked };

    private static VerificationState Ended(VerificationState state) => state with { Began = null, Cursor = null, IsAsked = false, Blocks = 0, Damaged = 0 };

    private void Save()
    {
        VerificationState state;
        lock (_lock)
            state = _state with { Unrepaired = _unrepaired.IsEmpty ? null : [.. _unrepaired.Keys.Take(Limits.DamagedKept).Select(h => h.ToString())] };
        _saved = _time.GetTimestamp();
        try
        {
            state.Write(_volume.DataFolder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.LogInformation("how far the verification is cannot be written down: {Reason}", e.Message);
        }
    }

    private void Wake()
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

    /// <summary>What was looked at in one go.</summary>
    private readonly record struct Batch(BlockHash Last, long Blocks, long Bytes, IReadOnlyList<(BlockHash Hash, BlockReadResult Read)> Damaged, bool IsLast);
}
