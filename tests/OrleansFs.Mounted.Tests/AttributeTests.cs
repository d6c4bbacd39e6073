using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>Modes, owners, times, and what clears set-user-ID.</summary>
public sealed class AttributeTests(MountPool mounts)
{
    private const uint User = 1000;
    private const uint Group = 1001;

    [Theory, OnEveryMount]
    public async Task Mode_and_owner_are_kept(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Create($"{at}/f");
        Assert.Equal(Errno.None, Sys.Chmod($"{at}/f", 0xDE1));
        Assert.Equal(Mode.S_IFREG | 0xDE1, Sys.Stat($"{at}/f").Mode);
        Assert.Equal(Errno.None, Sys.Chown($"{at}/f", User, Group));
        Assert.Equal((User, Group), (Sys.Stat($"{at}/f").Uid, Sys.Stat($"{at}/f").Gid));
        Assert.Equal(Errno.None, Sys.Chown($"{at}/f", uint.MaxValue, 7));
        Assert.Equal((User, 7u), (Sys.Stat($"{at}/f").Uid, Sys.Stat($"{at}/f").Gid));
        Sys.Symlink("f", $"{at}/l");
        Assert.Equal(Errno.None, Sys.Chown($"{at}/l", 5, 6));
        Assert.Equal((5u, 6u), (Sys.Stat($"{at}/l").Uid, Sys.Stat($"{at}/l").Gid));
        Assert.Equal((User, 7u), (Sys.Stat($"{at}/f").Uid, Sys.Stat($"{at}/f").Gid));
    }

    [Theory, OnEveryMount]
    public async Task The_umask_and_a_set_group_id_directory_shape_what_is_made(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Mkdir($"{at}/team");
        Sys.Chown($"{at}/team", User, 77);
        Sys.Chmod($"{at}/team", 0x5FF);
        AsUser.Run(User, Group, () => Sys.Mkdir($"{at}/team/sub", 0x1FF));
        AsUser.Run(User, Group, () => Sys.Create($"{at}/team/f", 0x1B6));
        var sub = Sys.Stat($"{at}/team/sub");
        var file = Sys.Stat($"{at}/team/f");
        Assert.Equal((77u, 77u), (sub.Gid, file.Gid));
        Assert.Equal(User, file.Uid);
        Assert.Equal(Mode.S_IFDIR | Mode.S_ISGID | (0x1FFu & ~Umask), sub.Mode);
        Assert.Equal(Mode.S_IFREG | (0x1B6u & ~Umask), file.Mode);
    }

    /// <summary>The umask of this process, which is the threads' too.</summary>
    private static uint Umask { get; } = ReadUmask();

    private static uint ReadUmask()
    {
        uint mask = Libc.umask(0x12);
        _ = Libc.umask(mask);
        return mask;
    }

    [Theory, OnEveryMount]
    public async Task A_write_by_another_clears_set_user_id(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Create($"{at}/f");
        Sys.Chmod($"{at}/f", 0xDFF);
        Assert.Equal(Errno.None, AsUser.Run(User, Group, () => WriteTo($"{at}/f")));
        Assert.Equal(Mode.S_IFREG | 0x1FF, Sys.Stat($"{at}/f").Mode);
        // Set-group-ID without group execution means something else and stays, for a member of the group.
        Sys.Chown($"{at}/f", 0, Group);
        Sys.Chmod($"{at}/f", 0xDF7);
        Assert.Equal(Errno.None, AsUser.Run(User, Group, () => WriteTo($"{at}/f")));
        Assert.Equal(Mode.S_IFREG | 0x5F7, Sys.Stat($"{at}/f").Mode);
        Sys.Chmod($"{at}/f", 0xDFF);
        Assert.Equal(Errno.None, AsUser.Run(User, Group, () => Sys.Truncate($"{at}/f", 0)));
        Assert.Equal(Mode.S_IFREG | 0x1FF, Sys.Stat($"{at}/f").Mode);
        Sys.Chmod($"{at}/f", 0xDFF);
        Assert.Equal(Errno.None, Sys.Chown($"{at}/f", User, Group));
        Assert.Equal(Mode.S_IFREG | 0x1FF, Sys.Stat($"{at}/f").Mode);
    }

    private static Errno WriteTo(string path)
    {
        using var fd = Sys.Open(path, Sys.O_WRONLY);
        return fd.Write(0, "x"u8);
    }

