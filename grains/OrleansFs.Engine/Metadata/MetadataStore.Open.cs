using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

internal sealed partial class MetadataStore
{
    private readonly LogBudget _budget;
    private bool _isDisposed;

    private MetadataStore(string path, Database database, Statements sql, VolumeInfo volume, VolumeClock clock, TimeProvider time, ILogger logger)
    {
        _path = path;
        _budget = LogBudget.For(Path.GetDirectoryName(Path.GetFullPath(path))!);
        _database = database;
        _sql = sql;
        _time = time;
        _logger = logger;
        _failures = new TroubleLog(logger, time);
        Volume = volume;
        Clock = clock;
    }

    /// <summary>Opens meta.db; where there is none and <paramref name="create"/> is given, makes the volume. Who opens has locked the data folder.</summary>
    /// <param name="path">Path of meta.db.</param>
    /// <param name="create">What to make where there is no volume yet; null to refuse then.</param>
    /// <param name="time">The wall clock.</param>
    /// <param name="logger">Told of everything that fails.</param>
    /// <param name="copy">The name that the copy has from now on; null to leave it.</param>
    /// <param name="evicts">Whether blocks are evicted by their last use, which wants an index; null to leave that as it is.</param>
    /// <exception cref="NewerFormatException">A newer program has written it.</exception>
    /// <exception cref="NotAVolumeException">It is no volume.</exception>
    public static MetadataStore Open(string path, NewVolume? create, TimeProvider time, ILogger logger, CopyName? copy = null, bool? evicts = null)
    {
        if (create is null && !File.Exists(path))
            throw new NotAVolumeException($"there is no volume at {path}");
        var database = Database.Open(path, MetadataLimits.CacheKibibytes);
        Statements? sql = null;
        try
        {
            int format = Prepare(database, path, create, copy, time);
            if (evicts is { } wanted)
                database.Execute(wanted ? CreateEvictionIndexes : DropEvictionIndexes);
            sql = new Statements(database);
            var (volume, floor) = ReadVolume(database, format);
            var store = new MetadataStore(path, database, sql, volume, new VolumeClock(time, floor), time, logger);
            store.ReadState();
            store.OpenEffectLog();
            store.OpenRedo();
            store.Begin();
            store.StartBackground();
            return store;
        }
        catch
        {
            // Before the connection, which stays open with its transaction otherwise.
            sql?.Dispose();
            database.Dispose();
            throw;
        }
    }

    /// <summary>Closes. What is not committed is lost: the engine commits before, under its own rule for blocks.</summary>
    public void Dispose()
    {
        lock (Lock)
        {
            if (_isDisposed)
                return;
            _isDisposed = true;
            Poison ??= "the metadata store is closed";
            if (PendingMutations > 0 || _dirty.Count > 0)
                _logger.LogWarning("the metadata store is closed with {Count} mutations that were not committed", PendingMutations + _dirty.Count);
        }
        // Without the lock: a sync that fails takes it to say so.
        StopBackground();
        lock (Lock)
        {
            _sql.Dispose();
            _database.Dispose();
        }
    }

    private static int Prepare(Database database, string path, NewVolume? create, CopyName? copy, TimeProvider time)
    {
        var (format, made) = database.Migrate(path, () => RedoTable.MoveToLog(database, Path.GetDirectoryName(Path.GetFullPath(path))!));
        if (made)
        {
            if (create is null)
                throw new NotAVolumeException($"there is no volume at {path}");
            MakeVolume(database, create, Timestamp.From(time.GetUtcNow()));
        }
        if (copy is { } name)
        {
            using var rename = database.Prepare("UPDATE volume SET copy = ?1 WHERE copy <> ?1");
            rename.BindText(1, name.Value).Run();
        }
        if (!database.IsIdle)
            database.Execute("COMMIT");
        return format;
    }

