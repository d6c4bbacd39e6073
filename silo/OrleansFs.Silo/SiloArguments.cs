using System.Net;
using OrleansFs.Engine;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting;
using OrleansFs.Model;

namespace OrleansFs.Silo;

/// <summary>What stands on the command line, not yet looked at.</summary>
internal sealed record SiloArguments
{
    public required string Data { get; init; }

    public required string Name { get; init; }

    public required string Role { get; init; }

    public string? Cluster { get; init; }

    public string? Advertise { get; init; }

    public int? SiloPort { get; init; }

    public int? GatewayPort { get; init; }

    public required string BlockSize { get; init; }

    public required string Memory { get; init; }

    /// <exception cref="HostException">One line that says what is wrong with which argument.</exception>
    public OrleansFsHostOptions ToOptions()
    {
        if (!CopyName.TryParse(Name, out var name))
            throw new HostException($"--name {Name}: a name is 1 to 63 of a-z, 0-9, '-', '_' and '.', and begins with a letter or digit");
        return new OrleansFsHostOptions
        {
            Volume = new VolumeOptions
            {
                DataFolder = Data,
                Copy = name,
                BlockSize = checked((int)Bytes("--block-size", BlockSize, int.MaxValue)),
                Memory = Bytes("--memory", Memory, long.MaxValue),
            },
            Role = Role switch
            {
                "master" => CopyRole.Master,
                "replica" => throw new HostException("--role replica: this version serves masters only"),
                _ => throw new HostException($"--role {Role}: the roles are master and replica"),
            },
            Cluster = Cluster is null ? null : ParseCluster(Cluster),
            Advertise = Advertise is null ? IPAddress.Loopback : ParseAddress(Advertise),
            SiloPort = Port("--silo-port", SiloPort),
            GatewayPort = Port("--gateway-port", GatewayPort),
        };
    }

    private static ClusterConnection ParseCluster(string text) =>
        ClusterConnection.TryParse(text, out var connection, out string? error) ? connection : throw new HostException($"--cluster: {error}");

    private static IPAddress ParseAddress(string text) =>
        IPAddress.TryParse(text, out var address) && !address.Equals(IPAddress.Any) && !address.Equals(IPAddress.IPv6Any)
            ? address
            : throw new HostException($"--advertise {text}: name the IP address under which other machines reach this one");

    private static int? Port(string option, int? port) =>
        port is null or (> 0 and <= 65535) ? port : throw new HostException($"{option} {port}: a port is 1 to 65535");

    private static long Bytes(string option, string text, long max) =>
        ByteSize.TryParse(text, out long bytes) && bytes <= max ? bytes : throw new HostException($"{option} {text}: a size is a number of bytes, or one with KiB, MiB, GiB or TiB");
}
