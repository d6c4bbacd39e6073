using OrleansFs.Cli.Control;
using OrleansFs.Fuse;

namespace OrleansFs.Cli.Commands;

/// <summary>Whether a volume can be mounted where it is to be: asked before anything is opened.</summary>
internal static class MountPointCheck
{
    /// <summary>Waits for a mount that is ending, takes a dead one away, and refuses what cannot be mounted on.</summary>
    /// <exception cref="CommandException">It cannot; the message says why.</exception>
    public static async Task PrepareAsync(string mountPoint, string? dataFolder, Action<string> say, CancellationToken cancellation)
    {
        await FolderHandover.AwaitMountPointAsync(mountPoint, say, cancellation);
        if (DeadMount.DetachIfAt(mountPoint))
            say($"orleansfs: {mountPoint} was left behind by a process that died; it is taken away");
        if (MountTable.At(mountPoint) is { IsFuse: true } there)
            throw new CommandException($"{there.Source} is mounted at {mountPoint} already; unmount it first with 'orleansfs umount {mountPoint}'");
        if (File.Exists(mountPoint))
            throw new CommandException($"{mountPoint} is not a directory");
        if (!Directory.Exists(mountPoint))
            throw new CommandException($"{mountPoint} does not exist; make it with 'mkdir {mountPoint}'");
        // The volume's own files would be reached through the mount that they serve.
        if (dataFolder is not null && (IsWithin(dataFolder, mountPoint) || IsWithin(mountPoint, dataFolder)))
            throw new CommandException($"the data folder {dataFolder} and the mount point {mountPoint} lie in each other; choose two that do not");
    }

    private static bool IsWithin(string path, string folder) =>
        path == folder || path.StartsWith(Path.EndsInDirectorySeparator(folder) ? folder : folder + "/", StringComparison.Ordinal);
}
