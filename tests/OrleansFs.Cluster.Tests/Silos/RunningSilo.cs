using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Engine;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>A silo in this process, on loopback and on a real folder, and what a client of it needs.</summary>
internal sealed class RunningSilo : IAsyncDisposable
{
    private readonly List<IAsyncDisposable> _clients = [];

    private RunningSilo(OrleansFsHost host, TestLog log)
    {
        Host = host;
        Log = log;
    }

    public OrleansFsHost Host { get; }

    public TestLog Log { get; }

    public CopyName Copy => Host.Volume.Copy;

    public static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static async Task<RunningSilo> StartAsync(string folder, string name = "master", ClusterConnection? cluster = null, int? gatewayPort = null, Func<VolumeOptions, VolumeOptions>? with = null)
    {
        var log = new TestLog();
        var volume = new VolumeOptions { DataFolder = folder, Copy = CopyName.Parse(name), Memory = 64 << 20 };
        var options = new OrleansFsHostOptions
        {
            Volume = with?.Invoke(volume) ?? volume,
            Cluster = cluster,
            GatewayPort = gatewayPort,
            Loggers = log.Factory,
        };
        return new RunningSilo(await OrleansFsHost.StartAsync(options, Cancellation), log);
    }

    /// <summary>A connection as from another process: through the gateway.</summary>
    public async Task<VolumeConnection> ConnectAsync()
    {
        var connection = await VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = Host.Cluster, Loggers = Log.Factory }, Cancellation);
        _clients.Add(connection);
        return connection;
    }

    public async Task<GrainVolumeAccess> MountAsync(VolumeConnection connection, ICacheHolder? holder = null, TimeSpan? patience = null)
    {
        var options = new RemoteVolumeOptions { Client = "test", Patience = patience ?? TimeSpan.FromSeconds(30) };
        var access = await GrainVolumeAccess.AttachAsync(connection, Copy, holder ?? new Holder(), options, Cancellation);
        _clients.Insert(0, access);
        return access;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients)
            await client.DisposeAsync();
        await Host.DisposeAsync();
    }
}
