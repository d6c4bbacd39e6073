using System.CommandLine;
using System.Net;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Hosting.Command;

/// <summary>What a command line says of a silo's place in the network, not yet looked at.</summary>
/// <param name="Cluster">CONN; null for a cluster of one in the data folder.</param>
/// <param name="Advertise">The address under which others reach the silo; null for loopback.</param>
/// <param name="SiloPort">Port for silos; null for any.</param>
/// <param name="GatewayPort">Port for mounts; null for any.</param>
public sealed record SiloNetwork(string? Cluster, string? Advertise, int? SiloPort, int? GatewayPort)
{
    /// <exception cref="HostException">One line that says what is wrong with which option.</exception>
    public OrleansFsHostOptions ApplyTo(OrleansFsHostOptions options) => options with
    {
        Cluster = Cluster is null ? null : ParseCluster(Cluster),
        Advertise = Advertise is null ? IPAddress.Loopback : ParseAddress(Advertise),
        SiloPort = Port("--silo-port", SiloPort),
        GatewayPort = Port("--gateway-port", GatewayPort),
    };

    /// <exception cref="HostException">One line that says what is wrong.</exception>
    public static ClusterConnection ParseCluster(string text) =>
        ClusterConnection.TryParse(text, out var connection, out string? error) ? connection : throw new HostException($"--cluster: {error}");

    /// <exception cref="HostException">One line that says what is wrong.</exception>
    public static CopyName ParseName(string option, string text) =>
        CopyName.TryParse(text, out var name) ? name : throw new HostException($"{option} {text}: a name is 1 to 63 of a-z, 0-9, '-', '_' and '.', and begins with a letter or digit");

    private static IPAddress ParseAddress(string text) =>
        IPAddress.TryParse(text, out var address) && !address.Equals(IPAddress.Any) && !address.Equals(IPAddress.IPv6Any)
            ? address
            : throw new HostException($"--advertise {text}: name the IP address under which other machines reach this one");

    private static int? Port(string option, int? port) =>
        port is null or (> 0 and <= 65535) ? port : throw new HostException($"{option} {port}: a port is 1 to 65535");
}

/// <summary>The options of <see cref="SiloNetwork"/>, for every command that starts a silo.</summary>
public sealed class SiloNetworkOptions
{
    public Option<string?> Cluster { get; } = new("--cluster")
    {
        Description = "where the cluster keeps its membership: sqlite:FILE (all on this host) or a PostgreSQL connection string",
        HelpName = "CONN",
    };

    public Option<string?> Advertise { get; } = new("--advertise")
    {
        Description = "the IP address under which other machines reach this silo; without it, only this machine does",
        HelpName = "ADDR",
    };

    public Option<int?> SiloPort { get; } = new("--silo-port") { Description = "port for other silos; without it, one that is free", HelpName = "N" };

    public Option<int?> GatewayPort { get; } = new("--gateway-port") { Description = "port for mounts; without it, one that is free", HelpName = "N" };

    public void AddTo(System.CommandLine.Command command)
    {
        command.Options.Add(Cluster);
        command.Options.Add(Advertise);
        command.Options.Add(SiloPort);
        command.Options.Add(GatewayPort);
    }

    public SiloNetwork Read(ParseResult parsed) => new(parsed.GetValue(Cluster), parsed.GetValue(Advertise), parsed.GetValue(SiloPort), parsed.GetValue(GatewayPort));
}
