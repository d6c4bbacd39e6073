using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Xunit;

namespace OrleansFs.Fuse.Tests;

/// <summary>Keeps what is logged; a warning or an error that the test did not expect fails it.</summary>
internal sealed class TestLog : ILogger
{
    private readonly ConcurrentQueue<(LogLevel Level, string Text)> _lines = new();

    internal IReadOnlyList<string> Lines => [.. _lines.Select(l => $"{l.Level}: {l.Text}")];

    /// <summary>Warnings and worse.</summary>
    internal IReadOnlyList<string> Troubles => [.. _lines.Where(l => l.Level >= LogLevel.Warning).Select(l => l.Text)];

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _lines.Enqueue((logLevel, $"{formatter(state, exception)}{(exception is null ? "" : $" [{exception.GetType().Name}: {exception.Message}]")}"));

    /// <summary>Takes the expected trouble out; what is left must be nothing.</summary>
    internal void AssertTroubles(params string[] expected)
    {
        string[] all = [.. Troubles];
        Assert.True(
            all.Length == expected.Length && expected.Zip(all).All(p => p.Second.Contains(p.First, StringComparison.Ordinal)),
            $"expected trouble: [{string.Join("; ", expected)}], logged: [{string.Join("; ", all)}]");
    }
}
