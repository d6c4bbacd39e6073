using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Check;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Native;
using OrleansFs.Engine.Replication;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <summary>
/// One copy of a volume, open: metadata, blocks, what is in flight, and the tasks that bring it to disk. Thread-safe; sessions are its users.
/// </summary>
/// <remarks>
/// <para>Locks, in the order in which they may be taken: settle gate of a file, gate of a file, lock of a block's stripe, metadata lock, an inode's own lock. Only a stripe is held over I/O, on
/// the one block file that it is about.</para>
/// <para>After <see cref="CloseAsync"/> everything is committed and on disk. Without it (a kill, a loss of power) the next opening finds each file at an old or a new state, and at the
/// state of its last fsync or later.</para>
/// </remarks>
public sealed partial class VolumeCopy : IAsyncDisposable
{
    private static readonly CopyName DefaultCopy = CopyName.Parse("master");

    private readonly DataFolder _folder;
    private readonly MetadataStore _metadata;
    private readonly BlockStore _blocks;
    private readonly PagePool _pool;
    private readonly SpaceGuard _space;
    private readonly Committer _committer;
    private readonly FileData _files;
    private readonly Orphanage _orphanage;
    private readonly GarbageCollector _collector;
    private readonly LockTable _locks = new();
    private readonly BackgroundTasks _tasks;
    private readonly VolumeOptions _options;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly SemaphoreSlim _pending = new(0, 1);
    private readonly SemaphoreSlim _makingRoom = new(1, 1);
    private IReadOnlyList<InodeNumber> _orphansFound = [];
    private readonly BlockFetcher _fetcher;
    private readonly ComposedBlocks _composed;
    private readonly CacheBound? _cache;
    private readonly Evictor? _evictor;
    private readonly BlockVerification _verification;
    private bool _isMaster;
    private long _lastCollection;
    private int _closed;

    private VolumeCopy(VolumeOptions options, DataFolder folder, MetadataStore metadata, BlockStore blocks, ILoggerFactory loggers, TimeProvider time)
    {
        _options = options;
        _folder = folder;
        _metadata = metadata;
        _blocks = blocks;
        _time = time;
        _logger = loggers.CreateLogger<VolumeCopy>();
        _pool = new PagePool(options.Memory);
        _space = new SpaceGuard(folder.Path, time, _pool, BlockSize) { Spare = () => blocks.Files.RecycledBytes, Scarce = () => blocks.Files.DropRecycled() };
        _committer = new Committer(metadata, blocks, time, loggers.CreateLogger<Committer>());
        var sealer = new Sealer(metadata, blocks, Locks, Pending, _space, BlockSize);
        _files = new FileData(metadata, blocks, sealer, _committer, _pool, _space, time, BlockSize, loggers.CreateLogger<FileData>())
        {
            ReadOnly = ReadOnly,
            MakeRoom = MakeRoomAsync,
            RefusesChanges = () => RefusesChanges,
            SyncsAsBlocks = options.SyncCopies > 0,
        };
        _files.Recorded = _recorded.Signal;
        _orphanage = new Orphanage(metadata, _files, new TroubleLog(loggers.CreateLogger<Orphanage>(), time)) { KeepsAll = () => RefusesChanges };
        metadata.Detached = _orphanage.Queue;
        metadata.RefusesOwn = () => RefusesChanges;
        _collector = new GarbageCollector(metadata, blocks.Files, Locks, Pending, Holds, _committer, time, loggers.CreateLogger<GarbageCollector>());
        _tasks = new BackgroundTasks(_logger, time);
        _composed = new ComposedBlocks(metadata, blocks.Files, BlockSize);
        blocks.Files.Composed = _composed;
        Delta = new VolumeDelta(options.Delta, folder.Metadata, BlockSize, _committer.CommitAsync);
        metadata.IsHeld = Delta.Held.Contains;
        Replication = new ReplicationMaster(this, time, loggers.CreateLogger<ReplicationMaster>());
        Composer = new Composer(this, Locks, Pending, _committer, time, loggers.CreateLogger<Composer>());
        sealer.Sealed = NoteSealed;
        _fetcher = new BlockFetcher(this, Locks, options.FetchTimeout, time, loggers.CreateLogger<BlockFetcher>());
        if (options.CacheSize is { } bytes)
        {
            _cache = new CacheBound(bytes, metadata, Pending, _pool);
            _evictor = new Evictor(this, _cache, _space, Locks, Pending, options.Copies, time, loggers.CreateLogger<Evictor>());
        }
        blocks.Files.RecycledRoom = RecycledRoom;
        _files.Named = NoteNamed;
        _verification = new BlockVerification(this, options.VerifyEvery, time, loggers.CreateLogger<BlockVerification>());
        blocks.Unreadable = _verification.NoteDamaged;
        sealer.IsDamaged = _verification.IsDamaged;
        _committer.Committed = () =>
        {
            Replication.NoteCommitted();
            SignalCommitted();
        };
        _lastCollection = time.GetTimestamp();
    }

