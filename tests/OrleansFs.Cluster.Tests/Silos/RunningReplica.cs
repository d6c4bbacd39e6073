using Orleans;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Engine;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>The silo of a replica in this process, on a real folder, which may be empty.</summary>
internal sealed class RunningReplica : IAsyncDisposable
{
    private RunningReplica(OrleansFsHost host, TestLog log)
    {
        Host = host;
        Log = log;
    }

    public OrleansFsHost Host { get; }

    public ReplicaReceiver Receiver => Host.Receiver!;

    public TestLog Log { get; }

    public IGrainFactory Grains => Host.Grains;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static async Task<RunningReplica> StartAsync(string folder, string name, ClusterConnection cluster)
    {
        var log = new TestLog();
        var options = new OrleansFsHostOptions
        {
            Volume = new VolumeOptions { DataFolder = folder, Copy = CopyName.Parse(name), Memory = 64 << 20 },
            Role = CopyRole.Replica,
            Cluster = cluster,
            Loggers = log.Factory,
        };
        return new RunningReplica(await OrleansFsHost.StartAsync(options, Cancellation), log);
    }

    public async ValueTask DisposeAsync() => await Host.DisposeAsync();
}
