using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Check;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Engine.Tests.Replication;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Delta;

/// <summary>A replica that keeps as pieces of others what it was sent as instructions, in all that happens to it.</summary>
public sealed class ReplicaCompositionTests(ITestOutputHelper output)
{
    private const int S = 16 << 10;
    private const int Blocks = 16;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_came_as_instructions_takes_little_and_reads_the_same()
    {
        await using var pair = await Pair.CreateAsync();
        byte[] content = await pair.SecondVersionAsync();
        Assert.InRange(pair.Composed, Blocks - 2, Blocks + 1);
        Assert.InRange(pair.FilesOfReplica, Blocks, Blocks + 4);
        // Made of what the second is made of: no block is composed of one that is composed.
        byte[] third = [.. content[..(5 * S)], .. Bytes(3, 50), .. content[(5 * S)..]];
        long second = pair.Composed;
        await pair.WriteAsync("third", third);
        Assert.InRange(pair.Composed, second + Blocks / 2, 3 * Blocks);
        await pair.Replica.RestartAsync();
        Assert.Equal(content, await pair.ReadReplicaAsync("second"));
        Assert.Equal(third, await pair.ReadReplicaAsync("third"));
        await pair.ExpectEqualAndCleanAsync();
    }

    [Fact]
    public async Task Without_the_option_blocks_stay_in_files()
    {
        await using var pair = await Pair.CreateAsync(composes: false);
        await pair.SecondVersionAsync();
        Assert.Equal(0, pair.Composed);
        await pair.ExpectEqualAndCleanAsync();
    }

    [Fact]
    public async Task Nothing_is_made_of_what_no_file_has_any_more()
    {
        await using var pair = await Pair.CreateAsync();
        byte[] content = [.. Bytes(2, 100), .. pair.Old];
        // It comes as instructions, and the master will collect what these copy from.
        await pair.WriteAsync("first", content);
        Assert.True(pair.Replica.Link.BytesOfInstructions > 0, "nothing came as instructions");
        Assert.Equal(0, pair.Composed);
        Assert.Equal(content, await pair.ReadReplicaAsync("first"));
        await pair.ExpectEqualAndCleanAsync();
    }

    [Fact]
    public async Task A_source_that_the_master_deletes_goes_after_what_is_made_of_it_is_in_files()
    {
        await using var pair = await Pair.CreateAsync();
        byte[] content = await pair.SecondVersionAsync();
        await pair.UnlinkAndCollectAsync("first");
        Assert.Equal(0, pair.Composed);
        Assert.Equal(content, await pair.ReadReplicaAsync("second"));
        await pair.ExpectEqualAndCleanAsync();
    }

    [Fact]
    public async Task A_full_copy_finds_every_block_in_a_file()
    {
        await using var pair = await Pair.CreateAsync();
        await pair.SecondVersionAsync();
        await pair.Master.Copy.Replication.DetachAsync(pair.Replica.Name);
        await pair.WriteAsync("later", Bytes(9, 100), drains: false);
        await pair.Master.Copy.CloseAsync();
        using (var database = Engine.Metadata.Database.Open(Path.Combine(pair.Master.Folder, "meta.db"), 1024))
            database.Execute("DELETE FROM journal");
        await pair.Master.ReopenAsync();
        long stored = pair.Replica.Link.BlocksStored;
        await pair.Master.Copy.Replication.AttachAsync(pair.Replica.Name, pair.Replica.Link);
        await pair.DrainAsync();
        Assert.Equal(2, pair.Replica.Link.Copies);
        Assert.InRange(pair.Replica.Link.BlocksStored - stored, 0, 1);
        Assert.Equal(0, pair.Composed);
        await pair.ExpectEqualAndCleanAsync();
    }

