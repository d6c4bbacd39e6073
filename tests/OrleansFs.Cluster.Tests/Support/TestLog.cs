using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansFs.Hosting;
using Xunit;

namespace OrleansFs.Cluster.Tests.Support;

/// <summary>A log that a test looks at when it ends: a warning or an error that it did not expect fails it.</summary>
internal sealed class TestLog : ILoggerProvider
{
    private readonly ConcurrentQueue<(LogLevel Level, string Category, string Message)> _lines = new();
    private readonly ILoggerFactory _factory;

    public TestLog() => _factory = LoggerFactory.Create(logging => HostLogging.Configure(logging, verbose: false).AddProvider(this));

    public ILoggerFactory Factory => _factory;

    public IReadOnlyList<string> Lines => [.. _lines.Select(l => $"{l.Level} {l.Category}: {l.Message}")];

    /// <param name="allowed">Parts of messages that are as they should be.</param>
    public void AssertQuiet(params string[] allowed) =>
        Assert.All(Lines, l => Assert.True(Array.Exists(allowed, a => l.Contains(a, StringComparison.Ordinal)), l));

    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName);

    public void Dispose()
    {
    }

    private sealed class Logger(TestLog log, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                log._lines.Enqueue((logLevel, category, formatter(state, exception) + (exception is null ? "" : " " + exception)));
        }
    }
}
