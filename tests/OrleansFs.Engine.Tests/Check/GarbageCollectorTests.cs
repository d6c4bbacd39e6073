using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Check;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Engine.Tests.Metadata;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Check;

public sealed class GarbageCollectorTests : IDisposable
{
    private const int S = TestVolume.BlockSize;
    private static readonly TimeSpan s_grace = TimeSpan.FromMinutes(10);

    private readonly TestVolume _volume = new();
    private readonly BlockStore _blocks;
    private readonly PendingBlocks _pending = new();
    private readonly GarbageCollector _collector;

    public GarbageCollectorTests()
    {
        _volume.Time.Set(DateTimeOffset.UtcNow);
        _blocks = BlockStore.Open(_volume.Folder, 1 << 20, _volume.Time, NullLogger<BlockStore>.Instance);
        var committer = new Committer(Store, _blocks, _volume.Time, _volume.Log);
        _collector = new GarbageCollector(Store, _blocks.Files, new BlockLocks(), _pending, new ContentHolds(), committer, _volume.Time, _volume.Log);
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private MetadataStore Store => _volume.Store;

    public void Dispose()
    {
        _collector.Dispose();
        _blocks.Dispose();
        _volume.Dispose();
    }

    [Fact]
    public async Task A_block_goes_when_it_has_been_dead_for_the_grace_period_and_a_live_one_stays()
    {
        var live = StoreFile("live", 1);
        var shared = StoreFile("other", 1);
        var dead = StoreFile("dead", 2);
        Assert.Equal(live, shared);
        Delete("dead");
        Delete("other");
        Assert.Equal(default, await CollectAsync(s_grace));
        Assert.True(_blocks.Files.Exists(dead));
        _volume.Time.Set(DateTimeOffset.UtcNow + 2 * s_grace);
        var would = await CollectAsync(s_grace, dryRun: true);
        Assert.True(_blocks.Files.Exists(dead));
        Assert.True(Store.TryGetBlock(dead, out _));
        Assert.Equal(new CollectionReport(1, 0, _blocks.Files.DiskBytes(dead)!.Value), would);
        Assert.Equal(would, await CollectAsync(s_grace));
        Assert.False(_blocks.Files.Exists(dead));
        Assert.False(Store.TryGetBlock(dead, out _));
        Assert.True(_blocks.Files.Verify(live).IsOk);
        Assert.Equal((0, 0, 1), (Store.Counters.DeadBlocks, Store.Counters.DeadBytes, Store.Counters.Blocks));
        Assert.Equal(default, await CollectAsync(TimeSpan.Zero));
    }

    [Fact]
    public async Task The_row_is_on_disk_as_deleted_before_the_file_goes()
    {
        var hash = StoreFile("dead", 2);
        Delete("dead");
        await CollectAsync(TimeSpan.Zero);
        using var crashed = _volume.Crashed();
        Assert.False(crashed.Store.TryGetBlock(hash, out _));
    }

    [Fact]
    public async Task A_pinned_block_stays_whatever_its_row_says()
    {
        var hash = StoreFile("dead", 2);
        Delete("dead");
        _pending.Pin(hash, default);
        Assert.Equal(default, await CollectAsync(TimeSpan.Zero));
        Assert.True(_blocks.Files.Exists(hash));
        _pending.Unpin(hash);
        Assert.Equal(1, (await CollectAsync(TimeSpan.Zero)).Blocks);
        Assert.False(_blocks.Files.Exists(hash));
    }

    /// <summary>A composed block has no file that could be looked at again: all there is of it goes with its row.</summary>
    [Fact]
    public async Task A_composed_block_that_a_writer_takes_while_it_is_collected_stays()
    {
        var source = StoreFile("live", 1);
        var hash = StoreFile("dead", 2);
        Assert.True(Store.Compose(new ComposedRow(hash, 1, [1]), [source], 100));
        _blocks.Files.Delete(hash);
        Delete("dead");
        _collector.Release = (block, _) =>
        {
            _pending.Pin(block, default);
            return new(true);
        };
        Assert.Equal(default, await CollectAsync(TimeSpan.Zero));
        Assert.True(Store.IsComposed(hash));
        _pending.Unpin(hash);
        _collector.Release = null;
        Assert.Equal(1, (await CollectAsync(TimeSpan.Zero)).Blocks);
        Assert.False(Store.IsComposed(hash));
    }

    /// <summary>What ends a collection between the deletion of a row and that of its file leaves the file to the next one.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_collection_that_is_ended_halfway_leaves_no_file_without_a_row(bool isFailure)
    {
        BlockHash[] hashes = [.. Enumerable.Range(1, 3).Select(i => StoreFile($"dead{i}", i))];
        for (int i = 1; i <= 3; i++)
            Delete($"dead{i}");
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        int asked = 0;
        _collector.Release = (_, _) =>
        {
            if (++asked == 2 && isFailure)
                throw new BlockStoreException(Errno.EIO, "a composed block cannot be put into a file");
            if (asked == 2)
                ended.Cancel();
            return new(true);
        };
        await Assert.ThrowsAnyAsync<Exception>(() => _collector.CollectAsync(TimeSpan.Zero, sweep: false, dryRun: false, null, ended.Token));
        Assert.True(_collector.IsDeleting || hashes.All(h => Store.TryGetBlock(h, out _) == _blocks.Files.Exists(h)));
        _collector.Release = null;
        await CollectAsync(TimeSpan.Zero);
        Assert.All(hashes, h => Assert.False(Store.TryGetBlock(h, out _)));
        Assert.All(hashes, h => Assert.False(_blocks.Files.Exists(h)));
    }

    [Fact]
    public async Task A_sweep_takes_files_without_a_row_when_they_are_old_and_nothing_else()
    {
        var live = StoreFile("live", 1);
        byte[] content = Content(7);
        var (stray, pinned) = (BlockHash.Of(content), BlockHash.Of(Content(8)));
        _blocks.Files.Write(stray, content);
        _blocks.Files.Write(pinned, Content(8));
        _pending.Pin(pinned, default);
        string note = Path.Combine(_volume.Folder, "blocks/note");
        File.WriteAllText(note, "of somebody");
        Assert.Equal(default, await CollectAsync(s_grace, sweep: true));
        _volume.Time.Set(DateTimeOffset.UtcNow + 2 * s_grace);
        Assert.Equal(default, await CollectAsync(s_grace));
        var would = await CollectAsync(s_grace, dryRun: true, sweep: true);
        Assert.Equal((0, 1), (would.Blocks, would.Strays));
        Assert.True(_blocks.Files.Exists(stray));
        Assert.Equal(would, await CollectAsync(s_grace, sweep: true));
        Assert.False(_blocks.Files.Exists(stray));
        Assert.True(_blocks.Files.Exists(live) && _blocks.Files.Exists(pinned) && File.Exists(note));
    }

    [Fact]
    public async Task A_row_whose_file_is_gone_already_is_collected_all_the_same()
    {
        var hash = StoreFile("dead", 2);
        Delete("dead");
        _blocks.Files.Delete(hash);
        Assert.Equal(new CollectionReport(1, 0, 0), await CollectAsync(TimeSpan.Zero));
        Assert.False(Store.TryGetBlock(hash, out _));
    }

    /// <summary>A file that is deleted before its first commit has stored blocks for which there never was a row.</summary>
    [Fact]
    public async Task Blocks_of_a_file_that_was_never_committed_go_with_it()
    {
        await using var volume = await VolumeFixture.CreateAsync(S, configure: o => o with { CacheSize = 64 << 20 });
        var inode = await volume.CreateFileAsync("tmp");
        await volume.WriteAsync(inode, 0, Content(1, 64 * S));
        await UntilAsync(() => FilesOf(volume) >= 32);
        Assert.Equal(Errno.None, (await volume.Volume.UnlinkAsync(InodeNumber.Root, "tmp".Bytes(), Cancellation)).Error);
        await UntilAsync(() => FilesOf(volume) == 0);
        await UntilAsync(() => volume.StatusAsync().Result.LocalBytes == 0);
    }

    [Fact]
    public async Task What_no_manifest_came_to_name_is_deleted_unless_a_row_or_a_writer_has_it_now()
    {
        var named = StoreFile("live", 1);
        BlockHash[] hashes = [named, .. Enumerable.Range(2, 3).Select(i => WriteAndAbandon(i))];
        _pending.Pin(named, new PendingBlock(new StoredBlock(S, 8192, BlockCodec.Raw, 9), default));
        _pending.Unpin(named);
        Assert.Equal(4 * 8192, _pending.StoredBytes);
        _pending.Pin(hashes[1], new PendingBlock(new StoredBlock(S, 8192, BlockCodec.Raw, 9), default));
        Assert.Equal(4 * 8192, _pending.StoredBytes);
        await _collector.DeleteAbandonedAsync(Cancellation);
        Assert.Equal([true, true, false, false], hashes.Select(_blocks.Files.Exists));
        Assert.Equal(8192, _pending.StoredBytes);
        Assert.False(_pending.HasAbandoned);
        _pending.Unpin(hashes[1], isNamed: true);
        Assert.Equal((0L, false), (_pending.StoredBytes, _pending.HasAbandoned));
    }

    [Fact]
    public async Task More_of_them_than_are_remembered_are_found_by_a_sweep()
    {
        for (int i = 0; i <= BlockLimits.AbandonedBlocks; i++)
            Abandon(BlockHash.Of(BitConverter.GetBytes(i)));
        var live = StoreFile("live", 1);
        var forgotten = WriteAndAbandon(2);
        _blocks.Files.Write(BlockHash.Of(Content(3)), Content(3));
        await _collector.DeleteAbandonedAsync(Cancellation);
        Assert.True(_blocks.Files.Exists(forgotten));
        Assert.True(_pending.TakeOverflow());
        Assert.False(_pending.TakeOverflow());
        await _collector.SweepGentlyAsync(Cancellation);
        Assert.Equal([live], _blocks.Files.Enumerate().Where(e => e.Hash is not null).Select(e => e.Hash!.Value));
    }

    /// <summary>Files come and go whose blocks are the same few, while everything dead is collected at once: what is named is always there.</summary>
    [Fact]
    public async Task Blocks_that_are_stored_while_they_are_collected_are_not_lost()
    {
        // More than an fsync puts into the redo log instead of making blocks.
        const int Size = 64 << 10;
        string folder = Directory.CreateTempSubdirectory("ofs-collect-").FullName;
        await using (var volume = await VolumeFixture.CreateAsync(Size, folder))
        {
            using var stop = new CancellationTokenSource();
            var collecting = Task.Run(async () =>
            {
                long blocks = 0;
                while (!stop.IsCancellationRequested)
                    blocks += (await volume.Copy.CollectAsync(TimeSpan.Zero, dryRun: false, null, Cancellation)).Blocks;
                return blocks;
            }, Cancellation);
            await Task.WhenAll(Enumerable.Range(0, 4).Select(worker => Task.Run(async () =>
            {
                var random = new Random(worker);
                for (int i = 0; i < 60; i++)
                {
                    byte[] content = [.. Enumerable.Range(0, 3).SelectMany(_ => Content(random.Next(24), Size))];
                    string name = $"{worker}-{i}";
                    var inode = await volume.CreateFileAsync(name);
                    await volume.WriteAsync(inode, 0, content);
                    await volume.SyncAsync(inode);
                    Assert.Equal(content, await volume.ReadAllAsync(inode));
                    if (i % 10 == 9)
                        continue;
                    var removed = await volume.Volume.UnlinkAsync(InodeNumber.Root, name.Bytes(), Cancellation);
                    Assert.Equal(Errno.None, removed.Error);
                }
            }, Cancellation)));
            await stop.CancelAsync();
            Assert.True(await collecting > 0, "nothing was collected meanwhile, so this proved nothing");
        }
        var report = await VolumeCheck.RunAsync(new CheckOptions { DataFolder = folder, VerifyData = true }, NullLoggerFactory.Instance, TimeProvider.System, null, Cancellation);
        Assert.Empty(report.Faults);
        Assert.Equal(0, report.ExitCode);
        Directory.Delete(folder, recursive: true);
    }

    private static int FilesOf(VolumeFixture volume) => Directory.EnumerateFiles(Path.Combine(volume.Folder, "blocks"), "*", SearchOption.AllDirectories).Count(f => Path.GetFileName(f).Length == 2 * BlockHash.Size);

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        patience.CancelAfter(TimeSpan.FromSeconds(30));
        while (!condition())
            await Task.Delay(20, patience.Token);
    }

