using Orleans.Runtime.Placement;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains.Placement;

/// <summary>Finds the silo of a copy in the membership of the cluster.</summary>
internal sealed class CopyPlacementDirector(IClusterMembershipService membership) : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        string key = target.GrainIdentity.Key.ToString()!;
        if (!CopyKey.TryGetCopy(key, out var copy))
            return Task.FromException<SiloAddress>(new FormatException($"'{key}' names no copy"));
        return Find(copy) is { } silo ? Task.FromResult(silo) : Task.FromException<SiloAddress>(new CopyAwayException(copy));
    }

    /// <summary>The active silo of that name. There may be two for a moment when one was killed and started again: then the younger.</summary>
    private SiloAddress? Find(CopyName copy)
    {
        SiloAddress? found = null;
        foreach (var member in membership.CurrentSnapshot.Members.Values)
        {
            if (member.Status == SiloStatus.Active && member.Name == copy.Value && (found is null || member.SiloAddress.Generation > found.Generation))
                found = member.SiloAddress;
        }
        return found;
    }
}
