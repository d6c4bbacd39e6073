using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Who is master, who its replicas are, and how far each has come.</content>
internal sealed partial class MetadataStore
{
    private readonly Dictionary<CopyName, ReplicaRow> _replicas = [];

    /// <summary>What is committed now goes on in a branch that this opening of the folder has begun.</summary>
    private bool _hasBranch;

    /// <summary>The journal after this position is needed by a replica; null where there is none.</summary>
    private Lsn? LowestNeeded => _replicas.Count == 0 ? JournalNeeded : _replicas.Values.Min(r => r.Needs);

    /// <summary>Replicas that are known. Takes no lock.</summary>
    public int ReplicaCount => _replicas.Count;

    /// <summary>Every replica that is known, away or not.</summary>
    public IReadOnlyList<ReplicaRow> Replicas()
    {
        lock (Lock)
            return [.. _replicas.Values.OrderBy(r => r.Name.Value, StringComparer.Ordinal)];
    }

    /// <summary>Notes how far a replica has come; one that is new is known from now on. Written with the next commit: it is no mutation.</summary>
    public FsResult PutReplica(CopyName name, Lsn acked, Lsn? held, bool lacks)
    {
        lock (Lock)
        {
            var now = Clock.Now();
            return Put(new ReplicaRow(name, acked, held, _replicas.TryGetValue(name, out var known) ? known.Registered : now, now, lacks));
        }
    }

    /// <summary>Notes whether a replica that is known lacks blocks of which it has acknowledged the rows. Written with the next commit.</summary>
    public FsResult SetLacks(CopyName name, bool lacks)
    {
        lock (Lock)
            return _replicas.TryGetValue(name, out var known) ? Put(known with { Lacks = lacks }) : FsResult.Ok;
    }

    private FsResult Put(in ReplicaRow row)
    {
        if (Enter() is var error and not Errno.None)
            return error;
        try
        {
            Apply(row);
            _effects.PutReplica(row);
            DoneLocal();
            return FsResult.Ok;
        }
        catch (Exception e)
        {
            return Undo(e);
        }
    }

    /// <summary>A replica is gone for good: nothing is kept for it any more, and it counts for nothing.</summary>
    public FsResult ForgetReplica(CopyName name)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                _sql.DeleteReplica.BindText(1, name.Value).Run();
                _effects.DeleteReplica(name);
                _replicas.Remove(name);
                DoneLocal();
                return FsResult.Ok;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>The history of masters, oldest first.</summary>
    public IReadOnlyList<EpochStart> Epochs()
    {
        lock (Lock)
        {
            var epochs = new List<EpochStart>();
            using var s = _database.Prepare("SELECT epoch, start, time FROM epoch ORDER BY epoch");
            while (s.Step())
                epochs.Add(new EpochStart(new Epoch(s.Int64(0)), new Lsn(s.Int64(1)), s.Time(2)));
            return epochs;
        }
    }

    /// <summary>The branch that the newest mutation is in; null where that was made when there were none.</summary>
    public Guid? NewestBranch => Branches() is [.., var newest] ? newest.Id : null;

    /// <summary>The branches of what is here, oldest first.</summary>
    public IReadOnlyList<Branch> Branches()
    {
        lock (Lock)
        {
            var branches = new List<Branch>();
            using var s = _database.Prepare("SELECT start, id FROM branch ORDER BY start");
            while (s.Step())
                branches.Add(new Branch(new Lsn(s.Int64(0)), new Guid(s.Blob(1))));
            return branches;
        }
    }

