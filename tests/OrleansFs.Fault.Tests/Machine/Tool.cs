using System.Diagnostics;

namespace OrleansFs.Fault.Tests.Machine;

/// <summary>Programs of the system.</summary>
internal static class Tool
{
    private static readonly string[] s_folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

    public static bool Exists(string name) => s_folders.Any(folder => File.Exists(Path.Combine(folder, name)));

    /// <summary>Runs a program to its end and gives what it printed.</summary>
    /// <exception cref="IOException">It failed, or did not end in time.</exception>
    public static async Task<string> RunAsync(string name, params string[] arguments)
    {
        var result = await TryRunAsync(Find(name), Limits.Tool, arguments);
        return result.ExitCode == 0 ? result.Output : throw new IOException($"{name} {string.Join(' ', arguments)}: exit {result.ExitCode}: {result.Output}{result.Errors}");
    }

    /// <exception cref="TimeoutException">It did not end in time, and was killed.</exception>
    public static async Task<ToolResult> TryRunAsync(string program, TimeSpan patience, params string[] arguments)
    {
        using var process = new Process { StartInfo = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true } };
        process.Start();
        process.StandardInput.Close();
        using var end = new CancellationTokenSource(patience);
        var output = process.StandardOutput.ReadToEndAsync(end.Token);
        var errors = process.StandardError.ReadToEndAsync(end.Token);
        try
        {
            await process.WaitForExitAsync(end.Token);
            return new ToolResult(process.ExitCode, await output, await errors);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw new TimeoutException($"{program} {string.Join(' ', arguments)} did not end within {patience}");
        }
    }

    private static string Find(string name) =>
        s_folders.Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists) ?? throw new IOException($"{name} is not installed");
}

/// <summary>How a program ended.</summary>
internal sealed record ToolResult(int ExitCode, string Output, string Errors);
