using System.Collections.Concurrent;
using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Work;
using Xunit;

namespace OrleansFs.Fault.Tests.Product;

/// <summary>A master that is smaller than its volume, two replicas, a mount over the network, and a mount of each replica: a process each, on one machine.</summary>
internal sealed class TestCluster(Scratch scratch) : IAsyncDisposable
{
    private const int SIGCONT = 18;
    private const int SIGSTOP = 19;
    private static readonly string[] s_replicas = ["nas", "usb"];
    private readonly ConcurrentDictionary<string, SiloProcess> _replicas = [];
    private readonly ConcurrentDictionary<string, MountProcess> _readers = [];
    private readonly Dictionary<string, string> _elsewhere = [];
    private MountProcess? _master;
    private MountProcess? _client;

    public string MasterMount { get; } = scratch.Folder("mount");

    public string ClientMount { get; } = scratch.Folder("far");

    public string Cluster { get; } = $"sqlite:{scratch.File("cluster.db")}";

    /// <summary>What was logged in all of their lives that nobody should have to read.</summary>
    private List<string> Troubles { get; } = [];

    private void Note(string who, IEnumerable<string> troubles) => Troubles.AddRange(troubles.Select(t => $"{who}: {t}"));

    public async Task StartAsync(string ioUring)
    {
        await StartMasterAsync(ioUring);
        await Task.WhenAll([.. s_replicas.Select(StartReplicaAsync), StartClientAsync()]);
    }

    /// <summary>A replica can be mounted when it has had its first copy.</summary>
    public async Task StartReadersAsync()
    {
        await Task.WhenAll(s_replicas.Select(StartReaderAsync));
    }

    public async Task StartReaderAsync(string name) =>
        _readers[name] = await MountProcess.StartAsync(new MountOptions { Cluster = Cluster, Copy = name, ReadOnly = true, MountPoint = scratch.Folder($"copy-{name}") });

    /// <summary>Options of the master beyond its place. By default the least cache there is, which holds some hundred blocks. A replica that is killed is back in seconds, and on a busy machine in more of them: nobody gives up before.</summary>
    public IReadOnlyList<string> MasterOptions { get; init; } = ["--cache-size", "8MiB", "--fetch-timeout", "2min", "--cache-wait", "2min"];

    public async Task StartMasterAsync(string ioUring = "off") => _master = await MountProcess.StartAsync(new MountOptions
    {
        Data = Folder("master"),
        Cluster = Cluster,
        Name = "master",
        MountPoint = MasterMount,
        Memory = "16MiB",
        BlockSize = "16KiB",
        IoUring = ioUring,
        More = MasterOptions,
    });

    /// <summary>The data folder of a copy.</summary>
    public string Folder(string name) => _elsewhere.TryGetValue(name, out string? folder) ? folder : scratch.File(name);

    /// <summary>The data folder of a copy is to be there: on a disk of its own.</summary>
    public void Place(string name, string folder) => _elsewhere[name] = folder;

    public async Task StartClientAsync() => _client = await MountProcess.StartAsync(new MountOptions { Cluster = Cluster, MountPoint = ClientMount });

    public async Task StartReplicaAsync(string name) => _replicas[name] = await SiloProcess.ReplicaAsync(Folder(name), name, Cluster);

    public async Task KillMasterAsync() => await KillAsync(_master!);

    /// <summary>The machine of the master is gone, with its disk.</summary>
    public async Task LoseMasterAsync()
    {
        await KillMasterAsync();
        _master = null;
        await Tool.RunAsync("umount", "--lazy", "--internal-only", MasterMount);
        Directory.Delete(Folder("master"), recursive: true);
    }

    public async Task KillClientAsync() => await KillAsync(_client!);

    /// <summary>SIGSTOP: the mount over the network is a machine that sleeps.</summary>
    public void FreezeClient() => Assert.Equal(0, Native.kill(_client!.ProcessId, SIGSTOP));

    /// <summary>SIGCONT.</summary>
    public void ThawClient() => Assert.Equal(0, Native.kill(_client!.ProcessId, SIGCONT));

