using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <content>
/// Becoming the master. What the others were given by the one before, and this replica was not yet, is taken from them first: every replica that answers then leads into the new epoch, and none is left with mutations that
/// the new master has not. Until then none takes anything more from the one before (as a vote in Raft ends the term before it).
/// </summary>
public sealed partial class ReplicaReceiver
{
    private const string OnHold = "another replica is about to become the master";

    private readonly Lock _holding = new();
    private Hold? _hold;

    /// <param name="By">The epoch that is about to begin.</param>
    /// <param name="Candidate">The replica that is about to be its master.</param>
    /// <param name="Since">When that was last heard of.</param>
    /// <param name="HasBegun">It begins here, now: no later one takes its place any more.</param>
    private sealed record Hold(Epoch By, CopyName Candidate, long Since, bool HasBegun);

    /// <summary>Makes this replica the master, with everything that it and the other replicas have.</summary>
    /// <param name="others">Replicas of the volume, as far as they are known. One that does not answer is passed over.</param>
    /// <param name="force">What another has more and cannot be had from it is given up.</param>
    /// <param name="cancellation">Cancels it, as long as nothing has been begun.</param>
    /// <param name="beginBy">Until when, by the timestamps of <see cref="TimeProvider"/>, the master stands by that it has handed over; null where none has.</param>
    /// <exception cref="HandOverPassedException">It is later: the master goes on, and is to be asked again.</exception>
    /// <exception cref="NotNewestException">Another replica is further, and what it has more cannot be had.</exception>
    /// <exception cref="OvertakenException">Another promotion, begun at the same time, goes on in place of this one.</exception>
    /// <exception cref="RegistryAwayException">Nobody can say whether another copy has become the master.</exception>
    /// <exception cref="VolumeException">It is no replica, or holds nothing yet, or the disk fails.</exception>
    public async Task<Epoch> PromoteAsync(IReadOnlyDictionary<CopyName, IReplicaLink> others, bool force, CancellationToken cancellation, long? beginBy = null)
    {
        if (Volume is not { Role: VolumeRole.Replica } volume || volume.Epoch.Value == 0)
            throw new VolumeException("it is no replica, or has not been given its first full copy yet");
        var givenUp = new HashSet<CopyName>();
        var newest = await AskAsync(volume.Registry?.FindNewestAsync(cancellation), new Epoch(0), force);
        var epoch = new Epoch(newest.Value + 1);
        try
        {
            while (true)
            {
                // Again after each that was further: taking much may have lasted longer than a hold.
                (epoch, var held) = await HoldAllAsync(volume, others, epoch, cancellation);
                var further = held.Where(h => h.Reply.Outcome == ReplicaOutcome.Ok && IsFurther(volume, h.Reply) && !givenUp.Contains(h.Name)).ToList();
                if (further.Count > 0)
                {
                    var (name, _) = further.MaxBy(h => (h.Reply.Epoch.Value, h.Reply.Position.Value));
                    if (!await TakeFromAsync(volume, name, others[name], epoch, force, cancellation))
                        givenUp.Add(name);
                    continue;
                }
                // It is fenced in an epoch below this one: a master.
                if (!force && held.FirstOrDefault(h => h.Reply.Outcome == ReplicaOutcome.Fenced && h.Reply.Epoch.Value > volume.Epoch.Value) is { Reply.Outcome: ReplicaOutcome.Fenced } newer)
                    throw new NotNewestException($"the copy '{newer.Name}' has become the master, or is becoming it, in the epoch {newer.Reply.Epoch}; here is nothing of that yet");
                if (!force && newest.Value > volume.Epoch.Value)
                    throw new NotNewestException($"another copy has become the master in the epoch {newest}, and what it has of that is nowhere to be had now");
                if (!await AskAsync(volume.Registry?.TryReserveAsync(epoch, cancellation), true, force))
                {
                    epoch = new Epoch(epoch.Value + 1);
                    continue;
                }
                if (await TryBeginAsync(epoch, beginBy, cancellation))
                    return await volume.PromoteAsync(epoch, cancellation);
            }
        }
        finally
        {
            DropHold(volume);
        }
    }

