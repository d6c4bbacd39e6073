using System.Text;
using OrleansFs.Fuse;
using OrleansFs.Model;
using OrleansFs.Mount;
using OrleansFs.Mounted.Tests.Mounts;
using Xunit;
using Errno = OrleansFs.Model.Errno;

namespace OrleansFs.Mounted.Tests;

/// <summary>What the kernel counts and what this side counts, where the two meet at a bad moment: the file system called without a kernel.</summary>
public sealed class DirectTests
{
    private static CancellationToken Ending => TestContext.Current.CancellationToken;

    /// <summary>The second page of a listing may fail after the first is in the reply.</summary>
    [Fact]
    public async Task What_a_listing_has_counted_it_answers()
    {
        IVolumeAccess session = null!;
        var fileSystem = new VolumeFileSystem(holder => InterceptedVolume.Of(session = new MemoryTestVolume().OpenSession(holder), Answer), MountPolicy.SharedSession, AccessTimes.Never);
        foreach (string name in new[] { "a", "b", "c" })
            Assert.True((await session.CreateAsync(InodeNumber.Root, Encoding.ASCII.GetBytes(name), new NewInode { Mode = 0x81A4 }, default, Ending)).IsOk);
        var context = FuseContext.Detached(NodeId.Root, cancellationToken: Ending);
        var writer = new DirectoryWriter(new byte[4096], isPlus: true);
        Assert.Equal(Fuse.Errno.None, (await fileSystem.ReadDirPlus(context, new ReadDirRequest(default, 0, default), writer)).Error);
        Assert.Equal((5, 3L), (writer.Count, fileSystem.KnownNodes));
        // The next call begins behind the last entry.
        Assert.Equal(Fuse.Errno.EIO, (await fileSystem.ReadDirPlus(context, new ReadDirRequest(default, long.MaxValue, default), new DirectoryWriter(new byte[4096], isPlus: true))).Error);
        Assert.Equal(3, fileSystem.KnownNodes);

        object? Answer(string call, object?[] arguments) => call == "ReadDirectoryAsync" ? new ValueTask<FsResult>(FailAsync(arguments)) : null;

        async Task<FsResult> FailAsync(object?[] arguments)
        {
            await session.ReadDirectoryAsync((InodeNumber)arguments[0]!, (long)arguments[1]!, (IDirectorySink)arguments[2]!, (bool)arguments[3]!, (ReadFlags)arguments[4]!, default);
            return Errno.EIO;
        }
    }
}
