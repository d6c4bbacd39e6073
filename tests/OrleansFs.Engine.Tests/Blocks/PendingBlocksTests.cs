using OrleansFs.Engine.Blocks;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Blocks;

public sealed class PendingBlocksTests
{
    [Fact]
    public void A_block_stays_pinned_until_each_pin_is_taken_back()
    {
        var pending = new PendingBlocks();
        var hash = BlockHash.Of([1]);
        var block = new PendingBlock(new StoredBlock(1, 4096, BlockCodec.Raw, 7), new WeakChecksum(2));
        Assert.False(pending.TryPin(hash, out _));
        pending.Pin(hash, block);
        Assert.True(pending.TryPin(hash, out var found));
        Assert.Equal(block, found);
        var newer = block with { Stored = block.Stored with { WriteSequence = 9 } };
        pending.Pin(hash, newer);
        Assert.True(pending.TryPin(hash, out found));
        Assert.Equal(newer, found);
        for (int i = 0; i < 4; i++)
        {
            Assert.True(pending.Contains(hash));
            Assert.Equal(1, pending.Count);
            pending.Unpin(hash);
        }
        Assert.False(pending.Contains(hash));
        Assert.Equal(0, pending.Count);
        Assert.Throws<InvalidOperationException>(() => pending.Unpin(hash));
    }
}
