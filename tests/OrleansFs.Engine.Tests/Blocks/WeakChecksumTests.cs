using System.Numerics;
using System.Runtime.Intrinsics.X86;
using CsCheck;
using OrleansFs.Engine.Blocks;
using Xunit;

namespace OrleansFs.Engine.Tests.Blocks;

public sealed class WeakChecksumTests
{
    /// <summary>Computed by another program (Python's integers) from the definition.</summary>
    [Fact]
    public void It_is_what_its_definition_says()
    {
        Assert.Equal(0UL, WeakChecksum.Compute([]).Value);
        Assert.Equal(1UL, WeakChecksum.Compute([0]).Value);
        Assert.Equal(0x62UL, WeakChecksum.Compute("a"u8).Value);
        Assert.Equal(0x0C9B05D4D23A40D4UL, WeakChecksum.Compute("OrleansFs"u8).Value);
        Assert.Equal(0x12A37EC35386C26FUL, WeakChecksum.Compute(new byte[4096]).Value);
        Assert.Equal(0x0A37707496F39CFFUL, WeakChecksum.Compute(new byte[131072]).Value);
        Assert.Equal(0x05F8D12C6B2F5B74UL, WeakChecksum.Compute(Enumerable.Range(0, 131072).Select(i => (byte)i).ToArray()).Value);
        Assert.Equal(0x037EC35386C26F95UL, WeakChecksum.Compute(Enumerable.Repeat((byte)255, 4096).ToArray()).Value);
    }

    [Fact]
    public void The_base_is_a_primitive_root()
    {
        ulong rest = WeakPolynomial.Prime - 1;
        foreach (ulong factor in new ulong[] { 2, 3, 5, 7, 11, 13, 31, 41, 61, 151, 331, 1321 })
        {
            Assert.NotEqual(1UL, WeakPolynomial.Power((WeakPolynomial.Prime - 1) / factor));
            while (rest % factor == 0)
                rest /= factor;
        }
        Assert.Equal(1UL, rest);
        Assert.Equal(1UL, WeakPolynomial.Power(WeakPolynomial.Prime - 1));
    }

    [Fact]
    public void All_ways_to_compute_it_agree()
    {
        if (!Avx2.IsSupported)
            Assert.Skip("this processor has no AVX2, so there is one way only");
        Gen.Select(Gen.Int[0, 5000], Gen.Int, Gen.Bool).Sample((length, seed, extreme) =>
        {
            byte[] content = extreme ? Enumerable.Repeat((byte)255, length).ToArray() : BlockFolderFixture.Content(seed, length);
            return WeakPolynomial.EvaluateVector(content) == WeakPolynomial.EvaluateScalar(content) && WeakPolynomial.EvaluateScalar(content) == Reference(content);
        }, iter: 300);
        byte[] large = Enumerable.Repeat((byte)255, 4 << 20).ToArray();
        Assert.Equal(WeakPolynomial.EvaluateVector(large), WeakPolynomial.EvaluateScalar(large));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(64)]
    [InlineData(4096)]
    [InlineData(4099)]
    public void Rolling_gives_at_each_place_what_computing_anew_does(int window)
    {
        foreach (byte[] data in new[] { BlockFolderFixture.Content(window, window + 3000), new byte[window + 3000], Enumerable.Repeat((byte)255, window + 3000).ToArray() })
        {
            var rolling = new RollingChecksum(data.AsSpan(0, window));
            for (int i = 0; i + window < data.Length; i++)
            {
                Assert.Equal(WeakChecksum.Compute(data.AsSpan(i, window)), rolling.Value);
                rolling.Roll(data[i], data[i + window]);
            }
        }
    }

    /// <summary>Data with structure, in which other rolling checksums collide or lose bits: no collisions among a hundred thousand windows, and every bit is set in half of them.</summary>
    [Fact]
    public void Data_of_low_entropy_does_not_collide()
    {
        const int Window = 4096;
        var seen = new Dictionary<ulong, string>();
        int[] bits = new int[61];
        void Add(byte[] window, string what)
        {
            ulong sum = WeakChecksum.Compute(window).Value;
            Assert.True(seen.TryAdd(sum, what), $"{what} collides with {seen.GetValueOrDefault(sum)}");
            for (int i = 0; i < 61; i++)
                bits[i] += (int)(sum >> i & 1);
        }
        byte[] zeros = new byte[Window];
        Add(zeros, "zeros");
        for (int at = 0; at < Window; at++)
        {
            foreach (byte value in new byte[] { 1, 2, 128, 255 })
                Add(With(zeros, (at, value)), $"{value} at {at}");
        }
        for (int a = 0; a < 300; a++)
        {
            for (int b = 0; b < 100; b++)
                Add(With(zeros, (a, 1), (1000 + 16 * b, 1)), $"ones at {a} and {1000 + 16 * b}");
        }
        // Swapped pieces at distances that are powers of two, and the sequences of Thue and Morse that defeat a modulus of 2^64.
        for (int i = 4; i < 12; i++)
        {
            for (int j = 4; j < i; j++)
            {
                Add(With(zeros, (1, 9), (1 + (1 << j), 8), (1 + (1 << i), 8), (Math.Min(1 + (1 << i) + (1 << j), Window - 1), 9)), $"square {i} {j}");
                Add(With(zeros, (1, 8), (1 + (1 << j), 9), (1 + (1 << i), 9), (Math.Min(1 + (1 << i) + (1 << j), Window - 1), 8)), $"square {i} {j} swapped");
            }
        }
        Add([.. Enumerable.Range(0, Window).Select(i => (byte)(BitOperations.PopCount((uint)i) & 1))], "Thue-Morse");
        Add([.. Enumerable.Range(0, Window).Select(i => (byte)(~BitOperations.PopCount((uint)i) & 1))], "Thue-Morse, inverted");
        for (int period = 2; period <= 1024; period++)
            Add([.. Enumerable.Range(0, Window).Select(i => (byte)(i % period == 0 ? 1 : 0))], $"period {period}");
        for (int value = 1; value < 256; value++)
            Add(Enumerable.Repeat((byte)value, Window).ToArray(), $"all {value}");
        Assert.All(bits, b => Assert.InRange((double)b / seen.Count, 0.48, 0.52));
    }

    private static byte[] With(byte[] data, params (int At, byte Value)[] changes)
    {
        byte[] copy = (byte[])data.Clone();
        foreach (var (at, value) in changes)
            copy[at] = value;
        return copy;
    }

    private static ulong Reference(byte[] content)
    {
        BigInteger sum = 0;
        foreach (byte x in content)
            sum = (sum * 0x190A2A6E33C10291UL + x + 1) % ((BigInteger.One << 61) - 1);
        return (ulong)sum;
    }
}
