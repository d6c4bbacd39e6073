using System.Diagnostics;
using System.Reflection;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>How a program ended.</summary>
/// <param name="ExitCode">What it answered its caller.</param>
/// <param name="Output">All of its standard output.</param>
/// <param name="Error">All of its standard error.</param>
internal sealed record Outcome(int ExitCode, string Output, string Error)
{
    /// <summary>For the message of an assertion.</summary>
    public string All => $"exit code {ExitCode}\n{Output}\n{Error}";
}

/// <summary>The program <c>orleansfs</c>, run as a user runs it.</summary>
internal static class OrleansFsCommand
{
    /// <summary>Longer than anything here takes on a machine that is busy with other things; shorter than a run that hangs.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    /// <summary>Where it is: built with these tests, or where ORLEANSFS_PROGRAM says.</summary>
    public static string Path { get; } = Environment.GetEnvironmentVariable("ORLEANSFS_PROGRAM") ?? System.IO.Path.Combine(
        typeof(OrleansFsCommand).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "CommandFolder").Value!, "orleansfs");

    /// <summary>Runs it to its end.</summary>
    public static Task<Outcome> RunAsync(params string[] arguments) => RunAsync(new ProcessStartInfo(Path, arguments));

    /// <summary>Runs any program to its end, and kills it with its children where it does not come to one.</summary>
    public static async Task<Outcome> RunAsync(ProcessStartInfo start, TimeSpan? patience = null)
    {
        using var process = Start(start);
        process.StandardInput.Close();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(patience ?? Patience);
        var output = process.StandardOutput.ReadToEndAsync(limit.Token);
        var error = process.StandardError.ReadToEndAsync(limit.Token);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            return new Outcome(process.ExitCode, await output, await error);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }

    /// <summary>Runs it, and fails the test where it does not end well.</summary>
    public static async Task<string> SucceedAsync(params string[] arguments)
    {
        var outcome = await RunAsync(arguments);
        Assert.True(outcome.ExitCode == 0, $"orleansfs {string.Join(' ', arguments)}: {outcome.All}");
        return outcome.Output;
    }

    /// <summary>Starts a program with its three streams in the caller's hands.</summary>
    public static Process Start(ProcessStartInfo start)
    {
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        return Process.Start(start)!;
    }
}
