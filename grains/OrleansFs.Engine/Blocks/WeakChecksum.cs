namespace OrleansFs.Engine.Blocks;

/// <summary>A rolling checksum of a block, in 64 bits. Never the identity of anything: what it finds is confirmed by SHA-256.</summary>
/// <remarks>
/// <para>
/// Definition, for ever: of the bytes x[0] … x[n-1] it is the sum of (x[i] + 1) * B^(n-1-i) modulo the prime p = 2^61 - 1, from 0 to p - 1, with B = 0x190A2A6E33C10291. It is the fingerprint of Karp and
/// Rabin ("Efficient randomized pattern-matching algorithms", 1987). B is the first primitive root of p at or above the first eight bytes (little-endian, modulo 2^61) of the SHA-256 of
/// "OrleansFs weak checksum 1". Of "" it is 0, of "a" 0x62, of "OrleansFs" 0xC9B05D4D23A40D4, of 4096 zeros 0x12A37EC35386C26F.
/// </para>
/// <para>
/// Why a prime. Two windows of n bytes have the same checksum only where B is a root of the polynomial of their differences; that has fewer than n roots among 2^61 numbers, whatever the data: at most
/// one choice of B in 2^39 for a given pair of the largest blocks, and one in 2^61 for what is not made on purpose. Modulo 2^64, which would be faster by a multiplication, this fails for data with structure: any
/// B^(2^k) is 1 modulo 2^(k+2), so that swapped pieces at distances that are powers of two, as tables and images have them, lose the low bits (35 of 64 with two swaps at 2^16 and 2^15), and Thue-Morse sequences of
/// 2 KiB all collide. Cyclic polynomials (buzhash) are 0 for whatever has a period that divides 64 when the window is a power of two. Sums of two lanes (Adler, rsync) are blind to symmetrical moves.
/// B being a primitive root, no distance below 2^61 - 2 has B^distance = 1. One is added to each byte so that leading zeros count.
/// </para>
/// <para>Computing takes 14 µs a block of 128 KiB with AVX2, a seventh of its SHA-256.</para>
/// </remarks>
/// <param name="Value">Below 2^61 - 1. Evenly spread: any bits of it serve as a table index.</param>
internal readonly record struct WeakChecksum(ulong Value)
{
    public static WeakChecksum Compute(ReadOnlySpan<byte> content) => new(WeakPolynomial.Evaluate(content));
}

/// <summary>The weak checksum of a window of fixed length that slides over data.</summary>
internal struct RollingChecksum
{
    /// <summary>What a byte that leaves takes away, by its value: p - (x + 1) * B^n.</summary>
    private readonly ulong[] _leaving;
    private ulong _value;

    /// <param name="window">The first window.</param>
    public RollingChecksum(ReadOnlySpan<byte> window)
    {
        _leaving = new ulong[256];
        ulong power = WeakPolynomial.Power((ulong)window.Length);
        for (int x = 0; x < 256; x++)
            _leaving[x] = WeakPolynomial.Prime - WeakPolynomial.Multiply(power, (ulong)x + 1);
        _value = WeakPolynomial.Evaluate(window);
    }

    /// <summary>Begins anew with a window of the same length.</summary>
    public void Restart(ReadOnlySpan<byte> window) => _value = WeakPolynomial.Evaluate(window);

    public readonly WeakChecksum Value => new(WeakPolynomial.Canonical(_value));

    /// <summary>Slides by one byte: <paramref name="leaving"/> was the window's first, <paramref name="entering"/> becomes its last.</summary>
    public void Roll(byte leaving, byte entering) => _value = WeakPolynomial.MultiplyAddLazily(_value, WeakPolynomial.Base, _leaving[leaving] + entering + 1);
}
