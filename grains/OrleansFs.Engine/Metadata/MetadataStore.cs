using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>One copy's <c>meta.db</c>: the names, attributes, manifests and reference counts of a volume. Thread-safe.</summary>
/// <remarks>
/// Invariants:
/// 1. There is one writer connection, used under <see cref="Lock"/>. A transaction is always open on it; whoever asks next sees what was executed in it.
/// 2. A mutation happens entirely or not at all. It validates first, then applies effects (<see cref="EffectKind"/>), then changes objects in memory. Every
/// effect applied is in
///    <see cref="_effects"/>. When SQLite fails, in a statement or in the commit, the transaction is rolled back and built again out of <see cref="_effects"/>
/// up to the
///    mark that the operation set at its start: the failed operation is gone, and everything acknowledged before it is still there. Where that fails too, the
/// store is
///    poisoned: it answers EIO from then on and <see cref="Poison"/> says why.
/// 3. A row in table inode is as the object in memory, except for objects with <see cref="Inode.AttributesDirty"/>; those are written before each commit.
/// 4. Objects of inodes are dropped from memory only at the start of an operation, so that an operation may hold one without a pin.
/// Lock order: a file's gate, <see cref="Lock"/>, the inode's own lock.
/// </remarks>
internal sealed partial class MetadataStore : IDisposable
{
    private readonly string _path;
    private readonly Database _database;
    private readonly Statements _sql;
    private readonly EffectWriter _effects = new();
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly TroubleLog _failures;
    private Counters _counters;
    private ulong _nextInode;
    private long _nextCookie;
    private long _tail;
    private bool _inTransaction;
    private string? _broken;
    private long _brokenSince;
    private bool _isRebuilding;
    private Mark _mark;

    /// <summary>The metadata lock (Monitor, re-entrant). Taken after a file's gate, before an inode's own lock. Held for SQLite statements only.</summary>
    public object Lock { get; } = new();

    public VolumeClock Clock { get; }

    public VolumeInfo Volume { get; private set; }

    /// <summary>Why everything answers EIO from now on, in one line; null while the store works.</summary>
    public string? Poison { get; private set; }

    /// <summary>Why everything answers EIO now, in one line: for good, or until the open transaction can be built again; null while the store works.</summary>
    public string? Trouble => Poison ?? _broken;

    public Counters Counters
    {
        get
        {
            lock (Lock)
                return _counters;
        }
    }

    /// <summary>Newest mutation, committed or not.</summary>
    public Lsn Tail => new(Volatile.Read(ref _tail));

    /// <summary>Bytes of meta.db and its WAL.</summary>
    public long FileBytes => LengthOf(_path) + LengthOf(_path + "-wal");

    private static long LengthOf(string path) => new FileInfo(path) is { Exists: true } file ? file.Length : 0;

    /// <summary>Begins a mutation. Called with the lock held.</summary>
    private Errno Enter()
    {
        if (!IsReady())
            return Errno.EIO;
        try
        {
            if (!_inTransaction)
                Begin();
        }
        catch (MetadataException e)
        {
            return Failed(e);
        }
        Sweep();
        _mark = new Mark(_effects.Length, _effects.Journaled, _counters, RequiredBlockSequence, _nextInode, _nextCookie);
        return Errno.None;
    }

    /// <summary>A mutation is complete.</summary>
    private void Done()
    {
        Volatile.Write(ref _tail, _tail + 1);
        if (PendingMutations++ == 0)
            Pending?.Invoke();
    }

    /// <summary>A change of what is this copy's own is complete. It is no mutation, and waits for the next commit.</summary>
    private void DoneLocal() => _localPending = true;

    private void Begin()
    {
        _sql.Begin.Run();
        _inTransaction = true;
    }

    /// <summary>A mutation failed, in SQLite or by a bug: makes it as if it had not begun.</summary>
    private Errno Undo(Exception error)
    {
        _logger.LogError(error, "a change of the metadata failed and is undone");
        _effects.Truncate(_mark.Length, _mark.Journaled);
        RequiredBlockSequence = _mark.Required;
        (_nextInode, _nextCookie) = (_mark.NextInode, _mark.NextCookie);
        Rebuild(_mark.Counters);
        return Poison is null && error is MetadataException { Error: var errno } ? errno : Errno.EIO;
    }

    /// <summary>Whether the open transaction is what the effects say; where a failure of the disk has undone it, it is built again first. Called with the lock held, before anything is read from tables or changed.</summary>
    private bool IsReady()
    {
        if (Poison is not null)
            return false;
        if (_isRebuilding || (_broken is null && !_database.MustRollBack))
            return true;
        if (_broken is not null && _time.GetElapsedTime(_brokenSince) < MetadataLimits.RebuildPause)
            return false;
        Rebuild(_counters);
        return Trouble is null;
    }

    /// <exception cref="MetadataException">EIO: see <see cref="IsReady"/>.</exception>
    private void RequireReady()
    {
        if (!IsReady())
            throw new MetadataException(Errno.EIO, 0, Trouble!);
    }

    /// <summary>Rolls the transaction back and applies all effects again. Where the disk does not let it, nothing is lost: it is tried again later.</summary>
    private void Rebuild(Counters counters)
    {
        _segments.Clear();
        _dentries.Clear();
        _isRebuilding = true;
        try
        {
            if (!_database.IsIdle)
                _sql.Rollback.Run();
            _inTransaction = false;
            Begin();
            Replay(new EffectReader(_effects.Written));
            _database.Renewed();
            _broken = null;
        }
        catch (MetadataException e) when (SqliteError.IsOfDisk(e.Code))
        {
            _broken = $"the open transaction cannot be built again: {e.Message}";
            _brokenSince = _time.GetTimestamp();
            _failures.Tell("the open transaction cannot be built again now", e);
        }
        catch (Exception e)
        {
            SetPoison($"the open transaction is lost: {e.Message}", e);
        }
        _isRebuilding = false;
        _counters = counters;
    }

    private void SetPoison(string reason, Exception error)
    {
        Poison ??= reason;
        _logger.LogCritical(error, "the metadata store stops: {Reason}", reason);
    }

    /// <summary>What there was before an operation.</summary>
    private readonly record struct Mark(int Length, int Journaled, Counters Counters, long Required, ulong NextInode, long NextCookie);
}
