using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>Has blocks that are not here from replicas: each once, however many wait for it; checked by SHA-256; kept.</summary>
/// <remarks>
/// Invariant: while a block is on its way there is one entry of it in <see cref="_fetching"/>, which whoever else wants it waits for. A reader gets the content whether or not it could be stored. Of fetches
/// ahead of readers so many are under way at most, and what they cannot get is nobody's error. It stays until the block is in a file, or cannot be: who asks meanwhile is given the content from memory.
/// </remarks>
internal sealed class BlockFetcher : IBlockSource, IDisposable
{
    private readonly VolumeCopy _volume;
    private readonly BlockLocks _locks;
    private readonly TimeSpan _patience;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly Dictionary<BlockHash, Fetch> _fetching = [];
    private readonly SemaphoreSlim _keeping = new(ReplicationLimits.KeptAtOnce);
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

    /// <summary>The whole content of a block; null where no replica could give it within the time-out, or the volume has no such block. It is kept behind that.</summary>
    public async ValueTask<ReadOnlyMemory<byte>?> FetchAsync(BlockHash hash, CancellationToken cancellation) =>
        await ComeAsync(hash, cancellation) is { } fetch ? await fetch.Content.Task : null;

    public async ValueTask<bool> FetchAndKeepAsync(BlockHash hash, CancellationToken cancellation)
    {
        if (await ComeAsync(hash, cancellation) is not { } fetch)
            return false;
        await fetch.Ended.Task.WaitAsync(cancellation);
        return true;
    }

    /// <summary>A fetch that has brought the content; null where none could.</summary>
    private async ValueTask<Fetch?> ComeAsync(BlockHash hash, CancellationToken cancellation)
    {
        while (true)
        {
            if (!_volume.Metadata.TryGetBlock(hash, out _))
                return null;
            Fetch? fetch;
            bool isMine;
            lock (_lock)
            {
                isMine = !_fetching.TryGetValue(hash, out fetch);
                if (isMine)
                    _fetching.Add(hash, fetch = new Fetch(isAhead: false));
            }
            // Not the reader's own: others may wait for it when this one has given up.
            if (isMine)
                _ = Task.Run(() => FetchUntilAsync(hash, fetch!), CancellationToken.None);
            if (await fetch!.Content.Task.WaitAsync(cancellation) is not null)
                return fetch;
            if (isMine || !fetch.IsAhead)
                return null;
        }
    }

