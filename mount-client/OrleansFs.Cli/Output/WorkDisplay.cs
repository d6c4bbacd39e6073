using OrleansFs.Cli.Control;
using Spectre.Console;

namespace OrleansFs.Cli.Output;

/// <summary>Shows long work: a bar on a terminal, a line for each step and each ten seconds elsewhere. On standard error, so that results can be piped.</summary>
internal static class WorkDisplay
{
    public static async Task<T> RunAsync<T>(bool show, Func<IProgress<WorkProgress>, Task<T>> work)
    {
        if (!show)
            return await work(new Relay<WorkProgress>(_ => { }));
        return Console.IsErrorRedirected ? await work(new Lines()) : await WithBarAsync(work);
    }

    private static async Task<T> WithBarAsync<T>(Func<IProgress<WorkProgress>, Task<T>> work)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return await console.Progress().AutoClear(true).Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn())
            .StartAsync(async context =>
            {
                var gate = new Lock();
                ProgressTask? bar = null;
                return await work(new Relay<WorkProgress>(step =>
                {
                    lock (gate)
                    {
                        if (bar?.Description != step.Step)
                        {
                            bar?.StopTask();
                            bar = context.AddTask(step.Step);
                        }
                        bar.IsIndeterminate = step.Total is null;
                        bar.MaxValue = Math.Max(1, step.Total ?? 1);
                        bar.Value = step.Done;
                    }
                }));
            });
    }

    private sealed class Lines : IProgress<WorkProgress>
    {
        private readonly Lock _gate = new();
        private string? _step;
        private long _shown;

        public void Report(WorkProgress value)
        {
            lock (_gate)
            {
                long now = TimeProvider.System.GetTimestamp();
                if (_step == value.Step && TimeProvider.System.GetElapsedTime(_shown, now) < Limits.ProgressLineInterval)
                    return;
                _step = value.Step;
                _shown = now;
                Console.Error.WriteLine(value.Total is { } total ? $"{value.Step}: {value.Done} of {total}" : $"{value.Step}: {value.Done}");
            }
        }
    }
}

/// <summary>Hands each report on at once, on the thread that makes it.</summary>
internal sealed class Relay<T>(Action<T> report) : IProgress<T>
{
    public void Report(T value) => report(value);
}
