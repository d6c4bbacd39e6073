using System.Globalization;
using OrleansFs.Fuse.Interop;

namespace OrleansFs.Fuse.Mounting;

/// <summary>Attaches /dev/fuse to a directory and takes it off again: as root by mount(2), otherwise by fusermount3.</summary>
internal static class KernelMount
{
    private const string Device = "/dev/fuse";

    internal static bool IsRoot => Libc.GetEUid() == 0;

    /// <summary>Mounts; answers the descriptor to read requests from, the caller's to close.</summary>
    /// <exception cref="FuseMountException">It could not be mounted.</exception>
    internal static int Mount(string mountPoint, FuseOptions options) =>
        IsRoot ? MountDirectly(mountPoint, options) : Fusermount.Mount(mountPoint, FusermountOptions(options));

    /// <summary>Another descriptor of the same connection; the first one where the device may not be opened again.</summary>
    internal static unsafe int Clone(int fd)
    {
        int clone = Libc.Open(Device, Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        if (clone < 0)
            return fd;
        uint source = (uint)fd;
        if (Libc.Ioctl(clone, Libc.FUSE_DEV_IOC_CLONE, &source) == 0)
            return clone;
        _ = Libc.Close(clone);
        return fd;
    }

    /// <summary>Takes the mount off.</summary>
    internal static Errno Unmount(string mountPoint, bool lazy)
    {
        if (!IsRoot)
            return Fusermount.Unmount(mountPoint, lazy);
        int flags = Libc.UMOUNT_NOFOLLOW | (lazy ? Libc.MNT_DETACH : 0);
        return Libc.UMount2(mountPoint, flags) == 0 ? Errno.None : Libc.LastError;
    }

    /// <summary>Cuts the connection: what waits in the kernel gets ECONNABORTED. False where that needs rights that the process has not, or the control file system of FUSE is not mounted.</summary>
    internal static bool TryAbort(uint deviceMinor)
    {
        try
        {
            // The control file belongs to whoever mounted; it is there when fusectl is mounted.
            File.WriteAllText($"/sys/fs/fuse/connections/{deviceMinor.ToString(CultureInfo.InvariantCulture)}/abort", "1");
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Cuts the connection of what is mounted at a path, and takes it off where nobody uses it. False where that needs rights that the process has not.</summary>
    internal static bool TryForce(string mountPoint)
    {
        // umount2(MNT_FORCE) aborts the connection first and answers EBUSY where the mount stays; both are what is wanted here.
        return IsRoot && (Libc.UMount2(mountPoint, Libc.MNT_FORCE | Libc.UMOUNT_NOFOLLOW) == 0 || Libc.LastError == Errno.EBUSY);
    }

    private static int MountDirectly(string mountPoint, FuseOptions options)
    {
        int fd = Libc.Open(Device, Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        if (fd < 0)
            throw new FuseMountException($"{Device} cannot be opened: {Libc.LastError}. Is the fuse module loaded?");
        string data = string.Create(
            CultureInfo.InvariantCulture,
            $"fd={fd},rootmode=40000,user_id={Libc.GetEUid()},group_id={Libc.GetEGid()},max_read={options.MaxWrite}");
        if (options.AllowOther)
            data += ",allow_other";
        if (options.DefaultPermissions)
            data += ",default_permissions";
        if (Libc.Mount(options.FileSystemName, mountPoint, TypeName(options), Flags(options), data) == 0)
            return fd;
        Errno error = Libc.LastError;
        _ = Libc.Close(fd);
        throw new FuseMountException($"{mountPoint} cannot be mounted: {error}");
    }

    private static string TypeName(FuseOptions options) => options.Subtype.Length == 0 ? "fuse" : $"fuse.{options.Subtype}";

    private static nuint Flags(FuseOptions options) =>
        (options.ReadOnly ? Libc.MS_RDONLY : 0) | (options.AllowSuid ? 0 : Libc.MS_NOSUID) | (options.AllowDevices ? 0 : Libc.MS_NODEV)
        | options.AccessTimes switch { AccessTimeOption.Never => Libc.MS_NOATIME, AccessTimeOption.Strict => Libc.MS_STRICTATIME, _ => 0 };

    private static string FusermountOptions(FuseOptions options)
    {
        List<string> list =
        [
            $"fsname={Escape(options.FileSystemName)}",
            string.Create(CultureInfo.InvariantCulture, $"max_read={options.MaxWrite}"),
            options.ReadOnly ? "ro" : "rw",
            "nosuid",
            "nodev",
        ];
        if (options.Subtype.Length > 0)
            list.Add($"subtype={Escape(options.Subtype)}");
        if (options.AccessTimes == AccessTimeOption.Never)
            list.Add("noatime");
        if (options.AllowOther)
            list.Add("allow_other");
        if (options.DefaultPermissions)
            list.Add("default_permissions");
        return string.Join(',', list);
    }

    private static string Escape(string value) =>
        value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace(",", "\\,", StringComparison.Ordinal);
}
