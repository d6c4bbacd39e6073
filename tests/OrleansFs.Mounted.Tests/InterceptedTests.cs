using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Model;
using OrleansFs.Mount;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>What other sessions do at the very moment, played by the volume of a mount.</summary>
public sealed class InterceptedTests(MountPool mounts)
{
    private const uint User = 1000;

    private int _misses;

    /// <summary>Who has lost twice comes to the caller's own file, and to no other.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public async Task A_name_that_is_made_and_removed_all_the_time_is_opened(int misses)
    {
        await using var mount = await MountAsync((call, arguments) => call == "LookupAsync" && IsOfF(arguments) && Interlocked.Decrement(ref _misses) >= 0 ? Missing : null);
        string at = mount.MountPoint;
        Sys.Create($"{at}/f", 0x180);
        Sys.Chown($"{at}/f", User, User);
        File.SetUnixFileMode(at, (UnixFileMode)0x1FF);
        await File.WriteAllTextAsync($"{at}/f", "what was there before", TestContext.Current.CancellationToken);
        _misses = misses;
        Assert.Equal(Errno.None, AsUser.Run(User, User, () => Shorten($"{at}/f")));
        Assert.Equal("short", await File.ReadAllTextAsync($"{at}/f", TestContext.Current.CancellationToken));
        _misses = misses;
        Assert.Contains(AsUser.Run(User + 1, User + 1, () => Shorten($"{at}/f")), new[] { Errno.EACCES, Errno.ESTALE });
        _misses = 0;
        Assert.Equal("short", await File.ReadAllTextAsync($"{at}/f", TestContext.Current.CancellationToken));
        Assert.Equal(Errno.None, Sys.Unlink($"{at}/f"));
        Sys.Mkdir($"{at}/f");
        _misses = misses;
        Assert.Contains(Shorten($"{at}/f"), new[] { Errno.EISDIR, Errno.ESTALE });
    }

    private static object Missing => new ValueTask<FsResult<Attributes>>(Errno.ENOENT);

    private static bool IsOfF(object?[] arguments) => ((ReadOnlyMemory<byte>)arguments[1]!).Span.SequenceEqual("f"u8);

    private static Errno Shorten(string path)
    {
        var error = Sys.Open(path, Sys.O_WRONLY | Sys.O_CREAT | Sys.O_TRUNC, 0x1A4, out var fd);
        using (fd)
            return error == Errno.None ? fd.Write(0, "short"u8) : error;
    }

    private Task<MountedVolume> MountAsync(Func<string, object?[], object?> answer)
    {
        Assert.SkipWhen(!File.Exists("/dev/fuse"), "there is no /dev/fuse here");
        var volume = new MemoryTestVolume();
        var options = new VolumeMountOptions { Policy = MountPolicy.SharedSession, AllowOther = true };
        return MountedVolume.MountAsync(mounts.Scratch("mnt"), holder => InterceptedVolume.Of(volume.OpenSession(holder), answer), options, NullLogger.Instance);
    }
}
