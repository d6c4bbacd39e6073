using System.Buffers;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>A bounded cache of block contents in memory. Thread-safe. A block's content never changes, so nothing here ever becomes wrong.</summary>
/// <remarks>
/// <para>
/// A segmented LRU (Karedla, Love and Wherry 1994): what comes in is on probation; asked for again it is protected, and falls back to probation when the protected part is full. So a long
/// sequential read does not drive out what is used again and again. Bounded by bytes, as blocks are from one byte to S long: libraries at hand count entries.
/// </para>
/// <para>
/// Readers get copies, never the buffer: buffers come from the array pool and go back to it, because a new array of 128 KiB for each block read would make the garbage collector work through its large objects all the
/// time. A buffer goes back when its entry is evicted and no copy is being made of it. Invariants: 1. <see cref="_bytes"/> is the sum of the charges of all entries in the index, and is at most the capacity
/// when the lock is free. 2. An entry's buffer is in the pool, or the entry is in the index, or has readers. 3. The lock is held for a few instructions, never for a copy.
/// </para>
/// </remarks>
internal sealed class BlockCache(long capacity)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<BlockHash, Entry> _index = [];
    private readonly LinkedList<Entry> _probation = new();
    private readonly LinkedList<Entry> _protected = new();
    private long _bytes;
    private long _protectedBytes;

    /// <summary>Memory in use, bytes.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
                return _bytes;
        }
    }

    public bool Contains(BlockHash hash)
    {
        lock (_lock)
            return _index.ContainsKey(hash);
    }

    /// <summary>Copies from a block from an offset on, as much as there is or fits.</summary>
    public bool TryCopy(BlockHash hash, int offset, Span<byte> destination, out int copied)
    {
        Entry? entry;
        lock (_lock)
        {
            if (!_index.TryGetValue(hash, out entry))
            {
                copied = 0;
                return false;
            }
            entry.Readers++;
            Promote(entry);
        }
        copied = Math.Clamp(entry.Length - offset, 0, destination.Length);
        entry.Buffer.AsSpan(Math.Min(offset, entry.Length), copied).CopyTo(destination);
        bool last;
        lock (_lock)
            last = --entry.Readers == 0 && entry.Evicted;
        if (last)
            ArrayPool<byte>.Shared.Return(entry.Buffer);
        return true;
    }

    /// <summary>Takes a block in. Owns the buffer from now on: rented from the shared pool, its first <paramref name="length"/> bytes the content.</summary>
    public void Add(BlockHash hash, byte[] buffer, int length)
    {
        var entry = new Entry(hash, buffer, length);
        List<byte[]>? free = null;
        lock (_lock)
        {
            if (entry.Charge > capacity || !_index.TryAdd(hash, entry))
            {
                free = [buffer];
            }
            else
            {
                _bytes += entry.Charge;
                _probation.AddFirst(entry.Node);
                while (_bytes > capacity)
                    Evict(ref free);
            }
        }
        foreach (byte[] b in free ?? [])
            ArrayPool<byte>.Shared.Return(b);
    }

    private void Evict(ref List<byte[]>? free)
    {
        var entry = (_probation.Last ?? _protected.Last!).Value;
        if (entry.Protected)
            _protectedBytes -= entry.Charge;
        entry.Node.List!.Remove(entry.Node);
        _index.Remove(entry.Hash);
        _bytes -= entry.Charge;
        entry.Evicted = true;
        if (entry.Readers == 0)
            (free ??= []).Add(entry.Buffer);
    }

    private void Promote(Entry entry)
    {
        entry.Node.List!.Remove(entry.Node);
        _protected.AddFirst(entry.Node);
        if (!entry.Protected)
        {
            entry.Protected = true;
            _protectedBytes += entry.Charge;
        }
        while (_protectedBytes > capacity / 100 * BlockLimits.CacheProtectedPercent && _protected.Last is { } last)
        {
            _protected.Remove(last);
            _probation.AddFirst(last);
            last.Value.Protected = false;
            _protectedBytes -= last.Value.Charge;
        }
    }

    private sealed class Entry
    {
        public Entry(BlockHash hash, byte[] buffer, int length)
        {
            Hash = hash;
            Buffer = buffer;
            Length = length;
            Node = new LinkedListNode<Entry>(this);
        }

        public BlockHash Hash { get; }

        public byte[] Buffer { get; }

        public int Length { get; }

        /// <summary>Bytes that count against the capacity.</summary>
        public long Charge => Buffer.Length + BlockLimits.CacheOverhead;

        public LinkedListNode<Entry> Node { get; }

        public bool Protected { get; set; }

        public bool Evicted { get; set; }

        /// <summary>Copies being made of the buffer now.</summary>
        public int Readers { get; set; }
    }
}
