using System.CommandLine;
using System.CommandLine.Invocation;
using OrleansFs.Cli;

var parsed = CommandLine.Build().Parse(args);
if (parsed.Action is ParseErrorAction)
{
    await Console.Error.WriteLineAsync($"orleansfs: {Usage.Explain(parsed)}");
    return ExitCode.ForUsage(parsed);
}
try
{
    // Signals are each command's own: a mount has to end in order, however long that takes.
    return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
}
catch (Exception failure) when (Failure.Explain(failure) is { } line)
{
    await Console.Error.WriteLineAsync($"orleansfs: {line}");
    return ExitCode.ForFailure(parsed, failure);
}
