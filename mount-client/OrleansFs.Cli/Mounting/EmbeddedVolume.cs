using Microsoft.Extensions.Logging;
using OrleansFs.Cli.Control;
using OrleansFs.Cli.Output;
using OrleansFs.Engine;
using OrleansFs.Engine.Check;
using OrleansFs.Hosting;
using OrleansFs.Model;
using OrleansFs.Mount;

namespace OrleansFs.Cli.Commands;

/// <summary>A volume served by this process.</summary>
internal sealed class EmbeddedVolume : IAsyncDisposable
{
    private readonly OrleansFsHost _host;
    private readonly LocalSession _own;

    private EmbeddedVolume(OrleansFsHost host)
    {
        _host = host;
        _own = host.Volume.OpenSession(new HoldsNothing());
    }

    public string Name => _host.Volume.Name;

    /// <summary>Completes, with the reason, when the silo can no longer be part of its cluster.</summary>
    public Task<Exception> Lost => _host.Lost;

    /// <summary>Opens the volume of a folder; makes one only where the options say so.</summary>
    public static async Task<EmbeddedVolume> OpenAsync(VolumeOptions options, ILoggerFactory loggers, CancellationToken cancellation) =>
        new(await OrleansFsHost.OpenAsync(new OrleansFsHostOptions { Volume = options, Loggers = loggers, Time = KernelTime.Instance }, cancellation));

    /// <summary>Starts the silo: from then on the volume's grains can be called.</summary>
    public Task StartSiloAsync(CancellationToken cancellation) => _host.StartAsync(cancellation);

    /// <summary>The volume for one mount.</summary>
    public IVolumeAccess OpenSession(IInodeHolder holder) => _host.Volume.OpenSession(holder);

    public ValueTask<FsResult<VolumeStatus>> StatusAsync(CancellationToken cancellation) => _own.GetStatusAsync(cancellation);

    /// <summary>Deletes what nothing refers to.</summary>
    public async Task<CollectResult> CollectAsync(bool dryRun, IProgress<WorkProgress> progress, CancellationToken cancellation)
    {
        var steps = new Relay<CollectionReport>(r => progress.Report(new("collecting blocks", r.Blocks + r.Strays, null)));
        var report = await _host.Volume.CollectAsync(TimeSpan.Zero, dryRun, steps, cancellation);
        return new CollectResult(report.Blocks, report.Strays, report.Bytes);
    }

    /// <summary>Commits everything and lets the folder go.</summary>
    public async ValueTask DisposeAsync()
    {
        _own.Dispose();
        await _host.StopAsync();
    }

    /// <summary>A session that asks about the volume and never about an inode.</summary>
    private sealed class HoldsNothing : IInodeHolder
    {
        public bool Holds(InodeNumber inode) => false;
    }
}
