using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace OrleansFs.Mounted.Tests.Mounts;

/// <summary>Keeps warnings and errors: each of them fails the run.</summary>
internal sealed class RecordingLogger : ILoggerFactory
{
    private readonly ConcurrentQueue<string> _unexpected = [];

    public IReadOnlyCollection<string> Unexpected => _unexpected;

    public ILogger CreateLogger(string categoryName) => new Category(this, categoryName);

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public void Dispose()
    {
    }

    private sealed class Category(RecordingLogger owner, string name) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                owner._unexpected.Enqueue($"{logLevel} {name}: {formatter(state, exception)} {exception}");
        }
    }
}