    [Fact]
    public async Task A_damaged_source_costs_what_is_made_of_it_another_sending()
    {
        await using var pair = await Pair.CreateAsync();
        byte[] content = await pair.SecondVersionAsync();
        string source = FileOf(pair.Replica.Folder, BlockHash.Of(pair.Old.AsSpan(2 * S, S)));
        byte[] bytes = await File.ReadAllBytesAsync(source, Cancellation);
        bytes[^5000] ^= 1;
        await File.WriteAllBytesAsync(source, bytes, Cancellation);
        Assert.InRange((await pair.Replica.VerifyAsync()).Damaged, 1, 3);
        await EventuallyAsync(() => pair.Replica.Volume.ReplicaBlocks.DamagedCount == 0);
        Assert.Equal(0L, (await pair.Replica.VerifyAsync()).Damaged);
        Assert.Equal(content, await pair.ReadReplicaAsync("second"));
        await pair.ExpectEqualAndCleanAsync();
    }

    [Fact]
    public async Task A_block_that_the_master_stores_anew_is_in_a_file()
    {
        await using var pair = await Pair.CreateAsync(o => o with { CacheSize = 64 << 20 });
        byte[] content = await pair.SecondVersionAsync();
        var second = await pair.Master.FindAsync("second");
        Assert.Equal(Errno.None, (await pair.Master.Copy.ChangeResidencyAsync(second, ResidencyAction.Evict, 0, 1 << 30, Cancellation)).Error);
        // What has been given up is never relied on: it is stored again.
        await pair.WriteAsync("again", content);
        var block = BlockHash.Of(content.AsSpan(3 * S, S));
        Assert.False(pair.Replica.Volume.Metadata.IsComposed(block));
        Assert.True(File.Exists(FileOf(pair.Replica.Folder, block)));
        Assert.Equal(content, await pair.ReadReplicaAsync("again"));
        await pair.ExpectEqualAndCleanAsync();
    }

