using System.CommandLine;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine;
using OrleansFs.Hosting;
using OrleansFs.Silo;

// orleansfs-silo: serves one copy of a volume until it gets SIGTERM or SIGINT. Exit codes: 0 stopped in order; 1 it could not start, or not everything reached the disk; 2 wrong arguments.
var data = new Option<string>("--data") { Description = "The folder that holds the copy. Made where it is missing.", Required = true, HelpName = "DIR" };
var name = new Option<string>("--name") { Description = "The name of the copy and of its silo, unlike that of every other in the cluster.", Required = true, HelpName = "NAME" };
var role = new Option<string>("--role") { Description = "master or replica.", Required = true, HelpName = "ROLE" };
var cluster = new Option<string?>("--cluster")
{
    Description = "Where the cluster keeps its membership: sqlite:FILE (silos on one host) or a PostgreSQL connection string. By default cluster.db in DIR.",
    HelpName = "CONN",
};
var advertise = new Option<string?>("--advertise") { Description = "The IP address under which others reach this silo. By default loopback: this host only.", HelpName = "ADDR" };
var siloPort = new Option<int?>("--silo-port") { Description = "Port for other silos. By default one that is free.", HelpName = "N" };
var gatewayPort = new Option<int?>("--gateway-port") { Description = "Port for mounts. By default one that is free.", HelpName = "N" };
var blockSize = new Option<string>("--block-size") { Description = "For a volume that is made now: a power of two from 4KiB to 4MiB.", HelpName = "SIZE", DefaultValueFactory = _ => "128KiB" };
var memory = new Option<string>("--memory") { Description = "Most that is in memory and not on disk yet.", HelpName = "SIZE", DefaultValueFactory = _ => "256MiB" };
var verbose = new Option<bool>("--verbose", "-v") { Description = "Say what happens, on standard error." };

var command = new RootCommand("Serves one copy of an OrleansFs volume.") { data, name, role, cluster, advertise, siloPort, gatewayPort, blockSize, memory, verbose };
command.SetAction(async (parsed, cancellation) =>
{
    var arguments = new SiloArguments
    {
        Data = parsed.GetRequiredValue(data),
        Name = parsed.GetRequiredValue(name),
        Role = parsed.GetRequiredValue(role),
        Cluster = parsed.GetValue(cluster),
        Advertise = parsed.GetValue(advertise),
        SiloPort = parsed.GetValue(siloPort),
        GatewayPort = parsed.GetValue(gatewayPort),
        BlockSize = parsed.GetRequiredValue(blockSize),
        Memory = parsed.GetRequiredValue(memory),
    };
    return await ServeAsync(arguments, parsed.GetValue(verbose), cancellation);
});
var parse = command.Parse(args);
if (parse.Errors.Count > 0)
{
    Console.Error.WriteLine($"orleansfs-silo: {parse.Errors[0].Message}");
    return 2;
}
// Signals are ours: the first stops in order, and is not cut short after some seconds.
return await parse.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false });

static async Task<int> ServeAsync(SiloArguments arguments, bool isVerbose, CancellationToken cancellation)
{
    OrleansFsHostOptions options;
    try
    {
        options = arguments.ToOptions();
    }
    catch (HostException e)
    {
        Console.Error.WriteLine($"orleansfs-silo: {e.Message}");
        return 2;
    }
    using var loggers = LoggerFactory.Create(logging => HostLogging.Configure(logging, isVerbose).AddSimpleConsole(o => o.SingleLine = true)
        .AddConsole(o => o.LogToStandardErrorThreshold = LogLevel.Trace));
    var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
    using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
    try
    {
        await using var host = await OrleansFsHost.StartAsync(options with { Loggers = loggers }, cancellation);
        Console.WriteLine($"{options.Volume.Copy}: serving {host.Volume.DataFolder}, gateway {host.Silo!.Gateway}");
        var ended = await Task.WhenAny(stop.Task, host.Lost);
        await host.StopAsync();
        if (ended == stop.Task)
            return 0;
        Console.Error.WriteLine($"orleansfs-silo: the silo lost its place in the cluster: {(await host.Lost).Message}");
        return 1;
    }
    catch (Exception e) when (e is VolumeException or HostException)
    {
        Console.Error.WriteLine($"orleansfs-silo: {e.Message}");
        return 1;
    }

    void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        stop.TrySetResult();
    }
}
