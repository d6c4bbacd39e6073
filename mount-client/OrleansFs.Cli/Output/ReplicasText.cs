using System.Globalization;
using System.Text.Json;
using OrleansFs.Model;

namespace OrleansFs.Cli.Output;

/// <summary>Replicas for people: a table, and a line for each trouble.</summary>
internal static class ReplicasText
{
    private static readonly string[] s_head = ["replica", "state", "position", "lag", "holds", "last contact", "last verified"];

    public static string Render(MasterReport report, DateTimeOffset now)
    {
        var lines = new List<string>
        {
            $"volume {report.Volume} ({report.Uuid}), "
            + (report.Master is { } master ? $"master '{master}', epoch {report.Epoch}, journal position {report.Lsn}" : $"no master in the cluster; last epoch {report.Epoch}; 'orleansfs promote NAME' makes a replica the master"),
        };
        if (report.Replicas.Length == 0)
        {
            lines.Add("no replica is known");
            return string.Join('\n', lines);
        }
        string[][] rows = [s_head, .. report.Replicas.Select(r => Row(r, now))];
        int[] widths = [.. Enumerable.Range(0, s_head.Length).Select(column => rows.Max(row => row[column].Length))];
        lines.AddRange(rows.Select(row => string.Join("  ", row.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd()));
        lines.AddRange(report.Replicas.Where(r => r.BuiltBlocks > 0 || r.BuildFailures > 0).Select(r => $"{r.Name}: {Built(r)}"));
        lines.AddRange(report.Replicas.Where(r => r.DamagedBlocks > 0).Select(r => $"{r.Name}: {r.DamagedBlocks} damaged blocks are to be sent again"));
        lines.AddRange(report.Replicas.Where(r => r is { LacksBlocks: true, DamagedBlocks: 0 }).Select(r => $"{r.Name}: it lacks some blocks, which are sent when it is there"));
        lines.AddRange(report.Replicas.Where(r => r.Trouble is not null).Select(r => $"{r.Name}: {r.Trouble}"));
        return string.Join('\n', lines);
    }

    public static string State(ReplicaState state) => JsonNamingPolicy.KebabCaseLower.ConvertName(state.ToString()).Replace('-', ' ');

    public static string Lag(in ReplicaReport replica)
    {
        if (replica.LagMutations == 0)
            return "none";
        string mutations = string.Create(CultureInfo.InvariantCulture, $"{replica.LagMutations:N0} mutation{(replica.LagMutations == 1 ? "" : "s")}");
        string bytes = replica.LagBytes is { } lag ? $", {(replica.LagBytesIsLeast ? "over " : "")}{ByteSize.Format(lag)}" : "";
        return mutations + bytes + (replica.LagSeconds is { } seconds ? $", {Time(TimeSpan.FromSeconds(seconds))}" : "");
    }

    /// <summary>What was sent as a difference, and what that saved and cost.</summary>
    public static string Built(in ReplicaReport replica)
    {
        string failed = replica.BuildFailures == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $", {replica.BuildFailures:N0} blocks sent whole after all");
        return string.Create(CultureInfo.InvariantCulture, $"{replica.BuiltBlocks:N0} blocks sent as differences, {ByteSize.Format(replica.BuildBytes)} instead of {ByteSize.Format(replica.BuildBytes + replica.BuildSavedBytes)}, ")
            + $"{Time(TimeSpan.FromSeconds(replica.BuildSeconds))} of a processor{failed}";
    }

    /// <summary>"0.4 s", "12 s", "3 min", "5 h", "2 days".</summary>
    public static string Time(TimeSpan time) => time switch
    {
        { TotalSeconds: < 10 } => Number(time.TotalSeconds, "0.0") + " s",
        { TotalMinutes: < 2 } => Number(time.TotalSeconds, "0") + " s",
        { TotalHours: < 2 } => Number(time.TotalMinutes, "0") + " min",
        { TotalDays: < 2 } => Number(time.TotalHours, "0") + " h",
        _ => Number(time.TotalDays, "0") + " days",
    };

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    private static string[] Row(in ReplicaReport replica, DateTimeOffset now) =>
    [
        replica.Name,
        State(replica.State),
        replica.Lsn.ToString(CultureInfo.InvariantCulture),
        Lag(replica),
        // A replica that was not heard of since this master started.
        replica is { State: ReplicaState.Away, Blocks: 0 } ? "not known" : string.Create(CultureInfo.InvariantCulture, $"{replica.Blocks:N0} blocks, {ByteSize.Format(replica.StoredBytes)}"),
        Ago(replica.LastContact, now, replica.State == ReplicaState.Waiting ? "-" : "never"),
        Verified(replica, now),
    ];

    private static string Verified(in ReplicaReport replica, DateTimeOffset now)
    {
        string last = Ago(replica.LastVerification, now, "never");
        if (replica.Verification is not { } verification)
            return last;
        if (verification.LastDamaged > 0)
            last += string.Create(CultureInfo.InvariantCulture, $", {verification.LastDamaged:N0} damaged");
        return verification.IsRunning ? $"{last}; now {Percent(verification)}" : last;
    }

    /// <summary>How much of a pass is done, and what it found.</summary>
    public static string Percent(in VerificationReport running) =>
        string.Create(CultureInfo.InvariantCulture, $"{100 * running.Blocks / Math.Max(1, running.TotalBlocks)} %{(running.Damaged == 0 ? "" : $", {running.Damaged:N0} damaged")}");

    private static string Ago(DateTimeOffset? time, DateTimeOffset now, string never) => time is { } at ? $"{Time(now > at ? now - at : TimeSpan.Zero)} ago" : never;
}
