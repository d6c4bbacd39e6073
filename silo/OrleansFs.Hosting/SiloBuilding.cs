using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Runtime.MembershipService;
using OrleansFs.Client;
using OrleansFs.Client.Direct;
using OrleansFs.Client.Security;
using OrleansFs.Client.Transport;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains;
using OrleansFs.Grains.Sessions;
using OrleansFs.Hosting.Cluster;
using OrleansFs.Model;

namespace OrleansFs.Hosting;

/// <summary>Builds the Orleans silo of a host: small, quiet, and quick to start.</summary>
internal static class SiloBuilding
{
    public static IHost Build(OrleansFsHostOptions options, ClusterConnection cluster, CopySessions sessions, CopyName name, ClusterSecret secret, SiloListeners listeners, ILoggerFactory loggers)
    {
        // An empty builder: no configuration files, no environment, no console lifetime; the process's owner decides on all of that.
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Services.AddSingleton<ILoggerFactory>(new ExpectedLosses(loggers));
        builder.Services.AddSingleton(options.Time);
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = Limits.StopTimeout);
        builder.UseOrleans(silo => Configure(silo, options, cluster, sessions, name, listeners, new Handshake(secret, options.Time)));
        return builder.Build();
    }

    private static void Configure(ISiloBuilder silo, OrleansFsHostOptions options, ClusterConnection cluster, CopySessions sessions, CopyName name, SiloListeners listeners, Handshake handshake)
    {
        silo.Configure<ClusterOptions>(o =>
        {
            o.ClusterId = options.ClusterId;
            o.ServiceId = ClusterConnection.ServiceId;
        });
        silo.Configure<SiloOptions>(o => o.SiloName = name.Value);
        silo.Configure<EndpointOptions>(o =>
        {
            o.AdvertisedIPAddress = options.Advertise;
            o.SiloPort = ((IPEndPoint)listeners.Silo.EndPoint).Port;
            o.GatewayPort = ((IPEndPoint)listeners.Gateway.EndPoint).Port;
        });
        silo.UseAdoNetClustering(o =>
        {
            o.Invariant = cluster.Invariant;
            o.ConnectionString = cluster.ConnectionString;
        });
        silo.Services.AddSingleton<AdoNetClusteringTable>();
        silo.Services.Replace(ServiceDescriptor.Singleton<IMembershipTable>(services =>
            new MembershipView(services.GetRequiredService<AdoNetClusteringTable>(), services.GetRequiredService<ILocalSiloDetails>(), options.Time)));
        silo.AddAdoNetGrainStorageAsDefault(o =>
        {
            o.Invariant = cluster.Invariant;
            o.ConnectionString = cluster.ConnectionString;
            o.DeleteStateOnClear = true;
        });
        silo.Configure<ClusterMembershipOptions>(o =>
        {
            o.ProbeTimeout = Limits.ProbeTimeout;
            o.MaxProbeTimeout = Limits.LongestProbe;
            o.IAmAliveTablePublishTimeout = Limits.AliveTick;
            o.TableRefreshTimeout = Limits.TableRefresh;
            o.MaxJoinAttemptTime = Limits.JoinTimeout;
            // Who is gone is found out by MemberWatch: probes keep connections warm, and nobody is voted out by them, nor by how long his own clock says that he has been joining.
            o.NumMissedProbesLimit = Limits.MissedProbes;
            o.EvictWhenMaxJoinAttemptTimeExceeded = false;
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
        SocketTransport.Use(silo.Services, listeners.Silo, listeners.Gateway);
        var silence = new SilentConnections(options.Time);
        var direct = new DirectServer(new DirectTargets(sessions));
        silo.Services.AddHostedService(_ => new DirectStop(direct));
        silo.Configure<SiloConnectionOptions>(o =>
        {
            o.ConfigureSiloInboundConnection(connection => silence.Watch(Proven(connection, handshake.Listen)));
            o.ConfigureSiloOutboundConnection(connection => silence.Watch(Proven(connection, handshake.Call)));
            o.ConfigureGatewayInboundConnection(connection =>
            {
                handshake.Listen(connection);
                direct.Listen(connection);
            });
        });
        silo.Services.AddSingleton<FatalErrors>();
        silo.Services.AddSingleton<IFatalErrorHandler>(services => services.GetRequiredService<FatalErrors>());
        silo.AddOrleansFsGrains(sessions);
    }

    /// <summary>Direct connections end with the silo whose gateway took them.</summary>
    private sealed class DirectStop(DirectServer direct) : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken)
        {
            direct.Dispose();
            return Task.CompletedTask;
        }
    }

    private static IConnectionBuilder Proven(IConnectionBuilder connection, Action<IConnectionBuilder> handshake)
    {
        handshake(connection);
        return connection;
    }
}
