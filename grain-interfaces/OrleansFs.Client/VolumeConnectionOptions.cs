using Microsoft.Extensions.Logging;
using OrleansFs.GrainInterfaces;

namespace OrleansFs.Client;

/// <summary>How a program reaches a cluster.</summary>
public sealed record VolumeConnectionOptions
{
    /// <summary>Where the cluster keeps its membership. Required.</summary>
    public required ClusterConnection Cluster { get; init; }

    /// <summary>Tells clusters that share a database apart.</summary>
    public string ClusterId { get; init; } = ClusterConnection.DefaultClusterId;

    /// <summary>How long connecting is tried. 30 seconds by default: a second or two on a machine that has nothing else to do, and much of that is the start of a new process, which a busy one makes long.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Where the log goes. Nowhere by default.</summary>
    public ILoggerFactory? Loggers { get; init; }

    /// <summary>The clock. The system's by default.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>A cluster cannot be reached: one line that says why.</summary>
public sealed class VolumeConnectionException(string message, Exception? inner = null) : Exception(message, inner);
