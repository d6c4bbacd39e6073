using System.Diagnostics;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>The program with a cluster: mounts that share a copy, silos without a mount, and what is refused.</summary>
public sealed class ClusterMountTests(MountPool mounts) : IAsyncLifetime
{
    private readonly List<string> _mounted = [];
    private string _folder = "";

    private string Conn => $"sqlite:{_folder}/cluster.db";

    public ValueTask InitializeAsync()
    {
        Assert.SkipWhen(!File.Exists("/dev/fuse"), "there is no /dev/fuse here");
        _folder = mounts.Scratch("cluster");
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task Two_mounts_of_one_copy_see_each_others_changes()
    {
        string one = await MountAsync("one", "--data", $"{_folder}/data", "--name", "laptop", "--cluster", Conn);
        string two = await MountAsync("two", "--cluster", Conn);
        await File.WriteAllTextAsync($"{one}/a", "from one", Cancellation);
        Assert.Equal("from one", await File.ReadAllTextAsync($"{two}/a", Cancellation));
        await File.AppendAllTextAsync($"{two}/a", ", from two", Cancellation);
        Assert.Equal("from one, from two", await File.ReadAllTextAsync($"{one}/a", Cancellation));
        File.Move($"{one}/a", $"{one}/b");
        Assert.False(File.Exists($"{two}/a"));
        Directory.CreateDirectory($"{two}/d");
        Assert.True(Directory.Exists($"{one}/d"));
        string status = await OrleansFsCommand.SucceedAsync("status", two, "--json");
        Assert.Contains("\"copy\": \"laptop\"", status, StringComparison.Ordinal);
        await UnmountAsync(two);
        Assert.Equal("from one, from two", await File.ReadAllTextAsync($"{one}/b", Cancellation));
    }

    [Fact]
    public async Task Appends_locks_and_unlinked_files_hold_between_mounts()
    {
        string one = await MountAsync("one", "--data", $"{_folder}/data", "--name", "laptop", "--cluster", Conn);
        string two = await MountAsync("two", "--cluster", Conn);
        var outcome = await OrleansFsCommand.RunAsync(new ProcessStartInfo("python3", [Path.Combine(AppContext.BaseDirectory, "Programs", "shared.py"), one, two]));
        Assert.True(outcome.ExitCode == 0, outcome.All);
    }

    /// <summary>The kernel of a mount keeps names, also that of the silo's own; what another mount changes is not answered before both have let go of them.</summary>
    [Fact]
    public async Task Names_that_a_kernel_keeps_are_gone_when_another_mount_has_changed_them()
    {
        string one = await MountAsync("one", "--data", $"{_folder}/data", "--name", "laptop", "--cluster", Conn);
        LeaveRuntimeFolders();
        string[] both = await Task.WhenAll(MountAsync("two", "--cluster", Conn), MountAsync("three", "--cluster", Conn));
        var outcome = await OrleansFsCommand.RunAsync(new ProcessStartInfo("python3", [Path.Combine(AppContext.BaseDirectory, "Programs", "names.py"), both[0], one, both[1]]));
        Assert.True(outcome.ExitCode == 0, outcome.All);
    }

    /// <summary>The kernel believes for a moment that there is no such name, and so makes the file: what another mount has moved there meanwhile is opened as any other file.</summary>
    [Theory]
    [InlineData(0u, Errno.None, "short")]
    [InlineData(1000u, Errno.EACCES, "what was there before")]
    public async Task What_another_mount_moves_to_a_name_is_not_opened_as_made(uint user, Errno expected, string content)
    {
        string one = await MountAsync("one", "--data", $"{_folder}/data", "--name", "laptop", "--cluster", Conn);
        string two = await MountAsync("two", "--cluster", Conn);
        string three = await MountAsync("three", "--cluster", Conn);
        Directory.CreateDirectory($"{one}/d");
        Sys.Chmod($"{one}/d", 0x1FF);
        await File.WriteAllTextAsync($"{one}/d/big", "what was there before", Cancellation);
        Sys.Chmod($"{one}/d/big", 0x180);
        for (int i = 0; i < 2; i++)
            Assert.Equal(Errno.ENOENT, Sys.Stat($"{two}/d/f", out _));
        var moving = Task.Run(() => Sys.Rename($"{one}/d/big", $"{one}/d/f"), Cancellation);
        while (!Sys.List($"{three}/d").Contains("f"))
            await Task.Yield();
        Assert.Equal(expected, AsUser.Run(user, user, () => Shorten($"{two}/d/f")));
        Assert.Equal(Errno.None, await moving);
        Assert.Equal(content, await File.ReadAllTextAsync($"{one}/d/f", Cancellation));
    }

    private static Errno Shorten(string path)
    {
        var error = Sys.Open(path, Sys.O_RDWR | Sys.O_CREAT | Sys.O_TRUNC, 0x1A4, out var fd);
        using (fd)
            return error == Errno.None ? fd.Write(0, "short"u8) : error;
    }

    [Fact]
    public async Task A_name_that_mounts_make_remove_and_replace_at_once_can_always_be_opened()
    {
        string one = await MountAsync("one", "--data", $"{_folder}/data", "--name", "laptop", "--cluster", Conn);
        string two = await MountAsync("two", "--cluster", Conn);
        await Task.WhenAll(new[] { one, one, two, two }.Select((at, i) => Task.Factory.StartNew(() => Churn(at, i), TaskCreationOptions.LongRunning)));
    }

    private static void Churn(string at, int seed)
    {
        var random = new Random(seed);
        for (int i = 0; i < 200; i++)
        {
            var error = random.Next(4) switch
            {
                0 => Sys.Unlink($"{at}/f") is var gone and not Errno.ENOENT ? gone : Errno.None,
                1 => Sys.Create($"{at}/{seed}") is var made and not Errno.None ? made : Sys.Rename($"{at}/{seed}", $"{at}/f"),
                _ => Shorten($"{at}/f"),
            };
            Assert.True(error == Errno.None, $"thread {seed}, step {i}: {error}");
        }
    }

    /// <summary>The kernel has what was written, and was answered that it is; the copy has no room for it.</summary>
    [Fact]
    public async Task What_was_refused_at_the_close_is_not_read_afterwards()
    {
        string one = await MountAsync("one", "--data", $"{_folder}/data", "--name", "laptop", "--cluster", Conn, "--cache-size", "8MiB", "--cache-wait", "1s");
        string two = await MountAsync("two", "--cluster", Conn);
        var random = new Random(1);
        byte[] written = new byte[128 << 10];
        Assert.Equal(Errno.None, Overwrite($"{two}/f", written));
        Assert.Equal(written, await File.ReadAllBytesAsync($"{two}/f", Cancellation));
        foreach (int size in new[] { 1 << 20, 128 << 10 })
        {
            byte[] filling = new byte[size];
            var filled = Errno.None;
            for (int i = 0; i < 64 && filled == Errno.None; i++)
            {
                random.NextBytes(filling);
                filled = Overwrite($"{one}/{size}-{i}", filling);
            }
            Assert.Equal(Errno.ENOSPC, filled);
        }
        var refused = Errno.None;
        for (int i = 0; i < 64 && refused == Errno.None; i++)
        {
            Assert.Equal(await File.ReadAllBytesAsync($"{one}/f", Cancellation), await File.ReadAllBytesAsync($"{two}/f", Cancellation));
            random.NextBytes(written);
            refused = Overwrite($"{two}/f", written);
        }
        Assert.Equal(Errno.ENOSPC, refused);
        Assert.Equal(await File.ReadAllBytesAsync($"{one}/f", Cancellation), await File.ReadAllBytesAsync($"{two}/f", Cancellation));
    }

    private static Errno Overwrite(string path, byte[] data)
    {
        using var fd = Sys.Open(path, Sys.O_RDWR | Sys.O_CREAT);
        var written = fd.Write(0, data);
        return fd.Close() is var closed and not Errno.None ? closed : written;
    }

    [Fact]
    public async Task A_silo_without_a_mount_serves_mounts_by_the_name_of_its_copy()
    {
        await using (await SiloCommandProcess.StartAsync("silo", "--data", $"{_folder}/data", "--name", "nas", "--role", "master", "--cluster", Conn))
        {
            string one = await MountAsync("one", "--cluster", Conn, "--copy", "nas");
            await File.WriteAllTextAsync($"{one}/a", "kept", Cancellation);
            string readOnly = await MountAsync("two", "--cluster", Conn, "--copy", "nas", "--read-only");
            Assert.Equal("kept", await File.ReadAllTextAsync($"{readOnly}/a", Cancellation));
            Assert.Throws<IOException>(() => File.WriteAllText($"{readOnly}/a", "no"));
            await RefusedAsync("'other' is not in the cluster", "mount", "--cluster", Conn, "--copy", "other", mounts.Scratch("mnt"));
            await RefusedAsync("served by the silo 'nas'", "gc", one);
            await UnmountAsync(readOnly);
            await UnmountAsync(one);
        }
        Assert.Equal(0, (await OrleansFsCommand.RunAsync("fsck", "--data", $"{_folder}/data", "--verify-data")).ExitCode);
    }

    [Fact]
    public async Task A_second_master_of_a_volume_is_refused()
    {
        string one = await MountAsync("one", "--data", $"{_folder}/data", "--name", "laptop", "--cluster", Conn);
        await UnmountAsync(one);
        await OrleansFsCommand.RunAsync(new ProcessStartInfo("cp", ["-a", $"{_folder}/data", $"{_folder}/second"]));
        await RefusedAsync("has a master already, the copy 'laptop'", "mount", "--data", $"{_folder}/second", "--name", "desktop", "--cluster", Conn, mounts.Scratch("mnt"));
        await RefusedAsync("has a master already, the copy 'laptop'", "silo", "--data", $"{_folder}/second", "--name", "desktop", "--role", "master", "--cluster", Conn);
        // The first may have another name, and is still the first.
        await UnmountAsync(await MountAsync("one", "--data", $"{_folder}/data", "--name", "workshop", "--cluster", Conn));
    }

    [Fact]
    public async Task A_folder_mounted_without_a_cluster_is_not_shared()
    {
        await MountAsync("one", "--data", $"{_folder}/data");
        await RefusedAsync("by its own process alone", "mount", "--cluster", $"sqlite:{_folder}/data/cluster.db", mounts.Scratch("mnt"));
    }

    [Theory]
    [InlineData("--data", "mount", "MNT")]
    [InlineData("--copy is for", "mount", "--data", "D", "--copy", "a", "MNT")]
    [InlineData("--name is for", "mount", "--cluster", "sqlite:/c", "--name", "a", "MNT")]
    [InlineData("no such file", "mount", "--cluster", "sqlite:/nowhere/c.db", "MNT")]
    [InlineData("neither sqlite", "mount", "--cluster", "nonsense", "MNT")]
    [InlineData("cannot be used", "mount", "--cluster", "Host=127.0.0.1;Minimum Pool Size=200", "MNT")]
    [InlineData("no address of a PostgreSQL", "replicas", "postgres://ofs:secret/1@db/files")]
    [InlineData("a port is", "mount", "--data", "D", "--cluster", "sqlite:/c", "--gateway-port", "70000", "MNT")]
    [InlineData("--advertise", "mount", "--data", "D", "--cluster", "sqlite:/c", "--advertise", "everywhere", "MNT")]
    [InlineData("--cache-size is for a copy that others can reach", "mount", "--data", "D", "--cache-size", "1GiB", "MNT")]
    [InlineData("--copies is for a copy that others can reach", "mount", "--data", "D", "--copies", "2", "MNT")]
    [InlineData("--silo-port is for a copy that others can reach", "mount", "--data", "D", "--silo-port", "7000", "MNT")]
    [InlineData("--sync-copies is for a copy that this process serves", "mount", "--cluster", "sqlite:/c", "--sync-copies", "1", "MNT")]
    [InlineData("--cache-size much", "mount", "--data", "D", "--cluster", "sqlite:/c", "--cache-size", "much", "MNT", "--background")]
    [InlineData("--fetch-timeout soon", "mount", "--data", "D", "--cluster", "sqlite:/c", "--fetch-timeout", "soon", "MNT")]
    [InlineData("a cache of 4096 bytes is too small", "mount", "--data", "D", "--cluster", "sqlite:/c", "--cache-size", "4KiB", "MNT")]
    [InlineData("--copies 0", "mount", "--data", "D", "--cluster", "sqlite:/c", "--copies", "0", "MNT")]
    [InlineData("roles are", "silo", "--data", "D", "--name", "a", "--role", "king")]
    public Task What_is_wrong_is_said_in_one_line(string says, params string[] arguments) =>
        RefusedAsync(says, [.. arguments.Select(a => a switch { "D" => $"{_folder}/new", "MNT" => mounts.Scratch("mnt"), _ => a })]);

    public async ValueTask DisposeAsync()
    {
        foreach (string mount in Enumerable.Reverse(_mounted).ToList())
            await UnmountAsync(mount);
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static async Task RefusedAsync(string says, params string[] arguments)
    {
        var outcome = await OrleansFsCommand.RunAsync(arguments);
        Assert.True(outcome.ExitCode is 1 or 2, outcome.All);
        Assert.Contains(says, outcome.Error, StringComparison.Ordinal);
        Assert.Single(outcome.Error.TrimEnd().Split('\n'));
    }

    /// <summary>What mounts that were killed have left, for those that are started at once to take away.</summary>
    private static void LeaveRuntimeFolders()
    {
        const int NoProcess = 1 << 22; // the kernel's PID_MAX_LIMIT
        if (!Environment.IsPrivilegedProcess)
            return;
        Directory.CreateDirectory("/run/orleansfs", (UnixFileMode)0x1C0);
        for (int i = 0; i < 2000; i++)
            Directory.CreateDirectory($"/run/orleansfs/left.{NoProcess + i}");
    }

    private async Task<string> MountAsync(string name, params string[] arguments)
    {
        string path = mounts.Scratch(name);
        await OrleansFsCommand.SucceedAsync(["mount", .. arguments, "--background", "--log-file", $"{_folder}/{name}.log", path]);
        lock (_mounted)
            _mounted.Add(path);
        return path;
    }

    private async Task UnmountAsync(string path)
    {
        await OrleansFsCommand.SucceedAsync("umount", path);
        _mounted.Remove(path);
    }
}
