using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace OrleansFs.Engine.Blocks;

/// <summary>Arithmetic of <see cref="WeakChecksum"/>: modulo the prime 2^61 - 1, where 2^61 is 1, so that a reduction is a shift and an addition.</summary>
internal static class WeakPolynomial
{
    public const ulong Prime = (1UL << 61) - 1;

    public const ulong Base = 0x190A_2A6E_33C1_0291;

    /// <summary>Bytes that are multiplied with ready-made powers before the sums are put together: 10 KiB of powers, a third of the first-level cache.</summary>
    private const int Chunk = 1024;

    /// <summary>A power is cut into five limbs of 13 bits: 16-bit lanes multiply them with bytes, and 32-bit lanes hold the sums of a chunk.</summary>
    private const int Limbs = 5;
    private const int LimbBits = 13;

    /// <summary>Limb k of B^(Chunk-1-i) at [k * Chunk + i].</summary>
    private static readonly short[] s_limbs = MakeLimbs();

    private static readonly ulong s_chunkPower = Power(Chunk);

    /// <summary>Bytes that <see cref="Horner"/> takes at a time.</summary>
    private const int Group = 16;

    /// <summary>B^(Group-1) … B^0.</summary>
    private static readonly ulong[] s_powers = [.. Enumerable.Range(0, Group).Select(i => Power((ulong)(Group - 1 - i)))];

    private static readonly ulong s_groupPower = Power(Group);

    /// <summary>The checksum of a window.</summary>
    public static ulong Evaluate(ReadOnlySpan<byte> content) => Avx2.IsSupported ? EvaluateVector(content) : EvaluateScalar(content);

    /// <summary>The same by plain multiplications.</summary>
    public static ulong EvaluateScalar(ReadOnlySpan<byte> content) => AddOnes(Horner(0, content), content.Length);

    public static ulong EvaluateVector(ReadOnlySpan<byte> content)
    {
        int head = content.Length % Vector128<byte>.Count;
        ulong sum = Horner(0, content[..head]);
        var rest = content[head..];
        int first = rest.Length % Chunk;
        if (first > 0)
            sum = Reduce(Math.BigMul(sum, Power((ulong)first)) + SumChunk(rest[..first]));
        for (int i = first; i < rest.Length; i += Chunk)
            sum = Reduce(Math.BigMul(sum, s_chunkPower) + SumChunk(rest.Slice(i, Chunk)));
        return AddOnes(sum, content.Length);
    }

    public static ulong Multiply(ulong a, ulong b) => Reduce(Math.BigMul(a, b));

    /// <summary>a * b + c, with b below the prime and c below 2^63.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong MultiplyAdd(ulong a, ulong b, ulong c) => Canonical(MultiplyAddLazily(a, b, c));

    /// <summary>
    /// Congruent to a * b + c, with b = <see cref="Base"/>, c below 2^62, and a any result of this or a number below the prime: results stay below 2^64, as each is at most 0.79 of the one before plus 2^61.
    /// What waits for it is the next multiplication, so the rest of the reduction is left to who wants the value.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong MultiplyAddLazily(ulong a, ulong b, ulong c)
    {
        ulong high = Math.BigMul(a, b, out ulong low);
        low += c;
        high += low < c ? 1UL : 0;
        return (low & Prime) + (low >> 61 | high << 3);
    }

    /// <summary>The number below the prime that a number is congruent to.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Canonical(ulong value)
    {
        ulong sum = Fold(value);
        return sum >= Prime ? sum - Prime : sum;
    }

    /// <summary>B^exponent.</summary>
    public static ulong Power(ulong exponent) => Power(Base, exponent);

    public static ulong Power(ulong number, ulong exponent)
    {
        ulong result = 1;
        for (ulong square = number; exponent != 0; exponent >>= 1, square = Multiply(square, square))
        {
            if ((exponent & 1) != 0)
                result = Multiply(result, square);
        }
        return result;
    }

    /// <summary>The ones that are added to n bytes: (B^n - 1) / (B - 1).</summary>
    private static ulong AddOnes(ulong sum, int length)
    {
        ulong ones = Multiply(Power((ulong)length) + Prime - 1, s_inverse);
        ulong result = sum + ones;
        return result >= Prime ? result - Prime : result;
    }

