using OrleansFs.Client.Direct;
using OrleansFs.Grains;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Hosting;

/// <summary>What a silo's copy offers to direct connections.</summary>
internal sealed class DirectTargets(CopySessions sessions) : IDirectTargets
{
    private readonly LocalGrains _grains = new(sessions);

    public CopyName Copy => _grains.Copy;

    public object? Find(DirectTarget target, InodeNumber inode) => target switch
    {
        DirectTarget.Names => _grains.Names,
        DirectTarget.File => _grains.File(inode),
        _ => null,
    };
}
