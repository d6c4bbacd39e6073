using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>
/// Which inodes without a name this session keeps alive at the copy, seen from the client. An inode the copy asks about is <em>held</em> while the mount knows it, and given up when the mount
/// has not known it at two askings in a row: the answer to a lookup may be on its way from the copy to the mount when it is asked for the first time. Thread-safe.
/// </summary>
internal sealed class Orphans
{
    private readonly Lock _lock = new();
    private readonly HashSet<InodeNumber> _held = [];
    private readonly HashSet<InodeNumber> _unknown = [];
    private readonly HashSet<InodeNumber> _forgotten = [];

    public void Hold(InodeNumber inode)
    {
        lock (_lock)
            _held.Add(inode);
    }

    /// <summary>The mount says by itself that it no longer knows an inode.</summary>
    /// <returns>How many wait to be told to the copy.</returns>
    public int Forget(InodeNumber inode)
    {
        lock (_lock)
        {
            if (_held.Remove(inode))
                _forgotten.Add(inode);
            return _forgotten.Count;
        }
    }

    /// <summary>The copy asks whether the session still knows inodes.</summary>
    /// <returns>Whether an answer is still open: ask again soon.</returns>
    public bool Ask(ReadOnlySpan<InodeNumber> inodes, IInodeHolder holder)
    {
        lock (_lock)
        {
            foreach (var inode in inodes)
            {
                if (_forgotten.Contains(inode))
                    continue;
                if (holder.Holds(inode))
                {
                    _held.Add(inode);
                    _unknown.Remove(inode);
                    holder.LetGo(inode);
                }
                else if (!_unknown.Add(inode))
                {
                    _unknown.Remove(inode);
                    _held.Remove(inode);
                    _forgotten.Add(inode);
                }
            }
            return _unknown.Count > 0;
        }
    }

    /// <summary>Inodes to be given up. Taken: they are told to the copy, which asks again about any that it did not hear of.</summary>
    public InodeNumber[] TakeForgotten(int count)
    {
        lock (_lock)
        {
            InodeNumber[] taken = [.. _forgotten.Take(count)];
            _forgotten.ExceptWith(taken);
            return taken;
        }
    }
}
