using OrleansFs.Fault.Tests.Work;

namespace OrleansFs.Fault.Tests;

/// <summary>The test run; or, with a first word, one of the processes that the tests start.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] arguments) => arguments switch
    {
        ["worker"] => WorkerProcess.Run(),
        ["verify", .. var rest] => VerifyProcess.Run(rest),
        ["describe", var path] => TreeProcess.Run(path),
        // As the entry that xunit.v3 generates has it: the testing platform of the SDK, or xunit's own console.
        _ when arguments.Any(a => a is "--server" or "--internal-msbuild-node") =>
            await Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(arguments, SelfRegisteredExtensions.AddSelfRegisteredExtensions),
        _ => await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(arguments),
    };
}