    /// <summary>S, bytes.</summary>
    public int BlockSize => _metadata.Volume.BlockSize;

    public VolumeId Id => _metadata.Volume.Id;

    public string Name => _metadata.Volume.Name;

    public CopyName Copy => _metadata.Volume.Copy;

    /// <summary>The epoch of the master that wrote this copy.</summary>
    public Epoch Epoch => _metadata.Volume.Epoch;

    public bool ReadOnly => _options.ReadOnly || _metadata.Volume is { Role: VolumeRole.Replica } or { Fence: not null };

    public string DataFolder => _folder.Path;

    /// <summary>Whether the volume, and not a copy of one, was made in this run.</summary>
    public bool IsNew { get; private init; }

    /// <summary>What the files of deleted blocks may take on the disk, bytes: nothing of a disk that has little room, and of the cache what blocks leave of it.</summary>
    private long RecycledRoom()
    {
        var space = _space.Space;
        long disk = space.FreeBytes < Limits.DiskProbeAlways ? 0 : space.FreeBytes / Limits.RecycledShare;
        return _cache is null ? disk : Math.Min(disk, Math.Max(0, _cache.Bytes - _cache.Used));
    }

    private BlockLocks Locks => _blocks.Locks;

    private PendingBlocks Pending { get; } = new();

    /// <summary>Opens the copy in a data folder, or makes a volume in a missing or empty one.</summary>
    /// <exception cref="VolumeException">One line that says why it cannot be opened and what to do.</exception>
    public static Task<VolumeCopy> OpenAsync(VolumeOptions options, ILoggerFactory loggers, TimeProvider time, CancellationToken cancellation) => OpenAsync(options, null, loggers, time, cancellation);

