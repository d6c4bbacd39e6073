using OrleansFs.Fuse;

namespace OrleansFs.Cli.Control;

/// <summary>Finds the data folder of what a user named.</summary>
internal static class VolumeLocation
{
    public const string MountType = "fuse.orleansfs";

    /// <summary>The data folder of the mount at a path. Our mounts show it as their source.</summary>
    /// <exception cref="CommandException">No volume is mounted there.</exception>
    public static string OfMount(string mountPoint)
    {
        string path = MountPath.Resolve(mountPoint);
        if (MountTable.At(path) is not { Type: MountType } mount)
            throw new CommandException($"no volume is mounted at {path}");
        if (DeadMount.IsAt(path))
            throw new CommandException($"the process that served {path} is gone; 'orleansfs umount {path}' or the next mount cleans up");
        return mount.Source;
    }

    /// <summary>The data folder of a mount point or a folder, one of which is given.</summary>
    public static string Of(string? mountPoint, string? data) => data is not null ? Path.GetFullPath(data) : OfMount(mountPoint!);
}
