using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Runtime.Hosting;
using OrleansFs.Grains.Placement;
using OrleansFs.Grains.Sessions;

namespace OrleansFs.Grains;

/// <summary>Adds the grains to a silo.</summary>
public static class GrainsHostingExtensions
{
    /// <param name="silo">The silo. Its name is the name of the copy.</param>
    /// <param name="copy">The copy it serves. Opened before the silo starts, closed after it has stopped, both by the caller.</param>
    /// <param name="time">The clock.</param>
    /// <param name="exclusive">Sessions of mounts in other processes are refused: <c>EBUSY</c>.</param>
    public static Orleans.Hosting.ISiloBuilder AddOrleansFsGrains(this Orleans.Hosting.ISiloBuilder silo, IVolumeCopy copy, TimeProvider time, bool exclusive = false)
    {
        silo.Services.AddSingleton(services => new CopySessions(copy, time, exclusive, services.GetRequiredService<ILogger<CopySessions>>()));
        silo.Services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>, ReplicationWatch>();
        silo.Services.AddPlacementDirector<CopyPlacement, CopyPlacementDirector>();
        silo.AddGrainDirectory(NoDirectory.Name, (_, _) => new NoDirectory());
        return silo;
    }
}
