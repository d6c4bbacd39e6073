using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace OrleansFs.Hosting;

/// <summary>
/// What the silo cannot go on from: the cluster has declared it dead, or its membership cannot be kept. Orleans would end the process on the spot; but the process may also be a mount
/// with data in flight, so it is told, stops in order, and nothing is lost.
/// </summary>
internal sealed class FatalErrors(ILogger<FatalErrors> logger) : IFatalErrorHandler
{
    private readonly TaskCompletionSource<Exception> _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when the silo is lost.</summary>
    public Task<Exception> Lost => _lost.Task;

    public bool IsUnexpected(Exception exception) => exception is not OperationCanceledException;

    public void OnFatalException(object? sender, string? context, Exception? exception)
    {
        logger.LogCritical(exception, "the silo is lost: {Context}", context ?? sender?.ToString() ?? "no reason given");
        _lost.TrySetResult(exception ?? new HostException($"the silo is lost: {context}"));
    }
}
