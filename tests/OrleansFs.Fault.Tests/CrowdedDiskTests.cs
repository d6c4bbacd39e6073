using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>Another program has taken all the room on the disk under the data folder, also what the volume keeps for itself.</summary>
public sealed class CrowdedDiskTests
{
    [Fact]
    public async Task A_volume_on_a_full_disk_can_be_mounted_read_and_made_smaller()
    {
        Needs.LoopDevices();
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        await using var disk = await LoopDevice.MakeAsync(scratch, Limits.SmallDiskBytes);
        var options = new MountOptions { Data = Path.Combine(disk.MountPoint, "data"), MountPoint = scratch.Folder("mount") };
        byte[] content = new byte[3 << 20];
        random.NextBytes(content);
        await using (var mounted = await MountProcess.StartAsync(options))
        {
            await File.WriteAllBytesAsync(Path.Combine(options.MountPoint, "goes"), content.AsMemory(100), TestContext.Current.CancellationToken);
            await File.WriteAllBytesAsync(Path.Combine(options.MountPoint, "stays"), content, TestContext.Current.CancellationToken);
            Assert.Equal(0, await mounted.StopAsync());
        }
        disk.FillUpTo(1 << 20);
        await using (var mounted = await MountProcess.StartAsync(options))
        {
            Assert.Equal(content, await File.ReadAllBytesAsync(Path.Combine(options.MountPoint, "stays"), TestContext.Current.CancellationToken));
            Assert.Equal(Errno.ENOSPC, Sys.Create(Path.Combine(options.MountPoint, "new")));
            Assert.Equal(0, Sys.StatFs(options.MountPoint).Available);
            Assert.Equal(Errno.None, Sys.Unlink(Path.Combine(options.MountPoint, "goes")));
            Assert.Equal(0, await mounted.StopAsync());
        }
        disk.FillUpTo(0);
        var full = await Tool.TryRunAsync(Programs.OrleansFs, Limits.MountReady, [.. (options with { MountPoint = scratch.Folder("other") }).Arguments, "--background"]);
        Seed.Say($"with no byte left: {full.ExitCode} {full.Errors}");
        if (full.ExitCode == 0)
            await Tool.TryRunAsync(Programs.OrleansFs, Limits.MountEnd, "umount", scratch.Folder("other"));
        else
            Assert.Contains("make room", Assert.Single(full.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        disk.MakeRoom();
        await using (var mounted = await MountProcess.StartAsync(options))
        {
            Assert.Equal(content, await File.ReadAllBytesAsync(Path.Combine(options.MountPoint, "stays"), TestContext.Current.CancellationToken));
            Assert.False(File.Exists(Path.Combine(options.MountPoint, "goes")));
            await Usable.WriteAgainAsync(options.MountPoint, random);
            Assert.Equal(0, await mounted.StopAsync());
            Assert.Empty(mounted.Troubles);
        }
        await Check.CleanAsync(options.Data, verifyData: true);
    }
}
