using Orleans.GrainDirectory;

namespace OrleansFs.Grains.Placement;

/// <summary>
/// The directory of grains that are placed by their key: it knows none, and asking it costs no message. (A grain class without a directory of its own is looked up in the
/// cluster's distributed one, on whichever silo owns that part of it, also when its placement registers nothing there.)
/// </summary>
internal sealed class NoDirectory : IGrainDirectory
{
    public const string Name = "orleansfs-none";

    public Task<GrainAddress?> Register(GrainAddress address) => Task.FromResult<GrainAddress?>(address);

    public Task Unregister(GrainAddress address) => Task.CompletedTask;

    public Task<GrainAddress?> Lookup(GrainId grainId) => Task.FromResult<GrainAddress?>(null);

    public Task UnregisterSilos(List<SiloAddress> siloAddresses) => Task.CompletedTask;
}
