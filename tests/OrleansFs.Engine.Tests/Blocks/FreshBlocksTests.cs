using Microsoft.Extensions.Time.Testing;
using OrleansFs.Engine.Blocks;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Blocks;

public sealed class FreshBlocksTests
{
    private const int Length = 1 << 20;
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void A_content_is_there_for_each_reader_once_and_to_be_looked_at_meanwhile()
    {
        var fresh = new FreshBlocks(_time);
        var hash = Add(fresh, 1, readers: 2);
        byte[] read = new byte[Length];
        Assert.True(fresh.TryRead(hash, read, out int length));
        Assert.Equal((Length, hash), (length, BlockHash.Of(read)));
        Assert.False(fresh.TryRead(hash, new byte[Length - 1], out _));
        var first = fresh.Take(hash)!;
        var second = fresh.Take(hash)!;
        Assert.Null(fresh.Take(hash));
        Assert.False(fresh.TryRead(hash, read, out _));
        // Its memory is not used again before the last has given it back.
        first.Dispose();
        Add(fresh, 2, readers: 1);
        Assert.Equal(hash, BlockHash.Of(second.Content.Span));
        second.Dispose();
        Assert.Null(fresh.Take(Add(fresh, 3, readers: 0)));
    }

    [Fact]
    public void When_all_memory_is_taken_the_oldest_stay_until_their_time_is_over()
    {
        var fresh = new FreshBlocks(_time);
        int room = (int)(BlockLimits.FreshBytes / Length);
        var hashes = Enumerable.Range(0, room + 5).Select(i => Add(fresh, i, readers: 1)).ToList();
        Assert.Equal(BlockLimits.FreshBytes, fresh.Bytes);
        Assert.Equal(room, hashes.Count(h => fresh.TryRead(h, new byte[Length], out _)));
        Assert.True(fresh.TryRead(hashes[0], new byte[Length], out _));
        var lost = fresh.Take(hashes[1])!;
        lost.Abandon();
        _time.Advance(BlockLimits.FreshKept);
        var late = Add(fresh, 1000, readers: 1);
        Assert.Null(fresh.Take(hashes[0]));
        Assert.True(fresh.TryRead(late, new byte[Length], out _));
        // The memory of one that somebody may still read is not used for another.
        for (int i = 0; i < room; i++)
            Add(fresh, 2000 + i, readers: 1);
        Assert.Equal(hashes[1], BlockHash.Of(lost.Content.Span));
        fresh.Expire();
        Assert.Equal(BlockLimits.FreshBytes, fresh.Bytes);
        _time.Advance(BlockLimits.FreshIdle);
        fresh.Expire();
        Assert.Equal(0, fresh.Bytes);
    }

    private static BlockHash Add(FreshBlocks fresh, int seed, int readers)
    {
        byte[] content = BlockFolderFixture.Content(seed, Length);
        var hash = BlockHash.Of(content);
        fresh.Add(hash, content, readers);
        return hash;
    }
}
