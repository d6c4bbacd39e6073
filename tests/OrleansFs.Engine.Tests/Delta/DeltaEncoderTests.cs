using CsCheck;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Delta;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Delta;

/// <summary>What the encoder finds, and that what is built from it is what was to be built.</summary>
public sealed class DeltaEncoderTests
{
    private const int S = 4096;

    [Theory]
    [InlineData(4 << 10)]
    [InlineData(16 << 10)]
    [InlineData(128 << 10)]
    [InlineData(1 << 20)]
    [InlineData(4 << 20)]
    public void An_insertion_at_the_front_is_found_with_every_block_at_every_block_size(int blockSize)
    {
        byte[] old = Bytes(1, 3 * blockSize);
        var sources = new MemorySources(blockSize);
        foreach (var hash in sources.AddFile(old))
            sources.Evicted.Add(hash);
        byte[] content = [.. Bytes(2, 100), .. old];
        // No old data is at hand: all but the ends is found by sums.
        Assert.Equal(100, Literals(content, 3 * blockSize, blockSize, sources));
        sources.Evicted.Clear();
        Assert.Equal(100, Literals(content, 3 * blockSize, blockSize, sources));
    }

    [Theory]
    [InlineData(4 << 10)]
    [InlineData(128 << 10)]
    [InlineData(4 << 20)]
    public void A_byte_changed_in_place_costs_a_byte(int blockSize)
    {
        byte[] old = Bytes(3, blockSize);
        var sources = new MemorySources(blockSize);
        var known = sources.AddFile(old)[0];
        byte[] content = [.. old];
        content[blockSize / 2] ^= 1;
        Assert.Equal(1, Literals(content, blockSize, blockSize, sources, [known]));
    }

    [Fact]
    public void An_edit_beside_a_find_costs_the_edit()
    {
        byte[] old = Bytes(4, 4 * S);
        var sources = new MemorySources(S);
        sources.AddFile(old);
        // Moved by 1000, and in the second old block 10 bytes gone and 20 others there.
        byte[] content = [.. Bytes(5, 1000), .. old[..(S + 500)], .. Bytes(6, 20), .. old[(S + 510)..]];
        int length = content.Length / S * S;
        Assert.InRange(Literals(content, length, S, sources), 1020, 1020 + 2 * DeltaLimits.MinMoved);
    }

    [Fact]
    public void Pieces_that_change_places_within_a_block_are_found()
    {
        byte[] old = Bytes(7, S);
        var sources = new MemorySources(S);
        var known = sources.AddFile(old)[0];
        byte[] content = [.. old[2000..3000], .. old[..2000], .. old[3000..]];
        Assert.InRange(Literals(content, S, S, sources, [known]), 0, 3 * DeltaLimits.MinMoved);
    }

    [Fact]
    public void A_false_weak_match_is_not_believed()
    {
        var sources = new MemorySources(S);
        byte[] content = Bytes(8, 4 * S);
        // Every window of the second block is claimed to be a block that it is not.
        var other = sources.AddBlock(Bytes(9, S));
        for (int i = S; i < 2 * S; i++)
            sources.Claim(WeakChecksum.Compute(content.AsSpan(i, S)), other);
        Assert.Equal(4 * S, Literals(content, 4 * S, S, sources));
        // The table forgets some of so many.
        Assert.InRange(sources.FalseMatches, S / 2, S);
    }

    [Fact]
    public void Two_blocks_of_one_checksum_are_told_apart()
    {
        var (one, two) = WeakCollision.Blocks(S);
        Assert.NotEqual(BlockHash.Of(one), BlockHash.Of(two));
        Assert.Equal(WeakChecksum.Compute(one), WeakChecksum.Compute(two));
        var sources = new MemorySources(S);
        sources.Evicted.Add(sources.AddBlock(one));
        byte[] content = [.. Bytes(10, 77), .. two, .. Bytes(11, S)];
        Literals(content, 2 * S, S, sources);
        Assert.Equal(1, sources.FalseMatches);
        sources.Evicted.Add(sources.AddBlock(two));
        Assert.Equal(S, Literals(content, 2 * S, S, sources));
    }

    /// <summary>Also where what is told of the place before is wrong.</summary>
    [Theory]
    [InlineData(4 << 10, 600)]
    [InlineData(16 << 10, 60)]
    [InlineData(128 << 10, 12)]
    [InlineData(1 << 20, 3)]
    [InlineData(4 << 20, 1)]
    public void Whatever_is_encoded_is_built_again(int blockSize, int times)
    {
        Gen.Select(Gen.Int[1, 6], Gen.Int[0, 3].Array[0, 40], Gen.Int[0, 1 << 20].Array[40], Gen.Int[0, 1 << 20].Array[40], Gen.Bool, Gen.Bool, Gen.Int[0, 3], Gen.Int[0, 12])
            .Sample((blocks, edits, places, sizes, hasBases, isEvicted, alphabet, hint) =>
            {
                byte[] old = Bytes(blocks + alphabet, blocks * blockSize + sizes[0] % blockSize, Alphabets[alphabet]);
                var sources = new MemorySources(blockSize);
                var known = sources.AddFile(old);
                if (isEvicted)
                    sources.Evicted.UnionWith(known.Where((_, i) => i % 2 == 0));
                byte[] content = Edit(old, edits, places, sizes, Alphabets[alphabet]);
                if (content.Length == 0)
                    return;
                DeltaPosition? before = hint < known.Count ? new DeltaPosition(known[hint], sizes[1] % (blockSize + 1)) : null;
                Literals(content, content.Length, blockSize, sources, hasBases ? known : [], before);
            }, iter: times, threads: 1);
    }

