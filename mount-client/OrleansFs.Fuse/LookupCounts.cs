namespace OrleansFs.Fuse;

/// <summary>How often the kernel knows each node: up with each entry answered, down with FORGET. Safe from any thread; about 20 bytes a node.</summary>
public sealed class LookupCounts
{
    /// <summary>Nodes with a count above zero. The root is never counted.</summary>
    public long Count => throw new NotImplementedException();

    /// <summary>Counts one lookup.</summary>
    /// <returns>Whether the node was not known before.</returns>
    public bool Add(NodeId node) => throw new NotImplementedException();

    /// <summary>Takes lookups back.</summary>
    /// <returns>Whether the node is not known any more.</returns>
    public bool Forget(NodeId node, ulong lookups) => throw new NotImplementedException();

    /// <summary>Whether the kernel knows the node.</summary>
    public bool Contains(NodeId node) => throw new NotImplementedException();

    /// <summary>Forgets all, as at the end of a mount, and calls back for each node that was known.</summary>
    public void Clear(Action<NodeId>? forgotten = null) => throw new NotImplementedException();
}