    public async Task KillReplicaAsync(string name)
    {
        await _replicas[name].KillAsync();
        Note(name, _replicas[name].Troubles);
        await _replicas[name].DisposeAsync();
    }

    /// <summary>The replica stops in order, as its owner does it.</summary>
    public async Task StopReplicaAsync(string name)
    {
        await _replicas[name].StopWellAsync();
        Note(name, _replicas[name].Troubles);
        await _replicas[name].DisposeAsync();
        _replicas.TryRemove(name, out _);
    }

    public async Task StopMasterAsync()
    {
        await _master!.StopWellAsync();
        Note("master", _master.Troubles);
        await _master.DisposeAsync();
        _master = null;
    }

    /// <summary>What a mount of a replica shows.</summary>
    public string CopyMount(string name) => scratch.File($"copy-{name}");

    /// <summary>Every mount there is shows the same tree with the same content.</summary>
    public async Task ExpectEqualAsync()
    {
        string[] mounts = [.. _master is null ? [] : new[] { MasterMount }, .. _client is null ? [] : new[] { ClientMount }, .. _readers.Keys.Select(CopyMount)];
        var trees = await Task.WhenAll(mounts.Select(DescribeAsync));
        for (int i = 1; i < mounts.Length; i++)
        {
            string[] missing = [.. trees[0].Except(trees[i]).Take(8)], more = [.. trees[i].Except(trees[0]).Take(8)];
            Assert.True(missing.Length + more.Length == 0, $"{mounts[0]} and {mounts[i]} differ:\n-{string.Join("\n-", missing)}\n+{string.Join("\n+", more)}");
        }
    }

    /// <summary>In order: who is asked last ends last.</summary>
    public async Task StopWellAsync()
    {
        foreach (var (name, mount) in _readers.Select(r => ($"mount of {r.Key}", (MountProcess?)r.Value)).Append(("client", _client)).Append(("master", _master)))
        {
            if (mount is null)
                continue;
            await mount.StopWellAsync();
            Note(name, mount.Troubles);
        }
        foreach (var (name, replica) in _replicas)
        {
            await replica.StopWellAsync();
            Note(name, replica.Troubles);
        }
        Assert.True(Troubles.All(IsExpected), string.Join('\n', Troubles.Where(t => !IsExpected(t))));
    }

    /// <summary>What may be in the logs, because the test does it.</summary>
    public Func<string, bool> IsExpected { get; init; } = _ => false;

    public async Task ExpectCleanAsync(params string[] copies)
    {
        await Task.WhenAll(copies.Select(name => Check.CleanAsync(Folder(name), verifyData: true)));
    }

    /// <summary>The last lines of each, for who reads that something went wrong.</summary>
    public string Said()
    {
        var all = new List<(string Name, IReadOnlyList<string> Lines)>();
        if (_master is not null)
            all.Add(("master", _master.Lines));
        if (_client is not null)
            all.Add(("client", _client.Lines));
        all.AddRange(_replicas.Select(r => (r.Key, r.Value.Lines)));
        all.AddRange(_readers.Select(r => ($"mount of {r.Key}", r.Value.Lines)));
        return string.Concat(all.Select(one => $"\n{one.Name}: {string.Join(" | ", one.Lines.TakeLast(12))}"));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var mount in _readers.Values.Append(_client).Append(_master).OfType<MountProcess>())
            await mount.DisposeAsync();
        foreach (var replica in _replicas.Values)
            await replica.DisposeAsync();
    }

    private async Task KillAsync(MountProcess mount)
    {
        await mount.KillAsync();
        Note(mount == _client ? "client" : "master", mount.Troubles);
        await mount.DisposeAsync();
    }

    private async Task<string[]> DescribeAsync(string mountPoint)
    {
        try
        {
            var result = await Tool.TryRunAsync(Programs.Self, Limits.Verification, "describe", mountPoint);
            Assert.True(result.ExitCode == 0, $"{mountPoint}: {result.Errors}");
            return result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}; {Said()}", e);
        }
    }
}
