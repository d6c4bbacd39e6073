using System.Net;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine;
using OrleansFs.GrainInterfaces;

namespace OrleansFs.Hosting;

/// <summary>What a process that serves a copy is told.</summary>
public sealed record OrleansFsHostOptions
{
    /// <summary>The volume: its folder, the copy's name (which is the silo's), memory. Required.</summary>
    public required VolumeOptions Volume { get; init; }

    /// <summary>Master by default.</summary>
    public CopyRole Role { get; init; } = CopyRole.Master;

    /// <summary>Where the cluster keeps its membership. By default <c>cluster.db</c> in the data folder: a cluster of one.</summary>
    public ClusterConnection? Cluster { get; init; }

    /// <summary>Tells clusters that share a database apart.</summary>
    public string ClusterId { get; init; } = ClusterConnection.DefaultClusterId;

    /// <summary>The address under which others reach this silo, and the only one it listens on. Loopback by default: nobody but this host.</summary>
    public IPAddress Advertise { get; init; } = IPAddress.Loopback;

    /// <summary>Port for other silos. By default one that is free.</summary>
    public int? SiloPort { get; init; }

    /// <summary>Port for mounts in their own process and other programs. By default one that is free.</summary>
    public int? GatewayPort { get; init; }

    /// <summary>
    /// The copy's only user is in this process, a mount whose kernel keeps what it read and wrote without asking: sessions through the gateway are refused. False by default.
    /// </summary>
    public bool Exclusive { get; init; }

    /// <summary>Where the log goes. Nowhere by default. <see cref="HostLogging.Configure"/> sets the levels that a user's terminal should see.</summary>
    public ILoggerFactory? Loggers { get; init; }

    /// <summary>The clock. The system's by default.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
