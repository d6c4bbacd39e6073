using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class NamespaceTests : IDisposable
{
    private readonly TestVolume _volume = new();

    private static InodeNumber Root => InodeNumber.Root;

    private MetadataStore Store => _volume.Store;

    public void Dispose() => _volume.Dispose();

    [Fact]
    public void A_new_volume_has_an_empty_root()
    {
        var root = Store.Get(Root);
        Assert.Equal(Mode.S_IFDIR | 0x1EDu, root.Mode);
        Assert.Equal(2u, root.LinkCount);
        Assert.Equal(0, root.Size);
        Assert.Empty(Store.List(Root));
        Assert.Equal(Root, Store.Lookup(Root, ".").Value.Inode);
        Assert.Equal(Root, Store.Lookup(Root, "..").Value.Inode);
        Assert.Equal(1, Store.Counters.Directories);
    }

    [Fact]
    public void A_created_file_is_found_and_survives_a_reopen()
    {
        var made = Store.Create(Root, "a", Mode.S_IFREG | 0x1FF);
        Assert.Equal(Mode.S_IFREG | 0x1EDu, made.Mode);
        Assert.Equal(1u, made.LinkCount);
        Assert.Equal(made, Store.Lookup(Root, "a").Value);
        var root = Store.Get(Root);
        Assert.Equal(1, root.Size);
        Assert.Equal(made.BirthTime, root.ModifyTime);
        Assert.Equal(made.BirthTime, root.ChangeTime);
        _volume.Commit();
        _volume.Reopen();
        Assert.Equal(made, Store.Lookup(Root, "a").Value);
        Assert.Equal(root, Store.Get(Root));
        Assert.Equal(1, Store.Counters.Files);
        Assert.NotEqual(made.Inode, Store.Create(Root, "b").Inode);
    }

    [Fact]
    public void Failed_operations_change_nothing()
    {
        var directory = Store.MakeDirectory(Root, "d");
        Store.Create(directory.Inode, "f");
        var (root, inner) = (Store.Get(Root), Store.Get(directory.Inode));
        Assert.Equal(Errno.EEXIST, Store.Create(Root, "d".Bytes(), new NewInode { Mode = Mode.S_IFREG }, TestVolume.Root).Error);
        Assert.Equal(Errno.EEXIST, Store.Create(Root, ".".Bytes(), new NewInode { Mode = Mode.S_IFREG }, TestVolume.Root).Error);
        Assert.Equal(Errno.ENOENT, Store.Unlink(Root, "x").Error);
        Assert.Equal(Errno.EISDIR, Store.Unlink(Root, "d").Error);
        Assert.Equal(Errno.ENOTEMPTY, Store.RemoveDirectory(Root, "d").Error);
        Assert.Equal(Errno.ENOTDIR, Store.RemoveDirectory(directory.Inode, "f").Error);
        Assert.Equal(Errno.EINVAL, Store.RemoveDirectory(Root, ".").Error);
        Assert.Equal(Errno.ENOTEMPTY, Store.RemoveDirectory(Root, "..").Error);
        Assert.Equal(Errno.EPERM, Store.Link(directory.Inode, Root, "e").Error);
        Assert.Equal(Errno.ENAMETOOLONG, Store.Lookup(Root, new string('x', 256)).Error);
        Assert.Equal(Errno.ENOENT, Store.Lookup(Root, new string('x', 255)).Error);
        Assert.Equal(Errno.EINVAL, Store.Lookup(Root, "a/b").Error);
        Assert.Equal(Errno.ENOTDIR, Store.Lookup(Store.Lookup(directory.Inode, "f").Value.Inode, "x").Error);
        Assert.Equal(Errno.ESTALE, Store.Lookup(new InodeNumber(999), "x").Error);
        Assert.Equal(root, Store.Get(Root));
        Assert.Equal(inner, Store.Get(directory.Inode));
    }

    [Fact]
    public void A_name_may_be_any_bytes()
    {
        byte[] name = [0xFF, 0x80, (byte)'\n', 1];
        var made = Store.Create(Root, name, new NewInode { Mode = Mode.S_IFREG }, TestVolume.Root).Value;
        Assert.Equal(made.Inode, Store.Lookup(Root, name).Value.Inode);
        byte[] longest = [.. Enumerable.Repeat((byte)0xC3, 255)];
        Assert.True(Store.Create(Root, longest, new NewInode { Mode = Mode.S_IFREG }, TestVolume.Root).IsOk);
        Assert.Equal(Errno.EINVAL, Store.Create(Root, [0], new NewInode { Mode = Mode.S_IFREG }, TestVolume.Root).Error);
    }

    [Fact]
    public void Link_counts_follow_names()
    {
        var file = Store.Create(Root, "a").Inode;
        var linked = Store.Link(file, Root, "b").Value;
        Assert.Equal(2u, linked.LinkCount);
        Assert.Equal(linked.ChangeTime, Store.Get(Root).ModifyTime);
        Assert.Null(Store.Unlink(Root, "a").Value);
        var last = Store.Get(file);
        Assert.Equal(1u, last.LinkCount);
        Assert.Equal(Store.Get(Root).ModifyTime, last.ChangeTime);
        Assert.Equal(file, Store.Unlink(Root, "b").Value);
        Assert.Equal(0u, Store.Get(file).LinkCount);
        Assert.Equal(Errno.ENOENT, Store.Link(file, Root, "c").Error);
        Assert.Equal(1, Store.Counters.Orphans);
        Assert.Equal(Errno.None, Store.PurgeOrphan(file).Error);
        Assert.Equal(Errno.ESTALE, Store.GetAttributes(file).Error);
        Assert.Equal(0, Store.Counters.Orphans);
        Assert.Equal(0, Store.Counters.Files);
    }

    [Fact]
    public void Orphans_are_known_after_a_crash_and_can_be_purged()
    {
        var file = Store.Create(Root, "a").Inode;
        var directory = Store.MakeDirectory(Root, "d").Inode;
        _volume.Commit();
        Store.Unlink(Root, "a");
        Store.RemoveDirectory(Root, "d");
        _volume.Commit();
        using var crashed = _volume.Crashed();
        Assert.Equal([file, directory], crashed.Store.Orphans());
        Assert.Equal(Errno.EBUSY, crashed.Store.PurgeOrphan(Root).Error);
        Assert.True(crashed.Store.PurgeStep(file, 1));
        Assert.Equal(Errno.None, crashed.Store.PurgeOrphan(directory).Error);
        crashed.Commit();
        crashed.Reopen();
        Assert.Empty(crashed.Store.Orphans());
    }

    [Fact]
    public void Nothing_can_be_made_in_a_removed_directory()
    {
        var directory = Store.MakeDirectory(Root, "d").Inode;
        Assert.Equal(directory, Store.RemoveDirectory(Root, "d").Value);
        Assert.Equal(Errno.ENOENT, Store.Create(directory, "x".Bytes(), new NewInode { Mode = Mode.S_IFREG }, TestVolume.Root).Error);
        var file = Store.Create(Root, "f").Inode;
        Assert.Equal(Errno.ENOENT, Store.Link(file, directory, "x").Error);
        Assert.Equal(Errno.ENOENT, Store.Rename(Root, "f", directory, "x").Error);
        Assert.Equal(Errno.ENOENT, Store.ReadDirectory(directory, 0, new ListSink(9), false).Error);
        Assert.Equal(2u, Store.Get(Root).LinkCount);
    }

    [Fact]
    public void An_unnamed_file_may_be_linked_once_it_is_wanted()
    {
        var file = Store.CreateUnnamed(Root, new NewInode { Mode = Mode.S_IFREG | 0x180 }, TestVolume.Root).Value;
        Assert.Equal(0u, file.LinkCount);
        Assert.Equal(1, Store.Counters.Orphans);
        _volume.Commit();
        Assert.Equal(1u, Store.Link(file.Inode, Root, "t").Value.LinkCount);
        Assert.Equal((0, 1), (Store.Counters.Orphans, Store.Counters.Files));
        Store.Unlink(Root, "t");
        Assert.Equal(Errno.ENOENT, Store.Link(file.Inode, Root, "t").Error);
    }

    [Fact]
    public void Symbolic_links_and_nodes_keep_what_they_are()
    {
        byte[] target = [.. Enumerable.Repeat((byte)'x', 4095)];
        var link = Store.Create(Root, "l".Bytes(), new NewInode { Mode = Mode.S_IFLNK, SymlinkTarget = target }, TestVolume.Root).Value;
        Assert.Equal((Mode.S_IFLNK | 0x1FFu, 4095), (link.Mode, link.Size));
        Assert.Equal(target, Store.ReadLink(link.Inode).Value.ToArray());
        _volume.Commit();
        Assert.Equal(target, Store.ReadLink(link.Inode).Value.ToArray());
        var device = Store.Create(Root, "n".Bytes(), new NewInode { Mode = Mode.S_IFBLK | 0x180, Device = 0x801 }, TestVolume.Root).Value;
        _volume.Commit();
        _volume.Reopen();
        Assert.Equal(target, Store.ReadLink(link.Inode).Value.ToArray());
        Assert.Equal(device, Store.Get(device.Inode));
        Assert.Equal(0x801u, device.Device);
        Assert.Equal(Errno.EINVAL, Store.ReadLink(device.Inode).Error);
        Assert.Equal(Errno.ENAMETOOLONG, Store.Create(Root, "m".Bytes(), new NewInode { Mode = Mode.S_IFLNK, SymlinkTarget = new byte[4096] }, TestVolume.Root).Error);
        Assert.Equal(2, Store.Counters.Others);
    }

    [Fact]
    public void A_set_group_ID_directory_gives_its_group()
    {
        var user = new Caller(1000, 1001, 1, 0);
        var shared = Store.MakeDirectory(Root, "s", 0x5FF, new Caller(5, 6, 1, 0)).Inode;
        var file = Store.Create(shared, "f", Mode.S_IFREG | 0x1B6, user);
        Assert.Equal((1000u, 6u, Mode.S_IFREG | 0x1B6u), (file.Uid, file.Gid, file.Mode));
        var inner = Store.MakeDirectory(shared, "d", 0x1ED, user);
        Assert.Equal((6u, Mode.S_IFDIR | 0x5EDu), (inner.Gid, inner.Mode));
        var plain = Store.Create(Root, "p", Mode.S_IFREG | 0x1B6, user);
        Assert.Equal(1001u, plain.Gid);
    }

    [Fact]
    public void Times_never_go_back_even_across_a_restart()
    {
        var before = Store.Create(Root, "a").BirthTime;
        _volume.Commit();
        _volume.Time.Set(DateTimeOffset.UnixEpoch);
        Assert.True(Store.Create(Root, "b").BirthTime >= before);
        _volume.Commit();
        _volume.Reopen();
        Assert.True(Store.Create(Root, "c").BirthTime >= before);
    }

    [Fact]
    public void Uncommitted_work_is_lost_in_a_crash_and_committed_work_is_not()
    {
        Store.Create(Root, "a");
        _volume.Commit();
        Store.Create(Root, "b");
        using var crashed = _volume.Crashed();
        Assert.Equal(["a"], crashed.Store.List(Root));
        Assert.Equal(1, crashed.Store.Counters.Files);
        Assert.Equal(new Lsn(1), crashed.Store.Tail);
    }

    [Fact]
    public void A_newer_format_is_refused()
    {
        _volume.Commit();
        _volume.Store.Dispose();
        using (var database = Database.Open(_volume.Database, 1024))
            database.Execute("PRAGMA user_version = 99");
        var error = Assert.Throws<NewerFormatException>(() => _volume.Reopen());
        Assert.Equal(99, error.Found);
        Assert.DoesNotContain('\n', error.Message);
    }
}
