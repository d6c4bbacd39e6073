using System.Diagnostics;

namespace OrleansFs.Fault.Tests.Product;

/// <summary>A process that a test started, its output, and its end.</summary>
internal sealed class Child : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Lock _gate = new();
    private readonly Queue<string> _lines = new();
    private readonly List<(Func<string, bool> Wanted, TaskCompletionSource<string> Seen)> _waiting = [];
    private bool _isDisposed;

    private Child(Process process) => _process = process;

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>What it printed on both streams, the newest <see cref="Limits.OutputLines"/> lines.</summary>
    public IReadOnlyList<string> Lines
    {
        get
        {
            lock (_gate)
                return [.. _lines];
        }
    }

    public static Child Start(string program, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        var child = new Child(new Process { StartInfo = start });
        child._process.OutputDataReceived += (_, e) => child.Take(e.Data);
        child._process.ErrorDataReceived += (_, e) => child.Take(e.Data);
        child._process.Start();
        child._process.BeginOutputReadLine();
        child._process.BeginErrorReadLine();
        return child;
    }

    /// <summary>Completes with the first line that is wanted.</summary>
    /// <exception cref="ChildException">The process ends before.</exception>
    public async Task<string> LineAsync(Func<string, bool> wanted, TimeSpan patience)
    {
        var seen = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_lines.FirstOrDefault(wanted) is { } line)
                return line;
            _waiting.Add((wanted, seen));
        }
        using var end = new CancellationTokenSource(patience);
        var exit = _process.WaitForExitAsync(end.Token);
        var first = await Task.WhenAny(seen.Task, exit);
        if (first == seen.Task || seen.Task.IsCompletedSuccessfully)
            return await seen.Task;
        throw new ChildException(end.IsCancellationRequested ? $"process {Id} said nothing within {patience}: {Tail()}" : $"process {Id} ended with {_process.ExitCode}: {Tail()}");
    }

    public async Task TellAsync(string line)
    {
        try
        {
            await _process.StandardInput.WriteLineAsync(line);
            await _process.StandardInput.FlushAsync();
        }
        catch (IOException e)
        {
            throw new ChildException($"process {Id} does not listen: {e.Message}: {Tail()}");
        }
    }

    /// <summary>SIGKILL: no handler runs, nothing is flushed.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await ExitAsync(Limits.ProcessEnd);
    }

    /// <summary>SIGTERM.</summary>
    public async Task<int> TerminateAsync(TimeSpan patience)
    {
        if (!_process.HasExited)
            await Machine.Tool.RunAsync("kill", "-TERM", $"{Id}");
        return await ExitAsync(patience);
    }

    public async Task<int> ExitAsync(TimeSpan patience)
    {
        using var end = new CancellationTokenSource(patience);
        try
        {
            await _process.WaitForExitAsync(end.Token);
            return _process.ExitCode;
        }
        catch (OperationCanceledException)
        {
            throw new ChildException($"process {Id} did not end within {patience}: {Tail()}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        await Machine.AftermathAttribute.OfAsync(async () =>
        {
            if (_process.HasExited)
                return;
            _process.Kill();
            await ExitAsync(Limits.ProcessEnd);
        });
        _process.Dispose();
    }

    public string Tail() => string.Join(" | ", Lines.TakeLast(12));

    private void Take(string? line)
    {
        if (line is null)
            return;
        lock (_gate)
        {
            _lines.Enqueue(line);
            if (_lines.Count > Limits.OutputLines)
                _lines.Dequeue();
            for (int i = _waiting.Count - 1; i >= 0; i--)
            {
                if (!_waiting[i].Wanted(line))
                    continue;
                _waiting[i].Seen.TrySetResult(line);
                _waiting.RemoveAt(i);
            }
        }
    }
}

/// <summary>A process did not do what it was to.</summary>
internal sealed class ChildException(string message) : Exception(message);