    private static void MakeVolume(Database database, NewVolume create, Timestamp now)
    {
        ArgumentOutOfRangeException.ThrowIfEqual(create.Site, InodeNumber.NoSite);
        ulong first = ((ulong)create.Site << InodeNumber.SiteShift) + InodeNumber.Root.Value + 1;
        using var volume = database.Prepare(
            """
            INSERT INTO volume VALUES (1, ?1, ?2, ?3, ?4, ?5, ?9, ?6, ?7, ?8, ?6, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, ?10, NULL, NULL, 0)
            """);
        bool isReplica = create.ReplicaOf is not null;
        volume.BindText(1, (create.ReplicaOf ?? VolumeId.New()).ToString()).BindText(2, create.Name).BindText(3, create.Copy.Value).Bind(4, create.BlockSize).Bind(5, (long)create.Site).Bind(6, now)
            .Bind(7, first).Bind(8, FirstCookie).Bind(9, isReplica ? 0L : 1).Bind(10, (long)(isReplica ? VolumeRole.Replica : VolumeRole.Master)).Run();
        if (!isReplica)
            database.Execute("INSERT INTO epoch (epoch, start, time) SELECT epoch, 0, created FROM volume");
        using var root = database.Prepare(
            """
            INSERT INTO inode (ino, mode, nlink, uid, gid, size, allocated, atime, mtime, ctime, btime, device, flags, parent, manifest, xattr_bytes, linkable)
            VALUES (?1, ?2, 2, ?3, ?4, 0, 0, ?5, ?5, ?5, ?5, 0, 0, ?1, ?1, 0, 0)
            """);
        root.Bind(1, InodeNumber.Root).Bind(2, (long)(Mode.S_IFDIR | (create.RootMode & Mode.PermissionMask))).Bind(3, (long)create.RootUid).Bind(4, (long)create.RootGid).Bind(5, now)
            .Run();
    }

    private static (VolumeInfo Volume, Timestamp Clock) ReadVolume(Database database, int format)
    {
        using var statement = database.Prepare("SELECT id, name, copy, block_size, epoch, site, created, clock, role, fenced_by, fenced_at FROM volume");
        if (!statement.Step())
            throw new NotAVolumeException("meta.db has no volume in it");
        var volume = new VolumeInfo(VolumeId.Parse(statement.Text(0)), statement.Text(1), CopyName.Parse(statement.Text(2)), statement.Int32(3), new Epoch(statement.Int64(4)),
            (ushort)statement.Int64(5), format, statement.Time(6))
        {
            Role = (VolumeRole)statement.Int64(8),
            Fence = statement.IsNull(9) ? null : new Fence(new Epoch(statement.Int64(9)), new Lsn(statement.Int64(10))),
        };
        var clock = statement.Time(7);
        statement.Reset();
        return (volume, clock);
    }

    /// <summary>Takes the changing part of the volume's row, and what is counted in memory, from the tables.</summary>
    private void ReadState()
    {
        using var s = _database.Prepare(
            """
            SELECT next_inode, next_cookie, lsn, files, directories, others, logical_bytes, referenced_bytes, blocks, unique_bytes, stored_bytes, dead_blocks, dead_bytes, orphans,
              (SELECT coalesce(sum(length(effects)), 0) FROM journal), local_bytes, clock FROM volume
            """);
        if (!s.Step())
            throw new NotAVolumeException("meta.db has no volume in it");
        (_nextInode, _nextCookie, _tail) = (s.Inode(0).Value, s.Int64(1), s.Int64(2));
        _counters = new Counters
        {
            Files = s.Int64(3),
            Directories = s.Int64(4),
            Others = s.Int64(5),
            LogicalBytes = s.Int64(6),
            ReferencedBytes = s.Int64(7),
            Blocks = s.Int64(8),
            UniqueBytes = s.Int64(9),
            StoredBytes = s.Int64(10),
            DeadBlocks = s.Int64(11),
            DeadBytes = s.Int64(12),
            Orphans = s.Int64(13),
            LocalBytes = s.Int64(15),
        };
        _journalBytes = s.Int64(14);
        LogAnew(new CommitPoint(new Lsn(_tail), s.Time(16)));
        s.Reset();
        _committed = _tail;
        _hasComposed = _database.Scalar("SELECT EXISTS (SELECT 1 FROM composed)") != 0;
        ReadReplicas();
    }
}
