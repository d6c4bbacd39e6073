using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>fsck.</content>
internal sealed partial class MetadataStore
{
    /// <summary>Faults of the metadata as of the last commit, as they are found. May run beside changes; needs room for a scratch file beside meta.db of about
    /// 40 bytes for each block
    /// of each file and each name. While it runs the WAL cannot start anew.</summary>
    public IEnumerable<MetadataFault> Check(IProgress<CheckProgress>? progress, CancellationToken cancellation)
    {
        using var checker = new MetadataChecker(_path, Volume.BlockSize, progress, cancellation);
        foreach (var fault in checker.Run())
            yield return fault;
    }

    /// <summary>Repairs what <see cref="Check"/> finds; gives each fault when it is repaired, and at the end again those that could not be. Nothing else may
    /// use the store meanwhile,
    /// and nothing may be pending.</summary>
    /// <remarks>One repair can bring to light another fault, so it checks again until a pass finds nothing that it can repair.</remarks>
    public IEnumerable<(MetadataFault Fault, bool Repaired)> Repair(IProgress<CheckProgress>? progress, CancellationToken cancellation)
    {
        if (HasPending)
            throw new InvalidOperationException("a repair begins with everything committed");
        for (int pass = 0; pass < MetadataLimits.RepairPasses; pass++)
        {
            int repaired = 0;
            var beyond = new List<MetadataFault>();
            foreach (var page in Check(progress, cancellation).Chunk(MetadataLimits.PageRows))
            {
                foreach (var fault in RepairPage(page, beyond))
                {
                    repaired++;
                    yield return (fault, true);
                }
            }
            if (repaired > 0)
                continue;
            foreach (var fault in beyond)
                yield return (fault, false);
            yield break;
        }
    }

    private List<MetadataFault> RepairPage(MetadataFault[] page, List<MetadataFault> beyond)
    {
        var repaired = new List<MetadataFault>();
        lock (Lock)
        {
            if (_inTransaction)
                _sql.Rollback.Run();
            _inTransaction = false;
            var repair = new MetadataRepair(_database, Volume.BlockSize, Clock.Now());
            try
            {
                repair.Begin();
                foreach (var fault in page)
                    (repair.Repair(fault) ? repaired : beyond).Add(fault);
                repair.Commit();
            }
            finally
            {
                if (!_database.IsIdle)
                    _sql.Rollback.Run();
                ForgetAll();
            }
        }
        return repaired;
    }

    /// <summary>The tables were changed past the objects in memory: they are read anew.</summary>
    private void ForgetAll()
    {
        foreach (var inode in _ring)
            Forget(inode);
        _ring.Clear();
        _segments.Clear();
        _dentries.Clear();
        ReadState();
        Interlocked.Increment(ref _commits);
        Begin();
    }
}
