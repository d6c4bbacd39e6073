using System.Runtime.CompilerServices;
using OrleansFs.Cli.Control;
using OrleansFs.Cli.Files;
using OrleansFs.Cli.Output;
using OrleansFs.Model;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs pin</c>, <c>unpin</c>, <c>warm</c> and <c>evict</c>: what of files is to be here, through the files themselves.</summary>
internal static class ResidencyCommand
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static async Task<int> RunAsync(ResidencyAction action, IReadOnlyList<string> paths)
    {
        using var interrupt = new Interrupt();
        var done = await WorkDisplay.RunAsync(
            show: !Console.IsErrorRedirected,
            // Not waited for when interrupted: a thread that waits for a block in the kernel ends with the process.
            progress => Task.Run(() => ChangeAll(action, paths, progress, interrupt.Token), CancellationToken.None).WaitAsync(interrupt.Token));
        foreach (string problem in done.Problems)
            await Console.Error.WriteLineAsync($"orleansfs: {problem}");
        if (done.MoreProblems > 0)
            await Console.Error.WriteLineAsync($"orleansfs: and {Count(done.MoreProblems, "problem")} more");
        Console.WriteLine(Summary(action, done));
        return done.Problems.Count == 0 ? ExitCode.Success : ExitCode.Failure;
    }

    private static Outcome ChangeAll(ResidencyAction action, IReadOnlyList<string> paths, IProgress<WorkProgress> progress, CancellationToken cancellation)
    {
        var gate = new Lock();
        var outcome = new Outcome();
        Parallel.ForEach(FileTree.Of(paths, Fail), new ParallelOptions { MaxDegreeOfParallelism = Limits.FilesAtOnce, CancellationToken = cancellation }, path =>
        {
            try
            {
                using var file = OpenFile.Open(path);
                long length = file.Length;
                for (long at = 0; at < Math.Max(length, 1); at += Limits.ResidencyStep)
                {
                    cancellation.ThrowIfCancellationRequested();
                    Note(file.Change(action, at, Limits.ResidencyStep), isLast: at + Limits.ResidencyStep >= length);
                }
            }
            catch (Exception failure) when (failure is CommandException or IOException)
            {
                Fail(failure.Message);
            }
        });
        return outcome;

        void Note(ResidencyChange change, bool isLast)
        {
            lock (gate)
            {
                outcome = outcome with
                {
                    Files = outcome.Files + (isLast ? 1 : 0),
                    Blocks = outcome.Blocks + change.Blocks,
                    Changed = outcome.Changed + change.Changed,
                    Staying = outcome.Staying + change.Staying,
                };
                progress.Report(new($"{action.ToString().ToLowerInvariant()}: blocks looked at", outcome.Blocks, null));
            }
        }

        void Fail(string problem)
        {
            lock (gate)
            {
                if (outcome.Problems.Count < Limits.ProblemsShown)
                    outcome.Problems.Add(problem);
                else
                    outcome = outcome with { MoreProblems = outcome.MoreProblems + 1 };
            }
        }
    }

    private static string Summary(ResidencyAction action, Outcome done)
    {
        string what = $"{Count(done.Blocks, "block")} of {Count(done.Files, "file")}";
        return action switch
        {
            ResidencyAction.Pin => $"pinned {what}, {done.Changed} of them newly",
            ResidencyAction.Unpin => $"unpinned {done.Changed} of {what}",
            ResidencyAction.Warm => $"fetched {done.Changed} of {what}",
            _ => $"evicted {done.Changed} of {what}" + (done.Staying > 0 ? $"; {done.Staying} stay: pinned, just written, or on fewer replicas than --copies says" : ""),
        };
    }

    private static string Count(long count, string what) => count == 1 ? $"1 {what}" : $"{count} {what}s";

    private sealed record Outcome
    {
        public long Files { get; init; }

        public long Blocks { get; init; }

        public long Changed { get; init; }

        public long Staying { get; init; }

        public List<string> Problems { get; } = [];

        public long MoreProblems { get; init; }
    }
}
