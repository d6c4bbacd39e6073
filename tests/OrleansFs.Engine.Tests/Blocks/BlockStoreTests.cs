using OrleansFs.Engine.Blocks;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Blocks;

public sealed class BlockStoreTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Any_part_of_a_block_is_read_from_file_and_from_memory()
    {
        using var fixture = new BlockFolderFixture();
        using var store = fixture.OpenStore(1 << 20);
        byte[] content = BlockFolderFixture.Content(1, 10000);
        var block = Store(store, content);
        var random = new Random(3);
        for (int i = 0; i < 200; i++)
        {
            int offset = random.Next(10050);
            byte[] destination = new byte[random.Next(10050)];
            var read = await store.ReadAsync(block, offset, destination, Cancellation);
            int expected = Math.Clamp(10000 - offset, 0, destination.Length);
            Assert.Equal(BlockReadResult.Ok(expected), read);
            Assert.Equal(content.AsSpan(Math.Min(offset, 10000), expected), destination.AsSpan(0, expected));
        }
        Assert.True(store.CachedBytes > 0);
    }

    [Fact]
    public async Task A_whole_block_passes_the_cache_by_and_a_part_is_kept()
    {
        using var fixture = new BlockFolderFixture();
        using var store = fixture.OpenStore(1 << 20);
        var block = Store(store, BlockFolderFixture.Content(1, 10000));
        Assert.True((await store.ReadAsync(block, 0, new byte[10000], Cancellation)).IsOk);
        Assert.Equal(0, store.CachedBytes);
        Assert.True((await store.ReadAsync(block, 5, new byte[10], Cancellation)).IsOk);
        Assert.NotEqual(0, store.CachedBytes);
        store.Files.Delete(block.Hash);
        Assert.True((await store.ReadAsync(block, 0, new byte[10000], Cancellation)).IsOk);
    }

    /// <summary>Two find the same damage; the first has stored the block again when the second comes to move it away.</summary>
    [Fact]
    public void A_block_that_is_whole_again_is_not_moved_away()
    {
        using var fixture = new BlockFolderFixture();
        using var store = fixture.OpenStore(1 << 20);
        byte[] content = BlockFolderFixture.Content(1, 10000);
        var hash = Store(store, content).Hash;
        byte[] bytes = File.ReadAllBytes(fixture.PathOf(hash));
        bytes[^1] ^= 1;
        File.WriteAllBytes(fixture.PathOf(hash), bytes);
        Assert.Equal($"lost+blocks/{hash}", store.QuarantineIfDamaged(hash));
        Assert.Null(store.QuarantineIfDamaged(hash));
        store.Files.Write(hash, content);
        Assert.Null(store.QuarantineIfDamaged(hash));
        Assert.True(store.Files.Verify(hash).IsOk);
    }

    [Fact]
    public async Task What_only_the_disk_has_is_read_whole_and_in_parts_by_many_at_once()
    {
        using var fixture = new BlockFolderFixture();
        using var store = fixture.OpenStore(1 << 20);
        byte[][] contents = [.. Enumerable.Range(0, 100).Select(i => BlockFolderFixture.Content(i, 100_000))];
        BlockReference[] blocks = [.. contents.Select(c => Store(store, c))];
        await store.Files.SyncAsync(store.Files.LastSequence, Cancellation);
        foreach (string file in Directory.GetFiles(fixture.Folder, "*", SearchOption.AllDirectories))
        {
            using var handle = File.OpenHandle(file);
            LinuxFile.DropPages((int)handle.DangerousGetHandle());
        }
        var reads = new List<(int Block, int Offset, byte[] Destination, Task<BlockReadResult> Read)>();
        for (int i = 0; i < 300; i++)
        {
            var (block, offset) = (i % 100, i < 150 ? 0 : i * 100);
            byte[] destination = new byte[100_000 - offset];
            reads.Add((block, offset, destination, store.ReadAsync(blocks[block], offset, destination, Cancellation).AsTask()));
        }
        foreach (var (block, offset, destination, read) in reads)
        {
            Assert.Equal(BlockReadResult.Ok(destination.Length), await read);
            Assert.Equal(contents[block][offset..], destination);
        }
    }

    [Fact]
    public async Task A_hole_reads_as_zeros()
    {
        using var fixture = new BlockFolderFixture();
        using var store = fixture.OpenStore(1 << 20);
        byte[] destination = Enumerable.Repeat((byte)1, 100).ToArray();
        Assert.Equal(BlockReadResult.Ok(50), await store.ReadAsync(new BlockReference(BlockHash.Hole, 4096), 4046, destination, Cancellation));
        Assert.True(BlockStore.IsAllZero(destination.AsSpan(0, 50)));
        Assert.False(BlockStore.IsAllZero(destination));
        Assert.True(BlockStore.IsAllZero([]));
    }

    [Theory]
    [InlineData(100)]
    [InlineData(20000)]
    public async Task A_block_of_another_length_than_the_manifest_says_is_read_as_it_is(int told)
    {
        using var fixture = new BlockFolderFixture();
        using var store = fixture.OpenStore(1 << 20);
        byte[] content = BlockFolderFixture.Content(1, 10000);
        var block = Store(store, content) with { Length = told };
        int expected = Math.Min(told, 10000);
        byte[] destination = new byte[told];
        Assert.Equal(BlockReadResult.Ok(expected), await store.ReadAsync(block, 0, destination, Cancellation));
        Assert.Equal(content[..expected], destination[..expected]);
        Assert.Equal(BlockReadResult.Ok(expected - 10), await store.ReadAsync(block, 10, destination.AsMemory(0, told - 10), Cancellation));
        Assert.Equal(content[10..expected], destination[..(expected - 10)]);
    }

    [Fact]
    public async Task What_cannot_be_read_is_told_and_logged_and_not_kept()
    {
        using var fixture = new BlockFolderFixture();
        using var store = fixture.OpenStore(1 << 20);
        byte[] content = BlockFolderFixture.Content(1, 10000);
        var block = Store(store, content);
        File.WriteAllText(fixture.PathOf(block.Hash), "bad");
        Assert.Equal(BlockReadStatus.Corrupt, (await store.ReadAsync(block, 0, new byte[10], Cancellation)).Status);
        Assert.Equal(BlockReadStatus.Corrupt, (await store.ReadAsync(block, 0, new byte[10000], Cancellation)).Status);
        Assert.Equal(2, fixture.TakeLog().Count);
        store.Files.Delete(block.Hash);
        Assert.Equal(BlockReadStatus.Missing, (await store.ReadAsync(block, 0, new byte[10], Cancellation)).Status);
        Assert.Single(fixture.TakeLog());
        store.Files.Write(block.Hash, content);
        Assert.True((await store.ReadAsync(block, 0, new byte[10], Cancellation)).IsOk);
    }

    [Fact]
    public async Task Many_readers_of_many_blocks_in_a_small_cache_all_see_the_right_bytes()
    {
        using var fixture = new BlockFolderFixture();
        using var store = fixture.OpenStore(100_000);
        var blocks = Enumerable.Range(0, 40).Select(i => (Content: BlockFolderFixture.Content(i, 5000 + 100 * i), Reference: default(BlockReference))).ToArray();
        for (int i = 0; i < blocks.Length; i++)
            blocks[i].Reference = Store(store, blocks[i].Content);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(seed => Task.Run(async () =>
        {
            var random = new Random(seed);
            byte[] destination = new byte[10000];
            for (int i = 0; i < 3000; i++)
            {
                var (content, reference) = blocks[(int)(Math.Pow(random.NextDouble(), 3) * blocks.Length)];
                int offset = random.Next(content.Length);
                int length = random.Next(3) == 0 ? destination.Length : random.Next(500);
                var read = await store.ReadAsync(reference, offset, destination.AsMemory(0, length), Cancellation);
                Assert.True(read.IsOk);
                Assert.Equal(content.AsSpan(offset, read.Length), destination.AsSpan(0, read.Length));
            }
        }, Cancellation)));
        Assert.InRange(store.CachedBytes, 1, 100_000);
    }

    [Fact]
    public void The_cache_keeps_what_is_used_again_when_a_long_read_passes()
    {
        var cache = new BlockCache(64 * 4500);
        var hot = Enumerable.Range(0, 20).Select(i => BlockHash.Of([(byte)i])).ToList();
        foreach (var hash in hot)
        {
            cache.Add(hash, new byte[4096], 4096);
            Assert.True(cache.TryCopy(hash, 0, new byte[1], out _));
        }
        for (int i = 0; i < 1000; i++)
            cache.Add(BlockHash.Of([1, (byte)i, (byte)(i >> 8)]), new byte[4096], 4096);
        Assert.All(hot, h => Assert.True(cache.Contains(h)));
        Assert.InRange(cache.Bytes, 60 * 4096, 64 * 4500);
        // What was hot once gives way to what is hot now.
        for (int i = 0; i < 200; i++)
        {
            var hash = BlockHash.Of([2, (byte)i]);
            cache.Add(hash, new byte[4096], 4096);
            cache.TryCopy(hash, 0, new byte[1], out _);
        }
        Assert.DoesNotContain(hot, cache.Contains);
    }

    [Fact]
    public void A_block_larger_than_the_cache_is_not_kept()
    {
        var cache = new BlockCache(1000);
        cache.Add(BlockHash.Of([1]), new byte[4096], 4096);
        Assert.Equal(0, cache.Bytes);
        Assert.False(cache.TryCopy(BlockHash.Of([1]), 0, new byte[1], out _));
    }

    [Fact]
    public void Reading_ahead_begins_with_sequential_reads_and_never_with_random_ones()
    {
        const int S = 131072;
        var sequential = new ReadAhead();
        long fetched = 0;
        for (long offset = 0; offset < 100L << 20; offset += 65536)
        {
            var range = sequential.Observe(offset, 65536, S);
            if (range.IsEmpty)
                continue;
            Assert.True(fetched == 0 || range.FirstBlock == fetched, "each block is fetched once");
            Assert.True(range.FirstBlock * S >= offset + 65536);
            fetched = range.FirstBlock + range.Count;
            Assert.InRange(fetched * S - offset, 1, BlockLimits.ReadAheadBytes + 3 * S);
        }
        Assert.InRange(fetched * S, 100L << 20, (100L << 20) + BlockLimits.ReadAheadBytes + S);
        var random = new ReadAhead();
        var numbers = new Random(1);
        for (int i = 0; i < 1000; i++)
            Assert.True(random.Observe(numbers.Next(1000) * 65536L * 16, 4096, S).IsEmpty);
        var same = new ReadAhead();
        for (int i = 0; i < 100; i++)
            Assert.True(same.Observe(0, 4096, S).IsEmpty);
    }

    [Fact]
    public void Reading_ahead_bears_requests_that_come_out_of_order()
    {
        var readAhead = new ReadAhead();
        int fetched = 0;
        foreach (long i in new long[] { 0, 2, 1, 3, 5, 4, 6, 7 })
            fetched += readAhead.Observe(i * 131072, 131072, 131072).Count;
        Assert.True(fetched > 8);
    }

    private static BlockReference Store(BlockStore store, byte[] content)
    {
        var hash = BlockHash.Of(content);
        store.Files.Write(hash, content);
        return new BlockReference(hash, content.Length);
    }
}
