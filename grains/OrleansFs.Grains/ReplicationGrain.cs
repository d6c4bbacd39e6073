using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Concurrency;
using Orleans.GrainDirectory;
using Orleans.Providers;
using Orleans.Storage;
using OrleansFs.Engine;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Placement;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>
/// The sender of one replica, on its master. The loop that ships is the engine's and outlives an activation; what is kept in grain storage is what other members of the cluster, and the next run of this silo, can know of the
/// replica while the master's folder is not open: that it exists, and how far it was.
/// </summary>
/// <remarks>The authority on what is acknowledged is meta.db, beside the blocks that are evicted on the strength of it; this state is written after it and may be older. So nobody waits for it: while the cluster's database is away the replica is kept up to date all the same.</remarks>
[GrainType("ofs.replication"), CopyPlacement, GrainDirectory(NoDirectory.Name), Reentrant]
internal sealed partial class ReplicationGrain : IGrainBase, IReplicationGrain
{
    private const string StateName = "replication";

    private readonly IGrainStorage _storage;
    private readonly IGrainFactory _grains;
    private readonly VolumeCopy? _volume;
    private readonly CopyName _replica;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private IGrainTimer? _timer;

    /// <summary>What is kept, as it was last read or written; null where that is not known.</summary>
    private GrainState<ReplicationState>? _kept;
    private bool _isUnsaved;

    public ReplicationGrain(
        IGrainContext context, CopySessions sessions, IGrainFactory grains, TimeProvider time, ILogger<ReplicationGrain> logger, [FromKeyedServices(ProviderConstants.DEFAULT_STORAGE_PROVIDER_NAME)] IGrainStorage storage)
    {
        GrainContext = context;
        var key = ReplicationKey.Parse(GrainKeys.Text(context));
        GrainKeys.RequireHere(key.Master, sessions.Copy);
        _replica = key.Replica;
        _volume = (sessions.Copy as IReplicated)?.Volume;
        _grains = grains;
        _time = time;
        _logger = logger;
        _storage = storage;
    }

    public IGrainContext GrainContext { get; }

    private bool IsMaster => _volume is { Role: VolumeRole.Master, FencedBy: null };

    public async ValueTask<FsResult> StartAsync(CancellationToken cancellation)
    {
        if (_volume is not { Role: VolumeRole.Master })
            return Errno.EROFS;
        await _volume.Replication.AttachAsync(_replica, new ReplicaLink(_grains.GetGrain<IReplicaGrain>(new ReplicaKey(_replica).ToString())));
        _timer ??= this.RegisterGrainTimer(SaveAsync, new GrainTimerCreationOptions(TimeSpan.Zero, Limits.ReplicationSaved) { KeepAlive = true, Interleave = true });
        return FsResult.Ok;
    }

    public ValueTask<FsResult<ReplicaReport>> GetReportAsync(CancellationToken cancellation) => new(Report is { } report ? report : Errno.ENOENT);

    public async ValueTask<FsResult> ForgetAsync(CancellationToken cancellation)
    {
        if (!IsMaster)
            return Errno.EROFS;
        _timer?.Dispose();
        _timer = null;
        var result = await _volume!.Replication.ForgetAsync(_replica);
        if (result.IsOk)
            await ClearAsync(cancellation);
        return result;
    }

    public ValueTask<FsResult> DiscardAsync(CancellationToken cancellation) => new(!IsMaster ? Errno.EROFS : _volume!.Replication.Discard(_replica) ? FsResult.Ok : Errno.ENOENT);

    private ReplicaReport? Report => _volume?.Replication.Reports().Where(r => r.Name == _replica.Value).Select(r => (ReplicaReport?)r).FirstOrDefault();

    private async Task SaveAsync(CancellationToken cancellation)
    {
        if (Report is not { } report)
            return;
        long epoch = _volume!.Epoch.Value;
        try
        {
            var kept = _kept ?? await ReadAsync(cancellation);
            if (!kept.RecordExists || kept.State!.Acknowledged != report.Lsn || kept.State.Epoch != epoch)
            {
                kept.State = new ReplicationState { Acknowledged = report.Lsn, Epoch = epoch, Saved = _time.GetUtcNow() };
                await Task.Run(() => _storage.WriteStateAsync(StateName, GrainContext.GrainId, kept), cancellation);
            }
            (_kept, _isUnsaved) = (kept, false);
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            // It may have been written all the same.
            _kept = null;
            if (!_isUnsaved)
                LogUnsaved(_replica, e.GetBaseException().Message);
            _isUnsaved = true;
        }
    }

    private async Task ClearAsync(CancellationToken cancellation)
    {
        try
        {
            var kept = _kept ?? await ReadAsync(cancellation);
            if (kept.RecordExists)
                await Task.Run(() => _storage.ClearStateAsync(StateName, GrainContext.GrainId, kept), cancellation);
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            LogNotCleared(_replica, e.GetBaseException().Message);
        }
        _kept = null;
    }

    /// <remarks>By a thread of the pool, as all that is done with the storage: that of SQLite waits for its disk.</remarks>
    private async Task<GrainState<ReplicationState>> ReadAsync(CancellationToken cancellation)
    {
        var kept = new GrainState<ReplicationState>(new ReplicationState());
        await Task.Run(() => _storage.ReadStateAsync(StateName, GrainContext.GrainId, kept), cancellation);
        return kept;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "how far the replica '{name}' is cannot be written to the cluster's database: {reason}; that is tried again, and the replica is kept up to date all the same")]
    private partial void LogUnsaved(CopyName name, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "what the cluster's database keeps of the replica '{name}', which is forgotten, cannot be deleted: {reason}")]
    private partial void LogNotCleared(CopyName name, string reason);
}

/// <summary>What is kept of a replica in grain storage.</summary>
[GenerateSerializer, Alias("ofs.ReplicationState")]
internal sealed class ReplicationState
{
    /// <summary>Everything up to here was on the replica's disk.</summary>
    [Id(0)] public long Acknowledged { get; set; }

    /// <summary>In this epoch.</summary>
    [Id(1)] public long Epoch { get; set; }

    /// <summary>When that was written.</summary>
    [Id(2)] public DateTimeOffset Saved { get; set; }
}
