using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>What is known of how a drain goes on.</summary>
/// <param name="Target">Everything up to here has to be on the replicas.</param>
/// <param name="Reached">Everything up to here is on as many as asked.</param>
/// <param name="Copies">How many replicas have all of it.</param>
public readonly record struct DrainProgress(Lsn Target, Lsn Reached, int Copies);

/// <summary>The replicas of a master: one sender each, and what all of them together have acknowledged. Thread-safe.</summary>
/// <remarks>Without a replica attached it does nothing, and its two notes cost a look at an empty array.</remarks>
public sealed class ReplicationMaster
{
    private readonly VolumeCopy _volume;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<CopyName, ReplicaSender> _senders = new();
    private volatile ReplicaSender[] _attached = [];

    /// <summary>Detached, and not ended yet.</summary>
    private readonly HashSet<ReplicaSender> _stopping = [];
    private TaskCompletionSource _acknowledged = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _stopped;
    private volatile Unreached? _unreached;

    internal ReplicationMaster(VolumeCopy volume, TimeProvider time, ILogger logger)
    {
        _volume = volume;
        _time = time;
        _logger = logger;
    }

    /// <summary>Attaches a replica: from now on it is kept up to date, for as long as the link answers, and whenever it answers again. One that is attached already gets the new link.</summary>
    public async Task AttachAsync(CopyName name, IReplicaLink link)
    {
        while (true)
        {
            await DetachAsync(name);
            lock (_lock)
            {
                if (_stopped)
                    return;
                // Attached by another meanwhile.
                if (_senders.ContainsKey(name))
                    continue;
                var sender = new ReplicaSender(this, _volume, name, link, _time, _logger);
                _senders[name] = sender;
                _attached = [.. _senders.Values];
                sender.Start();
                return;
            }
        }
    }

    /// <summary>Ends what is under way to a replica, or leaves it alone where it does not end. It stays known: the journal is kept for it, within bounds.</summary>
    public async Task DetachAsync(CopyName name)
    {
        ReplicaSender? sender;
        lock (_lock)
        {
            if (!_senders.TryRemove(name, out sender))
                return;
            _attached = [.. _senders.Values];
            _stopping.Add(sender);
        }
        await StopAsync(sender);
    }

    private async Task StopAsync(ReplicaSender sender)
    {
        if (!await sender.TryStopAsync())
        {
            _logger.LogError("what is under way to the replica '{Name}' has not ended within {Seconds} s: what it uses stays in use until this process ends", sender.Name, ReplicationLimits.StopTimeout.TotalSeconds);
            return;
        }
        lock (_lock)
            _stopping.Remove(sender);
        sender.Dispose();
    }

    /// <summary>A replica is gone for good: it counts for nothing any more, and the journal is not kept for it.</summary>
    public async Task<FsResult> ForgetAsync(CopyName name)
    {
        await DetachAsync(name);
        return _volume.Metadata.ForgetReplica(name);
    }

    /// <summary>The replica may give up what it has and this master has not (<see cref="ReplicaState.Ahead"/>), and take a full copy.</summary>
    /// <returns>False where it is not attached.</returns>
    public bool Discard(CopyName name)
    {
        if (!_senders.TryGetValue(name, out var sender))
            return false;
        sender.MayDiscard = true;
        sender.Wake();
        return true;
    }

