using System.Diagnostics;
using System.Text.Json;
using OrleansFs.Mounted.Tests.Mounts;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>The life of a mount, as its user sees it.</summary>
public sealed class MountCommandTests(MountPool mounts)
{
    private static CancellationToken Ending => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_unmount_that_waits_for_another_mount_namespace_says_so()
    {
        string data = mounts.Scratch("held"), mountPoint = mounts.Scratch("mnt");
        await OrleansFsCommand.SucceedAsync("mount", "--data", data, mountPoint, "--background");
        using var holder = OrleansFsCommand.Start(new ProcessStartInfo("unshare", ["--mount", "--propagation", "private", "sh", "-c", "echo ready; exec cat"]));
        Assert.Equal("ready", await holder.StandardOutput.ReadLineAsync(Ending));
        using var unmount = OrleansFsCommand.Start(new ProcessStartInfo(OrleansFsCommand.Path, ["umount", mountPoint]));
        string? line = await unmount.StandardError.ReadLineAsync(Ending);
        Assert.Equal($"orleansfs: {mountPoint} is unmounted here, but process {holder.Id} has it in a mount namespace of its own; waiting for that to end (interrupting this leaves the volume served)", line);
        holder.StandardInput.Close();
        await unmount.WaitForExitAsync(Ending);
        Assert.Equal(0, unmount.ExitCode);
        await OrleansFsCommand.SucceedAsync("fsck", "--data", data);
    }

    [Fact]
    public async Task A_second_signal_ends_a_mount_that_another_mount_namespace_keeps()
    {
        string data = mounts.Scratch("held"), mountPoint = mounts.Scratch("mnt");
        using var process = OrleansFsCommand.Start(new ProcessStartInfo(OrleansFsCommand.Path, ["mount", "--data", data, mountPoint]));
        Assert.StartsWith("mounted volume", await process.StandardOutput.ReadLineAsync(Ending), StringComparison.Ordinal);
        await File.WriteAllTextAsync(Path.Combine(mountPoint, "file"), "content", Ending);
        using var holder = OrleansFsCommand.Start(new ProcessStartInfo("unshare", ["--mount", "--propagation", "private", "sh", "-c", "echo ready; exec cat"]));
        Assert.Equal("ready", await holder.StandardOutput.ReadLineAsync(Ending));
        await SignalAsync(process.Id);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Ending);
        limit.CancelAfter(TimeSpan.FromSeconds(30));
        try
        {
            Assert.Equal(
                $"orleansfs: {mountPoint} is unmounted here, but process {holder.Id} has it in a mount namespace of its own. A second signal cuts them off.", await process.StandardError.ReadLineAsync(limit.Token));
            Assert.Equal("content", await File.ReadAllTextAsync($"/proc/{holder.Id}/root{mountPoint}/file", limit.Token));
            await SignalAsync(process.Id);
            await process.WaitForExitAsync(limit.Token);
            Assert.Equal((0, ""), (process.ExitCode, await process.StandardError.ReadToEndAsync(limit.Token)));
        }
        finally
        {
            if (!process.HasExited)
                process.Kill();
            holder.StandardInput.Close();
        }
        await holder.WaitForExitAsync(Ending);
        await OrleansFsCommand.SucceedAsync("fsck", "--data", data, "--verify-data");

