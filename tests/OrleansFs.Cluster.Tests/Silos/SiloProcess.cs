using System.Diagnostics;
using System.Reflection;
using OrleansFs.Cluster.Tests.Support;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>orleansfs-silo, as a process that can be killed.</summary>
internal sealed class SiloProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task<string> _errors;

    private SiloProcess(Process process, TimeSpan startTime)
    {
        _process = process;
        StartTime = startTime;
        _errors = process.StandardError.ReadToEndAsync();
    }

    /// <summary>From its start until it served.</summary>
    public TimeSpan StartTime { get; }

    public int Id => _process.Id;

    public static Task<SiloProcess> StartAsync(string folder, params string[] more) => StartNamedAsync(folder, "master", more);

    public static Task<SiloProcess> StartNamedAsync(string folder, string name, params string[] more) => StartNotifyingAsync(folder, name, null, more);

    /// <param name="notify">The socket of a service manager, as in NOTIFY_SOCKET.</param>
    public static async Task<SiloProcess> StartNotifyingAsync(string folder, string name, string? notify, params string[] more)
    {
        long began = Stopwatch.GetTimestamp();
        var process = Start(["--data", folder, "--name", name, "--role", "master", .. more], notify);
        string? line = await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken);
        var silo = new SiloProcess(process, Stopwatch.GetElapsedTime(began));
        if (line is null || !line.Contains("serving", StringComparison.Ordinal))
            Assert.Fail($"the silo did not start: {line} {await silo._errors}");
        return silo;
    }

    /// <summary>Starts it, and does not wait until it serves.</summary>
    public static SiloProcess Begin(params string[] arguments) => new(Start(arguments), TimeSpan.Zero);

    /// <summary>Runs it until it ends by itself.</summary>
    public static async Task<(int ExitCode, string Error)> RunAsync(params string[] arguments)
    {
        using var process = Start(arguments);
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        await output;
        return (process.ExitCode, await error);
    }

    public async Task KillAsync()
    {
        _process.Kill(); // SIGKILL
        await _process.WaitForExitAsync();
    }

    /// <summary>SIGSTOP: it does nothing any more, and its connections are as they were.</summary>
    public Task FreezeAsync() => SignalAsync("-STOP");

    /// <summary>SIGCONT.</summary>
    public Task ThawAsync() => SignalAsync("-CONT");

    /// <summary>SIGTERM.</summary>
    /// <returns>The exit code, and what was written to standard error.</returns>
    public async Task<(int ExitCode, string Error)> StopAsync()
    {
        await SignalAsync("-TERM");
        await _process.WaitForExitAsync();
        return (_process.ExitCode, await _errors);
    }

    /// <summary>
    /// SIGTERM, and the process must end in order without a word of ours on standard error, nor a critical one. Not without any word at all: Orleans decides by itself what it calls an error
    /// while a peer that was killed is still in its tables, and which part of it meets that peer is a matter of time.
    /// </summary>
    /// <param name="warning">Part of a warning that belongs to what the test does.</param>
    public async Task StopQuietlyAsync(string? warning = null)
    {
        var (code, error) = await StopAsync();
        TestContext.Current.SendDiagnosticMessage(error);
        Assert.DoesNotContain(error.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => !line.StartsWith("fail: Orleans.", StringComparison.Ordinal)
            && (warning is null || !line.Contains(warning, StringComparison.Ordinal)));
        Assert.Equal(0, code);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            await KillAsync();
        _process.Dispose();
    }

    private async Task SignalAsync(string signal)
    {
        using var kill = Process.Start("kill", [signal, $"{_process.Id}"]);
        await kill.WaitForExitAsync();
    }

    private static Process Start(string[] arguments, string? notify = null)
    {
        // Built with these tests, or beside the program that ORLEANSFS_PROGRAM names.
        string folder = Path.GetDirectoryName(Environment.GetEnvironmentVariable("ORLEANSFS_PROGRAM"))
            ?? typeof(SiloProcess).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "SiloFolder").Value!;
        var start = new ProcessStartInfo(Path.Combine(folder, "orleansfs-silo"), arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (notify is not null)
            start.Environment["NOTIFY_SOCKET"] = notify;
        return Process.Start(start)!;
    }
}
