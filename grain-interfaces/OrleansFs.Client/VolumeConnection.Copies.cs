using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>The copies of a volume as such: who is the master, what its replicas have.</content>
public sealed partial class VolumeConnection
{
    /// <summary>The master of a volume that is in the cluster now; of two, the one that took over from the other. Null where there is none: one that knows of another that took over is none.</summary>
    public async Task<CopyDescription?> FindMasterAsync(VolumeId volume, CancellationToken cancellation) =>
        NewestMaster((await ListCopiesAsync(cancellation)).Where(c => c.Volume == volume)) is { } master ? Understood(master) : null;

    /// <summary>The replicas of a volume as its master has them; where no master is there, those that are in the cluster, each at its own position.</summary>
    /// <exception cref="VolumeConnectionException">One line that says why it cannot be told.</exception>
    public async Task<MasterReport> ListReplicasAsync(VolumeId volume, CancellationToken cancellation)
    {
        var copies = (await ListCopiesAsync(cancellation)).Where(c => c.Volume == volume).ToList();
        if (NewestMaster(copies) is { } master)
            return await CallAsync(Understood(master).Copy, grain => grain.ListReplicasAsync(cancellation), "has no replicas");
        if (copies.Count == 0)
            throw new VolumeConnectionException("no copy of the volume is in the cluster now");
        // All at once: one that does not answer is waited for, and keeps the others from nothing.
        var replicas = await Task.WhenAll(copies.Select(copy => ReportAloneAsync(copy, cancellation)));
        // What a former master has more was never replicated, and the next master began without it.
        long newest = replicas.Where(r => r.State != ReplicaState.Fenced).Select(r => r.Lsn).DefaultIfEmpty(replicas.Max(r => r.Lsn)).Max();
        return new MasterReport
        {
            Volume = copies[0].VolumeName,
            Uuid = volume.ToString(),
            Master = null,
            Epoch = copies.Max(c => (c.FencedBy ?? c.Epoch).Value),
            Lsn = newest,
            Replicas = [.. replicas.Select(r => r with { LagMutations = Math.Max(0, newest - r.Lsn) })],
        };
    }

    /// <summary>A copy as it stands where no master is there. One that does not tell is in the list, with the reason.</summary>
    private async Task<ReplicaReport> ReportAloneAsync(CopyDescription copy, CancellationToken cancellation)
    {
        var report = new ReplicaReport { Name = copy.Copy.Value, State = copy.FencedBy is null ? ReplicaState.Waiting : ReplicaState.Fenced, Lsn = 0, LagMutations = 0 };
        // Its first full copy has not come to its end.
        if (copy.Epoch.Value == 0)
            return report with { Trouble = "it has not been given its first full copy yet" };
        try
        {
            var status = await StatusAsync(copy, cancellation);
            return report with
            {
                Lsn = status.Lsn,
                Blocks = status.Blocks + status.DeadBlocks,
                StoredBytes = status.StoredBytes,
                LastVerification = status.Verification?.Last,
                DamagedBlocks = status.Verification?.Unrepaired ?? 0,
                LacksBlocks = status.Verification?.Unrepaired > 0,
                Verification = status.Verification,
                Trouble = status.Trouble,
            };
        }
        catch (VolumeConnectionException e)
        {
            return report with { State = ReplicaState.Away, Trouble = e.Message };
        }
    }

    /// <summary>One step of a drain: see <see cref="ICopyGrain.DrainAsync"/>.</summary>
    /// <exception cref="VolumeConnectionException">One line that says why it cannot be done.</exception>
    public async Task<DrainStep> DrainAsync(VolumeId volume, int copies, Lsn? target, CancellationToken cancellation)
    {
        var there = (await ListCopiesAsync(cancellation)).Where(c => c.Volume == volume).ToList();
        var master = Understood(NewestMaster(there) ?? throw NoMaster(there, "no master of the volume is in the cluster now"));
        return await CallAsync(master.Copy, grain => grain.DrainAsync(copies, target, cancellation), "cannot be drained");
    }

