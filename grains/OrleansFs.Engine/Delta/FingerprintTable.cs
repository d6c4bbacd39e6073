using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace OrleansFs.Engine.Delta;

/// <summary>A lossy map of 61-bit keys to 32-bit values in a fixed amount of memory, for the inner loop of a search: to find out that a key is not there takes one cache line.</summary>
/// <remarks>
/// <para>Eight places a bucket, with 32 bits of the key each; another 29 choose the bucket. So what is found is there by chance once in 2^28 keys and must be confirmed by whoever asks. What finds its bucket full goes to
/// another one, which the key chooses too (with one bucket a key a table that is half full would have forgotten a hundredth); where that is full as well, it takes the place of an entry there. A bucket fills up from the front, so
/// its last place tells whether the other one has to be looked at.</para>
/// <para>One writer at a time; readers need nothing: what they see of a change under way is at worst a wrong value.</para>
/// </remarks>
internal sealed class FingerprintTable
{
    private const int Ways = 8;

    private readonly uint[] _fingerprints;
    private readonly uint[] _values;
    private readonly int _mask;
    private uint _next;

    /// <param name="entries">Room, a power of two.</param>
    public FingerprintTable(int entries)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(entries, 2 * Ways);
        ArgumentOutOfRangeException.ThrowIfNotEqual(BitOperations.IsPow2(entries), true);
        _fingerprints = new uint[entries];
        _values = new uint[entries];
        _mask = entries / Ways - 1;
    }

    /// <summary>Entries that there is room for.</summary>
    public int Capacity => _fingerprints.Length;

    /// <summary>Entries that there are.</summary>
    public int Count { get; private set; }

    /// <summary>Adds a value under a key; others may be under the same.</summary>
    public void Add(ulong key, uint value)
    {
        uint fingerprint = Fingerprint(key);
        int bucket = Bucket(key);
        if (!TryAdd(bucket, fingerprint, value) && !TryAdd(Other(bucket, fingerprint), fingerprint, value))
            Set(Other(bucket, fingerprint) + (int)(_next++ % Ways), fingerprint, value);
    }

    /// <summary>False where the key is not there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool MayHave(ulong key)
    {
        ref uint first = ref MemoryMarshal.GetArrayDataReference(_fingerprints);
        int bucket = Bucket(key);
        uint fingerprint = Fingerprint(key);
        var wanted = Vector256.Create(fingerprint);
        return Vector256.EqualsAny(Vector256.LoadUnsafe(ref first, (nuint)bucket), wanted)
            || Unsafe.Add(ref first, bucket + Ways - 1) != 0 && Vector256.EqualsAny(Vector256.LoadUnsafe(ref first, (nuint)Other(bucket, fingerprint)), wanted);
    }

    /// <summary>The values under a key, newest not necessarily first.</summary>
    /// <returns>How many.</returns>
    public int Find(ulong key, Span<uint> values)
    {
        uint fingerprint = Fingerprint(key);
        int bucket = Bucket(key);
        int count = Find(bucket, fingerprint, values);
        return _fingerprints[bucket + Ways - 1] == 0 ? count : count + Find(Other(bucket, fingerprint), fingerprint, values[count..]);
    }

    private int Find(int bucket, uint fingerprint, Span<uint> values)
    {
        int count = 0;
        for (int way = 0; way < Ways && count < values.Length; way++)
        {
            if (_fingerprints[bucket + way] == fingerprint)
                values[count++] = _values[bucket + way];
        }
        return count;
    }

    /// <returns>False where the bucket is full.</returns>
    private bool TryAdd(int bucket, uint fingerprint, uint value)
    {
        for (int place = bucket; place < bucket + Ways; place++)
        {
            uint there = _fingerprints[place];
            if (there == fingerprint && _values[place] == value)
                return true;
            if (there != 0)
                continue;
            Count++;
            Set(place, fingerprint, value);
            return true;
        }
        return false;
    }

    private void Set(int place, uint fingerprint, uint value)
    {
        _values[place] = value;
        Volatile.Write(ref _fingerprints[place], fingerprint);
    }

    /// <summary>0 stands for no entry.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Fingerprint(ulong key) => Math.Max(1, (uint)key);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Bucket(ulong key) => ((int)(key >> 32) & _mask) * Ways;

    /// <summary>Where a key is that does not fit into its bucket: never the same one, and from there it leads back.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Other(int bucket, uint fingerprint) => (bucket / Ways ^ ((int)(fingerprint * 0x9E37_79B1u >> 3) & _mask | 1)) * Ways;
}
