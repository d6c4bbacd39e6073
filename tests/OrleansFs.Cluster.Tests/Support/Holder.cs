using System.Collections.Concurrent;
using OrleansFs.Model;

namespace OrleansFs.Cluster.Tests.Support;

/// <summary>A mount that knows the inodes it is told to know.</summary>
internal sealed class Holder : ICacheHolder
{
    private readonly ConcurrentDictionary<InodeNumber, byte> _known = new();

    public bool Holds(InodeNumber inode) => _known.ContainsKey(inode);

    public void Know(InodeNumber inode) => _known[inode] = 0;

    public void Lose(InodeNumber inode) => _known.TryRemove(inode, out _);

    public ValueTask InvalidateAsync(InodeNumber[] inodes, bool areChanged) => default;

    public void InvalidateAll()
    {
    }
}
