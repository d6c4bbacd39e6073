using System.Data.Common;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Configuration;
using Orleans.Runtime;
using OrleansFs.Client;
using OrleansFs.Client.Security;
using OrleansFs.Engine;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting.Cluster;
using OrleansFs.Model;

namespace OrleansFs.Hosting;

/// <content>The copy's place in its cluster: taken, kept, and taken anew when it was lost. The volume is open all the while.</content>
public sealed partial class OrleansFsHost
{
    private readonly CancellationTokenSource _stopping = new();
    private Task _membership = Task.CompletedTask;
    private volatile SiloRun? _run;
    private volatile string? _away;
    private bool _ownsSiloFile;

    /// <summary>One silo, from when it joined until it is lost or stopped.</summary>
    private sealed record SiloRun(IHost Host, MemberWatch? Watch, Task Watching, CancellationTokenSource Leaving);

    /// <summary>The cluster cannot be reached: a folder that was part of it is served without it.</summary>
    /// <exception cref="ClusterAwayException">It was not, or lies somewhere else than it did.</exception>
    private void GoAlone(ClusterAwayException reason)
    {
        if (ClusterRecord.Read(DataFolder) != Record)
            throw new ClusterAwayException($"{reason.Message}; a folder that was served in this cluster before, from the same place, can be started without it, and {DataFolder} was not", reason);
        _logger.LogInformation("{Reason}; the volume is served without it until it answers", reason.Message);
        _away = reason.Message;
    }

    private ClusterRecord Record => ClusterRecord.Of(DataFolder, _cluster, _options.ClusterId, Copy);

