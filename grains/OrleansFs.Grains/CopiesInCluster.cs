using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>The other copies of a volume that are in the cluster now.</summary>
/// <param name="Links">How each is told something as a replica; a master refuses that.</param>
/// <param name="Master">The newest that takes changes; null where none is there.</param>
internal sealed record OtherCopies(IReadOnlyDictionary<CopyName, IReplicaLink> Links, CopyName? Master);

/// <summary>Finds the copies of a volume that are in the cluster now.</summary>
internal sealed partial class CopiesInCluster(IGrainFactory grains, IClusterMembershipService membership, TimeProvider time, ILogger<CopiesInCluster> logger)
{
    /// <summary>All but one, each asked at the same time for a while: the silo of one that is cut off stays a member until others have noticed.</summary>
    public async Task<OtherCopies> FindAsync(CopyName asking, VolumeId volume, CancellationToken cancellation)
    {
        var names = membership.CurrentSnapshot.Members.Values
            .Where(m => m.Status == SiloStatus.Active)
            .Select(m => CopyName.TryParse(m.Name, out var name) ? name : (CopyName?)null)
            .OfType<CopyName>().Where(n => n != asking).Distinct();
        var found = (await Task.WhenAll(names.Select(name => DescribeAsync(name, cancellation)))).OfType<CopyDescription>().Where(c => c.Volume == volume).ToList();
        var masters = found.Where(c => c is { Role: CopyRole.Master, ReadOnly: false }).ToList();
        return new OtherCopies(
            found.ToDictionary(c => c.Copy, c => (IReplicaLink)new ReplicaLink(grains.GetGrain<IReplicaGrain>(new ReplicaKey(c.Copy).ToString()))),
            masters.Count == 0 ? null : masters.MaxBy(c => c.Epoch.Value).Copy);
    }

    /// <summary>Whether a copy says of itself that it is a master that takes changes.</summary>
    public async Task<bool> IsMasterAsync(CopyName name, CancellationToken cancellation) => await DescribeAsync(name, cancellation) is { Role: CopyRole.Master, ReadOnly: false };

    private async Task<CopyDescription?> DescribeAsync(CopyName name, CancellationToken cancellation)
    {
        try
        {
            var described = await grains.GetGrain<ICopyGrain>(new CopyGrainKey(name).ToString()).DescribeAsync(cancellation).AsTask().WaitAsync(Limits.DescribeTimeout, time, cancellation);
            return described.TryGet(out var copy, out _) ? copy : null;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
        {
            LogAway(name, e.Message.ReplaceLineEndings(" "));
            return null;
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "the silo '{name}' does not say what it serves: {reason}")]
    private partial void LogAway(CopyName name, string reason);
}
