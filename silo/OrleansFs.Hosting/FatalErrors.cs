using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace OrleansFs.Hosting;

/// <summary>
/// What the silo cannot go on from: the cluster has declared it dead, or its membership cannot be kept. Orleans would end the process on the spot; but the process serves a volume, and may be a mount
/// with data in flight: it goes on, and another silo takes the place of this one (<see cref="OrleansFsHost"/>).
/// </summary>
internal sealed class FatalErrors(ILogger<FatalErrors> logger) : IFatalErrorHandler
{
    private readonly TaskCompletionSource<Exception> _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when the silo is lost.</summary>
    public Task<Exception> Lost => _lost.Task;

    public bool IsUnexpected(Exception exception) => exception is not OperationCanceledException;

    public void OnFatalException(object? sender, string? context, Exception? exception)
    {
        logger.LogInformation(exception, "the silo is lost: {Context}", context ?? sender?.ToString() ?? "no reason given");
        _lost.TrySetResult(exception ?? new HostException(context ?? "no reason given"));
    }
}
