using Orleans.Concurrency;
using Orleans.GrainDirectory;
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
/// <remarks>The authority on what is acknowledged is meta.db, beside the blocks that are evicted on the strength of it; this state is written after it and may be older.</remarks>
[GrainType("ofs.replication"), CopyPlacement, GrainDirectory(NoDirectory.Name), Reentrant]
internal sealed class ReplicationGrain : IGrainBase, IReplicationGrain
{
    private readonly IPersistentState<ReplicationState> _state;
    private readonly IGrainFactory _grains;
    private readonly VolumeCopy? _volume;
    private readonly CopyName _replica;
    private readonly TimeProvider _time;
    private IGrainTimer? _timer;

    public ReplicationGrain(IGrainContext context, CopySessions sessions, IGrainFactory grains, TimeProvider time, [PersistentState("replication")] IPersistentState<ReplicationState> state)
    {
        GrainContext = context;
        var key = ReplicationKey.Parse(GrainKeys.Text(context));
        GrainKeys.RequireHere(key.Master, sessions.Copy);
        _replica = key.Replica;
        _volume = (sessions.Copy as IReplicated)?.Volume;
        _grains = grains;
        _time = time;
        _state = state;
    }

    public IGrainContext GrainContext { get; }

    private bool IsMaster => _volume is { Role: VolumeRole.Master, FencedBy: null };

    public async ValueTask<FsResult> StartAsync(CancellationToken cancellation)
    {
        if (_volume is not { Role: VolumeRole.Master })
            return Errno.EROFS;
        await _volume.Replication.AttachAsync(_replica, new ReplicaLink(_grains.GetGrain<IReplicaGrain>(new ReplicaKey(_replica).ToString())));
        _timer ??= this.RegisterGrainTimer(SaveAsync, new GrainTimerCreationOptions(Limits.ReplicationSaved, Limits.ReplicationSaved) { KeepAlive = true, Interleave = true });
        await SaveAsync(cancellation);
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
        if (result.IsOk && _state.RecordExists)
            await _state.ClearStateAsync(cancellation);
        return result;
    }

    public ValueTask<FsResult> DiscardAsync(CancellationToken cancellation) => new(!IsMaster ? Errno.EROFS : _volume!.Replication.Discard(_replica) ? FsResult.Ok : Errno.ENOENT);

    private ReplicaReport? Report => _volume?.Replication.Reports().Where(r => r.Name == _replica.Value).Select(r => (ReplicaReport?)r).FirstOrDefault();

    private async Task SaveAsync(CancellationToken cancellation)
    {
        if (Report is not { } report || (_state.RecordExists && _state.State.Acknowledged == report.Lsn && _state.State.Epoch == _volume!.Epoch.Value))
            return;
        _state.State = new ReplicationState { Acknowledged = report.Lsn, Epoch = _volume!.Epoch.Value, Saved = _time.GetUtcNow() };
        await _state.WriteStateAsync(cancellation);
    }
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
