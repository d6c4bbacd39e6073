using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Check;
using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Engine.Tests.Replication;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Delta;

/// <summary>Blocks that are kept as pieces of others: made, read in every state of their sources, made plain again, checked.</summary>
public sealed class ComposedBlockTests(ITestOutputHelper output)
{
    private const int S = 16 << 10;
    private const int Blocks = 16;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_second_version_of_a_file_takes_little_and_reads_the_same()
    {
        await using var volume = await CreateAsync();
        var (old, content, file) = await TwoVersionsAsync(volume);
        var status = await volume.StatusAsync();
        Assert.InRange(status.ComposedBlocks, Blocks - 1, Blocks + 1);
        Assert.InRange(status.ComposedBytes, 1, Blocks * 300);
        Assert.InRange(status.StoredBytes, old.Length, old.Length + Blocks * 4096 + 3 * S);
        Assert.Equal(content, await volume.ReadAllAsync(file));
        Assert.InRange(FilesOf(volume), Blocks, Blocks + 2);
        await volume.ReopenAsync();
        Assert.Equal(content, await volume.ReadAllAsync(await volume.FindAsync("second")));
        await AssertCleanAsync(volume);
    }

    [Fact]
    public async Task A_source_that_nothing_else_names_goes_after_what_is_made_of_it_is_plain_again()
    {
        await using var volume = await CreateAsync();
        var (_, content, file) = await TwoVersionsAsync(volume);
        Assert.Equal(Errno.None, (await volume.Volume.UnlinkAsync(InodeNumber.Root, "first"u8.ToArray(), Cancellation)).Error);
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        await EventuallyAsync(async () => (await volume.StatusAsync()).DeadBlocks > 0);
        var report = await volume.Copy.CollectAsync(TimeSpan.Zero, dryRun: false, progress: null, Cancellation);
        Assert.InRange(report.Blocks, Blocks, Blocks);
        Assert.Equal(0, (await volume.StatusAsync()).ComposedBlocks);
        Assert.Equal(content, await volume.ReadAllAsync(file));
        await AssertCleanAsync(volume);
    }

    [Fact]
    public async Task What_only_a_copy_in_flight_names_is_a_source()
    {
        await using var volume = await CreateAsync();
        byte[] old = Bytes(1, Blocks * S);
        var first = await volume.CreateFileAsync("first");
        await volume.WriteAsync(first, 0, old);
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        Assert.Equal(0, await volume.Copy.Composer.ComposeOnceAsync(Cancellation));
        // cp first kept; then an editor, which writes a new file and renames it over the first.
        var kept = await volume.CreateFileAsync("kept");
        Assert.Equal(old.Length, (await volume.Volume.CopyRangeAsync(first, 0, kept, 0, old.Length, Cancellation)).Value);
        byte[] content = [.. Bytes(2, 100), .. old];
        var second = await volume.CreateFileAsync("second");
        await volume.WriteAsync(second, 0, content);
        Assert.Equal(Errno.None, (await volume.Volume.UnlinkAsync(InodeNumber.Root, "first"u8.ToArray(), Cancellation)).Error);
        Assert.Equal(Errno.None, (await volume.Copy.ChangeResidencyAsync(second, ResidencyAction.Unpin, 0, long.MaxValue, Cancellation)).Error);
        await EventuallyAsync(async () => (await volume.StatusAsync()).DeadBlocks > 0);
        Assert.InRange(await volume.Copy.Composer.ComposeOnceAsync(Cancellation), Blocks - 1, Blocks + 1);

        await volume.Copy.CollectAsync(TimeSpan.Zero, dryRun: false, progress: null, Cancellation);
        Assert.Equal(content, await volume.ReadAllAsync(second));
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        Assert.Equal(old, await volume.ReadAllAsync(kept));
        await AssertCleanAsync(volume);
    }

    [Fact]
    public async Task Two_versions_that_are_both_new_are_composed_too()
    {
        await using var volume = await CreateAsync();
        byte[] old = Bytes(1, Blocks * S), content = [.. Bytes(2, 100), .. old];
        var first = await volume.CreateFileAsync("first");
        await volume.WriteAsync(first, 0, old);
        var second = await volume.CreateFileAsync("second");
        await volume.WriteAsync(second, 0, content);
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        Assert.InRange(await volume.Copy.Composer.ComposeOnceAsync(Cancellation), Blocks - 1, Blocks + 1);
        Assert.Equal(old, await volume.ReadAllAsync(first));
        Assert.Equal(content, await volume.ReadAllAsync(second));
        await AssertCleanAsync(volume);
    }

