using System.Buffers;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>Has blocks that are not here from replicas: each once, however many wait for it; checked by SHA-256; kept.</summary>
/// <remarks>
/// Invariant: while a block is on its way there is one entry of it in <see cref="_fetching"/>, which whoever else wants it waits for. A reader gets the content whether or not it could be stored. Of fetches
/// ahead of readers so many are under way at most, and what they cannot get is nobody's error.
/// </remarks>
internal sealed class BlockFetcher : IBlockSource, IDisposable
{
    private readonly VolumeCopy _volume;
    private readonly BlockLocks _locks;
    private readonly TimeSpan _patience;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly Dictionary<BlockHash, TaskCompletionSource<ReadOnlyMemory<byte>?>> _fetching = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationToken _stopped;

    /// <summary>Blocks that no replica could give, and when that was: the kernel asks for a page again that it could not read ahead, and its program does not wait twice.</summary>
    private readonly Dictionary<BlockHash, long> _inVain = [];
    private int _aheadUnderWay;
    private long _fetchedBlocks;
    private long _fetchedBytes;

    public BlockFetcher(VolumeCopy volume, BlockLocks locks, TimeSpan patience, TimeProvider time, ILogger logger)
    {
        _volume = volume;
        _locks = locks;
        _patience = patience;
        _time = time;
        _logger = logger;
        _stopped = _stop.Token;
    }

    /// <summary>Told of each block that has come and is kept: it was used just now, and the cache may be over its bound.</summary>
    public Action<BlockHash>? Stored { get; set; }

    /// <summary>Makes room for a block in a bounded cache; false where there is none. Null where there is no bound.</summary>
    public Func<long, CancellationToken, ValueTask<bool>>? MakeRoom { get; set; }

    /// <summary>Why a block could not be had, in one line; null since one could.</summary>
    public string? Trouble { get; private set; }

    public bool IsAlone => _volume.Replication.IsAlone;

    public long FetchedBlocks => Interlocked.Read(ref _fetchedBlocks);

    public long FetchedBytes => Interlocked.Read(ref _fetchedBytes);

    /// <summary>The whole content of a block; null where no replica could give it within the time-out, or the volume has no such block.</summary>
    public async ValueTask<ReadOnlyMemory<byte>?> FetchAsync(BlockHash hash, CancellationToken cancellation)
    {
        while (true)
        {
            if (!_volume.Metadata.TryGetBlock(hash, out _))
                return null;
            TaskCompletionSource<ReadOnlyMemory<byte>?>? other;
            var mine = new TaskCompletionSource<ReadOnlyMemory<byte>?>(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_lock)
            {
                if (!_fetching.TryGetValue(hash, out other))
                    _fetching.Add(hash, mine);
            }
            if (other is null)
            {
                // Not the reader's own: others may wait for it when this one has given up.
                _ = Task.Run(() => FetchUntilAsync(hash), CancellationToken.None);
                return await mine.Task.WaitAsync(cancellation);
            }
            if (await other.Task.WaitAsync(cancellation) is { } content)
                return content;
            if (other.Task.AsyncState is not Ahead.Hint)
                return null;
        }
    }

    /// <summary>Fetches blocks that a reader will want. A hint.</summary>
    public void FetchAhead(IReadOnlyList<BlockHash> hashes)
    {
        var wanted = new List<BlockHash>();
        lock (_lock)
        {
            foreach (var hash in hashes)
            {
                if (_aheadUnderWay + wanted.Count >= ReplicationLimits.FetchedAhead)
                    break;
                if (_fetching.TryAdd(hash, new TaskCompletionSource<ReadOnlyMemory<byte>?>(Ahead.Hint, TaskCreationOptions.RunContinuationsAsynchronously)))
                    wanted.Add(hash);
            }
            _aheadUnderWay += wanted.Count;
        }
        int perCall = Math.Max(1, ReplicationLimits.MessageBytes / _volume.BlockSize);
        foreach (var batch in wanted.Chunk(perCall))
            _ = Task.Run(() => FetchBatchAsync(batch), CancellationToken.None);
    }

    /// <summary>Asks all replicas once for blocks that are damaged here.</summary>
    /// <returns>Those that came and are on disk.</returns>
    public async ValueTask<IReadOnlyCollection<BlockHash>> MendAsync(IReadOnlyCollection<BlockHash> hashes, CancellationToken cancellation)
    {
        var mended = new List<BlockHash>();
        if (hashes.Count == 0 || IsAlone)
            return mended;
        foreach (var block in await _volume.Replication.FetchAsync(hashes, null, cancellation))
        {
            if (await TakeAsync(block) is not null && _volume.BlockStore.Files.Exists(block.Hash))
                mended.Add(block.Hash);
        }
        return mended;
    }

