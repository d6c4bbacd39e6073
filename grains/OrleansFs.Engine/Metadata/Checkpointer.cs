namespace OrleansFs.Engine.Metadata;

/// <summary>Keeps the WAL short. It has a connection of its own, so that the bulk of a checkpoint runs beside the writer.</summary>
/// <remarks>
/// A passive checkpoint brings into the database what was committed before the writer's open transaction began. SQLite starts the log anew with the first
/// write of a
/// transaction that began when everything in the log was in the database and nobody read from the log (walRestartLog in SQLite's wal.c). Because the writer
/// always has a
/// transaction open, that never happens by itself: so when the log is long, the short end of it is brought over between two transactions.
/// </remarks>
/// <param name="path">Path of meta.db.</param>
/// <param name="restartBytes">Bytes of WAL past which the log is to start anew.</param>
internal sealed class Checkpointer(string path, long restartBytes) : IDisposable
{
    /// <summary>A frame of the WAL: a page and its header (sqlite.org/fileformat2.html#walformat).</summary>
    private const int FrameBytes = 4096 + 24;

    /// <summary>A small cache: a checkpoint copies pages and keeps none.</summary>
    private const int CacheKibibytes = 256;

    private readonly Lock _lock = new();
    private readonly Database _database = Database.Open(path, CacheKibibytes);
    private Task _running = Task.CompletedTask;
    private volatile bool _endWanted;

    /// <summary>Brings what is committed into the database. One at a time: who comes meanwhile waits for the one that runs.</summary>
    public Task RunAsync()
    {
        lock (_lock)
        {
            if (_running.IsCompleted)
                _running = Task.Factory.StartNew(Run, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            return _running;
        }
    }

    /// <summary>Called by the writer after its commit, with the metadata lock held and no transaction open.</summary>
    /// <returns>Bytes of the log that are in use, and how many of them are not in the database yet. None where the next write starts the log anew; null where
    /// a checkpoint runs.</returns>
    public (long Log, long Backlog)? BetweenTransactions(Database writer)
    {
        if (writer.Checkpoint(look: !_endWanted) is not var (log, done))
            return null;
        if (log == done)
        {
            _endWanted = false;
            return (0, 0);
        }
        return ((long)log * FrameBytes, (long)(log - done) * FrameBytes);
    }

    public void Dispose()
    {
        Task running;
        lock (_lock)
            running = _running;
        // One that failed was told to who asked for it.
        ((IAsyncResult)running).AsyncWaitHandle.WaitOne();
        _ = running.Exception;
        _database.Dispose();
    }

    private void Run()
    {
        if (_database.Checkpoint(look: false) is var (log, _) && (long)log * FrameBytes >= restartBytes)
            _endWanted = true;
    }
}
