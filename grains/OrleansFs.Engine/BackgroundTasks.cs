using Microsoft.Extensions.Logging;

namespace OrleansFs.Engine;

/// <summary>The loops that serve a volume. One that fails says so in the log and starts again after a pause; none fails unseen.</summary>
internal sealed class BackgroundTasks(ILogger logger, TimeProvider time) : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _running = [];

    /// <summary>The newest failure, in one line; null while there was none.</summary>
    public string? Trouble { get; private set; }

    /// <summary>Begins a loop, which runs until it is cancelled.</summary>
    /// <param name="name">For who is told of its failure.</param>
    /// <param name="loop">The loop.</param>
    /// <param name="scheduler">Where it runs; null: on the thread pool.</param>
    public void Run(string name, Func<CancellationToken, Task> loop, TaskScheduler? scheduler = null) =>
        _running.Add(Task.Factory.StartNew(() => RepeatAsync(name, loop, isOnce: false), CancellationToken.None, TaskCreationOptions.DenyChildAttach, scheduler ?? TaskScheduler.Default).Unwrap());

    /// <summary>Begins something that is done when it has ended without a failure.</summary>
    /// <param name="name">For who is told of its failure.</param>
    /// <param name="work">The work.</param>
    public void RunOnce(string name, Func<CancellationToken, Task> work) => _running.Add(Task.Run(() => RepeatAsync(name, work, isOnce: true), CancellationToken.None));

    /// <summary>Cancels all and waits until they have ended.</summary>
    /// <exception cref="TimeoutException">One of them does not end.</exception>
    public async Task StopAsync(TimeSpan timeout)
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_running).WaitAsync(timeout, time);
        _running.Clear();
    }

    public void Dispose() => _stop.Dispose();

    private async Task RepeatAsync(string name, Func<CancellationToken, Task> loop, bool isOnce)
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await loop(_stop.Token);
                if (isOnce)
                    return;
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                Trouble = $"background task '{name}' failed: {e.Message}";
                logger.LogError(e, "background task '{Name}' failed; it starts again", name);
            }
            await Task.Delay(Limits.RetryPause, time, _stop.Token).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }
}
