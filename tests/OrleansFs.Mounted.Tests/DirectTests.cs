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
    private static readonly string s_hash = new('a', 64);

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

    /// <summary>Two programs look the same content up while the kernel gives back what it knew: who has been answered a number can use it.</summary>
    [Fact]
    public async Task Content_that_is_looked_up_while_it_is_forgotten_is_known()
    {
        const int Rounds = 200_000;
        var volume = new MemoryTestVolume();
        FolderedVolume foldered = null!;
        var fileSystem = new VolumeFileSystem(
            holder =>
            {
                var session = volume.OpenSession(holder);
                return foldered = new FolderedVolume(session, new ContentFolder(session, new EndlessContent(), new FolderReports(), () => null, default), listsXattrs: false);
            },
            MountPolicy.Alone, AccessTimes.Never)
        { Folder = foldered.Folder };
        var folder = await LookupAsync(NodeId.Root, ".orleansfs");
        var files = await LookupAsync(folder, "file");
        await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                var node = await LookupAsync(files, s_hash);
                Assert.Equal(Fuse.Errno.None, (await fileSystem.GetAttr(FuseContext.Detached(node), default)).Error);
                if (i % 16 == 0)
                    Assert.Equal(node, await LookupAsync(node, "."));
                fileSystem.Forget([new NodeForget(node, i % 16 == 0 ? 2u : 1u)]);
            }
        }, TestContext.Current.CancellationToken)));
        Assert.Equal(2, fileSystem.KnownNodes);

        async Task<NodeId> LookupAsync(NodeId directory, string name)
        {
            var entry = await fileSystem.Lookup(FuseContext.Detached(directory), Encoding.ASCII.GetBytes(name));
            Assert.Equal(Fuse.Errno.None, entry.Error);
            return entry.Value.Node;
        }
    }

    private sealed class EndlessContent : IContentAccess
    {
        public ValueTask<FsResult<ContentInfo>> HoldAsync(ContentName content, CancellationToken cancellation) => new(new ContentInfo { Size = 1, AllocatedBytes = 1 });

        public ValueTask<FsResult<int>> ReadAsync(ContentName content, long offset, Memory<byte> destination, CancellationToken cancellation) => new(0);

        public void Release(ContentName content)
        {
        }
    }
}
