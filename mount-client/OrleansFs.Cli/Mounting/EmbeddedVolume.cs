using Microsoft.Extensions.Logging;
using OrleansFs.Cli.Control;
using OrleansFs.Cli.Output;
using OrleansFs.Client;
using OrleansFs.Engine;
using OrleansFs.Engine.Check;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting;
using OrleansFs.Hosting.Command;
using OrleansFs.Model;
using OrleansFs.Mount;

namespace OrleansFs.Cli.Commands;

/// <summary>A volume served by this process.</summary>
internal sealed class EmbeddedVolume : IServedVolume
{
    private readonly OrleansFsHost _host;
    private readonly LocalSession _own;

    private EmbeddedVolume(OrleansFsHost host)
    {
        _host = host;
        _own = host.Volume.OpenSession(new HoldsNothing());
    }

    public string What => $"volume {_host.Volume.Name} of {_host.Volume.DataFolder}";

    public string ControlFolder => _host.Volume.DataFolder;

    /// <summary>In a cluster others may mount the copy too; in none, its silo admits nobody.</summary>
    public MountPolicy Policy { get; private init; } = MountPolicy.Alone;

    private AccessTimes AccessTimes { get; init; }

    public bool ReadOnly => _host.Volume.ReadOnly;

    /// <summary>Opens the volume of a folder at rest, and waits for a process that is about to let it go.</summary>
    public static Task<EmbeddedVolume> OpenAsync(VolumeOptions options, ILoggerFactory loggers, CancellationToken cancellation) => FolderHandover.OpenAsync(
        options.DataFolder, async () => new EmbeddedVolume(await OpenHostAsync(new OrleansFsHostOptions { Volume = options, Loggers = loggers }, cancellation)), Console.Error.WriteLine, cancellation);

    /// <summary>Opens the volume that a mount serves.</summary>
    /// <exception cref="HostException">One line that says what is wrong with which option.</exception>
    public static async Task<EmbeddedVolume> OpenAsync(MountRequest request, string folder, ILoggerFactory loggers, CancellationToken cancellation)
    {
        var volume = request.Replication.ApplyTo(new VolumeOptions
        {
            DataFolder = folder,
            Copy = request.Name is { } name ? SiloNetwork.ParseName("--name", name) : null,
            BlockSize = (int)Math.Min(request.BlockSize, int.MaxValue),
            Memory = request.Memory,
            ReadOnly = request.ReadOnly,
        });
        bool isAlone = request.Network.Cluster is null;
        var host = await OpenHostAsync(request.Network.ApplyTo(new OrleansFsHostOptions { Volume = volume, Loggers = loggers, Exclusive = isAlone }), cancellation);
        if (!isAlone)
            await ClaimAsync(host, cancellation);
        // With replicas a call may wait for one of them: a program that waits with it can be interrupted.
        return new(host) { Policy = isAlone ? MountPolicy.Alone : MountPolicy.Beside with { Cancellable = true }, AccessTimes = request.AccessTimes };
    }

    public string? Notice
    {
        get
        {
            string? alone = _host.ClusterTrouble is { } trouble
                ? $"{trouble}: what is written stays on this machine until it answers, and should another copy have been made the master meanwhile, is read-only then and copied out with 'orleansfs export'"
                : null;
            return string.Join('\n', new[] { _host.Volume.FenceTrouble, _host.NewVolumeNotice, alone }.OfType<string>()) is { Length: > 0 } notice ? notice : null;
        }
    }

    /// <summary>Starts the silo: from then on the volume's grains can be called.</summary>
    public Task StartAsync(CancellationToken cancellation) => _host.StartAsync(cancellation);

    public void AnnounceEnd() => _host.AnnounceEnd();

    public IVolumeAccess OpenSession(ICacheHolder holder) =>
        ReferenceEquals(Policy, MountPolicy.Alone) ? _host.Volume.OpenSession(holder, AccessTimes) : _host.OpenBeside(holder, AccessTimes);