    /// <summary>
    /// Makes a replica the master, in a new epoch: whoever is at a lower one is no master any more. All of it is one transaction, which is committed on return: an epoch without its master would fence the one before and have
    /// none. With it go the records of append-only files whose content the master before had not sent yet. Numbers of inodes and of names go on behind a gap: what the master before gave out and never replicated, mounts may
    /// still know, and it is never anything else here.
    /// </summary>
    /// <param name="epoch">The epoch.</param>
    /// <param name="evicts">There is a bound on the blocks of this master.</param>
    /// <returns>ENOSPC, EIO: it is the replica that it was.</returns>
    public FsResult BecomeMaster(Epoch epoch, bool evicts)
    {
        lock (Lock)
        {
            if (evicts && PrepareEviction() is { IsOk: false } unprepared)
                return unprepared;
            if (Commit() is { IsOk: false } uncommitted)
                return uncommitted;
            if (Enter() is var error and not Errno.None)
                return error;
            var (before, tail, hadBranch) = (Volume, _tail, _hasBranch);
            Ending ending;
            try
            {
                var start = new EpochStart(epoch, new Lsn(_tail), Clock.Now());
                Apply(start);
                _effects.BeginEpoch(start);
                _nextInode += MetadataLimits.EpochGap;
                _nextCookie += (long)MetadataLimits.EpochGap;
                Done();
                ExecuteTrimRecords();
                using (var s = _database.Prepare("UPDATE volume SET role = ?1, fenced_by = NULL, fenced_at = NULL"))
                    s.Bind(1, (long)VolumeRole.Master).Run();
                ending = CommitOpen();
            }
            catch (Exception e)
            {
                Volume = before;
                Volatile.Write(ref _tail, tail);
                PendingMutations = 0;
                _hasBranch = hadBranch;
                return Undo(e);
            }
            Volume = Volume with { Role = VolumeRole.Master, Fence = null };
            return Ended(ending);
        }
    }

    /// <summary>Another master took over. Written with the next commit.</summary>
    public FsResult SetFence(Fence fence)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            var before = Volume;
            try
            {
                Apply(fence);
                _effects.Fence(fence);
                DoneLocal();
                return FsResult.Ok;
            }
            catch (Exception e)
            {
                Volume = before;
                return Undo(e);
            }
        }
    }

    private void Apply(in ReplicaRow row)
    {
        var s = _sql.PutReplica.BindText(1, row.Name.Value).Bind(2, row.Acked.Value);
        if (row.Held is { } held)
            s.Bind(3, held.Value);
        else
            s.BindNull(3);
        s.Bind(4, row.Registered).Bind(5, row.Seen).Bind(6, row.Lacks ? 1L : 0L).Run();
        _replicas[row.Name] = row;
    }

    private void Apply(in EpochStart epoch)
    {
        _sql.SetEpoch.Bind(1, epoch.Epoch.Value).Run();
        _sql.AddEpoch.Bind(1, epoch.Epoch.Value).Bind(2, epoch.Start.Value).Bind(3, epoch.Time).Run();
        Volume = Volume with { Epoch = epoch.Epoch };
    }

    /// <summary>With the first mutations of its own a copy begins a branch: should the folder have been set back, these are others than the ones that it had in their place.</summary>
    private void BeginBranch()
    {
        var branch = new Branch(Committed, Guid.NewGuid());
        Apply(branch);
        _effects.BeginBranch(branch);
        _hasBranch = true;
    }

    private void Apply(in Branch branch) => _sql.AddBranch.Bind(1, branch.Start.Value).Bind(2, branch.Id.ToByteArray()).Run();

    private void Apply(in Fence fence)
    {
        _sql.SetFence.Bind(1, fence.By.Value).Bind(2, fence.At.Value).Run();
        Volume = Volume with { Fence = fence };
    }

    private void ReadReplicas()
    {
        _replicas.Clear();
        using var s = _database.Prepare("SELECT name, acked, held, registered, seen, lacks FROM replica");
        while (s.Step())
        {
            var row = new ReplicaRow(CopyName.Parse(s.Text(0)), new Lsn(s.Int64(1)), s.IsNull(2) ? null : new Lsn(s.Int64(2)), s.Time(3), s.Time(4), s.Int64(5) != 0);
            _replicas.Add(row.Name, row);
        }
    }
}
