using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Rows of blocks, for deduplication and collection.</content>
internal sealed partial class MetadataStore
{
    /// <summary>The row of a block, dead ones too; false where there is none.</summary>
    /// <exception cref="MetadataException">The table cannot be read.</exception>
    public bool TryGetBlock(BlockHash hash, out BlockRow row)
    {
        lock (Lock)
        {
            RequireReady();
            var s = _sql.GetBlock.Bind(1, hash);
            bool found = s.Step();
            row = found ? ReadBlock(s) : default;
            s.Reset();
            return found;
        }
    }

    /// <summary>Blocks that nothing refers to, not used since a time: the longest dead first, after one that an earlier call gave.</summary>
    public IReadOnlyList<DeadBlock> DeadBlocks(Timestamp before, int max, DeadBlock? after)
    {
        lock (Lock)
        {
            RequireReady();
            var dead = new List<DeadBlock>();
            var s = _sql.DeadBlocks.Bind(1, after?.LastUse ?? new Timestamp(long.MinValue)).Bind(2, after?.Hash ?? BlockHash.Hole).Bind(3, before);
            while (dead.Count < max && s.Step())
                dead.Add(new DeadBlock(s.Hash(1), s.Time(0)));
            s.Reset();
            return dead;
        }
    }

    /// <summary>Whether a dead block is still wanted: its row is not deleted then. Asked under <see cref="Lock"/>.</summary>
    public Func<BlockHash, bool>? IsHeld { get; set; }

    /// <summary>The rows of blocks whose names begin with 32 bits, at most so many.</summary>
    public IReadOnlyList<BlockRow> BlocksByPrefix(uint prefix, int most) => BlocksByPrefix((ulong)prefix << 32, uint.MaxValue, most);

    /// <summary>The rows of blocks whose names begin with 64 bits, at most so many.</summary>
    public IReadOnlyList<BlockRow> BlocksByPrefix(ulong prefix, int most) => BlocksByPrefix(prefix, 0, most);

    private List<BlockRow> BlocksByPrefix(ulong first, ulong range, int most)
    {
        Span<byte> name = stackalloc byte[BlockHash.Size];
        name.Clear();
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(name, first);
        lock (Lock)
        {
            RequireReady();
            var rows = new List<BlockRow>();
            var s = _sql.BlocksFrom.Bind(1, new BlockHash(name));
            while (rows.Count < most && s.Step() && s.Hash(0).Prefix - first <= range)
                rows.Add(ReadBlock(s));
            s.Reset();
            return rows;
        }
    }

    /// <summary>Deletes the row of a block that nothing refers to; false where something does again, or there is none.</summary>
    /// <remarks>The block's file may be deleted when the transaction has been committed. In the journal, so that a row here says that the block is on every replica that has acknowledged its birth.</remarks>
    /// <exception cref="MetadataException">Nothing has changed.</exception>
    public bool DeleteDeadBlock(BlockHash hash)
    {
        lock (Lock)
        {
            if (Enter() is not Errno.None)
                throw new MetadataException(Errno.EIO, 0, Trouble!);
            try
            {
                if (RefusesOwn?.Invoke() == true || IsHeld?.Invoke(hash) == true || MadeOf(hash, 1).Count > 0 || !ApplyDeleteBlock(hash))
                    return false;
                _effects.DeleteBlock(hash);
                Done();
                return true;
            }
            catch (Exception e)
            {
                Undo(e);
                throw;
            }
        }
    }

