using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>What survives a kill of the process before it is committed: <see cref="EffectLog"/>.</content>
internal sealed partial class MetadataStore
{
    private EffectLog? _effectLog;

    /// <summary>Bytes of the effects of the open transaction that are in the log.</summary>
    private int _kept;

    /// <summary>The commit that meta.db is at.</summary>
    private CommitPoint _commitPoint;

    /// <summary>Has all that was executed so far survive a kill of the process. ENOSPC where that takes a commit. Call with <see cref="Lock"/> held.</summary>
    /// <param name="areBlocksSynced">Whether everything up to <see cref="RequiredBlockSequence"/> is on disk.</param>
    public FsResult Keep(bool areBlocksSynced)
    {
        if (!IsReady())
            return Errno.EIO;
        if (_effects.Length == _kept && _dirty.Count == 0)
            return FsResult.Ok;
        try
        {
            FlushPending();
        }
        catch (Exception e)
        {
            _failures.Tell("changes of attributes could not be executed, the transaction stays open", e);
            Rebuild(_counters);
            return Errno.EIO;
        }
        if (!_effectLog!.TryAppend(_effects.Written[_kept..], State(), areBlocksSynced))
            return Errno.ENOSPC;
        _kept = _effects.Length;
        return FsResult.Ok;
    }

    /// <summary>Everything is committed: what the log has of it is void.</summary>
    private void LogAnew(CommitPoint at)
    {
        _commitPoint = at;
        _kept = 0;
        _effectLog?.Begin(at);
    }

    /// <summary>Opens the log, and commits what it has beyond meta.db. Before the first transaction.</summary>
    /// <exception cref="NotAVolumeException">It cannot be applied.</exception>
    /// <exception cref="MetadataException">It cannot be committed. Nothing is lost: the next opening tries again.</exception>
    private void OpenEffectLog()
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(_path))!;
        _effectLog = new EffectLog(folder, Volume.Id, _budget.EffectBytes, _logger);
        IReadOnlyList<EffectRecord> records;
        try
        {
            records = _effectLog.Read(_commitPoint);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new MetadataException(Errno.EIO, 0, $"{EffectLog.FileName} cannot be read: {e.Message}");
        }
        if (records.Count > 0)
            Recover(records, folder);
        LogAnew(_commitPoint);
    }

    private void Recover(IReadOnlyList<EffectRecord> records, string folder)
    {
        foreach (var record in records)
            _effects.Adopt(record.Effects.Span);
        var state = records[^1].State;
        Begin();
        try
        {
            Replay(new EffectReader(_effects.Written), adopted: _effects);
        }
        catch (Exception e) when (e is InvalidDataException or MetadataException && !(e is MetadataException { Code: var code } && SqliteError.IsOfDisk(code)))
        {
            throw new NotAVolumeException($"what {EffectLog.FileName} has beyond meta.db cannot be applied ({e.Message}): without that file the volume is as of its last commit, some tenths of a second before");
        }
        (_nextInode, _nextCookie) = (state.NextInode, state.NextCookie);
        SetCounters(state.Counters);
        Clock.Advance(state.Clock);
        PendingMutations = state.Lsn.Value - _tail;
        _tail = state.Lsn.Value;
        if (records.Any(r => !r.AreBlocksSynced) && LinuxFile.SyncFileSystemOf(Path.Combine(folder, "blocks")) is var error and not Errno.None)
            throw new MetadataException(Errno.EIO, 0, $"the blocks of the volume cannot be brought to disk: {error}");
        (_journalBytes, var at) = EndTransaction();
        _sql.Commit.Run();
        _inTransaction = false;
        _logger.LogInformation("{Count} mutations were committed that the last process had not come to", PendingMutations);
        PendingMutations = 0;
        RequiredBlockSequence = 0;
        _committed = _tail;
        _effects.Clear();
        _commitPoint = at;
    }

    private VolumeState State() => new(_nextInode, _nextCookie, Clock.Latest, new Lsn(_tail), _counters);
}
