using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Messaging;
using Orleans.Runtime;
using Orleans.Runtime.Membership;
using Orleans.Serialization;
using OrleansFs.Client.Direct;
using OrleansFs.Client.Security;
using OrleansFs.Client.Transport;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>A connection to the gateways of a cluster, for any number of sessions. Lost connections are made anew by themselves.</summary>
public sealed partial class VolumeConnection : IAsyncDisposable
{
    private readonly IHost _host;
    private readonly TimeSpan _patience;
    private readonly Disruptions _disruptions;

    private VolumeConnection(IHost host, VolumeConnectionOptions options, Disruptions disruptions)
    {
        _host = host;
        _disruptions = disruptions;
        Loggers = options.Loggers ?? NullLoggerFactory.Instance;
        Time = options.Time;
        _patience = options.ConnectTimeout;
        Grains = host.Services.GetRequiredService<IGrainFactory>();
        Direct = host.Services.GetRequiredService<DirectLanes>();
    }

    /// <summary>Calls the cluster's grains.</summary>
    public IGrainFactory Grains { get; }

    /// <summary>The calls that go past Orleans' messages.</summary>
    internal DirectLanes Direct { get; }

    internal ILoggerFactory Loggers { get; }

    internal TimeProvider Time { get; }

    /// <summary>
    /// Completes when a connection to a silo is lost: an answer that was to come by it will not. Orleans itself would have the caller wait for its time-out. Taken before a call is made.
    /// </summary>
    internal Task Disruption => _disruptions.Next;