    /// <summary>Every replica that is known, attached or not, by name.</summary>
    public IReadOnlyList<ReplicaReport> Reports()
    {
        var tail = _volume.Metadata.Committed;
        var reports = new List<ReplicaReport>();
        var rows = _volume.Metadata.Replicas().ToDictionary(r => r.Name);
        foreach (var name in rows.Keys.Concat(_senders.Keys).Distinct().OrderBy(n => n.Value, StringComparer.Ordinal))
        {
            if (_senders.TryGetValue(name, out var sender))
            {
                reports.Add(sender.Report(tail) with { LacksBlocks = rows.TryGetValue(name, out var known) ? Lacks(known) : sender.LacksBlocks });
                continue;
            }
            var row = rows[name];
            reports.Add(new ReplicaReport
            {
                Name = name.Value,
                State = ReplicaState.Away,
                Lsn = row.Acked.Value,
                LagMutations = tail.Value - row.Acked.Value,
                LastContact = DateTimeOffset.UnixEpoch.AddTicks(row.Seen.Nanoseconds / TimeSpan.NanosecondsPerTick),
                LacksBlocks = Lacks(row),
            });
        }
        return reports;
    }

    /// <summary>This master and its replicas, with what each lacks in bytes and seconds. Reads the journal: not for a request thread.</summary>
    public MasterReport Measure()
    {
        var tail = _volume.Metadata.Committed;
        using var lag = new LagMeter(_volume, _time);
        return new MasterReport
        {
            Volume = _volume.Name,
            Uuid = _volume.Id.ToString(),
            Master = _volume.Copy.Value,
            Epoch = _volume.Epoch.Value,
            Lsn = tail.Value,
            Replicas = [.. Reports().Select(lag.Measure)],
        };
    }

    /// <summary>Everything up to here is on the disks of so many replicas; null where there are not so many.</summary>
    public Lsn? ReachedBy(int copies)
    {
        var acked = _volume.Metadata.Replicas().Select(r => r.Acked).OrderByDescending(l => l).ToList();
        return acked.Count < copies || copies < 1 ? null : acked[copies - 1];
    }

    /// <summary>Waits until everything up to a position is on the disks of so many replicas, for a time. It is on the disk here whatever comes of that.</summary>
    /// <returns>ETIMEDOUT where it is not on so many after that time; who asks again is answered for what there is then.</returns>
    public async Task<FsResult> WaitForCopiesAsync(Lsn position, int copies, TimeSpan patience, CancellationToken cancellation)
    {
        long began = _time.GetTimestamp();
        while (true)
        {
            Task next;
            lock (_lock)
                next = _acknowledged.Task;
            if (ReachedBy(copies) is { } reached && reached >= position)
                return FsResult.Ok;
            var left = patience - _time.GetElapsedTime(began);
            try
            {
                await next.WaitAsync(left > TimeSpan.Zero ? left : TimeSpan.Zero, _time, cancellation);
            }
            catch (TimeoutException)
            {
                NoteUnreached(new Unreached(position, copies, patience));
                return Errno.ETIMEDOUT;
            }
        }
    }

    /// <summary>Why the last fsync that waited for replicas in vain did so, in one line; null when they have come meanwhile.</summary>
    internal string? SyncTrouble => _unreached is { } last && !(ReachedBy(last.Copies) is { } reached && reached >= last.Position) ? last.Trouble : null;

    /// <summary>Brings everything that there is now to disk, here and on so many replicas.</summary>
    /// <returns>EIO, ENOSPC … where it cannot be brought to disk here.</returns>
    public async Task<FsResult> DrainAsync(int copies, IProgress<DrainProgress>? progress, CancellationToken cancellation)
    {
        var synced = await _volume.SyncAllAsync(cancellation);
        if (!synced.IsOk)
            return synced;
        var target = _volume.Metadata.Committed;
        await UntilAcknowledgedAsync(
            () =>
            {
                int have = HavingAll(target);
                progress?.Report(new DrainProgress(target, ReachedBy(copies) ?? Lsn.Zero, have));
                return have >= copies;
            },
            cancellation);
        return FsResult.Ok;
    }

    /// <summary>
    /// How many replicas have everything up to a position, every block too: one that knows of blocks that it lacks, because they were with another replica only when their rows came, or have become damaged, has not.
    /// </summary>
    private int HavingAll(Lsn position) => _volume.Metadata.Replicas().Count(r => HasAll(r, position));

    private bool HasAll(in ReplicaRow replica, Lsn position) => replica.Acked >= position && !Lacks(replica);

