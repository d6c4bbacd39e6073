using System.Runtime.InteropServices;

namespace OrleansFs.Model;

/// <summary>Memory for contents, in pieces of one length that are used again and again. Thread-safe.</summary>
/// <remarks>
/// It is taken in slabs, and in huge pages where the system has such: a page that is taken anew costs a fault and a clearing, 16 us on a virtual machine whose host keeps its page tables, and a slab of 16 MiB has 4,096 small
/// pages and eight large. A piece that somebody may still read is lost, not returned: the collector has its slab when nobody reads it any more.
/// </remarks>
/// <param name="length">Bytes of a piece, at most <see cref="SlabBytes"/>.</param>
/// <param name="bound">Bytes taken at most.</param>
/// <param name="time">The time.</param>
public sealed partial class Slabs(int length, long bound, TimeProvider time)
{
    /// <summary>Bytes taken at a time.</summary>
    public const int SlabBytes = 16 << 20;

    private const int MADV_HUGEPAGE = 14;
    private const nuint Page = 4096;

    private readonly Lock _lock = new();
    private readonly Stack<Memory<byte>> _free = new();
    private long _bytes;
    private int _uses;
    private long _lastUse;

    /// <summary>Bytes of a piece.</summary>
    public int Length => length;

    /// <summary>Bytes taken, in use or to be used again.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <summary>A piece, to be given back or lost; false where all are in use.</summary>
    public bool TryTake(out Memory<byte> piece)
    {
        lock (_lock)
        {
            _lastUse = time.GetTimestamp();
            if (_free.Count == 0 && _bytes + SlabBytes <= bound)
            {
                byte[] slab = GC.AllocateUninitializedArray<byte>(SlabBytes, pinned: true);
                PreferHugePages(slab);
                for (int at = 0; at + length <= slab.Length; at += length)
                    _free.Push(slab.AsMemory(at, length));
                Volatile.Write(ref _bytes, _bytes + slab.Length);
            }
            if (!_free.TryPop(out piece))
                return false;
            _uses++;
            return true;
        }
    }

    public void Return(Memory<byte> piece)
    {
        lock (_lock)
        {
            _uses--;
            _free.Push(piece);
        }
    }

    /// <summary>A piece is not used again.</summary>
    public void Lose()
    {
        lock (_lock)
            _uses--;
    }

    /// <summary>Gives all memory back where nothing of it is in use, and none was taken for so long.</summary>
    public void Release(TimeSpan idle)
    {
        if (Bytes == 0)
            return;
        lock (_lock)
        {
            if (_uses > 0 || time.GetElapsedTime(_lastUse) < idle)
                return;
            _free.Clear();
            Volatile.Write(ref _bytes, 0);
        }
    }

    private static unsafe void PreferHugePages(byte[] slab)
    {
        fixed (byte* start = slab)
        {
            nuint first = ((nuint)start + Page - 1) / Page * Page;
            _ = madvise((void*)first, (nuint)slab.Length - Page, MADV_HUGEPAGE); // a hint
        }
    }

    [LibraryImport("libc")]
    private static unsafe partial int madvise(void* address, nuint length, int advice);
}
