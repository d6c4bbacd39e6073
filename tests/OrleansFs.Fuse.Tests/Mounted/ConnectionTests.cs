using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Protocol;
using OrleansFs.Fuse.Tests.MemoryFs;
using OrleansFs.Fuse.Transport;
using Xunit;

namespace OrleansFs.Fuse.Tests.Mounted;

/// <summary>What a connection does at its end.</summary>
[Collection("mounted")]
public sealed class ConnectionTests
{
    /// <summary>A mount that is cut off while INIT is being answered is at its end before it is told that INIT is answered.</summary>
    [Fact]
    public async Task Nothing_is_started_on_descriptors_that_are_closed()
    {
        FuseOptions options = new() { IoUring = IoUringMode.Off };
        TestLog log = new();
        // Reads as the end of a connection.
        int ended = Libc.Open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        MemoryFileSystem fileSystem = new(TimeProvider.System);
        Connection connection = new(ended, fileSystem, options, "it is turned off", TimeProvider.System, log);
        await connection.Completion.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        string[] before = Threads();
        ((IConnection)connection).Started();
        Assert.Equal([], Threads().Except(before));
        await Assert.ThrowsAsync<FuseMountException>(() => connection.Ready);
        log.AssertTroubles([]);
    }

    /// <summary>Those of a connection, with their numbers: one that is done may be there a moment longer.</summary>
    private static string[] Threads() =>
        [.. Directory.GetDirectories("/proc/self/task").Select(t => $"{t} {Name(t)}").Where(t => t.Contains(" fuse-", StringComparison.Ordinal))];

    private static string Name(string thread)
    {
        try
        {
            return File.ReadAllText($"{thread}/comm").Trim();
        }
        catch (IOException)
        {
            return ""; // it has ended meanwhile
        }
    }
}
