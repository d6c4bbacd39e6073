using System.Globalization;
using System.Text.RegularExpressions;
using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>One worker of a test: what it does and where.</summary>
/// <param name="Kind">A name of <see cref="WorkKinds"/>.</param>
/// <param name="Folder">Where, within the volume.</param>
/// <param name="Family">Which content.</param>
internal sealed record Assignment(string Kind, string Folder, int Family);

/// <summary>Worker processes, one an assignment, kept from one round to the next.</summary>
internal sealed partial class WorkerPool : IAsyncDisposable
{
    private readonly List<Slot> _slots = [];
    private int _token;

    /// <summary>Tells the workers to begin. They go on until <see cref="EndAsync"/>, or until the volume is gone.</summary>
    /// <param name="assignments">As many workers.</param>
    /// <param name="mountPoint">The volume; the workers' folders exist.</param>
    /// <param name="logs">Folder for what they tell.</param>
    /// <param name="seed">Of their choices.</param>
    /// <param name="clock">The disk's position; null where no disk is watched.</param>
    /// <param name="before">What was done in the folder of an assignment before, where that has been verified.</param>
    public async Task<Round> StartAsync(IReadOnlyList<Assignment> assignments, string mountPoint, string logs, int seed, string? clock, Func<Assignment, WorkRecord?>? before = null)
    {
        var works = new List<WorkRecord>();
        for (int i = 0; i < assignments.Count; i++)
        {
            if (i == _slots.Count)
                _slots.Add(new Slot());
            var child = await _slots[i].AliveAsync();
            string token = (++_token).ToString(CultureInfo.InvariantCulture);
            var work = new WorkRecord(assignments[i], Path.Combine(mountPoint, assignments[i].Folder), Path.Combine(logs, $"{token}.log"));
            var ended = child.LineAsync(line => line.StartsWith($"ended {token} ", StringComparison.Ordinal), Timeout.InfiniteTimeSpan);
            await child.TellAsync($"go {token} {work.Assignment.Kind} {work.Path} {work.Log} {work.Assignment.Family} {seed + i} {clock ?? "-"} {before?.Invoke(assignments[i])?.Log ?? "-"}");
            works.Add(work);
            _slots[i].Ended = ended;
        }
        return new Round(works);
    }

    /// <summary>Waits until each has ended or died. Gives what they say that ended them, by kind: empty where they were told to stop and nothing failed.</summary>
    /// <param name="tell">Tell them to stop; without it something else ends them: the volume has gone, or is full.</param>
    /// <param name="patience">How long each may take; it is killed then. <see cref="Limits.ProcessEnd"/> by default.</param>
    public async Task<IReadOnlyList<string>> EndAsync(bool tell, TimeSpan? patience = null)
    {
        var outcomes = new List<string>();
        foreach (var slot in _slots.Where(s => s.Ended is not null))
        {
            if (await slot.EndAsync(tell, patience ?? Limits.ProcessEnd) is { } outcome)
                outcomes.Add(outcome);
        }
        return outcomes;
    }

    /// <summary>Workers that have failed although the volume is there, with what they say.</summary>
    public IReadOnlyList<string> Failures => [.. _slots.Select(s => s.Failure).OfType<string>()];

    public async ValueTask DisposeAsync()
    {
        foreach (var slot in _slots)
            await slot.DisposeAsync();
    }

    [GeneratedRegex(@"^ended \d+ (.*)$")]
    private static partial Regex EndedLine();

    private sealed class Slot : IAsyncDisposable
    {
        private Child? _child;

        public Task<string>? Ended { get; set; }

        public string? Failure => Ended switch
        {
            { IsFaulted: true } ended => ended.Exception.InnerException!.Message,
            { IsCompletedSuccessfully: true } ended when !ended.Result.EndsWith(" None", StringComparison.Ordinal) => ended.Result,
            _ => null,
        };

