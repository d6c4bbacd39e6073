using System.Text.Json;
using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Fault.Tests.Work;
using Xunit;

namespace OrleansFs.Fault.Tests.Network;

/// <summary>A volume on a <see cref="NetworkLab"/>: its master is a mount on one host, its replicas are silos on others. Each is a process.</summary>
internal sealed class NetworkVolume : IAsyncDisposable
{
    /// <summary>Few enough to be over soon, and of every kind: content that is synced, names, files that replace each other.</summary>
    private static readonly string[] s_kinds = ["append", "pages", "replace", "names"];
    private readonly NetworkLab _lab;
    private readonly string _cluster;
    private readonly Scratch _scratch;
    private readonly WorkerPool _pool = new();
    private readonly Dictionary<string, Child> _silos = [];
    private readonly List<WorkRecord> _works = [];
    private Child? _master;
    private int _round;

    private NetworkVolume(NetworkLab lab, string cluster, Scratch scratch)
    {
        _lab = lab;
        _cluster = cluster;
        _scratch = scratch;
        MountPoint = scratch.Folder("mount");
    }

    public string MountPoint { get; }

    /// <summary>The master's process says this. Its two streams are read side by side: what it said before a line of the other may come after it.</summary>
    public Task SaidAsync(string what) => _master!.LineAsync(line => line.Contains(what, StringComparison.Ordinal), Limits.Told);

    public static async Task<NetworkVolume> MakeAsync(NetworkLab lab)
    {
        string cluster = await lab.ClusterAsync();
        return new NetworkVolume(lab, cluster, await Scratch.MakeAsync());
    }

    public string Data(string name) => _scratch.File(name);

    public async Task StartMasterAsync(string name = "laptop", TimeSpan clock = default)
    {
        _master = _lab[name].Start(clock, Programs.OrleansFs,
            ["mount", "--data", Data(name), "--name", name, "--cluster", _cluster, "--advertise", _lab[name].Address, "--memory", "32MiB", "--block-size", "32KiB", MountPoint]);
        await _master.LineAsync(line => line.StartsWith("mounted ", StringComparison.Ordinal), Limits.MountReady);
    }

    public async Task StartReplicaAsync(string name, TimeSpan clock = default)
    {
        var silo = _lab[name].Start(clock, Programs.OrleansFs, ["silo", "--data", Data(name), "--name", name, "--role", "replica", "--cluster", _cluster, "--advertise", _lab[name].Address, "--memory", "32MiB"]);
        _silos[name] = silo;
        await silo.LineAsync(line => line.StartsWith($"{name}: serving ", StringComparison.Ordinal), Limits.MountReady);
    }

    /// <summary>Mounts the volume over the network, on another host.</summary>
    public async Task<(Child Process, string MountPoint)> MountAtAsync(string host)
    {
        string mountPoint = _scratch.Folder($"mount-{host}");
        var mount = _lab[host].Start(TimeSpan.Zero, Programs.OrleansFs, ["mount", "--cluster", _cluster, mountPoint]);
        await mount.LineAsync(line => line.StartsWith("mounted ", StringComparison.Ordinal), Limits.MountReady);
        return (mount, mountPoint);
    }

    public Task KillMasterAsync() => _master!.KillAsync();

    public async Task StopReplicaAsync(string name)
    {
        Assert.Equal(0, await _silos[name].TerminateAsync(Limits.MountEnd));
        _silos.Remove(name);
    }

    public async Task StopMasterAsync()
    {
        int code = await _master!.TerminateAsync(Limits.MountEnd);
        Assert.True(code == 0, $"exit code {code}:\n{string.Join('\n', _master.Lines)}");
    }

    /// <summary>Programs begin to work on the master's mount, each in a folder of this round. All of them have succeeded in something when this returns.</summary>
    public async Task WorkAsync(Random random)
    {
        var assignments = s_kinds.Select((kind, i) => new Assignment(kind, $"round{_round}-{kind}", i)).ToList();
        _round++;
        foreach (var assignment in assignments)
            Directory.CreateDirectory(Path.Combine(MountPoint, assignment.Folder));
        var round = await _pool.StartAsync(assignments, MountPoint, _scratch.Folder("logs"), random.Next(), null);
        _works.AddRange(round.Works);
        await Usable.UntilAsync(() => round.Works.All(w => new Round([w]).Steps > 1) || _pool.Failures.Count > 0, Limits.ProcessEnd, "programs work on the mount", pause: Limits.DearLook);
    }

    /// <summary>They end, and nothing has failed: the master serves its mount whatever the network is like.</summary>
    public async Task RestAsync()
    {
        var failures = await _pool.EndAsync(tell: true);
        Assert.True(failures.Count == 0, string.Join('\n', failures));
    }

    /// <summary>They are ended by what happens to the volume. Gives what they say.</summary>
    public Task<IReadOnlyList<string>> AwaitEndOfWorkAsync() => _pool.EndAsync(tell: false, Limits.Told);