    /// <param name="options">As above.</param>
    /// <param name="folder">Its folder, where that is locked already: it moves, and is let go where the copy cannot be opened.</param>
    /// <param name="loggers">As above.</param>
    /// <param name="time">As above.</param>
    /// <param name="cancellation">Ends it.</param>
    internal static async Task<VolumeCopy> OpenAsync(VolumeOptions options, DataFolder? folder, ILoggerFactory loggers, TimeProvider time, CancellationToken cancellation)
    {
        MetadataStore? metadata = null;
        BlockStore? blocks = null;
        VolumeCopy? copy = null;
        try
        {
            CheckOptions(options);
            folder ??= Engine.DataFolder.Open(options.DataFolder, options.Create && !options.ReadOnly);
            // The blocks' folder is made after meta.db: without it a making was cut short, and goes on. The root belongs to who makes the volume: an ordinary user could write nothing
            // into it otherwise.
            var create = (folder.IsNew || !folder.HasBlocks) && options.Create && !options.ReadOnly
                ? new NewVolume
                {
                    Name = options.VolumeName,
                    Copy = options.Copy ?? DefaultCopy,
                    BlockSize = options.BlockSize,
                    RootUid = CurrentUser.Uid,
                    RootGid = CurrentUser.Gid,
                    ReplicaOf = options.ReplicaOf,
                }
                : null;
            bool evicts = options.CacheSize is not null && options.Role == VolumeRole.Master;
            metadata = MetadataStore.Open(folder.Metadata, create, time, loggers.CreateLogger<MetadataStore>(), options.ReadOnly ? null : options.Copy, options.ReadOnly ? null : evicts);
            CheckRole(options, metadata.Volume);
            blocks = BlockStore.Open(folder.Path, options.ReadCache, time, loggers.CreateLogger<BlockStore>());
            copy = new VolumeCopy(options, folder, metadata, blocks, loggers, time) { IsNew = create is { ReplicaOf: null } };
            await copy.StartAsync(cancellation);
            return copy;
        }
        catch (Exception e)
        {
            if (copy is not null)
            {
                await copy.AbandonAsync();
            }
            else
            {
                blocks?.Dispose();
                metadata?.Dispose();
                folder?.Dispose();
            }
            if (e is NewerFormatException or NotAVolumeException or MetadataException or BlockStoreException)
                throw new VolumeException($"{options.DataFolder}: {e.Message}{HintOfSpace(options.DataFolder)}", e);
            throw;
        }
    }

    /// <summary>A session on this copy.</summary>
    /// <param name="holder">Asked whether it still knows an inode that has lost its last name.</param>
    /// <param name="accessTimes">When reads of the session bring up access times.</param>
    public LocalSession OpenSession(IInodeHolder holder, AccessTimes accessTimes = AccessTimes.Relative)
    {
        _orphanage.Attach(holder);
        if (holder.OutlivesProcess)
            _files.KeepsUnnamed = true;
        return new LocalSession(this, holder, accessTimes);
    }

    /// <summary>The process that has the copy of a folder open; null where none has.</summary>
    public static FolderOwner? OwnerOf(string folder) => Engine.DataFolder.OwnerOf(folder);

    /// <summary>Whether a process has the copy of a folder open at this moment.</summary>
    public static bool IsInUse(string folder) => Engine.DataFolder.IsInUse(folder);

    /// <summary>Tells other processes that this one is about to close the copy. <see cref="CloseAsync"/> does too; who knows earlier says so earlier.</summary>
    public void AnnounceEnd()
    {
        if (Volatile.Read(ref _closed) == 0)
            _folder.AnnounceEnd();
    }

    /// <summary>Settles everything while replicas can be asked for what they alone have: to be called before the copy leaves its cluster. What cannot be settled is left to <see cref="CloseAsync"/>.</summary>
    /// <param name="patience">How long it may take.</param>
    public async Task SettleAsync(TimeSpan patience)
    {
        if (!_isMaster || _metadata.ReplicaCount == 0)
            return;
        var settling = _files.SyncAllAsync(CancellationToken.None).AsTask();
        try
        {
            await settling.WaitAsync(patience, _time);
        }
        catch (Exception e)
        {
            // It ends with the fetcher.
            _logger.LogWarning(e, "not everything could be brought to disk while replicas were there");
        }
        _ = settling.ContinueWith(late => _ = late.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    /// <summary>Settles and commits everything, brings it to disk, and lets the folder go. What cannot be made into blocks, because the rest of a block is with replicas only, goes into the redo log.</summary>
    /// <exception cref="VolumeException">Something could not be brought to disk: what was synced before is safe.</exception>
    public async Task CloseAsync()
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0)
            return;
        _folder.AnnounceEnd();
        _fetcher.Dispose();
        bool haveSendersEnded = await Replication.StopAsync();
        bool hasStopped = await TryStopTasksAsync() && haveSendersEnded;
        var result = FsResult.Ok;
        try
        {
            if (_isMaster)
            {
                _evictor?.WriteUses();
                result = await _files.SyncAllAsync(CancellationToken.None);
                if (result.Error == Errno.EIO && _metadata.ReplicaCount > 0)
                    result = await _files.LogAllAsync();
                result = await CheckpointLastAsync() is { IsOk: false } failed && result.IsOk ? failed : result;
            }
            else if (Role == VolumeRole.Replica && !_options.ReadOnly)
            {
                result = _metadata.Commit();
            }
        }
        finally
        {
            if (hasStopped)
                DisposeParts();
        }
        if (!result.IsOk)
            throw new VolumeException($"{_options.DataFolder}: not everything could be brought to disk: {result.Error}");
    }

