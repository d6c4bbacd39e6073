using System.Diagnostics;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary><c>orleansfs silo</c>, running until it is disposed of; it must end in order and without a word but what belongs to the test.</summary>
internal sealed class SiloCommandProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task<string> _errors;

    private SiloCommandProcess(Process process)
    {
        _process = process;
        _errors = process.StandardError.ReadToEndAsync();
    }

    /// <summary>Part of the warnings that belong to what the test does; null where there is to be none.</summary>
    public string? Warning { get; set; }

    public static async Task<SiloCommandProcess> StartAsync(params string[] arguments)
    {
        var silo = new SiloCommandProcess(OrleansFsCommand.Start(new ProcessStartInfo(OrleansFsCommand.Path, arguments)));
        string? line = await silo._process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken);
        if (line is null || !line.Contains("serving", StringComparison.Ordinal))
            Assert.Fail($"the silo did not start: {line} {await silo._errors}");
        return silo;
    }

    public async ValueTask DisposeAsync()
    {
        using (_process)
        {
            using (var kill = Process.Start("kill", ["-TERM", $"{_process.Id}"]))
                await kill.WaitForExitAsync();
            using var patience = new CancellationTokenSource(OrleansFsCommand.Patience);
            await _process.WaitForExitAsync(patience.Token);
            string[] said = (await _errors).Split('\n', StringSplitOptions.RemoveEmptyEntries);
            Assert.DoesNotContain(said, line => Warning is null || !line.Contains(Warning, StringComparison.Ordinal));
            Assert.Equal(0, _process.ExitCode);
        }
    }
}
