namespace OrleansFs.Fuse;

/// <summary>How often the kernel knows each node: up with each entry answered, down with FORGET. Safe from any thread; 19 to 26 bytes a node.</summary>
/// <remarks>
/// Sixteen parts, each under its own lock: an open-addressed table of (node, count) pairs of 16 bytes, kept 60 % to 85 % full, probed linearly, with
/// deletion by shifting back. A node of 0 marks a free place: no inode has it.
/// </remarks>
public sealed class LookupCounts
{
    private const int PartBits = 4;
    private const ulong Golden = 0x9E3779B97F4A7C15; // 2^64 / golden ratio: spreads consecutive numbers evenly

    private readonly Part[] _parts = [.. Enumerable.Range(0, 1 << PartBits).Select(_ => new Part())];

    /// <summary>Nodes with a count above zero. The root is never counted.</summary>
    public long Count => _parts.Sum(p => p.Count);

    /// <summary>Bytes of the tables.</summary>
    internal long TableBytes => _parts.Sum(p => p.TableBytes);

    /// <summary>Counts one lookup.</summary>
    /// <returns>Whether the node was not known before.</returns>
    public bool Add(NodeId node)
    {
        if (node == NodeId.Root)
            return false;
        ArgumentOutOfRangeException.ThrowIfZero(node.Value, nameof(node));
        return PartOf(node).Add(node.Value);
    }

    /// <summary>Takes lookups back. More than were counted is a broken peer: the node is forgotten.</summary>
    /// <param name="node">The node.</param>
    /// <param name="lookups">How many.</param>
    /// <param name="forgotten">Called where the node is not known any more, before it can be counted anew, and so under a lock: for what is noted of it.</param>
    /// <returns>Whether the node was known and is not any more.</returns>
    public bool Forget(NodeId node, ulong lookups, Action<NodeId>? forgotten = null) => PartOf(node).Forget(node.Value, lookups, forgotten);

    /// <summary>Whether the kernel knows the node. It always knows the root.</summary>
    public bool Contains(NodeId node) => node == NodeId.Root || PartOf(node).Contains(node.Value);

    /// <summary>Forgets all, as at the end of a mount, and calls back for each node that was known.</summary>
    public void Clear(Action<NodeId>? forgotten = null)
    {
        foreach (Part part in _parts)
        {
            foreach (ulong node in part.Clear())
                forgotten?.Invoke(new NodeId(node));
        }
    }

    private Part PartOf(NodeId node) => _parts[(node.Value * Golden) >> (64 - PartBits)];

    private sealed class Part
    {
        private const int SmallestTable = 16;

        private readonly Lock _gate = new();
        private Slot[] _slots = new Slot[SmallestTable];
        private int _count;

        private record struct Slot(ulong Node, ulong Lookups);

        internal long Count
        {
            get
            {
                lock (_gate)
                    return _count;
            }
        }

        internal long TableBytes
        {
            get
            {
                lock (_gate)
                    return _slots.Length * 16L;
            }
        }

        internal bool Add(ulong node)
        {
            lock (_gate)
            {
                int at = Find(node);
                if (_slots[at].Node == node)
                {
                    _slots[at].Lookups++;
                    return false;
                }
                if ((long)(_count + 1) * 20 > (long)_slots.Length * 17)
                {
                    Resize(Math.Max(SmallestTable, _slots.Length + (_slots.Length * 3 / 8)));
                    at = Find(node);
                }
                _slots[at] = new Slot(node, 1);
                _count++;
                return true;
            }
        }

        internal bool Forget(ulong node, ulong lookups, Action<NodeId>? forgotten)
        {
            lock (_gate)
            {
                int at = Find(node);
                if (node == 0 || _slots[at].Node != node)
                    return false;
                if (_slots[at].Lookups > lookups)
                {
                    _slots[at].Lookups -= lookups;
                    return false;
                }
                RemoveAt(at);
                _count--;
                if (_slots.Length > SmallestTable && (long)_count * 4 < _slots.Length)
                    Resize(Math.Max(SmallestTable, _count * 3 / 2));
                forgotten?.Invoke(new NodeId(node));
                return true;
            }
        }

        internal bool Contains(ulong node)
        {
            lock (_gate)
                return node != 0 && _slots[Find(node)].Node == node;
        }

        internal List<ulong> Clear()
        {
            lock (_gate)
            {
                List<ulong> nodes = [.. _slots.Where(s => s.Node != 0).Select(s => s.Node)];
                _slots = new Slot[SmallestTable];
                _count = 0;
                return nodes;
            }
        }

        /// <summary>Where the node is, or the free place where it would go.</summary>
        private int Find(ulong node)
        {
            int at = Home(node);
            while (_slots[at].Node != 0 && _slots[at].Node != node)
                at = Next(at);
            return at;
        }

        /// <summary>Moves later members of the run into the gap, so that no search stops early.</summary>
        private void RemoveAt(int gap)
        {
            for (int at = Next(gap); _slots[at].Node != 0; at = Next(at))
            {
                int home = Home(_slots[at].Node);
                bool staysBehindGap = gap <= at ? home > gap && home <= at : home > gap || home <= at;
                if (staysBehindGap)
                    continue;
                _slots[gap] = _slots[at];
                gap = at;
            }
            _slots[gap] = default;
        }

        private void Resize(int size)
        {
            Slot[] old = _slots;
            _slots = new Slot[size];
            foreach (Slot slot in old)
            {
                if (slot.Node != 0)
                    _slots[Find(slot.Node)] = slot;
            }
        }

        /// <summary>The hash, scaled to the table's length, which is no power of two; its top bits chose the part and are shifted out.</summary>
        private int Home(ulong node) => (int)Math.BigMul((node * Golden) << PartBits, (ulong)_slots.Length, out _);

        private int Next(int at) => at + 1 == _slots.Length ? 0 : at + 1;
    }
}
