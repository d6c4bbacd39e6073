using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class JournalTests : IDisposable
{
    private readonly TestVolume _volume = new();

    private MetadataStore Store => _volume.Store;

    public void Dispose() => _volume.Dispose();

    [Fact]
    public void Replayed_onto_a_copy_the_journal_makes_identical_tables()
    {
        using var copy = _volume.Crashed();
        int seed = Environment.TickCount;
        var work = new RandomWork(seed, Store, content: true);
        for (int i = 0; i < 60; i++)
        {
            work.Steps(60);
            // Local effects: none of them may be in the journal.
            var file = Store.Acquire(Store.Create(InodeNumber.Root, $"redo{i}").Inode)!;
            Store.AppendRedo(file, 0, "abc".Bytes());
            Store.Release(file);
            Store.Unlink(InodeNumber.Root, $"redo{i}");
            Store.PurgeOrphan(file.Number);
            _volume.Commit();
        }
        var at = Lsn.Zero;
        while (Store.ReadJournal(at) is { } row)
        {
            copy.Store.ApplyJournal(row);
            at = row.Lsn;
        }
        Assert.Equal(Store.Committed, at);
        Assert.Equal(Store.Counters, copy.Store.Counters);
        Assert.Equal(_volume.Dump(), copy.Dump());
        Assert.Empty(copy.Store.Check(null, CancellationToken.None));
        Assert.Throws<InvalidDataException>(() => copy.Store.ApplyJournal(Store.ReadJournal(Lsn.Zero)!.Value));
    }

    [Fact]
    public void A_record_that_is_cut_short_changes_nothing()
    {
        using var copy = _volume.Crashed();
        Store.Create(InodeNumber.Root, "a");
        Store.Create(InodeNumber.Root, "b");
        _volume.Commit();
        var row = Store.ReadJournal(Lsn.Zero)!.Value;
        Assert.Throws<InvalidDataException>(() => copy.Store.ApplyJournal(row with { Count = 3 }));
        for (int length = 1; length < row.Effects.Length; length++)
        {
            Assert.Throws<InvalidDataException>(() => copy.Store.ApplyJournal(row with { Effects = row.Effects[..length] }));
            copy.Log.Expect("undone");
        }
        Assert.Empty(copy.Store.List(InodeNumber.Root));
        copy.Store.ApplyJournal(row);
        Assert.Equal(["a", "b"], copy.Store.List(InodeNumber.Root));
    }

    [Fact]
    public void Records_are_written_as_ever_and_those_of_older_versions_are_read()
    {
        using var copy = _volume.Crashed();
        var directory = Store.MakeDirectory(InodeNumber.Root, "d").Inode;
        var file = Store.Acquire(Store.Create(directory, "f").Inode)!;
        Store.Create(directory, "l".Bytes(), new NewInode { Mode = Mode.S_IFLNK, SymlinkTarget = "to".Bytes() }, TestVolume.Root);
        Store.SetXattr(file.Number, "user.a"u8, [1, 2], XattrFlags.None);
        Store.SetXattr(file.Number, "user.b"u8, [], XattrFlags.None);
        Store.RemoveXattr(file.Number, "user.b"u8);
        Store.CommitContent(file, new ContentCommit { Size = 12288, ModifyTime = new(5), Blocks = [Block(0, "x"), Block(2, "y")] });
        Store.CommitContent(file, new ContentCommit { Size = 12288, ModifyTime = new(6), Punched = [(0, 1)] });
        var gone = Store.Create(directory, "gone").Inode;
        _volume.Commit();
        Store.SetXattr(gone, "user.c"u8, [1], XattrFlags.None);
        Store.Unlink(directory, "gone");
        Store.PurgeOrphan(gone);
        Store.Release(file);
        lock (Store.Lock)
        {
            Store.Begin(new ChangeRecord(new ReplyKey(new Guid(1, 2, 3, new byte[8]), 4, 5)));
            Store.PutSession(new KeptSession(new Guid(1, 2, 3, new byte[8]), "host:/mnt", new(7), null));
            Store.End(Errno.None);
        }
        Store.DeleteSession(new Guid(4, 5, 6, new byte[8]));
        _volume.Commit();
        var first = Store.ReadJournal(Lsn.Zero)!.Value;
        var second = Store.ReadJournal(first.Lsn)!.Value;
        // The name of a branch is random.
        string branch = Convert.ToHexStringLower(Store.Branches().Single().Id.ToByteArray());
        string[] written = [Convert.ToHexStringLower(first.Effects.Span).Replace(branch, new string('0', 32), StringComparison.Ordinal), Convert.ToHexStringLower(second.Effects.Span)];
        Assert.Equal(Sample(4), written);
        using var other = copy.Crashed();
        using var third = copy.Crashed();
        using var fourth = copy.Crashed();
        foreach (var (version, target) in new[] { (1, copy.Store), (2, other.Store), (3, third.Store), (4, fourth.Store) })
        {
            target.ApplyJournal(first with { Effects = Convert.FromHexString(Sample(version)[0]) });
            target.ApplyJournal(second with { Effects = Convert.FromHexString(Sample(version)[1]) });
            Assert.Equal(["f", "l"], target.List(target.Lookup(InodeNumber.Root, "d").Value.Inode));
            Assert.Empty(target.Check(null, CancellationToken.None));
            Assert.Equal(version < 4 ? [] : [new Branch(Lsn.Zero, Guid.Empty)], target.Branches());
        }
        Assert.Equal([new KeptSession(new Guid(1, 2, 3, new byte[8]), "host:/mnt", new(7), null)], third.Store.Sessions());
        Assert.Equal((4, 5L), third.Store.Replies(new Guid(1, 2, 3, new byte[8])).Select(r => (r.Slot, r.Sequence)).Single());
    }

    [Fact]
    public void Each_opening_that_changes_something_begins_a_branch_and_a_copy_has_those_of_what_it_was_given()
    {
        using var copy = _volume.Crashed();
        using var earlier = _volume.Crashed();
        Assert.Empty(Store.Branches());
        Store.Create(InodeNumber.Root, "a");
        _volume.Commit();
        Store.Create(InodeNumber.Root, "b");
        _volume.Commit();
        _volume.Reopen();
        Assert.Equal(Lsn.Zero, Assert.Single(Store.Branches()).Start);
        var second = Store.Committed;
        Store.Create(InodeNumber.Root, "c");
        _volume.Commit();
        Assert.Equal([Lsn.Zero, second], Store.Branches().Select(b => b.Start));

        for (var at = Lsn.Zero; Store.ReadJournal(at) is { } row; at = row.Lsn)
            copy.Store.ApplyJournal(row);
        Assert.Equal(Store.Branches(), copy.Store.Branches());
        // It goes on by itself, as one that has become the master.
        copy.Store.Create(InodeNumber.Root, "d");
        copy.Commit();
        Assert.Equal([.. Store.Branches(), new Branch(Store.Committed, copy.Store.Branches()[^1].Id)], copy.Store.Branches());
        earlier.Store.Create(InodeNumber.Root, "e");
        earlier.Commit();
        Assert.Empty(earlier.Store.Branches().Intersect(Store.Branches()));
    }

    [Fact]
    public async Task The_journal_is_cut_where_nobody_reads_it()
    {
        byte[] value = new byte[65536];
        long written = 0;
        while (written < MetadataLimits.JournalBytes * 5 / 4)
        {
            for (int i = 0; i < 16; i++)
                Store.SetXattr(InodeNumber.Root, $"user.{i % 15}".Bytes(), value, XattrFlags.None);
            written += 16 * value.Length;
            _volume.Commit();
            await Store.CheckpointAsync();
        }
        _volume.Offline("SELECT 1");
        using var database = Database.Open(_volume.Database, 1024);
        Assert.InRange(database.Scalar("SELECT sum(length(effects)) FROM journal"), MetadataLimits.JournalBytes / 2, MetadataLimits.JournalBytes);
    }

    private static string[] Sample(int version) => File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Metadata", "Fixtures", $"journal-v{version}.hex"));

    private static ManifestBlock Block(long index, string text) => new(index, BlockHash.Of(text.Bytes()), 4096, 0xFEDCBA9876543210, 100, 1);
}
