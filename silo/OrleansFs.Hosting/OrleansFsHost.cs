using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans;
using OrleansFs.Engine;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains;
using OrleansFs.Grains.Sessions;
using OrleansFs.Hosting.Cluster;
using OrleansFs.Model;

namespace OrleansFs.Hosting;

/// <summary>
/// A copy of a volume and the silo that serves it, inside any process: the silo's executable, and a mount that embeds it.
/// </summary>
/// <remarks>
/// <para>Order: the volume is open before the silo serves, and closed after the silo has stopped. A mount in this process needs the volume only, and may work on it (<see cref="Volume"/>)
/// while the silo is still starting: <see cref="OpenAsync"/>, then <see cref="StartAsync(CancellationToken)"/>.</para>
/// <para>The volume does not depend on the cluster: while its database or the other silos are away, or after they have given this silo up, the volume is served to who is here, and the silo joins again as soon as it can.</para>
/// <para>Not for use by several threads, but for <see cref="Volume"/>, <see cref="Silo"/> and <see cref="ClusterTrouble"/>.</para>
/// </remarks>
public sealed partial class OrleansFsHost : IAsyncDisposable
{
    private readonly OrleansFsHostOptions _options;
    private readonly ClusterConnection _cluster;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly VolumeCopy? _volume;
    private readonly ReplicaReceiver? _receiver;
    private readonly CopySessions _sessions;
    private Epoch? _promotedIn;
    private bool _isClaimed;
    private bool _isStopped;

    private OrleansFsHost(OrleansFsHostOptions options, ILoggerFactory loggers, CopyName copy, string folder, VolumeCopy? volume, ReplicaReceiver? receiver)
    {
        _options = options;
        _loggers = loggers;
        _logger = loggers.CreateLogger<OrleansFsHost>();
        _cluster = options.Cluster ?? ClusterConnection.Sqlite(Path.Combine(folder, "cluster.db"));
        Copy = copy;
        DataFolder = folder;
        _volume = volume;
        _receiver = receiver;
        _sessions = new CopySessions(
            volume is not null ? new EngineCopy(volume) : new ReplicaCopy(receiver!, copy), options.Time, options.Exclusive, loggers.CreateLogger<CopySessions>());
        if (volume is not null)
            EndSessionsOf(volume);
    }

    /// <summary>The name of the copy.</summary>
    public CopyName Copy { get; }

    public string DataFolder { get; }

    /// <summary>The copy. Open until <see cref="StopAsync"/>.</summary>
    /// <exception cref="InvalidOperationException">A replica in an empty folder has had no contact with its master yet.</exception>
    public VolumeCopy Volume => _volume ?? _receiver?.Volume ?? throw new InvalidOperationException($"the replica '{Copy}' holds nothing yet");

    /// <summary>The receiving end of replication; null on the silo of a master.</summary>
    public ReplicaReceiver? Receiver => _receiver;

    /// <summary>Where the cluster keeps its membership.</summary>
    public ClusterConnection Cluster => _cluster;

    /// <summary>What <c>silo.json</c> says; null while this copy is in no cluster.</summary>
    public SiloFile? Silo { get; private set; }

    /// <summary>Why others cannot find this copy now, in one line; null while it is in its cluster and the cluster's database answers.</summary>
    public string? ClusterTrouble => _away ?? (_run?.Watch?.Trouble is { } trouble ? $"the cluster's database cannot be reached: {trouble}" : null);

    /// <summary>That this run has made a volume beside others of the cluster, in one line: an empty folder may be one whose disk is not mounted. Else null.</summary>
    public string? NewVolumeNotice { get; private set; }

    /// <summary>That this run serves a master although a replica was asked for, in one line; null where it does not.</summary>
    public string? PromotionNotice => _promotedIn is { } epoch && Volume.FencedBy is null
        ? $"'{Copy}' was made the master by a promotion, in epoch {epoch}, and is served as that: start it with --role master from now on"
        : null;

    /// <summary>Calls grains from within this process.</summary>
    /// <exception cref="InvalidOperationException">The silo has not started, or is in no cluster now.</exception>
    public IGrainFactory Grains => Services.GetRequiredService<IGrainFactory>();

    private IServiceProvider Services => _run?.Host.Services ?? throw new InvalidOperationException("the silo has not started");

    /// <summary>The volume for a mount in this process, beside those in others: each hears of what the others change.</summary>
    public IVolumeAccess OpenBeside(ICacheHolder mount, AccessTimes accessTimes = AccessTimes.Relative) => _sessions.OpenBeside(mount, accessTimes);

