using OrleansFs.Engine;
using OrleansFs.GrainInterfaces;

namespace OrleansFs.Hosting.Command;

/// <summary>What stands on a silo's command line, not yet looked at.</summary>
internal sealed record SiloArguments
{
    public required string Data { get; init; }

    public required string Name { get; init; }

    public required string Role { get; init; }

    public required SiloNetwork Network { get; init; }

    public required string BlockSize { get; init; }

    public required string Memory { get; init; }

    public required ReplicationArguments Replication { get; init; }

    /// <exception cref="HostException">One line that says what is wrong with which argument.</exception>
    public OrleansFsHostOptions ToOptions()
    {
        var options = Parse();
        if (options.Role == CopyRole.Replica && options.Cluster is null)
            throw new HostException("--role replica: a replica needs --cluster, where its master finds it");
        return options;
    }

    private OrleansFsHostOptions Parse() => Network.ApplyTo(new OrleansFsHostOptions
    {
        Volume = Replication.ApplyTo(new VolumeOptions
        {
            DataFolder = Data,
            Copy = SiloNetwork.ParseName("--name", Name),
            BlockSize = checked((int)Bytes("--block-size", BlockSize, int.MaxValue)),
            Memory = Bytes("--memory", Memory, long.MaxValue),
        }),
        Role = Role switch
        {
            "master" => CopyRole.Master,
            "replica" => CopyRole.Replica,
            _ => throw new HostException($"--role {Role}: the roles are master and replica"),
        },
    });

    private static long Bytes(string option, string text, long max) =>
        ByteSize.TryParse(text, out long bytes) && bytes <= max ? bytes : throw new HostException($"{option} {text}: a size is a number of bytes, or one with KiB, MiB, GiB or TiB");
}