    /// <summary>Begins or ends the verification of block files, of one copy or of all that are in the cluster now.</summary>
    /// <exception cref="VolumeConnectionException">One line that says why it cannot be done.</exception>
    public async Task<IReadOnlyList<CopyVerification>> VerifyAsync(VolumeId volume, CopyName? copy, VerificationAction action, CancellationToken cancellation)
    {
        var copies = (await ListCopiesAsync(cancellation)).Where(c => c.Volume == volume && (copy is null || c.Copy == copy)).OrderBy(c => c.Role).ThenBy(c => c.Copy.Value, StringComparer.Ordinal).ToList();
        if (copies.Count == 0)
            throw new VolumeConnectionException(copy is null ? "no copy of the volume is in the cluster now" : $"the copy '{copy}' is not in the cluster now");
        var reports = new List<CopyVerification>();
        foreach (var one in copies)
            reports.Add(new CopyVerification(one.Copy, await CallAsync(Understood(one).Copy, grain => grain.VerifyAsync(action, cancellation), "cannot be verified")));
        return reports;
    }

    /// <summary>Makes a replica the master: see <see cref="ICopyGrain.PromoteAsync"/>.</summary>
    /// <param name="name">The replica.</param>
    /// <param name="force">What another copy has more and cannot be had from it is given up.</param>
    /// <param name="cancellation">Cancels the wait.</param>
    /// <exception cref="VolumeConnectionException">One line that says why it cannot be done.</exception>
    public async Task<Promotion> PromoteAsync(CopyName name, bool force, CancellationToken cancellation)
    {
        var grain = Grains.GetGrain<ICopyGrain>(new CopyGrainKey(name).ToString());
        try
        {
            var result = await grain.PromoteAsync(force, cancellation);
            return result.TryGet(out var promotion, out var error) ? promotion : throw new VolumeConnectionException(error switch
            {
                Errno.EEXIST => await TryDescribeAsync(name, cancellation) is { FencedBy: { } by }
                    ? $"the copy '{name}' was the master until the epoch {by} began, lacks what was written since, and cannot be it again: promote a replica; what only '{name}' has is copied out with 'orleansfs export'"
                    : $"the copy '{name}' is the master already",
                Errno.EAGAIN => $"the copy '{name}' has not been given its first full copy yet: it cannot be the master",
                Errno.EBUSY => $"the master is there, and what it has more than '{name}' could not be brought there in time (the log of '{name}' says more): try again when 'orleansfs replicas' shows no lag, or give that up with --force",
                Errno.ESTALE => $"another copy is further than '{name}', and what it has more cannot be had from it (the log of '{name}' says which and why): start it, or promote it, or give that up with --force",
                Errno.EHOSTUNREACH => $"whether another copy has become the master since is in the cluster's database, which '{name}' cannot ask now (its log says why): try again when it can, or go without that with --force",
                Errno.EALREADY => $"another promotion was begun at the same time, and goes on in place of this one: 'orleansfs replicas' shows which copy is the master then",
                _ => $"the copy '{name}' cannot be made the master: {error} (its log says more)",
            });
        }
        catch (Exception e) when (Interruption.Is(e))
        {
            throw new VolumeConnectionException(e.Message, e);
        }
    }

    /// <summary>What a copy says of itself.</summary>
    /// <exception cref="VolumeConnectionException">One line that says why it does not.</exception>
    public async Task<VolumeStatus> StatusAsync(CopyDescription copy, CancellationToken cancellation)
    {
        var names = Grains.GetGrain<INamespaceGrain>(new NamespaceKey(Understood(copy).Volume, copy.Copy).ToString());
        return await AnswerAsync(copy.Copy, () => names.GetStatusAsync(cancellation), "does not tell its status");
    }

    private Task<T> CallAsync<T>(CopyName name, Func<ICopyGrain, ValueTask<FsResult<T>>> call, string refusal)
    {
        var grain = Grains.GetGrain<ICopyGrain>(new CopyGrainKey(name).ToString());
        return AnswerAsync(name, () => call(grain), refusal);
    }

    private static async Task<T> AnswerAsync<T>(CopyName name, Func<ValueTask<FsResult<T>>> call, string refusal)
    {
        try
        {
            var result = await call();
            return result.TryGet(out var value, out var error) ? value : throw new VolumeConnectionException($"the copy '{name}' {refusal}: {error}");
        }
        catch (Exception e) when (Interruption.Is(e))
        {
            throw new VolumeConnectionException(e.Message, e);
        }
    }
}

/// <summary>How the verification of one copy stands.</summary>
public readonly record struct CopyVerification(CopyName Copy, VerificationReport Report);