    [Theory, OnEveryMount]
    public async Task Times_are_kept_to_the_nanosecond(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Create($"{at}/f");
        var before = Sys.Stat($"{at}/f");
        var access = Timestamp.From(1_000_000_000, 123_456_789);
        var modify = Timestamp.From(1, 1);
        Assert.Equal(Errno.None, Sys.SetTimes($"{at}/f", access, modify));
        var status = Sys.Stat($"{at}/f");
        Assert.Equal((access, modify), (status.Access, status.Modify));
        Assert.True(status.Change >= before.Change);
        Assert.Equal(before.Birth, status.Birth);
        Assert.Equal(Errno.None, Sys.SetTimes($"{at}/f", null, Timestamp.From(2, 2)));
        Assert.Equal((access, Timestamp.From(2, 2)), (Sys.Stat($"{at}/f").Access, Sys.Stat($"{at}/f").Modify));
        Sys.Symlink("f", $"{at}/l");
        Assert.Equal(Errno.None, Sys.SetTimes($"{at}/l", access, modify));
        Assert.Equal((access, modify), (Sys.Stat($"{at}/l").Access, Sys.Stat($"{at}/l").Modify));
        Assert.Equal(Errno.None, Sys.SetTimesNow($"{at}/f"));
        Assert.True(Sys.Stat($"{at}/f").Modify >= status.Birth);
    }

    [Theory, OnEveryMount]
    public async Task Times_never_go_back(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        for (int i = 0; i < 200; i++)
        {
            Sys.Create($"{at}/{i}");
            var made = Sys.Stat($"{at}/{i}");
            WriteTo($"{at}/{i}");
            var written = Sys.Stat($"{at}/{i}");
            Sys.Chmod($"{at}/{i}", 0x180);
            var changed = Sys.Stat($"{at}/{i}");
            Assert.True(written.Modify >= made.Modify && written.Change >= made.Change, $"{made} {written}");
            Assert.True(changed.Modify == written.Modify && changed.Change >= written.Change, $"{written} {changed}");
        }
    }

    [Theory, OnEveryMount]
    public async Task Changes_move_the_right_times_forward(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        var old = Timestamp.From(1_000_000_000, 0);
        Sys.Create($"{at}/f");
        Sys.Mkdir($"{at}/d");

        Reset();
        WriteTo($"{at}/f");
        Check("write", $"{at}/f", modified: true);
        Reset();
        Sys.Truncate($"{at}/f", 5);
        Check("truncate", $"{at}/f", modified: true);
        Reset();
        Sys.Chmod($"{at}/f", 0x180);
        Check("chmod", $"{at}/f", modified: false);
        Reset();
        Sys.SetXattr($"{at}/f", "user.a", "1"u8);
        Check("setxattr", $"{at}/f", modified: false);
        Reset();
        Sys.Create($"{at}/d/x");
        Check("create in it", $"{at}/d", modified: true);
        Reset();
        Sys.Link($"{at}/f", $"{at}/d/y");
        Check("link", $"{at}/f", modified: false);
        Check("link in it", $"{at}/d", modified: true);
        Reset();
        Sys.Rename($"{at}/d/x", $"{at}/d/z");
        Check("rename in it", $"{at}/d", modified: true);
        Reset();
        Sys.Unlink($"{at}/d/y");
        Check("unlink", $"{at}/f", modified: false);
        Check("unlink in it", $"{at}/d", modified: true);

        void Reset()
        {
            Assert.Equal(Errno.None, Sys.SetTimes($"{at}/f", old, old));
            Assert.Equal(Errno.None, Sys.SetTimes($"{at}/d", old, old));
        }

        void Check(string what, string path, bool modified)
        {
            var status = Sys.Stat(path);
            Assert.True(status.Change > status.Birth || status.Change >= old, what);
            Assert.True(status.Modify > old == modified, $"{what}: modified {status.Modify}");
        }
    }

    [Theory, OnEveryMount]
    public async Task The_access_time_moves_as_relatime_says(string kind)
    {
        if (MountKind.Named(kind).Volume == VolumeKind.Plain)
            Assert.Skip("a local mount may be noatime");
        string at = await mounts.EnterAsync(kind);
        await File.WriteAllTextAsync($"{at}/f", "text", TestContext.Current.CancellationToken);
        var old = Timestamp.From(1_000_000_000, 0);
        Assert.Equal(Errno.None, Sys.SetTimes($"{at}/f", old, null));
        // Directly, so that the read reaches the file system.
        using var fd = Sys.Open($"{at}/f", Sys.O_RDONLY | Sys.O_DIRECT);
        ReadOnce(fd);
        Assert.True(Sys.Stat($"{at}/f").Access > old);
        // Until it is younger than the change time, which may be of the same tick, each read moves it.
        while (Sys.Stat($"{at}/f") is var status && status.Access <= status.Change)
            ReadOnce(fd);
        var first = Sys.Stat($"{at}/f").Access;
        ReadOnce(fd);
        Assert.Equal(first, Sys.Stat($"{at}/f").Access);
    }

    private static unsafe void ReadOnce(FileDescriptor fd)
    {
        void* memory = System.Runtime.InteropServices.NativeMemory.AlignedAlloc(4096, 4096);
        Assert.Equal(Errno.None, fd.Read(0, new Span<byte>(memory, 4096), out _));
        System.Runtime.InteropServices.NativeMemory.AlignedFree(memory);
    }
}