    /// <summary>Fetches blocks that a reader will want. A hint.</summary>
    public void FetchAhead(IReadOnlyList<BlockHash> hashes)
    {
        var wanted = new List<(BlockHash Hash, Fetch Fetch)>();
        lock (_lock)
        {
            foreach (var hash in hashes)
            {
                if (_aheadUnderWay + wanted.Count >= ReplicationLimits.FetchedAhead)
                    break;
                var fetch = new Fetch(isAhead: true);
                if (_fetching.TryAdd(hash, fetch))
                    wanted.Add((hash, fetch));
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
            if (Unpack(block) is null)
                continue;
            await KeepAsync(block);
            if (_volume.BlockStore.Files.Exists(block.Hash))
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

    private async Task FetchBatchAsync((BlockHash Hash, Fetch Fetch)[] batch)
    {
        var fetches = batch.ToDictionary(b => b.Hash, b => b.Fetch);
        try
        {
            var came = new List<ShippedBlock>(batch.Length);
            foreach (var block in await _volume.Replication.FetchAsync(fetches.Keys, null, _stopped))
            {
                if (fetches.TryGetValue(block.Hash, out var fetch) && Unpack(block) is { } content && fetch.Content.TrySetResult(content))
                    came.Add(block);
            }
            // Readers go on with all of them meanwhile.
            foreach (var block in came)
            {
                await KeepAsync(block);
                Complete(block.Hash, fetches[block.Hash], null);
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
                _aheadUnderWay -= batch.Length;
            foreach (var (hash, fetch) in fetches)
                Complete(hash, fetch, null);
        }
    }

    /// <summary>Tries all replicas again and again, until one gives the block or the time is over.</summary>
    private async Task FetchUntilAsync(BlockHash hash, Fetch fetch)
    {
        ReadOnlyMemory<byte>? content = null;
        ShippedBlock? came = null;
        long began = _time.GetTimestamp();
        var patience = PatienceFor(hash);
        try
        {
            content = ReadHere(hash);
            while (content is null)
            {
                foreach (var block in await _volume.Replication.FetchAsync([hash], null, _stopped))
                {
                    if (content is null && block.Hash == hash && Unpack(block) is { } whole)
                        (content, came) = (whole, block);
                }
                if (content is not null || _time.GetElapsedTime(began) >= patience || !_volume.Metadata.TryGetBlock(hash, out _))
                    break;
                await Task.Delay(ReplicationLimits.FetchPause, _time, _stopped);
            }
            if (content is not null)
                Forget(hash);
            Trouble = content is null ? $"block {hash} is not here, and no replica could give it within {_patience.TotalSeconds:F0} s" : null;
            if (content is null)
                NoteInVain(hash);
            if (came is { } kept)
                await DeliverAsync(fetch, kept, content);
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
            Complete(hash, fetch, content);
        }
    }

    /// <summary>Hands a block to those who wait for it, and keeps it behind that. With many to be kept readers wait: what they read is in memory until it is in a file.</summary>
    private async Task DeliverAsync(Fetch fetch, ShippedBlock block, ReadOnlyMemory<byte>? content)
    {
        await _keeping.WaitAsync(_stopped);
        try
        {
            fetch.Content.TrySetResult(content);
            await KeepAsync(block);
        }
        finally
        {
            _keeping.Release();
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

    /// <summary>A fetch has ended: what is asked for from now on is looked up in files again.</summary>
    private void Complete(BlockHash hash, Fetch fetch, ReadOnlyMemory<byte>? content)
    {
        lock (_lock)
        {
            if (_fetching.TryGetValue(hash, out var known) && known == fetch)
                _fetching.Remove(hash);
        }
        fetch.Content.TrySetResult(content);
        fetch.Ended.TrySetResult();
    }

    /// <summary>Checks a block that came. Null where it is not what its name says.</summary>
    private ReadOnlyMemory<byte>? Unpack(in ShippedBlock block)
    {
        if (BlockFiles.Unpack(block) is not { } content)
        {
            _logger.LogWarning("a replica gave something else for block {Hash}; the next is asked", block.Hash);
            return null;
        }
        Interlocked.Increment(ref _fetchedBlocks);
        Interlocked.Add(ref _fetchedBytes, content.Length);
        return content;
    }

    /// <summary>Keeps a block that came and is whole, where there is room in the cache and on the disk.</summary>
    private async ValueTask KeepAsync(ShippedBlock block)
    {
        try
        {
            if (MakeRoom is not { } makeRoom || await makeRoom(BlockFormat.DiskBytes(BlockHeader.Size + block.Payload.Length), _stopped))
                Keep(block);
        }
        catch (Exception e) when (e is BlockStoreException or MetadataException)
        {
            _logger.LogInformation("block {Hash} was fetched and cannot be kept: {Reason}", block.Hash, e.Message);
        }
    }

    private void Keep(in ShippedBlock block)
    {
        lock (_locks.For(block.Hash))
        {
            if (!_volume.Metadata.TryGetBlock(block.Hash, out var row) || !_volume.AdmitsBlock(block.Payload.Length))
                return;
            var stored = _volume.BlockStore.Files.Write(block, isReadSoon: true);
            // One that is mended may be pinned.
            _volume.Metadata.SetResidency(block.Hash, row.Residency == Residency.Absent ? Residency.Local : row.Residency, stored.WriteSequence);
            _volume.Metadata.NoteFile(block.Hash, stored.StoredBytes, stored.WriteSequence);
        }
        Stored?.Invoke(block.Hash);
    }

    /// <summary>A block on its way.</summary>
    private sealed class Fetch(bool isAhead)
    {
        /// <summary>For readers who have not asked for it yet: what it cannot get they ask for by themselves.</summary>
        public bool IsAhead { get; } = isAhead;

        /// <summary>What came; null where nothing did.</summary>
        public TaskCompletionSource<ReadOnlyMemory<byte>?> Content { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>It is kept, or cannot be.</summary>
        public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
