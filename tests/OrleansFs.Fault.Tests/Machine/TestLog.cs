using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace OrleansFs.Fault.Tests.Machine;

/// <summary>Keeps warnings and worse.</summary>
internal sealed class TestLog : ILogger
{
    private readonly ConcurrentQueue<string> _troubles = new();

    public IReadOnlyCollection<string> Troubles => _troubles;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
            _troubles.Enqueue($"{formatter(state, exception)} {exception?.Message}");
    }
}
