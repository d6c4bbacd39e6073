using System.Diagnostics;
using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>
/// Brings written blocks to disk, for all who wait together. Writes are numbered; a round takes all that are complete when it begins, and makes files and names durable.
/// </summary>
/// <remarks>
/// Invariants:
/// 1. <see cref="SyncedSequence"/> never passes a write that is not on disk. A sync that failed tells so only once, and the kernel takes the pages for clean after that (the "fsyncgate" of 2018): a
///    later success proves nothing. So every block of a round that failed becomes suspect, and holds the sequence back until it has been written again and that write was synced, or
///    until it has been deleted: a block that is missing is missed, one that is believed to be there is not.
/// 2. Each write is either in <see cref="_unsynced"/>, in the running round, synced, superseded by a suspect entry of its hash, or deleted.
/// 3. A descriptor is kept open for the newest writes (<see cref="BlockDisk.Kept"/>), so that a round of these can sync each through the descriptor that wrote it, which is the one that gets to hear of an error. A
///    descriptor closed before its sync is closed for good: that round syncs the file system through a descriptor open all along, which hears of every error since.
/// 4. The first round of a run, which finds folders that an earlier run may not have synced, the round after a folder was made, and the one after a failure sync the whole file system.
/// Before each round the suspects are read back, checked by SHA-256 and written anew, so that a passing fault heals by itself. A waiter hears of the failure of the round that it waited for in any case.
/// Locks: <see cref="_gate"/> guards all state; nothing is called while it is held.
/// </remarks>
internal sealed class BlockSync : IDisposable
{
    private readonly object _gate = new();
    private readonly BlockDisk _disk;
    private readonly Func<BlockHash, bool> _rewrite;
    private readonly ILogger _logger;
    private readonly Thread _thread;
    private readonly Dictionary<BlockHash, long> _suspects = [];
    private readonly Queue<(long Sequence, int Descriptor)> _open = new();
    private List<UnsyncedBlock> _unsynced = [];
    private long _unsyncedBytes;
    private int _unsyncedCached;
    private Round? _running;
    private Round? _next;
    private long _last;
    private long _ended;
    private long _synced;
    private int _suspectCount;
    private bool _wholeFileSystem = true;
    private bool _stopping;

    /// <param name="disk">The syncing system calls.</param>
    /// <param name="rewrite">Reads a suspect block back and writes it anew; false where it cannot be read whole.</param>
    /// <param name="logger">Told of failures.</param>
    public BlockSync(BlockDisk disk, Func<BlockHash, bool> rewrite, ILogger logger)
    {
        _disk = disk;
        _rewrite = rewrite;
        _logger = logger;
        _thread = new Thread(Run) { IsBackground = true, Name = "block-sync" };
        _thread.Start();
    }

    public long LastSequence => Volatile.Read(ref _last);

    public long SyncedSequence => Volatile.Read(ref _synced);

    public bool IsSuspect(BlockHash hash)
    {
        if (Volatile.Read(ref _suspectCount) == 0)
            return false;
        lock (_gate)
            return _suspects.ContainsKey(hash);
    }

    /// <summary>Notes a block whose file is complete and named. Takes the descriptor over.</summary>
    /// <param name="hash">The block.</param>
    /// <param name="bytes">Length of the file.</param>
    /// <param name="cachedBytes">How much of it lies in the page cache.</param>
    /// <param name="unnamedFolder">Where it was before it was named (<see cref="BlockNames.UnnamedFolderOf"/>).</param>
    /// <param name="descriptor">The file.</param>
    public long Add(BlockHash hash, int bytes, int cachedBytes, int unnamedFolder, int descriptor)
    {
        var surplus = default(List<int>);
        long sequence;
        lock (_gate)
        {
            sequence = _last + 1;
            _unsynced.Add(new UnsyncedBlock(hash, sequence, cachedBytes, unnamedFolder));
            // What is in the page cache is read from there, and dropped after a sync: that is not hurried.
            if (cachedBytes == 0)
                _unsyncedBytes += bytes;
            else
                _unsyncedCached++;
            _open.Enqueue((sequence, descriptor));
            for (int kept = _disk.Kept(_unsyncedCached); _open.Count > kept;)
                (surplus ??= []).Add(_open.Dequeue().Descriptor);
            Volatile.Write(ref _last, sequence);
            if (_unsynced.Count >= BlockLimits.UnsyncedBlocks || _unsyncedBytes >= BlockLimits.UnsyncedBytes)
                Request(sequence);
        }
        if (surplus is not null)
            surplus.ForEach(LinuxFile.Close);
        return sequence;
    }

    /// <summary>The next round syncs the whole file system: a folder was made, which no sync of files and their folders brings to disk.</summary>
    public void RequireWhole()
    {
        lock (_gate)
            _wholeFileSystem = true;
    }

