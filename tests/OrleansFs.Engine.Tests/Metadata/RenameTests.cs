using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class RenameTests : IDisposable
{
    private readonly TestVolume _volume = new();

    private static InodeNumber Root => InodeNumber.Root;

    private MetadataStore Store => _volume.Store;

    public void Dispose() => _volume.Dispose();

    [Fact]
    public void A_file_moves_with_its_inode_and_the_times_of_all_concerned_change()
    {
        var (from, to) = (Store.MakeDirectory(Root, "from").Inode, Store.MakeDirectory(Root, "to").Inode);
        var file = Store.Create(from, "a");
        var root = Store.Get(Root);
        Assert.Null(Store.Rename(from, "a", to, "b").Value);
        var moved = Store.Lookup(to, "b").Value;
        Assert.Equal(file with { ChangeTime = moved.ChangeTime }, moved);
        Assert.True(moved.ChangeTime > file.ChangeTime);
        Assert.Equal((moved.ChangeTime, moved.ChangeTime, 0L), (Store.Get(from).ModifyTime, Store.Get(from).ChangeTime, Store.Get(from).Size));
        Assert.Equal((moved.ChangeTime, moved.ChangeTime, 1L), (Store.Get(to).ModifyTime, Store.Get(to).ChangeTime, Store.Get(to).Size));
        Assert.Equal(root, Store.Get(Root));
        Assert.Equal(Errno.ENOENT, Store.Lookup(from, "a").Error);
    }

    [Fact]
    public void A_directory_moves_with_its_parent_and_link_counts()
    {
        var (from, to) = (Store.MakeDirectory(Root, "from").Inode, Store.MakeDirectory(Root, "to").Inode);
        var moved = Store.MakeDirectory(from, "d").Inode;
        Assert.True(Store.Rename(from, "d", to, "e").IsOk);
        Assert.Equal((2u, 3u, 4u), (Store.Get(from).LinkCount, Store.Get(to).LinkCount, Store.Get(Root).LinkCount));
        Assert.Equal(to, Store.Lookup(moved, "..").Value.Inode);
        _volume.Commit();
        _volume.Reopen();
        Assert.Equal(to, Store.Lookup(moved, "..").Value.Inode);
    }

    [Fact]
    public void What_is_replaced_loses_its_name()
    {
        var file = Store.Create(Root, "a").Inode;
        var other = Store.Create(Root, "b").Inode;
        Assert.Equal(other, Store.Rename(Root, "a", Root, "b").Value);
        Assert.Equal(0u, Store.Get(other).LinkCount);
        Assert.Equal(file, Store.Lookup(Root, "b").Value.Inode);
        Assert.Equal(["b"], Store.List(Root));
        var (d, e) = (Store.MakeDirectory(Root, "d").Inode, Store.MakeDirectory(Root, "e").Inode);
        Assert.Equal(e, Store.Rename(Root, "d", Root, "e").Value);
        Assert.Equal(3u, Store.Get(Root).LinkCount);
        Assert.Equal(0u, Store.Get(e).LinkCount);
        Assert.Equal(d, Store.Lookup(Root, "e").Value.Inode);
        Assert.Equal(2, Store.Counters.Orphans);
    }

    [Fact]
    public void Another_name_of_the_same_inode_is_no_move()
    {
        var file = Store.Create(Root, "a").Inode;
        Store.Link(file, Root, "b");
        var (before, root) = (Store.Get(file), Store.Get(Root));
        Assert.Null(Store.Rename(Root, "a", Root, "b").Value);
        Assert.Null(Store.Rename(Root, "a", Root, "a").Value);
        Assert.Equal((before, root), (Store.Get(file), Store.Get(Root)));
        Assert.Equal(["a", "b"], Store.List(Root));
    }

    [Fact]
    public void Moves_that_cannot_be_are_refused_and_change_nothing()
    {
        var d = Store.MakeDirectory(Root, "d").Inode;
        var inner = Store.MakeDirectory(d, "inner").Inode;
        Store.Create(Root, "f");
        Store.Create(d, "g");
        var before = (Store.Get(Root), Store.Get(d), Store.Get(inner));
        Assert.Equal(Errno.EINVAL, Store.Rename(Root, "d", inner, "x").Error);
        Assert.Equal(Errno.EINVAL, Store.Rename(Root, "d", d, "x").Error);
        Assert.Equal(Errno.ENOTEMPTY, Store.Rename(d, "inner", Root, "d").Error);
        Assert.Equal(Errno.EINVAL, Store.Rename(d, "inner", Root, "d", RenameFlags.Exchange).Error);
        Assert.Equal(Errno.EISDIR, Store.Rename(Root, "f", d, "inner").Error);
        Assert.Equal(Errno.ENOTEMPTY, Store.Rename(d, "g", Root, "d").Error);
        Assert.Equal(Errno.ENOTDIR, Store.Rename(d, "inner", Root, "f").Error);
        Assert.Equal(Errno.ENOENT, Store.Rename(Root, "x", Root, "y").Error);
        Assert.Equal(Errno.EEXIST, Store.Rename(Root, "f", d, "g", RenameFlags.NoReplace).Error);
        Assert.Equal(Errno.EEXIST, Store.Rename(Root, "f", Root, "f", RenameFlags.NoReplace).Error);
        Assert.Equal(Errno.ENOENT, Store.Rename(Root, "f", d, "x", RenameFlags.Exchange).Error);
        Assert.Equal(Errno.EINVAL, Store.Rename(Root, "f", d, "g", RenameFlags.Exchange | RenameFlags.NoReplace).Error);
        Assert.Equal(Errno.EBUSY, Store.Rename(Root, ".", d, "x").Error);
        Assert.Equal(Errno.EBUSY, Store.Rename(Root, "f", d, "..").Error);
        Assert.Equal(Errno.ENAMETOOLONG, Store.Rename(Root, "f", d, new string('x', 256)).Error);
        var full = Store.MakeDirectory(Root, "full").Inode;
        Store.Create(full, "x");
        Assert.Equal(Errno.ENOTEMPTY, Store.Rename(d, "inner", Root, "full").Error);
        Assert.Equal((before.Item2, before.Item3), (Store.Get(d), Store.Get(inner)));
    }

    [Fact]
    public void An_exchange_swaps_files_and_directories()
    {
        var (d, e) = (Store.MakeDirectory(Root, "d").Inode, Store.MakeDirectory(Root, "e").Inode);
        var sub = Store.MakeDirectory(d, "sub").Inode;
        var file = Store.Create(e, "file").Inode;
        Assert.Null(Store.Rename(d, "sub", e, "file", RenameFlags.Exchange).Value);
        Assert.Equal(file, Store.Lookup(d, "sub").Value.Inode);
        Assert.Equal(sub, Store.Lookup(e, "file").Value.Inode);
        Assert.Equal((2u, 3u), (Store.Get(d).LinkCount, Store.Get(e).LinkCount));
        Assert.Equal(e, Store.Lookup(sub, "..").Value.Inode);
        Assert.Equal(["sub"], Store.List(d));
        Assert.Equal(["file"], Store.List(e));
        Assert.Equal(Store.Get(sub).ChangeTime, Store.Get(file).ChangeTime);
        var sink = new ListSink(9);
        Store.ReadDirectory(e, 0, sink, withAttributes: true);
        Assert.Equal(4, sink.Entries[2].Type);
        Assert.Equal(sub, sink.Entries[2].Attributes!.Value.Inode);
    }

    [Fact]
    public void A_whiteout_takes_the_place_of_the_old_name()
    {
        var file = Store.Create(Root, "a").Inode;
        Assert.True(Store.Rename(Root, "a", Root, "b", RenameFlags.Whiteout).IsOk);
        var whiteout = Store.Lookup(Root, "a").Value;
        Assert.Equal((Mode.S_IFCHR, 0u, 1u), (whiteout.Mode, whiteout.Device, whiteout.LinkCount));
        Assert.Equal(file, Store.Lookup(Root, "b").Value.Inode);
        Assert.Equal(2, Store.Get(Root).Size);
        Assert.Equal(1, Store.Counters.Others);
    }

    [Fact]
    public void A_reader_meets_an_entry_that_stays_exactly_once_whatever_else_comes_and_goes()
    {
        const int Stay = 300;
        int seed = Environment.TickCount;
        var random = new Random(seed);
        for (int i = 0; i < Stay; i++)
        {
            Store.Create(Root, $"stay{i}");
            Store.Create(Root, $"go{i}");
        }
        var seen = new List<string>();
        long cookie = 0;
        for (int round = 0; ; round++)
        {
            var sink = new ListSink(random.Next(1, 9));
            Store.ReadDirectory(Root, cookie, sink, withAttributes: false);
            if (sink.Entries.Count == 0)
                break;
            seen.AddRange(sink.Entries.Select(e => e.Name));
            cookie = sink.Entries[^1].Cookie;
            // Names come, go, move, and take the place of one that stays.
            int at = random.Next(Stay);
            if (round < 2000)
                Store.Create(Root, $"new{round}");
            Store.Unlink(Root, $"go{at}");
            Store.Rename(Root, $"new{round}", Root, $"stay{random.Next(Stay)}");
            Store.Rename(Root, $"stay{random.Next(Stay)}", Root, $"stay{random.Next(Stay)}", RenameFlags.Exchange);
        }
        var stayed = seen.Where(n => n.StartsWith("stay", StringComparison.Ordinal)).ToList();
        Assert.True(stayed.Count == Stay && stayed.Distinct().Count() == Stay, $"seed {seed}: {stayed.Count} met, {stayed.Distinct().Count()} of them different");
        var cookies = new ListSink(int.MaxValue);
        Store.ReadDirectory(Root, 0, cookies, withAttributes: false);
        Assert.Equal(cookies.Entries.Select(e => e.Cookie).Order(), cookies.Entries.Select(e => e.Cookie));
    }
}
