using OrleansFs.Fuse;
using OrleansFs.Hosting.Command;
using OrleansFs.Model;

namespace OrleansFs.Cli.Commands;

/// <summary>What <c>orleansfs mount</c> was asked for. Paths are absolute.</summary>
internal sealed record MountRequest
{
    /// <summary>The folder whose volume this process serves; null where a silo elsewhere serves it.</summary>
    public string? DataFolder { get; init; }

    /// <summary>The name of the copy in <see cref="DataFolder"/>, and of its silo; null to leave the one it has.</summary>
    public string? Name { get; init; }

    /// <summary>Of the silo in this process; or, where there is none, the cluster in which the copy is found.</summary>
    public required SiloNetwork Network { get; init; }

    /// <summary>How the copy in <see cref="DataFolder"/> uses its replicas.</summary>
    public required ReplicationArguments Replication { get; init; }

    /// <summary>The copy to mount where a silo elsewhere serves it; null for the master's.</summary>
    public string? Copy { get; init; }

    public required string MountPoint { get; init; }

    /// <summary>S of a volume that is made now, bytes.</summary>
    public required long BlockSize { get; init; }

    /// <summary>Budget for in-flight content, bytes.</summary>
    public required long Memory { get; init; }

    public bool ReadOnly { get; init; }

    public bool AllowOther { get; init; }

    public IoUringMode IoUring { get; init; }

    public AccessTimes AccessTimes { get; init; }

    public bool ListXattrs { get; init; }

    public bool NoHashFolder { get; init; }

    public bool Background { get; init; }

    public string? LogFile { get; init; }

    public bool Verbose { get; init; }

    /// <summary>The pipe on which a background mount tells its starter how it went; null in the foreground.</summary>
    public string? ReadyHandle { get; init; }
}
