using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class ContentCommitTests : IDisposable
{
    private const int S = TestVolume.BlockSize;
    private readonly TestVolume _volume = new();

    private static InodeNumber Root => InodeNumber.Root;

    private MetadataStore Store => _volume.Store;

    public void Dispose() => _volume.Dispose();

    [Fact]
    public void A_commit_sets_manifest_size_time_and_reference_counts_together()
    {
        var (inode, other) = (File("a"), File("b"));
        var time = Store.Clock.Now();
        Commit(inode, 2 * S + 5, Block(0, "x", S, 3), Block(2, "y", 5, 4));
        Assert.Equal(4, Store.RequiredBlockSequence);
        Commit(other, S, Block(0, "x", S, 0));
        Assert.Equal([Hash("x"), BlockHash.Hole, Hash("y"), BlockHash.Hole], Manifest(inode, 0, 4));
        Assert.Equal((2 * S + 5L, S + 5L), (inode.Committed.Size, inode.Committed.AllocatedBytes));
        Assert.True(Store.TryGetBlock(Hash("x"), out var row));
        Assert.Equal((S, 100L, 2L, 8UL, Residency.Local), (row.Length, row.StoredBytes, row.References, row.WeakChecksum, row.Residency));
        Assert.True(row.LastUse > time);
        Assert.Equal((2L, S + 5L, 2L * S + 5), (Store.Counters.Blocks, Store.Counters.UniqueBytes, Store.Counters.ReferencedBytes));
        Assert.Equal(3 * S + 5L, Store.Counters.LogicalBytes);
        _volume.Commit();
        Assert.Equal(0, Store.RequiredBlockSequence);
        using var crashed = _volume.Crashed();
        Assert.Equal((2 * S + 5L, S + 5L), (crashed.Store.Get(inode.Number).Size, crashed.Store.Get(inode.Number).AllocatedBytes));
        Assert.Equal(Store.Counters, crashed.Store.Counters);
    }

    [Fact]
    public void What_is_in_flight_is_not_in_the_row()
    {
        var inode = File("a");
        Commit(inode, 5, Block(0, "x", 5, 1));
        var committed = inode.Committed;
        var inFlight = new Engine.Content.FileContent(null!, S);
        inFlight.MarkDirty(0);
        lock (inode)
        {
            inode.Content = inFlight;
            inode.Current = inode.Current with { Size = 99, ModifyTime = Store.Clock.Now(), Mode = Mode.S_IFREG | 1 };
        }
        Store.MarkDirty(inode);
        _volume.Commit();
        using var crashed = _volume.Crashed();
        var row = crashed.Store.Get(inode.Number);
        Assert.Equal((5L, committed.ModifyTime, Mode.S_IFREG | 1u), (row.Size, row.ModifyTime, row.Mode));
        inode.Content = null;
    }

    [Fact]
    public void A_block_dies_with_its_last_reference_and_lives_again_with_the_next()
    {
        var inode = File("a");
        Commit(inode, S, Block(0, "x", S, 1));
        Commit(inode, S, Block(0, "y", S, 2));
        Assert.Equal((1L, 1L, 100L), (Store.Counters.Blocks, Store.Counters.DeadBlocks, Store.Counters.DeadBytes));
        var dead = Assert.Single(Store.DeadBlocks(new Timestamp(long.MaxValue), 10, null));
        Assert.Equal(Hash("x"), dead.Hash);
        Assert.Empty(Store.DeadBlocks(dead.LastUse, 10, null));
        Assert.Empty(Store.DeadBlocks(new Timestamp(long.MaxValue), 10, dead));
        Store.Touch([dead.Hash]);
        Assert.True(Store.DeadBlocks(new Timestamp(long.MaxValue), 10, null)[0].LastUse > dead.LastUse);
        Assert.False(Store.DeleteDeadBlock(Hash("y")));
        Commit(inode, 2 * S, Block(1, "x", S, 0));
        Assert.False(Store.DeleteDeadBlock(Hash("x")));
        Assert.Equal((2L, 0L, 0L), (Store.Counters.Blocks, Store.Counters.DeadBlocks, Store.Counters.DeadBytes));
        Commit(inode, 0, truncate: 0);
        Assert.True(Store.DeleteDeadBlock(Hash("x")));
        Assert.False(Store.TryGetBlock(Hash("x"), out _));
        Assert.Equal(1L, Store.Counters.DeadBlocks);
        Assert.Equal([Hash("y")], Store.EnumerateBlocks().Select(b => b.Hash));
    }

    [Fact]
    public void A_block_that_replaces_itself_stays_alive_and_may_be_stored_anew()
    {
        var inode = File("a");
        Commit(inode, S, Block(0, "x", S, 1));
        Commit(inode, S, new ManifestBlock(0, Hash("x"), S, 8, 50, 7));
        Assert.True(Store.TryGetBlock(Hash("x"), out var row));
        Assert.Equal((1L, 50L), (row.References, row.StoredBytes));
        Assert.Equal((7L, 50L, 0L), (Store.RequiredBlockSequence, Store.Counters.StoredBytes, Store.Counters.DeadBlocks));
    }

    [Fact]
    public void Truncation_and_punching_come_before_setting()
    {
        var inode = File("a");
        Commit(inode, 1000 * S, [.. Enumerable.Range(0, 1000).Select(i => Block(i, $"b{i}", S, 1))]);
        Assert.Equal(1000 * S, inode.Committed.AllocatedBytes);
        Store.CommitContent(inode, new ContentCommit { Size = 700 * S, ModifyTime = default, TruncateToBlocks = 600, Punched = [(10, 300), (590, 100)], Blocks = [Block(20, "n", S, 1), Block(650, "n", S, 1)] });
        var manifest = Manifest(inode, 0, 1000);
        for (int i = 0; i < 1000; i++)
        {
            var expected = i is 20 or 650 ? Hash("n") : i < 10 || i is >= 310 and < 590 ? Hash($"b{i}") : BlockHash.Hole;
            Assert.Equal(expected, manifest[i]);
        }
        Assert.Equal(292 * S, inode.Committed.AllocatedBytes);
        Assert.Equal((0L, 9L, 10L), (Store.NextMapped(inode.Number, 0), Store.NextMapped(inode.Number, 9), Store.NextUnmapped(inode.Number, 3)));
        Assert.Equal((20L, 310L, 650L), (Store.NextMapped(inode.Number, 10), Store.NextMapped(inode.Number, 21), Store.NextMapped(inode.Number, 590)));
        Assert.Null(Store.NextMapped(inode.Number, 651));
        Assert.Equal((590L, 640L, 651L), (Store.NextUnmapped(inode.Number, 310), Store.NextUnmapped(inode.Number, 640), Store.NextUnmapped(inode.Number, 650)));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(300, 0)]
    [InlineData(40000, 0)]
    [InlineData(100, 39000)]
    [InlineData(10000, 20000)]
    public void A_long_drop_goes_to_an_orphan_and_everything_adds_up(int from, int punchCount)
    {
        const int Blocks = 41000;
        var inode = File("a");
        for (int i = 0; i < Blocks; i += 10000)
            Commit(inode, (long)Blocks * S, [.. Enumerable.Range(i, Math.Min(10000, Blocks - i)).Select(k => Block(k, $"b{k % 100}", S, 1))]);
        long end = punchCount == 0 ? Blocks : from + punchCount;
        var detached = new List<InodeNumber>();
        Store.Detached = detached.Add;
        Store.CommitContent(inode, punchCount == 0
            ? new ContentCommit { Size = (long)from * S, ModifyTime = default, TruncateToBlocks = from }
            : new ContentCommit { Size = (long)Blocks * S, ModifyTime = default, Punched = [(from, punchCount)] });
        CheckHole(inode, from, end, Blocks);
        _volume.Commit();
        Assert.Equal(end - from > MetadataLimits.DropSegments * MetadataLimits.SegmentBlocks ? 1 : 0, detached.Count);
        Assert.Equal(detached, Store.Orphans());
        foreach (var orphan in detached)
        {
            Assert.Equal(Errno.EAGAIN, Store.PurgeOrphan(orphan).Error);
            while (!Store.PurgeStep(orphan, 20))
            {
            }
        }
        CheckHole(inode, from, end, Blocks);
        Assert.Equal(inode.Committed.AllocatedBytes, Store.Counters.ReferencedBytes);
        _volume.Commit();
        _volume.Reopen();
        Assert.Equal(Store.Get(inode.Number).AllocatedBytes, Store.Counters.ReferencedBytes);
    }

    [Fact]
    public void Redo_records_count_until_the_content_is_committed()
    {
        var (inode, other) = (File("a"), File("b"));
        lock (inode)
            inode.Current = inode.Current with { Size = 7, ModifyTime = new(5), ChangeTime = new(6) };
        Assert.NotNull(Store.AppendRedo(inode, 3, "abcd".Bytes()));
        Assert.NotNull(Store.AppendRedo(other, 0, "z".Bytes()));
        Assert.NotNull(Store.AppendRedo(inode, 0, "xy".Bytes()));
        Assert.Equal(6, Store.RedoBytes(inode.Number));
        _volume.Commit();
        using (var crashed = _volume.Crashed())
        {
            var files = crashed.Store.LoadRedo();
            Assert.Equal([inode.Number, other.Number], files.Select(f => f.Inode));
            Assert.Equal((7L, new Timestamp(5), new Timestamp(6)), (files[0].Size, files[0].ModifyTime, files[0].ChangeTime));
            Assert.Equal([(3L, "abcd"), (0L, "xy")], files[0].Writes.Select(w => (w.Offset, System.Text.Encoding.UTF8.GetString(w.Data.Span))));
            Assert.Equal(6, crashed.Store.RedoBytes(inode.Number));
            Assert.Equal(0, crashed.Store.Get(inode.Number).Size);
        }
        Assert.True(Store.CommitContent(inode, new ContentCommit { Size = 7, ModifyTime = Store.Clock.Now(), Logged = Store.RedoMark(inode.Number), Blocks = [Block(0, "q", 7, 1)] }).IsOk);
        Assert.Equal((0L, 1L), (Store.RedoBytes(inode.Number), Store.RedoBytes(other.Number)));
        _volume.Commit();
        using var after = _volume.Crashed();
        Assert.Equal([other.Number], after.Store.LoadRedo().Select(f => f.Inode));
    }

    [Fact]
    public void A_purged_file_leaves_nothing_behind()
    {
        var inode = File("a");
        Commit(inode, 3 * S, Block(0, "x", S, 1), Block(2, "y", S, 1));
        Store.SetXattr(inode.Number, "user.a"u8, [1], XattrFlags.None);
        _volume.Commit();
        Store.AppendRedo(inode, 0, "abc".Bytes());
        var gone = Store.Unlink(Root, "a").Value!.Value;
        Assert.Equal(0, Store.Counters.LogicalBytes);
        Assert.True(Store.PurgeOrphan(gone).IsOk);
        Assert.Equal(Errno.ESTALE, Store.CommitContent(inode, new ContentCommit { Size = 1, ModifyTime = default }).Error);
        Assert.Equal(2, Store.Counters.DeadBlocks);
        _volume.Offline("SELECT 1");
        using var database = Database.Open(_volume.Database, 1024);
        foreach (string table in new[] { "xattr", "manifest", "dentry" })
            Assert.Equal(0, database.Scalar($"SELECT count(*) FROM {table}"));
        Assert.Equal(1, database.Scalar("SELECT count(*) FROM inode"));
    }

    private static BlockHash Hash(string text) => BlockHash.Of(text.Bytes());

    private static ManifestBlock Block(long index, string text, int length, long sequence) => new(index, Hash(text), length, 8, 100, sequence);

    private Inode File(string name) => Store.Acquire(Store.Create(Root, name).Inode)!;

    private void Commit(Inode inode, long size, params ManifestBlock[] blocks) =>
        Assert.True(Store.CommitContent(inode, new ContentCommit { Size = size, ModifyTime = Store.Clock.Now(), Blocks = blocks }).IsOk);

    private void Commit(Inode inode, long size, long truncate) =>
        Assert.True(Store.CommitContent(inode, new ContentCommit { Size = size, ModifyTime = Store.Clock.Now(), TruncateToBlocks = truncate }).IsOk);

    private BlockHash[] Manifest(Inode inode, long first, int count)
    {
        var hashes = new BlockHash[count];
        Store.ReadManifest(inode.Number, first, hashes);
        return hashes;
    }

    private void CheckHole(Inode inode, long from, long end, int blocks)
    {
        var manifest = Manifest(inode, 0, blocks);
        for (int i = 0; i < blocks; i++)
            Assert.Equal(i >= from && i < end ? BlockHash.Hole : Hash($"b{i % 100}"), manifest[i]);
        Assert.Equal((blocks - (end - from)) * S, inode.Committed.AllocatedBytes);
    }
}