    private bool Lacks(in ReplicaRow replica) => _senders.TryGetValue(replica.Name, out var sender) && sender.HasAnswered ? sender.LacksBlocks : replica.Lacks;

    /// <summary>Brings everything that there is now to disk, here and on one replica, every block too: it is about to be without this master.</summary>
    /// <returns>EIO, ENOSPC … where it cannot be brought to disk here.</returns>
    internal async Task<FsResult> BringToAsync(CopyName name, CancellationToken cancellation)
    {
        var synced = await _volume.SyncAllAsync(cancellation);
        cancellation.ThrowIfCancellationRequested();
        if (!synced.IsOk)
            return synced;
        var target = _volume.Metadata.Committed;
        await UntilAcknowledgedAsync(() => _volume.Metadata.Replicas().Any(r => r.Name == name && HasAll(r, target)), cancellation);
        return FsResult.Ok;
    }

    /// <summary>Looks again with each acknowledgement of a replica.</summary>
    private async Task UntilAcknowledgedAsync(Func<bool> condition, CancellationToken cancellation)
    {
        while (true)
        {
            Task next;
            lock (_lock)
                next = _acknowledged.Task;
            if (condition())
                return;
            await next.WaitAsync(cancellation);
        }
    }

    /// <summary>A drain in steps: waits for so long at most.</summary>
    /// <param name="copies">On so many replicas.</param>
    /// <param name="target">What an earlier step answered; null to bring everything to disk here first.</param>
    /// <param name="patience">How long it may take when there is nothing new.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <returns>EROFS where another copy has taken over: what is newer is there. EIO, ENOSPC … where not everything can be brought to disk here.</returns>
    public async Task<FsResult<DrainProgress>> DrainStepAsync(int copies, Lsn? target, TimeSpan patience, CancellationToken cancellation)
    {
        if (_volume.FencedBy is not null)
            return Errno.EROFS;
        if (target is not { } wanted)
        {
            var synced = await _volume.SyncAllAsync(cancellation);
            if (!synced.IsOk)
                return synced.Error;
            wanted = _volume.Metadata.Committed;
        }
        long began = _time.GetTimestamp();
        while (true)
        {
            Task next;
            lock (_lock)
                next = _acknowledged.Task;
            if (_volume.FencedBy is not null)
                return Errno.EROFS;
            int have = HavingAll(wanted);
            var left = patience - _time.GetElapsedTime(began);
            if (have >= copies || left <= TimeSpan.Zero)
                return new DrainProgress(wanted, ReachedBy(copies) ?? Lsn.Zero, have);
            await Task.WhenAny(next, Task.Delay(left, _time, cancellation));
            cancellation.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Blocks from replicas, for who has not got them; those that none can give are left out.</summary>
    /// <param name="hashes">What is wanted.</param>
    /// <param name="except">A replica that is not to be asked; null to ask all.</param>
    /// <param name="cancellation">Ends it.</param>
    internal async Task<List<ShippedBlock>> FetchAsync(IReadOnlyCollection<BlockHash> hashes, CopyName? except, CancellationToken cancellation)
    {
        var got = new List<ShippedBlock>(hashes.Count);
        var missing = hashes.ToHashSet();
        foreach (var sender in _attached.Where(s => s.Name != except && s.CanServe).OrderBy(s => s.FetchTime))
        {
            foreach (var block in await sender.FetchAsync([.. missing], cancellation))
            {
                if (missing.Remove(block.Hash))
                    got.Add(block);
            }
            if (missing.Count == 0)
                break;
        }
        return got;
    }

    /// <summary>Replicas that are sent each block as it is made.</summary>
    internal int Followers => _attached.Count(s => s.TakesSealed);

    internal void NoteSealed(SealedNote note)
    {
        foreach (var sender in _attached)
            sender.NoteSealed(note);
    }

    internal void NoteCommitted()
    {
        foreach (var sender in _attached)
            sender.Wake();
    }

    /// <summary>A replica has something on its disk.</summary>
    internal void Acknowledged(CopyName name, Lsn acked, Lsn? held, bool lacks)
    {
        var result = _volume.Metadata.PutReplica(name, acked, held, lacks);
        if (!result.IsOk)
            _logger.LogWarning("what the replica '{Name}' has acknowledged cannot be noted: {Error}", name, result.Error);
        WakeWaiting();
    }

    /// <summary>A replica lacks blocks of which it has acknowledged the rows, or does so no more.</summary>
    internal void Lacking(CopyName name, bool lacks)
    {
        var result = _volume.Metadata.SetLacks(name, lacks);
        if (!result.IsOk)
            _logger.LogWarning("that the replica '{Name}' lacks blocks, or does no more, cannot be noted: {Error}", name, result.Error);
    }

    /// <summary>Replicas have more than they had: who waits for that looks again.</summary>
    internal void WakeWaiting()
    {
        TaskCompletionSource waiting;
        lock (_lock)
        {
            waiting = _acknowledged;
            _acknowledged = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        waiting.SetResult();
    }

    /// <summary>What some replica still needs of the journal.</summary>
    internal Lsn Needed()
    {
        var replicas = _volume.Metadata.Replicas();
        return replicas.Count == 0 ? _volume.Metadata.Committed : replicas.Min(r => r.Needs);
    }

    /// <summary>Whether a block is, or may be, damaged on a replica that acknowledged it, or never came there. Of one that has not answered since this master was started it is known only whether there are such blocks.</summary>
    internal bool IsDamaged(in ReplicaRow replica, BlockHash hash) => _senders.TryGetValue(replica.Name, out var sender) && sender.HasAnswered ? sender.IsDamaged(hash) : replica.Lacks;

    /// <summary>No replica is known.</summary>
    internal bool IsAlone => _attached.Length == 0 && _volume.Metadata.ReplicaCount == 0;

    /// <summary>Replicas that are known, or attached and about to be.</summary>
    internal int Count => Math.Max(_attached.Length, _volume.Metadata.ReplicaCount);

    /// <summary>Bytes that so many replicas can still take; 0 where there are not so many that answer.</summary>
    internal long FreeBytes(int copies)
    {
        var free = _attached.Select(s => s.FreeBytes).OrderDescending().ToList();
        return copies < 1 || free.Count < copies ? 0 : free[copies - 1];
    }

    /// <summary>Completes with the next acknowledgement of any replica, or after a time.</summary>
    internal async Task AcknowledgedAsync(TimeSpan patience, CancellationToken cancellation)
    {
        Task next;
        lock (_lock)
            next = _acknowledged.Task;
        await Task.WhenAny(next, Task.Delay(patience, _time, cancellation));
        cancellation.ThrowIfCancellationRequested();
    }

    private void NoteUnreached(Unreached what)
    {
        if (SyncTrouble is null)
            _logger.LogWarning("{Trouble}", what.Trouble);
        _unreached = what;
    }

    private sealed record Unreached(Lsn Position, int Copies, TimeSpan Patience)
    {
        public string Trouble => $"an fsync has failed: what it synced is on the disk here, and was not on those of {Copies} {(Copies == 1 ? "replica" : "replicas")} within {Patience.TotalSeconds:0.#} s";
    }

    /// <summary>Ends all senders.</summary>
    /// <returns>False where one does not end: it still uses the volume.</returns>
    internal async Task<bool> StopAsync()
    {
        ReplicaSender[] stopping;
        lock (_lock)
        {
            _stopped = true;
            _stopping.UnionWith(_senders.Values);
            _senders.Clear();
            _attached = [];
            stopping = [.. _stopping];
        }
        await Task.WhenAll(stopping.Select(StopAsync));
        lock (_lock)
            return _stopping.Count == 0;
    }
}