    public async ValueTask<FsResult<VolumeStatus>> StatusAsync(CancellationToken cancellation)
    {
        var status = await _own.GetStatusAsync(cancellation);
        return status.TryGet(out var value, out _) && value.Trouble is null && _host.ClusterTrouble is { } trouble ? value with { Trouble = trouble } : status;
    }

    public async Task<CollectResult> CollectAsync(bool dryRun, IProgress<WorkProgress> progress, CancellationToken cancellation)
    {
        var steps = new Relay<CollectionReport>(r => progress.Report(new("collecting blocks", r.Blocks + r.Strays, null)));
        var report = await _host.Volume.CollectAsync(TimeSpan.Zero, dryRun, steps, cancellation);
        return new CollectResult(report.Blocks, report.Strays, report.Bytes);
    }

    public Task<MasterReport> ReplicasAsync(CancellationToken cancellation)
    {
        RequireMaster();
        return Task.Run(_host.Volume.Replication.Measure, cancellation);
    }

    public async Task<DrainStep> DrainAsync(int copies, Lsn? target, CancellationToken cancellation)
    {
        if (ReferenceEquals(Policy, MountPolicy.Alone))
            throw new CommandException("no replica can follow this mount: mount the folder with --cluster, and start a replica with 'orleansfs silo --role replica'");
        RequireMaster();
        var step = await Task.Run(() => _host.Volume.Replication.DrainStepAsync(copies, target, GrainInterfaces.Limits.DrainWait, cancellation), cancellation);
        // Another may have taken over meanwhile.
        RequireMaster();
        return step.TryGet(out var reached, out var error)
            ? new DrainStep { Target = reached.Target, Reached = reached.Reached, Copies = reached.Copies, IsDone = reached.Copies >= copies }
            : throw new CommandException($"not everything could be brought to disk here: {error}");
    }

    public async Task<IReadOnlyList<CopyVerification>> VerifyAsync(CopyName? copy, VerificationAction action, CancellationToken cancellation)
    {
        var reports = new List<CopyVerification>();
        var own = _host.Volume;
        if (copy is null || copy == own.Copy)
        {
            var verified = await Task.Run(() => own.Verify(action), cancellation);
            reports.Add(new CopyVerification(own.Copy, verified.TryGet(out var report, out var error) ? report : throw new CommandException($"the copy '{own.Copy}' cannot be verified: {error}")));
        }
        foreach (var replica in own.Replication.Reports().Where(r => r.State != ReplicaState.Away && (copy is null || copy.Value.Value == r.Name)))
        {
            var grain = _host.Grains.GetGrain<ICopyGrain>(new CopyGrainKey(CopyName.Parse(replica.Name)).ToString());
            var verified = await grain.VerifyAsync(action, cancellation);
            reports.Add(new CopyVerification(CopyName.Parse(replica.Name), verified.TryGet(out var report, out var error) ? report : throw new CommandException($"the copy '{replica.Name}' cannot be verified: {error}")));
        }
        return reports.Count > 0 ? reports : throw new CommandException($"the copy '{copy}' is not there now");
    }

    public async ValueTask DisposeAsync()
    {
        _own.Dispose();
        await _host.StopAsync();
    }

    /// <exception cref="CommandException">Another copy has taken over: this one knows nothing of what is newer, nor of who has it.</exception>
    private void RequireMaster()
    {
        if (_host.Volume.FenceTrouble is { } fence)
            throw new CommandException($"{fence}; name the cluster in place of the mount point to ask the master that is there now");
    }

    /// <summary>Before the mount is made: where another copy has taken over, the kernel is told that nothing can be written.</summary>
    private static async Task ClaimAsync(OrleansFsHost host, CancellationToken cancellation)
    {
        try
        {
            await host.ClaimAsync(cancellation);
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    private static Task<OrleansFsHost> OpenHostAsync(OrleansFsHostOptions options, CancellationToken cancellation) =>
        OrleansFsHost.OpenAsync(options with { Time = KernelTime.Instance }, cancellation);

    /// <summary>A session that asks about the volume and never about an inode.</summary>
    private sealed class HoldsNothing : IInodeHolder
    {
        public bool Holds(InodeNumber inode) => false;
    }
}
