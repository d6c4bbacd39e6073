using System.CommandLine;
using Microsoft.Extensions.Logging;
using OrleansFs.Hosting;
using OrleansFs.Hosting.Command;

var command = SiloCommand.Build(
    new RootCommand("Serves one copy of an OrleansFs volume."),
    "orleansfs-silo",
    verbose => LoggerFactory.Create(logging => HostLogging.Configure(logging, verbose).AddSimpleConsole(o => o.SingleLine = true).AddConsole(o => o.LogToStandardErrorThreshold = LogLevel.Trace)));
var parse = command.Parse(args);
if (parse.Errors.Count > 0)
{
    Console.Error.WriteLine($"orleansfs-silo: {parse.Errors[0].Message}");
    return 2;
}
// Signals are ours: the first stops in order, and is not cut short after some seconds.
return await parse.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false });