    /// <summary>Opens the volume and starts the silo.</summary>
    /// <exception cref="VolumeException">The volume cannot be opened: one line that says why.</exception>
    /// <exception cref="HostException">The silo cannot be started: one line that says why.</exception>
    public static async Task<OrleansFsHost> StartAsync(OrleansFsHostOptions options, CancellationToken cancellation)
    {
        var host = await OpenAsync(options, cancellation);
        try
        {
            await host.StartAsync(cancellation);
            return host;
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    /// <summary>Opens the volume, not yet the silo.</summary>
    /// <exception cref="VolumeException">The volume cannot be opened: one line that says why.</exception>
    public static async Task<OrleansFsHost> OpenAsync(OrleansFsHostOptions options, CancellationToken cancellation)
    {
        var loggers = options.Loggers ?? NullLoggerFactory.Instance;
        if (options.Role == CopyRole.Replica)
            return await OpenReplicaAsync(options, loggers, cancellation);
        return await OpenMasterAsync(options, loggers, cancellation);
    }

    private static async Task<OrleansFsHost> OpenMasterAsync(OrleansFsHostOptions options, ILoggerFactory loggers, CancellationToken cancellation)
    {
        var volume = await VolumeCopy.OpenAsync(options.Volume, loggers, options.Time, cancellation);
        return new OrleansFsHost(options, loggers, volume.Copy, volume.DataFolder, volume, null);
    }

    private static async Task<OrleansFsHost> OpenReplicaAsync(OrleansFsHostOptions options, ILoggerFactory loggers, CancellationToken cancellation)
    {
        if (options.Volume.Copy is not { } copy || options.Cluster is null)
            throw new HostException("a replica needs a name, and a cluster in which its master finds it");
        ReplicaReceiver receiver;
        try
        {
            // An empty folder becomes a copy when a master first says hello; what a silo writes down there it writes before. The receiver has made and locked it.
            receiver = await ReplicaReceiver.OpenAsync(options.Volume, loggers, options.Time, cancellation);
        }
        catch (PromotedException e)
        {
            // What starts it, such as a service, says what it was before. Whether another has taken over since is found out as for any master: by the claim in the cluster, before it serves.
            var host = await OpenMasterAsync(options with { Role = CopyRole.Master }, loggers, cancellation);
            host._promotedIn = e.Epoch;
            return host;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            string folder = Path.GetFullPath(options.Volume.DataFolder);
            throw new HostException(File.Exists(folder) ? $"{folder} is a file; name a folder for the copy" : $"{folder} cannot be used: {e.Message}", e);
        }
        return new OrleansFsHost(options, loggers, copy, Path.GetFullPath(options.Volume.DataFolder), null, receiver);
    }

    /// <summary>
    /// Claims the volume for this copy in the cluster's database, or finds that another has taken over: then this one is read-only from now on (<see cref="VolumeCopy.FencedBy"/>). Part of the start of a silo; done before
    /// it by a process that has to know.
    /// </summary>
    /// <remarks>Where the database cannot be reached, a folder that was served in this cluster before is served all the same (<see cref="ClusterTrouble"/>).</remarks>
    /// <exception cref="HostException">Another copy is the master, or nobody can say: one line that says so.</exception>
    public async Task ClaimAsync(CancellationToken cancellation)
    {
        if (_isClaimed || _receiver is not null || Volume.ReadOnly)
            return;
        try
        {
            await ClusterSchema.PrepareAsync(_cluster, cancellation);
            await ClaimOrFenceAsync(Volume, isMember: false, cancellation);
        }
        catch (ClusterAwayException e)
        {
            GoAlone(e);
        }
    }

    /// <summary>Starts the silo: when this returns, grains of this copy can be called, here and through the gateway; or the cluster cannot be reached (<see cref="ClusterTrouble"/>), and that will be when it can.</summary>
    /// <exception cref="HostException">One line that says why it cannot be started.</exception>
    public async Task StartAsync(CancellationToken cancellation)
    {
        if (_receiver is { } receiver)
            ClaimWhenPromoted(receiver);
        if (_away is null)
        {
            try
            {
                await JoinAsync(cancellation);
            }
            catch (ClusterAwayException e)
            {
                GoAlone(e);
            }
        }
        _sessions.BeginGrace();
        _membership = Task.Run(StayAsync, CancellationToken.None);
    }

    /// <summary>Tells other processes that the folder is about to be let go. <see cref="StopAsync"/> does too; who knows earlier says so earlier.</summary>
    public void AnnounceEnd()
    {
        _volume?.AnnounceEnd();
        _receiver?.AnnounceEnd();
    }

    /// <summary>Stops the silo, then settles, commits and closes the volume. May be called more than once.</summary>
    /// <exception cref="VolumeException">Something could not be brought to disk.</exception>
    public async Task StopAsync()
    {
        if (_isStopped)
            return;
        _isStopped = true;
        AnnounceEnd();
        try
        {
            if ((_volume ?? _receiver?.Volume) is { } volume)
                await volume.SettleAsync(Limits.StopTimeout);
            await _stopping.CancelAsync();
            await EndsAsync(_membership, Limits.StopTimeout);
            if (_run is { } run)
                await LeaveAsync(run, ClusterTrouble is null ? Limits.StopTimeout : Limits.LostStopTimeout);
            // Removed while the folder's lock is still held: the next process writes its own. Of one that an earlier run left, the row may still be in the membership.
            if (_ownsSiloFile)
                SiloFile.Delete(DataFolder);
        }
        finally
        {
            _sessions.Dispose();
            await (_receiver?.CloseAsync() ?? Volume.CloseAsync());
            _stopping.Dispose();
        }
    }

    public async ValueTask DisposeAsync() => await StopAsync();
}
