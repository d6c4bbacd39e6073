using OrleansFs.Engine.Native;

namespace OrleansFs.Engine.Metadata;

/// <summary>How long the WAL and the journal may become: less on a small disk, which they would fill.</summary>
/// <param name="CheckpointBytes">Bytes of WAL from which on a checkpoint is worth its two syncs.</param>
/// <param name="RestartBytes">Bytes of WAL past which the log starts anew.</param>
/// <param name="RedoBytes">Bytes of the redo log.</param>
/// <param name="EffectBytes">Bytes of the effect log.</param>
/// <param name="JournalBytes">Bytes of the journal that are kept although nobody needs them.</param>
/// <param name="ReplicatedJournalBytes">Bytes of the journal that are kept for replicas that are away.</param>
internal readonly record struct LogBudget(long CheckpointBytes, long RestartBytes, long RedoBytes, long EffectBytes, long JournalBytes, long ReplicatedJournalBytes)
{
    /// <summary>For a database in a folder.</summary>
    public static LogBudget For(string folder)
    {
        long share = Math.Max(DiskSpace.Of(folder).TotalBytes / MetadataLimits.DiskShare, MetadataLimits.LeastLogBytes);
        return new LogBudget(
            Math.Min(share / 4, MetadataLimits.CheckpointBytes),
            Math.Min(share, MetadataLimits.RestartBytes),
            Math.Min(share, MetadataLimits.RedoBytes),
            Math.Min(share / 4, MetadataLimits.EffectBytes),
            Math.Min(share, MetadataLimits.JournalBytes),
            Math.Min(4 * share, MetadataLimits.ReplicatedJournalBytes));
    }
}
