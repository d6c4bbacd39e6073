using OrleansFs.Fuse;

namespace OrleansFs.Cli.Commands;

/// <summary>What keeps a mount alive that is not at its path any more: the kernel ends a connection with the last mount of it, in whichever namespace that is (of a container, of a service). Until then its process has to serve it.</summary>
internal static class MountHolders
{
    /// <returns>A sentence without its end; null where no other mount is found, and so programs have files open.</returns>
    /// <param name="path">Where it was mounted.</param>
    /// <param name="device">The mount, see <see cref="MountTableLine.DeviceMinor"/>.</param>
    public static string? Describe(string path, uint device)
    {
        if (MountTable.Of(device) is [var shown, ..])
            return shown.MountPoint == path ? $"another mount lies over {path}" : $"{path} is unmounted, but {shown.MountPoint} shows it still";
        return MountTable.Holders(device) is [var holder, ..] ? $"{path} is unmounted here, but process {holder} has it in a mount namespace of its own" : null;
    }
}
