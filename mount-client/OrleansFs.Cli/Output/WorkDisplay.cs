using System.Runtime.CompilerServices;
using OrleansFs.Cli.Control;
using Spectre.Console;

namespace OrleansFs.Cli.Output;

/// <summary>Shows long work: a bar on a terminal, elsewhere a line for the beginning of each step, for its end where that is known, and each ten seconds. On standard error, so that results can be piped.</summary>
internal static class WorkDisplay
{
    public static async Task<T> RunAsync<T>(bool show, Func<IProgress<WorkProgress>, Task<T>> work)
    {
        if (!show)
            return await work(new Relay<WorkProgress>(_ => { }));
        return Console.IsErrorRedirected ? await work(new Lines()) : await WithBarAsync(work);
    }

    /// <summary>Apart, so that Spectre.Console is loaded only where there is a terminal.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Task<T> WithBarAsync<T>(Func<IProgress<WorkProgress>, Task<T>> work)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return console.Progress().AutoClear(true)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn(), new RemainingTimeColumn())
            .StartAsync(context => work(new Bar(context)));
    }

    /// <summary>A bar a step; a step is over when the next begins.</summary>
    private sealed class Bar(ProgressContext context) : IProgress<WorkProgress>
    {
        private readonly Lock _gate = new();
        private ProgressTask? _bar;
        private string? _step;

        public void Report(WorkProgress value)
        {
            lock (_gate)
            {
                if (_bar is null || _step != value.Step)
                {
                    Finish();
                    _step = value.Step;
                    _bar = context.AddTask(Markup.Escape(value.Step));
                }
                _bar.IsIndeterminate = value.Total is null;
                _bar.MaxValue = Math.Max(1, value.Total ?? 1);
                _bar.Value = value.Total is null ? 0 : value.Done;
            }
        }

        private void Finish()
        {
            if (_bar is null)
                return;
            _bar.IsIndeterminate = false;
            _bar.Value = _bar.MaxValue;
            _bar.StopTask();
        }
    }

    private sealed class Lines : IProgress<WorkProgress>
    {
        private readonly Lock _gate = new();
        private string? _step;
        private long _shown;
        private bool _isOver;

        public void Report(WorkProgress value)
        {
            lock (_gate)
            {
                long now = TimeProvider.System.GetTimestamp();
                bool isOver = value.Done == value.Total;
                bool isNews = _step != value.Step || (isOver && !_isOver);
                if (!isNews && TimeProvider.System.GetElapsedTime(_shown, now) < Limits.ProgressLineInterval)
                    return;
                _step = value.Step;
                _shown = now;
                _isOver = isOver;
                Console.Error.WriteLine(value switch
                {
                    { Total: { } total } => $"{value.Step}: {value.Done} of {total}",
                    { Done: > 0 } => $"{value.Step}: {value.Done}",
                    _ => value.Step,
                });
            }
        }
    }
}

/// <summary>Hands each report on at once, on the thread that makes it.</summary>
internal sealed class Relay<T>(Action<T> report) : IProgress<T>
{
    public void Report(T value) => report(value);
}
