using Microsoft.Extensions.Logging;
using OrleansFs.Fault.Tests.Device;
using OrleansFs.Fuse;

namespace OrleansFs.Fault.Tests.Machine;

/// <summary>A recording disk with a file system on it: disk in memory, shown as a file by FUSE, under a loop device, under ext4.</summary>
internal sealed class PowerStack : IAsyncDisposable
{
    private readonly FuseMount _fuse;
    private readonly LoopDevice _loop;

    private PowerStack(RecordingDisk disk, FuseMount fuse, LoopDevice loop)
    {
        Disk = disk;
        _fuse = fuse;
        _loop = loop;
    }

    public RecordingDisk Disk { get; }

    /// <summary>A folder on the file system.</summary>
    public string Folder => _loop.MountPoint;

    public static async Task<PowerStack> MakeAsync(Scratch scratch, Clock clock, long bytes, ILogger logger)
    {
        var disk = new RecordingDisk(bytes, clock);
        string device = scratch.Folder("device");
        var fuse = await FuseMount.MountAsync(device, new DiskFileSystem(disk), new FuseOptions { IoUring = IoUringMode.Off, FileSystemName = "fault-disk", Subtype = "faultdisk" }, logger);
        var loop = await LoopDevice.AttachAsync(Path.Combine(device, DiskFileSystem.FileName), scratch.Folder("disk"));
        await loop.FormatAsync();
        await loop.MountAsync();
        return new PowerStack(disk, fuse, loop);
    }

    /// <summary>The power goes: nothing reaches the disk any more, and nothing comes from it.</summary>
    public void CutPower() => Disk.Fault = DiskFault.All;

    /// <summary>Unmounts and mounts again, as after a fault that an administrator has seen to.</summary>
    public async Task RemountAsync()
    {
        await Tool.RunAsync("umount", Folder);
        await _loop.MountAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _loop.DisposeAsync();
        await _fuse.DisposeAsync();
    }
}
