using System.Diagnostics;
using System.Globalization;
using OrleansFs.Mounted.Tests.Mounts;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>A folder goes from one process to the next: umount(8) returns while its process still commits.</summary>
public sealed class HandoverTests(MountPool mounts)
{
    private static CancellationToken Ending => TestContext.Current.CancellationToken;

    /// <summary>The helpers of mount(8) and umount(8), as they are installed.</summary>
    private static string Helper(string name) => Path.Combine(AppContext.BaseDirectory, "Helpers", name);

    [Fact]
    public async Task A_mount_at_once_after_umount8_waits_for_the_process_that_commits()
    {
        string data = mounts.Scratch("data"), mountPoint = mounts.Scratch("mnt");
        var random = new Random(7);
        byte[] content = [];
        string file = Path.Combine(mountPoint, "file");
        for (int round = 0; round < 5; round++)
        {
            await OrleansFsCommand.SucceedAsync("mount", "--data", data, mountPoint, "--background");
            if (round > 0)
                Assert.Equal(content, await File.ReadAllBytesAsync(file, Ending));
            random.NextBytes(content = new byte[8 << 20]);
            await File.WriteAllBytesAsync(file, content, Ending);
            // Without its helper: it returns when the kernel is done.
            await RunAsync("umount", "-i", mountPoint);
        }
        Assert.StartsWith("clean: ", await OrleansFsCommand.SucceedAsync("fsck", "--data", data, "--verify-data"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_mount_at_once_after_a_signal_waits_for_folder_and_mount_point()
    {
        string data = mounts.Scratch("data"), mountPoint = mounts.Scratch("mnt");
        using var process = OrleansFsCommand.Start(new ProcessStartInfo(OrleansFsCommand.Path, ["mount", "--data", data, mountPoint]));
        Assert.StartsWith("mounted volume", await process.StandardOutput.ReadLineAsync(Ending), StringComparison.Ordinal);
        await File.WriteAllBytesAsync(Path.Combine(mountPoint, "file"), new byte[100_001], Ending);
        // It unmounts when the file is closed; until then the next mount waits.
        await using (File.OpenRead(Path.Combine(mountPoint, "file")))
        {
            await RunAsync("kill", "-TERM", process.Id.ToString(CultureInfo.InvariantCulture));
            Assert.Contains("is in use; it is out of sight now", await process.StandardError.ReadLineAsync(Ending), StringComparison.Ordinal);
            using var next = OrleansFsCommand.Start(new ProcessStartInfo(OrleansFsCommand.Path, ["mount", "--data", data, mountPoint, "--background"]));
            Assert.Equal(Waiting(process.Id, data), await next.StandardError.ReadLineAsync(Ending));
            next.Kill(entireProcessTree: true);
        }
        await OrleansFsCommand.SucceedAsync("mount", "--data", data, mountPoint, "--background");
        Assert.Equal(100_001, new FileInfo(Path.Combine(mountPoint, "file")).Length);
        await OrleansFsCommand.SucceedAsync("umount", mountPoint);
    }

    [Theory]
    [InlineData("mount --data DATA MNT")]
    [InlineData("mount --data DATA MNT --background")]
    [InlineData("fsck --data DATA")]
    [InlineData("status --data DATA")]
    public async Task A_wait_for_a_process_that_is_ending_says_so_and_can_be_interrupted(string line)
    {
        string data = mounts.Scratch("data"), mountPoint = mounts.Scratch("mnt");
        await OrleansFsCommand.SucceedAsync("mount", "--data", data, mountPoint, "--background");
        await OrleansFsCommand.SucceedAsync("umount", mountPoint);
        string[] words = [.. line.Split(' ').Select(w => w.Replace("DATA", data, StringComparison.Ordinal).Replace("MNT", mountPoint, StringComparison.Ordinal))];
        // This process plays the one that has the folder.
        await using (new FileStream(Path.Combine(data, "lock"), FileMode.Open, FileAccess.ReadWrite, FileShare.None))
        {
            await File.WriteAllTextAsync(Path.Combine(data, "pid"), $"{Environment.ProcessId} ending", Ending);
            using var waiting = OrleansFsCommand.Start(new ProcessStartInfo(OrleansFsCommand.Path, words));
            Assert.Equal(Waiting(Environment.ProcessId, data), await waiting.StandardError.ReadLineAsync(Ending));
            await RunAsync("kill", "-INT", waiting.Id.ToString(CultureInfo.InvariantCulture));
            Assert.Equal("orleansfs: interrupted\n", await waiting.StandardError.ReadToEndAsync(Ending));
            await waiting.WaitForExitAsync(Ending);
            Assert.Equal(words[0] == "fsck" ? 32 : 130, waiting.ExitCode);

            // One that does not say that it is ending is at work, and is not waited for.
            await File.WriteAllTextAsync(Path.Combine(data, "pid"), $"{Environment.ProcessId}", Ending);
            var refused = await OrleansFsCommand.RunAsync(words);
            Assert.Equal($"orleansfs: {data} is in use by another process (pid {Environment.ProcessId}); unmount it first\n", refused.Error);
        }
    }

    [Fact]
    public async Task What_is_unmounted_and_still_used_is_refused_with_the_reason()
    {
        string data = mounts.Scratch("data"), mountPoint = mounts.Scratch("mnt");
        await OrleansFsCommand.SucceedAsync("mount", "--data", data, mountPoint, "--background");
        using var user = OrleansFsCommand.Start(new ProcessStartInfo("sh", ["-c", $"exec 5>{mountPoint}/file; echo ready; exec cat"]));
        Assert.Equal("ready", await user.StandardOutput.ReadLineAsync(Ending));
        await RunAsync("umount", "-i", "-l", mountPoint);
        var refused = await OrleansFsCommand.RunAsync("mount", "--data", data, mountPoint, "--background");
        Assert.Matches($"is in use by process [0-9]+: it is unmounted, but programs have files of it open still, or another mount namespace has it\n$", refused.Error);
        user.StandardInput.Close();
        await user.WaitForExitAsync(Ending);
        await OrleansFsCommand.SucceedAsync("fsck", "--data", data);
    }

    [Fact]
    public async Task A_bind_mount_is_not_taken_for_the_mount()
    {
        string data = mounts.Scratch("data"), mountPoint = mounts.Scratch("mnt"), bound = mounts.Scratch("bound");
        await OrleansFsCommand.SucceedAsync("mount", "--data", data, mountPoint, "--background");
        await RunAsync("mount", "--bind", mountPoint, bound);
        var refused = await OrleansFsCommand.RunAsync("umount", bound);
        Assert.Equal($"orleansfs: {bound} shows what is mounted at {mountPoint}; 'umount {bound}' takes it away and leaves the volume mounted\n", refused.Error);
        // The helper takes away what it is asked for, and has nothing to wait for.
        await HelpAsync("umount.fuse.orleansfs", bound);
        await File.WriteAllTextAsync(Path.Combine(mountPoint, "file"), "x", Ending);
        Assert.Empty(Directory.GetFileSystemEntries(bound));
        await OrleansFsCommand.SucceedAsync("umount", mountPoint);
    }

    [Fact]
    public async Task The_helpers_of_mount8_and_umount8_mount_with_options_and_wait_for_the_commit()
    {
        string data = Path.Combine(mounts.Scratch("data"), "with space"), mountPoint = mounts.Scratch("mnt ü");
        await HelpAsync("mount.fuse.orleansfs", data, mountPoint, "-o", "rw,noexec,nosuid,_netdev,x-systemd.automount,block_size=64KiB,memory=32MiB");
        Assert.Contains("block size  64 KiB", await OrleansFsCommand.SucceedAsync("status", mountPoint), StringComparison.Ordinal);
        string script = Path.Combine(mountPoint, "script");
        await File.WriteAllTextAsync(script, "#!/bin/sh\n", Ending);
        File.SetUnixFileMode(script, (UnixFileMode)0x1ED);
        Assert.ThrowsAny<System.ComponentModel.Win32Exception>(() => Process.Start(script));
        await HelpAsync("mount.fuse.orleansfs", data, mountPoint, "-o", "rw,remount,ro,noexec,nosuid,memory=32MiB");
        Assert.ThrowsAny<IOException>(() => File.WriteAllText(Path.Combine(mountPoint, "new"), "x"));
        await HelpAsync("mount.fuse.orleansfs", data, mountPoint, "-o", "remount,rw,noexec,nosuid");
        await File.WriteAllBytesAsync(Path.Combine(mountPoint, "file"), new byte[1_000_000], Ending);
        await HelpAsync("umount.fuse.orleansfs", mountPoint);
        // The folder is free: nobody has to wait for it.
        await using (new FileStream(Path.Combine(data, "lock"), FileMode.Open, FileAccess.ReadWrite, FileShare.None))
            Assert.False(File.Exists(Path.Combine(data, "pid")));

        await HelpAsync("mount.fuse.orleansfs", data, mountPoint, "-o", "ro");
        Assert.Equal(1_000_000, new FileInfo(Path.Combine(mountPoint, "file")).Length);
        Assert.ThrowsAny<IOException>(() => File.WriteAllText(Path.Combine(mountPoint, "new"), "x"));
        await HelpAsync("umount.fuse.orleansfs", mountPoint);
        var wrong = await RunHelperAsync("mount.fuse.orleansfs", data, mountPoint, "-o", "rw,fast");
        Assert.Equal((32, ""), (wrong.ExitCode, wrong.Output));
        Assert.Contains("--fast", wrong.Error, StringComparison.Ordinal);
    }

    private static string Waiting(int process, string data) => $"orleansfs: waiting for process {process}, which is unmounted and has {data} until all is committed";

    private static async Task RunAsync(string program, params string[] arguments)
    {
        var outcome = await OrleansFsCommand.RunAsync(new ProcessStartInfo(program, arguments));
        Assert.True(outcome.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {outcome.All}");
    }

    private async Task HelpAsync(string name, params string[] arguments)
    {
        var outcome = await RunHelperAsync(name, arguments);
        Assert.True(outcome.ExitCode == 0, $"{name} {string.Join(' ', arguments)}: {outcome.All}");
    }

    /// <summary>As mount(8) and umount(8) call it: installed beside the program, and with neither PATH nor HOME.</summary>
    private Task<Outcome> RunHelperAsync(string name, params string[] arguments)
    {
        string installed = mounts.Scratch("installed"), helper = Path.Combine(installed, name);
        File.Copy(Helper(name), helper);
        File.CreateSymbolicLink(Path.Combine(installed, "orleansfs"), OrleansFsCommand.Path);
        var start = new ProcessStartInfo(helper, arguments);
        start.Environment.Remove("PATH");
        start.Environment.Remove("HOME");
        return OrleansFsCommand.RunAsync(start);
    }
}