    public async ValueTask DisposeAsync() => await CloseAsync();

    /// <summary>It could not be started.</summary>
    private async Task AbandonAsync()
    {
        _fetcher.Dispose();
        bool haveSendersEnded = await Replication.StopAsync();
        if (await TryStopTasksAsync() && haveSendersEnded)
            DisposeParts();
    }

    /// <summary>Stops what runs in the background. What does not end still uses memory and files of this copy: they stay its own until the process ends, and so does the folder.</summary>
    private async Task<bool> TryStopTasksAsync()
    {
        try
        {
            await _tasks.StopAsync(Limits.StopTimeout);
            return true;
        }
        catch (TimeoutException)
        {
            _logger.LogError("something that runs in the background has not ended within {Seconds} s: the folder {Folder} stays in use until this process ends", Limits.StopTimeout.TotalSeconds, _options.DataFolder);
            return false;
        }
    }

    private void DisposeParts()
    {
        _tasks.Dispose();
        _makingRoom.Dispose();
        _pinning.Dispose();
        _evictor?.Dispose();
        Delta.Dispose();
        _verification.Dispose();
        _collector.Dispose();
        _orphanage.Dispose();
        _files.Dispose();
        _taking.Dispose();
        _metadata.Dispose();
        _blocks.Dispose();
        _pool.Dispose();
        _folder.Dispose();
    }

    private async Task<FsResult> CheckpointLastAsync()
    {
        try
        {
            await _metadata.CheckpointAsync();
            return FsResult.Ok;
        }
        catch (MetadataException e)
        {
            return e.Error;
        }
    }

    /// <summary>SQLite says "disk I/O error" where it cannot make the index of its log longer.</summary>
    private static string HintOfSpace(string path) =>
        Native.DiskSpace.Of(path) is var space && (space.FreeBytes < Limits.MinDiskReserve || space.FreeInodes == 0) ? "; the disk is full: make room on it" : "";

    private static void CheckOptions(VolumeOptions options)
    {
        if (options.BlockSize is < Limits.MinBlockSize or > Limits.MaxBlockSize || (options.BlockSize & (options.BlockSize - 1)) != 0)
            throw new VolumeException($"a block size of {options.BlockSize} bytes cannot be used: a power of two from 4KiB to 4MiB is needed");
        if (options.CacheSize < Limits.MinCache)
            throw new VolumeException($"a cache of {options.CacheSize} bytes is too small: 8MiB or more are needed");
        if (options.Memory < Limits.MinMemory)
            throw new VolumeException($"{options.Memory} bytes of memory are too few: 16MiB or more are needed");
    }

    private static void CheckRole(VolumeOptions options, VolumeInfo volume)
    {
        if (volume.Role == options.Role || options.ReadOnly)
            return;
        // Of a volume that was made here the epoch is the first; any later one was begun by a promotion of this copy.
        if (volume is { Role: VolumeRole.Master, Fence: null } && volume.Epoch.Value > 1)
            throw new PromotedException(volume.Epoch, $"{options.DataFolder} holds the master of the volume {volume.Name}: '{volume.Copy}' was promoted, in epoch {volume.Epoch}; start it with --role master, and do not empty the folder");
        throw new VolumeException(volume.Role == VolumeRole.Replica
            ? $"{options.DataFolder} holds the replica '{volume.Copy}' of the volume {volume.Name}; 'orleansfs promote {volume.Copy}' makes it the master"
            : $"{options.DataFolder} holds a master of the volume {volume.Name}; a replica needs a folder of its own");
    }

