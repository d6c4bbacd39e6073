using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>A mount over the network that is stopped, as on a laptop that sleeps, while others go on without it and the master is killed.</summary>
public sealed class SleepingMountTests
{
    private const string Name = "photo.raw";

    /// <summary>A mount has what it wrote synced after 5 s: it is to be asleep by then.</summary>
    private static readonly TimeSpan s_asleepAfter = TimeSpan.FromSeconds(3);

    [Fact]
    public async Task What_it_wrote_before_does_not_go_over_what_others_wrote_since_and_is_not_lost()
    {
        Needs.Fuse();
        await using var scratch = await Scratch.MakeAsync();
        await using var cluster = new TestCluster(scratch) { MasterOptions = [], IsExpected = line => line.Contains(".conflict-", StringComparison.Ordinal) };
        await cluster.StartMasterAsync();
        await cluster.StartClientAsync();
        string here = Path.Combine(cluster.MasterMount, Name);
        using var file = Sys.Open(Path.Combine(cluster.ClientMount, Name), Sys.O_RDWR | Sys.O_CREAT);
        byte[] written = WriteAndSleep(cluster, file);

        byte[] since = [.. written];
        since.AsSpan(1000, 5000).Fill((byte)'-');
        await Task.Run(
            () =>
            {
                using var other = Sys.Open(here, Sys.O_RDWR);
                Assert.Equal(Errno.None, other.Write(1000, since.AsSpan(1000, 5000)));
                Assert.Equal(Errno.None, other.Sync());
            },
            TestContext.Current.CancellationToken).WaitAsync(Limits.Command, TestContext.Current.CancellationToken);
        await cluster.KillMasterAsync();
        await cluster.StartMasterAsync();
        cluster.ThawClient();

        // The program that wrote it is told, once, and goes on.
        Assert.Equal(Errno.EIO, await Task.Run(file.Sync, TestContext.Current.CancellationToken).WaitAsync(Limits.Command, TestContext.Current.CancellationToken));
        Assert.Equal(Errno.None, file.Sync());
        Assert.Equal(since, await File.ReadAllBytesAsync(here, TestContext.Current.CancellationToken));
        string aside = Assert.Single(Directory.GetFiles(cluster.MasterMount, "photo.conflict-*.raw"));
        Assert.Equal(written, await File.ReadAllBytesAsync(aside, TestContext.Current.CancellationToken));
        await cluster.ExpectEqualAsync();
        file.Dispose();
        await cluster.StopWellAsync();
        await cluster.ExpectCleanAsync("master");
    }

    /// <returns>What was written, and sent to the master, and not synced, when the mount slept.</returns>
    private static byte[] WriteAndSleep(TestCluster cluster, FileDescriptor file)
    {
        byte[] content = new byte[64 << 10];
        for (byte version = (byte)'a'; version < (byte)'z'; version++)
        {
            content.AsSpan().Fill(version);
            long began = TimeProvider.System.GetTimestamp();
            Assert.Equal(Errno.None, file.Write(0, content));
            // A close is answered when the master has what was written.
            Sys.Open(Path.Combine(cluster.ClientMount, Name), Sys.O_RDONLY).Dispose();
            cluster.FreezeClient();
            if (TimeProvider.System.GetElapsedTime(began) < s_asleepAfter)
                return content;
            cluster.ThawClient();
        }
        throw new TimeoutException("the mount is never asleep soon enough");
    }
}
