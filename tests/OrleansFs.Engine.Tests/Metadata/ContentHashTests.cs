using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class ContentHashTests : IDisposable
{
    private const int S = TestVolume.BlockSize;
    private readonly TestVolume _volume = new();

    private MetadataStore Store => _volume.Store;

    public void Dispose() => _volume.Dispose();

    [Fact]
    public void A_file_of_one_block_has_the_hash_of_its_block_and_an_empty_one_that_of_nothing()
    {
        var inode = New();
        Commit(inode, 5, [(0, "x")]);
        var empty = New();
        _volume.Commit();
        Assert.Equal(Hash("x"), Row(inode));
        Assert.Equal(BlockHash.Of([]), Row(empty));
        Commit(inode, 5, [], truncate: 0);
        _volume.Commit();
        Assert.Equal(BlockHash.Of(new byte[5]), Row(inode));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(256)]
    [InlineData(257)]
    [InlineData(1000)]
    [InlineData(70_000)]
    public void Whatever_is_done_to_a_file_its_row_has_the_hash_of_its_blocks(int blocks)
    {
        var random = new Random(blocks);
        var inode = New();
        var model = new SortedDictionary<long, BlockHash>();
        long size = 0;
        for (int round = 0; round < 20; round++)
        {
            var changes = new List<(long, string)>();
            long at = random.NextInt64(blocks);
            for (int i = random.Next(600); i >= 0 && at < blocks; i--, at += random.Next(8) == 0 ? random.Next(1, 3000) : 1)
                changes.Add((at, random.Next(10) == 0 ? "" : $"b{random.Next(1000)}"));
            long? cut = random.Next(4) == 0 ? random.NextInt64(blocks) : null;
            if (cut is { } from)
            {
                foreach (long gone in model.Keys.Where(k => k >= from).ToArray())
                    model.Remove(gone);
                size = Math.Min(size, from * S);
            }
            foreach (var (index, text) in changes)
                model[index] = text.Length == 0 ? BlockHash.Hole : Hash(text);
            size = Math.Max(size, changes.Count == 0 ? 0 : changes[^1].Item1 * S + random.Next(1, S + 1));
            Commit(inode, size, changes, cut);
            _volume.Commit();
            var expected = Expected(model, size);
            Assert.Equal(expected, Row(inode));
            Assert.Equal(expected, Store.ContentHash(inode.Number));
        }
        _volume.Reopen();
        Assert.Equal(Expected(model, size), Row(inode));
        Assert.Empty(Store.Check(null, CancellationToken.None));
    }

    [Fact]
    public void A_hash_that_is_not_kept_is_computed_when_asked_for()
    {
        var inode = New();
        long far = (long)MetadataLimits.SegmentBlocks * (MetadataLimits.HashedSegments + 10);
        var blocks = Enumerable.Range(0, MetadataLimits.HashedSegments + 1).Select(i => ((long)i * MetadataLimits.SegmentBlocks, $"b{i % 7}")).ToList();
        Commit(inode, far * S, blocks);
        _volume.Commit();
        Assert.Null(Row(inode));
        Assert.Equal(Expected(blocks.ToDictionary(b => b.Item1, b => Hash(b.Item2)), far * S), Store.ContentHash(inode.Number));
    }

    /// <summary>A kill in the middle of a purge leaves an orphan that has lost some of its blocks: it is as sound as any other.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_file_that_is_being_purged_says_no_hash(bool unnamed)
    {
        var inode = Store.Acquire(unnamed
            ? Store.CreateUnnamed(InodeNumber.Root, new NewInode { Mode = Mode.S_IFREG | 0x180 }, TestVolume.Root).Value.Inode
            : Store.Create(InodeNumber.Root, "f").Inode)!;
        Commit(inode, (long)MetadataLimits.SegmentBlocks * 3 * S, [.. Enumerable.Range(0, 3).Select(i => ((long)i * MetadataLimits.SegmentBlocks, $"b{i}"))]);
        _volume.Commit();
        Assert.NotNull(Row(inode));
        if (!unnamed)
            Store.Unlink(InodeNumber.Root, "f");
        _volume.Commit();
        Assert.False(Store.PurgeStep(inode.Number, 1));
        _volume.Commit();
        Assert.Empty(Store.Check(null, CancellationToken.None).Select(f => f.Description));
        Assert.Null(Row(inode));
        using var killed = _volume.Crashed();
        Assert.Empty(killed.Store.Check(null, CancellationToken.None));
    }

    /// <summary>Hashes that are computed beside changes are of no state in between, and are not kept for a file that has changed meanwhile.</summary>
    [Fact]
    public async Task A_large_file_that_changes_while_it_is_hashed_has_no_hash_but_its_own()
    {
        var inode = New();
        int count = MetadataLimits.HashedSegments + 1;
        long size = (long)MetadataLimits.SegmentBlocks * count * S;
        Commit(inode, size, [.. Enumerable.Range(0, count).Select(i => ((long)i * MetadataLimits.SegmentBlocks, "b0"))]);
        _volume.Commit();
        // Version n: the first and the last block are both of round n. A hash across two versions is that of none.
        var versions = Enumerable.Range(0, 30).ToDictionary(n => Version(n), n => n);
        using var stop = new CancellationTokenSource();
        var hashing = Task.Run(() =>
        {
            var seen = new HashSet<BlockHash>();
            while (!stop.IsCancellationRequested)
            {
                Store.HashUnhashed(64);
                seen.Add(Store.ContentHash(inode.Number)!.Value);
            }
            return seen;
        });
        for (int n = 1; n < 30; n++)
        {
            Commit(inode, size, [(0, $"b{n}"), ((count - 1L) * MetadataLimits.SegmentBlocks, $"b{n}")]);
            _volume.Commit();
            if (Row(inode) is { } kept)
                Assert.Equal(n, versions[kept]);
        }
        await stop.CancelAsync();
        Assert.All(await hashing, h => Assert.Contains(h, versions.Keys));
        while (Store.HashUnhashed(64) > 0)
        {
        }
        _volume.Commit();
        Assert.Equal(Version(29), Row(inode));
        Assert.Empty(Store.Check(null, CancellationToken.None));

        BlockHash Version(int n) =>
            Expected(Enumerable.Range(0, count).ToDictionary(i => (long)i * MetadataLimits.SegmentBlocks, i => Hash(i == 0 || i == count - 1 ? $"b{n}" : "b0")), size);
    }

    [Fact]
    public void A_volume_of_the_format_before_gets_its_hashes_with_the_next_change()
    {
        var inode = New();
        Commit(inode, 300 * S, [.. Enumerable.Range(0, 300).Select(i => ((long)i, $"b{i}"))]);
        _volume.Offline(
            """
            DROP TABLE record;
            DROP TABLE appender;
            DROP INDEX inode_hash;
            DROP INDEX inode_unhashed;
            DROP INDEX dentry_ino;
            CREATE TABLE old (manifest INTEGER NOT NULL, segment INTEGER NOT NULL, mapped INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (manifest, segment)) STRICT, WITHOUT ROWID;
            INSERT INTO old SELECT manifest, segment, mapped, hashes FROM manifest;
            DROP TABLE manifest;
            ALTER TABLE old RENAME TO manifest;
            UPDATE inode SET hash = NULL;
            DROP INDEX inode_guarded;
            DROP TABLE epoch;
            DROP TABLE branch;
            ALTER TABLE replica DROP COLUMN held;
            ALTER TABLE replica DROP COLUMN lacks;
            ALTER TABLE volume DROP COLUMN role;
            ALTER TABLE volume DROP COLUMN fenced_by;
            ALTER TABLE volume DROP COLUMN fenced_at;
            ALTER TABLE volume DROP COLUMN local_bytes;
            DROP TABLE redo_settled;
            DROP TABLE composed;
            DROP TABLE composed_source;
            DROP TABLE session;
            DROP TABLE reply;
            DROP TABLE redo_lost;
            CREATE TABLE redo (ino INTEGER NOT NULL, sequence INTEGER NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, data BLOB NOT NULL,
                PRIMARY KEY (ino, sequence)) STRICT, WITHOUT ROWID;
            PRAGMA user_version = 3;
            """);
        Assert.Equal(18, Store.Volume.FormatVersion);
        Assert.Null(Row(inode));
        Assert.Equal(1, Store.HashUnhashed(64));
        Assert.Equal(0, Store.HashUnhashed(64));
        _volume.Commit();
        Assert.Equal([inode.Number], Store.FindByHash(Row(inode)!.Value));
        var again = Store.Acquire(inode.Number)!;
        Commit(again, 300 * S, [(299, "changed")]);
        _volume.Commit();
        var model = Enumerable.Range(0, 300).ToDictionary(i => (long)i, i => Hash(i == 299 ? "changed" : $"b{i}"));
        Assert.Equal(Expected(model, 300 * S), Row(inode));
    }

    private static BlockHash Hash(string text) => BlockHash.Of(text.Bytes());

    private static BlockHash Expected(IReadOnlyDictionary<long, BlockHash> blocks, long size)
    {
        var builder = new ContentHashBuilder(S);
        long next = 0;
        foreach (var (index, hash) in blocks.OrderBy(b => b.Key))
        {
            builder.AppendHoles(index - next);
            builder.Append(hash);
            next = index + 1;
        }
        return builder.Finish(size);
    }

    private Inode New() => Store.Acquire(Store.Create(InodeNumber.Root, Guid.NewGuid().ToString("N")).Inode)!;

    private void Commit(Inode inode, long size, IReadOnlyList<(long Index, string Text)> blocks, long? truncate = null) =>
        Assert.True(Store.CommitContent(inode, new ContentCommit
        {
            Size = size,
            ModifyTime = Store.Clock.Now(),
            TruncateToBlocks = truncate,
            Blocks = [.. blocks.Select(b => b.Text.Length == 0 ? new ManifestBlock(b.Index, BlockHash.Hole, 0, 0, 0, 0) : new ManifestBlock(b.Index, Hash(b.Text), S, 8, 100, 1))],
        }).IsOk);

    private BlockHash? Row(Inode inode)
    {
        using var database = Database.Open(_volume.Database, 1024);
        using var s = database.Prepare("SELECT hash FROM inode WHERE ino = ?1");
        s.Bind(1, inode.Number);
        Assert.True(s.Step());
        BlockHash? hash = s.IsNull(0) ? null : s.Hash(0);
        s.Reset();
        return hash;
    }
}
