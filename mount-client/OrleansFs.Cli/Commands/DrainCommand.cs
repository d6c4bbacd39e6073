using OrleansFs.Cli.Control;
using OrleansFs.Cli.Output;
using OrleansFs.Fuse;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting;
using OrleansFs.Model;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs drain</c>: waits until all that there is now, also what is in flight, is on the disks of so many replicas. Success means: this machine may be lost.</summary>
/// <remarks>The waiting is done here, in steps, so that an interrupted drain leaves nothing behind in the process that serves the volume.</remarks>
internal static class DrainCommand
{
    public static async Task<int> RunAsync(string where, string? copy, int copies, string wait)
    {
        if (copies < 1)
            throw new CommandException($"--copies {copies}: one replica at least");
        if (!Duration.TryParse(wait, out var patience))
            throw new CommandException($"--wait {wait}: a time is a number of seconds, or one with ms, s, min or h");
        using var interrupt = new Interrupt();
        await using var master = await MasterLocation.OpenAsync(where, copy is null ? null : CopyNames.Parse("--copy", copy), interrupt.Token);
        if (!MasterLocation.IsCluster(where))
            await Task.Run(() => KernelCache.WriteBack(MountPath.Resolve(where)), interrupt.Token);
        var report = await WorkDisplay.RunAsync(show: true, progress => DrainAsync(master, copies, patience, progress, interrupt.Token));
        string names = string.Join(", ", report.Drained.Select(r => r.Name));
        Console.WriteLine($"drained: everything up to journal position {report.Target} is on the disks of {Replicas(report.Drained.Count)} ({names})");
        return ExitCode.Success;
    }

    private static async Task<(Lsn Target, IReadOnlyList<ReplicaReport> Drained)> DrainAsync(
        IMaster master, int copies, TimeSpan patience, IProgress<WorkProgress> progress, CancellationToken cancellation)
    {
        progress.Report(new("bringing everything to disk here", 0, null));
        Lsn? target = null;
        long? begin = null, lackingSince = null;
        while (true)
        {
            var step = await master.DrainAsync(copies, target, cancellation);
            var report = await master.ReplicasAsync(cancellation);
            if (step.IsDone)
                return (step.Target, [.. report.Replicas.Where(r => r.Lsn >= step.Target.Value && !r.LacksBlocks)]);
            target = step.Target;
            begin ??= step.Reached.Value;
            if (report.Replicas.Length > 0)
                progress.Report(new("draining", Math.Max(0, step.Reached.Value - begin.Value), step.Target.Value - begin.Value));
            if (report.Replicas.Count(r => Counts(r, step.Target)) >= copies)
            {
                lackingSince = null;
                continue;
            }
            lackingSince ??= TimeProvider.System.GetTimestamp();
            if (TimeProvider.System.GetElapsedTime(lackingSince.Value) >= patience)
                throw new CommandException(Missing(report, copies, step));
        }
    }

    /// <summary>It has all of it, or is on its way there.</summary>
    private static bool Counts(in ReplicaReport replica, Lsn target) =>
        !replica.LacksBlocks && (replica.Lsn >= target.Value || replica.State is ReplicaState.Joining or ReplicaState.Copying or ReplicaState.CatchingUp or ReplicaState.Following);

    private static string Missing(MasterReport report, int copies, DrainStep step)
    {
        if (report.Replicas.Length == 0)
            return "not drained: no replica is known; start one with 'orleansfs silo --role replica'";
        var others = report.Replicas.Where(r => !Counts(r, step.Target)).Select(r => $"{r.Name} is {ReplicasText.State(r.State)} and lacks {Lacking(r)}");
        return $"not drained: {Replicas(copies)} asked for, {report.Replicas.Length} known, {step.Copies} with everything; {string.Join("; ", others)}".TrimEnd(';', ' ');
    }

    private static string Lacking(in ReplicaReport replica) => replica switch
    {
        { DamagedBlocks: > 0 } => $"{replica.DamagedBlocks} blocks",
        { LacksBlocks: true } => "some blocks",
        _ => ReplicasText.Lag(replica),
    };

    private static string Replicas(int count) => count == 1 ? "1 replica" : $"{count} replicas";
}
