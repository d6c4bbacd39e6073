using Microsoft.Extensions.DependencyInjection;
using Orleans.Runtime.Hosting;
using OrleansFs.Grains.Placement;
using OrleansFs.Grains.Sessions;

namespace OrleansFs.Grains;

/// <summary>Adds the grains to a silo.</summary>
public static class GrainsHostingExtensions
{
    /// <param name="silo">The silo. Its name is the name of the copy.</param>
    /// <param name="sessions">The sessions on the copy that it serves. They are the caller's, and outlive the silo: one that takes its place, in the same process, goes on with them.</param>
    public static Orleans.Hosting.ISiloBuilder AddOrleansFsGrains(this Orleans.Hosting.ISiloBuilder silo, CopySessions sessions)
    {
        silo.Services.AddSingleton(sessions);
        silo.Services.AddSingleton<CopiesInCluster>();
        silo.Services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>, ReplicationWatch>();
        silo.Services.AddPlacementDirector<CopyPlacement, CopyPlacementDirector>();
        silo.AddGrainDirectory(NoDirectory.Name, (_, _) => new NoDirectory());
        return silo;
    }
}