        public async Task<Child> AliveAsync()
        {
            if (_child is { HasExited: true })
                await DisposeAsync();
            return _child ??= Child.Start(Programs.Self, "worker");
        }

        public async Task<string?> EndAsync(bool tell, TimeSpan patience)
        {
            try
            {
                if (tell)
                    await _child!.TellAsync("stop");
                string line = await Ended!.WaitAsync(patience);
                string outcome = EndedLine().Match(line).Groups[1].Value;
                return outcome == "None" ? null : outcome;
            }
            catch (ChildException e)
            {
                // SIGBUS: mapped memory whose file has gone ends a program.
                await DisposeAsync();
                return $"died: {e.Message}";
            }
            catch (TimeoutException)
            {
                await DisposeAsync();
                return "hung, and was killed";
            }
            finally
            {
                Ended = null;
            }
        }

        public async ValueTask DisposeAsync()
        {
            if (_child is not null)
                await _child.DisposeAsync();
            _child = null;
        }
    }
}

/// <summary>What one worker did in one round.</summary>
/// <param name="Assignment">Its work.</param>
/// <param name="Path">Its folder.</param>
/// <param name="Log">What it told.</param>
internal sealed record WorkRecord(Assignment Assignment, string Path, string Log)
{
    /// <summary>It has told what it found, from which it goes on.</summary>
    public bool HasBegun => History.Read(Log, long.MaxValue).Ops.Any(o => o is { Verb: "base" });
}

/// <summary>One round of all workers, to be verified.</summary>
internal sealed record Round(IReadOnlyList<WorkRecord> Works)
{
    /// <summary>Workers that had begun a step by a position and never ended it.</summary>
    public int InFlightAt(long position) => Works.Count(w => History.Read(w.Log, long.MaxValue).Ops is [.., { IsDone: false } last] && last.Begun <= position);

    /// <summary>Steps that succeeded.</summary>
    public int Steps => Works.Sum(w => History.Read(w.Log, long.MaxValue).Ops.Count(o => o.IsDone));

    /// <summary>Compares the volume with what was done by a position of the disk.</summary>
    /// <param name="mountPoint">Where it is mounted.</param>
    /// <param name="position">What was done later may be missing.</param>
    /// <param name="includesUntouched">As <see cref="Findings.IncludesUntouched"/>.</param>
    public async Task<Verdict> VerifyAsync(string mountPoint, long position, bool includesUntouched = true)
    {
        var arguments = Works.SelectMany(w => new[] { w.Assignment.Kind, System.IO.Path.Combine(mountPoint, w.Assignment.Folder), w.Log, $"{w.Assignment.Family}" });
        var result = await Tool.TryRunAsync(Programs.Self, Limits.Verification, ["verify", position.ToString(CultureInfo.InvariantCulture), includesUntouched ? "all" : "touched", .. arguments]);
        var counts = Regex.Match(result.Output, @"^checked (\d+) lost (\d+)", RegexOptions.Multiline);
        if (!counts.Success)
            return new Verdict([$"the verification ended with {result.ExitCode}: {result.Output}{result.Errors}"], 0, 0);
        var violations = result.Output.Split('\n').Where(l => l.StartsWith("violation: ", StringComparison.Ordinal)).ToList();
        if (violations.Count > 0)
            violations = [result.Output];
        return new Verdict(violations, int.Parse(counts.Groups[1].Value, CultureInfo.InvariantCulture), int.Parse(counts.Groups[2].Value, CultureInfo.InvariantCulture));
    }
}

/// <summary>How a verification ended.</summary>
/// <param name="Violations">What must not be.</param>
/// <param name="Checked">Files and databases compared.</param>
/// <param name="Lost">Of them, those that lost unsynced steps: which is allowed.</param>
internal sealed record Verdict(IReadOnlyList<string> Violations, int Checked, int Lost)
{
    /// <summary>The test fails with all that was found.</summary>
    public void ExpectNone() => Xunit.Assert.True(Violations.Count == 0, string.Join('\n', Violations));
}
