using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>Measures in the journal what replicas lack: how many bytes of blocks, and for how long. For one look at all of them: replicas that stand at the same position are measured once.</summary>
internal sealed class LagMeter(VolumeCopy volume, TimeProvider time) : IDisposable
{
    private readonly Dictionary<long, (long Bytes, bool IsLeast, double? Seconds)> _measured = [];
    private JournalReader? _reader;

    /// <summary>A report with its lag in bytes and seconds.</summary>
    public ReplicaReport Measure(ReplicaReport report)
    {
        if (report.LagMutations == 0)
            return report with { LagBytes = 0, LagSeconds = 0 };
        if (!_measured.TryGetValue(report.Lsn, out var lag))
            _measured.Add(report.Lsn, lag = Read(new Lsn(report.Lsn)));
        return report with { LagBytes = lag.Bytes, LagBytesIsLeast = lag.IsLeast, LagSeconds = lag.Seconds ?? report.LagSeconds };
    }

    /// <summary>Bytes of the blocks that were made after a position, as far as that is looked at.</summary>
    public long BytesAfter(Lsn position) => position >= volume.Metadata.Committed ? 0 : Read(position).Bytes;

    public void Dispose() => _reader?.Dispose();

    private (long Bytes, bool IsLeast, double? Seconds) Read(Lsn acked)
    {
        _reader ??= JournalReader.Open(volume.MetadataPath);
        var rows = _reader.Read(acked, ReplicationLimits.LagBytesRead, ReplicationLimits.LagRowsRead);
        // The journal does not go back so far: a full copy, of which the replica may have any part or none.
        if (rows is null)
            return (volume.Metadata.Counters.StoredBytes, false, null);
        if (rows.Count == 0)
            return (0, false, 0);
        var seen = new HashSet<BlockHash>();
        long bytes = 0;
        foreach (var block in rows.SelectMany(r => JournalContent.Of(r.Effects.Span).Blocks))
        {
            // One that was there before is there too.
            if (seen.Add(block.Hash) && volume.Metadata.TryGetBlock(block.Hash, out var row) && row.Birth > acked)
                bytes += row.StoredBytes;
        }
        var since = DateTimeOffset.UnixEpoch.AddTicks(rows[0].Time.Nanoseconds / TimeSpan.NanosecondsPerTick);
        return (bytes, rows[^1].Lsn < volume.Metadata.Committed, Math.Max(0, (time.GetUtcNow() - since).TotalSeconds));
    }
}
