using OrleansFs.Engine.Metadata;

namespace OrleansFs.Engine.Content;

/// <summary>Files with something in flight, in the order in which they became dirty. As many as the in-flight budget has pages, at most.</summary>
internal sealed class DirtyFiles
{
    private readonly Lock _lock = new();
    private readonly LinkedList<Inode> _order = new();
    private readonly Dictionary<Inode, LinkedListNode<Inode>> _nodes = [];

    public int Count
    {
        get
        {
            lock (_lock)
                return _nodes.Count;
        }
    }

    public void Add(Inode inode)
    {
        lock (_lock)
            _nodes.TryAdd(inode, _order.AddLast(inode));
    }

    public void Remove(Inode inode)
    {
        lock (_lock)
        {
            if (_nodes.Remove(inode, out var node))
                _order.Remove(node);
        }
    }

    /// <summary>To the end: it has just been settled and still has newer content.</summary>
    public void Renew(Inode inode)
    {
        lock (_lock)
        {
            if (!_nodes.TryGetValue(inode, out var node))
                return;
            _order.Remove(node);
            _order.AddLast(node);
        }
    }

    /// <summary>The longest waiting ones.</summary>
    public IReadOnlyList<Inode> Oldest(int count)
    {
        lock (_lock)
            return [.. _order.Take(count)];
    }
}