    /// <summary>1 / (B - 1), by Fermat's little theorem.</summary>
    private static readonly ulong s_inverse = Power(Base - 1, Prime - 2);

    /// <summary>Sixteen bytes with one reduction. The powers are multiplied in halves, whose sums stay within 64 bits.</summary>
    private static ulong Horner(ulong sum, ReadOnlySpan<byte> content)
    {
        ref ulong powers = ref MemoryMarshal.GetArrayDataReference(s_powers);
        ref byte x = ref MemoryMarshal.GetReference(content);
        int i = 0;
        for (; i + Group <= content.Length; i += Group)
        {
            ulong low = 0;
            ulong high = 0;
            for (int k = 0; k < Group; k++)
            {
                ulong value = Unsafe.Add(ref x, i + k);
                ulong power = Unsafe.Add(ref powers, k);
                low += value * (uint)power;
                high += value * (power >> 32);
            }
            ulong rest = Fold(low) + Fold((high & (1UL << 29) - 1) << 32) + (high >> 29);
            sum = MultiplyAdd(sum, s_groupPower, rest);
        }
        for (; i < content.Length; i++)
            sum = MultiplyAdd(sum, Base, Unsafe.Add(ref x, i));
        return sum;
    }

    /// <summary>The sum of up to a chunk, a multiple of 16 bytes, below 2^85.</summary>
    private static UInt128 SumChunk(ReadOnlySpan<byte> content)
    {
        ref byte bytes = ref MemoryMarshal.GetReference(content);
        ref short limbs = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(s_limbs), Chunk - content.Length);
        var sum0 = Vector256<int>.Zero;
        var sum1 = Vector256<int>.Zero;
        var sum2 = Vector256<int>.Zero;
        var sum3 = Vector256<int>.Zero;
        var sum4 = Vector256<int>.Zero;
        for (int i = 0; i < content.Length; i += Vector128<byte>.Count)
        {
            var x = Avx2.ConvertToVector256Int16(Vector128.LoadUnsafe(ref bytes, (nuint)i));
            sum0 += Avx2.MultiplyAddAdjacent(x, Vector256.LoadUnsafe(ref limbs, (nuint)i));
            sum1 += Avx2.MultiplyAddAdjacent(x, Vector256.LoadUnsafe(ref limbs, (nuint)(i + Chunk)));
            sum2 += Avx2.MultiplyAddAdjacent(x, Vector256.LoadUnsafe(ref limbs, (nuint)(i + 2 * Chunk)));
            sum3 += Avx2.MultiplyAddAdjacent(x, Vector256.LoadUnsafe(ref limbs, (nuint)(i + 3 * Chunk)));
            sum4 += Avx2.MultiplyAddAdjacent(x, Vector256.LoadUnsafe(ref limbs, (nuint)(i + 4 * Chunk)));
        }
        // The sum over a chunk is below 1024 * 255 * 2^13, which is below 2^31.
        ulong low = (uint)Vector256.Sum(sum0) + ((ulong)(uint)Vector256.Sum(sum1) << LimbBits);
        ulong middle = (uint)Vector256.Sum(sum2) + ((ulong)(uint)Vector256.Sum(sum3) << LimbBits);
        return low + ((UInt128)middle << 2 * LimbBits) + ((UInt128)(uint)Vector256.Sum(sum4) << 4 * LimbBits);
    }

    private static ulong Reduce(UInt128 value)
    {
        ulong low = (ulong)value;
        return Canonical((low & Prime) + (low >> 61 | (ulong)(value >> 64) << 3));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Fold(ulong value) => (value & Prime) + (value >> 61);

    private static short[] MakeLimbs()
    {
        var limbs = new short[Limbs * Chunk];
        ulong power = 1;
        for (int i = Chunk - 1; i >= 0; i--, power = Multiply(power, Base))
        {
            for (int k = 0; k < Limbs; k++)
                limbs[k * Chunk + i] = (short)(power >> k * LimbBits & (1 << LimbBits) - 1);
        }
        return limbs;
    }
}
