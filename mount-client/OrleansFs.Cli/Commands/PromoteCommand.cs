using System.Runtime.CompilerServices;
using OrleansFs.Cli.Control;
using OrleansFs.Cli.Output;
using OrleansFs.Model;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs promote</c>: makes a replica the master, in a new epoch. Other replicas follow it; the master before it, there or coming back, is read-only from then on.</summary>
internal static class PromoteCommand
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static async Task<int> RunAsync(string name, string cluster, bool force)
    {
        var copy = CopyNames.Parse("NAME", name);
        using var interrupt = new Interrupt();
        await using var master = await ClusterMaster.ConnectAsync(cluster, copy, interrupt.Token);
        var before = await master.ReplicasAsync(interrupt.Token);
        if (before.Master is null && !force)
            RequireNewest(before, copy);
        var epoch = await master.Connection.PromoteAsync(copy, interrupt.Token);
        Console.WriteLine($"'{copy}' is the master of volume {before.Volume} now, in epoch {epoch}");
        if (before.Master is { } former && former != name)
        {
            var lag = before.Replicas.Where(r => r.Name == name).Select(r => ReplicasText.Lag(r)).FirstOrDefault("not known");
            await Console.Error.WriteLineAsync($"orleansfs: '{former}' was the master and is read-only from now on; what '{name}' lacked of it a moment before: {lag}");
        }
        return ExitCode.Success;
    }

    /// <summary>With the master gone, what no replica has is lost, and what another has more than this one would be given up: that is for the user to say.</summary>
    private static void RequireNewest(MasterReport report, CopyName copy)
    {
        long own = report.Replicas.Where(r => r.Name == copy.Value).Select(r => r.Lsn).FirstOrDefault();
        if (report.Replicas.Where(r => r.Lsn > own).OrderByDescending(r => r.Lsn).Select(r => (ReplicaReport?)r).FirstOrDefault() is { } newer)
            throw new CommandException($"the replica '{newer.Name}' is further (journal position {newer.Lsn}, '{copy}' is at {own}): promote that one, or give up what it has more with --force");
    }
}