    /// <summary>A block's name was removed: nothing is to be made durable of it any more.</summary>
    /// <param name="hash">The block.</param>
    /// <param name="written"><see cref="LastSequence"/> before that. A later write has given it its name again.</param>
    public void Forget(BlockHash hash, long written)
    {
        if (Volatile.Read(ref _suspectCount) == 0 && SyncedSequence >= written)
            return;
        lock (_gate)
        {
            if (_suspects.Remove(hash))
                Settle();
            for (int i = 0; i < _unsynced.Count && _unsynced[i].Sequence <= written; i++)
            {
                if (_unsynced[i].Hash == hash)
                    _unsynced[i] = _unsynced[i] with { IsGone = true };
            }
            // The sync thread reads the list of its round.
            if (_running is { } running)
                running.Gone[hash] = written;
        }
    }

    /// <summary>Makes a writer wait while too much is unsynced.</summary>
    /// <exception cref="BlockSyncException">The disk does not take it.</exception>
    public void Admit()
    {
        while (true)
        {
            Round round;
            lock (_gate)
            {
                ObjectDisposedException.ThrowIf(_stopping, this);
                if (_unsynced.Count + _suspects.Count < BlockLimits.MaxUnsyncedBlocks)
                    return;
                if (_suspects.Count >= BlockLimits.MaxUnsyncedBlocks)
                    throw Failure(long.MaxValue);
                round = Request(_last);
            }
            round.Done.Task.Wait();
        }
    }

    /// <summary>See <see cref="BlockFiles.SyncAsync"/>.</summary>
    public ValueTask WaitAsync(long sequence, CancellationToken cancellation) => SyncedSequence >= sequence ? default : WaitForRoundAsync(sequence, cancellation);

