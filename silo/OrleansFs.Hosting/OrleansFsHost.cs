using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Configuration;
using Orleans.Runtime;
using OrleansFs.Client;
using OrleansFs.Client.Security;
using OrleansFs.Engine;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains;
using OrleansFs.Hosting.Cluster;
using OrleansFs.Model;

namespace OrleansFs.Hosting;

/// <summary>
/// A copy of a volume and the silo that serves it, inside any process: the silo's executable, and a mount that embeds it.
/// </summary>
/// <remarks>
/// <para>Order: the volume is open before the silo serves, and closed after the silo has stopped. A mount in this process needs the volume only, and may work on it (<see cref="Volume"/>)
/// while the silo is still starting: <see cref="OpenAsync"/>, then <see cref="StartAsync(CancellationToken)"/>.</para>
/// <para>Not for use by several threads, but for <see cref="Volume"/> and <see cref="Lost"/>.</para>
/// </remarks>
public sealed class OrleansFsHost : IAsyncDisposable
{
    private readonly OrleansFsHostOptions _options;
    private readonly ClusterConnection _cluster;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly TaskCompletionSource<Exception> _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly VolumeCopy? _volume;
    private readonly ReplicaReceiver? _receiver;
    private IHost? _host;
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

    /// <summary>What <c>silo.json</c> says; null before the silo has started.</summary>
    public SiloFile? Silo { get; private set; }

    /// <summary>Completes, with the reason, when the silo can no longer be part of its cluster. The volume is not harmed: the process should stop in order.</summary>
    public Task<Exception> Lost => _lost.Task;

    /// <summary>Calls grains from within this process.</summary>
    /// <exception cref="InvalidOperationException">The silo has not started.</exception>
    public IGrainFactory Grains => Services.GetRequiredService<IGrainFactory>();

