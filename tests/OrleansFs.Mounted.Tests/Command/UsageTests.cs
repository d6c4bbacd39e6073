using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using OrleansFs.Mounted.Tests.Mounts;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>What is typed, and what is answered to it where no mount is needed. DATA and MNT stand for a folder that is not there and for a directory to mount on.</summary>
public sealed class UsageTests(MountPool mounts)
{
    [Theory]
    [InlineData(1, "name a command", "")]
    [InlineData(1, "'moutn' is not known here", "moutn")]
    [InlineData(1, "name a folder with --data, or a cluster", "mount MNT")]
    [InlineData(1, "Required argument missing", "mount --data DATA")]
    [InlineData(1, "'more' is not known here", "mount --data DATA MNT more")]
    [InlineData(1, "'--fast' is not known here", "mount --data DATA MNT --fast")]
    [InlineData(1, "'--fast' is not known here", "mount --data DATA --fast MNT")]
    [InlineData(1, "'--fast' is not known here", "mount --data DATA --fast -- MNT")]
    [InlineData(1, "'large' is not a size", "mount --data DATA MNT --memory large")]
    [InlineData(1, "'9EiB' is more than there can be", "mount --data DATA MNT --memory 9EiB")]
    [InlineData(1, "'1.5' is not a whole number of bytes", "mount --data DATA MNT --memory 1.5")]
    [InlineData(1, "is more than there is", "mount --data DATA MNT --memory 1EiB --background")]
    [InlineData(1, "bytes of memory are too few", "mount --data DATA MNT --memory 1MiB")]
    [InlineData(1, "a block size of '5000' cannot be used", "mount --data DATA MNT --block-size 5000")]
    [InlineData(1, "a block size of '2KiB' cannot be used", "mount --data DATA MNT --block-size 2KiB")]
    [InlineData(1, "a block size of '8MiB' cannot be used", "mount --data DATA MNT --block-size 8MiB")]
    [InlineData(1, "'maybe' is none of auto, on and off", "mount --data DATA MNT --io-uring maybe")]
    [InlineData(1, "the log file /proc/none/log cannot be written", "mount --data DATA MNT --log-file /proc/none/log")]
    [InlineData(1, "the log file /proc/none/log cannot be written", "mount --data DATA MNT --log-file /proc/none/log --background")]
    [InlineData(1, "/none does not exist", "mount --data DATA MNT/none")]
    [InlineData(1, "lie in each other", "mount --data MNT/data MNT")]
    [InlineData(1, "/dev/null is not a directory", "mount --data DATA /dev/null --background")]
    [InlineData(1, "/dev/null is a file", "mount --data /dev/null MNT")]
    [InlineData(1, "no volume is mounted at", "umount MNT")]
    [InlineData(1, "no volume is mounted at", "status MNT")]
    [InlineData(1, "holds no volume", "status --data DATA")]
    [InlineData(1, "name a MOUNTPOINT or a folder", "status")]
    [InlineData(1, "name a MOUNTPOINT or a folder", "gc MNT --data DATA")]
    [InlineData(1, "holds no volume", "gc --data DATA --dry-run")]
    [InlineData(8, "holds no volume", "fsck --data DATA")]
    [InlineData(16, "Option '--data' is required", "fsck")]
    [InlineData(1, "no such file", "hash MNT/none")]
    [InlineData(1, "is a directory", "hash MNT")]
    [InlineData(1, "a block size of '3' cannot be used", "hash --block-size 3 /dev/null")]
    public async Task What_cannot_be_done_is_said_in_one_line(int exitCode, string message, string line)
    {
        string folder = mounts.Scratch("usage");
        string data = Path.Combine(folder, "data"), mountPoint = Path.Combine(folder, "mnt");
        Directory.CreateDirectory(mountPoint);
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var outcome = await OrleansFsCommand.RunAsync([.. words.Select(word => word.Replace("DATA", data, StringComparison.Ordinal).Replace("MNT", mountPoint, StringComparison.Ordinal))]);
        Assert.Equal(exitCode, outcome.ExitCode);
        Assert.Empty(outcome.Output);
        string answer = Assert.Single(outcome.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("orleansfs: ", answer, StringComparison.Ordinal);
        Assert.Contains(message, answer, StringComparison.Ordinal);
        // Nothing is left behind that the next attempt would trip over.
        Assert.DoesNotContain("meta.db", Directory.Exists(data) ? Directory.GetFileSystemEntries(data).Select(Path.GetFileName) : []);
    }

    [Theory]
    [InlineData("--help", "fsck")]
    [InlineData("mount --help", "--block-size")]
    [InlineData("umount --help", "MOUNTPOINT")]
    [InlineData("status --help", "--watch")]
    [InlineData("hash --help", "FILE")]
    [InlineData("fsck --help", "--verify-data")]
    [InlineData("gc --help", "--dry-run")]
    [InlineData("--version", ".")]
    public async Task Help_is_given_where_it_is_asked_for(string line, string named) =>
        Assert.Contains(named, await OrleansFsCommand.SucceedAsync(line.Split(' ')), StringComparison.Ordinal);

    [Fact]
    public async Task A_folder_that_holds_anything_else_is_refused_and_left_alone()
    {
        string folder = mounts.Scratch("foreign"), mountPoint = mounts.Scratch("mnt");
        await File.WriteAllTextAsync(Path.Combine(folder, "letter"), "dear", TestContext.Current.CancellationToken);
        var outcome = await OrleansFsCommand.RunAsync("mount", "--data", folder, mountPoint, "--background");
        Assert.Equal(1, outcome.ExitCode);
        Assert.Equal($"orleansfs: {folder} holds no volume but other files (letter); name an empty or a new folder\n", outcome.Error);
        Assert.Equal(["letter"], Directory.GetFileSystemEntries(folder).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Hash_of_one_block_is_what_sha256sum_says()
    {
        string folder = mounts.Scratch("hash");
        string plain = Path.Combine(folder, "plain"), odd = Path.Combine(folder, "two\nlines"), large = Path.Combine(folder, "large");
        await File.WriteAllTextAsync(plain, "hello", TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(odd, "hello", TestContext.Current.CancellationToken);
        byte[] content = new byte[300_000];
        new Random(1).NextBytes(content);
        await File.WriteAllBytesAsync(large, content, TestContext.Current.CancellationToken);
        string sum = Convert.ToHexStringLower(SHA256.HashData("hello"u8));
        string[] lines = (await OrleansFsCommand.SucceedAsync("hash", plain, odd)).Split('\n');
        Assert.Equal($"{sum}  {plain}", lines[0]);
        Assert.Equal($"\\{sum}  {folder}/two\\nlines", lines[1]);
        Assert.NotEqual(Convert.ToHexStringLower(SHA256.HashData(content)), (await OrleansFsCommand.SucceedAsync("hash", large))[..64]);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(content)), (await OrleansFsCommand.SucceedAsync("hash", "--block-size", "512K", large))[..64]);

        using var process = OrleansFsCommand.Start(new ProcessStartInfo(OrleansFsCommand.Path, ["hash", "-"]));
        await process.StandardInput.BaseStream.WriteAsync(Encoding.ASCII.GetBytes("hello"), TestContext.Current.CancellationToken);
        process.StandardInput.Close();
        Assert.Equal($"{sum}  -\n", await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken));
    }
}
