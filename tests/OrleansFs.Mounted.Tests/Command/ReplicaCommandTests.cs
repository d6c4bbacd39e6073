using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>A master and its replicas as a user has them: the real program, a process each, one cluster in a file.</summary>
public sealed class ReplicaCommandTests(MountPool mounts) : IAsyncLifetime
{
    private const int MiB = 1 << 20;
    private readonly List<string> _mounted = [];
    private readonly List<SiloCommandProcess> _silos = [];
    private string _folder = "";

    private string Conn => $"sqlite:{_folder}/cluster.db";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync()
    {
        Assert.SkipWhen(!File.Exists("/dev/fuse"), "there is no /dev/fuse here");
        _folder = mounts.Scratch("replicas");
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task A_drain_ends_when_so_many_replicas_have_everything_and_not_before()
    {
        string master = await MountAsync("master", "--data", $"{_folder}/master", "--name", "laptop", "--cluster", Conn);
        await RefusedAsync("no replica is known", "drain", master, "--wait", "0");
        var nas = await ReplicaAsync("nas");
        await WriteAsync(master, "a", 3 * MiB);
        Assert.Contains("1 replica (nas)", await OrleansFsCommand.SucceedAsync("drain", master, "--wait", "60s"), StringComparison.Ordinal);
        await RefusedAsync("2 replicas asked for, 1 known, 1 with everything", "drain", master, "--copies", "2", "--wait", "100ms");

        var report = await ReplicasAsync(master);
        Assert.Equal(("laptop", 1L), (report.GetProperty("master").GetString(), report.GetProperty("epoch").GetInt64()));
        var replica = Assert.Single(report.GetProperty("replicas").EnumerateArray());
        Assert.Equal(("nas", "following", 0L, 0L), (replica.GetProperty("name").GetString(), replica.GetProperty("state").GetString(), Number(replica, "lagMutations"), Number(replica, "lagBytes")));
        Assert.Equal((24L, report.GetProperty("lsn").GetInt64()), (Number(replica, "blocks"), Number(replica, "lsn")));
        Assert.InRange(Number(replica, "storedBytes"), 3 * MiB, 4 * MiB);

        await StopAsync(nas);
        await WriteAsync(master, "b", MiB);
        await RefusedAsync("nas is away and lacks", "drain", master, "--wait", "1s");
        // Asked over the network, and through another mount: the same answer.
        string second = await MountAsync("second", "--cluster", Conn);
        string[] places = [Conn, second];
        foreach (string where in places)
        {
            replica = Assert.Single((await ReplicasAsync(where)).GetProperty("replicas").EnumerateArray());
            Assert.Equal("away", replica.GetProperty("state").GetString());
            Assert.InRange(Number(replica, "lagBytes"), MiB, MiB + (MiB / 4));
            Assert.True(Number(replica, "lagMutations") > 0 && replica.GetProperty("lagSeconds").GetDouble() > 0);
        }
        Assert.Contains("away", await OrleansFsCommand.SucceedAsync("replicas", second), StringComparison.Ordinal);

        // Interrupted it ends at once; what waits for the replica goes on where it is there again.
        Assert.Equal(130, await InterruptAsync("drain", second, "--wait", "1h"));
        var waiting = OrleansFsCommand.RunAsync("drain", second, "--wait", "2min");
        await ReplicaAsync("nas");
        Assert.Equal(0, (await waiting).ExitCode);
        Assert.Equal(0, Number(Assert.Single((await ReplicasAsync(Conn)).GetProperty("replicas").EnumerateArray()), "lagMutations"));
    }

    /// <summary>Which blocks it lacks is not known where it has not answered since the master's start; that it does is.</summary>
    [Fact]
    public async Task A_replica_that_lacks_a_block_is_none_that_has_everything_also_after_a_restart_of_the_master()
    {
        string data = $"{_folder}/master";
        string master = await MountAsync("master", "--data", data, "--name", "laptop", "--cluster", Conn);
        var nas = await ReplicaAsync("nas");
        var usb = await ReplicaAsync("usb");
        string hash = (await WriteAsync(master, "a", 1000)).ToLowerInvariant();
        await OrleansFsCommand.SucceedAsync("drain", master, "--copies", "2", "--wait", "2min");
        await StopAsync(nas);
        foreach (string copy in new[] { data, $"{_folder}/usb" })
            await File.WriteAllBytesAsync($"{copy}/blocks/{hash[..2]}/{hash}", [], Cancellation);
        // Waited for, it would be given half a minute in which another copy might come.
        await OrleansFsCommand.SucceedAsync("verify", Conn, "--copy", "usb");
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        patience.CancelAfter(OrleansFsCommand.Patience);
        while (!(await OrleansFsCommand.SucceedAsync("replicas", master)).Contains("usb: 1 damaged blocks", StringComparison.Ordinal))
            await Task.Delay(200, patience.Token);
        await RefusedAsync("usb is following and lacks 1 blocks", "drain", master, "--copies", "2", "--wait", "1s");
        usb.Warning = "warn  VolumeCopy: block";
        await StopAsync(usb);
        await UnmountAsync(master);

        master = await MountAsync("master", "--data", data, "--name", "laptop", "--cluster", Conn);
        Assert.Contains("usb: it lacks some blocks", await OrleansFsCommand.SucceedAsync("replicas", master), StringComparison.Ordinal);
        Assert.Contains("1 replica (nas)", await OrleansFsCommand.SucceedAsync("drain", master, "--wait", "1s"), StringComparison.Ordinal);
        await RefusedAsync("usb is away and lacks some blocks", "drain", master, "--copies", "2", "--wait", "1s");
    }

    [Fact]
    public async Task Evicting_does_not_wait_for_programs_that_wait_for_room()
    {
        string master = await MountAsync("master", "--data", $"{_folder}/master", "--name", "laptop", "--cluster", Conn, "--cache-size", "8MiB", "--cache-wait", "10min");
        using var writer = OrleansFsCommand.Start(new ProcessStartInfo("dd", ["if=/dev/urandom", $"of={master}/big", "bs=1M", "count=40", "conv=fsync"]));
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        patience.CancelAfter(OrleansFsCommand.Patience);
        while (!(await OrleansFsCommand.SucceedAsync("status", master)).Contains("attach a replica", StringComparison.Ordinal))
            await Task.Delay(200, patience.Token);
        Assert.Contains("of 1 file; ", await OrleansFsCommand.SucceedAsync("evict", master), StringComparison.Ordinal);
        Assert.False(writer.HasExited, "nobody waited for room");
        await ReplicaAsync("nas");
        await writer.WaitForExitAsync(Cancellation).WaitAsync(OrleansFsCommand.Patience, Cancellation);
        Assert.Equal(0, writer.ExitCode);
    }

    [Fact]
    public async Task A_master_smaller_than_its_volume_evicts_fetches_pins_and_says_why()
    {
        string master = await MountAsync("master", "--data", $"{_folder}/master", "--name", "laptop", "--cluster", Conn, "--cache-size", "16MiB", "--copies", "2", "--fetch-timeout", "5s");
        await ReplicaAsync("nas");
        await ReplicaAsync("usb");
        await OrleansFsCommand.SucceedAsync("drain", master, "--copies", "2", "--wait", "2min");
        var hashes = new Dictionary<string, string>();
        for (char name = 'a'; name <= 'e'; name++)
            hashes[$"{name}"] = await WriteAsync(master, $"{name}", 8 * MiB);
        await OrleansFsCommand.SucceedAsync("drain", master, "--copies", "2", "--wait", "2min");
        long local = 0;
        foreach (string name in hashes.Keys)
            local += Number(await WhyAsync($"{master}/{name}"), "localBytes");
        Assert.InRange(local, 1, 16 * MiB);
        string status = await OrleansFsCommand.SucceedAsync("status", master);
        Assert.Contains("of 16 MiB, pinned 0 B", status, StringComparison.Ordinal);
        Assert.Contains("nas following; usb following", status, StringComparison.Ordinal);
        foreach (var (name, hash) in hashes)
            Assert.Equal(hash, await HashAsync($"{master}/{name}"));

        // Evicted, warmed and pinned, here and through a mount over the network.
        string second = await MountAsync("second", "--cluster", Conn);
        Assert.Contains("of 64 blocks of 1 file", await OrleansFsCommand.SucceedAsync("evict", $"{master}/a"), StringComparison.Ordinal);
        var why = await WhyAsync($"{second}/a");
        Assert.Equal((64L, 0L, 64L, 2L), (Number(why, "blocks"), Number(why, "localBlocks"), Number(why, "evictedBlocks"), Number(why, "copies")));
        Assert.Equal(["nas 64", "usb 64"], why.GetProperty("replicas").EnumerateArray().Select(r => $"{r.GetProperty("name").GetString()} {Number(r, "blocks")}"));
        Assert.Contains("fetched 64 of 64 blocks", await OrleansFsCommand.SucceedAsync("warm", $"{second}/a"), StringComparison.Ordinal);
        Directory.CreateDirectory($"{master}/kept/deep");
        File.Move($"{master}/a", $"{master}/kept/deep/a");
        Assert.Contains("pinned 64 blocks of 1 file", await OrleansFsCommand.SucceedAsync("pin", $"{second}/kept"), StringComparison.Ordinal);
        var json = JsonDocument.Parse(await OrleansFsCommand.SucceedAsync("status", second, "--json")).RootElement;
        Assert.Equal((16L * MiB, 0L), (Number(json, "cacheBytes"), Number(json, "notBackedUpBytes")));
        Assert.InRange(Number(json, "pinnedBytes"), 8 * MiB, 9 * MiB);
        Assert.InRange(Number(json, "localBytes"), 8 * MiB, 16 * MiB);
        Assert.Contains("64 stay", await OrleansFsCommand.SucceedAsync("evict", $"{master}/kept"), StringComparison.Ordinal);
        foreach (string name in hashes.Keys.Skip(1))
            await HashAsync($"{master}/{name}");
        Assert.Equal((64L, 64L), (Number(await WhyAsync($"{master}/kept/deep/a"), "localBlocks"), Number(await WhyAsync($"{second}/kept/deep/a"), "pinnedBlocks")));
        Assert.Contains("unpinned 64", await OrleansFsCommand.SucceedAsync("unpin", master), StringComparison.Ordinal);
        await OrleansFsCommand.SucceedAsync("evict", master);
        Assert.Equal(hashes["a"], await HashAsync($"{second}/kept/deep/a"));

        // What is shared is not freed.
        File.Copy($"{master}/b", $"{master}/copy");
        await OrleansFsCommand.SucceedAsync("drain", master, "--copies", "2", "--wait", "2min");
        why = await WhyAsync($"{master}/copy");
        Assert.Equal((64L, 0L), (Number(why, "sharedBlocks"), Number(why, "freedBytes")));
        Assert.Contains("64 blocks, 8", await OrleansFsCommand.SucceedAsync("why", $"{master}/copy"), StringComparison.Ordinal);

        // Who may read a file may warm it and ask why; only its owner and root may do the rest; a replica keeps everything.
        Assert.Contains("fetched", (await AsNobodyAsync("warm", $"{master}/b")).Output, StringComparison.Ordinal);
        Assert.Contains("only its owner and root", (await AsNobodyAsync("evict", $"{master}/b")).Error, StringComparison.Ordinal);
        File.SetUnixFileMode($"{master}/b", UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Assert.Contains("Permission denied", (await AsNobodyAsync("why", $"{master}/b")).Error, StringComparison.Ordinal);
        string copy = await MountAsync("copy", "--cluster", Conn, "--copy", "nas");
        await RefusedAsync("a replica keeps everything", "evict", $"{copy}/b");
        Assert.Contains("as the replica 'nas' has it", await OrleansFsCommand.SucceedAsync("why", $"{copy}/b"), StringComparison.Ordinal);
        await RefusedAsync("is not on a mount", "pin", $"{_folder}/cluster.db");
    }

    [Fact]
    public async Task A_promoted_replica_is_followed_and_the_former_master_keeps_what_was_never_replicated()
    {
        string data = $"{_folder}/master";
        string master = await MountAsync("master", "--data", data, "--name", "laptop", "--cluster", Conn, "--cache-size", "16MiB");
        var nas = await ReplicaAsync("nas");
        var usb = await ReplicaAsync("usb");
        string first = await WriteAsync(master, "a", 2 * MiB);
        await WriteAsync(master, "removed", 1000);
        const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory($"{master}/private", Private);
        await OrleansFsCommand.SucceedAsync("drain", master, "--copies", "2", "--wait", "2min");
        Assert.Contains("16 of 16 blocks", await OrleansFsCommand.SucceedAsync("evict", $"{master}/a"), StringComparison.Ordinal);
        await StopAsync(usb);
        string second = await WriteAsync(master, "b", 1000);
        await OrleansFsCommand.SucceedAsync("drain", master);
        await StopAsync(nas);
        string lost = await WriteAsync(master, "c", MiB);
        Directory.CreateDirectory($"{master}/folder");
        Directory.CreateDirectory($"{master}/private/new");
        await WriteAsync($"{master}/folder", "d", 1000);
        File.Delete($"{master}/removed");
        await UnmountAsync(master);

        // All of it that is here, and the names of what is not.
        var all = await OrleansFsCommand.RunAsync("export", "--all", "--data", data, $"{_folder}/all");
        Assert.True(all.ExitCode == 1, all.All);
        Assert.Contains("orleansfs: /a: EIO at byte 0: a block is only on other copies", all.Error, StringComparison.Ordinal);
        Assert.Equal(["b", "c", "folder/d"], FilesIn($"{_folder}/all"));
        Assert.Equal((second, lost), (await HashAsync($"{_folder}/all/files/b"), await HashAsync($"{_folder}/all/files/c")));
        Assert.Contains(await File.ReadAllLinesAsync($"{_folder}/all/changes.txt", Cancellation), line => line.StartsWith("missing  /a: ", StringComparison.Ordinal));

        await ReplicaAsync("nas");
        await ReplicaAsync("usb");
        Assert.Equal(JsonValueKind.Null, (await ReplicasAsync(Conn)).GetProperty("master").ValueKind);
        // It has not got everything, and takes the rest from the one that has.
        Assert.Contains("in epoch 2", await OrleansFsCommand.SucceedAsync("promote", "usb", "--cluster", Conn), StringComparison.Ordinal);
        await RefusedAsync("is the master already", "promote", "usb", "--cluster", Conn);
        await RefusedAsync("'laptop' is not in the cluster", "promote", "laptop", "--cluster", Conn);

        // It takes changes, and the other replica follows it.
        string now = await MountAsync("now", "--cluster", Conn);
        Assert.Equal((first, second, false), (await HashAsync($"{now}/a"), await HashAsync($"{now}/b"), File.Exists($"{now}/c")));
        string third = await WriteAsync(now, "e", MiB);
        Assert.Contains("(nas)", await OrleansFsCommand.SucceedAsync("drain", now, "--wait", "2min"), StringComparison.Ordinal);
        string copy = await MountAsync("copy", "--cluster", Conn, "--copy", "nas");
        Assert.Equal((second, third), (await HashAsync($"{copy}/b"), await HashAsync($"{copy}/e")));

        // The former master comes back. What it had given up it has from those that follow the other.
        string back = await MountAsync("back", "--data", data, "--name", "laptop", "--cluster", Conn);
        Assert.Throws<IOException>(() => File.WriteAllText($"{back}/f", "no"));
        Assert.Equal(first, await HashAsync($"{back}/a"));
        Assert.Equal((lost, true), (await HashAsync($"{back}/c"), File.Exists($"{back}/removed") is false));
        Assert.Contains("were never replicated", await OrleansFsCommand.SucceedAsync("status", back), StringComparison.Ordinal);
        Assert.Equal((0L, 8L), (Number(await WhyAsync($"{back}/a"), "onlyHereBlocks"), Number(await WhyAsync($"{back}/c"), "onlyHereBlocks")));
        Assert.Contains("as the former master 'laptop' has it", await OrleansFsCommand.SucceedAsync("why", $"{back}/c"), StringComparison.Ordinal);
        await RefusedAsync("is being served", "export", "--data", data, $"{_folder}/out");
        await UnmountAsync(back);
        Assert.Contains("were never replicated", await OrleansFsCommand.SucceedAsync("status", "--data", data), StringComparison.Ordinal);
        await OrleansFsCommand.SucceedAsync("export", "--data", data, $"{_folder}/out");
        Assert.Equal(["c", "folder/d"], FilesIn($"{_folder}/out"));
        Assert.Equal(lost, await HashAsync($"{_folder}/out/files/c"));
        Assert.Equal((true, Private), (Directory.Exists($"{_folder}/out/files/private/new"), File.GetUnixFileMode($"{_folder}/out/files/private")));
        Assert.Contains("removed  removed in /", await File.ReadAllLinesAsync($"{_folder}/out/changes.txt", Cancellation));
        await RefusedAsync("is not empty", "export", "--data", data, $"{_folder}/out");
    }

    /// <summary>As after a reboot, by a service that says what it was before.</summary>
    [Fact]
    public async Task A_promoted_copy_that_is_started_as_a_replica_is_the_master_and_says_so_unless_another_has_taken_over()
    {
        var laptop = await SiloCommandProcess.StartAsync("silo", "--data", $"{_folder}/laptop", "--name", "laptop", "--role", "master", "--cluster", Conn);
        _silos.Add(laptop);
        var nas = await ReplicaAsync("nas");
        var usb = await ReplicaAsync("usb");
        await OrleansFsCommand.SucceedAsync("drain", Conn, "--copies", "2", "--wait", "2min");
        await StopAsync(laptop);
        await RefusedAsync("holds a master of the volume volume; a replica needs a folder of its own", "silo", "--data", $"{_folder}/laptop", "--name", "laptop", "--role", "replica", "--cluster", Conn);
        var fresh = await ReplicaAsync("fresh");
        await RefusedAsync("the copy 'fresh' holds nothing yet", "promote", "fresh", "--cluster", Conn);
        await StopAsync(fresh);
        var promoted = await OrleansFsCommand.RunAsync("promote", "nas", "--cluster", Conn);
        Assert.Contains("'nas' keeps its folder, and is started with --role master", promoted.Error, StringComparison.Ordinal);
        await StopAsync(nas);

        nas = await ReplicaAsync("nas");
        nas.Warning = "'nas' was made the master by a promotion, in epoch 2, and is served as that";
        string mount = await MountAsync("mount", "--cluster", Conn);
        await WriteAsync(mount, "a", 1000);
        Assert.Contains("1 replica (usb)", await OrleansFsCommand.SucceedAsync("drain", mount, "--wait", "2min"), StringComparison.Ordinal);
        Assert.Equal("nas", (await ReplicasAsync(Conn)).GetProperty("master").GetString());
        await UnmountAsync(mount);
        await StopAsync(nas);

        await OrleansFsCommand.SucceedAsync("promote", "usb", "--cluster", Conn);
        nas = await ReplicaAsync("nas");
        nas.Warning = "another copy ";
        Assert.Equal("usb", (await ReplicasAsync(Conn)).GetProperty("master").GetString());
        await StopAsync(nas);
        await RefusedAsync("a replica needs a folder of its own", "silo", "--data", $"{_folder}/nas", "--name", "nas", "--role", "replica", "--cluster", Conn);
    }

    /// <summary>What was written since is with the new master alone, which is away.</summary>
    [Fact]
    public async Task A_former_master_is_not_taken_for_the_master_that_is_away()
    {
        string former = await MountAsync("former", "--data", $"{_folder}/master", "--name", "laptop", "--cluster", Conn);
        var nas = await ReplicaAsync("nas");
        await WriteAsync(former, "a", 1000);
        await OrleansFsCommand.SucceedAsync("drain", former, "--wait", "2min");
        Assert.Contains("in epoch 2", await OrleansFsCommand.SucceedAsync("promote", "nas", "--cluster", Conn), StringComparison.Ordinal);
        string now = await MountAsync("now", "--cluster", Conn);
        await WriteAsync(now, "b", 1000);
        await UnmountAsync(now);
        await StopAsync(nas);

        const string Said = "'laptop' was it until the epoch 2 began, and lacks what was written since";
        await RefusedAsync(Said, "drain", Conn, "--wait", "0");
        await RefusedAsync(Said, "mount", "--cluster", Conn, now);
        await RefusedAsync("another copy is the master since epoch 2", "drain", former, "--wait", "0");
        await RefusedAsync("another copy is the master since epoch 2", "replicas", former);
        await RefusedAsync("'laptop' was the master until the epoch 2 began", "promote", "laptop", "--cluster", Conn);
        var report = await ReplicasAsync(Conn);
        Assert.Equal((JsonValueKind.Null, 2L), (report.GetProperty("master").ValueKind, Number(report, "epoch")));
        var copy = Assert.Single(report.GetProperty("replicas").EnumerateArray());
        Assert.Equal(("laptop", "fenced"), (copy.GetProperty("name").GetString(), copy.GetProperty("state").GetString()));
        // Named, it is read, and says what it is.
        var mounted = await OrleansFsCommand.RunAsync("mount", "--cluster", Conn, "--copy", "laptop", "--background", now);
        _mounted.Add(now);
        Assert.True(mounted.ExitCode == 0, mounted.All);
        Assert.Contains("'laptop' is read-only, and lacks what was written since", mounted.All, StringComparison.Ordinal);
        Assert.Equal((true, false), (File.Exists($"{now}/a"), File.Exists($"{now}/b")));
    }

    [Fact]
    public async Task A_program_that_waits_for_a_block_that_nobody_can_give_ends_at_once_when_it_is_interrupted()
    {
        string master = await MountAsync("master", "--data", $"{_folder}/master", "--name", "laptop", "--cluster", Conn, "--cache-size", "16MiB", "--fetch-timeout", "1h");
        var nas = await ReplicaAsync("nas");
        string hash = await WriteAsync(master, "a", MiB);
        await OrleansFsCommand.SucceedAsync("drain", master, "--wait", "2min");
        await OrleansFsCommand.SucceedAsync("evict", $"{master}/a");
        await StopAsync(nas);
        using (var cat = Process.Start(new ProcessStartInfo("cat", [$"{master}/a"]) { RedirectStandardOutput = true })!)
        {
            // It has opened the file, and sleeps in a read of it.
            while (!HasOpen(cat.Id, $"{master}/a") || !(await File.ReadAllTextAsync($"/proc/{cat.Id}/syscall", Cancellation)).StartsWith("0 ", StringComparison.Ordinal))
                await Task.Delay(10, Cancellation);
            using (var kill = Process.Start("kill", ["-INT", $"{cat.Id}"]))
                await kill.WaitForExitAsync(Cancellation);
            await cat.WaitForExitAsync(Cancellation).WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
            Assert.Equal(128 + 2, cat.ExitCode);
            Assert.Equal("", await cat.StandardOutput.ReadToEndAsync(Cancellation));
        }
        // Others who asked for it, and those who ask later, are served when somebody can.
        await ReplicaAsync("nas");
        Assert.Equal(hash, await HashAsync($"{master}/a"));
    }

    [Theory]
    [InlineData("no volume is mounted at", "replicas", "MNT")]
    [InlineData("is a directory: name a file", "why", "MNT")]
    [InlineData("No such file", "why", "MNT/none")]
    [InlineData("no such file", "replicas", "sqlite:/nowhere/c.db")]
    [InlineData("--copies 0", "drain", "MNT", "--copies", "0")]
    [InlineData("--wait soon", "drain", "MNT", "--wait", "soon")]
    public Task What_cannot_be_done_is_said_in_one_line(string says, params string[] arguments) =>
        RefusedAsync(says, [.. arguments.Select(a => a.Replace("MNT", mounts.Scratch("mnt"), StringComparison.Ordinal))]);

    [Fact]
    public async Task Of_a_tree_only_regular_files_on_a_mount_are_asked_for()
    {
        string mount = await MountAsync("alone", "--data", $"{_folder}/alone");
        foreach (string at in new[] { $"{mount}/tree", $"{_folder}/elsewhere" })
        {
            Directory.CreateDirectory($"{at}/deep");
            await File.WriteAllBytesAsync($"{at}/deep/a", new byte[1000], Cancellation);
            await File.WriteAllBytesAsync($"{at}/deep/b", new byte[1000], Cancellation);
            File.CreateSymbolicLink($"{at}/link", "deep/a");
            Assert.Equal(Errno.None, Sys.Mknod($"{at}/fifo", Mode.S_IFIFO | 0x1A4));
            Assert.Equal(Errno.None, Sys.Mknod($"{at}/socket", Mode.S_IFSOCK | 0x1A4));
            Assert.Equal(Errno.None, Sys.Mknod($"{at}/null", Mode.S_IFCHR | 0x1A4, 0x103));
        }
        Assert.Contains("of 2 files", await OrleansFsCommand.SucceedAsync("warm", $"{mount}/tree"), StringComparison.Ordinal);
        foreach (string other in new[] { "fifo", "socket", "null" })
        {
            await RefusedAsync("only regular files have", "warm", $"{mount}/tree/{other}");
            await RefusedAsync("only regular files have", "why", $"{mount}/tree/{other}");
        }
        await RefusedAsync("a symbolic link: name what it leads to", "warm", $"{mount}/tree/link");
        await RefusedAsync("elsewhere: is not on a mount", "warm", $"{_folder}/elsewhere");
        await RefusedAsync("No such file", "warm", $"{mount}/missing");
    }

    [Fact]
    public async Task A_volume_that_is_made_beside_others_of_its_cluster_says_so()
    {
        await MountAsync("first", "--data", $"{_folder}/first", "--name", "laptop", "--cluster", Conn);
        string second = mounts.Scratch("second");
        string[] mount = ["mount", "--data", $"{_folder}/empty", "--name", "other", "--cluster", Conn, "--background", second];
        var made = await OrleansFsCommand.RunAsync(mount);
        _mounted.Add(second);
        Assert.True(made.ExitCode == 0, made.All);
        Assert.Contains($"a new volume was made in {_folder}/empty; the cluster has another, whose master is 'laptop' ({_folder}/first)", made.All, StringComparison.Ordinal);
        await RefusedAsync("several volumes: name one of its copies with --copy (laptop, other)", "replicas", Conn);
        // From then on it is one that is known.
        await UnmountAsync(second);
        var again = await OrleansFsCommand.RunAsync(mount);
        _mounted.Add(second);
        Assert.True(again.ExitCode == 0, again.All);
        Assert.DoesNotContain("new volume", again.All, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_mount_without_a_cluster_has_no_replicas()
    {
        string mount = await MountAsync("alone", "--data", $"{_folder}/alone");
        Assert.Contains("no replica is known", await OrleansFsCommand.SucceedAsync("replicas", mount), StringComparison.Ordinal);
        await RefusedAsync("mount the folder with --cluster", "drain", mount);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (string mount in Enumerable.Reverse(_mounted).ToList())
            await UnmountAsync(mount);
        foreach (var silo in _silos.ToList())
            await StopAsync(silo);
    }

    /// <summary>What an export has copied out.</summary>
    private static IEnumerable<string> FilesIn(string target) =>
        Directory.GetFiles($"{target}/files", "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath($"{target}/files", f)).Order(StringComparer.Ordinal);

    private static long Number(JsonElement element, string name) => element.GetProperty(name).GetInt64();

    private static async Task<JsonElement> ReplicasAsync(string where) => JsonDocument.Parse(await OrleansFsCommand.SucceedAsync("replicas", where, "--json")).RootElement;

    private static async Task<JsonElement> WhyAsync(string path) => JsonDocument.Parse(await OrleansFsCommand.SucceedAsync("why", path, "--json")).RootElement;

    private static async Task<string> HashAsync(string path) => Convert.ToHexString(SHA256.HashData(await File.ReadAllBytesAsync(path, Cancellation)));

    private static Task<Outcome> AsNobodyAsync(params string[] arguments) =>
        OrleansFsCommand.RunAsync(new ProcessStartInfo("setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", "env", "-u", "HOME", PublicCommand.Path, .. arguments]));

    private static async Task RefusedAsync(string says, params string[] arguments)
    {
        var outcome = await OrleansFsCommand.RunAsync(arguments);
        Assert.True(outcome.ExitCode == 1, outcome.All);
        Assert.Contains(says, outcome.Error, StringComparison.Ordinal);
        Assert.Single(outcome.Error.TrimEnd().Split('\n'), line => line.StartsWith(arguments is ["silo", ..] ? "orleansfs silo: " : "orleansfs: ", StringComparison.Ordinal));
    }

    private static bool HasOpen(int process, string path) =>
        Directory.Exists($"/proc/{process}/fd") && Directory.GetFiles($"/proc/{process}/fd").Any(f => new FileInfo(f).LinkTarget == path);

    /// <summary>Starts the program, and interrupts it as Ctrl-C does when it has said something.</summary>
    private static async Task<int> InterruptAsync(params string[] arguments)
    {
        using var process = OrleansFsCommand.Start(new ProcessStartInfo(OrleansFsCommand.Path, arguments));
        await process.StandardError.ReadLineAsync(Cancellation);
        using (var kill = Process.Start("kill", ["-INT", $"{process.Id}"]))
            await kill.WaitForExitAsync(Cancellation);
        string error = await process.StandardError.ReadToEndAsync(Cancellation);
        await process.WaitForExitAsync(Cancellation);
        Assert.EndsWith("orleansfs: interrupted\n", error, StringComparison.Ordinal);
        return process.ExitCode;
    }

    /// <summary>Writes bytes that compress to nothing less, the same for the same name; gives their hash.</summary>
    private static async Task<string> WriteAsync(string mount, string name, int size)
    {
        byte[] content = new byte[size];
        new Random(name[0]).NextBytes(content);
        await File.WriteAllBytesAsync($"{mount}/{name}", content, Cancellation);
        return Convert.ToHexString(SHA256.HashData(content));
    }

    private async Task<SiloCommandProcess> ReplicaAsync(string name)
    {
        var silo = await SiloCommandProcess.StartAsync("silo", "--data", $"{_folder}/{name}", "--name", name, "--role", "replica", "--cluster", Conn);
        _silos.Add(silo);
        return silo;
    }

    private async Task StopAsync(SiloCommandProcess silo)
    {
        _silos.Remove(silo);
        await silo.DisposeAsync();
    }

    private async Task<string> MountAsync(string name, params string[] arguments)
    {
        string path = mounts.Scratch(name);
        await OrleansFsCommand.SucceedAsync(["mount", .. arguments, "--background", "--log-file", $"{_folder}/{name}.log", path]);
        _mounted.Add(path);
        return path;
    }

    private async Task UnmountAsync(string path)
    {
        await OrleansFsCommand.SucceedAsync("umount", path);
        _mounted.Remove(path);
    }
}
