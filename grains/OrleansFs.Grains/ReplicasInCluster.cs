using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>Finds the replicas of a volume that are in the cluster now.</summary>
internal sealed partial class ReplicasInCluster(IGrainFactory grains, IClusterMembershipService membership, TimeProvider time, ILogger<ReplicasInCluster> logger)
{
    /// <summary>All but one, each asked at the same time for a while: the silo of one that is cut off stays a member until others have noticed.</summary>
    public async Task<IReadOnlyDictionary<CopyName, IReplicaLink>> FindAsync(CopyName asking, VolumeId volume, CancellationToken cancellation)
    {
        var names = membership.CurrentSnapshot.Members.Values
            .Where(m => m.Status == SiloStatus.Active)
            .Select(m => CopyName.TryParse(m.Name, out var name) ? name : (CopyName?)null)
            .OfType<CopyName>().Where(n => n != asking).Distinct();
        var found = await Task.WhenAll(names.Select(async name => (Name: name, Is: await IsReplicaAsync(name, volume, cancellation))));
        return found.Where(f => f.Is).ToDictionary(f => f.Name, f => (IReplicaLink)new ReplicaLink(grains.GetGrain<IReplicaGrain>(new ReplicaKey(f.Name).ToString())));
    }

    private async Task<bool> IsReplicaAsync(CopyName name, VolumeId volume, CancellationToken cancellation)
    {
        try
        {
            var described = await grains.GetGrain<ICopyGrain>(new CopyGrainKey(name).ToString()).DescribeAsync(cancellation).AsTask().WaitAsync(Limits.DescribeTimeout, time, cancellation);
            return described.TryGet(out var copy, out _) && copy.Volume == volume;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
        {
            LogAway(name, e.Message.ReplaceLineEndings(" "));
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "the silo '{name}' does not say what it serves: {reason}")]
    private partial void LogAway(CopyName name, string reason);
}
