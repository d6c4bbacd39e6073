using OrleansFs.Cli.Control;
using OrleansFs.Cli.Output;
using OrleansFs.Client;
using OrleansFs.Model;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs verify</c>: has the copies of a volume read their block files now, and waits for it where that is wanted. As <c>zpool scrub</c> does, it goes on in the background.</summary>
internal static class VerifyCommand
{
    public static async Task<int> RunAsync(string where, string? copy, bool wait, bool stop)
    {
        CopyName? wanted = copy is null ? null : CopyNames.Parse("--copy", copy);
        using var interrupt = new Interrupt();
        // A copy is named to whoever is asked, also to the process of a mount.
        await using var master = await MasterLocation.OpenAsync(where, MasterLocation.IsCluster(where) ? wanted : null, interrupt.Token);
        var before = await master.VerifyAsync(wanted, VerificationAction.Look, interrupt.Token);
        var begun = await master.VerifyAsync(wanted, stop ? VerificationAction.Stop : VerificationAction.Start, interrupt.Token);
        string names = string.Join(", ", begun.Select(c => c.Copy));
        if (stop)
        {
            Console.WriteLine($"stopped: {names}");
            return ExitCode.Success;
        }
        if (!wait)
        {
            Console.WriteLine($"verifying the block files of {names}; 'orleansfs replicas' and 'orleansfs status' show how it goes");
            return ExitCode.Success;
        }
        var ended = await WorkDisplay.RunAsync(show: true, progress => WaitAsync(master, wanted, before, progress, interrupt.Token));
        foreach (var one in ended)
            Console.WriteLine(Result(one));
        return ended.All(c => c.Report.Unrepaired == 0) ? ExitCode.Success : ExitCode.Failure;
    }

    /// <summary>Until each has ended a pass since, and nothing that it found is still to be had from another copy; or a moment after, where nobody has it.</summary>
    private static async Task<IReadOnlyList<CopyVerification>> WaitAsync(
        IMaster master, CopyName? copy, IReadOnlyList<CopyVerification> before, IProgress<WorkProgress> progress, CancellationToken cancellation)
    {
        long? ended = null;
        while (true)
        {
            var now = await master.VerifyAsync(copy, VerificationAction.Look, cancellation);
            progress.Report(new("verifying", now.Sum(c => c.Report.IsRunning ? c.Report.Blocks : c.Report.TotalBlocks), Math.Max(1, now.Sum(c => c.Report.TotalBlocks))));
            if (now.All(c => !c.Report.IsRunning))
            {
                foreach (var stopped in now.Where(c => c.Report.Last == Before(c.Copy)))
                    throw new CommandException($"the verification of '{stopped.Copy}' was stopped");
                ended ??= TimeProvider.System.GetTimestamp();
                if (now.All(c => c.Report.Unrepaired == 0) || TimeProvider.System.GetElapsedTime(ended.Value) >= Limits.RepairWait)
                    return now;
            }
            await Task.Delay(Limits.RefreshInterval, TimeProvider.System, cancellation);
        }

        DateTimeOffset? Before(CopyName name) => before.Where(b => b.Copy == name).Select(b => b.Report.Last).FirstOrDefault();
    }

    private static string Result(in CopyVerification copy) =>
        $"{copy.Copy}: {copy.Report.LastBlocks:N0} blocks, " + copy.Report switch
        {
            { LastDamaged: 0 } => "all whole",
            { Unrepaired: 0 } => $"{copy.Report.LastDamaged:N0} were damaged or missing and have been had from another copy",
            _ => $"{copy.Report.LastDamaged:N0} were damaged or missing, and {copy.Report.Unrepaired:N0} are still: no other copy could give them",
        };
}
