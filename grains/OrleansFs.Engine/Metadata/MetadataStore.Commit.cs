using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Transactions: their end, their durability, and the checkpoints that keep the WAL short.</content>
internal sealed partial class MetadataStore
{
    private FileSync? _sync;
    private SafeFileHandle? _wal;
    private LogReadAhead? _ahead;
    private Checkpointer? _checkpointer;
    private const string WalName = "meta.db-wal";

    private long _committed;
    private long _commits;
    private long _walBacklog;
    private bool _localPending;

    /// <summary>Mutations in the open transaction; dirty attributes of inodes come on top.</summary>
    public long PendingMutations { get; private set; }

    /// <summary>Whether a commit has anything to do.</summary>
    public bool HasPending
    {
        get
        {
            lock (Lock)
                return PendingMutations > 0 || _dirty.Count > 0 || _localPending;
        }
    }

    /// <summary>Bytes of effects that the open transaction holds in memory.</summary>
    public long PendingBytes => _effects.Length;

    /// <summary>Called when the open transaction gets its first mutation, under the metadata lock: must only signal.</summary>
    public Action? Pending { get; set; }

    /// <summary>Newest mutation that survives a kill of the process.</summary>
    public Lsn Committed => new(Volatile.Read(ref _committed));

    /// <summary>Newest mutation that survives a loss of power.</summary>
    public Lsn Durable => new(_sync?.DurableLsn ?? 0);

    /// <summary>When the newest transaction was committed; null before the first.</summary>
    public DateTimeOffset? LastCommit { get; private set; }

    /// <summary>Bytes of the WAL in use, as of the last commit.</summary>
    public long WalBytes { get; private set; }

    /// <summary>Ends the open transaction and begins the next. Does nothing where nothing is pending. ENOSPC: nothing is lost, all of it is still in the open
    /// transaction, and the
    /// next call tries again.</summary>
    public FsResult Commit()
    {
        lock (Lock)
        {
            if (!IsReady())
                return Errno.EIO;
            if (PendingMutations == 0 && _dirty.Count == 0 && !_localPending)
                return FsResult.Ok;
            Ending ending;
            try
            {
                ending = CommitOpen();
            }
            catch (Exception e)
            {
                _failures.Tell("a commit of the metadata failed, the transaction stays open", e);
                Rebuild(_counters);
                return Poison is null && e is MetadataException { Error: var error } ? error : Errno.EIO;
            }
            return Ended(ending);
        }
    }

    /// <exception cref="MetadataException">It is still open.</exception>
    private Ending CommitOpen()
    {
        FlushPending();
        var (journal, at) = EndTransaction();
        _sql.Commit.Run();
        return new Ending(journal, at);
    }

    /// <summary>The open transaction is committed: the next one begins.</summary>
    private FsResult Ended(in Ending ending)
    {
        _inTransaction = false;
        _journalBytes = ending.Journal;
        Volatile.Write(ref _committed, _tail);
        Interlocked.Increment(ref _commits);
        LastCommit = _time.GetUtcNow();
        PendingMutations = 0;
        _localPending = false;
        RequiredBlockSequence = 0;
        _effects.Clear();
        LogAnew(ending.At);
        return Continue();
    }

    /// <param name="Journal">Bytes of the journal with it.</param>
    /// <param name="At">Where the volume is with it.</param>
    private readonly record struct Ending(long Journal, CommitPoint At);

    /// <summary>Executes what is changed in memory alone.</summary>
    private void FlushPending()
    {
        if (!_inTransaction)
            Begin();
        if (PendingMutations == 0 && _dirty.Count > 0)
        {
            // Attributes alone, such as access times, count as one mutation.
            PendingMutations = 1;
            Volatile.Write(ref _tail, _tail + 1);
        }
        FlushInodes();
    }