    [Fact]
    public async Task A_master_has_back_what_it_gave_up_and_a_promoted_replica_goes_on()
    {
        await using var pair = await Pair.CreateAsync(o => o with { CacheSize = 64 << 20 });
        byte[] content = await pair.SecondVersionAsync();
        var second = await pair.Master.FindAsync("second");
        Assert.Equal(Errno.None, (await pair.Master.Copy.ChangeResidencyAsync(second, ResidencyAction.Evict, 0, 1 << 30, Cancellation)).Error);
        await pair.Master.ReopenAsync();
        await pair.Master.Copy.Replication.AttachAsync(pair.Replica.Name, pair.Replica.Link);
        Assert.Equal(content, await pair.Master.ReadAllAsync(await pair.Master.FindAsync("second")));
        await pair.DrainAsync();
        await pair.Master.Copy.Replication.DetachAsync(pair.Replica.Name);
        await pair.Replica.PromoteAsync();
        var promoted = pair.Replica.Volume;
        using (var session = pair.Replica.OpenSession())
            Assert.Equal(Errno.None, (await session.UnlinkAsync(InodeNumber.Root, "first"u8.ToArray(), Cancellation)).Error);
        Assert.Equal(Errno.None, (await promoted.SyncAllAsync(Cancellation)).Error);
        await EventuallyAsync(() => promoted.Metadata.Counters.DeadBlocks > 0);
        await promoted.CollectAsync(TimeSpan.Zero, dryRun: false, progress: null, Cancellation);
        Assert.Equal(0, pair.Composed);
        Assert.Equal(content, await pair.ReadReplicaAsync("second"));
        await pair.ExpectCleanAsync();
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task A_file_that_a_kill_left_beside_a_composed_block_is_kept_if_it_is_whole(bool isWhole)
    {
        await using var pair = await Pair.CreateAsync();
        byte[] content = await pair.SecondVersionAsync();
        var block = BlockHash.Of(content.AsSpan(3 * S, S));
        Assert.True(pair.Replica.Volume.Metadata.IsComposed(block));
        await pair.Replica.Receiver.CloseAsync();
        using (var files = BlockFiles.Open(pair.Replica.Folder, TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance))
            files.Write(block, content.AsSpan(3 * S, S));
        if (!isWhole)
            await File.WriteAllBytesAsync(FileOf(pair.Replica.Folder, block), new byte[S], Cancellation);
        await pair.Replica.RestartAsync();
        Assert.Equal(!isWhole, pair.Replica.Volume.Metadata.IsComposed(block));
        Assert.Equal(isWhole, File.Exists(FileOf(pair.Replica.Folder, block)));
        Assert.Equal(content, await pair.ReadReplicaAsync("second"));
        await pair.Master.Copy.Replication.AttachAsync(pair.Replica.Name, pair.Replica.Link);
        await pair.ExpectEqualAndCleanAsync();
    }

    [Fact]
    public async Task What_is_read_often_is_put_into_a_file()
    {
        await using var pair = await Pair.CreateAsync();
        await pair.SecondVersionAsync();
        long before = pair.Composed;
        for (int i = 0; i < 20; i++)
            await pair.ReadReplicaAsync("second");
        await EventuallyAsync(() => pair.Composed < before);
        await pair.ExpectEqualAndCleanAsync();
    }

    [Fact]
    public async Task Whatever_is_written_removed_collected_and_killed_the_copies_become_equal()
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("ORLEANSFS_FAULT_SEED"), out int given) ? given : Environment.TickCount;
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        await using var pair = await Pair.CreateAsync(o => o with { Compose = true });
        var contents = new Dictionary<string, byte[]> { ["first"] = pair.Old };
        long most = 0;
        for (int round = 0; round < 40; round++)
        {
            string some = contents.Keys.ElementAt(random.Next(contents.Count));
            switch (random.Next(10))
            {
                case 0 when contents.Count > 2:
                    contents.Remove(some);
                    await pair.UnlinkAndCollectAsync(some, drains: random.Next(2) == 0);
                    break;
                case 1:
                    await pair.Replica.KillAsync();
                    await pair.Master.Copy.Replication.AttachAsync(pair.Replica.Name, pair.Replica.Link);
                    break;
                case 2:
                    await pair.DrainAsync();
                    Assert.Equal(contents[some], await pair.ReadReplicaAsync(some));
                    break;
                default:
                    int at = random.Next(contents[some].Length);
                    byte[] changed = [.. contents[some][..at], .. Bytes(random.Next(), random.Next(1, 300)), .. contents[some][at..]];
                    string name = contents.Count < 8 ? $"f{round}" : some;
                    contents[name] = changed;
                    await pair.WriteAsync(name, changed, drains: random.Next(2) == 0);
                    break;
            }
            most = Math.Max(most, pair.Composed);
        }
        await pair.DrainAsync();
        foreach (var (name, content) in contents)
            Assert.Equal(content, await pair.ReadReplicaAsync(name));
        Assert.True(most > 0);
        await pair.ExpectEqualAndCleanAsync();
    }

    private static string FileOf(string folder, BlockHash hash) => Path.Combine(folder, "blocks", hash.ToString()[..2], hash.ToString());

    private static byte[] Bytes(int seed, int count)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static async Task EventuallyAsync(Func<bool> condition)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        while (!condition())
            await Task.Delay(20, patience.Token);
    }

    private sealed class Pair : IAsyncDisposable
    {
        private Pair(VolumeFixture master, ReplicaFixture replica) => (Master, Replica) = (master, replica);

        public VolumeFixture Master { get; }

        public ReplicaFixture Replica { get; }

        public byte[] Old { get; } = Bytes(1, Blocks * S);

        public long Composed => Replica.Volume.Metadata.Composed().Blocks;

        public int FilesOfReplica => Directory.EnumerateFiles(Path.Combine(Replica.Folder, "blocks"), "*", SearchOption.AllDirectories).Count(f => Path.GetFileName(f).Length == 2 * BlockHash.Size);

        /// <summary>A file on both.</summary>
        /// <param name="configure">Options of the master. With <see cref="VolumeOptions.Compose"/> it composes, too, when it has the time; without it is left to the replica.</param>
        /// <param name="composes">The replica is told to keep what comes as instructions so.</param>
        public static async Task<Pair> CreateAsync(Func<VolumeOptions, VolumeOptions>? configure = null, bool composes = true)
        {
            var pair = new Pair(await VolumeFixture.CreateAsync(S, configure: configure), await ReplicaFixture.CreateAsync());
            pair.Master.Copy.Composer.IsOn = composes;
            await pair.Master.Copy.Replication.AttachAsync(pair.Replica.Name, pair.Replica.Link);
            await pair.WriteAsync("first", pair.Old);
            return pair;
        }

        /// <summary>A second file, with 100 bytes more at the front.</summary>
        public async Task<byte[]> SecondVersionAsync()
        {
            byte[] content = [.. Bytes(2, 100), .. Old];
            await WriteAsync("second", content);
            return content;
        }

        public async Task WriteAsync(string name, byte[] content, bool drains = true)
        {
            var found = await Master.Volume.LookupAsync(InodeNumber.Root, System.Text.Encoding.UTF8.GetBytes(name), Cancellation);
            var file = found.Error == Errno.None ? found.Value.Inode : await Master.CreateFileAsync(name);
            await Master.SetSizeAsync(file, 0);
            await Master.WriteAsync(file, 0, content);
            Assert.Equal(Errno.None, (await Master.Copy.SyncAllAsync(Cancellation)).Error);
            if (drains)
                await DrainAsync();
        }

        public async Task UnlinkAndCollectAsync(string name, bool drains = true)
        {
            Assert.Equal(Errno.None, (await Master.Volume.UnlinkAsync(InodeNumber.Root, System.Text.Encoding.UTF8.GetBytes(name), Cancellation)).Error);
            Assert.Equal(Errno.None, (await Master.Copy.SyncAllAsync(Cancellation)).Error);
            await EventuallyAsync(() => Master.Copy.Metadata.Counters.Orphans == 0);
            await Master.Copy.CollectAsync(TimeSpan.Zero, dryRun: false, progress: null, Cancellation);
            if (drains)
                await DrainAsync();
        }

        public async Task DrainAsync() => Assert.Equal(Errno.None, (await Master.Copy.Replication.DrainAsync(1, null, Cancellation).WaitAsync(TimeSpan.FromSeconds(120), Cancellation)).Error);

        public async Task<byte[]> ReadReplicaAsync(string name)
        {
            using var session = Replica.OpenSession();
            var found = await session.LookupAsync(InodeNumber.Root, System.Text.Encoding.UTF8.GetBytes(name), Cancellation);
            Assert.Equal(Errno.None, found.Error);
            byte[] content = new byte[found.Value.Size];
            Assert.Equal(content.Length, (await session.ReadAsync(found.Value.Inode, 0, content, Cancellation)).Value);
            return content;
        }

        public async Task ExpectEqualAndCleanAsync()
        {
            await DrainAsync();
            using (var session = Replica.OpenSession())
                Assert.Equal(await Trees.DescribeAsync(Master.Volume), await Trees.DescribeAsync(session));
            await ExpectCleanAsync();
        }

        public async Task ExpectCleanAsync()
        {
            await Replica.Receiver.CloseAsync();
            await Master.Copy.CloseAsync();
            foreach (string folder in new[] { Replica.Folder, Master.Folder })
            {
                var report = await VolumeCheck.RunAsync(
                    new CheckOptions { DataFolder = folder, VerifyData = true }, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance, TimeProvider.System, null, Cancellation);
                Assert.Empty(report.Faults);
            }
        }

        public async ValueTask DisposeAsync()
        {
            await Master.DisposeAsync();
            await Replica.DisposeAsync();
        }
    }
}
