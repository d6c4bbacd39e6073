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
    private const int Size = 64 << 10;

    /// <summary>Has the file open, in a process that may hang with its mount. A close is answered when the master has what was written.</summary>
    private const string Program = """
        import os, sys
        file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
        for line in sys.stdin:
            word = line.strip()
            if word.startswith("sync"):
                try:
                    os.fsync(file)
                    print(word, "succeeds", flush=True)
                except OSError as error:
                    print(word, "fails:", error.errno, flush=True)
            else:
                os.pwrite(file, word.encode() * 65536, 0)
                os.close(os.dup(file))
                print("sent", word, flush=True)
        """;

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
        await using (var program = Child.Start("python3", ["-c", Program, Path.Combine(cluster.ClientMount, Name)]))
        {
            byte[] written = await WriteAndSleepAsync(cluster, program);
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
            Assert.Equal("sync1 fails: 5", await SyncAsync(program, "sync1"));
            Assert.Equal("sync2 succeeds", await SyncAsync(program, "sync2"));
            Assert.Equal(since, await File.ReadAllBytesAsync(here, TestContext.Current.CancellationToken));
            string aside = Assert.Single(Directory.GetFiles(cluster.MasterMount, "photo.conflict-*.raw"));
            Assert.Equal(written, await File.ReadAllBytesAsync(aside, TestContext.Current.CancellationToken));
            await cluster.ExpectEqualAsync();
        }
        await cluster.StopWellAsync();
        await cluster.ExpectCleanAsync("master");
    }

    private static async Task<string> SyncAsync(Child program, string word)
    {
        await program.TellAsync(word);
        return await program.LineAsync(line => line.StartsWith(word, StringComparison.Ordinal), Limits.Command);
    }

    /// <returns>What was written, and sent to the master, and not synced, when the mount slept.</returns>
    private static async Task<byte[]> WriteAndSleepAsync(TestCluster cluster, Child program)
    {
        for (char version = 'a'; version < 'z'; version++)
        {
            long began = TimeProvider.System.GetTimestamp();
            await program.TellAsync($"{version}");
            await program.LineAsync(line => line == $"sent {version}", Limits.Command);
            cluster.FreezeClient();
            if (TimeProvider.System.GetElapsedTime(began) < s_asleepAfter)
                return [.. Enumerable.Repeat((byte)version, Size)];
            cluster.ThawClient();
        }
        throw new TimeoutException("the mount is never asleep soon enough");
    }
}
