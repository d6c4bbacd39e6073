using System.Globalization;
using OrleansFs.Cli.Control;
using OrleansFs.Model;

namespace OrleansFs.Cli.Output;

/// <summary>A status for people.</summary>
internal static class StatusText
{
    private const int LabelWidth = 12;

    public static string Render(StatusReport report)
    {
        var volume = report.Volume;
        var lines = new List<string>
        {
            Line("volume", $"{volume.Volume} ({volume.Uuid}), {volume.Role} copy '{volume.Copy}', format {volume.FormatVersion}"),
            Line("served", report.Mount is { } mount
                ? $"at {mount.MountPoint} by process {mount.ProcessId} ({Transport(mount)}{(mount.ReadOnly ? ", read-only" : "")}), {Count(mount.Requests)} requests since {Time(mount.Started)}"
                : "no: the folder is at rest"),
            Line("block size", ByteSize.Format(volume.BlockSize)),
            Line("inodes", $"{Count(volume.Files)} files, {Count(volume.Directories)} directories, {Count(volume.OtherInodes)} others, {Count(volume.Orphans)} unlinked but in use"),
            Line("logical", $"{ByteSize.Format(volume.LogicalBytes)}, of it {ByteSize.Format(volume.ReferencedBytes)} without holes"),
            Line("unique", $"{ByteSize.Format(volume.UniqueBytes)} in {Count(volume.Blocks)} blocks (deduplication {Ratio(volume.DeduplicationRatio)})"),
            Line("stored", $"{ByteSize.Format(volume.StoredBytes)} (compression {Ratio(volume.CompressionRatio)}), metadata {ByteSize.Format(volume.MetadataBytes)}"),
            Line("to collect", $"{ByteSize.Format(volume.DeadBytes)} in {Count(volume.DeadBlocks)} blocks"),
            Line("in flight", $"{ByteSize.Format(volume.InFlightBytes)} of {ByteSize.Format(volume.InFlightLimit)}"),
            Line("last commit", volume.LastCommit is { } commit ? $"{Time(commit)} (journal position {volume.Lsn})" : $"none (journal position {volume.Lsn})"),
        };
        if (volume.ComposedBlocks > 0)
            lines.Add(Line("composed", $"{Count(volume.ComposedBlocks)} blocks out of others, with {ByteSize.Format(volume.ComposedBytes)}"));
        if (volume.CacheBytes is { } cache)
            lines.Add(Line("cache", $"{ByteSize.Format(volume.LocalBytes)} of {ByteSize.Format(cache)}, pinned {ByteSize.Format(volume.PinnedBytes ?? 0)}"));
        if (volume.NotBackedUpBytes is { } alone && (volume.CacheBytes is not null || volume.Replicas is [_, ..]))
            lines.Add(Line("backed up", alone == 0 ? "all of it" : $"all but {ByteSize.Format(alone)}"));
        if (volume.Replicas is { } replicas)
        {
            lines.Add(Line("replicas", replicas.Length == 0 ? "none" : string.Join("; ", replicas.Select(r => $"{r.Name} {ReplicasText.State(r.State)}{(r.LagMutations == 0 ? "" : $", lacks {ReplicasText.Lag(r)}")}"))));
            var built = replicas.Where(r => r.BuiltBlocks > 0 || r.BuildFailures > 0).Select(r => $"{r.Name}: {ReplicasText.Built(r)}").ToList();
            if (built.Count > 0)
                lines.Add(Line("differences", string.Join("; ", built)));
        }
        if (report.Mount is not null && volume.Verification is { } verification)
            lines.Add(Line("verified", Verified(verification)));
        if (volume.ResidentBytes is { } resident)
            lines.Add(Line("memory", ByteSize.Format(resident)));
        lines.Add(Line("trouble", volume.Trouble ?? "none"));
        return string.Join('\n', lines);
    }

    private static string Verified(VerificationReport verification)
    {
        string last = verification.Last is { } at ? $"{Time(at)}{(verification.LastDamaged == 0 ? "" : $", {Count(verification.LastDamaged)} blocks were damaged")}" : "never";
        string now = verification.IsRunning ? $"; now {ReplicasText.Percent(verification)}" : "";
        return last + now + (verification.Unrepaired == 0 ? "" : $"; {Count(verification.Unrepaired)} blocks are damaged");
    }

    private static string Line(string label, string text) => label.PadRight(LabelWidth) + text;

    private static string Count(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Ratio(double value) => string.Create(CultureInfo.InvariantCulture, $"{value:0.00}x");

    private static string Time(DateTimeOffset time) => time.ToLocalTime().ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);

    private static string Transport(MountStatus mount) => mount.Transport == "io_uring" ? "io_uring" : "/dev/fuse";
}
