using OrleansFs.Engine.Content;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>Where the bytes of a block in flight lie.</summary>
public sealed class InFlightBlockTests : IDisposable
{
    private const int Pages = 8;
    private const int BlockSize = Pages * PagePool.PageSize;

    private readonly PagePool _pool = new(16 * BlockSize);

    [Fact]
    public void A_block_that_is_written_at_once_lies_in_one_piece_and_the_next_in_its_place_too()
    {
        for (int round = 0; round < 5; round++)
        {
            var blocks = Enumerable.Range(0, 3).Select(i => (Block: new InFlightBlock(_pool, BlockSize), Content: Content((round * 3) + i))).ToList();
            foreach (var (block, content) in blocks)
            {
                Write(block, 0, content);
                Assert.True(block.TryGetRun(BlockSize, out var run));
                Assert.True(run.SequenceEqual(content));
                Assert.True(block.TryGetRun(BlockSize - 5000, out run));
                Assert.True(run.SequenceEqual(content.AsSpan(0, BlockSize - 5000)));
            }
            foreach (var (block, content) in blocks)
                Assert.True(block.TryGetRun(BlockSize, out var run) && run.SequenceEqual(content));
            blocks.ForEach(b => b.Block.Release());
        }
    }

    [Fact]
    public void Blocks_that_are_written_in_turn_do_not_and_are_copied()
    {
        for (int round = 0; round < 3; round++)
        {
            var (one, other) = (new InFlightBlock(_pool, BlockSize), new InFlightBlock(_pool, BlockSize));
            var (first, second) = (Content(1), Content(2));
            for (int at = 0; at < BlockSize; at += PagePool.PageSize)
            {
                Write(one, at, first.AsSpan(at, PagePool.PageSize));
                Write(other, at, second.AsSpan(at, PagePool.PageSize));
            }
            Check(one, first);
            Check(other, second);
            one.Release();
            other.Release();
        }

        static void Check(InFlightBlock block, byte[] content)
        {
            byte[] copied = new byte[BlockSize];
            block.CopyTo(0, copied);
            Assert.Equal(content, copied);
            Assert.True(!block.TryGetRun(BlockSize, out var run) || run.SequenceEqual(content));
        }
    }

    public void Dispose() => _pool.Dispose();

    private static byte[] Content(int seed)
    {
        byte[] content = new byte[BlockSize];
        new Random(seed).NextBytes(content);
        return content;
    }

    private void Write(InFlightBlock block, int offset, ReadOnlySpan<byte> data)
    {
        int[] pages = new int[block.MissingPages(offset, data.Length)];
        Assert.True(_pool.TryRent(pages));
        block.Write(offset, data, [.. pages]);
    }
}