    [Fact]
    public async Task What_is_read_often_is_put_into_a_file()
    {
        await using var volume = await CreateAsync();
        var (_, content, file) = await TwoVersionsAsync(volume);
        long before = (await volume.StatusAsync()).ComposedBlocks;
        for (int i = 0; i < 20; i++)
            Assert.Equal(content, await volume.ReadAllAsync(file));
        await EventuallyAsync(async () => (await volume.StatusAsync()).ComposedBlocks < before);
        await AssertCleanAsync(volume);
    }

    [Fact]
    public async Task Deleting_what_is_composed_lets_go_of_its_sources()
    {
        await using var volume = await CreateAsync();
        var (old, _, _) = await TwoVersionsAsync(volume);
        Assert.Equal(Errno.None, (await volume.Volume.UnlinkAsync(InodeNumber.Root, "second"u8.ToArray(), Cancellation)).Error);
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        await EventuallyAsync(async () => (await volume.StatusAsync()).DeadBlocks > 0);
        await volume.Copy.CollectAsync(TimeSpan.Zero, dryRun: false, progress: null, Cancellation);
        Assert.True(volume.Copy.Metadata.TryGetBlock(BlockHash.Of(old.AsSpan(0, S)), out var row));
        Assert.Equal(0, row.Pins);
        await AssertCleanAsync(volume);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_source_that_is_damaged_or_lost_is_had_from_a_replica_that_has_not_got_the_composed_block(bool isDamaged)
    {
        await using var volume = await CreateAsync(o => o with { Delta = DeltaMode.Off });
        await using var replica = await ReplicaFixture.CreateAsync();
        byte[] old = Bytes(1, Blocks * S);
        var first = await volume.CreateFileAsync("first");
        await volume.WriteAsync(first, 0, old);
        await volume.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(volume);
        // From here on the replica takes no block, and gives those that it has.
        var closed = new TaskCompletionSource();
        replica.Link.Gate = closed.Task;
        var (_, content, _) = await SecondVersionAsync(volume, old);
        // What is open can be read also when it has no name any more.
        await volume.ReopenAsync();
        await volume.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        string lost = FileOf(volume.Folder, BlockHash.Of(old.AsSpan(2 * S, S)));
        if (isDamaged)
            Damage(lost);
        else
            File.Delete(lost);
        long before = (await volume.StatusAsync()).ComposedBlocks;
        Assert.Equal(content, await volume.ReadAllAsync(await volume.FindAsync("second")));
        Assert.Equal(before, (await volume.StatusAsync()).ComposedBlocks);
        Assert.True(File.Exists(lost));
        closed.SetResult();
        await DrainAsync(volume);
        Assert.Equal(old, await volume.ReadAllAsync(await volume.FindAsync("first")));
        await AssertCleanAsync(volume);
    }

    /// <summary>A window of new content is found by its sums: nobody has read the source.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_cannot_be_put_together_of_its_sources_keeps_its_file(bool isDamaged)
    {
        await using var volume = await CreateAsync();
        byte[] old = Bytes(1, Blocks * S), content = [.. Bytes(2, 100), .. old];
        await WriteAsync(volume, "first", old);
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        Assert.Equal(0, await volume.Copy.Composer.ComposeOnceAsync(Cancellation));
        await volume.ReopenAsync();
        volume.Copy.Composer.IsOn = true;
        string source = FileOf(volume.Folder, BlockHash.Of(old.AsSpan(2 * S, S)));
        if (isDamaged)
            Damage(source);
        else
            File.Delete(source);
        await WriteAsync(volume, "second", content);
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        await volume.Copy.Composer.ComposeOnceAsync(Cancellation);
        Assert.Equal(Blocks, (await volume.StatusAsync()).ComposedBlocks);
        Assert.Equal(content, await volume.ReadAllAsync(await volume.FindAsync("second")));
        // Of what is damaged the next block takes only the end, which is whole.
        Assert.True(volume.Copy.Metadata.TryGetBlock(BlockHash.Of(old.AsSpan(2 * S, S)), out var row));
        Assert.Equal(isDamaged ? 1 : 0, row.Pins);
    }

    [Fact]
    public async Task A_block_that_cannot_be_put_together_is_stored_when_it_is_written_again()
    {
        await using var volume = await CreateAsync();
        var (old, content, _) = await TwoVersionsAsync(volume);
        File.Delete(FileOf(volume.Folder, BlockHash.Of(old.AsSpan(2 * S, S))));
        var third = await volume.CreateFileAsync("third");
        await volume.WriteAsync(third, 0, content);
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        Assert.Equal(content, await volume.ReadAllAsync(third));
        Assert.Equal(content, await volume.ReadAllAsync(await volume.FindAsync("second")));
    }

    [Fact]
    public async Task Sources_are_not_evicted_before_what_is_made_of_them()
    {
        await using var volume = await CreateAsync(o => o with { CacheSize = 64 << 20 });
        await using var replica = await ReplicaFixture.CreateAsync();
        var (old, content, file) = await TwoVersionsAsync(volume);
        await volume.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(volume);
        var first = await volume.FindAsync("first");
        Assert.Equal((0, Blocks), await EvictAsync(volume, first));
        // Also where it was chosen before it became a source.
        Assert.False(volume.Copy.Metadata.SetResidency(BlockHash.Of(old.AsSpan(0, S)), Residency.Absent));
        Assert.InRange((await EvictAsync(volume, file)).Gone, Blocks, Blocks + 1);
        Assert.Equal(0, (await volume.StatusAsync()).ComposedBlocks);
        Assert.Equal((Blocks, 0), await EvictAsync(volume, first));
        Assert.Equal(content, await volume.ReadAllAsync(file));
        Assert.Equal(old, await volume.ReadAllAsync(first));
        // What has come again is counted as the file that it is, now and after a restart.
        await EventuallyAsync(() => Task.FromResult(BytesOnDisk(volume) >= old.Length + content.Length && BytesOnDisk(volume) == volume.Copy.Metadata.LocalBytes + volume.Copy.BlockStore.Files.RecycledBytes));
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        long local = volume.Copy.Metadata.LocalBytes;
        await volume.ReopenAsync();
        Assert.Equal(local, volume.Copy.Metadata.LocalBytes);
        await AssertCleanAsync(volume);
    }

    [Fact]
    public async Task What_was_being_put_into_a_file_when_the_power_went_is_read_and_put_into_one()
    {
        await using var volume = await CreateAsync();
        var (_, content, _) = await TwoVersionsAsync(volume);
        string folder = volume.CopyAsKilled();
        try
        {
            var torn = BlockHash.Of(content.AsSpan(3 * S, S));
            Directory.CreateDirectory(Path.GetDirectoryName(FileOf(folder, torn))!);
            await File.WriteAllBytesAsync(FileOf(folder, torn), new byte[S], Cancellation);
            Assert.Equal(0, (await CheckAsync(folder, repair: false)).ExitCode);
            await using var again = await VolumeFixture.CreateAsync(S, folder);
            Assert.Equal(content, await again.ReadAllAsync(await again.FindAsync("second")));
            await EventuallyAsync(() => Task.FromResult(!again.Copy.GetBlock(torn).Value.IsComposed));
            Assert.Equal(content, await again.ReadAllAsync(await again.FindAsync("second")));
            await again.Copy.CloseAsync();
            Assert.Equal(0, (await CheckAsync(folder, repair: false)).ExitCode);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_replica_takes_a_full_copy_of_a_volume_with_composed_blocks()
    {
        await using var volume = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        var (_, content, _) = await TwoVersionsAsync(volume);
        await volume.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(volume);
        Assert.Equal(1, replica.Link.Copies);
        using (var session = replica.OpenSession())
        {
            var found = await session.LookupAsync(InodeNumber.Root, "second"u8.ToArray(), Cancellation);
            byte[] there = new byte[found.Value.Size];
            Assert.Equal(there.Length, (await session.ReadAsync(found.Value.Inode, 0, there, Cancellation)).Value);
            Assert.Equal(content, there);
        }
        await replica.Receiver.CloseAsync();
        Assert.Empty((await CheckAsync(replica.Folder, repair: false)).Faults);
    }

    [Fact]
    public async Task A_volume_of_the_format_before_can_compose()
    {
        await using var volume = await CreateAsync();
        await volume.Copy.CloseAsync();
        await RunSqlAsync(volume.Folder, "ALTER TABLE replica DROP COLUMN lacks; ALTER TABLE session DROP COLUMN lapsed; ALTER TABLE session DROP COLUMN ended; DROP TABLE composed; DROP TABLE composed_source; DROP TABLE branch; PRAGMA user_version = 11");
        await volume.ReopenAsync();
        volume.Copy.Composer.IsOn = true;
        var (_, content, file) = await TwoVersionsAsync(volume);
        Assert.Equal(18, (await volume.StatusAsync()).FormatVersion);
        Assert.Equal(content, await volume.ReadAllAsync(file));
        await AssertCleanAsync(volume);
    }

    [Fact]
    public async Task Whatever_is_written_composed_collected_evicted_and_reopened_is_read_again()
    {
        int seed = Environment.TickCount;
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        await using var volume = await CreateAsync(o => o with { CacheSize = 8 << 20 });
        await using var replica = await ReplicaFixture.CreateAsync();
        await volume.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        var files = new Dictionary<string, byte[]>();
        long composed = 0;
        // Whether something can be composed is a matter of luck, with sources evicted and collected: it goes on until something was.
        for (int round = 0; round < 40 || (composed == 0 && round < 1000); round++)
        {
            string name = $"f{random.Next(6)}";
            switch (random.Next(8))
            {
                case 0 or 1 or 2:
                    await WriteAsync(volume, name, files[name] = Changed(files.Count == 0 || random.Next(5) == 0 ? Bytes(random.Next(), 12 * S) : files.Values.ElementAt(random.Next(files.Count)), random));
                    break;
                case 3 when files.Remove(name):
                    Assert.Equal(Errno.None, (await volume.Volume.UnlinkAsync(InodeNumber.Root, System.Text.Encoding.UTF8.GetBytes(name), Cancellation)).Error);
                    break;
                case 4:
                    await volume.Copy.CollectAsync(TimeSpan.Zero, dryRun: false, progress: null, Cancellation);
                    break;
                case 5 when files.ContainsKey(name):
                    await DrainAsync(volume);
                    await EvictAsync(volume, await volume.FindAsync(name));
                    break;
                case 6 when files.TryGetValue(name, out byte[]? content):
                    Assert.Equal(content, await volume.ReadAllAsync(await volume.FindAsync(name)));
                    break;
                default:
                    Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
                    composed += await volume.Copy.Composer.ComposeOnceAsync(Cancellation);
                    break;
            }
        }
        foreach (var (name, content) in files)
            Assert.Equal(content, await volume.ReadAllAsync(await volume.FindAsync(name)));
        await DrainAsync(volume);
        await volume.ReopenAsync();
        await volume.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        foreach (var (name, content) in files)
            Assert.Equal(content, await volume.ReadAllAsync(await volume.FindAsync(name)));
        output.WriteLine($"{composed} composed");
        Assert.True(composed > 0);
        await AssertCleanAsync(volume);
    }

    [Fact]
    public async Task Fsck_finds_and_mends_wrong_pins_and_sources()
    {
        await using var volume = await CreateAsync();
        await TwoVersionsAsync(volume);
        string folder = volume.CopyAsKilled();
        try
        {
            await RunSqlAsync(folder, "UPDATE block SET pins = pins + 1 WHERE hash IN (SELECT source FROM composed_source LIMIT 2); DELETE FROM composed_source WHERE hash IN (SELECT hash FROM composed LIMIT 1)");
            var found = await CheckAsync(folder, repair: false);
            Assert.Contains(found.Faults, f => f.Kind == "pinCountWrong");
            Assert.Contains(found.Faults, f => f.Kind == "composedSourcesWrong");
            Assert.Equal(1, (await CheckAsync(folder, repair: true)).ExitCode);
            Assert.Equal(0, (await CheckAsync(folder, repair: false)).ExitCode);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_kill_before_the_files_went_leaves_plain_blocks()
    {
        await using var volume = await CreateAsync();
        var (_, content, _) = await TwoVersionsAsync(volume);
        string folder = volume.CopyAsKilled();
        try
        {
            // As if the files had not gone yet: what the rows say can be put together is in files as well.
            for (int i = 0; i < content.Length; i += S)
            {
                var part = content.AsMemory(i, Math.Min(S, content.Length - i));
                using var files = BlockFiles.Open(folder, TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
                files.Write(BlockHash.Of(part.Span), part.Span);
            }
            await using var again = await VolumeFixture.CreateAsync(S, folder, configure: o => o with { Compose = true });
            await EventuallyAsync(async () => (await again.StatusAsync()).ComposedBlocks == 0);
            Assert.Equal(content, await again.ReadAllAsync(await again.FindAsync("second")));
            await again.Copy.CloseAsync();
            Assert.Equal(0, (await CheckAsync(folder, repair: false)).ExitCode);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>A volume whose new blocks are composed when the test says so.</summary>
    private static async Task<VolumeFixture> CreateAsync(Func<VolumeOptions, VolumeOptions>? configure = null)
    {
        var volume = await VolumeFixture.CreateAsync(S, configure: configure);
        volume.Copy.Composer.IsOn = true;
        return volume;
    }

    /// <summary>Two files, the second with 100 bytes more at the front.</summary>
    private static async Task<(byte[] Old, byte[] Content, InodeNumber File)> TwoVersionsAsync(VolumeFixture volume)
    {
        byte[] old = Bytes(1, Blocks * S);
        var first = await volume.CreateFileAsync("first");
        await volume.WriteAsync(first, 0, old);
        return await SecondVersionAsync(volume, old);
    }

    private static async Task<(byte[] Old, byte[] Content, InodeNumber File)> SecondVersionAsync(VolumeFixture volume, byte[] old)
    {
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        Assert.Equal(0, await volume.Copy.Composer.ComposeOnceAsync(Cancellation));
        byte[] content = [.. Bytes(2, 100), .. old];
        var file = await volume.CreateFileAsync("second");
        await volume.WriteAsync(file, 0, content);
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        Assert.InRange(await volume.Copy.Composer.ComposeOnceAsync(Cancellation), Blocks - 1, Blocks + 1);
        return (old, content, file);
    }

    private static async Task WriteAsync(VolumeFixture volume, string name, byte[] content)
    {
        var found = await volume.Volume.LookupAsync(InodeNumber.Root, System.Text.Encoding.UTF8.GetBytes(name), Cancellation);
        var file = found.Error == Errno.None ? found.Value.Inode : await volume.CreateFileAsync(name);
        await volume.SetSizeAsync(file, 0);
        await volume.WriteAsync(file, 0, content);
    }

    /// <summary>With bytes put in, taken out, or changed.</summary>
    private static byte[] Changed(byte[] content, Random random)
    {
        int at = random.Next(content.Length);
        byte[] some = Bytes(random.Next(), random.Next(1, 500));
        return random.Next(3) switch
        {
            0 => [.. content[..at], .. some, .. content[at..]],
            1 => [.. content[..at], .. content[Math.Min(content.Length - 1, at + some.Length)..]],
            _ => [.. content[..at], .. some, .. content[Math.Min(content.Length, at + some.Length)..]],
        };
    }

    private static async Task DrainAsync(VolumeFixture volume) =>
        Assert.Equal(Errno.None, (await volume.Copy.Replication.DrainAsync(1, null, Cancellation).WaitAsync(TimeSpan.FromSeconds(60), Cancellation)).Error);

    /// <summary>What the files of blocks take, as the disk counts.</summary>
    private static long BytesOnDisk(VolumeFixture volume)
    {
        using var find = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("find", [Path.Combine(volume.Folder, "blocks"), "-type", "f", "-printf", "%b\n"]) { RedirectStandardOutput = true })!;
        long units = 0;
        while (find.StandardOutput.ReadLine() is { } line)
            units += long.Parse(line, System.Globalization.CultureInfo.InvariantCulture);
        find.WaitForExit();
        return units * 512;
    }

    private static async Task<(long Gone, long Staying)> EvictAsync(VolumeFixture volume, InodeNumber file)
    {
        var change = await volume.Copy.ChangeResidencyAsync(file, ResidencyAction.Evict, 0, 1 << 30, Cancellation);
        Assert.Equal(Errno.None, change.Error);
        return (change.Value.Changed, change.Value.Staying);
    }

    private static string FileOf(string folder, BlockHash hash) => Path.Combine(folder, "blocks", hash.ToString()[..2], hash.ToString());

    private static void Damage(string path)
    {
        using var file = File.Open(path, FileMode.Open);
        file.Seek(-5000, SeekOrigin.End);
        file.Write([1, 2, 3, 4, 5, 6, 7, 8]);
    }

    private static byte[] Bytes(int seed, int count)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static int FilesOf(VolumeFixture volume) => Directory.EnumerateFiles(Path.Combine(volume.Folder, "blocks"), "*", SearchOption.AllDirectories).Count(f => Path.GetFileName(f).Length == 2 * BlockHash.Size);

    private static async Task AssertCleanAsync(VolumeFixture volume)
    {
        await volume.Copy.CloseAsync();
        Assert.Empty((await CheckAsync(volume.Folder, repair: false)).Faults);
    }

    private static Task<CheckReport> CheckAsync(string folder, bool repair) => VolumeCheck.RunAsync(
        new CheckOptions { DataFolder = folder, Repair = repair, VerifyData = true }, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance, TimeProvider.System, null, Cancellation);

    private static async Task RunSqlAsync(string folder, string sql)
    {
        await using var connection = new Microsoft.Data.Sqlite.SqliteConnection($"Data Source={Path.Combine(folder, "meta.db")};Pooling=False");
        await connection.OpenAsync(Cancellation);
        await using var command = connection.CreateCommand();
        command.CommandText = sql;
        await command.ExecuteNonQueryAsync(Cancellation);
    }

    private static async Task EventuallyAsync(Func<Task<bool>> condition)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!await condition())
            await Task.Delay(20, patience.Token);
    }
}