    /// <summary>Ends what is under way.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        _stop.Dispose();
    }

    private async Task FetchBatchAsync(BlockHash[] hashes)
    {
        var missing = hashes.ToHashSet();
        try
        {
            foreach (var block in await _volume.Replication.FetchAsync(hashes, null, _stopped))
            {
                if (missing.Contains(block.Hash) && await TakeAsync(block) is { } content)
                {
                    missing.Remove(block.Hash);
                    Complete(block.Hash, content);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The volume closes.
        }
        catch (Exception e)
        {
            _logger.LogWarning(e, "fetching ahead failed");
        }
        finally
        {
            lock (_lock)
                _aheadUnderWay -= hashes.Length;
            foreach (var hash in missing)
                Complete(hash, null);
        }
    }

    /// <summary>Tries all replicas again and again, until one gives the block or the time is over.</summary>
    private async Task FetchUntilAsync(BlockHash hash)
    {
        ReadOnlyMemory<byte>? content = null;
        long began = _time.GetTimestamp();
        var patience = PatienceFor(hash);
        try
        {
            content = ReadHere(hash);
            while (content is null)
            {
                foreach (var block in await _volume.Replication.FetchAsync([hash], null, _stopped))
                    content ??= block.Hash == hash ? await TakeAsync(block) : null;
                if (content is not null || _time.GetElapsedTime(began) >= patience || !_volume.Metadata.TryGetBlock(hash, out _))
                    break;
                await Task.Delay(ReplicationLimits.FetchPause, _time, _stopped);
            }
            if (content is not null)
                Forget(hash);
            Trouble = content is null ? $"block {hash} is not here, and no replica could give it within {_patience.TotalSeconds:F0} s" : null;
            if (content is null)
                NoteInVain(hash);
        }
        catch (OperationCanceledException)
        {
            // The volume closes.
        }
        catch (Exception e)
        {
            _logger.LogError(e, "block {Hash} cannot be fetched", hash);
        }
        finally
        {
            Complete(hash, content);
        }
    }

    /// <summary>How long the block is asked for: once only, where that has just been in vain.</summary>
    private TimeSpan PatienceFor(BlockHash hash)
    {
        lock (_lock)
            return _inVain.TryGetValue(hash, out long at) && _time.GetElapsedTime(at) < ReplicationLimits.InVainRemembered ? TimeSpan.Zero : _patience;
    }

    private void Forget(BlockHash hash)
    {
        lock (_lock)
            _inVain.Remove(hash);
    }

    private void NoteInVain(BlockHash hash)
    {
        bool isNew;
        lock (_lock)
        {
            if (_inVain.Count >= ReplicationLimits.InVainHashes)
                _inVain.Clear();
            isNew = !_inVain.ContainsKey(hash);
            _inVain[hash] = _time.GetTimestamp();
        }
        if (isNew)
            _logger.LogError("block {Hash} is not here, and no replica could give it within {Seconds} s", hash, _patience.TotalSeconds);
    }

    /// <summary>The block, where it has come since the reader looked for its file and before it asked for it.</summary>
    private ReadOnlyMemory<byte>? ReadHere(BlockHash hash)
    {
        if (!_volume.BlockStore.Files.Exists(hash) || !_volume.Metadata.TryGetBlock(hash, out var row))
            return null;
        byte[] content = new byte[row.Length];
        return _volume.BlockStore.Files.Read(hash, content) is { IsOk: true } read && read.Length == row.Length ? content : null;
    }

    private void Complete(BlockHash hash, ReadOnlyMemory<byte>? content)
    {
        TaskCompletionSource<ReadOnlyMemory<byte>?>? waiting;
        lock (_lock)
            _fetching.Remove(hash, out waiting);
        waiting?.SetResult(content);
    }

    /// <summary>Checks a block that came, and keeps it where there is room. Null where it is not what its name says.</summary>
    private async ValueTask<ReadOnlyMemory<byte>?> TakeAsync(ShippedBlock block)
    {
        if (BlockFiles.Unpack(block) is not { } rented)
        {
            _logger.LogWarning("a replica gave something else for block {Hash}; the next is asked", block.Hash);
            return null;
        }
        byte[] content = rented.AsSpan(0, block.Length).ToArray();
        ArrayPool<byte>.Shared.Return(rented);
        Interlocked.Increment(ref _fetchedBlocks);
        Interlocked.Add(ref _fetchedBytes, content.Length);
        try
        {
            if (MakeRoom is not { } makeRoom || await makeRoom(BlockFormat.DiskBytes(BlockHeader.Size + block.Payload.Length), _stopped))
                Keep(block.Hash, content);
        }
        catch (Exception e) when (e is BlockStoreException or MetadataException)
        {
            _logger.LogInformation("block {Hash} was fetched and cannot be kept: {Reason}", block.Hash, e.Message);
        }
        return content;
    }

    private void Keep(BlockHash hash, byte[] content)
    {
        lock (_locks.For(hash))
        {
            if (!_volume.Metadata.TryGetBlock(hash, out var row))
                return;
            var stored = _volume.BlockStore.Files.Write(hash, content);
            // One that is mended may be pinned.
            _volume.Metadata.SetResidency(hash, row.Residency == Residency.Absent ? Residency.Local : row.Residency, stored.WriteSequence);
            _volume.Metadata.Decompose(hash, stored.StoredBytes, stored.WriteSequence);
        }
        Stored?.Invoke(hash);
    }

    private enum Ahead
    {
        Hint,
    }
}