    /// <summary>Waits for the round under way, ends the thread and closes all descriptors. What is unsynced stays so.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _stopping = true;
            Monitor.PulseAll(_gate);
        }
        // A disk that hangs must not hang the exit; the thread is a background thread and holds nothing of value.
        if (!_thread.Join(BlockLimits.StopTimeout))
            _logger.LogError("the sync of block files under way did not end in {Timeout}", BlockLimits.StopTimeout);
        Round? waiting;
        lock (_gate)
        {
            waiting = _next;
            _next = null;
            while (_open.TryDequeue(out var open))
                LinuxFile.Close(open.Descriptor);
        }
        waiting?.Done.TrySetResult(null);
    }

    private async ValueTask WaitForRoundAsync(long sequence, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(sequence, LastSequence);
        while (true)
        {
            Round round;
            lock (_gate)
            {
                if (_synced >= sequence)
                    return;
                ObjectDisposedException.ThrowIf(_stopping, this);
                round = Request(sequence);
            }
            var failure = await round.Done.Task.WaitAsync(cancellation);
            if (SyncedSequence >= sequence)
                return;
            if (failure is not null)
                throw failure;
        }
    }

    /// <summary>The round that covers a sequence: the running one where it began after that write, otherwise the next.</summary>
    private Round Request(long sequence)
    {
        if (_running is not null && _running.End >= sequence && _suspects.Count == 0)
            return _running;
        if (_next is null)
        {
            _next = new Round();
            Monitor.PulseAll(_gate);
        }
        return _next;
    }

    private void Run()
    {
        while (true)
        {
            Round round;
            lock (_gate)
            {
                while (_next is null && !_stopping)
                    Monitor.Wait(_gate);
                if (_stopping)
                    return;
            }
            // Rewrites are writes like others: they enter the round that follows.
            int lost = RewriteSuspects();
            lock (_gate)
            {
                if (_stopping)
                    return;
                round = _next!;
                _next = null;
                round.Take(_last, _unsynced, _open, _wholeFileSystem);
                _wholeFileSystem = false;
                _unsynced = [];
                (_unsyncedBytes, _unsyncedCached) = (0, 0);
                _running = round;
            }
            RunRound(round, lost);
        }
    }

    private void RunRound(Round round, int lost)
    {
        var result = SyncResult.Ok;
        try
        {
            result = _disk.Sync(round);
        }
        catch (Exception e)
        {
            // The writes are not known to be on disk: the same as a failed sync.
            _logger.LogCritical(e, "the sync of block files ended with an exception");
            result = new SyncResult(Errno.EIO, "sync");
        }
        BlockSyncException? failure = null;
        lock (_gate)
        {
            _running = null;
            // What a failed round was about, if only names that have gone since, is known to be on disk after one that succeeds.
            if (result.Error == Errno.None)
                _ended = round.End;
            _wholeFileSystem |= result.Error != Errno.None;
            foreach (var block in round.Blocks)
            {
                // A later write of the same hash replaced the file: one entry a hash, the oldest, until the newest is synced.
                if (result.Error != Errno.None)
                {
                    if (!block.IsGone && !(round.Gone.TryGetValue(block.Hash, out long written) && block.Sequence <= written))
                        _suspects.TryAdd(block.Hash, block.Sequence);
                }
                else if (_suspects.TryGetValue(block.Hash, out long since) && block.Sequence > since)
                {
                    _suspects.Remove(block.Hash);
                }
            }
            Settle();
            if (_suspects.Count > 0 || result.Error != Errno.None)
                failure = Failure(long.MaxValue, result);
        }
        if (failure is not null)
            _logger.LogError("block files cannot be brought to disk ({Call}: {Error}): {Count} blocks are suspect, {Lost} of them cannot be read back", result.Call, result.Error, failure.Affected.Count, lost);
        round.Done.TrySetResult(failure);
        if (result.Error == Errno.None)
            _disk.DropPages(round, IsIdle);
        round.CloseDescriptors();
    }

    private int RewriteSuspects()
    {
        if (Volatile.Read(ref _suspectCount) == 0)
            return 0;
        BlockHash[] hashes;
        lock (_gate)
            hashes = [.. _suspects.Keys];
        int lost = 0;
        foreach (var hash in hashes)
        {
            if (Volatile.Read(ref _stopping))
                break;
            try
            {
                lost += _rewrite(hash) ? 0 : 1;
            }
            catch (Exception e)
            {
                // Whatever it is: this thread is the one that brings all others to disk, and nobody else would hear of it.
                _logger.LogWarning(e, "suspect block {Hash} cannot be written again", hash);
                lost++;
            }
        }
        return lost;
    }

    /// <summary>Nobody waits for the next round.</summary>
    private bool IsIdle()
    {
        lock (_gate)
            return _next is null && !_stopping;
    }

    private BlockSyncException Failure(long upTo, SyncResult? result = null)
    {
        var affected = _suspects.Where(s => s.Value <= upTo).Select(s => s.Key).ToList();
        var error = result is { Error: not Errno.None } r ? r.Error : Errno.EIO;
        return new BlockSyncException(error, $"{affected.Count} blocks cannot be brought to disk", affected);
    }

    private void Settle()
    {
        Volatile.Write(ref _suspectCount, _suspects.Count);
        long bound = _suspects.Count == 0 ? long.MaxValue : _suspects.Values.Min() - 1;
        Volatile.Write(ref _synced, Math.Max(_synced, Math.Min(_ended, bound)));
    }

    /// <summary>One sync for all who wait for it.</summary>
    internal sealed class Round
    {
        private readonly List<int> _descriptors = [];

        /// <summary>Newest write that it covers.</summary>
        public long End { get; private set; }

        public List<UnsyncedBlock> Blocks { get; private set; } = [];

        /// <summary>Those whose names were removed while it ran, and the newest write before that. Guarded by the gate.</summary>
        public Dictionary<BlockHash, long> Gone { get; } = [];

        /// <summary>Descriptors of all its blocks; otherwise of some, and the file system is to be synced.</summary>
        public IReadOnlyList<int> Descriptors => _descriptors;

        public bool WholeFileSystem { get; private set; }

        /// <summary>Completes when the round has ended, with the failure if there is a suspect block.</summary>
        public TaskCompletionSource<BlockSyncException?> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Take(long end, List<UnsyncedBlock> blocks, Queue<(long Sequence, int Descriptor)> open, bool wholeFileSystem)
        {
            End = end;
            Blocks = blocks;
            while (open.TryDequeue(out var entry))
                _descriptors.Add(entry.Descriptor);
            WholeFileSystem = wholeFileSystem || _descriptors.Count < blocks.Count;
            Debug.Assert(_descriptors.Count <= blocks.Count, "a descriptor belongs to a block that is not synced");
        }

        public void CloseDescriptors()
        {
            foreach (int descriptor in _descriptors)
                LinuxFile.Close(descriptor);
            _descriptors.Clear();
        }
    }
}

/// <summary>A block whose file is complete and named, and not known to be on disk.</summary>
/// <param name="Hash">The block.</param>
/// <param name="Sequence">Of its write.</param>
/// <param name="CachedBytes">How much of it lies in the page cache.</param>
/// <param name="UnnamedFolder">Where it was before it was named.</param>
/// <param name="IsGone">Its name was removed before a round took it: a sync that fails makes nothing suspect.</param>
internal readonly record struct UnsyncedBlock(BlockHash Hash, long Sequence, int CachedBytes, int UnnamedFolder, bool IsGone = false);

/// <summary>How a sync ended.</summary>
/// <param name="Error">Its errno.</param>
/// <param name="Call">The call that failed.</param>
internal readonly record struct SyncResult(Errno Error, string Call)
{
    public static SyncResult Ok => new(Errno.None, "");
}
