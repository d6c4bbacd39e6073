using Microsoft.Extensions.Logging;
using Orleans.Concurrency;
using Orleans.GrainDirectory;
using OrleansFs.Engine;
using OrleansFs.Engine.Replication;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Placement;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>The copy that this silo serves, as such: what it is, its replicas, and who is the master.</summary>
[GrainType("ofs.copy"), CopyPlacement, GrainDirectory(NoDirectory.Name), Reentrant]
internal sealed class CopyGrain : IGrainBase, ICopyGrain
{
    private readonly CopySessions _sessions;
    private readonly CopiesInCluster _copies;
    private readonly IGrainFactory _grains;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;

    public CopyGrain(IGrainContext context, CopySessions sessions, CopiesInCluster copies, IGrainFactory grains, TimeProvider time, ILogger<CopyGrain> logger)
    {
        _time = time;
        _grains = grains;
        GrainContext = context;
        _sessions = sessions;
        _copies = copies;
        _logger = logger;
        GrainKeys.RequireHere(CopyGrainKey.Parse(GrainKeys.Text(context)).Copy, sessions.Copy);
    }

    public IGrainContext GrainContext { get; }

    private VolumeCopy? Volume => (_sessions.Copy as IReplicated)?.Volume;

    public ValueTask<FsResult<CopyDescription>> DescribeAsync(CancellationToken cancellation) => new(_sessions.Description);

    public async ValueTask<FsResult<MasterReport>> ListReplicasAsync(CancellationToken cancellation) =>
        Volume is { Role: VolumeRole.Master, FencedBy: null } volume ? await Task.Run(volume.Replication.Measure, cancellation) : Errno.EROFS;

    public async ValueTask<FsResult<DrainStep>> DrainAsync(int copies, Lsn? target, CancellationToken cancellation)
    {
        if (Volume is not { Role: VolumeRole.Master } volume)
            return Errno.EROFS;
        if (copies < 1)
            return Errno.EINVAL;
        var step = await Task.Run(() => volume.Replication.DrainStepAsync(copies, target, GrainInterfaces.Limits.DrainWait, cancellation), cancellation);
        if (!step.TryGet(out var reached, out var error))
            return error;
        return new DrainStep { Target = reached.Target, Reached = reached.Reached, Copies = reached.Copies, IsDone = reached.Copies >= copies };
    }

    public async ValueTask<FsResult<VerificationReport>> VerifyAsync(VerificationAction action, CancellationToken cancellation) =>
        Volume is { } volume ? await Task.Run(() => volume.Verify(action), cancellation) : Errno.EAGAIN;

    public async ValueTask<FsResult<Lsn>> YieldAsync(CopyName to, CancellationToken cancellation) =>
        Volume is { } volume ? await Task.Run(() => volume.YieldAsync(to, GrainInterfaces.Limits.YieldPatience, cancellation), cancellation) : Errno.EROFS;

    public async ValueTask<FsResult<Promotion>> PromoteAsync(bool force, CancellationToken cancellation)
    {
        if (Volume is not { } volume || volume.Epoch.Value == 0)
            return Errno.EAGAIN;
        if (volume.Role == VolumeRole.Master || (_sessions.Copy as IReplicated)?.Receiver is not { } receiver)
            return Errno.EEXIST;
        try
        {
            for (int attempt = 1; ; attempt++)
            {
                var others = await _copies.FindAsync(volume.Copy, volume.Id, cancellation);
                var handOver = others.Master is { } master ? await TakeOverAsync(master, volume.Copy, cancellation) : HandOver.Away;
                if (handOver == HandOver.Refused && !force)
                    return Errno.EBUSY;
                // Later than that the master goes on: what it is given then would be missing here.
                long? beginBy = handOver == HandOver.Done ? _time.GetTimestamp() + (long)(VolumeCopy.HandOverStands.TotalSeconds * _time.TimestampFrequency) : null;
                try
                {
                    var epoch = await Task.Run(() => receiver.PromoteAsync(others.Links, force, cancellation, beginBy), cancellation);
                    return new Promotion { Epoch = epoch, HandedOver = handOver == HandOver.Done ? others.Master : null };
                }
                catch (HandOverPassedException e) when (attempt < Limits.HandOvers)
                {
                    _logger.LogWarning("{Reason}: it is asked again", e.Message);
                }
            }
        }
        catch (HandOverPassedException e)
        {
            _logger.LogError("{Reason}", e.Message);
            return Errno.EBUSY;
        }
        catch (NotNewestException e)
        {
            _logger.LogError("{Reason}", e.Message);
            return Errno.ESTALE;
        }
        catch (RegistryAwayException e)
        {
            _logger.LogError("{Reason}", e.Message);
            return Errno.EHOSTUNREACH;
        }
        catch (OvertakenException e)
        {
            _logger.LogError("{Reason}", e.Message);
            return Errno.EALREADY;
        }
        catch (VolumeException e)
        {
            _logger.LogError(e, "the promotion failed");
            return Errno.EIO;
        }
    }

    /// <summary>Has the master bring to this copy all that it was given.</summary>
    private async ValueTask<HandOver> TakeOverAsync(CopyName master, CopyName here, CancellationToken cancellation)
    {
        try
        {
            var result = await _grains.GetGrain<ICopyGrain>(new CopyGrainKey(master).ToString()).YieldAsync(here, cancellation);
            if (result.IsOk)
                return HandOver.Done;
            _logger.LogWarning("the master '{Master}' does not hand over: not everything that it was given could be brought here ({Error})", master, result.Error);
            return result.Error == Errno.EROFS ? HandOver.Away : HandOver.Refused;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            _logger.LogWarning("the master '{Master}' does not hand over: {Reason}", master, e.Message.ReplaceLineEndings(" "));
            // Whatever went wrong: one that is there is not passed over.
            return e is TimeoutException || await _copies.IsMasterAsync(master, cancellation) ? HandOver.Refused : HandOver.Away;
        }
    }

    private enum HandOver
    {
        /// <summary>There is no master that can be reached.</summary>
        Away,

        /// <summary>It is there, and cannot bring here all that it has.</summary>
        Refused,

        Done,
    }
}
