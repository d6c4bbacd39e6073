using System.Globalization;
using Microsoft.Extensions.Logging;
using OrleansFs.Fuse;

namespace OrleansFs.Mount;

/// <summary>
/// The kernel's settings of one mount's page cache (/sys/class/bdi/DEVICE). Only root may change them; without, a mount works and is slower in large sequential work.
/// </summary>
/// <remarks>The defaults distrust a user's file server: 1 % of the dirty threshold for writes, 128 KiB of read-ahead (fs/fuse/inode.c, fuse_bdi_init).</remarks>
internal static class BackingDevice
{
    /// <summary>Widens what the page cache may do for a mount.</summary>
    public static void Tune(MountTableLine mount, ILogger logger)
    {
        string folder = $"/sys/class/bdi/0:{mount.DeviceMinor}";
        try
        {
            File.WriteAllText($"{folder}/strict_limit", "0");
            File.WriteAllText($"{folder}/max_ratio", "100");
            File.WriteAllText($"{folder}/read_ahead_kb", (Limits.ReadAhead >> 10).ToString(CultureInfo.InvariantCulture));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            logger.LogDebug("The page cache of {MountPoint} keeps the kernel's settings: {Reason}", mount.MountPoint, failure.Message);
        }
    }
}
