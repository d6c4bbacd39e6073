using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using OrleansFs.Client;
using OrleansFs.Client.Security;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains;

namespace OrleansFs.Hosting;

/// <summary>Builds the Orleans silo of a host: small, quiet, and quick to start.</summary>
internal static class SiloBuilding
{
    public static IHost Build(OrleansFsHostOptions options, ClusterConnection cluster, IVolumeCopy copy, ClusterSecret secret, ILoggerFactory loggers)
    {
        // An empty builder: no configuration files, no environment, no console lifetime; the process's owner decides on all of that.
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Services.AddSingleton<ILoggerFactory>(new ExpectedLosses(loggers));
        builder.Services.AddSingleton(options.Time);
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = Limits.StopTimeout);
        builder.UseOrleans(silo => Configure(silo, options, cluster, copy, new Handshake(secret, options.Time)));
        return builder.Build();
    }

    private static void Configure(ISiloBuilder silo, OrleansFsHostOptions options, ClusterConnection cluster, IVolumeCopy copy, Handshake handshake)
    {
        silo.Configure<ClusterOptions>(o =>
        {
            o.ClusterId = options.ClusterId;
            o.ServiceId = ClusterConnection.ServiceId;
        });
        silo.Configure<SiloOptions>(o => o.SiloName = copy.Description.Copy.Value);
        silo.Configure<EndpointOptions>(o =>
        {
            o.AdvertisedIPAddress = options.Advertise;
            o.SiloPort = options.SiloPort ?? FreePort(options.Advertise);
            o.GatewayPort = options.GatewayPort ?? FreePort(options.Advertise);
        });
        silo.UseAdoNetClustering(o =>
        {
            o.Invariant = cluster.Invariant;
            o.ConnectionString = cluster.ConnectionString;
        });
        silo.AddAdoNetGrainStorageAsDefault(o =>
        {
            o.Invariant = cluster.Invariant;
            o.ConnectionString = cluster.ConnectionString;
            o.DeleteStateOnClear = true;
        });
        silo.Configure<ClusterMembershipOptions>(o =>
        {
            o.ProbeTimeout = Limits.ProbeTimeout;
            o.IAmAliveTablePublishTimeout = Limits.AliveTick;
            o.TableRefreshTimeout = Limits.TableRefresh;
        });
        silo.Configure<GrainCollectionOptions>(o =>
        {
            o.CollectionQuantum = Limits.CollectionTick;
            o.CollectionAge = Limits.FileIdle;
        });
        silo.Configure<GrainDirectoryOptions>(o => o.CacheSize = Limits.PlacesRemembered);
        silo.Configure<SiloMessagingOptions>(o =>
        {
            o.ResponseTimeout = GrainInterfaces.Limits.CallTimeout;
            // A lock that is waited for is granted or it is not: the caller learns which.
            o.WaitForCancellationAcknowledgement = true;
        });
        silo.Configure<SiloConnectionOptions>(o =>
        {
            o.ConfigureSiloInboundConnection(handshake.Listen);
            o.ConfigureSiloOutboundConnection(handshake.Call);
            o.ConfigureGatewayInboundConnection(handshake.Listen);
        });
        silo.Services.AddSingleton<FatalErrors>();
        silo.Services.AddSingleton<IFatalErrorHandler>(services => services.GetRequiredService<FatalErrors>());
        silo.AddOrleansFsGrains(copy, options.Time, options.Exclusive);
    }

    /// <summary>A port that nobody uses at this moment. Somebody may take it before the silo does: then the start is tried again.</summary>
    private static int FreePort(IPAddress address)
    {
        using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(address, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