    /// <summary>Notes that blocks were used now. Local. At most <see cref="MetadataLimits.TouchBatch"/> at a time.</summary>
    public FsResult Touch(ReadOnlySpan<BlockHash> hashes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(hashes.Length, MetadataLimits.TouchBatch);
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                var now = Clock.Now();
                foreach (var hash in hashes)
                    _sql.TouchBlock.Bind(1, hash).Bind(2, now).Run();
                _effects.Touch(hashes, now);
                DoneLocal();
                return FsResult.Ok;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>Notes that a block should be in a file here, or not. Local; committed with the next transaction. False where there is no row, or it says so already, or it is to be absent and composed blocks are made of it.</summary>
    /// <param name="hash">The block.</param>
    /// <param name="residency">Where it is.</param>
    /// <param name="writeSequence">Position of the write that must be synced before the transaction is committed; 0 where there is none.</param>
    public bool SetResidency(BlockHash hash, Residency residency, long writeSequence = 0)
    {
        lock (Lock)
        {
            if (Enter() is not Errno.None)
                throw new MetadataException(Errno.EIO, 0, Trouble!);
            try
            {
                RequiredBlockSequence = Math.Max(RequiredBlockSequence, writeSequence);
                // Somebody may have made a block of it since it was chosen to be given up.
                if (residency == Residency.Absent && MadeOf(hash, 1).Count > 0 || !ApplyResidency(hash, residency))
                    return false;
                _effects.SetResidency(hash, residency);
                DoneLocal();
                return true;
            }
            catch (Exception e)
            {
                Undo(e);
                throw;
            }
        }
    }

    /// <summary>Finds what can be evicted and what is pinned without a look at all blocks. Only where there is a bound on them: it costs each change of a block.</summary>
    private const string CreateEvictionIndexes =
        "CREATE INDEX IF NOT EXISTS block_lru ON block (last_use, hash) WHERE residency = 1; CREATE INDEX IF NOT EXISTS block_kept ON block (stored) WHERE residency = 2";

    private const string DropEvictionIndexes = "DROP INDEX IF EXISTS block_lru; DROP INDEX IF EXISTS block_kept";

    /// <summary>Makes this store one that evicts: a replica becomes a master. Called with the lock held. Until the next commit it can be lost.</summary>
    private FsResult PrepareEviction()
    {
        if (Enter() is var error and not Errno.None)
            return error;
        try
        {
            _database.Execute(CreateEvictionIndexes);
            DoneLocal();
            return FsResult.Ok;
        }
        catch (Exception e)
        {
            return Undo(e);
        }
    }

    /// <summary>What the pinned blocks take on disk, bytes. For a store that was opened to evict.</summary>
    public long PinnedBytes()
    {
        lock (Lock)
        {
            RequireReady();
            using var s = _database.Prepare("SELECT coalesce(sum(stored), 0) FROM block INDEXED BY block_kept WHERE residency = 2");
            s.Step();
            return s.Int64(0);
        }
    }

    /// <summary>What the blocks that should be in files here take on disk, bytes. Takes no lock.</summary>
    public long LocalBytes => Volatile.Read(ref _counters.LocalBytes);

    /// <summary>Blocks that may be evicted as far as this copy is concerned, the longest unused first, after one that an earlier call gave. For a store that was opened to evict.</summary>
    public IReadOnlyList<BlockRow> OldestLocal(BlockRow? after, int max)
    {
        lock (Lock)
        {
            RequireReady();
            var rows = new List<BlockRow>();
            using var s = _database.Prepare(
                $"SELECT {Statements.BlockColumns} FROM block INDEXED BY block_lru WHERE residency = 1 AND (last_use, hash) > (?1, ?2) ORDER BY last_use, hash");
            s.Bind(1, after?.LastUse ?? new Timestamp(long.MinValue)).Bind(2, after?.Hash ?? BlockHash.Hole);
            while (rows.Count < max && s.Step())
                rows.Add(ReadBlock(s));
            s.Reset();
            return rows;
        }
    }

    /// <summary>Blocks that have a row and should have no file here. For a replica, which has an index of them.</summary>
    public IReadOnlyList<BlockHash> AbsentBlocks(int max)
    {
        lock (Lock)
        {
            RequireReady();
            var absent = new List<BlockHash>();
            using var s = _database.Prepare("SELECT hash FROM block WHERE residency = 0");
            while (absent.Count < max && s.Step())
                absent.Add(s.Hash(0));
            return absent;
        }
    }

    /// <summary>All block rows in hash order, a page at a time, the lock free between pages: what comes or goes meanwhile may be missed.</summary>
    public IEnumerable<BlockRow> EnumerateBlocks()
    {
        var after = BlockHash.Hole;
        while (BlocksAfter(after) is [.., var last] page)
        {
            foreach (var row in page)
                yield return row;
            after = last.Hash;
        }
    }

    /// <summary>A page of block rows in hash order, after a hash; none at the end.</summary>
    public IReadOnlyList<BlockRow> BlocksAfter(BlockHash after)
    {
        lock (Lock)
        {
            RequireReady();
            var page = new List<BlockRow>(MetadataLimits.PageRows);
            var s = _sql.PageBlocks.Bind(1, after);
            while (page.Count < MetadataLimits.PageRows && s.Step())
                page.Add(ReadBlock(s));
            s.Reset();
            return page;
        }
    }

    /// <returns>Whether there was a row that nothing refers to.</returns>
    private bool ApplyDeleteBlock(BlockHash hash)
    {
        var s = _sql.CountBlock.Bind(1, hash);
        if (!s.Step())
            return false;
        var (stored, references, isLocal) = (s.Int64(1), s.Int64(2), s.Int64(3) != (long)Residency.Absent);
        s.Reset();
        if (references != 0)
            return false;
        DropComposed(hash);
        _sql.DeleteBlock.Bind(1, hash).Run();
        _counters.DeadBlocks--;
        _counters.DeadBytes -= stored;
        _counters.LocalBytes -= isLocal ? stored : 0;
        return true;
    }

    private bool ApplyResidency(BlockHash hash, Residency residency)
    {
        var s = _sql.CountBlock.Bind(1, hash);
        if (!s.Step())
            return false;
        var (stored, was) = (s.Int64(1), (Residency)s.Int64(3));
        s.Reset();
        if (was == residency)
            return false;
        if (residency == Residency.Absent)
            DropComposed(hash);
        _sql.SetResidency.Bind(1, hash).Bind(2, (long)residency).Run();
        _counters.LocalBytes += (residency != Residency.Absent ? stored : 0) - (was != Residency.Absent ? stored : 0);
        return true;
    }

    private static BlockRow ReadBlock(Statement s) =>
        new(s.Hash(0), s.Int32(1), s.Int64(2), s.Int64(3), s.Time(4), unchecked((ulong)s.Int64(5)), (Residency)s.Int64(6), new Lsn(s.Int64(7)), s.Int32(8));
}
