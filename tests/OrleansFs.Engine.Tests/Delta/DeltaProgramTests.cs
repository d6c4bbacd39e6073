using CsCheck;
using OrleansFs.Engine.Delta;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Delta;

/// <summary>The message that tells how to build blocks.</summary>
public sealed class DeltaProgramTests
{
    /// <summary>A message of format 1, as it was when the format was made: a block of 40 bytes out of two sources, one of them named in full.</summary>
    private const string Sample =
        "01 01 1111111111111111 01 2222222222222222222222222222222222222222222222222222222222222222 05 00 01"
        + " 3333333333333333333333333333333333333333333333333333333333333333 28 02 02 14 00 0e 01 0f 02 0a" + " 6162636465";

    /// <summary>A message of format 2: the same block, and one that is a part of the second source.</summary>
    private const string Sample2 =
        "02 01 1111111111111111 01 2222222222222222222222222222222222222222222222222222222222222222 05 00 02"
        + " 3333333333333333 50 02 02 14 00 0e 01 0f 02 0a  4444444444444444 00 01 00 28 00 00 6162636465";

    [Fact]
    public void A_message_of_format_1_is_read_for_ever()
    {
        byte[] message = Convert.FromHexString(Sample.Replace(" ", ""));
        var program = DeltaProgram.TryRead(message);
        Assert.NotNull(program);
        Assert.Equal([new DeltaSource(0x1111111111111111, null), new DeltaSource(0x2222222222222222, Hash(0x22))], program.Sources);
        var target = Assert.Single(program.Targets);
        Assert.Equal((0x3333333333333333ul, Hash(0x33), 40, 0), (target.Prefix, target.Hash, target.Length, target.Literals));
        Assert.Equal([new DeltaPiece(2, 20, 0, 7), new DeltaPiece(23, 15, 1, 5)], target.Copies);
        byte[] built = new byte[40];
        Assert.True(target.TryBuild(built, program.Literals.Span, source => Enumerable.Range(source * 100, 60).Select(i => (byte)i).ToArray()));
        Assert.Equal([.. "ab"u8, .. Enumerable.Range(7, 20).Select(i => (byte)i), (byte)'c', .. Enumerable.Range(105, 15).Select(i => (byte)i), .. "de"u8], built);
        Assert.False(target.TryBuild(built, program.Literals.Span, _ => new byte[19]));

        var writer = new DeltaWriter();
        writer.Add(Hash(0x33), built, 1000, [new DeltaCopy(1002, 20, Hash(0x11), 7), new DeltaCopy(1023, 15, Hash(0x22), 5)]);
        Assert.Equal(message, writer.Take(h => h == Hash(0x11), DeltaProgram.FullVersion));
        Assert.Equal(0, writer.Count);
    }

    [Fact]
    public void A_message_of_format_2_is_read_for_ever_and_names_targets_by_eight_bytes()
    {
        byte[] message = Convert.FromHexString(Sample2.Replace(" ", ""));
        var program = DeltaProgram.TryRead(message);
        Assert.NotNull(program);
        Assert.Equal([(0x3333333333333333ul, null, 40, 0), (0x4444444444444444ul, null, 40, 5)], program.Targets.Select(t => (t.Prefix, t.Hash, t.Length, t.Literals)));
        Assert.Equal([new DeltaPiece(0, 40, 1, 20)], program.Targets[1].Copies);

        var writer = new DeltaWriter();
        byte[] content = [.. "ab"u8, .. new byte[20], (byte)'c', .. new byte[15], .. "de"u8];
        writer.Add(Hash(0x33), content, 1000, [new DeltaCopy(1002, 20, Hash(0x11), 7), new DeltaCopy(1023, 15, Hash(0x22), 5)]);
        writer.Add(Hash(0x44), content, 1040, [new DeltaCopy(1040, 40, Hash(0x22), 20)]);
        Assert.Equal(message, writer.Take(h => h == Hash(0x11), DeltaProgram.Version));
    }

    [Theory]
    [InlineData(Sample)]
    [InlineData(Sample2)]
    public void Every_beginning_and_every_flipped_byte_of_a_message_is_read_or_refused_without_harm(string sample)
    {
        byte[] message = Convert.FromHexString(sample.Replace(" ", ""));
        for (int i = 0; i < message.Length; i++)
        {
            Assert.Null(DeltaProgram.TryRead(message.AsSpan(0, i)));
            for (int value = 0; value < 256; value++)
            {
                byte[] changed = [.. message];
                changed[i] = (byte)value;
                Use(changed);
            }
        }
        Assert.Null(DeltaProgram.TryRead([.. message, 0]));
    }

    [Fact]
    public void Any_bytes_are_read_or_refused_without_harm() =>
        Gen.Select(Gen.Byte[1, 2], Gen.Byte.Array[0, 200]).Sample((version, bytes) => Use([version, .. bytes]), iter: 20_000, threads: 1);

    private static void Use(byte[] message)
    {
        if (DeltaProgram.TryRead(message) is not { } program)
            return;
        byte[] source = new byte[100];
        foreach (var target in program.Targets)
            target.TryBuild(new byte[target.Length], program.Literals.Span, i => i < program.Sources.Count ? source : throw new InvalidOperationException());
    }

    private static BlockHash Hash(byte value) => new([.. Enumerable.Repeat(value, BlockHash.Size)]);
}
