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

    /// <summary>Attributes that take a message are not asked for with each write by a user, let alone changed.</summary>
    [Fact]
    public async Task A_write_by_a_user_changes_no_attributes()
    {
        int changes = 0, questions = 0;
        bool isSlow = false;
        var volume = new MemoryTestVolume();
        IVolumeAccess session = null!;
        await using var mount = await MountAsync(volume, (call, arguments) =>
        {
            if (!Volatile.Read(ref isSlow))
                return null;
            if (call == "SetAttributesAsync")
                Interlocked.Increment(ref changes);
            if (call != "GetAttributesAsync")
                return null;
            Interlocked.Increment(ref questions);
            return new ValueTask<FsResult<Attributes>>(LaterAsync((InodeNumber)arguments[0]!));
        }, opened => session = opened);
        Sys.Create($"{mount.MountPoint}/f");
        Sys.Chown($"{mount.MountPoint}/f", User, User);
        Assert.Equal(Errno.None, AsUser.Run(User, User, () =>
        {
            using var fd = Sys.Open($"{mount.MountPoint}/f", Sys.O_WRONLY);
            Volatile.Write(ref isSlow, true);
            var error = fd.Write(0, "a"u8) is var first and not Errno.None ? first : fd.Write(1, "b"u8);
            Volatile.Write(ref isSlow, false);
            return error;
        }));
        Assert.Equal((0, 0), (changes, questions));
        Assert.Equal("ab", await File.ReadAllTextAsync($"{mount.MountPoint}/f", TestContext.Current.CancellationToken));

        async Task<FsResult<Attributes>> LaterAsync(InodeNumber inode)
        {
            await Task.Yield();
            return await session.GetAttributesAsync(inode, CancellationToken.None);
        }
    }

    private static object Missing => new ValueTask<FsResult<Attributes>>(Errno.ENOENT);

    private static bool IsOfF(object?[] arguments) => ((ReadOnlyMemory<byte>)arguments[1]!).Span.SequenceEqual("f"u8);

    private static Errno Shorten(string path)
    {
        var error = Sys.Open(path, Sys.O_WRONLY | Sys.O_CREAT | Sys.O_TRUNC, 0x1A4, out var fd);
        using (fd)
            return error == Errno.None ? fd.Write(0, "short"u8) : error;
    }

    private Task<MountedVolume> MountAsync(Func<string, object?[], object?> answer) => MountAsync(new MemoryTestVolume(), answer, _ => { });

    private Task<MountedVolume> MountAsync(MemoryTestVolume volume, Func<string, object?[], object?> answer, Action<IVolumeAccess> opened)
    {
        Assert.SkipWhen(!File.Exists("/dev/fuse"), "there is no /dev/fuse here");
        var options = new VolumeMountOptions { Policy = MountPolicy.SharedSession, AllowOther = true };
        return MountedVolume.MountAsync(mounts.Scratch("mnt"), Open, options, NullLogger.Instance);

        IVolumeAccess Open(ICacheHolder holder)
        {
            var session = volume.OpenSession(holder);
            opened(session);
            return InterceptedVolume.Of(session, answer);
        }
    }
}
