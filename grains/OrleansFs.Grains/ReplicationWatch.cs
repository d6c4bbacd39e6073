using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>On the silo of a master: finds the replicas in the cluster, and has each kept up to date. A replica that was started again is given a new connection at once.</summary>
/// <remarks>It runs on every silo, and does nothing on one that is no master: a replica may be promoted while it runs.</remarks>
internal sealed partial class ReplicationWatch(CopySessions sessions, IGrainFactory grains, IClusterMembershipService membership, TimeProvider time, ILogger<ReplicationWatch> logger)
    : ILifecycleParticipant<ISiloLifecycle>, IDisposable
{
    private readonly ConcurrentDictionary<CopyName, SiloAddress> _started = [];
    private readonly Dictionary<CopyName, Task> _looks = [];
    private readonly CancellationTokenSource _stop = new();
    private Task _running = Task.CompletedTask;

    public void Participate(ISiloLifecycle lifecycle) =>
        lifecycle.Subscribe(nameof(ReplicationWatch), ServiceLifecycleStage.Active, _ => Start(), StopAsync);

    public void Dispose() => _stop.Dispose();

    private Task Start()
    {
        if (sessions.Copy is IReplicated)
            _running = Task.Run(WatchAsync);
        return Task.CompletedTask;
    }

    private async Task StopAsync(CancellationToken cancellation)
    {
        await _stop.CancelAsync();
        await _running.WaitAsync(cancellation);
    }

    private async Task WatchAsync()
    {
        using var timer = new PeriodicTimer(Limits.ReplicaTick, time);
        try
        {
            do
            {
                if (((IReplicated)sessions.Copy).Volume is { Role: VolumeRole.Master } volume)
                    Look(volume);
            }
            while (await timer.WaitForNextTickAsync(_stop.Token));
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The silo stops.
        }
        await Task.WhenAll(_looks.Values);
    }

    /// <summary>Each member by itself: one that cannot be reached, such as the master before, keeps nobody else waiting.</summary>
    private void Look(VolumeCopy volume)
    {
        foreach (var member in membership.CurrentSnapshot.Members.Values)
        {
            if (member.Status != SiloStatus.Active || !CopyName.TryParse(member.Name, out var name) || name == volume.Copy)
                continue;
            if (_started.TryGetValue(name, out var known) && known.Equals(member.SiloAddress))
                continue;
            if (!_looks.TryGetValue(name, out var look) || look.IsCompleted)
                _looks[name] = LookAsync(volume, name, member.SiloAddress);
        }
    }

    private async Task LookAsync(VolumeCopy volume, CopyName name, SiloAddress address)
    {
        try
        {
            if (await IsReplicaAsync(name, volume) && (await grains.GetGrain<IReplicationGrain>(new ReplicationKey(name, volume.Copy).ToString()).StartAsync(_stop.Token)).IsOk)
                LogStarted(name);
            _started[name] = address;
        }
        catch (Exception e)
        {
            // It may be on its way in or out: looked at again with the next tick.
            if (!_stop.IsCancellationRequested)
                LogNotYet(name, e.Message);
        }
    }

    private async Task<bool> IsReplicaAsync(CopyName name, VolumeCopy volume)
    {
        var described = await grains.GetGrain<ICopyGrain>(new CopyGrainKey(name).ToString()).DescribeAsync(_stop.Token);
        if (!described.TryGet(out var copy, out _))
            return false;
        // A former master sends nothing, but reads what it has given up from whoever has it.
        return volume.FencedBy is not null ? copy.Volume == volume.Id : copy.Role == CopyRole.Replica && (copy.Volume == volume.Id || copy.Volume == default);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "the replica '{name}' is in the cluster and is kept up to date")]
    private partial void LogStarted(CopyName name);

    [LoggerMessage(Level = LogLevel.Information, Message = "the silo '{name}' does not answer yet: {reason}")]
    private partial void LogNotYet(CopyName name, string reason);
}