    private async Task StartAsync(CancellationToken cancellation)
    {
        _metadata.Pending = SignalPending;
        if (Role == VolumeRole.Replica)
        {
            if (!_options.ReadOnly)
                StartReplica();
            return;
        }
        var redo = _metadata.LoadRedo();
        // A former master is left as it is: what it has may be nowhere else.
        if (_options.ReadOnly || FencedBy is not null)
        {
            _blocks.Source = _options.ReadOnly ? null : _fetcher;
            await ReplayAsync(redo, cancellation);
            return;
        }
        StartMaster();
        _tasks.Run("verify", _verification.RunAsync);
        await ReplayAsync(redo, cancellation);
        if (_metadata.TrimRecords() is { IsOk: false, Error: var untrimmed })
            throw new VolumeException($"{_options.DataFolder}: the records of append-only files cannot be looked through: {untrimmed}");
        TakeUpOrphans();
    }

    private async Task ReplayAsync(IReadOnlyList<RedoFile> redo, CancellationToken cancellation)
    {
        try
        {
            await _files.ReplayAsync(redo, isElsewhere: _metadata.ReplicaCount > 0, cancellation);
        }
        catch (InvalidDataException e)
        {
            throw new VolumeException($"{_options.DataFolder}: {e.Message}", e);
        }
    }

    private void StartMaster()
    {
        _isMaster = true;
        _blocks.Source = _fetcher;
        _blocks.Files.KeepsPages = () => Composer.IsOn;
        _blocks.Files.Readers = () => Replication.Followers;
        if (_evictor is { } evictor)
        {
            _space.Cache = _cache;
            _blocks.Used = evictor.Note;
            _fetcher.Stored = evictor.NoteStored;
            _fetcher.MakeRoom = evictor.MakeRoomAsync;
            _tasks.Run("evict", evictor.RunAsync);
            _tasks.RunOnce("take up", evictor.TakeUpAsync);
        }
        _collector.Release = Composer.ReleaseAsync;
        _composed.Hot = Composer.NoteHot;
        _tasks.Run("flatten", Composer.FlattenAsync);
        Composer.IsOn = _options.Compose;
        if (_options.Compose)
            _tasks.Run("compose", Composer.ComposeAsync);
        _orphansFound = _metadata.Orphans();
        for (int i = 0; i < Limits.SealWorkers; i++)
            _tasks.Run("seal", _files.SealCompleteAsync, _files.Sealing);
        _tasks.Run("settle", _files.SettleOldAsync);
        _tasks.Run("commit", CommitLoopAsync);
        _tasks.Run("purge", _orphanage.PurgeAsync);
        _tasks.Run("collect", CollectLoopAsync);
        _tasks.Run("sweep", SweepLoopAsync);
        _tasks.Run("hash", HashUnhashedAsync);
        _tasks.Run("leases", EndLeasesAsync);
    }

    private void NoteSealed(SealedNote note)
    {
        _verification.NoteStored(note.Hash);
        if (Composer.IsOn || _options.Delta != DeltaMode.Off && !Replication.IsAlone)
            Delta.Notes.Add(note);
        Replication.NoteSealed(note);
    }

    private void NoteNamed(IReadOnlyList<ManifestBlock> blocks)
    {
        Delta.Index.Note(blocks);
        Composer.Note(blocks);
    }

    private void SignalPending()
    {
        // Called under the metadata lock, and so never by two at once.
        if (_pending.CurrentCount == 0)
            _pending.Release();
    }

    private async Task CommitLoopAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await _pending.WaitAsync(cancellation);
            await Task.Delay(Limits.CommitInterval, _time, cancellation);
            var result = await _committer.CommitAsync(cancellation);
            if (!result.IsOk)
            {
                SignalPending();
                await Task.Delay(Limits.RetryPause, _time, cancellation);
            }
            await _metadata.CheckpointAsync();
        }
    }
}
