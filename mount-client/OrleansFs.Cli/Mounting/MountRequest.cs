using OrleansFs.Fuse;

namespace OrleansFs.Cli.Commands;

/// <summary>What <c>orleansfs mount</c> was asked for. Paths are absolute.</summary>
internal sealed record MountRequest
{
    public required string DataFolder { get; init; }

    public required string MountPoint { get; init; }

    /// <summary>S of a volume that is made now, bytes.</summary>
    public required long BlockSize { get; init; }

    /// <summary>Budget for in-flight content, bytes.</summary>
    public required long Memory { get; init; }

    public bool ReadOnly { get; init; }

    public bool AllowOther { get; init; }

    public IoUringMode IoUring { get; init; }

    public bool Background { get; init; }

    public string? LogFile { get; init; }

    public bool Verbose { get; init; }

    /// <summary>The pipe on which a background mount tells its starter how it went; null in the foreground.</summary>
    public string? ReadyHandle { get; init; }
}
