using CsCheck;
using OrleansFs.Engine.Blocks;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Blocks;

public sealed class ContentHashTests
{
    private const int S = 4096;

    private static readonly BlockHash s_x = BlockHash.Of(Enumerable.Repeat((byte)'x', S).ToArray());

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Computed by another program (Python's hashlib) from the definition.</summary>
    [Theory]
    [InlineData(0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData(1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")]
    [InlineData(4095, "30e49613728c3548cd97608d9ae1bda942f2a5108e6b9fad472d0aef735034b9")]
    [InlineData(4096, "3d2add2c7bec4c2be8c4599deb69199e06de9fb8d637523d383d3d5c4677fd66")]
    [InlineData(4097, "01262ad2e6be3ee86fae39ae84360d76a93de070e5d8f962e55c953487e709ef")]
    [InlineData(8192, "900a97ee29bb2009fe7eacb3e728c9967e24653b074a53cbd04f84f008a23984")]
    [InlineData(1048576, "15b08a2d0d8bbda3625f4f5f2acde399259e53c6f3d9fbcdab63ed57d20986e7")]
    [InlineData(1048577, "b22001dd1a0d9f3af6a5c97ed9397b77ec2af5226c21a610a5963396dff8089c")]
    [InlineData(3000000, "efc5af14e42683864c8397f8123259c0ccccce2215d7121888710a3d13c291d6")]
    public async Task A_stream_has_the_hash_of_the_definition(int length, string expected) =>
        Assert.Equal(expected, (await HashAsync(Pattern(length))).ToString());

    [Fact]
    public async Task Zeros_hash_as_holes_do()
    {
        Assert.Equal("3be5410a3ff28d59f8635483435ab7a412519882407335c42d1c4bc6a44d10e7", (await HashAsync(new byte[10000])).ToString());
        Assert.Equal("ad7facb2586fc6e966c004d7d1d16b024f5805ff7cb47c7a85dabd8b48892ca7", (await HashAsync(new byte[4096])).ToString());
        byte[] holed = Pattern(3000000);
        holed.AsSpan(8192, 2200000 - 8192).Clear();
        Assert.Equal("2ee592d3cdaa004bf95a67b0f98debd3ddd70158080caa824c8d61f3c893d8f6", (await HashAsync(holed)).ToString());
        var builder = new ContentHashBuilder(S);
        Assert.Equal("3be5410a3ff28d59f8635483435ab7a412519882407335c42d1c4bc6a44d10e7", builder.Finish(10000).ToString());
    }

    [Fact]
    public void More_than_256_segments_make_a_third_level()
    {
        var sparse = new ContentHashBuilder(S);
        sparse.Append(s_x);
        sparse.AppendHoles(69998);
        sparse.Append(s_x);
        Assert.Equal("bb48fc64765c6e9fa3035ba1dd3989dcb9d44f07e6c3319bb9b837476d7b47ae", sparse.Finish(70000L * S).ToString());
        Assert.Equal("1ebf1bea8200eaee95001f149ffaf637aa5b549836bfea2f0bddb3df78bbd015", Repeated(65536).ToString());
        Assert.Equal("d00f98968a3317a7a824382138ab0ef146dfee543cbe07400408079bf3093b58", Repeated(65537).ToString());
    }

    [Fact]
    public void The_largest_file_costs_nothing_when_it_is_a_hole()
    {
        var all = new ContentHashBuilder(S);
        var one = new ContentHashBuilder(S);
        one.AppendHoles(1L << 50);
        one.Append(s_x);
        Assert.NotEqual(all.Finish(long.MaxValue), one.Finish(long.MaxValue));
    }

    [Fact]
    public void Blocks_and_stream_agree_whatever_the_holes() =>
        Gen.Select(Gen.Int[0, 700], Gen.Int[0, S - 1], Gen.Int[0, 1000]).Sample((blocks, tail, seed) =>
        {
            var random = new Random(seed);
            byte[] content = new byte[blocks * S + tail];
            for (int i = 0; i < content.Length; i += S)
            {
                if (random.Next(4) == 0)
                    random.NextBytes(content.AsSpan(i, Math.Min(S, content.Length - i)));
            }
            var builder = new ContentHashBuilder(S);
            int holes = 0;
            for (int i = 0; i < content.Length; i += S)
            {
                var block = content.AsSpan(i, Math.Min(S, content.Length - i));
                if (BlockStore.IsAllZero(block) && random.Next(3) > 0)
                {
                    holes++;
                    continue;
                }
                builder.AppendHoles(holes);
                holes = 0;
                builder.Append(BlockStore.IsAllZero(block) ? BlockHash.Hole : BlockHash.Of(block));
            }
            return HashAsync(content).GetAwaiter().GetResult() == builder.Finish(content.Length);
        }, iter: 60);

    [Fact]
    public void Segments_of_a_manifest_can_be_appended_as_they_are_stored()
    {
        var hashes = Enumerable.Range(0, 600).Select(i => i % 3 == 0 ? BlockHash.Hole : BlockHash.Of([(byte)i, (byte)(i >> 8)])).ToList();
        var single = new ContentHashBuilder(S);
        hashes.ForEach(single.Append);
        var segments = new ContentHashBuilder(S);
        foreach (var segment in hashes.Chunk(256))
            segments.Append(segment.SelectMany(h => h.ToArray()).ToArray());
        Assert.Equal(single.Finish(600 * S - 5), segments.Finish(600 * S - 5));
    }

    [Fact]
    public void Length_and_block_size_are_part_of_the_hash_and_nonsense_is_refused()
    {
        Assert.NotEqual(Repeated(3, 3 * S), Repeated(3, 3 * S - 1));
        Assert.Throws<ArgumentException>(() => Repeated(3, 2 * S));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ContentHashBuilder(5000));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ContentHashBuilder(2048));
    }

    [Fact]
    public async Task A_stream_in_small_pieces_of_any_block_size_hashes_the_same_and_tells_its_progress()
    {
        byte[] content = Pattern(5_000_000);
        foreach (int blockSize in new[] { 4096, 131072, 4 << 20 })
        {
            var told = new List<long>();
            var whole = await ContentHasher.HashAsync(new MemoryStream(content), blockSize, null, Cancellation);
            Assert.Equal(whole, await ContentHasher.HashAsync(new DribblingStream(content), blockSize, new Reports(told), Cancellation));
            Assert.Equal(content.Length, told[^1]);
        }
    }

    private static BlockHash Repeated(int blocks, long? length = null)
    {
        var builder = new ContentHashBuilder(S);
        for (int i = 0; i < blocks; i++)
            builder.Append(s_x);
        return builder.Finish(length ?? (long)blocks * S);
    }

    private static byte[] Pattern(int length)
    {
        byte[] bytes = new byte[length];
        for (long i = 0; i < length; i++)
            bytes[i] = (byte)(i * i + i / 251);
        return bytes;
    }

    private static Task<BlockHash> HashAsync(byte[] content) => ContentHasher.HashAsync(new MemoryStream(content), S, null, Cancellation);

    private sealed class Reports(List<long> told) : IProgress<long>
    {
        public void Report(long value) => told.Add(value);
    }

    /// <summary>Gives at most 1000 bytes a read.</summary>
    private sealed class DribblingStream(byte[] content) : MemoryStream(content)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => base.ReadAsync(buffer[..Math.Min(buffer.Length, 1000)], cancellationToken);
    }
}