    /// <summary>Joins again whenever the silo has been lost, and as long as the cluster cannot be reached. Ends when the host stops.</summary>
    private async Task StayAsync()
    {
        var pause = Limits.FirstJoinPause;
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                if (_run is { } run)
                    await LoseAsync(run, await Services.GetRequiredService<FatalErrors>().Lost.WaitAsync(_stopping.Token));
                await JoinAsync(_stopping.Token);
                _logger.LogInformation("the copy '{Copy}' is in its cluster", Copy);
                pause = Limits.FirstJoinPause;
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                string reason = e is HostException ? e.Message : $"the silo '{Copy}' cannot be started: {Reason(e)}";
                if (_away != reason)
                    _logger.LogWarning(e is HostException ? null : e, "{Reason}; it is tried again", reason);
                _away = reason;
                await Task.Delay(pause, _options.Time, _stopping.Token).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
                pause = pause * 2 > Limits.LongestJoinPause ? Limits.LongestJoinPause : pause * 2;
            }
        }
    }

    private async Task LoseAsync(SiloRun run, Exception reason)
    {
        _logger.LogWarning("the silo '{Copy}' has lost its place in the cluster and takes it anew: {Reason}", Copy, Reason(reason));
        _away = "the silo has lost its place in the cluster";
        _run = null;
        Silo = null;
        await LeaveAsync(run, Limits.LostStopTimeout);
    }

    /// <summary>Takes a place in the cluster.</summary>
    /// <exception cref="ClusterAwayException">The cluster's database cannot be reached.</exception>
    /// <exception cref="HostException">One line that says why it cannot.</exception>
    private async Task JoinAsync(CancellationToken cancellation)
    {
        await ClusterSchema.PrepareAsync(_cluster, cancellation);
        var secret = await ReadSecretAsync(cancellation);
        if ((_volume ?? _receiver?.Volume) is { Role: VolumeRole.Master, ReadOnly: false } master)
            await ClaimOrFenceAsync(master, isMember: false, cancellation);
        var listeners = await SiloListeners.ListenAsync(_options, _logger);
        try
        {
            await JoinAsync(secret, listeners, cancellation);
        }
        catch
        {
            await listeners.DisposeAsync();
            throw;
        }
    }

    private async Task JoinAsync(ClusterSecret secret, SiloListeners listeners, CancellationToken cancellation)
    {
        // Of a copy of the folder it names a silo that may live.
        var earlier = SiloFile.Read(DataFolder) is { } file && file.Folder == MasterClaim.FolderOf(DataFolder) ? file : null;
        var host = SiloBuilding.Build(_options, _cluster, _sessions, Copy, secret, listeners, _loggers);
        try
        {
            var table = host.Services.GetRequiredService<IMembershipTable>();
            var retirement = new EarlierRun(table, _cluster, _options.Cluster is null, Copy, _options.Time, _logger);
            await retirement.RetireAsync(earlier?.MemberAddress, cancellation);
            // Written before the silo joins: should it be killed in between, the next start knows its row.
            var silo = Describe(host.Services);
            silo.Write(DataFolder);
            _sessions.Gateway = silo.Gateway;
            _ownsSiloFile = true;
            await host.StartAsync(cancellation);
            // Where the folder lay somewhere else before: nobody else has the name, so it was moved.
            if ((_volume ?? _receiver?.Volume) is { Role: VolumeRole.Master, ReadOnly: false } master)
                await ClaimOrFenceAsync(master, isMember: true, cancellation);
            Record.Write(DataFolder);
            Silo = silo;
            _run = Tend(host, table);
            _away = null;
        }
        catch (Exception e)
        {
            await EndsAsync(DisposeAsync(host), Limits.StopGrace);
            // Cut short, it may have come as far as the membership: the next start finds its row by the file.
            if (cancellation.IsCancellationRequested)
                _ownsSiloFile = false;
            cancellation.ThrowIfCancellationRequested();
            if (e is HostException or OperationCanceledException)
                throw;
            if (ClusterAwayException.Explains(e) || e is DbException)
                throw ClusterAwayException.Of(_cluster.ToString(), e);
            throw new HostException($"the silo '{Copy}' cannot be started: {Reason(e)}", e);
        }
    }

    /// <summary>What is done for the place in the cluster while there is one. A cluster of one in the data folder has nobody to watch.</summary>
    private SiloRun Tend(IHost host, IMembershipTable table)
    {
        var leaving = new CancellationTokenSource();
        if (_options.Cluster is null)
            return new SiloRun(host, null, Task.CompletedTask, leaving);
        if (_volume is { } volume)
            volume.ConfirmRole = LookAtClaimAsync;
        var watch = new MemberWatch(
            table, host.Services.GetRequiredService<IClusterMembershipService>(), host.Services.GetRequiredService<ILocalSiloDetails>(), _options.Time, _loggers.CreateLogger<MemberWatch>());
        return new SiloRun(host, watch, Task.Run(() => watch.RunAsync(LookAtClaimAsync, leaving.Token), CancellationToken.None), leaving);
    }

    /// <summary>A master that runs finds out that another has taken over, also where it cannot reach that one.</summary>
    private async Task LookAtClaimAsync(CancellationToken cancellation)
    {
        if ((_volume ?? _receiver?.Volume) is not { Role: VolumeRole.Master, ReadOnly: false } volume)
            return;
        var holder = await MasterClaim.FindAsync(_cluster, _options.ClusterId, volume.Id, cancellation);
        if (holder is null || holder.Epoch.Value < volume.Epoch.Value)
            await ClaimAsync(volume, isMember: true, cancellation);
        else if (holder.Epoch.Value > volume.Epoch.Value)
            await volume.FenceAsync(holder.Epoch, await MasterClaim.StartAfterAsync(_cluster, _options.ClusterId, volume.Id, volume.Epoch, cancellation) ?? holder.EpochStart);
        else if (holder.Copy != Copy && holder.Folder != MasterClaim.FolderOf(DataFolder))
            await volume.FenceAsync(holder.Epoch, holder.EpochStart < volume.EpochStart ? holder.EpochStart : volume.EpochStart); // Both were promoted where the database could not be asked, with force.
    }

    private Task ClaimAsync(VolumeCopy volume, bool isMember, CancellationToken cancellation) =>
        ClaimOf(volume, volume.Epoch).TakeAsync(_cluster, _options.ClusterId, volume.Id, volume.Epochs, isMember, cancellation);

    private MasterClaim ClaimOf(VolumeCopy volume, Epoch epoch) => new(Copy, epoch, volume.EpochStart, MasterClaim.FolderOf(DataFolder));

    private async Task ClaimOrFenceAsync(VolumeCopy volume, bool isMember, CancellationToken cancellation)
    {
        try
        {
            await ClaimAsync(volume, isMember, cancellation);
        }
        catch (SupersededException e)
        {
            await volume.FenceAsync(e.By, e.At);
        }
        if (volume.IsNew && !_isClaimed)
            NewVolumeNotice = NoticeOf(await MasterClaim.OthersAsync(_cluster, _options.ClusterId, volume.Id, cancellation));
        _isClaimed = true;
    }

    private string? NoticeOf(IReadOnlyList<MasterClaim> others)
    {
        if (others.Count == 0)
            return null;
        string masters = string.Join(", ", others.Take(Limits.MastersNamed).Select(o => $"'{o.Copy}' ({o.FolderPath})")) + (others.Count > Limits.MastersNamed ? ", ..." : "");
        return $"a new volume was made in {DataFolder}; the cluster has {(others.Count == 1 ? "another, whose master is" : $"{others.Count} others, whose masters are")} {masters}. "
            + "If that was meant: is the disk of the folder mounted? A copy of it begins with 'orleansfs silo --role replica' and an empty folder";
    }

    /// <summary>Where the replica becomes the master, the cluster's database says so from then on.</summary>
    private void ClaimWhenPromoted(ReplicaReceiver receiver) =>
        _ = receiver.Opened.ContinueWith(
            opened =>
            {
                opened.Result.Promoting = _sessions.BecomeMaster;
                EndSessionsOf(opened.Result);
                opened.Result.Promoted = () => ClaimPromotedAsync(opened.Result);
                opened.Result.Registry = new EpochRegistry(this, opened.Result);
                opened.Result.ConfirmRole = LookAtClaimAsync;
            },
            CancellationToken.None,
            TaskContinuationOptions.OnlyOnRanToCompletion | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);

    /// <summary>Sessions end where another copy takes over.</summary>
    private void EndSessionsOf(VolumeCopy volume)
    {
        volume.Yielding += _sessions.Yield;
        volume.Fenced += _sessions.EndAll;
    }

    /// <summary>The cluster's database, as a replica asks it that is to become the master.</summary>
    private sealed class EpochRegistry(OrleansFsHost host, VolumeCopy volume) : IEpochRegistry
    {
        public Task<Epoch> FindNewestAsync(CancellationToken cancellation) =>
            AskAsync(async () => await MasterClaim.FindAsync(host._cluster, host._options.ClusterId, volume.Id, cancellation) is { } holder ? holder.Epoch : new Epoch(0));

        public Task<bool> TryReserveAsync(Epoch epoch, CancellationToken cancellation) =>
            AskAsync(() => host.ClaimOf(volume, epoch).TryReserveAsync(host._cluster, host._options.ClusterId, volume.Id, cancellation));

        private static async Task<T> AskAsync<T>(Func<Task<T>> question)
        {
            try
            {
                return await question();
            }
            catch (HostException e)
            {
                throw new RegistryAwayException(e.Message, e);
            }
        }
    }

    private async Task ClaimPromotedAsync(VolumeCopy volume)
    {
        try
        {
            await ClaimAsync(volume, isMember: true, CancellationToken.None);
        }
        catch (SupersededException e)
        {
            // Promoted with force, where the database could not be asked, and another was promoted since.
            await volume.FenceAsync(e.By, e.At);
        }
        catch (HostException e)
        {
            _logger.LogWarning(e, "the cluster's database does not say yet that '{Copy}' is the master now: that is tried again, and the epoch fences the one before all the same", Copy);
        }
    }

    private async Task<ClusterSecret> ReadSecretAsync(CancellationToken cancellation)
    {
        try
        {
            return await ClusterSecret.ReadAsync(_cluster, cancellation);
        }
        catch (Exception e) when (e is VolumeConnectionException or TimeoutException)
        {
            throw ClusterAwayException.Explains(e) ? ClusterAwayException.Of(_cluster.ToString(), e) : new HostException(e.Message, e);
        }
    }

    /// <summary>A silo that does not stop in time is cut short; its row in the membership is struck by the next start.</summary>
    /// <remarks>Where the cluster's database cannot be written, as on a disk that fails, Orleans goes on trying beyond the time that it is given: it is left to itself then, and ends with the process.</remarks>
    private async Task LeaveAsync(SiloRun run, TimeSpan timeout)
    {
        await run.Leaving.CancelAsync();
        await run.Watching.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        run.Leaving.Dispose();
        using var patience = new CancellationTokenSource(timeout, _options.Time);
        if (await EndsAsync(run.Host.StopAsync(patience.Token), timeout + Limits.StopGrace))
            await EndsAsync(DisposeAsync(run.Host), Limits.StopGrace);
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
            // With nobody there to be told, that is how it ends.
            _logger.Log(ClusterTrouble is null ? LogLevel.Warning : LogLevel.Information, e, "the silo did not stop in order; the volume is closed all the same");
        }
        if (stopping.IsCompleted)
            return true;
        _ = stopping.ContinueWith(late => _logger.LogInformation(late.Exception, "the silo did not stop in order"), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        return false;
    }

    private static async Task DisposeAsync(IHost host)
    {
        if (host is IAsyncDisposable disposable)
            await disposable.DisposeAsync();
        else
            host.Dispose();
    }

    private static string Reason(Exception e) => e.GetBaseException().Message.ReplaceLineEndings(" ");

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
            Folder = MasterClaim.FolderOf(DataFolder),
        };
    }
}
