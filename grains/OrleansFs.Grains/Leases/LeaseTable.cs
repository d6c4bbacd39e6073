using OrleansFs.Model;

namespace OrleansFs.Grains.Leases;

/// <summary>
/// Which session was told what of which inode, so that it can be told when that is no longer so. A lease on an inode covers its attributes and its content; on a directory also every name in it, and that a name
/// is not there. Thread-safe.
/// </summary>
/// <remarks>
/// Invariants:
/// 1. A lease is taken before what it covers is read, or a name in it is changed. So who was answered holds one, and whoever changes the inode after that finds it here.
/// 2. A change is answered only when every other session that held a lease on what it changed has said that it has let go, or its leases have run out by themselves (<see cref="LeaseHolder"/>).
/// 3. A recalled lease is gone as a whole: a session that still wants to know asks again, and has a new one by that. So a session that walked over a tree once costs another one message a directory, not one a change.
/// 4. The leases of one session are bounded: past the bound the oldest are recalled, many at a time, and nobody waits for that.
/// </remarks>
internal sealed class LeaseTable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<InodeNumber, List<Lease>> _leases = [];
    private ICacheHolder? _beside;

    /// <summary>The mount in this process, which holds what its kernel knows; null where there is none.</summary>
    public ICacheHolder? Beside
    {
        get => Volatile.Read(ref _beside);
        set => Volatile.Write(ref _beside, value);
    }

    /// <summary>Leases given and not recalled.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
                return _leases.Values.Sum(l => l.Count);
        }
    }

    /// <summary>A session is about to be told of an inode.</summary>
    public void Grant(LeaseHolder holder, InodeNumber inode)
    {
        lock (_lock)
        {
            if (!_leases.TryGetValue(inode, out var leases))
                _leases.Add(inode, leases = new List<Lease>(1));
            if (leases.Find(l => l.Holder == holder) is { } lease)
            {
                if (lease.Recall is null)
                    return;
                lease.Recall = null;
            }
            else
            {
                leases.Add(new Lease(holder));
            }
            foreach (var oldest in holder.Add(inode))
                BeginRecall(oldest, isChanged: false, l => l.Holder == holder, null);
        }
    }

    /// <summary>Inodes were changed by a session: completes when no other session holds to what was before.</summary>
    /// <param name="by">Who changed them; null for the mount in this process.</param>
    /// <param name="inodes">What was changed.</param>
    public ValueTask RecallAsync(LeaseHolder? by, IReadOnlyList<InodeNumber> inodes)
    {
        List<(LeaseHolder Holder, RecallBatch Batch)>? recalls = null;
        lock (_lock)
        {
            if (_leases.Count > 0)
            {
                foreach (var inode in inodes)
                    BeginRecall(inode, isChanged: true, l => l.Holder != by, recalls ??= []);
            }
        }
        var dropped = by is not null && Beside is { } mount && inodes.Any(mount.Holds) ? mount.InvalidateAsync([.. inodes], areChanged: true) : default;
        return recalls is { Count: > 0 } || !dropped.IsCompletedSuccessfully ? WhenGoneAsync(recalls ?? [], dropped) : default;
    }

    private static async ValueTask WhenGoneAsync(List<(LeaseHolder Holder, RecallBatch Batch)> recalls, ValueTask dropped)
    {
        foreach (var (holder, batch) in recalls)
            await holder.WhenGoneAsync(batch);
        await dropped;
    }

    /// <summary>A session holds nothing any more.</summary>
    public void Remove(LeaseHolder holder)
    {
        lock (_lock)
        {
            foreach (var inode in holder.TakeAll())
                Remove(inode, l => l.Holder == holder);
        }
    }

    /// <summary>A session has let go of what a batch recalled; of what it has been told anew since then it has not.</summary>
    internal void Acknowledged(LeaseHolder holder, RecallBatch batch)
    {
        lock (_lock)
        {
            foreach (var inode in batch.Inodes)
            {
                if (Remove(inode, l => l.Holder == holder && l.Recall == batch))
                    holder.Forget(inode);
            }
        }
    }

    private void BeginRecall(InodeNumber inode, bool isChanged, Predicate<Lease> whose, List<(LeaseHolder Holder, RecallBatch Batch)>? recalls)
    {
        if (!_leases.TryGetValue(inode, out var leases))
            return;
        foreach (var lease in leases)
        {
            if (!whose(lease))
                continue;
            lease.Recall ??= lease.Holder.Recall(inode, isChanged);
            recalls?.Add((lease.Holder, lease.Recall));
        }
    }

    private bool Remove(InodeNumber inode, Predicate<Lease> which)
    {
        if (!_leases.TryGetValue(inode, out var leases) || leases.RemoveAll(which) == 0)
            return false;
        if (leases.Count == 0)
            _leases.Remove(inode);
        return true;
    }

    private sealed class Lease(LeaseHolder holder)
    {
        public LeaseHolder Holder { get; } = holder;

        /// <summary>What takes it back; null while it is held.</summary>
        public RecallBatch? Recall { get; set; }
    }
}

/// <summary>Inodes that a session is told to let go of in one message.</summary>
internal sealed class RecallBatch
{
    private readonly TaskCompletionSource _gone = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public List<InodeNumber> Inodes { get; } = [];

    /// <summary>Others change some of them; else there are only too many.</summary>
    public bool AreChanged { get; set; }

    /// <summary>Completes when the session has let go.</summary>
    public Task Gone => _gone.Task;

    public void Complete() => _gone.TrySetResult();
}
