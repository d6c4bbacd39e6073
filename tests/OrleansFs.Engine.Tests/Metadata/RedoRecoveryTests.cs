using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

/// <summary>What of the redo log counts beside a meta.db: the log may be ahead of it, and behind.</summary>
public sealed class RedoRecoveryTests : IDisposable
{
    private readonly TestVolume _volume = new();

    public void Dispose() => _volume.Dispose();

    private MetadataStore Store => _volume.Store;

    private static InodeNumber Root => InodeNumber.Root;

    [Fact]
    public void A_record_of_a_file_that_was_never_committed_is_dropped_and_its_number_is_free()
    {
        Store.AppendRedo(File("lost"), 0, "abc".Bytes());
        using var crashed = _volume.Crashed();
        Assert.Empty(crashed.Store.LoadRedo());
        var other = crashed.Store.Create(Root, "other").Inode;
        Assert.Equal(Store.Lookup(Root, "lost").Value.Inode, other);
        crashed.Commit();
        using var again = crashed.Crashed();
        Assert.Empty(again.Store.LoadRedo());
        Assert.Equal(0, again.Store.RedoTotal);
    }

    [Fact]
    public void A_record_that_builds_on_a_lost_content_is_dropped_for_good_and_the_one_before_it_counts()
    {
        var file = File("a");
        _volume.Commit();
        Store.AppendRedo(file, 0, "old".Bytes());
        // The file is cut to nothing and settled, but the kill comes before the commit.
        Settle(file);
        Store.AppendRedo(file, 0, "n".Bytes());
        using var crashed = _volume.Crashed();
        var found = Assert.Single(crashed.Store.LoadRedo());
        Assert.Equal("old".Bytes(), Assert.Single(found.Writes).Data.ToArray());
        for (int i = 0; i < 3; i++)
            crashed.Store.Create(Root, $"f{i}");
        crashed.Commit();
        using (var before = crashed.Crashed())
            Assert.Single(before.Store.LoadRedo()[0].Writes);
        var inode = crashed.Store.Acquire(file.Number)!;
        Assert.True(crashed.Store.CommitContent(inode, new ContentCommit { Size = 3, ModifyTime = default, Logged = crashed.Store.RedoMark(file.Number) }).IsOk);
        crashed.Commit();
        using var again = crashed.Crashed();
        Assert.Empty(again.Store.LoadRedo());
    }

    [Fact]
    public async Task A_file_is_durable_when_its_newest_change_is_and_that_of_a_directory()
    {
        var file = File("a");
        var directory = Store.MakeDirectory(Root, "d").Inode;
        Assert.False(Store.IsDurable(file));
        await Durable();
        Assert.True(Store.IsDurable(file));
        Assert.True(Store.Set(file.Number, new AttributeChange { Mask = AttributeMask.ModifyTime | AttributeMask.ChangeTime }).IsOk);
        Assert.Equal((true, false), (Store.IsDurable(file), Store.AreTimesDurable(file)));
        await Durable();
        Assert.True(Store.AreTimesDurable(file));
        foreach (var change in (Action[])[
            () => Store.Set(file.Number, new AttributeChange { Mask = AttributeMask.Mode, Mode = 0x180 }),
            () => Store.SetXattr(file.Number, "user.a"u8, [1], XattrFlags.None),
            () => Store.Link(file.Number, directory, "b"),
            () => Store.Unlink(Root, "a"),
            () => Store.Rename(directory, "b", Root, "c"),
            () => Store.Rename(Root, "d", Root, "e"),
            () => Settle(file)])
        {
            change();
            Assert.False(Store.IsDurable(file));
            Store.Commit();
            Assert.False(Store.IsDurable(file));
            await Durable();
            Assert.True(Store.IsDurable(file));
        }
    }

    [Fact]
    public void What_the_table_of_the_formats_before_has_goes_to_the_log_once()
    {
        var (file, other) = (File("a"), File("b"));
        _volume.Offline(
            $"""
            DROP TABLE record;
            DROP TABLE appender;
            DROP INDEX inode_hash;
            DROP INDEX inode_unhashed;
            DROP INDEX dentry_ino;
            DROP TABLE redo_settled;
            ALTER TABLE replica DROP COLUMN lacks;
            DROP TABLE composed;
            DROP TABLE composed_source;
            DROP TABLE session;
            DROP TABLE reply;
            DROP TABLE redo_lost;
            CREATE TABLE redo (ino INTEGER NOT NULL, sequence INTEGER NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, data BLOB NOT NULL,
                PRIMARY KEY (ino, sequence)) STRICT, WITHOUT ROWID;
            INSERT INTO redo VALUES ({file.Number.Value}, 5, 100, 200, 300, 400, x'0102'), ({file.Number.Value}, 9, 101, 202, 303, 404, x'03'), ({other.Number.Value}, 7, 0, 1, 2, 3, x'04');
            DROP TABLE branch;
            PRAGMA user_version = 6;
            """);
        for (int i = 0; i < 2; i++)
        {
            var files = Store.LoadRedo();
            Assert.Equal([file.Number, other.Number], files.Select(f => f.Inode));
            Assert.Equal([(100L, "0102"), (101L, "03")], files[0].Writes.Select(w => (w.Offset, Convert.ToHexString(w.Data.Span))));
            Assert.Equal((202L, 303L, 404L), (files[0].Size, files[0].ModifyTime.Nanoseconds, files[0].ChangeTime.Nanoseconds));
            Assert.Equal(4, Store.RedoTotal);
            _volume.Reopen();
        }
    }

    private Task Durable()
    {
        _volume.Commit();
        return Store.DurableAsync(TestContext.Current.CancellationToken);
    }

    private Inode File(string name) => Store.Acquire(Store.Create(Root, name).Inode)!;

    private void Settle(Inode inode) =>
        Assert.True(Store.CommitContent(inode, new ContentCommit { Size = 0, ModifyTime = Store.Clock.Now(), TruncateToBlocks = 0, Logged = Store.RedoMark(inode.Number) }).IsOk);
}
