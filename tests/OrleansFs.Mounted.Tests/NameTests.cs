using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>Names: what makes, links, renames and removes them.</summary>
public sealed class NameTests(MountPool mounts)
{
    [Theory, OnEveryMount]
    public async Task A_file_is_made_once(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Assert.Equal(Errno.None, Sys.Create($"{at}/f", 0x180));
        Assert.Equal(Errno.EEXIST, Sys.Create($"{at}/f"));
        var status = Sys.Stat($"{at}/f");
        Assert.Equal(Mode.S_IFREG | 0x180, status.Mode);
        Assert.Equal(1u, status.Links);
        Assert.Equal(0, status.Size);
        Assert.Equal(["f"], Sys.List(at));
    }

    [Theory, OnEveryMount]
    public async Task A_file_of_mode_0_can_be_written_by_who_makes_it(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        var error = AsUser.Run(1000, 1000, () =>
        {
            using var fd = Sys.Open($"{at}/f", Sys.O_CREAT | Sys.O_EXCL | Sys.O_WRONLY, 0);
            return fd.Write(0, "x"u8);
        });
        Assert.Equal(Errno.None, error);
        Assert.Equal(Mode.S_IFREG, Sys.Stat($"{at}/f").Mode);
        Assert.Equal(1, Sys.Stat($"{at}/f").Size);
    }

    [Theory, OnEveryMount]
    public async Task Every_kind_of_inode_can_be_made(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Assert.Equal(Errno.None, Sys.Mknod($"{at}/fifo", Mode.S_IFIFO | 0x1A4));
        Assert.Equal(Errno.None, Sys.Mknod($"{at}/socket", Mode.S_IFSOCK | 0x1A4));
        Assert.Equal(Errno.None, Sys.Mknod($"{at}/char", Mode.S_IFCHR | 0x1A4, (1 << 8) | 3));
        Assert.Equal(Errno.None, Sys.Mknod($"{at}/block", Mode.S_IFBLK | 0x1A4, (7 << 8) | 5));
        Assert.Equal(Errno.None, Sys.Symlink("where/it/leads", $"{at}/link"));
        Assert.Equal(Errno.None, Sys.Mkdir($"{at}/dir"));
        Assert.Equal(Mode.S_IFIFO | 0x1A4, Sys.Stat($"{at}/fifo").Mode);
        Assert.Equal(Mode.S_IFSOCK | 0x1A4, Sys.Stat($"{at}/socket").Mode);
        Assert.Equal((1u, 3u), (Sys.Stat($"{at}/char").Major, Sys.Stat($"{at}/char").Minor));
        Assert.Equal((7u, 5u), (Sys.Stat($"{at}/block").Major, Sys.Stat($"{at}/block").Minor));
        Assert.Equal(Errno.None, Sys.ReadLink($"{at}/link", out string target));
        Assert.Equal("where/it/leads", target);
        Assert.Equal(14, Sys.Stat($"{at}/link").Size);
        Assert.Equal(["block", "char", "dir", "fifo", "link", "socket"], Sys.List(at).Order());
    }

    [Theory, OnEveryMount]
    public async Task A_name_is_any_bytes_up_to_255(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        string[] names = ["\x01", "\xff\xfe", " ", "\n", "-rf", "*", "\xc3\xa4", "\xe4", new('x', 255), new('\x80', 255), "...", "con", "a\\b"];
        foreach (string name in names)
            Assert.Equal(Errno.None, Sys.Create($"{at}/{name}"));
        Assert.Equal(Errno.ENAMETOOLONG, Sys.Create($"{at}/{new string('y', 256)}"));
        Assert.Equal(names.Order(StringComparer.Ordinal), Sys.List(at).Order(StringComparer.Ordinal));
        foreach (string name in names)
            Assert.Equal(Errno.None, Sys.Unlink($"{at}/{name}"));
        Assert.Empty(Sys.List(at));
    }

    [Theory, OnEveryMount]
    public async Task Links_of_a_file_are_counted(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Create($"{at}/a");
        Assert.Equal(Errno.None, Sys.Link($"{at}/a", $"{at}/b"));
        Assert.Equal(Errno.EEXIST, Sys.Link($"{at}/a", $"{at}/b"));
        var (a, b) = (Sys.Stat($"{at}/a"), Sys.Stat($"{at}/b"));
        Assert.Equal(a.Inode, b.Inode);
        Assert.Equal((2u, 2u), (a.Links, b.Links));
        Assert.Equal(Errno.None, Sys.Unlink($"{at}/a"));
        Assert.Equal(1u, Sys.Stat($"{at}/b").Links);
        Assert.True(Sys.Stat($"{at}/b").Change >= b.Change);
    }

    [Theory, OnEveryMount]
    public async Task Links_of_a_directory_are_its_subdirectories(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Mkdir($"{at}/d");
        Sys.Mkdir($"{at}/e");
        Assert.Equal(2u, Sys.Stat($"{at}/d").Links);
        Sys.Mkdir($"{at}/d/1");
        Sys.Mkdir($"{at}/d/2");
        Sys.Create($"{at}/d/file");
        Assert.Equal(4u, Sys.Stat($"{at}/d").Links);
        Assert.Equal(Errno.None, Sys.Rename($"{at}/d/1", $"{at}/e/1"));
        Assert.Equal((3u, 3u), (Sys.Stat($"{at}/d").Links, Sys.Stat($"{at}/e").Links));
        Assert.Equal(Errno.None, Sys.Rmdir($"{at}/d/2"));
        Assert.Equal(2u, Sys.Stat($"{at}/d").Links);
        Assert.Equal(4u, Sys.Stat(at).Links);
        Assert.Equal(Sys.Stat($"{at}/e").Inode, Sys.Stat($"{at}/e/1/..").Inode);
    }

