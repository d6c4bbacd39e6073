using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>Which blocks of a volume have a weak checksum, and which block follows which in some file. In memory, of bounded size, made when it is first wanted.</summary>
/// <remarks>
/// What it says is a hint: a block may have been collected since, or be another whose name begins alike; who asks looks at the block's row. So nothing is ever taken out of it. It knows the blocks that the tables had when it
/// was made, and what has been committed since.
/// </remarks>
internal sealed class BlockIndex
{
    private readonly string _metadataPath;
    private readonly int _blockSize;
    private readonly Func<CancellationToken, ValueTask<FsResult>> _commit;
    private readonly Lock _lock = new();
    private Tables? _tables;
    private Task<Tables>? _making;

    /// <param name="metadataPath">The database that it is made from.</param>
    /// <param name="blockSize">S, bytes.</param>
    /// <param name="commit">Commits what has been noted so far.</param>
    public BlockIndex(string metadataPath, int blockSize, Func<CancellationToken, ValueTask<FsResult>> commit)
    {
        _metadataPath = metadataPath;
        _blockSize = blockSize;
        _commit = commit;
    }

    /// <summary>The tables, made where they are not yet.</summary>
    /// <exception cref="MetadataException">The database cannot be read.</exception>
    public Task<Tables> GetAsync(CancellationToken cancellation)
    {
        lock (_lock)
        {
            if (_making is null or { IsFaulted: true } or { IsCanceled: true } || _tables is { IsCrowded: true } && _making.IsCompleted)
                _making = Task.Run(MakeAsync, CancellationToken.None);
            return _making.WaitAsync(cancellation);
        }
    }

    /// <summary>Blocks have come into a manifest, in the order of their places. Free where there is no index.</summary>
    public void Note(IReadOnlyList<ManifestBlock> blocks)
    {
        if (Volatile.Read(ref _tables) is null)
            return;
        lock (_lock)
        {
            for (int i = 0; i < blocks.Count; i++)
            {
                var block = blocks[i];
                if (block.Hash.IsHole)
                    continue;
                if (block.Length == _blockSize)
                    _tables!.Weak.Add(block.WeakChecksum, Prefix(block.Hash));
                if (i > 0 && !blocks[i - 1].Hash.IsHole && blocks[i - 1].Index + 1 == block.Index)
                    Link(_tables!, blocks[i - 1].Hash, block.Hash);
            }
        }
    }

    /// <summary>The first 32 bits of a block's name, as the tables have it.</summary>
    public static uint Prefix(BlockHash hash) => (uint)(hash.Prefix >> 32);

    private static void Link(Tables tables, BlockHash first, BlockHash second)
    {
        tables.Next.Add(Key(first), Prefix(second));
        tables.Previous.Add(Key(second), Prefix(first));
    }

    /// <summary>A hash is evenly spread: any bits of it do.</summary>
    private static ulong Key(BlockHash hash) => hash.Prefix;

    private async Task<Tables> MakeAsync()
    {
        using var database = Database.Open(_metadataPath, DatabaseCacheKibibytes);
        long blocks = database.Scalar("SELECT blocks + dead_blocks FROM volume");
        // A block may have more neighbours than one: the number of blocks alone does not tell how large they become.
        var tables = new Tables(Math.Max(2 * blocks, _tables is { IsCrowded: true } crowded ? 2L * crowded.Weak.Capacity : 0));
        lock (_lock)
            Volatile.Write(ref _tables, tables);
        // What was noted in the tables before these need not be committed yet, and would be in neither: not noted here, and not read.
        var committed = await _commit(CancellationToken.None);
        if (!committed.IsOk)
            throw new MetadataException(committed.Error, 0, "what the index of blocks is made from cannot be committed");
        using var sums = database.Prepare("SELECT hash, weak FROM block WHERE length = ?1");
        sums.Bind(1, (long)_blockSize);
        foreach (var batch in Batches(sums, s => (Hash: s.Hash(0), Weak: unchecked((ulong)s.Int64(1)))))
        {
            lock (_lock)
            {
                foreach (var (hash, weak) in batch)
                    tables.Weak.Add(weak, Prefix(hash));
            }
        }
        using var segments = database.Prepare("SELECT hashes FROM manifest ORDER BY manifest, segment");
        foreach (var batch in Batches(segments, s => s.Blob(0).ToArray()))
        {
            lock (_lock)
            {
                foreach (byte[] hashes in batch)
                    LinkAll(tables, hashes);
            }
        }
        return tables;
    }

    private static void LinkAll(Tables tables, ReadOnlySpan<byte> hashes)
    {
        var before = BlockHash.Hole;
        for (; hashes.Length >= BlockHash.Size; hashes = hashes[BlockHash.Size..])
        {
            var hash = new BlockHash(hashes[..BlockHash.Size]);
            if (!before.IsHole && !hash.IsHole)
                Link(tables, before, hash);
            before = hash;
        }
    }

    private static IEnumerable<IReadOnlyList<T>> Batches<T>(Statement statement, Func<Statement, T> read)
    {
        var batch = new List<T>(BatchRows);
        while (statement.Step())
        {
            batch.Add(read(statement));
            if (batch.Count < BatchRows)
                continue;
            yield return batch;
            batch.Clear();
        }
        statement.Reset();
        yield return batch;
    }

    /// <summary>Rows that are taken into the tables under one hold of the lock, which a commit may wait for.</summary>
    private const int BatchRows = 256;

    /// <summary>The tables are read once, in order.</summary>
    private const int DatabaseCacheKibibytes = 1024;

    /// <summary>The three tables.</summary>
    internal sealed class Tables
    {
        public Tables(long entriesWanted)
        {
            long wanted = Math.Clamp(entriesWanted, DeltaLimits.MinIndexEntries, DeltaLimits.IndexEntries);
            int entries = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)wanted);
            Weak = new FingerprintTable(entries);
            Next = new FingerprintTable(entries);
            Previous = new FingerprintTable(entries);
        }

        /// <summary>Full blocks by their weak checksum.</summary>
        public FingerprintTable Weak { get; }

        /// <summary>What follows a block in a file.</summary>
        public FingerprintTable Next { get; }

        /// <summary>What is before it.</summary>
        public FingerprintTable Previous { get; }

        /// <summary>A larger table would forget less.</summary>
        public bool IsCrowded => Weak.Capacity < DeltaLimits.IndexEntries && Math.Max(Weak.Count, Next.Count) > Weak.Capacity / 2;

        public int Following(BlockHash hash, Span<uint> prefixes) => Next.Find(Key(hash), prefixes);

        public int Preceding(BlockHash hash, Span<uint> prefixes) => Previous.Find(Key(hash), prefixes);
    }
}