    /// <param name="question">What the registry says; null where there is none.</param>
    /// <param name="otherwise">What is taken to be so where nobody can say.</param>
    /// <param name="force">It is taken to be so, too, where the registry cannot be asked now.</param>
    /// <exception cref="VolumeException">It cannot be asked now.</exception>
    private async Task<T> AskAsync<T>(Task<T>? question, T otherwise, bool force)
    {
        try
        {
            return question is null ? otherwise : await question;
        }
        catch (RegistryAwayException e) when (force)
        {
            _logger.LogWarning("whether another copy has become the master is not known: {Reason}", e.Message);
            return otherwise;
        }
    }

    public async ValueTask<ReplicaReply> HoldAsync(VolumeId volume, Epoch epoch, CopyName by, CancellationToken cancellation)
    {
        // What is being applied ends first: the position in the answer is the last there is of the master before.
        await _gate.WaitAsync(cancellation);
        try
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            if (_volume is not { } held || held.Id != volume)
                return Refusal("it holds nothing of that volume");
            if (!IsBeginning && (held.Role != VolumeRole.Replica || Threshold(held).By.Value >= epoch.Value))
                return Fenced(held, epoch);
            lock (_holding)
            {
                // Two promotions are never for the same epoch, and the later takes the place of the other (as a vote in Raft is given once a term).
                if (StandingHold is { } other && (other.HasBegun || other.By.Value > epoch.Value || (other.By == epoch && other.Candidate != by)))
                    return Answer(held, ReplicaOutcome.Fenced) with { Epoch = other.By };
                _hold = new Hold(epoch, by, _time.GetTimestamp(), HasBegun: false);
            }
            await held.Metadata.DurableAsync(cancellation);
            return Answer(held, ReplicaOutcome.Ok);
        }
        catch (MetadataException e)
        {
            _logger.LogError(e, "the replica cannot say how far it is");
            return Refusal(e.Message);
        }
        finally
        {
            _gate.Release();
        }
    }

    public ValueTask<JournalReply> ReadJournalAsync(Epoch held, Epoch epoch, Guid? branch, Lsn after, CancellationToken cancellation)
    {
        lock (_holding)
        {
            if (Volume is null || _hold is not { } hold || hold.By != held)
                return new(new JournalReply { Outcome = ReplicaOutcome.Refused, Entries = [], Trouble = "it is not held any more" });
            _hold = hold with { Since = _time.GetTimestamp() };
        }
        var volume = Volume;
        try
        {
            using var reader = JournalReader.Open(volume.MetadataPath);
            var newest = volume.Metadata.Committed;
            bool leads = EpochHistory.Leads(volume.Metadata.Epochs(), newest, epoch, after) && EpochHistory.Leads(volume.Metadata.Branches(), newest, branch, after);
            var rows = leads ? reader.Read(after, ReplicationLimits.ShipmentBytes, ReplicationLimits.ShipmentRows) : null;
            return new(rows is null
                ? new JournalReply { Outcome = ReplicaOutcome.Gap, Entries = [], Trouble = $"its journal does not lead on from mutation {after} of epoch {epoch}" }
                : new JournalReply { Outcome = ReplicaOutcome.Ok, Entries = [.. rows.Select(r => new JournalEntry { Lsn = r.Lsn, Count = r.Count, Time = r.Time, Effects = r.Effects })] });
        }
        catch (MetadataException e)
        {
            _logger.LogError(e, "the journal cannot be read for another replica");
            return new(new JournalReply { Outcome = ReplicaOutcome.Unable, Entries = [], Trouble = e.Message });
        }
    }

    private static bool IsFurther(VolumeCopy volume, in ReplicaReply other) =>
        other.Epoch.Value > volume.Epoch.Value || (other.Epoch == volume.Epoch && other.Position > volume.Metadata.Durable);

    /// <summary>That which has not passed.</summary>
    private Hold? StandingHold => Volatile.Read(ref _hold) is { } hold && (hold.HasBegun || _time.GetElapsedTime(hold.Since) < ReplicationLimits.HeldFor) ? hold : null;

    private bool IsHeldFrom(Epoch epoch) => StandingHold is { } hold && epoch.Value < hold.By.Value;

    /// <summary>This replica is becoming the master: until its epoch is on disk nobody is told of it.</summary>
    private bool IsBeginning => Volatile.Read(ref _hold) is { HasBegun: true };

    /// <summary>It has become the master, and it is not known whether its disk says so.</summary>
    private static bool IsUncertain(VolumeCopy volume) => volume is { Role: VolumeRole.Master, Metadata.Poison: not null };

    /// <summary>The hold of the promotion of this replica goes on.</summary>
    /// <exception cref="OvertakenException">Another has taken its place.</exception>
    private void KeepHold(Epoch epoch)
    {
        lock (_holding)
        {
            if (_hold is not { } hold || hold.By != epoch)
                throw new OvertakenException("another promotion, begun at the same time, goes on in place of this one");
            _hold = hold with { Since = _time.GetTimestamp() };
        }
    }

    /// <summary>From here on nothing of an earlier epoch is applied, nor another promotion let in.</summary>
    /// <returns>False where the hold has passed meanwhile: all are to be held anew.</returns>
    /// <exception cref="OvertakenException">Another has taken its place.</exception>
    /// <exception cref="HandOverPassedException">It is too late.</exception>
    private async Task<bool> TryBeginAsync(Epoch epoch, long? beginBy, CancellationToken cancellation)
    {
        // What is being applied ends first.
        await _gate.WaitAsync(cancellation);
        try
        {
            lock (_holding)
            {
                if (_hold is not null && StandingHold is null)
                    return false;
                KeepHold(epoch);
                if (_time.GetTimestamp() > beginBy)
                    throw new HandOverPassedException("the master has handed over, and goes on by now, because this took too long");
                _hold = _hold! with { HasBegun = true };
                return true;
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>The promotion of this replica has ended, whatever came of it.</summary>
    private void DropHold(VolumeCopy volume)
    {
        lock (_holding)
        {
            if (_hold?.Candidate == volume.Copy)
                _hold = null;
        }
    }

    /// <summary>Holds this replica and the others, for an epoch that is above all that they know and are held for by others, and is at least the one given.</summary>
    private async Task<(Epoch Epoch, (CopyName Name, ReplicaReply Reply)[] Held)> HoldAllAsync(VolumeCopy volume, IReadOnlyDictionary<CopyName, IReplicaLink> others, Epoch least, CancellationToken cancellation)
    {
        var epoch = new Epoch(Math.Max(Threshold(volume).By.Value + 1, least.Value));
        while (true)
        {
            var own = await HoldAsync(volume.Id, epoch, volume.Copy, cancellation);
            if (volume.Role != VolumeRole.Replica)
                throw new VolumeException($"the copy '{volume.Copy}' has become the master meanwhile");
            if (own.Outcome == ReplicaOutcome.Refused)
                throw new VolumeException($"the copy '{volume.Copy}' cannot say how far it is: {own.Trouble}");
            if (own.Outcome == ReplicaOutcome.Fenced)
            {
                if (own.Epoch.Value < epoch.Value)
                    throw new OvertakenException("another promotion of this copy is under way");
                epoch = new Epoch(own.Epoch.Value + 1);
                continue;
            }
            var held = await Task.WhenAll(others.Select(o => HoldOtherAsync(o.Key, o.Value, volume, epoch, cancellation)));
            long known = held.Where(h => h.Reply.Outcome == ReplicaOutcome.Fenced).Select(h => h.Reply.Epoch.Value).DefaultIfEmpty().Max();
            if (known < epoch.Value)
                return (epoch, held);
            epoch = new Epoch(known + 1);
        }
    }

    private async Task<(CopyName Name, ReplicaReply Reply)> HoldOtherAsync(CopyName name, IReplicaLink other, VolumeCopy volume, Epoch epoch, CancellationToken cancellation)
    {
        try
        {
            return (name, await other.HoldAsync(volume.Id, epoch, volume.Copy, cancellation).AsTask().WaitAsync(ReplicationLimits.HoldTimeout, _time, cancellation));
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
        {
            _logger.LogWarning("the replica '{Name}' does not say how far it is: {Reason}", name, e.Message.ReplaceLineEndings(" "));
            return (name, new ReplicaReply { Outcome = ReplicaOutcome.Refused, Hashes = [], Damaged = [] });
        }
    }

    /// <returns>False: what it has more is given up.</returns>
    private async Task<bool> TakeFromAsync(VolumeCopy volume, CopyName name, IReplicaLink other, Epoch epoch, bool force, CancellationToken cancellation)
    {
        var from = volume.Metadata.Durable;
        try
        {
            while (await TakeShipmentAsync(volume, other, epoch, cancellation))
                KeepHold(epoch);
            _logger.LogInformation("taken from the replica '{Name}', which was further: mutations {From} to {To}", name, from.Value + 1, volume.Metadata.Durable);
            return true;
        }
        catch (Exception e) when (e is not OvertakenException && (e is not OperationCanceledException || !cancellation.IsCancellationRequested))
        {
            KeepHold(epoch);
            string reason = $"the replica '{name}' is further than mutation {volume.Metadata.Durable}, and what it has more cannot be had from it: {e.Message.ReplaceLineEndings(" ")}";
            if (!force)
                throw new NotNewestException(reason);
            _logger.LogWarning("{Reason}; it is given up", reason);
            return false;
        }
    }

    /// <returns>Whether there was any.</returns>
    private async Task<bool> TakeShipmentAsync(VolumeCopy volume, IReplicaLink other, Epoch epoch, CancellationToken cancellation)
    {
        var journal = await other.ReadJournalAsync(epoch, volume.Epoch, volume.Metadata.NewestBranch, volume.Metadata.Durable, cancellation).AsTask().WaitAsync(ReplicationLimits.CallTimeout, _time, cancellation);
        if (journal.Outcome != ReplicaOutcome.Ok)
            throw new ReplicaException(journal.Trouble ?? "it refuses");
        if (journal.Entries.Length == 0)
            return false;
        var shipment = new JournalShipment { Epoch = epoch, Entries = journal.Entries, Gone = [], Needed = volume.Metadata.JournalNeeded ?? Lsn.Zero };
        var reply = await ApplyHeldAsync(volume, shipment, cancellation);
        if (reply.Outcome == ReplicaOutcome.Lacking)
        {
            // Blocks that the other has not got either are asked for of all, once this is the master.
            var gone = await TakeBlocksAsync(volume, other, epoch, reply.Hashes, cancellation);
            reply = await ApplyHeldAsync(volume, shipment with { Gone = gone }, cancellation);
        }
        return reply.Outcome == ReplicaOutcome.Ok ? true : throw new ReplicaException($"its mutations cannot be applied here ({reply.Outcome})");
    }

    private async ValueTask<ReplicaReply> ApplyHeldAsync(VolumeCopy volume, JournalShipment shipment, CancellationToken cancellation)
    {
        await _gate.WaitAsync(cancellation);
        try
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            KeepHold(shipment.Epoch);
            return await ApplyAsync(volume, shipment, cancellation);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <returns>Those that could not be had.</returns>
    private async Task<BlockHash[]> TakeBlocksAsync(VolumeCopy volume, IReplicaLink other, Epoch epoch, BlockHash[] hashes, CancellationToken cancellation)
    {
        var lacking = hashes.ToHashSet();
        foreach (var chunk in hashes.Chunk(Math.Max(1, ReplicationLimits.MessageBytes / volume.BlockSize)))
        {
            var reply = await other.FetchAsync(chunk, cancellation).AsTask().WaitAsync(ReplicationLimits.FetchTimeout, _time, cancellation);
            var refused = (await TakeAsync(volume, reply.Blocks, cancellation)).Hashes;
            lacking.ExceptWith(reply.Blocks.Select(b => b.Hash).Except(refused));
            KeepHold(epoch);
        }
        return [.. lacking];
    }
}

/// <summary>A replica is not to become the master, because another has more: what, in one line.</summary>
public sealed class NotNewestException(string message) : VolumeException(message);

/// <summary>A promotion is given up, because another goes on: what, in one line.</summary>
public sealed class OvertakenException(string message) : VolumeException(message);

/// <summary>What a master has handed over is not all that it has any more: what, in one line.</summary>
public sealed class HandOverPassedException(string message) : VolumeException(message);
