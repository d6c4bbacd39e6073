using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Orleans.Runtime.Messaging;

namespace OrleansFs.Client;

/// <summary>
/// The log of Orleans inside a silo or a client. Parts of Orleans log an error, with a stack trace, for each call that fails because another silo is gone or this one stops: its directory of clients,
/// for one, tells the next silo of the ring what it knows, and that silo may have been killed a moment ago. A machine that goes away is no error of this one, Orleans tries again by itself, and
/// whoever asked for the lost silo's data is told by us. So what is logged with such an exception is information, to be seen with <c>--verbose</c>.
/// </summary>
/// <remarks>Polly is what Orleans tries again with. What is logged by us keeps its level, and so does whatever Orleans logs with any other exception, or with none, but for late messages to observers. The factory inside is not owned.</remarks>
public sealed class ExpectedLosses(ILoggerFactory inner) : ILoggerFactory
{
    /// <summary>Says that a message is for an observer which is not there, with no exception: one that was sent before a session had ended, and arrived after it.</summary>
    private const string ObserversOfClient = "Orleans.ClientGrainContext";

    public ILogger CreateLogger(string categoryName) =>
        categoryName.StartsWith("Orleans.", StringComparison.Ordinal) || categoryName == "Polly"
            ? new Softened(inner.CreateLogger(categoryName), categoryName == ObserversOfClient)
            : inner.CreateLogger(categoryName);

    public void AddProvider(ILoggerProvider provider) => inner.AddProvider(provider);

    public void Dispose()
    {
    }

    /// <summary>Whether an exception says no more than that a peer cannot be reached, did not answer, is gone, or that this silo stops.</summary>
    public static bool IsLoss(Exception exception) => exception switch
    {
        AggregateException many => many.InnerExceptions.Count > 0 && many.InnerExceptions.All(IsLoss),
        OrleansMessageRejectionException or ClientNotAvailableException or ConnectionFailedException or ConnectionAbortedException or ConnectionResetException => true,
        TimeoutException or OperationCanceledException => true,
        _ => false,
    };

    private sealed class Softened(ILogger inner, bool isExpected) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => inner.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => inner.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel is LogLevel.Warning or LogLevel.Error && (exception is null ? isExpected : IsLoss(exception)))
                logLevel = LogLevel.Information;
            inner.Log(logLevel, eventId, state, exception, formatter);
        }
    }
}
