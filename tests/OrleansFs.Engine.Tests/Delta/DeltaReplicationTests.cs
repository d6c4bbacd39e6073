using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Engine.Tests.Replication;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Delta;

/// <summary>Differences between a master and a replica that are alive, on real folders.</summary>
public sealed class DeltaReplicationTests(ITestOutputHelper output)
{
    private const int S = 4096;
    private const int Blocks = 64;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_byte_in_the_middle_goes_as_a_byte()
    {
        await using var pair = await Pair.CreateAsync(DeltaMode.Auto);
        byte[] content = await pair.BeginAsync();
        content[Blocks / 2 * S + 7] ^= 1;
        await pair.Master.WriteAsync(pair.File, Blocks / 2 * S + 7, [content[Blocks / 2 * S + 7]]);
        await pair.DrainAsync();
        var report = pair.Report();
        Assert.Equal((1, 0), (report.BuiltBlocks, report.BuildFailures));
        Assert.InRange(report.BuildBytes, 1, 100);
        Assert.InRange(report.BuildSavedBytes, S - 100, S);
        Assert.True(report.BuildSeconds > 0);
        Assert.Equal(content, await pair.ReadReplicaAsync());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_insertion_at_the_front_is_found_in_place_and_in_a_new_file(bool isNewFile)
    {
        await using var pair = await Pair.CreateAsync(DeltaMode.Auto);
        byte[] old = await pair.BeginAsync();
        byte[] content = [.. Bytes(2, 100), .. old];
        var file = isNewFile ? await pair.Master.CreateFileAsync("new") : pair.File;
        await pair.Master.WriteAsync(file, 0, content);
        await pair.DrainAsync();
        var report = pair.Report();
        // All but the tail, which is 100 bytes long.
        Assert.InRange(report.BuiltBlocks, Blocks - 1, Blocks + 1);
        Assert.Equal(0, report.BuildFailures);
        Assert.InRange(report.BuildBytes, 1, Blocks * 80);
        Assert.Equal(content, await pair.ReadReplicaAsync(isNewFile ? "new" : "f"));
    }

    /// <summary>What reaches the replica before the next piece is written: the edges of what is encoded together lie anywhere.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(64)]
    public async Task An_insertion_at_the_front_costs_no_block_at_the_edges_of_batches(int blocksPerBatch)
    {
        await using var pair = await Pair.CreateAsync(DeltaMode.Auto);
        byte[] content = [.. Bytes(2, 100), .. await pair.BeginAsync(), .. Bytes(3, 50)];
        var file = await pair.Master.CreateFileAsync("new");
        long whole = pair.Replica.Link.BytesStored;
        for (int at = 0; at < content.Length; at += blocksPerBatch * S)
        {
            await pair.Master.WriteAsync(file, at, content[at..Math.Min(content.Length, at + blocksPerBatch * S)]);
            await pair.DrainAsync();
        }
        // The first block, where nothing else is there yet; the bytes that are new.
        long literal = pair.Replica.Link.BytesStored - whole + pair.Report().BuildBytes;
        Assert.InRange(literal, 1, (blocksPerBatch == 1 ? S : 0) + 150 + Blocks * 100);
        Assert.Equal(content, await pair.ReadReplicaAsync("new"));
    }

    [Fact]
    public async Task Off_sends_blocks_whole()
    {
        await using var pair = await Pair.CreateAsync(DeltaMode.Off);
        await pair.BeginAsync();
        await pair.Master.WriteAsync(pair.File, 7, [1]);
        await pair.DrainAsync();
        Assert.Equal((0, 0), (pair.Report().BuiltBlocks, pair.Replica.Link.BytesOfInstructions));
    }

    [Fact]
    public async Task A_receiver_that_lost_a_source_says_so_and_gets_the_block_whole()
    {
        await using var pair = await Pair.CreateAsync(DeltaMode.Auto);
        byte[] content = await pair.BeginAsync();
        var lost = BlockHash.Of(content.AsSpan(3 * S, S));
        File.Delete(Path.Combine(pair.Replica.Folder, "blocks", lost.ToString()[..2], lost.ToString()));
        content[3 * S + 5] ^= 1;
        await pair.Master.WriteAsync(pair.File, 3 * S + 5, [content[3 * S + 5]]);
        await pair.DrainAsync();
        Assert.Equal((0, 1), (pair.Report().BuiltBlocks, pair.Report().BuildFailures));
        Assert.Equal(content, await pair.ReadReplicaAsync());
    }

    [Theory]
    [InlineData("garbage")]
    [InlineData("literal")]
    [InlineData("version")]
    public async Task What_is_amiss_with_a_message_costs_the_block_whole(string fault)
    {
        await using var pair = await Pair.CreateAsync(DeltaMode.Auto);
        byte[] content = await pair.BeginAsync();
        pair.Replica.Link.Building = message =>
        {
            byte[] changed = message.ToArray();
            switch (fault)
            {
                case "garbage":
                    new Random(5).NextBytes(changed.AsSpan(1));
                    break;
                case "literal":
                    changed[^1] ^= 1;
                    break;
                default:
                    changed[0] = 99;
                    break;
            }
            return changed;
        };
        content[5] ^= 1;
        await pair.Master.WriteAsync(pair.File, 5, [content[5]]);
        await pair.DrainAsync();
        Assert.Equal((0, 1), (pair.Report().BuiltBlocks, pair.Report().BuildFailures));
        Assert.Equal(content, await pair.ReadReplicaAsync());
    }

    [Fact]
    public async Task A_kill_between_building_and_acknowledging_leaves_a_block_that_is_verified_and_kept()
    {
        await using var pair = await Pair.CreateAsync(DeltaMode.Auto);
        byte[] content = await pair.BeginAsync();
        var link = pair.Replica.Link;
        // The message goes through, and nothing after it.
        var built = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var target = link.Target!;
        link.Building = message =>
        {
            target.BuildAsync(pair.Master.Copy.Epoch, message, Cancellation).AsTask().GetAwaiter().GetResult();
            link.Target = null;
            built.TrySetResult();
            return message;
        };
        content[9] ^= 1;
        await pair.Master.WriteAsync(pair.File, 9, [content[9]]);
        Assert.Equal(Errno.None, (await pair.Master.Copy.SyncAllAsync(Cancellation)).Error);
        await built.Task.WaitAsync(TimeSpan.FromSeconds(30), Cancellation);
        link.Building = null;
        long whole = link.BlocksStored;
        await pair.Replica.KillAsync();
        await pair.DrainAsync();
        Assert.Equal(whole, link.BlocksStored);
        Assert.Equal(content, await pair.ReadReplicaAsync());
    }

    [Fact]
    public async Task A_source_is_not_collected_while_a_message_that_names_it_is_under_way()
    {
        await using var pair = await Pair.CreateAsync(DeltaMode.Auto);
        byte[] content = await pair.BeginAsync();
        var source = BlockHash.Of(content.AsSpan(0, S));
        bool? wasThere = null;
        pair.Replica.Link.Building = message =>
        {
            // Dead since the change was committed, and without grace.
            pair.Master.Copy.CollectAsync(TimeSpan.Zero, dryRun: false, progress: null, Cancellation).GetAwaiter().GetResult();
            wasThere = pair.Master.Copy.GetBlock(source).IsOk;
            return message;
        };
        content[9] ^= 1;
        await pair.Master.WriteAsync(pair.File, 9, [content[9]]);
        await pair.DrainAsync();
        Assert.True(wasThere);
        await pair.Master.Copy.CollectAsync(TimeSpan.Zero, dryRun: false, progress: null, Cancellation);
        Assert.False(pair.Master.Copy.GetBlock(source).IsOk);
        Assert.Equal(1, pair.Report().BuiltBlocks);
    }

    [Fact]
    public async Task Versions_that_a_replica_never_saw_are_passed_over()
    {
        await using var pair = await Pair.CreateAsync(DeltaMode.Auto);
        byte[] content = await pair.BeginAsync();
        var target = pair.Replica.Link.Target;
        pair.Replica.Link.Target = null;
        for (int i = 0; i < 5; i++)
        {
            content[100 * i] ^= 1;
            await pair.Master.WriteAsync(pair.File, 100 * i, [content[100 * i]]);
            Assert.Equal(Errno.None, (await pair.Master.Copy.SyncAllAsync(Cancellation)).Error);
        }
        pair.Replica.Link.Target = target;
        await pair.DrainAsync();
        // The first four versions are dead, and go along, as the journal names them.
        Assert.Equal(5, pair.Report().BuiltBlocks);
        Assert.Equal(content, await pair.ReadReplicaAsync());
    }

    [Fact]
    public async Task Random_edits_on_a_live_pair_arrive_byte_for_byte()
    {
        int seed = Environment.TickCount;
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        await using var pair = await Pair.CreateAsync(DeltaMode.Always, options => options with { CacheSize = 8 << 20 });
        byte[] content = await pair.BeginAsync();
        for (int round = 0; round < 30; round++)
        {
            switch (random.Next(6))
            {
                case 0:
                    content = [.. content[..random.Next(content.Length)], .. Bytes(random.Next(), random.Next(10_000)), .. content[random.Next(content.Length)..]];
                    await pair.RewriteAsync(content);
                    break;
                case 1:
                    int size = random.Next(1, content.Length + 20_000);
                    Array.Resize(ref content, size);
                    await pair.Master.SetSizeAsync(pair.File, size);
                    break;
                case 2:
                    await pair.EvictAsync(random);
                    break;
                default:
                    byte[] data = Bytes(random.Next(), random.Next(1, 3000));
                    int at = random.Next(content.Length);
                    if (content.Length < at + data.Length)
                        Array.Resize(ref content, at + data.Length);
                    data.CopyTo(content, at);
                    await pair.Master.WriteAsync(pair.File, at, data);
                    break;
            }
            if (random.Next(3) == 0)
                await pair.DrainAsync();
            if (content.Length < S)
            {
                content = Bytes(random.Next(), Blocks * S);
                await pair.RewriteAsync(content);
            }
        }
        await pair.DrainAsync();
        Assert.Equal(content, await pair.ReadReplicaAsync());
        Assert.Equal(content, await pair.Master.ReadAllAsync(pair.File));
        var report = pair.Report();
        output.WriteLine($"{report.BuiltBlocks} built, {report.BuildSavedBytes} bytes saved, {report.BuildFailures} failed");
        Assert.True(report.BuiltBlocks > 0);
    }

    private static byte[] Bytes(int seed, int count)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private sealed class Pair : IAsyncDisposable
    {
        private Pair(VolumeFixture master, ReplicaFixture replica) => (Master, Replica) = (master, replica);

        public VolumeFixture Master { get; }

        public ReplicaFixture Replica { get; }

        public InodeNumber File { get; private set; }

        public static async Task<Pair> CreateAsync(DeltaMode mode, Func<VolumeOptions, VolumeOptions>? configure = null) =>
            new(await VolumeFixture.CreateAsync(S, configure: o => (configure?.Invoke(o) ?? o) with { Delta = mode }), await ReplicaFixture.CreateAsync());

        /// <summary>A file on both.</summary>
        public async Task<byte[]> BeginAsync()
        {
            byte[] content = Bytes(1, Blocks * S);
            File = await Master.CreateFileAsync("f");
            await Master.WriteAsync(File, 0, content);
            await Master.SyncAsync(File);
            await Master.Copy.Replication.AttachAsync(Replica.Name, Replica.Link);
            await DrainAsync();
            return content;
        }

        public async Task DrainAsync() => Assert.Equal(Errno.None, (await Master.Copy.Replication.DrainAsync(1, null, Cancellation).WaitAsync(TimeSpan.FromSeconds(60), Cancellation)).Error);

        public ReplicaReport Report() => Master.Copy.Replication.Reports().Single();

        public async Task RewriteAsync(byte[] content)
        {
            await Master.SetSizeAsync(File, 0);
            await Master.WriteAsync(File, 0, content);
        }

        public async Task EvictAsync(Random random)
        {
            var change = await Master.Copy.ChangeResidencyAsync(File, ResidencyAction.Evict, random.Next(Blocks) * S, random.Next(1, Blocks) * S, Cancellation);
            Assert.Equal(Errno.None, change.Error);
        }

        public async Task<byte[]> ReadReplicaAsync(string name = "f")
        {
            using var session = Replica.OpenSession();
            var found = await session.LookupAsync(InodeNumber.Root, System.Text.Encoding.UTF8.GetBytes(name), Cancellation);
            Assert.Equal(Errno.None, found.Error);
            byte[] content = new byte[found.Value.Size];
            Assert.Equal(content.Length, (await session.ReadAsync(found.Value.Inode, 0, content, Cancellation)).Value);
            return content;
        }

        public async ValueTask DisposeAsync()
        {
            await Master.DisposeAsync();
            await Replica.DisposeAsync();
        }
    }
}
