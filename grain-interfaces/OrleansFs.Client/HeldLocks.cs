using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>The file locks that a session has been granted, so that it can ask for them again at a copy that has forgotten them. Thread-safe.</summary>
internal sealed class HeldLocks
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(InodeNumber Inode, ulong Owner, bool WholeFile), List<FileLock>> _held = [];
    private readonly HashSet<(InodeNumber Inode, ulong Owner)> _doubted = [];

    /// <summary>A lock was granted, changed or given up. Ranges of one owner replace, split and merge as fcntl(2) has it.</summary>
    public void Apply(InodeNumber inode, FileLock change)
    {
        lock (_lock)
        {
            var key = (inode, change.Owner, change.WholeFile);
            var before = _held.GetValueOrDefault(key) ?? [];
            var after = new List<FileLock>();
            foreach (var held in before)
            {
                if (held.End < change.Start || held.Start > change.End)
                {
                    after.Add(held);
                    continue;
                }
                if (held.Start < change.Start)
                    after.Add(held with { End = change.Start - 1 });
                if (held.End > change.End)
                    after.Add(held with { Start = change.End + 1 });
            }
            if (change.Kind != LockKind.Unlock)
                after.Add(change);
            if (after.Count == 0)
                _held.Remove(key);
            else
                _held[key] = Merge(after);
        }
    }

    /// <summary>Whether an owner has fcntl locks on a file, or may have some at the copy.</summary>
    public bool Has(InodeNumber inode, ulong owner)
    {
        lock (_lock)
            return _held.ContainsKey((inode, owner, false)) || _doubted.Contains((inode, owner));
    }

    /// <summary>What the owner of a lock has already in its range, of its kind.</summary>
    public IReadOnlyList<FileLock> In(InodeNumber inode, FileLock wanted)
    {
        lock (_lock)
        {
            return !_held.TryGetValue((inode, wanted.Owner, wanted.WholeFile), out var held) ? []
                : [.. held.Where(h => h.Start <= wanted.End && wanted.Start <= h.End).Select(h => h with { Start = Math.Max(h.Start, wanted.Start), End = Math.Min(h.End, wanted.End) })];
        }
    }

    /// <summary>An owner may have been granted an fcntl lock: its close is told in any case.</summary>
    public void Doubt(InodeNumber inode, ulong owner)
    {
        lock (_lock)
            _doubted.Add((inode, owner));
    }

    /// <summary>A close gave up the fcntl locks that an owner had on a file.</summary>
    public void ReleaseOwner(InodeNumber inode, ulong owner)
    {
        lock (_lock)
        {
            _held.Remove((inode, owner, false));
            _doubted.Remove((inode, owner));
        }
    }

    public IReadOnlyList<(InodeNumber Inode, FileLock Lock)> All()
    {
        lock (_lock)
            return [.. _held.SelectMany(h => h.Value.Select(l => (h.Key.Inode, l)))];
    }

    private static List<FileLock> Merge(List<FileLock> locks)
    {
        locks.Sort((a, b) => a.Start.CompareTo(b.Start));
        var merged = new List<FileLock>(locks.Count);
        foreach (var next in locks)
        {
            if (merged.Count > 0 && merged[^1] is var last && last.Kind == next.Kind && last.End != ulong.MaxValue && last.End + 1 == next.Start)
                merged[^1] = last with { End = next.End };
            else
                merged.Add(next);
        }
        return merged;
    }
}
