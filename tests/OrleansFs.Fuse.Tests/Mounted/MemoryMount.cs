using OrleansFs.Fuse.Tests.MemoryFs;
using Xunit;

namespace OrleansFs.Fuse.Tests.Mounted;

/// <summary>Mounted tests look at threads, descriptors and sizes of the whole process: one at a time.</summary>
[CollectionDefinition("mounted", DisableParallelization = true)]
public sealed class MountedCollection
{
}

/// <summary>A memory file system mounted for one test. Its end checks that nothing unexpected was logged and that the mount is gone.</summary>
internal sealed class MemoryMount : IAsyncDisposable
{
    private MemoryMount(FuseMount mount, MemoryFileSystem fileSystem, TestLog log)
    {
        Mount = mount;
        FileSystem = fileSystem;
        Log = log;
    }

    internal FuseMount Mount { get; }

    internal MemoryFileSystem FileSystem { get; }

    internal TestLog Log { get; }

    /// <summary>Parts of the warnings and errors that this test is about.</summary>
    internal string[] ExpectedTroubles { get; set; } = [];

    internal static TheoryData<FuseTransport> Transports => [FuseTransport.Device, FuseTransport.IoUring];

    internal string Path(string name) => $"{Mount.MountPoint}/{name}";

    /// <summary>Mounts; as root, and with a kernel that has io_uring where that is asked. What is missing skips the test, and says so.</summary>
    internal static async Task<MemoryMount> StartAsync(
        FuseTransport transport, MemoryFileSystem? fileSystem = null, Func<FuseOptions, FuseOptions>? change = null, FuseTransport? expected = null)
    {
        Assert.SkipUnless(File.Exists("/dev/fuse") && Environment.IsPrivilegedProcess, "mounting needs root and /dev/fuse");
        Assert.SkipUnless(
            transport == FuseTransport.Device || File.Exists("/sys/module/fuse/parameters/enable_uring"), "this kernel has no FUSE over io_uring");
        TestLog log = new();
        fileSystem ??= new MemoryFileSystem(TimeProvider.System);
        FuseOptions options = new()
        {
            IoUring = transport == FuseTransport.IoUring ? IoUringMode.On : IoUringMode.Off,
            Subtype = "orleansfs-test",
            UnmountTimeout = TimeSpan.FromSeconds(20),
            Capabilities = FuseOptions.DefaultCapabilities | FuseCapabilities.PosixLocks | FuseCapabilities.FlockLocks | FuseCapabilities.ReadDirPlus
                | FuseCapabilities.HandleKillPrivV2 | FuseCapabilities.AtomicTruncate,
        };
        DirectoryInfo directory = Directory.CreateTempSubdirectory("fuse-test-");
        FuseMount mount = await FuseMount.MountAsync(
            directory.FullName, fileSystem, change?.Invoke(options) ?? options, log, TestContext.Current.CancellationToken);
        Assert.True(mount.Statistics.Transport == (expected ?? transport), $"{mount.Statistics.IoUringUnavailable}");
        return new MemoryMount(mount, fileSystem, log);
    }

    public async ValueTask DisposeAsync()
    {
        await Mount.DisposeAsync();
        await Mount.Completion.WaitAsync(TimeSpan.FromSeconds(60));
        Directory.Delete(Mount.MountPoint);
        Assert.True(FileSystem.Destroyed.Task.IsCompleted);
        Assert.Equal((0, 0L), (Mount.Statistics.InFlight, Mount.Statistics.BytesInFlight));
        Log.AssertTroubles(ExpectedTroubles);
    }
}