    private BlockHash WriteAndAbandon(int seed)
    {
        byte[] content = Content(seed);
        _blocks.Files.Write(BlockHash.Of(content), content);
        return Abandon(BlockHash.Of(content));
    }

    private BlockHash Abandon(BlockHash hash)
    {
        _pending.Pin(hash, new PendingBlock(new StoredBlock(S, 8192, BlockCodec.Raw, 9), default));
        _pending.Unpin(hash);
        return hash;
    }

    private static byte[] Content(int seed, int length = S)
    {
        byte[] content = new byte[length];
        new Random(seed).NextBytes(content);
        return content;
    }

    private Task<CollectionReport> CollectAsync(TimeSpan grace, bool dryRun = false, bool sweep = false) => _collector.CollectAsync(grace, sweep, dryRun, null, Cancellation);

    private BlockHash StoreFile(string name, int seed)
    {
        byte[] content = Content(seed);
        var hash = BlockHash.Of(content);
        var stored = _blocks.Files.Write(hash, content);
        var inode = Store.Acquire(Store.Create(InodeNumber.Root, name).Inode)!;
        var block = new ManifestBlock(0, hash, content.Length, WeakChecksum.Compute(content).Value, stored.StoredBytes, stored.WriteSequence);
        Assert.True(Store.CommitContent(inode, new ContentCommit { Size = content.Length, ModifyTime = Store.Clock.Now(), Blocks = [block] }).IsOk);
        Store.Release(inode);
        return hash;
    }

    private void Delete(string name)
    {
        var inode = Store.Unlink(InodeNumber.Root, name).Value;
        Assert.True(Store.PurgeOrphan(inode!.Value).IsOk);
    }
}
