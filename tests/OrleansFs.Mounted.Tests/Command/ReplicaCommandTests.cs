using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using OrleansFs.Mounted.Tests.Mounts;
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

    [Theory]
    [InlineData("no volume is mounted at", "replicas", "MNT")]
    [InlineData("no such file", "replicas", "sqlite:/nowhere/c.db")]
    [InlineData("--copies 0", "drain", "MNT", "--copies", "0")]
    [InlineData("--wait soon", "drain", "MNT", "--wait", "soon")]
    public Task What_cannot_be_done_is_said_in_one_line(string says, params string[] arguments) =>
        RefusedAsync(says, [.. arguments.Select(a => a == "MNT" ? mounts.Scratch("mnt") : a)]);

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

    private static long Number(JsonElement element, string name) => element.GetProperty(name).GetInt64();

    private static async Task<JsonElement> ReplicasAsync(string where) => JsonDocument.Parse(await OrleansFsCommand.SucceedAsync("replicas", where, "--json")).RootElement;

    private static async Task RefusedAsync(string says, params string[] arguments)
    {
        var outcome = await OrleansFsCommand.RunAsync(arguments);
        Assert.True(outcome.ExitCode == 1, outcome.All);
        Assert.Contains(says, outcome.Error, StringComparison.Ordinal);
        Assert.Single(outcome.Error.TrimEnd().Split('\n'), line => line.StartsWith("orleansfs: ", StringComparison.Ordinal));
    }

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