    [Fact]
    public void What_goes_on_from_the_run_before_needs_no_window()
    {
        byte[] old = Bytes(12, 3 * S);
        var sources = new MemorySources(S);
        var known = sources.AddFile(old);
        // Less than a block of content: no window fits.
        byte[] content = old[(S + 100)..(2 * S + 50)];
        Assert.Equal(content.Length, Literals(content, content.Length, S, sources));
        Assert.Equal(0, Literals(content, content.Length, S, sources, null, new DeltaPosition(known[1], 100)));
        Assert.Equal(0, Literals(old[S..(S + 70)], 70, S, sources, null, new DeltaPosition(known[0], S)));
    }

    /// <summary>Random bytes; two values, so that everything repeats itself; a short period; long runs.</summary>
    private static readonly Func<Random, int, byte>[] Alphabets =
    [
        (random, _) => (byte)random.Next(),
        (random, _) => (byte)random.Next(2),
        (_, i) => (byte)(i % 16),
        (random, i) => (byte)(i / 700),
    ];

    /// <summary>Encodes blocks of a run, writes and reads the message, builds, compares.</summary>
    /// <returns>Literal bytes.</returns>
    private static int Literals(byte[] content, int length, int blockSize, MemorySources sources, List<BlockHash>? bases = null, DeltaPosition? before = null)
    {
        int count = (length + blockSize - 1) / blockSize;
        var encoder = new DeltaEncoder(blockSize);
        var run = new DeltaRun(content, length, [.. Enumerable.Range(0, count).Select(i => bases is not null && i < bases.Count ? bases[i] : BlockHash.Hole)], [.. Enumerable.Repeat(true, count)], Before: before);
        var copies = encoder.Encode(run, sources);
        int position = 0;
        int literals = 0;
        foreach (var copy in copies)
        {
            Assert.InRange(copy.Start, position, length);
            Assert.InRange(copy.Length, 1, length - copy.Start);
            Assert.True(sources.Content(copy.Source).AsSpan(copy.Offset, copy.Length).SequenceEqual(content.AsSpan(copy.Start, copy.Length)));
            literals += copy.Start - position;
            position = copy.End;
        }
        literals += length - position;
        Build(content.AsSpan(0, length), blockSize, [.. copies], sources);
        return literals;
    }

    /// <summary>In as many messages as a sender makes of it: each has room for the literals of what one encoding is about.</summary>
    private static void Build(ReadOnlySpan<byte> content, int blockSize, DeltaCopy[] copies, MemorySources sources)
    {
        var writer = new DeltaWriter();
        int position = 0;
        for (int start = 0; start < content.Length; start += blockSize)
        {
            int end = Math.Min(start + blockSize, content.Length);
            DeltaCopy[] own = [.. copies.Where(c => c.Start < end && c.End > start)
                .Select(c => (Copy: c, From: Math.Max(c.Start, start), To: Math.Min(c.End, end))).Select(c => new DeltaCopy(c.From, c.To - c.From, c.Copy.Source, c.Copy.Offset + c.From - c.Copy.Start))];
            writer.Add(BlockHash.Of(content[start..end]), content[start..end], start, own);
            if (writer.Bytes >= DeltaLimits.MessageBytes || end == content.Length)
                position += BuildMessage(writer, content[position..end], sources);
        }
        Assert.Equal(content.Length, position);
    }

    /// <returns>Bytes built.</returns>
    private static int BuildMessage(DeltaWriter writer, ReadOnlySpan<byte> content, MemorySources sources)
    {
        bool isShort = false;
        var program = DeltaProgram.TryRead(writer.Take(_ => isShort = !isShort, content.Length % 2 == 0 ? DeltaProgram.Version : DeltaProgram.FullVersion));
        Assert.NotNull(program);
        int position = 0;
        foreach (var target in program.Targets)
        {
            byte[] built = new byte[target.Length];
            Assert.True(target.TryBuild(built, program.Literals.Span, i => sources.Content(sources.All.Single(h => h.Prefix == program.Sources[i].Prefix))));
            Assert.Equal(target.Prefix, BlockHash.Of(built).Prefix);
            Assert.True(content.Slice(position, target.Length).SequenceEqual(built));
            position += target.Length;
        }
        return position;
    }

    private static byte[] Edit(byte[] old, int[] edits, int[] places, int[] sizes, Func<Random, int, byte> alphabet)
    {
        var content = new List<byte>(old);
        for (int i = 0; i < edits.Length; i++)
        {
            int at = places[i] % (content.Count + 1);
            int size = sizes[i] % 3000;
            switch (edits[i])
            {
                case 0:
                    content.InsertRange(at, Bytes(sizes[i], size, alphabet));
                    break;
                case 1:
                    content.RemoveRange(at, Math.Min(size, content.Count - at));
                    break;
                case 2:
                    for (int k = at; k < Math.Min(content.Count, at + size % 50); k++)
                        content[k] ^= 0x55;
                    break;
                default:
                    var moved = content.GetRange(at, Math.Min(size, content.Count - at));
                    content.RemoveRange(at, moved.Count);
                    content.InsertRange(sizes[i] % (content.Count + 1), moved);
                    break;
            }
        }
        return [.. content];
    }

    private static byte[] Bytes(int seed, int count, Func<Random, int, byte>? alphabet = null)
    {
        var random = new Random(seed);
        byte[] bytes = new byte[count];
        if (alphabet is null)
            random.NextBytes(bytes);
        for (int i = 0; i < count && alphabet is not null; i++)
            bytes[i] = alphabet(random, i);
        return bytes;
    }
}
