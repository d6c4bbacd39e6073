using System.Globalization;
using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using Xunit;

namespace OrleansFs.Fault.Tests.Network;

/// <summary>
/// A network of its own inside this machine: hosts, each a network namespace, on one switch, and a PostgreSQL that all of them reach. Nothing of it touches the machine's own network. One for all tests of the collection.
/// </summary>
/// <remarks>What a test run that was killed left behind is taken away by the next: namespaces have the process's id in their names.</remarks>
public sealed class NetworkLab : IAsyncLifetime
{
    private const string Prefix = "ofsnet";
    private const string Switch = "10.77.0.1";
    private const int Port = 5432;
    private static readonly string[] s_names = ["laptop", "nas", "usb"];
    private readonly Dictionary<string, NetworkHost> _hosts = [];
    private Scratch? _scratch;
    private Child? _server;
    private int _databases;

    private static string Hub => $"{Prefix}{Environment.ProcessId}-hub";

    internal NetworkHost this[string name] => _hosts[name];

    internal Scratch Scratch => _scratch!;

    internal IEnumerable<NetworkHost> Hosts => _hosts.Values;

    internal const string Database = Switch;

    public ValueTask InitializeAsync() => default;

    /// <summary>Makes the network where it is not there yet, with every cable whole, and a database without any table in it. Gives CONN.</summary>
    internal async Task<string> ClusterAsync()
    {
        Needs.Network();
        if (_server is null)
            await MakeAsync();
        foreach (var host in Hosts)
            await host.HealAsync();
        string name = $"cluster{++_databases}";
        await HubAsync(PostgreSql("psql"), "-h", Switch, "-p", $"{Port}", "-U", "postgres", "-q", "-c", $"CREATE DATABASE {name}");
        return $"Host={Switch};Port={Port};Username=postgres;Database={name}";
    }

    /// <summary>Names of the silos that a cluster takes for living.</summary>
    internal static async Task<string[]> MembersAsync(string cluster)
    {
        const int Dead = 6;
        string database = cluster[(cluster.LastIndexOf('=') + 1)..];
        string names = await HubAsync(PostgreSql("psql"), "-h", Switch, "-p", $"{Port}", "-U", "postgres", "-At", "-d", database, "-c", $"SELECT SiloName FROM OrleansMembershipTable WHERE Status <> {Dead}");
        return names.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
        {
            // A fast shutdown: who is connected is cut off.
            await Tool.RunAsync("kill", "-INT", $"{_server.Id}");
            await _server.ExitAsync(Limits.ProcessEnd);
            await _server.DisposeAsync();
        }
        await SweepAsync(id => id == Environment.ProcessId);
        if (_scratch is not null)
            await _scratch.DisposeAsync();
    }

    private static string PostgreSql(string program) => Path.Combine(Directory.GetDirectories("/usr/lib/postgresql").Order(StringComparer.Ordinal).Last(), "bin", program);

    private static Task<string> HubAsync(string program, params string[] arguments) => Tool.RunAsync("nsenter", [$"--net=/run/netns/{Hub}", program, .. arguments]);

    private async Task MakeAsync()
    {
        await SweepAsync(id => !Directory.Exists($"/proc/{id}"));
        _scratch = await Scratch.MakeAsync();
        await Tool.RunAsync("ip", "netns", "add", Hub);
        await Tool.RunAsync("ip", "-n", Hub, "link", "add", "switch", "type", "bridge");
        await Tool.RunAsync("ip", "-n", Hub, "addr", "add", $"{Switch}/24", "dev", "switch");
        await Tool.RunAsync("ip", "-n", Hub, "link", "set", "switch", "up");
        await Tool.RunAsync("ip", "-n", Hub, "link", "set", "lo", "up");
        for (int i = 0; i < s_names.Length; i++)
            _hosts[s_names[i]] = await NetworkHost.MakeAsync($"{Prefix}{Environment.ProcessId}-{s_names[i]}", Hub, $"port{i}", $"10.77.0.{i + 2}");
        await WrongClock.MakeAsync(_scratch);
        await StartServerAsync();
    }

    private async Task StartServerAsync()
    {
        string folder = Scratch.Folder("postgresql"), data = Path.Combine(folder, "data");
        // The server refuses to run as root.
        await Tool.RunAsync("chown", "postgres", folder);
        string[] asPostgres = ["--reuid=postgres", "--regid=postgres", "--clear-groups"];
        await Tool.RunAsync("setpriv", [.. asPostgres, PostgreSql("initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]);
        await File.AppendAllTextAsync(Path.Combine(data, "pg_hba.conf"), "host all all 10.77.0.0/24 trust\n");
        _server = Child.Start("nsenter", [$"--net=/run/netns/{Hub}", "setpriv", .. asPostgres, PostgreSql("postgres"), "-D", data, "-p", $"{Port}", "-k", "", "-h", Switch, "-c", "fsync=off"]);
        await _server.LineAsync(line => line.Contains("ready to accept connections", StringComparison.Ordinal), Limits.MountReady);
    }

    private static async Task SweepAsync(Func<int, bool> isOurs)
    {
        if (!Tool.Exists("ip") || !Environment.IsPrivilegedProcess)
            return;
        foreach (string line in (await Tool.RunAsync("ip", "netns", "list")).Split('\n'))
        {
            string name = line.Split(' ')[0];
            if (name.StartsWith(Prefix, StringComparison.Ordinal) && int.TryParse(name[Prefix.Length..].Split('-')[0], NumberStyles.None, CultureInfo.InvariantCulture, out int id) && isOurs(id))
                await Tool.RunAsync("ip", "netns", "delete", name);
        }
    }
}

/// <summary>Tests that share the network, one after the other.</summary>
[CollectionDefinition(Name)]
public sealed class NetworkCollection : ICollectionFixture<NetworkLab>
{
    public const string Name = "network";
}
