using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace OrleansFs.Engine.Delta;

/// <summary>A lossy map of 61-bit keys to 32-bit values in a fixed amount of memory, for the inner loop of a search: to find out that a key is not there takes one cache line.</summary>
/// <remarks>
/// Eight places a bucket, with 32 bits of the key each; another 29 choose the bucket. So what is found is there by chance once in 2^29 keys and must be confirmed by whoever asks. A full bucket forgets its oldest entry.
/// One writer at a time; readers need nothing: what they see of a change under way is at worst a wrong value.
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
        ArgumentOutOfRangeException.ThrowIfLessThan(entries, Ways);
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
        int bucket = Bucket(key);
        uint fingerprint = Fingerprint(key);
        int free = -1;
        for (int way = 0; way < Ways; way++)
        {
            uint there = _fingerprints[bucket + way];
            if (there == fingerprint && _values[bucket + way] == value)
                return;
            if (there == 0 && free < 0)
                free = bucket + way;
        }
        Count += free < 0 ? 0 : 1;
        int place = free < 0 ? bucket + (int)(_next++ % Ways) : free;
        _values[place] = value;
        Volatile.Write(ref _fingerprints[place], fingerprint);
    }

    /// <summary>False where the key is not there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool MayHave(ulong key)
    {
        ref uint first = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_fingerprints), Bucket(key));
        return Vector256.EqualsAny(Vector256.LoadUnsafe(ref first), Vector256.Create(Fingerprint(key)));
    }

    /// <summary>The values under a key, newest not necessarily first.</summary>
    /// <returns>How many.</returns>
    public int Find(ulong key, Span<uint> values)
    {
        int bucket = Bucket(key);
        uint fingerprint = Fingerprint(key);
        int count = 0;
        for (int way = 0; way < Ways && count < values.Length; way++)
        {
            if (_fingerprints[bucket + way] == fingerprint)
                values[count++] = _values[bucket + way];
        }
        return count;
    }

    /// <summary>0 stands for no entry.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Fingerprint(ulong key) => Math.Max(1, (uint)key);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Bucket(ulong key) => ((int)(key >> 32) & _mask) * Ways;
}
