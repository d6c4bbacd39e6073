using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>One process has a data folder at a time; a second is refused and harms nothing.</summary>
public sealed class LockOutTests
{
    [Fact]
    public async Task A_second_mount_of_the_same_folder_is_refused_in_one_line()
    {
        Needs.Fuse();
        await using var scratch = await Scratch.MakeAsync();
        var options = new MountOptions { Data = scratch.File("data"), MountPoint = scratch.Folder("mount") };
        await using var first = await MountProcess.StartAsync(options);
        await File.WriteAllTextAsync(Path.Combine(options.MountPoint, "file"), "content", TestContext.Current.CancellationToken);
        string other = scratch.Folder("other");

        var second = await Tool.TryRunAsync(Programs.OrleansFs, Limits.MountReady, [.. (options with { MountPoint = other }).Arguments]);

        Assert.Equal(1, second.ExitCode);
        Assert.Empty(second.Output);
        string line = Assert.Single(second.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains($"pid {first.ProcessId}", line, StringComparison.Ordinal);
        Assert.Equal("content", await File.ReadAllTextAsync(Path.Combine(options.MountPoint, "file"), TestContext.Current.CancellationToken));
        await first.StopWellAsync();
        Assert.Empty(first.Troubles);

        // The folder is free as soon as its process has ended.
        await using var third = await MountProcess.StartAsync(options with { MountPoint = other });
        Assert.Equal("content", await File.ReadAllTextAsync(Path.Combine(other, "file"), TestContext.Current.CancellationToken));
        await third.StopWellAsync();
    }

    [Fact]
    public async Task A_mount_point_that_a_killed_process_left_is_cleaned_by_the_next_mount()
    {
        Needs.Fuse();
        await using var scratch = await Scratch.MakeAsync();
        var options = new MountOptions { Data = scratch.File("data"), MountPoint = scratch.Folder("mount") };
        await using var first = await MountProcess.StartAsync(options);
        using (var held = Sys.Open(Path.Combine(options.MountPoint, "file"), Sys.O_RDWR | Sys.O_CREAT))
        {
            await first.KillAsync();
            // A descriptor of the dead mount keeps it busy: it is in the way of an ordinary unmount.
            Assert.NotEqual(Errno.None, Sys.Mkdir(Path.Combine(options.MountPoint, "folder")));
            await using var second = await MountProcess.StartAsync(options);
            Assert.Equal(Errno.None, Sys.Mkdir(Path.Combine(options.MountPoint, "folder")));
            await second.StopWellAsync();
        }
        Assert.DoesNotContain(File.ReadLines("/proc/self/mountinfo"), line => line.Split(' ')[4] == options.MountPoint);
    }

    [Fact]
    public async Task A_killed_process_does_not_hold_the_folder()
    {
        Needs.Fuse();
        await using var scratch = await Scratch.MakeAsync();
        var options = new MountOptions { Data = scratch.File("data"), MountPoint = scratch.Folder("mount") };
        await using var first = await MountProcess.StartAsync(options);
        await first.KillAsync();
        await using var second = await MountProcess.StartAsync(options with { MountPoint = scratch.Folder("other") });
        await second.StopWellAsync();
    }

    [Fact]
    public async Task A_check_of_a_folder_in_use_is_refused()
    {
        Needs.Fuse();
        await using var scratch = await Scratch.MakeAsync();
        var options = new MountOptions { Data = scratch.File("data"), MountPoint = scratch.Folder("mount") };
        await using var mounted = await MountProcess.StartAsync(options);
        var check = await Tool.TryRunAsync(Programs.OrleansFs, Limits.Check, ["fsck", "--data", options.Data]);
        Assert.NotEqual(0, check.ExitCode);
        Assert.Contains("in use", check.Errors, StringComparison.Ordinal);
        await mounted.StopWellAsync();
    }
}