        static async Task SignalAsync(int process) => Assert.Equal(0, (await OrleansFsCommand.RunAsync(new ProcessStartInfo("kill", ["-TERM", $"{process}"]))).ExitCode);
    }

    [Fact]
    public async Task A_background_mount_is_usable_when_the_command_returns_and_committed_when_umount_does()
    {
        string data = Path.Combine(mounts.Scratch("life"), "new", "data"), mountPoint = mounts.Scratch("mnt"), log = Path.Combine(mounts.Scratch("log"), "log");
        string line = await OrleansFsCommand.SucceedAsync("mount", "--data", data, mountPoint, "--background", "--block-size", "64KiB", "--log-file", log, "-v");
        Assert.StartsWith($"mounted volume volume of {data} at {mountPoint} (", line, StringComparison.Ordinal);
        Assert.Equal(1, line.Count(c => c == '\n'));
        byte[] content = new byte[1_000_000];
        new Random(2).NextBytes(content);
        await File.WriteAllBytesAsync(Path.Combine(mountPoint, "file"), content, Ending);

        // Another process is told who has it, whichever way it asks.
        var second = await OrleansFsCommand.RunAsync("mount", "--data", data, mounts.Scratch("mnt"), "--background");
        Assert.Matches($"^orleansfs: {data} is in use by another process \\(pid [0-9]+\\); unmount it first\n$", second.Error);
        Assert.Equal((1, 8), (second.ExitCode, (await OrleansFsCommand.RunAsync("fsck", "--data", data)).ExitCode));
        var again = await OrleansFsCommand.RunAsync("mount", "--data", data + "2", mountPoint);
        Assert.Equal($"orleansfs: {data} is mounted at {mountPoint} already; unmount it first with 'orleansfs umount {mountPoint}'\n", again.Error);

        using (File.OpenRead(Path.Combine(mountPoint, "file")))
            Assert.Equal($"orleansfs: {mountPoint} is in use; 'fuser -vm {mountPoint}' shows by whom\n", (await OrleansFsCommand.RunAsync("umount", mountPoint)).Error);
        Assert.Equal("", await OrleansFsCommand.SucceedAsync("umount", mountPoint));
        Assert.Empty(Directory.GetFileSystemEntries(mountPoint));
        Assert.Contains("977 KiB verified", await OrleansFsCommand.SucceedAsync("fsck", "--data", data, "--verify-data"), StringComparison.Ordinal);
        Assert.Contains(" info ", await File.ReadAllTextAsync(log, Ending), StringComparison.Ordinal);

        // The block size of a volume that exists is its own.
        await OrleansFsCommand.SucceedAsync("mount", "--data", data, mountPoint, "--background", "--read-only", "--block-size", "1MiB");
        Assert.Equal(content, await File.ReadAllBytesAsync(Path.Combine(mountPoint, "file"), Ending));
        var refused = Assert.Throws<IOException>(() => File.WriteAllText(Path.Combine(mountPoint, "other"), "x"));
        Assert.Contains("Read-only", refused.Message, StringComparison.Ordinal);
        Assert.Contains("block size  64 KiB", await OrleansFsCommand.SucceedAsync("status", mountPoint), StringComparison.Ordinal);
        await OrleansFsCommand.SucceedAsync("umount", mountPoint);
    }

    [Theory]
    [InlineData("kill -TERM $PID")]
    [InlineData("kill -INT $PID")]
    [InlineData("umount $MNT")]
    public async Task A_mount_in_the_foreground_commits_and_ends_well(string end)
    {
        string data = mounts.Scratch("data"), mountPoint = mounts.Scratch("mnt");
        using var process = OrleansFsCommand.Start(new ProcessStartInfo(OrleansFsCommand.Path, ["mount", "--data", data, mountPoint]));
        Assert.StartsWith("mounted volume", await process.StandardOutput.ReadLineAsync(Ending), StringComparison.Ordinal);
        await File.WriteAllTextAsync(Path.Combine(mountPoint, "file"), "content", Ending);
        var stop = new ProcessStartInfo("sh", ["-c", end]);
        (stop.Environment["PID"], stop.Environment["MNT"]) = ($"{process.Id}", mountPoint);
        Assert.Equal(0, (await OrleansFsCommand.RunAsync(stop)).ExitCode);
        await process.WaitForExitAsync(Ending);
        Assert.Equal((0, "", ""), (process.ExitCode, await process.StandardOutput.ReadToEndAsync(Ending), await process.StandardError.ReadToEndAsync(Ending)));
        Assert.Contains("7 B in 1 blocks", await OrleansFsCommand.SucceedAsync("status", "--data", data), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_dead_mount_point_is_cleaned_up_by_the_next_mount()
    {
        string data = mounts.Scratch("data"), mountPoint = mounts.Scratch("mnt");
        using var process = OrleansFsCommand.Start(new ProcessStartInfo(OrleansFsCommand.Path, ["mount", "--data", data, mountPoint]));
        Assert.StartsWith("mounted volume", await process.StandardOutput.ReadLineAsync(Ending), StringComparison.Ordinal);
        await using (var file = File.Create(Path.Combine(mountPoint, "file")))
        {
            file.Write("kept"u8);
            file.Flush(flushToDisk: true);
        }
        process.Kill();
        await process.WaitForExitAsync(Ending);
        var status = await OrleansFsCommand.RunAsync("status", mountPoint);
        Assert.Equal($"orleansfs: the process that served {mountPoint} is gone; 'orleansfs umount {mountPoint}' or the next mount cleans up\n", status.Error);
        await OrleansFsCommand.SucceedAsync("mount", "--data", data, mountPoint, "--background");
        Assert.Equal("kept", await File.ReadAllTextAsync(Path.Combine(mountPoint, "file"), Ending));
        await OrleansFsCommand.SucceedAsync("umount", mountPoint);
    }

    [Fact]
    public async Task A_mount_point_may_be_named_through_links_and_have_any_name()
    {
        string folder = mounts.Scratch("names");
        string data = Path.Combine(folder, "da ta,ü\\"), mountPoint = Path.Combine(folder, "mo unt,ü\\"), link = Path.Combine(folder, "link");
        Directory.CreateDirectory(mountPoint);
        File.CreateSymbolicLink(link, "mo unt,ü\\");
        await OrleansFsCommand.SucceedAsync("mount", "--data", data, link + "/", "--background");
        await File.WriteAllTextAsync(Path.Combine(link, "file"), "x", Ending);
        var mount = JsonDocument.Parse(await OrleansFsCommand.SucceedAsync("status", link, "--json")).RootElement.GetProperty("mount");
        Assert.Equal((mountPoint, data), (mount.GetProperty("mountPoint").GetString(), mount.GetProperty("dataFolder").GetString()));
        await OrleansFsCommand.SucceedAsync("umount", link);
        Assert.Empty(Directory.GetFileSystemEntries(link));
    }

    [Fact]
    public async Task A_folder_of_a_newer_format_is_refused()
    {
        Assert.SkipWhen(!File.Exists("/usr/bin/sqlite3"), "sqlite3 is not installed");
        string data = mounts.Scratch("data"), mountPoint = mounts.Scratch("mnt");
        await OrleansFsCommand.SucceedAsync("mount", "--data", data, mountPoint, "--background");
        await OrleansFsCommand.SucceedAsync("umount", mountPoint);
        var newer = await OrleansFsCommand.RunAsync(new ProcessStartInfo("sqlite3", [Path.Combine(data, "meta.db"), "pragma user_version=1000"]));
        Assert.Equal(0, newer.ExitCode);
        foreach (string[] command in new string[][] { ["mount", "--data", data, mountPoint, "--background"], ["status", "--data", data], ["gc", "--data", data], ["fsck", "--data", data] })
        {
            var outcome = await OrleansFsCommand.RunAsync(command);
            Assert.NotEqual(0, outcome.ExitCode);
            Assert.Contains("format 1000", Assert.Single(outcome.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        }
    }
}