    /// <summary>They work for a moment.</summary>
    public async Task WorkAWhileAsync(Random random)
    {
        await WorkAsync(random);
        await Task.Delay(Limits.NetworkBurst, TestContext.Current.CancellationToken);
        await RestAsync();
    }

    /// <summary>Everything is on the disks of so many replicas.</summary>
    public async Task DrainAsync(int copies)
    {
        var result = await Tool.TryRunAsync(Programs.OrleansFs, Limits.NetworkCommand, "drain", MountPoint, "--copies", $"{copies}", "--wait", "60s");
        Assert.True(result.ExitCode == 0, $"drain: {result.Output}{result.Errors}\n{string.Join('\n', _master!.Lines)}");
    }

    /// <summary>Waits until the master says this of a replica.</summary>
    public Task UntilAsync(string replica, string what, Func<JsonElement, bool> condition) => Usable.UntilAsync(() => condition(Replica(replica)), Limits.Noticed, $"{replica}: {what}", pause: Limits.DearLook);

    /// <summary>Waits until the master has noticed that it does not reach a replica.</summary>
    public Task UntilAwayAsync(string replica) => UntilAsync(replica, "away", r => r.GetProperty("state").GetString() == "away");

    /// <summary>Waits until the cluster has struck a silo from its membership.</summary>
    public Task UntilStruckAsync(string name) => Usable.UntilAsync(() => NetworkLab.MembersAsync(_cluster).Result.All(m => m != name), Limits.Noticed, $"{name} is struck from the membership", pause: Limits.DearLook);

    /// <summary>What the cluster says of the volume, asked on a host.</summary>
    public async Task<JsonElement> ReplicasOfClusterAsync(string askedOn)
    {
        var result = await _lab[askedOn].RunAsync("replicas", _cluster, "--json");
        Assert.True(result.ExitCode == 0, result.Errors);
        return JsonDocument.Parse(result.Output).RootElement;
    }

    public JsonElement Replica(string name)
    {
        var result = Tool.TryRunAsync(Programs.OrleansFs, Limits.NetworkCommand, "replicas", MountPoint, "--json").Result;
        Assert.True(result.ExitCode == 0, result.Errors);
        return JsonDocument.Parse(result.Output).RootElement.GetProperty("replicas").EnumerateArray().Single(r => r.GetProperty("name").GetString() == name).Clone();
    }

    public async Task<JsonElement> StatusAsync()
    {
        var result = await Tool.TryRunAsync(Programs.OrleansFs, Limits.NetworkCommand, "status", MountPoint, "--json");
        Assert.True(result.ExitCode == 0, result.Errors);
        return JsonDocument.Parse(result.Output).RootElement;
    }

    public async Task<ToolResult> PromoteAsync(string name) => await _lab[name].RunAsync("promote", name, "--cluster", _cluster);

    /// <summary>What the programs were told is there.</summary>
    public async Task VerifyWorkAsync(string mountPoint) => (await new Round(_works).VerifyAsync(mountPoint, long.MaxValue)).ExpectNone();

    public void ForgetWork() => _works.Clear();

    /// <summary>Stops everything; then every copy is sound, all of them are the same, and what the programs were told is there.</summary>
    /// <param name="names">The copies to compare.</param>
    public async Task EndAsync(params string[] names)
    {
        if (!_master!.HasExited)
            await StopMasterAsync();
        foreach (string name in _silos.Keys.ToList())
            await StopReplicaAsync(name);
        var trees = new List<string>();
        foreach (string name in names)
        {
            await Check.CleanAsync(Data(name), verifyData: true);
            string mountPoint = _scratch.Folder($"copy-{name}");
            var mounted = Child.Start(Programs.OrleansFs, "mount", "--data", Data(name), "--read-only", mountPoint);
            await using (mounted)
            {
                await mounted.LineAsync(line => line.StartsWith("mounted ", StringComparison.Ordinal), Limits.MountReady);
                await VerifyWorkAsync(mountPoint);
                trees.Add(await DescribeAsync(mountPoint));
                Assert.Equal(0, await mounted.TerminateAsync(Limits.MountEnd));
            }
        }
        Assert.All(trees, tree => Assert.Equal(trees[0], tree));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var host in _lab.Hosts)
            await host.HealAsync();
        await _pool.DisposeAsync();
        if (_master is not null)
            await _master.DisposeAsync();
        foreach (var silo in _silos.Values)
            await silo.DisposeAsync();
        await _scratch.DisposeAsync();
    }

    /// <summary>All that a tree is, in lines: names, kinds, modes, sizes, times, links, and the content of files.</summary>
    private static async Task<string> DescribeAsync(string mountPoint)
    {
        const string Script = "cd \"$1\" && find . -not -type d -printf '%P %y %m %n %s %T@ %l\\n' -o -printf '%P %y %m %T@\\n' | LC_ALL=C sort && find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum";
        var result = await Tool.TryRunAsync("/bin/sh", Limits.Verification, "-c", Script, "sh", mountPoint);
        Assert.True(result.ExitCode == 0, result.Errors);
        return result.Output;
    }
}
