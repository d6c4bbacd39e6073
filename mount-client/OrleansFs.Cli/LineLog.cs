using System.Globalization;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace OrleansFs.Cli;

/// <summary>
/// The log: one line a message, to standard error or a file, by a task of its own.
/// </summary>
/// <remarks>Who logs never waits: when the writer cannot keep up lines are dropped, and a line says how many.</remarks>
internal sealed class LineLog : ILoggerProvider
{
    private readonly Channel<string> _lines;
    private readonly TextWriter _writer;
    private readonly TimeProvider _time;
    private readonly Task _writing;
    private readonly bool _isFile;
    private long _dropped;

    /// <param name="file">Where to append; null is standard error.</param>
    /// <param name="time">The clock.</param>
    public LineLog(string? file, TimeProvider time)
    {
        _time = time;
        _isFile = file is not null;
        _writer = file is null ? Console.Error : new StreamWriter(new FileStream(file, FileMode.Append, FileAccess.Write, FileShare.ReadWrite)) { AutoFlush = true };
        _lines = Channel.CreateBounded<string>(new BoundedChannelOptions(Limits.LogLines) { SingleReader = true });
        _writing = Task.Run(WriteAsync);
    }

    public ILogger CreateLogger(string categoryName) => new Category(this, categoryName[(categoryName.LastIndexOf('.') + 1)..]);

    public void Dispose()
    {
        _lines.Writer.TryComplete();
        _writing.Wait(Limits.LogDrainTimeout);
        if (_isFile)
            _writer.Dispose();
    }

    private void Add(string line)
    {
        if (!_lines.Writer.TryWrite(line))
            Interlocked.Increment(ref _dropped);
    }

    private async Task WriteAsync()
    {
        await foreach (string line in _lines.Reader.ReadAllAsync())
        {
            try
            {
                long dropped = Interlocked.Exchange(ref _dropped, 0);
                if (dropped > 0)
                    await _writer.WriteLineAsync($"... {dropped} lines are missing: the log could not be written fast enough");
                await _writer.WriteLineAsync(line);
            }
            catch (IOException)
            {
                // The log's disk is full or its reader is gone. There is nowhere left to say so, and the file system goes on.
                Interlocked.Increment(ref _dropped);
            }
        }
    }

    private sealed class Category(LineLog owner, string name) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            string time = owner._time.GetLocalNow().ToString("yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture);
            string level = logLevel switch
            {
                LogLevel.Trace => "trace",
                LogLevel.Debug => "debug",
                LogLevel.Information => "info ",
                LogLevel.Warning => "warn ",
                LogLevel.Error => "ERROR",
                _ => "FATAL",
            };
            string text = formatter(state, exception).ReplaceLineEndings(" | ");
            string cause = exception is null ? "" : " | " + exception.ToString().ReplaceLineEndings(" | ");
            owner.Add($"{time} {level} {name}: {text}{cause}");
        }
    }
}
