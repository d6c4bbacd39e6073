using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Check;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Replication;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>The copy as one of several.</content>
public sealed partial class VolumeCopy
{
    private readonly SemaphoreSlim _promotion = new(1, 1);
    private ReplicaBlocks? _replicaBlocks;

    /// <summary>Master or replica: as the folder has it, until a promotion.</summary>
    public VolumeRole Role => _metadata.Volume.Role;

    /// <summary>The epoch of the master that took over from this one; null where none did. Then this copy is read-only, and what it has past <see cref="FencedAt"/> is nowhere else.</summary>
    public Epoch? FencedBy => Role == VolumeRole.Master ? _metadata.Volume.Fence?.By : null;

    /// <summary>The last mutation that the master has which took over; null where none did.</summary>
    public Lsn? FencedAt => Role == VolumeRole.Master ? _metadata.Volume.Fence?.At : null;

    /// <summary>The replicas of this master. Of no use on a replica.</summary>
    public ReplicationMaster Replication { get; }

    /// <summary>On a replica: told after each batch of its master's mutations that readers see from now on. Must not take long.</summary>
    public event Action<VolumeChanges>? Changed;

    /// <summary>Called when this copy is about to become the master. What it gives is disposed when it is, or cannot be: until then nobody is let in. Must not fail.</summary>
    public Func<IDisposable>? Promoting { get; set; }

    /// <summary>Another copy has taken over: this one takes no mutation any more. Must not fail.</summary>
    public event Action? Fenced;

    /// <summary>Called when this copy has become the master, and awaited before the promotion is answered. Must not fail.</summary>
    public Func<Task>? Promoted { get; set; }

    /// <summary>Asked by a master before it greets a replica: where another copy has taken over, this one is fenced when it has returned. Where it fails nobody can say now.</summary>
    public Func<CancellationToken, Task>? ConfirmRole { get; set; }

    /// <summary>Asked before this copy becomes the master; null where there is nothing to ask.</summary>
    public IEpochRegistry? Registry { get; set; }

    /// <summary>Mutations that there were before the epoch of this copy.</summary>
    public Lsn EpochStart => _metadata.Epochs() is [.., var newest] ? newest.Start : Lsn.Zero;

    /// <summary>The epochs of the volume, as far as this copy has come, oldest first, and where each began.</summary>
    public EpochBeginning[] Epochs => [.. _metadata.Epochs().Select(e => new EpochBeginning(e.Epoch, e.Start))];

    /// <summary>The verification of the block files here.</summary>
    public BlockVerification Verification => _verification;

    /// <summary>For building blocks out of others. Of no use on a replica.</summary>
    internal VolumeDelta Delta { get; }

    internal Composer Composer { get; }

    /// <summary>Runs a task for as long as this copy is open.</summary>
    internal void RunBeside(string name, Func<CancellationToken, Task> work) => _tasks.Run(name, work);

    /// <summary>For what a replica takes from its master. On a machine, or a disk, that they share, that comes after what people wait for.</summary>
    private readonly DiskScheduler _taking = new("take", ReplicationLimits.TakeWorkers, standsBack: true);

    /// <summary>Runs what a replica does with blocks that have come: it hashes them and waits for the disk.</summary>
    internal Task TakeAsync(Action work, CancellationToken cancellation) => Task.Factory.StartNew(work, cancellation, TaskCreationOptions.DenyChildAttach, _taking);

    /// <summary>Replicas that an fsync waits for.</summary>
    internal int SyncCopies => _options.SyncCopies;

    /// <summary>Bytes of memory that content has which is in no block yet.</summary>
    internal long InFlightBytes => _pool.BytesInUse;

    internal long RoomOnDisk => _space.Room;

    internal BlockStore BlockStore => _blocks;

    internal Committer BlockCommitter => _committer;

    internal string MetadataPath => _folder.Metadata;

    internal ReplicaBlocks ReplicaBlocks => _replicaBlocks ?? throw new InvalidOperationException("this copy is no replica");

    /// <summary>Makes a replica the master, in a new epoch: mutations are taken from now on, and masters of earlier epochs are refused everywhere that this becomes known.</summary>
    /// <param name="least">At least this epoch, which is above what the other replicas know.</param>
    /// <param name="cancellation">Cancels it as long as the epoch has not begun.</param>
    /// <exception cref="VolumeException">It is no replica, or holds nothing yet, or the disk fails.</exception>
    internal async Task<Epoch> PromoteAsync(Epoch least, CancellationToken cancellation)
    {
        await _promotion.WaitAsync(cancellation);
        try
        {
            var info = _metadata.Volume;
            if (info.Role != VolumeRole.Replica)
                throw new VolumeException($"the copy '{Copy}' is the master already");
            if (info.Epoch.Value == 0)
                throw new VolumeException($"the copy '{Copy}' has not been given its first full copy yet");
            var epoch = new Epoch(Math.Max(Math.Max(info.Epoch.Value, info.Fence?.By.Value ?? 0) + 1, least.Value));
            cancellation.ThrowIfCancellationRequested();
            // From here on nothing is cut short: an epoch that has begun fences the master before, and is to have one.
            using (Promoting?.Invoke())
            {
                if (_metadata.BecomeMaster(epoch, evicts: _evictor is not null) is { IsOk: false, Error: var error })
                    throw new VolumeException($"the copy '{Copy}' cannot begin the epoch {epoch}, and is the replica that it was: {error}");
                await _metadata.DurableAsync(CancellationToken.None);
                StartMaster();
                _files.ReadOnly = _options.ReadOnly;
                TakeUpOrphans();
            }
            _logger.LogInformation("the copy '{Copy}' is the master from now on, in epoch {Epoch}", Copy, epoch);
            if (Promoted is { } told)
                await told();
            return epoch;
        }
        catch (MetadataException e)
        {
            throw new VolumeException($"the copy '{Copy}' cannot become the master: {e.Message}", e);
        }
        finally
        {
            _promotion.Release();
        }
    }