    /// <exception cref="VolumeConnectionException">No silo answered in time.</exception>
    public static async Task<VolumeConnection> ConnectAsync(VolumeConnectionOptions options, CancellationToken cancellation)
    {
        var cluster = options.Cluster;
        // SQLite would make an empty file where there is none, and then say that a table is missing.
        if (cluster.File is { } file && !File.Exists(file))
            throw new VolumeConnectionException($"{file}: there is no such file, so no silo has ever run on it");
        var secret = await ClusterSecret.ReadAsync(cluster, cancellation);
        var disruptions = new Disruptions();
        var host = Build(options, new Handshake(secret, options.Time), disruptions);
        try
        {
            using var patience = new CancellationTokenSource(options.ConnectTimeout, options.Time);
            using var linked = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellation);
            await host.StartAsync(linked.Token);
            ((ReachableGateways)host.Services.GetRequiredService<IGatewayListProvider>()).Connected();
            return new VolumeConnection(host, options, disruptions);
        }
        catch (Exception e)
        {
            host.Dispose();
            cancellation.ThrowIfCancellationRequested();
            throw new VolumeConnectionException($"no silo of the cluster ({cluster}) answers: {e.GetBaseException().Message.ReplaceLineEndings(" ")}", e);
        }
    }

    /// <summary>The copies whose silos are in the cluster now.</summary>
    /// <exception cref="VolumeConnectionException">The cluster does not say.</exception>
    public async Task<IReadOnlyList<CopyDescription>> ListCopiesAsync(CancellationToken cancellation)
    {
        var silos = await ListSilosAsync(cancellation);
        // All at once: one that cannot be reached is waited for, and not for each of them in turn.
        var copies = await Task.WhenAll(silos.Select(s => CopyName.TryParse(s.SiloName, out var name) ? TryDescribeAsync(name, cancellation) : Task.FromResult<CopyDescription?>(null)));
        // A silo that leaves in this moment is one that is not there, as is one in the cluster that serves no copy.
        return [.. copies.OfType<CopyDescription>()];
    }

    /// <remarks>A silo that was killed is in the cluster until the others have struck it, and who is asked by way of it is not reached until then.</remarks>
    private async Task<MembershipEntry[]> ListSilosAsync(CancellationToken cancellation)
    {
        long began = Time.GetTimestamp();
        while (true)
        {
            try
            {
                return await Grains.GetGrain<IManagementGrain>(0).GetDetailedHosts(onlyActive: true, cancellation);
            }
            catch (Exception e) when (Interruption.Is(e))
            {
                if (Time.GetElapsedTime(began) > _patience)
                    throw new VolumeConnectionException($"the cluster does not say who is in it: {e.GetBaseException().Message.ReplaceLineEndings(" ")}", e);
            }
            await Task.Delay(Limits.FirstRetry * 5, Time, cancellation);
        }
    }

    /// <summary>The named copy, or the master's where no name is given: not one that was the master before, for it lacks what was written since.</summary>
    /// <exception cref="VolumeConnectionException">There is none.</exception>
    public async Task<CopyDescription> FindCopyAsync(CopyName? name, CancellationToken cancellation)
    {
        if (name is { } wanted)
            return Understood(await TryDescribeAsync(wanted, cancellation) ?? throw new VolumeConnectionException($"the copy '{wanted}' is not in the cluster now"));
        var masters = (await ListCopiesAsync(cancellation)).Where(c => c.Role == CopyRole.Master).ToList();
        if (masters.DistinctBy(c => c.Volume).Count() > 1)
            throw new VolumeConnectionException($"the cluster has several volumes ({string.Join(", ", masters.Select(c => c.Copy))}): name a copy");
        return NewestMaster(masters) is { } newest ? Understood(newest) : throw NoMaster(masters, "no master is in the cluster now");
    }

    /// <summary>Of two masters of one volume, one has been fenced and does not know it yet. Null where there is none, or only such as know it.</summary>
    private static CopyDescription? NewestMaster(IEnumerable<CopyDescription> copies)
    {
        var masters = copies.Where(c => c is { Role: CopyRole.Master, FencedBy: null }).ToList();
        return masters.Count == 0 ? null : masters.MaxBy(c => c.Epoch.Value);
    }

    /// <param name="copies">Those of the volume that are there: a former master among them is named, with what can be done.</param>
    /// <param name="what">That none is there.</param>
    private static VolumeConnectionException NoMaster(IEnumerable<CopyDescription> copies, string what)
    {
        var former = copies.Where(c => c.FencedBy is not null).ToList();
        return new(former.Count == 0
            ? what
            : $"{what}: '{former[0].Copy}' was it until the epoch {former.Max(c => c.FencedBy!.Value.Value)} began, and lacks what was written since; start the master again ('orleansfs mount --copy {former[0].Copy}' reads what that one has)");
    }

    public async ValueTask DisposeAsync()
    {
        await Direct.DisposeAsync();
        await _host.StopAsync();
        if (_host is IAsyncDisposable disposable)
            await disposable.DisposeAsync();
        else
            _host.Dispose();
    }

    /// <summary>The copy, where what is said to it means the same there as here.</summary>
    /// <exception cref="VolumeConnectionException">It does not.</exception>
    private static CopyDescription Understood(CopyDescription copy) =>
        Contract.Mismatch($"the copy '{copy.Copy}'", copy.Contract) is { } mismatch ? throw new VolumeConnectionException(mismatch) : copy;

    private async Task<CopyDescription?> TryDescribeAsync(CopyName name, CancellationToken cancellation)
    {
        try
        {
            var result = await Grains.GetGrain<ICopyGrain>(new CopyGrainKey(name).ToString()).DescribeAsync(cancellation).AsTask().WaitAsync(Limits.DescribeTimeout, Time, cancellation);
            return result.TryGet(out var copy, out _) ? copy : null;
        }
        catch (Exception e) when (Interruption.Is(e))
        {
            return null;
        }
    }

    private static IHost Build(VolumeConnectionOptions options, Handshake handshake, Disruptions disruptions)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Services.AddSingleton<ILoggerFactory>(new ExpectedLosses(options.Loggers ?? NullLoggerFactory.Instance));
        builder.Services.AddSingleton(options.Time);
        builder.UseOrleansClient(client =>
        {
            client.Configure<ClusterOptions>(o =>
            {
                o.ClusterId = options.ClusterId;
                o.ServiceId = ClusterConnection.ServiceId;
            });
            client.UseAdoNetClustering(o =>
            {
                o.Invariant = options.Cluster.Invariant;
                o.ConnectionString = options.Cluster.ConnectionString;
            });
            client.Services.AddSingleton<AdoNetGatewayListProvider>();
            client.Services.Replace(ServiceDescriptor.Singleton<IGatewayListProvider>(services => new ReachableGateways(services.GetRequiredService<AdoNetGatewayListProvider>(), options.Time)));
            client.AddGatewayCountChangedHandler((_, change) =>
            {
                if (change.NumberOfConnectedGateways < change.PreviousNumberOfConnectedGateways)
                    disruptions.Occur();
            });
            SocketTransport.Use(client.Services);
            client.Services.AddSingleton(services => new DirectLanes(services.GetRequiredService<Serializer>(), handshake, options.Time, services.GetRequiredService<ILoggerFactory>()));
            client.Services.AddSingleton<IOutgoingGrainCallFilter>(services => services.GetRequiredService<DirectLanes>());
            client.Configure<ClientConnectionOptions>(o => o.ConfigureConnection(handshake.Call));
            client.Configure<GatewayOptions>(o => o.GatewayListRefreshPeriod = Limits.GatewayRefresh);
            client.Configure<ClientMessagingOptions>(o =>
            {
                o.ResponseTimeout = GrainInterfaces.Limits.CallTimeout;
                // A change or a lock is done or it is not: the caller learns which.
                o.WaitForCancellationAcknowledgement = true;
            });
            client.UseConnectionRetryFilter(async (_, cancellation) =>
            {
                await Task.Delay(Limits.FirstRetry * 5, options.Time, cancellation);
                return true;
            });
        });
        return builder.Build();
    }

    private sealed class Disruptions
    {
        private TaskCompletionSource _next = New();

        public Task Next => Volatile.Read(ref _next).Task;

        public void Occur() => Interlocked.Exchange(ref _next, New()).SetResult();

        /// <summary>Who waits is woken on threads of the pool: what occurs is told by Orleans' own thread.</summary>
        private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
