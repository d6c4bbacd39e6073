using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>The grains of this process's copy that have no state of their own, for who calls them past Orleans: of the same classes as the activations, without one.</summary>
public sealed class LocalGrains(CopySessions sessions)
{
    /// <summary>The copy.</summary>
    public CopyName Copy => sessions.Copy.Description.Copy;

    /// <summary>Names and attributes.</summary>
    public INamespaceGrain Names { get; } = new NamespaceGrain(sessions);

    /// <summary>A file's content.</summary>
    public IFileGrain File(InodeNumber inode) => new FileGrain(inode, sessions);
}