    [Theory, OnEveryMount]
    public async Task A_rename_replaces_what_is_there(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Create($"{at}/old");
        Sys.Create($"{at}/new");
        Sys.Link($"{at}/new", $"{at}/other");
        ulong moved = Sys.Stat($"{at}/old").Inode;
        Assert.Equal(Errno.None, Sys.Rename($"{at}/old", $"{at}/new"));
        Assert.Equal(moved, Sys.Stat($"{at}/new").Inode);
        Assert.Equal(1u, Sys.Stat($"{at}/other").Links);
        Assert.Equal(Errno.ENOENT, Sys.Stat($"{at}/old", out _));
        Assert.Equal(["new", "other"], Sys.List(at).Order());
        // Two names of one inode: nothing happens (rename(2)).
        Sys.Link($"{at}/new", $"{at}/twin");
        Assert.Equal(Errno.None, Sys.Rename($"{at}/new", $"{at}/twin"));
        Assert.Equal(["new", "other", "twin"], Sys.List(at).Order());
    }

    [Theory, OnEveryMount]
    public async Task A_rename_keeps_exchanges_or_leaves_a_whiteout(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Create($"{at}/f");
        Sys.Mkdir($"{at}/d");
        Sys.Mkdir($"{at}/sub");
        Sys.Mkdir($"{at}/sub/x");
        ulong file = Sys.Stat($"{at}/f").Inode;
        Assert.Equal(Errno.EEXIST, Sys.Rename($"{at}/f", $"{at}/d", RenameFlags.NoReplace));
        Assert.Equal(Errno.ENOENT, Sys.Rename($"{at}/f", $"{at}/none", RenameFlags.Exchange));
        Assert.Equal(Errno.None, Sys.Rename($"{at}/f", $"{at}/sub/x", RenameFlags.Exchange));
        Assert.Equal(file, Sys.Stat($"{at}/sub/x").Inode);
        Assert.Equal(Mode.S_IFDIR, Sys.Stat($"{at}/f").Mode & Mode.S_IFMT);
        Assert.Equal(2u, Sys.Stat($"{at}/sub").Links);
        Assert.Equal(Sys.Stat(at).Inode, Sys.Stat($"{at}/f/..").Inode);
        Assert.Equal(Errno.None, Sys.Rename($"{at}/sub/x", $"{at}/moved", RenameFlags.Whiteout));
        var whiteout = Sys.Stat($"{at}/sub/x");
        Assert.Equal(Mode.S_IFCHR, whiteout.Mode & Mode.S_IFMT);
        Assert.Equal((0u, 0u), (whiteout.Major, whiteout.Minor));
        Assert.Equal(file, Sys.Stat($"{at}/moved").Inode);
    }

    [Theory, OnEveryMount]
    public async Task An_unlinked_file_lives_while_it_is_open(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        using var fd = Sys.Open($"{at}/f", Sys.O_CREAT | Sys.O_RDWR);
        Assert.Equal(Errno.None, fd.Write(0, "before"u8));
        Assert.Equal(Errno.None, Sys.Unlink($"{at}/f"));
        Assert.Empty(Sys.List(at));
        Assert.Equal(Errno.None, fd.Write(6, " after"u8));
        Assert.Equal(Errno.None, fd.Sync());
        Assert.Equal("before after"u8, fd.Read(0, 100));
        // Its name is free for another.
        Assert.Equal(Errno.None, Sys.Create($"{at}/f"));
        Assert.Equal(0, Sys.Stat($"{at}/f").Size);
    }

    [Theory, OnEveryMount]
    public async Task A_removed_directory_that_is_open_has_no_names_and_takes_none(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Mkdir($"{at}/d");
        using var fd = Sys.Open($"{at}/d", Sys.O_RDONLY | Sys.O_DIRECTORY);
        Assert.Equal(Errno.None, Sys.Rmdir($"{at}/d"));
        Assert.Equal(Errno.ENOENT, fd.List(out _));
        Assert.Equal(Errno.ENOENT, Sys.Create($"/proc/self/fd/{fd.Number}/x"));
        Assert.Equal(Errno.ENOENT, Sys.Mkdir($"/proc/self/fd/{fd.Number}/x"));
    }

    [Theory, OnEveryMount]
    public async Task A_file_without_a_name_can_be_given_one(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        using var fd = Sys.Open(at, Sys.O_TMPFILE | Sys.O_RDWR, 0x180);
        Assert.Equal(Errno.None, fd.Write(0, "unnamed"u8));
        Assert.Empty(Sys.List(at));
        Assert.Equal(Errno.None, Sys.LinkOpen(fd, $"{at}/named"));
        var status = Sys.Stat($"{at}/named");
        Assert.Equal((1u, 7L, Mode.S_IFREG | 0x180), (status.Links, status.Size, status.Mode));
        // One that was made to stay unnamed, and one that was unlinked, cannot.
        Assert.Equal(Errno.None, Sys.Unlink($"{at}/named"));
        Assert.Equal(Errno.ENOENT, Sys.LinkOpen(fd, $"{at}/again"));
    }
}
