using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>A replica: it owns the copy in a data folder, and does what a master asks. An empty folder becomes a copy with the first hello.</summary>
/// <remarks>
/// Invariants: 1. Rows are applied only when every block that they name is here and on disk. 2. A position is in an answer only when the log is on disk up to it. 3. An epoch below the highest seen is
/// refused, across restarts. <see cref="_gate"/> is held by everything but offers, stores and fetches.
/// </remarks>
public sealed partial class ReplicaReceiver : IReplicaLink, IAsyncDisposable
{
    private readonly VolumeOptions _options;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly TaskCompletionSource<VolumeCopy> _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Guid _run = Guid.NewGuid();
    private VolumeCopy? _volume;

    /// <summary>While there is no copy: the folder is this replica's already, and so is what its silo writes down there.</summary>
    private DataFolder? _folder;
    private Epoch? _master;
    private DateTimeOffset? _contact;
    private bool _closed;

    private ReplicaReceiver(VolumeOptions options, ILoggerFactory loggers, TimeProvider time)
    {
        _options = options;
        _loggers = loggers;
        _logger = loggers.CreateLogger<ReplicaReceiver>();
        _time = time;
    }

    /// <summary>The copy; null while there is none: the folder was empty, and no master has said hello.</summary>
    public VolumeCopy? Volume => Volatile.Read(ref _volume);

    /// <summary>Completes when there is a copy.</summary>
    public Task<VolumeCopy> Opened => _opened.Task;

    /// <summary>When a master was last heard of in this run; null before.</summary>
    public DateTimeOffset? LastContact => _contact;

    /// <summary>Opens the replica in a data folder, which may be missing or empty.</summary>
    /// <exception cref="VolumeException">It holds a master's copy, or cannot be opened; <see cref="VolumeInUseException"/>: another process has it.</exception>
    public static async Task<ReplicaReceiver> OpenAsync(VolumeOptions options, ILoggerFactory loggers, TimeProvider time, CancellationToken cancellation)
    {
        var receiver = new ReplicaReceiver(options with { Role = VolumeRole.Replica, ReplicaOf = null }, loggers, time);
        // Without blocks the making of the copy was cut short, and the next hello makes it.
        if (File.Exists(Path.Combine(options.DataFolder, "meta.db")) && Directory.Exists(Path.Combine(options.DataFolder, "blocks")))
            await receiver.OpenVolumeAsync(null, cancellation);
        else
            receiver._folder = DataFolder.Open(options.DataFolder, options.Create);
        return receiver;
    }

    /// <summary>Tells other processes that this one is about to let the folder go.</summary>
    public void AnnounceEnd()
    {
        if (_volume is { } volume)
            volume.AnnounceEnd();
        else
            _folder?.AnnounceEnd();
    }

    /// <summary>Stops taking anything, and closes the copy.</summary>
    public async Task CloseAsync()
    {
        await _gate.WaitAsync(CancellationToken.None);
        try
        {
            if (_closed)
                return;
            _closed = true;
            _opened.TrySetCanceled();
            DropCopy();
            if (_volume is { } volume)
                await volume.CloseAsync();
            _folder?.Dispose();
        }
        finally
        {
            _gate.Release();
        }
    }

    public async ValueTask DisposeAsync() => await CloseAsync();

