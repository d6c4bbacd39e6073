using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>Access times: of reads that the page cache answers too, as relatime, strictatime and noatime have them, on a mount by itself and on one over the network.</summary>
public sealed class AccessTimeTests(MountPool mounts)
{
    private static CancellationToken Ending => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("relatime", true, false)]
    [InlineData("strictatime", true, true)]
    [InlineData("noatime", false, false)]
    public async Task A_read_brings_up_the_access_time(string rule, bool first, bool second)
    {
        string folder = mounts.Scratch("atime"), at = mounts.Scratch("mnt"), far = mounts.Scratch("mnt"), cluster = $"sqlite:{folder}/cluster.db";
        await OrleansFsCommand.SucceedAsync("mount", "--data", $"{folder}/data", at, "--background", "--atime", rule);
        try
        {
            await CheckAsync(at, first, second);
        }
        finally
        {
            await OrleansFsCommand.SucceedAsync("umount", at);
        }
        await using var silo = await SiloCommandProcess.StartAsync("silo", "--data", $"{folder}/data", "--name", "master", "--role", "master", "--cluster", cluster);
        await OrleansFsCommand.SucceedAsync("mount", "--cluster", cluster, far, "--background", "--atime", rule);
        try
        {
            await CheckAsync(far, first, second, isFar: true);
        }
        finally
        {
            await OrleansFsCommand.SucceedAsync("umount", far);
        }
    }

    private static async Task CheckAsync(string at, bool first, bool second, bool isFar = false)
    {
        string[] paths = [$"{at}/file{isFar}", $"{at}/directory{isFar}", $"{at}/link{isFar}"];
        await File.WriteAllTextAsync(paths[0], "in the page cache", Ending);
        Directory.CreateDirectory(paths[1]);
        Sys.Symlink("target", paths[2]);
        // Time passes: what is brought up is another one.
        await Task.Delay(20, Ending);
        foreach (string path in paths)
        {
            var made = Sys.Stat(path).Access;
            Read(path);
            var read = Sys.Stat(path).Access;
            Assert.True(first == read > made, $"{path}: {made} {read}");
            await Task.Delay(20, Ending);
            Read(path);
            // Of a directory or a link the kernel answers again by itself what has not changed.
            if (path == paths[0])
                Assert.True(second == Sys.Stat(path).Access > read, $"{path} again: {read}");
        }
        var kept = Sys.Stat(paths[0]).Access;
        using (Sys.Open(paths[0], O_NOATIME | Sys.O_RDONLY))
            Assert.Equal(kept, Sys.Stat(paths[0]).Access);
        LeaveNoTrace($"{at}/backup{isFar}");
    }

    /// <summary>Who opens with O_NOATIME, as a backup does, leaves no trace where the kernel has to ask for what is read either.</summary>
    private static void LeaveNoTrace(string path)
    {
        var before = new Timestamp(1_000_000_000);
        Directory.CreateDirectory(path);
        string file = $"{path}/file";
        File.WriteAllText(file, "not in the page cache");
        using (var content = Sys.Open(file, O_NOATIME | Sys.O_RDONLY))
        {
            Assert.Equal(Errno.None, content.Sync());
            Assert.Equal(Errno.None, content.DropPages());
            Assert.Equal(Errno.None, Sys.SetTimes(file, before, null));
            Assert.Equal("not"u8, content.Read(0, 3));
        }
        Assert.Equal(before, Sys.Stat(file).Access);
        Assert.Equal(Errno.None, Sys.SetTimes(path, before, null));
        using (var listing = Sys.Open(path, O_NOATIME | Sys.O_RDONLY))
            Assert.Contains("file", listing.Entries());
        Assert.Equal(before, Sys.Stat(path).Access);
    }

    private const int O_NOATIME = 0x40000;

    private static void Read(string path)
    {
        var status = Sys.Stat(path);
        if (Mode.IsDirectory(status.Mode))
            Assert.Empty(Directory.GetFileSystemEntries(path));
        else if (Mode.IsRegular(status.Mode))
            Assert.Equal("in the page cache", File.ReadAllText(path));
        else
            Assert.Equal(Errno.None, Sys.ReadLink(path, out _));
    }
}