    private IServiceProvider Services => _host?.Services ?? throw new InvalidOperationException("the silo has not started");

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
        var volume = await VolumeCopy.OpenAsync(options.Volume, loggers, options.Time, cancellation);
        return new OrleansFsHost(options, loggers, volume.Copy, volume.DataFolder, volume, null);
    }

    private static async Task<OrleansFsHost> OpenReplicaAsync(OrleansFsHostOptions options, ILoggerFactory loggers, CancellationToken cancellation)
    {
        if (options.Volume.Copy is not { } copy || options.Cluster is null)
            throw new HostException("a replica needs a name, and a cluster in which its master finds it");
        string folder = Path.GetFullPath(options.Volume.DataFolder);
        var receiver = await ReplicaReceiver.OpenAsync(options.Volume, loggers, options.Time, cancellation);
        // An empty folder becomes a copy when a master first says hello; what a silo writes down there it writes before.
        Directory.CreateDirectory(folder);
        return new OrleansFsHost(options, loggers, copy, folder, null, receiver);
    }

    /// <summary>
    /// Claims the volume for this copy in the cluster's database, or finds that another has taken over: then this one is read-only from now on (<see cref="VolumeCopy.FencedBy"/>). Part of the start of a silo; done before
    /// it by a process that has to know.
    /// </summary>
    /// <exception cref="HostException">Another copy is the master: one line that says so.</exception>
    public async Task ClaimAsync(CancellationToken cancellation)
    {
        if (_isClaimed || _receiver is not null || Volume.ReadOnly)
            return;
        await ClusterSchema.PrepareAsync(_cluster, cancellation);
        try
        {
            await ClaimAsync(Volume, cancellation);
        }
        catch (SupersededException e)
        {
            await Volume.FenceAsync(e.By, e.At);
        }
        _isClaimed = true;
    }

    /// <summary>Starts the silo: when this returns, grains of this copy can be called, here and through the gateway.</summary>
    /// <exception cref="HostException">One line that says why it cannot.</exception>
    public async Task StartAsync(CancellationToken cancellation)
    {
        await ClusterSchema.PrepareAsync(_cluster, cancellation);
        var secret = await ReadSecretAsync(cancellation);
        if (_receiver is { } receiver)
            ClaimWhenPromoted(receiver);
        else
            await ClaimAsync(cancellation);
        var earlier = SiloFile.Read(DataFolder);
        for (int attempt = 1; ; attempt++)
        {
            var host = SiloBuilding.Build(_options, _cluster, _receiver is null ? new EngineCopy(Volume) : new ReplicaCopy(_receiver, Copy), secret, _loggers);
            try
            {
                var table = host.Services.GetRequiredService<IMembershipTable>();
                var retirement = new EarlierRun(table, _cluster, _options.Cluster is null, Copy, _logger);
                await retirement.RetireAsync(earlier?.MemberAddress, cancellation);
                // Written before the silo joins: should it be killed in between, the next start knows its row.
                Silo = Describe(host.Services);
                Silo.Write(DataFolder);
                await host.StartAsync(cancellation);
                _host = host;
                Watch(host.Services.GetRequiredService<FatalErrors>());
                return;
            }
            catch (Exception e)
            {
                await DisposeAsync(host);
                SiloFile.Delete(DataFolder);
                Silo = null;
                if (e is HostException or OperationCanceledException)
                    throw;
                if (!IsPortTaken(e) || attempt == Limits.PortAttempts || (_options.SiloPort is not null && _options.GatewayPort is not null))
                    throw new HostException($"the silo '{Copy}' cannot be started: {Reason(e)}", e);
                _logger.LogInformation("a port was taken by another process in the meantime; trying others");
            }
        }
    }

    /// <summary>Tells other processes that the folder is about to be let go. <see cref="StopAsync"/> does too; who knows earlier says so earlier.</summary>
    public void AnnounceEnd() => (_volume ?? _receiver?.Volume)?.AnnounceEnd();

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
            if (_host is not null)
                await StopSiloAsync(_host);
        }
        finally
        {
            // Removed while the folder's lock is still held: the next process writes its own.
            SiloFile.Delete(DataFolder);
            await (_receiver?.CloseAsync() ?? Volume.CloseAsync());
        }
    }

    public async ValueTask DisposeAsync() => await StopAsync();

    private static async Task DisposeAsync(IHost host)
    {
        if (host is IAsyncDisposable disposable)
            await disposable.DisposeAsync();
        else
            host.Dispose();
    }

    private static bool IsPortTaken(Exception? e)
    {
        for (; e is not null; e = e.InnerException)
        {
            if (e is SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse } or Microsoft.AspNetCore.Connections.AddressInUseException)
                return true;
        }
        return false;
    }

    private static string Reason(Exception e) => e.GetBaseException().Message.ReplaceLineEndings(" ");

    private Task ClaimAsync(VolumeCopy volume, CancellationToken cancellation) =>
        new MasterClaim(Copy, volume.Epoch, volume.EpochStart, MasterClaim.FolderOf(DataFolder)).TakeAsync(_cluster, _options.ClusterId, volume.Id, cancellation);

    /// <summary>Where the replica becomes the master, the cluster's database says so from then on.</summary>
    private void ClaimWhenPromoted(ReplicaReceiver receiver) =>
        _ = receiver.Opened.ContinueWith(
            opened => opened.Result.Promoted = () => ClaimPromotedAsync(opened.Result), CancellationToken.None,
            TaskContinuationOptions.OnlyOnRanToCompletion | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);

    private async Task ClaimPromotedAsync(VolumeCopy volume)
    {
        try
        {
            await ClaimAsync(volume, CancellationToken.None);
        }
        catch (HostException e)
        {
            _logger.LogError(e, "the cluster's database does not say that '{Copy}' is the master now; the epoch fences the one before all the same", Copy);
        }
    }

    private async Task<ClusterSecret> ReadSecretAsync(CancellationToken cancellation)
    {
        try
        {
            return await ClusterSecret.ReadAsync(_cluster, cancellation);
        }
        catch (VolumeConnectionException e)
        {
            throw new HostException(e.Message, e);
        }
    }

    /// <summary>A silo that does not stop in time is cut short; its row in the membership is struck by the next start.</summary>
    /// <remarks>Where the cluster's database cannot be written, as on a disk that fails, Orleans goes on trying beyond the time that it is given: it is left to itself then, and ends with the process.</remarks>
    private async Task StopSiloAsync(IHost host)
    {
        using var patience = new CancellationTokenSource(Limits.StopTimeout, _options.Time);
        if (await EndsAsync(host.StopAsync(patience.Token), Limits.StopTimeout + Limits.StopGrace))
            await EndsAsync(DisposeAsync(host), Limits.StopGrace);
    }

    /// <returns>Whether it has ended, in order or not.</returns>
    private async Task<bool> EndsAsync(Task stopping, TimeSpan patience)
    {
        try
        {
            await stopping.WaitAsync(patience, _options.Time);
        }
        catch (Exception e)
        {
            _logger.LogWarning(e, "the silo did not stop in order; the volume is closed all the same");
        }
        if (stopping.IsCompleted)
            return true;
        _ = stopping.ContinueWith(late => _logger.LogWarning(late.Exception, "the silo did not stop in order"), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        return false;
    }

    private void Watch(FatalErrors errors) =>
        _ = errors.Lost.ContinueWith(lost => _lost.TrySetResult(lost.Result), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);

    private SiloFile Describe(IServiceProvider services)
    {
        var silo = services.GetRequiredService<ILocalSiloDetails>();
        var endpoints = services.GetRequiredService<IOptions<EndpointOptions>>().Value;
        return new SiloFile
        {
            Pid = Environment.ProcessId,
            Name = Copy.Value,
            Role = _options.Role == CopyRole.Master ? "master" : "replica",
            Volume = (_volume ?? _receiver?.Volume)?.Id.ToString() ?? "",
            ClusterId = _options.ClusterId,
            Silo = silo.SiloAddress.Endpoint.ToString(),
            Gateway = $"{endpoints.AdvertisedIPAddress}:{endpoints.GatewayPort}",
            Member = silo.SiloAddress.ToParsableString(),
            Started = _options.Time.GetUtcNow(),
        };
    }
}