    public async ValueTask<ReplicaReply> HelloAsync(MasterHello hello, CancellationToken cancellation)
    {
        await _gate.WaitAsync(cancellation);
        try
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            if (_volume is null)
                await MakeVolumeAsync(hello);
            var volume = _volume!;
            if (volume.Id != hello.Volume)
                return Refusal($"the replica '{volume.Copy}' holds the volume {volume.Name} ({volume.Id}), not {hello.VolumeName} ({hello.Volume})");
            // Nobody is fenced by what may not come to be.
            if (IsBeginning || IsUncertain(volume))
                return Refusal(OnHold);
            if (volume.Role != VolumeRole.Replica || hello.Epoch.Value < Threshold(volume).By.Value)
                return Fenced(volume, hello.Epoch);
            if (IsHeldFrom(hello.Epoch))
                return Unwilling(volume, OnHold);
            if (hello.Epoch.Value > Threshold(volume).By.Value)
                await NoteEpochAsync(volume, new Fence(hello.Epoch, EpochBeginning.After(hello.Epochs, volume.Epoch) ?? Lsn.Zero), cancellation);
            _master = hello.Epoch;
            _composes = hello.Composes;
            await volume.Metadata.DurableAsync(cancellation);
            return Answer(volume, ReplicaOutcome.Ok) with { Branch = volume.Metadata.NewestBranch };
        }
        catch (Exception e) when (e is BlockStoreException or MetadataException or VolumeException)
        {
            _logger.LogError(e, "the replica cannot answer its master");
            return _volume is { } volume && volume.Id == hello.Volume ? Unwilling(volume, e.Message) : Refusal(e.Message);
        }
        finally
        {
            _gate.Release();
        }
    }

    public ValueTask<ReplicaReply> OfferAsync(Epoch epoch, BlockHash[] hashes, CancellationToken cancellation) =>
        Run(epoch, volume => Answer(volume, ReplicaOutcome.Ok) with { Hashes = [.. hashes.Where(h => !volume.ReplicaBlocks.Has(h))] });

    public ValueTask<ReplicaReply> StoreAsync(Epoch epoch, ShippedBlock[] blocks, CancellationToken cancellation) =>
        RunAsync(epoch, volume => TakeAsync(volume, blocks, cancellation));

    public async ValueTask<ReplicaReply> ApplyAsync(JournalShipment shipment, CancellationToken cancellation)
    {
        await _gate.WaitAsync(cancellation);
        try
        {
            return await RunAsync(shipment.Epoch, volume => ApplyAsync(volume, shipment, cancellation));
        }
        finally
        {
            _gate.Release();
        }
    }

    public ValueTask<ReplicaReply> PulseAsync(Epoch epoch, CancellationToken cancellation) => Run(epoch, volume => Answer(volume, ReplicaOutcome.Ok));

    public ValueTask<FetchReply> FetchAsync(BlockHash[] hashes, CancellationToken cancellation)
    {
        if (Volume is not { } volume)
            return new(new FetchReply { Blocks = [] });
        return new(new FetchReply { Blocks = [.. volume.ReadForOthers(hashes, cancellation)] });
    }

    private ValueTask<ReplicaReply> TakeAsync(VolumeCopy volume, IEnumerable<ShippedBlock> blocks, CancellationToken cancellation) => TakeAsync(volume, blocks, volume.ReplicaBlocks.Store, cancellation);

    private async ValueTask<ReplicaReply> TakeAsync(VolumeCopy volume, IEnumerable<ShippedBlock> blocks, Func<ShippedBlock, bool> store, CancellationToken cancellation)
    {
        var refused = new List<BlockHash>();
        var mended = new List<BlockHash>();
        await volume.TakeAsync(TakeNow, cancellation);
        if (mended.Count > 0)
        {
            await volume.BlockStore.Files.SyncAsync(volume.BlockStore.Files.LastSequence, cancellation);
            volume.ReplicaBlocks.Mended(mended);
        }
        return Answer(volume, ReplicaOutcome.Ok) with { Hashes = [.. refused] };

        void TakeNow()
        {
            foreach (var block in blocks)
            {
                cancellation.ThrowIfCancellationRequested();
                if (!volume.AdmitsBlock(block.Payload.Length))
                    throw new BlockStoreException(Errno.ENOSPC, $"the disk of the replica '{volume.Copy}' is full");
                bool wasDamaged = volume.ReplicaBlocks.IsDamaged(block.Hash);
                if (!store(block))
                    refused.Add(block.Hash);
                else if (wasDamaged)
                    mended.Add(block.Hash);
                NoteStored(block.Hash);
            }
        }
    }

    private async Task MakeVolumeAsync(MasterHello hello)
    {
        try
        {
            await OpenVolumeAsync(hello, CancellationToken.None);
        }
        catch
        {
            try
            {
                // For the next hello it stays this replica's.
                _folder = DataFolder.Open(_options.DataFolder, _options.Create);
            }
            catch (VolumeException)
            {
                // The next hello says so.
            }
            throw;
        }
    }

    private async Task OpenVolumeAsync(MasterHello? hello, CancellationToken cancellation)
    {
        var options = hello is not { } given ? _options : _options with { ReplicaOf = given.Volume, VolumeName = given.VolumeName, BlockSize = given.BlockSize };
        var folder = _folder;
        _folder = null;
        var volume = await VolumeCopy.OpenAsync(options, folder, _loggers, _time, cancellation);
        try
        {
            // What an earlier run received and did not acknowledge is verified when it is offered; here it is brought to disk.
            volume.BlockStore.Files.SyncEarlierRuns();
            await Task.Run(() => volume.Composer.TidyAfterKill(cancellation), cancellation);
            volume.RunBeside("flatten", token => FlattenAsync(volume, token));
            volume.RunBeside("sweep", token => SweepAsync(volume, token));
        }
        catch
        {
            // Left open it would hold the folder's lock, and the next hello would be refused for as long as this process lives.
            await volume.CloseAsync();
            throw;
        }
        Volatile.Write(ref _volume, volume);
        _opened.TrySetResult(volume);
    }

    private async ValueTask<ReplicaReply> ApplyAsync(VolumeCopy volume, JournalShipment shipment, CancellationToken cancellation)
    {
        var rows = shipment.Entries.Select(e => new JournalRow(e.Lsn, e.Count, e.Time, e.Effects)).SkipWhile(r => r.Lsn <= volume.Metadata.Committed).ToList();
        if (rows.Count > 0 && rows[0].Lsn.Value - rows[0].Count != volume.Metadata.Committed.Value)
            return Answer(volume, ReplicaOutcome.Gap);
        var gone = shipment.Gone.ToHashSet();
        var contents = rows.ConvertAll(r => JournalContent.Of(r.Effects.Span));
        await ReleaseAsync(volume, contents, cancellation);
        BlockHash[] lacking = [.. contents.SelectMany(c => c.Blocks).Select(b => b.Hash).Where(h => !gone.Contains(h) && !volume.ReplicaBlocks.Has(h)).Distinct()];
        if (lacking.Length > 0)
            return Answer(volume, ReplicaOutcome.Lacking) with { Hashes = lacking };
        await volume.BlockStore.Files.SyncAsync(volume.BlockStore.Files.LastSequence, cancellation);
        volume.Metadata.JournalNeeded = shipment.Needed;
        gone.RemoveWhere(volume.ReplicaBlocks.Has);
        int applied = 0;
        try
        {
            // A row that is applied is not sent again: what it means for blocks is noted with it, and from the first on nothing is cut short.
            for (; applied < rows.Count; applied++)
            {
                // Only what this row names: another that was gone before may have come meanwhile.
                BlockHash[] absent = [.. contents[applied].Blocks.Select(b => b.Hash).Where(gone.Contains)];
                volume.Metadata.ApplyJournal(rows[applied], absent);
                volume.ReplicaBlocks.Applied(contents[applied], absent);
            }
            var composed = Compose(volume, contents);
            await volume.Metadata.DurableAsync(CancellationToken.None);
            volume.Composer.DeleteFiles(composed);
            _follows = true;
            return Answer(volume, ReplicaOutcome.Ok);
        }
        finally
        {
            if (applied > 0)
            {
                var changed = contents[..applied];
                volume.Announce(new VolumeChanges([.. changed.SelectMany(c => c.Inodes).Distinct()], [.. changed.SelectMany(c => c.Names)], Everything: false));
            }
        }
    }

    /// <summary>The highest epoch that is known here, and where the first one began that is not here, or else that one.</summary>
    private static Fence Threshold(VolumeCopy volume)
    {
        var info = volume.Metadata.Volume;
        if (info.Fence is { } fence && fence.By.Value > info.Epoch.Value)
            return fence;
        var epochs = volume.Metadata.Epochs();
        return new Fence(info.Epoch, epochs.Count == 0 ? Lsn.Zero : epochs[^1].Start);
    }

    private static async Task NoteEpochAsync(VolumeCopy volume, Fence fence, CancellationToken cancellation)
    {
        if (!volume.Metadata.SetFence(fence).IsOk || !volume.Metadata.Commit().IsOk)
            throw new MetadataException(Errno.EIO, 0, $"the epoch {fence.By} cannot be noted");
        await volume.Metadata.DurableAsync(cancellation);
    }

    private ValueTask<ReplicaReply> Run(Epoch epoch, Func<VolumeCopy, ReplicaReply> work) => RunAsync(epoch, volume => new(work(volume)));

    private async ValueTask<ReplicaReply> RunAsync(Epoch epoch, Func<VolumeCopy, ValueTask<ReplicaReply>> work)
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        if (Volume is not { } volume || _master is not { } master)
            return new ReplicaReply { Outcome = ReplicaOutcome.Gap, Hashes = [], Damaged = [], Run = _run };
        if (IsBeginning || IsUncertain(volume))
            return Refusal(OnHold);
        if (volume.Role != VolumeRole.Replica || epoch.Value < master.Value)
            return Fenced(volume, epoch);
        if (epoch.Value > master.Value)
            return Answer(volume, ReplicaOutcome.Gap);
        if (IsHeldFrom(epoch))
            return Unwilling(volume, OnHold);
        try
        {
            return await work(volume);
        }
        catch (Exception e) when (e is BlockStoreException or MetadataException or InvalidDataException)
        {
            _logger.LogError(e, "the replica cannot do what its master asks");
            return Answer(volume, ReplicaOutcome.Unable) with { Trouble = e.Message };
        }
    }

    private ReplicaReply Fenced(VolumeCopy volume, Epoch caller)
    {
        var threshold = Threshold(volume);
        return Answer(volume, ReplicaOutcome.Fenced) with { Epoch = threshold.By, EpochStart = EpochBeginning.After(volume.Epochs, caller) ?? threshold.At };
    }

    private ReplicaReply Refusal(string reason) => new() { Outcome = ReplicaOutcome.Refused, Hashes = [], Damaged = [], Run = _run, Trouble = reason };

    /// <summary>It takes nothing now, and holds the volume all the same: with the epoch of what it has, which says so, its blocks can be had.</summary>
    private ReplicaReply Unwilling(VolumeCopy volume, string reason) => Answer(volume, ReplicaOutcome.Refused) with { Trouble = reason };

    private ReplicaReply Answer(VolumeCopy volume, ReplicaOutcome outcome)
    {
        _contact = _time.GetUtcNow();
        var counters = volume.Metadata.Counters;
        return new ReplicaReply
        {
            Outcome = outcome,
            Epoch = volume.Metadata.Volume.Epoch,
            Position = volume.Metadata.Durable,
            Hashes = [],
            Damaged = volume.ReplicaBlocks.Damaged(),
            Run = _run,
            Blocks = counters.Blocks + counters.DeadBlocks,
            StoredBytes = counters.LocalBytes,
            LastVerification = volume.Verification.Report.Last,
            Verification = volume.Verification.Report,
            FreeBytes = volume.RoomOnDisk,
            Trouble = volume.Metadata.Trouble,
            BuildVersion = DeltaProgram.Version,
        };
    }
}
