using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Mounting;
using OrleansFs.Fuse.Tests.MemoryFs;
using Xunit;

namespace OrleansFs.Fuse.Tests.Mounted;

/// <summary>Whose mount an unmount takes off, and what it answers where that is not the last of it.</summary>
[Collection("mounted")]
public sealed class UnmountTests
{
    private const int BindMount = 0x1000; // MS_BIND

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private static CancellationToken Ending => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(UnmountMode.Orderly)]
    [InlineData(UnmountMode.Lazy)]
    [InlineData(UnmountMode.Abort)]
    public async Task What_another_has_mounted_there_meanwhile_is_left_alone(UnmountMode mode)
    {
        await using MemoryMount first = await MemoryMount.StartAsync(FuseTransport.Device);
        int fd = Posix.MustOpen(first.Path("open"), Posix.O_RDWR | Posix.O_CREAT);
        Assert.Equal(Errno.None, KernelMount.Unmount(first.Mount.MountPoint, lazy: true));
        TestLog log = new();
        await using (FuseMount second = await FuseMount.MountAsync(
            first.Mount.MountPoint, new MemoryFileSystem(TimeProvider.System), new FuseOptions { IoUring = IoUringMode.Off }, log, Ending))
        {
            // Out of every path, a mount can be cut off through the control file system of FUSE only, where that is mounted.
            var outcome = mode == UnmountMode.Abort && MountTable.At("/sys/fs/fuse/connections") is not null ? UnmountOutcome.Unmounted : UnmountOutcome.Detached;
            Assert.Equal(outcome, await first.Mount.UnmountAsync(mode, Ending).WaitAsync(s_patience, Ending));
            await File.WriteAllTextAsync($"{second.MountPoint}/file", "x", Ending);
            Assert.Equal(mode == UnmountMode.Abort ? -1 : 1, Posix.Write(fd, "x"u8, 0));
            _ = Posix.Close(fd);
            await first.Mount.Completion.WaitAsync(s_patience, Ending);
            Assert.Equal(UnmountOutcome.Unmounted, await second.UnmountAsync(UnmountMode.Orderly, Ending).WaitAsync(s_patience, Ending));
        }
        log.AssertTroubles([]);
    }

    [Fact]
    public async Task A_mount_point_named_through_a_link_is_unmounted()
    {
        await using MemoryMount place = await MemoryMount.StartAsync(FuseTransport.Device);
        string link = $"{place.Mount.MountPoint}-link";
        File.CreateSymbolicLink(link, place.Mount.MountPoint);
        try
        {
            Assert.Equal(UnmountOutcome.Unmounted, await place.Mount.UnmountAsync(UnmountMode.Orderly, Ending));
            await using FuseMount mount = await FuseMount.MountAsync(
                link, new MemoryFileSystem(TimeProvider.System), new FuseOptions { IoUring = IoUringMode.Off }, new TestLog(), Ending);
            Assert.Equal(place.Mount.MountPoint, mount.MountPoint);
            await File.WriteAllTextAsync($"{link}/file", "x", Ending);
            Assert.Equal(UnmountOutcome.Unmounted, await mount.UnmountAsync(UnmountMode.Orderly, Ending));
            Assert.Empty(Directory.GetFileSystemEntries(place.Mount.MountPoint));
        }
        finally
        {
            File.Delete(link);
        }
    }

    /// <summary>Another mount of the same connection keeps it: a bind mount here, or a copy in a namespace of its own.</summary>
    [Fact]
    public async Task An_unmount_that_is_not_the_last_says_so_and_an_abort_ends_it()
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(FuseTransport.Device);
        string other = Directory.CreateTempSubdirectory("fuse-test-").FullName;
        await File.WriteAllTextAsync(mount.Path("file"), "x", Ending);
        Assert.Equal(0, Libc.Mount(mount.Mount.MountPoint, other, "", BindMount, ""));
        try
        {
            Assert.Equal(UnmountOutcome.Detached, await mount.Mount.UnmountAsync(UnmountMode.Orderly, Ending).WaitAsync(s_patience, Ending));
            Assert.Equal("x", await File.ReadAllTextAsync($"{other}/file", Ending));
            Assert.Equal(UnmountOutcome.Unmounted, await mount.Mount.UnmountAsync(UnmountMode.Abort, Ending).WaitAsync(s_patience, Ending));
        }
        finally
        {
            KernelMount.Unmount(other, lazy: true);
            Directory.Delete(other);
        }
    }
}
