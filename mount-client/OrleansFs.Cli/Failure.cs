using System.CommandLine;
using OrleansFs.Client;
using OrleansFs.Engine;
using OrleansFs.Fuse;
using OrleansFs.Hosting;

namespace OrleansFs.Cli;

/// <summary>A command cannot do what it was asked for: one line that says why, and what to do where there is something.</summary>
internal sealed class CommandException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>What of the exceptions that reach the top is said to the user in one line; any other is a bug and keeps its stack.</summary>
internal static class Failure
{
    public static string? Explain(Exception failure) => failure switch
    {
        CommandException or IOException or UnauthorizedAccessException => failure.Message,
        OperationCanceledException => "interrupted",
        _ => ExplainServing(failure),
    };

    /// <summary>Apart, so that the engine and the FUSE library are loaded only when something failed.</summary>
    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static string? ExplainServing(Exception failure) => failure is VolumeException or FuseMountException or HostException or VolumeConnectionException ? failure.Message : null;
}

/// <summary>What the process answers to its caller.</summary>
internal static class ExitCode
{
    public const int Success = 0;
    public const int Failure = 1;

    /// <summary>As a shell reports a program that SIGINT ended.</summary>
    public const int Interrupted = 130;

    // fsck(8)
    public const int CheckRepaired = 1;
    public const int CheckFaultsLeft = 4;
    public const int CheckFailed = 8;
    public const int CheckUsage = 16;
    public const int CheckInterrupted = 32;

    public static int ForUsage(ParseResult parsed) => IsCheck(parsed) ? CheckUsage : Failure;

    public static int ForFailure(ParseResult parsed, Exception failure) => (IsCheck(parsed), failure is OperationCanceledException) switch
    {
        (true, true) => CheckInterrupted,
        (true, false) => CheckFailed,
        (false, true) => Interrupted,
        _ => Failure,
    };

    private static bool IsCheck(ParseResult parsed) => parsed.CommandResult.Command.Name == CommandLine.CheckName;
}