    /// <summary>Another copy is the master: this one takes no mutation any more, now and at each start.</summary>
    /// <param name="by">The epoch of that master.</param>
    /// <param name="at">Where that began: what this copy has after it was never replicated.</param>
    public async ValueTask FenceAsync(Epoch by, Lsn at)
    {
        var known = _metadata.Volume.Fence;
        if (Role != VolumeRole.Master || known?.By.Value >= by.Value)
            return;
        // Where the first of them began that came after its own.
        if (known?.At < at)
            at = known.Value.At;
        _files.ReadOnly = true;
        var result = _metadata.SetFence(new Fence(by, at));
        // Before anything is waited for: no session is answered that something is on disk of which the new master may know nothing.
        Fenced?.Invoke();
        if (result.IsOk)
            result = await _committer.DurableAsync(CancellationToken.None);
        _logger.LogError("another copy has become the master (epoch {By}, from mutation {At}): this one is read-only from now on{Problem}", by, at, result.IsOk ? "" : $"; that could not be written down: {result.Error}");
    }

    /// <summary>What a former master has that nobody else has, in one line; null on any other copy.</summary>
    public string? FenceTrouble =>
        FencedBy is not { } by ? null
        : $"another copy is the master since epoch {by}: this one is read-only, and {NeverReplicated} of its mutations were never replicated ('orleansfs export' copies out what they changed)";

    private long NeverReplicated => Math.Max(0, _metadata.Committed.Value - FencedAt!.Value.Value);

    internal void Announce(VolumeChanges changes)
    {
        SignalRecords(changes);
        SignalCommitted();
        Changed?.Invoke(changes);
    }

    /// <summary>Blocks for another copy, as they are stored; those that are not here or not whole are left out.</summary>
    public ShippedBlock[] ReadForOthers(BlockHash[] hashes, CancellationToken cancellation)
    {
        var blocks = new List<ShippedBlock>(hashes.Length);
        foreach (var hash in hashes)
        {
            cancellation.ThrowIfCancellationRequested();
            var read = _blocks.Files.ReadStored(hash, out var block);
            if (read.IsOk)
                blocks.Add(block);
            else if (Role == VolumeRole.Replica)
                ReplicaBlocks.NoteDamaged(hash, read);
            else
                _verification.NoteDamaged(hash);
        }
        return [.. blocks];
    }

    /// <summary>Does what is wanted of the verification of the block files here, and tells how it stands. A small write to the disk: not for a request thread.</summary>
    /// <returns>EROFS where the folder was opened to be read only, or another copy has taken over: then this one is left as it is.</returns>
    public FsResult<VerificationReport> Verify(VerificationAction action)
    {
        if (action != VerificationAction.Look && (_options.ReadOnly || FencedBy is not null))
            return Errno.EROFS;
        if (action == VerificationAction.Start)
            _verification.Start();
        else if (action == VerificationAction.Stop)
            _verification.Stop();
        return _verification.Report;
    }

    /// <summary>Asks replicas once for blocks that are damaged here.</summary>
    /// <returns>Those that are whole now.</returns>
    internal ValueTask<IReadOnlyCollection<BlockHash>> MendAsync(IReadOnlyCollection<BlockHash> hashes, CancellationToken cancellation) => _fetcher.MendAsync(hashes, cancellation);

    /// <summary>On a replica: damaged or missing blocks that are to be sent again.</summary>
    internal int DamagedOnReplica => _replicaBlocks?.DamagedCount ?? 0;

    /// <summary>Whether a block may be stored, so that room stays for the metadata.</summary>
    internal bool AdmitsBlock(long bytes) => _space.AdmitsBlock(bytes);

    private void StartReplica()
    {
        _replicaBlocks = new ReplicaBlocks(_metadata, _blocks.Files, Locks, Holds, _time, _logger);
        _blocks.Source = new ReplicaRepair(this, _options.FetchTimeout, _time);
        _composed.Hot = Composer.NoteHot;
        _tasks.Run("tidy", TidyLoopAsync);
        _tasks.Run("verify", _verification.RunAsync);
    }

    /// <summary>On a replica: commits what is its own, keeps the log short, deletes the files of collected blocks.</summary>
    private async Task TidyLoopAsync(CancellationToken cancellation)
    {
        while (Role == VolumeRole.Replica)
        {
            await Task.Delay(Limits.CollectTick, _time, cancellation);
            ReplicaBlocks.DeleteCollected();
            if (_metadata.HasPending)
                _metadata.Commit();
            await _metadata.CheckpointAsync();
        }
        await Task.Delay(Timeout.InfiniteTimeSpan, _time, cancellation);
    }
}
