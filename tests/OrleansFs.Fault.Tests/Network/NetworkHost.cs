using System.Globalization;
using System.Text.RegularExpressions;
using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;

namespace OrleansFs.Fault.Tests.Network;

/// <summary>Which packets between a host and another are lost.</summary>
[Flags]
internal enum Loss
{
    /// <summary>Those that come.</summary>
    Incoming = 1,

    /// <summary>Those that go.</summary>
    Outgoing = 2,

    Both = Incoming | Outgoing,
}

/// <summary>A host of a <see cref="NetworkLab"/>: a network namespace with one cable to the switch. Processes are started in it; its packets are lost, or slowed down, as a test wants it.</summary>
internal sealed partial class NetworkHost
{
    private readonly string _namespace;
    private readonly string _hub;
    private readonly string _port;

    private NetworkHost(string name, string hub, string port, string address)
    {
        _namespace = name;
        _hub = hub;
        _port = port;
        Address = address;
    }

    public string Address { get; private set; }

    public static async Task<NetworkHost> MakeAsync(string name, string hub, string port, string address)
    {
        await Tool.RunAsync("ip", "netns", "add", name);
        await Tool.RunAsync("ip", "link", "add", port, "netns", hub, "type", "veth", "peer", "name", "eth0", "netns", name);
        await Tool.RunAsync("ip", "-n", hub, "link", "set", port, "master", "switch");
        await Tool.RunAsync("ip", "-n", hub, "link", "set", port, "up");
        await Tool.RunAsync("ip", "-n", name, "addr", "add", $"{address}/24", "dev", "eth0");
        await Tool.RunAsync("ip", "-n", name, "link", "set", "eth0", "up");
        await Tool.RunAsync("ip", "-n", name, "link", "set", "lo", "up");
        return new NetworkHost(name, hub, port, address);
    }

    /// <summary>Starts a process on this host. It shares everything with the test but the network.</summary>
    /// <param name="clock">How much its clock is ahead.</param>
    /// <param name="program">What to run.</param>
    /// <param name="arguments">Its arguments.</param>
    public Child Start(TimeSpan clock, string program, IEnumerable<string> arguments)
    {
        string[] ahead = clock == TimeSpan.Zero ? [] : ["env", $"LD_PRELOAD={WrongClock.Library}", string.Create(CultureInfo.InvariantCulture, $"{WrongClock.Variable}={clock.TotalSeconds:0}")];
        return Child.Start("/usr/bin/nsenter", [$"--net=/run/netns/{_namespace}", .. ahead, program, .. arguments]);
    }

    /// <summary>Runs the product on this host to its end.</summary>
    public Task<ToolResult> RunAsync(params string[] arguments) =>
        Tool.TryRunAsync("/usr/bin/nsenter", Limits.NetworkCommand, [$"--net=/run/netns/{_namespace}", Programs.OrleansFs, .. arguments]);

    /// <summary>Packets between this host and others are lost from now on, without a word to anyone.</summary>
    public Task LoseAsync(Loss loss, params IEnumerable<string> addresses)
    {
        string Rules(Loss direction, string word) => loss.HasFlag(direction) ? string.Concat(addresses.Select(a => $"ip {word} {a} counter drop; ")) : "";
        return FilterAsync($$"""
            flush ruleset
            table inet faults {
              chain come { type filter hook input priority 0; {{Rules(Loss.Incoming, "saddr")}} }
              chain go { type filter hook output priority 0; {{Rules(Loss.Outgoing, "daddr")}} }
            }
            """);
    }

    /// <summary>Packets that were lost since <see cref="LoseAsync"/>: a fault that met nothing proves nothing.</summary>
    public async Task<long> LostPacketsAsync() =>
        PacketCounter().Matches(await InsideAsync("nft", "list", "ruleset")).Sum(m => long.Parse(m.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture));

    /// <summary>It has another address from now on, as a laptop that was carried into another network. Connections from the one before are as they were, and nothing comes there any more.</summary>
    public async Task MoveAsync(string address)
    {
        await Tool.RunAsync("ip", "-n", _namespace, "addr", "del", $"{Address}/24", "dev", "eth0");
        await Tool.RunAsync("ip", "-n", _namespace, "addr", "add", $"{address}/24", "dev", "eth0");
        Address = address;
    }

    /// <summary>The cable is pulled out, and put in again.</summary>
    public Task PlugAsync(bool isIn) => Tool.RunAsync("ip", "-n", _hub, "link", "set", _port, isIn ? "up" : "down");

    /// <summary>What this host sends and is sent goes at a rate, in megabits a second.</summary>
    public async Task SlowDownAsync(int megabits)
    {
        foreach (string[] side in new string[][] { ["-n", _namespace, "qdisc", "replace", "dev", "eth0"], ["-n", _hub, "qdisc", "replace", "dev", _port] })
            await Tool.RunAsync("tc", [.. side, "root", "tbf", "rate", $"{megabits}mbit", "burst", "64kb", "latency", "400ms"]);
    }

    /// <summary>Nothing is wrong with its network any more.</summary>
    public async Task HealAsync()
    {
        await FilterAsync("flush ruleset\n");
        await PlugAsync(true);
        foreach (string[] side in new string[][] { ["-n", _namespace, "qdisc", "del", "dev", "eth0"], ["-n", _hub, "qdisc", "del", "dev", _port] })
            await Tool.TryRunAsync("/usr/sbin/tc", Limits.Tool, [.. side, "root"]);
    }

    private Task<string> InsideAsync(params string[] command) => Tool.RunAsync("nsenter", [$"--net=/run/netns/{_namespace}", .. command]);

    private async Task FilterAsync(string rules)
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, rules);
            await InsideAsync("nft", "-f", file);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [GeneratedRegex(@"counter packets (\d+) ")]
    private static partial Regex PacketCounter();
}