    /// <summary>Writes the volume's row and the journal's.</summary>
    /// <returns>Bytes of the journal afterwards, and what the commit will be.</returns>
    private (long Journal, CommitPoint At) EndTransaction()
    {
        var state = State();
        var at = new CommitPoint(state.Lsn, state.Clock);
        ApplyState(state);
        // What is this copy's own is no mutation, and makes no row.
        if (PendingMutations == 0)
        {
            Debug.Assert(_effects.Journaled == 0, "what replicas are to be told of is part of no mutation");
            return (_journalBytes, at);
        }
        if (!_hasBranch)
            BeginBranch();
        _effects.PutState(state);
        var value = _effects.ToJournal();
        AppendJournal(state.Lsn, (int)PendingMutations, state.Clock, value);
        long bytes = _journalBytes + value.Length;
        return (bytes - CutJournal(bytes), at);
    }

    /// <summary>Between two transactions: the one moment at which the log can be brought to its end.</summary>
    private FsResult Continue()
    {
        try
        {
            if (_checkpointer?.BetweenTransactions(_database) is var (log, backlog))
            {
                _ahead?.Advance(log, isNew: log < WalBytes);
                (WalBytes, _walBacklog) = (log, backlog);
            }
            Begin();
        }
        catch (MetadataException e)
        {
            // The transaction before is committed. The next mutation tries to begin again.
            _logger.LogError(e, "no new transaction can be begun");
        }
        return FsResult.Ok;
    }

    /// <summary>Completes when all that was committed before the call survives a loss of power. Waiters share the syncs.</summary>
    /// <exception cref="MetadataException">The disk failed: it is not known what of it is on disk, and the store is poisoned.</exception>
    /// <param name="cancellation">Ends the waiting.</param>
    /// <param name="how">How who waits goes on.</param>
    public Task DurableAsync(CancellationToken cancellation, SyncWait how = SyncWait.Later)
    {
        ObjectDisposedException.ThrowIf(_isDisposed || _sync is null, this);
        return _sync.WaitAsync(Interlocked.Read(ref _commits), how, cancellation);
    }

    /// <summary>The same for whatever a reader of the database has seen: SQLite shows a transaction a moment before its commit has ended here.</summary>
    public Task VisibleDurableAsync(CancellationToken cancellation)
    {
        lock (Lock)
            return DurableAsync(cancellation);
    }

    /// <summary>Moves the WAL into the database where it is long enough to be worth it. Off the request path, except for a short end of it at a later
    /// commit.</summary>
    public Task CheckpointAsync()
    {
        ObjectDisposedException.ThrowIf(_isDisposed || _checkpointer is null, this);
        return Volatile.Read(ref _walBacklog) < _budget.CheckpointBytes && WalBytes < _budget.RestartBytes ? Task.CompletedTask : _checkpointer.RunAsync();
    }

    private void StartBackground()
    {
        _checkpointer = new Checkpointer(_path, _budget.RestartBytes);
        // A descriptor of its own on the WAL is safe: SQLite holds its file locks on the database and the shared-memory file, and closing a descriptor of another file does not drop them. The WAL stays the
        // same file for as long as a connection is open. SQLite syncs the folder only with a sync of its own, which a commit in this mode does not make.
        var wal = _wal = File.OpenHandle(_path + "-wal", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        FileSync.SyncFolder(Path.GetDirectoryName(Path.GetFullPath(_path))!);
        FileSync.Sync(wal, WalName);
        _ahead = new LogReadAhead(wal);
        _sync = new FileSync("meta.db sync", () => (Interlocked.Read(ref _commits), Volatile.Read(ref _committed)), _committed, () => FileSync.Sync(wal, WalName), OnSyncFailed, _time);
    }

    private void StopBackground()
    {
        _sync?.Dispose();
        _redo?.Dispose();
        _effectLog?.Dispose();
        _wal?.Dispose();
        _checkpointer?.Dispose();
    }

    private void OnSyncFailed(Exception error)
    {
        lock (Lock)
            SetPoison($"the log of the metadata cannot be brought to disk: {error.Message}", error);
    }
}
