using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>How a program works on a volume.</summary>
public sealed record VolumeClientOptions
{
    /// <summary>The copy to work on, by the name of its silo. The master's by default; a replica's is read-only.</summary>
    public CopyName? Copy { get; init; }

    /// <summary>Who the program is, for the copy's log. The machine's and the program's name by default.</summary>
    public string? Client { get; init; }

    /// <summary>How long connecting is tried. 30 seconds by default.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a call is made again while the copy cannot be reached, before it answers <c>EIO</c>. A minute by default; <see cref="Timeout.InfiniteTimeSpan"/> waits for ever.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Owner of what is made. Root by default.</summary>
    public uint Uid { get; init; }

    /// <summary>Group of what is made. Root's by default.</summary>
    public uint Gid { get; init; }

    /// <summary>Where the log goes. Nowhere by default.</summary>
    public ILoggerFactory? Loggers { get; init; }

    /// <summary>The clock. The system's by default.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
