using System.CommandLine;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine;

namespace OrleansFs.Hosting.Command;

/// <summary>
/// The command that serves one copy until it gets SIGTERM or SIGINT: <c>orleansfs-silo</c>, and <c>orleansfs silo</c>, which is the same. Exit codes: 0 stopped in order, also while it started; 1 it could not start, or
/// not everything reached the disk; 2 wrong arguments. Errors are one line on standard error.
/// </summary>
public static class SiloCommand
{
    /// <summary>Gives a command its options and what it does. Nothing of Orleans is touched before it runs.</summary>
    /// <param name="command">The command.</param>
    /// <param name="program">How it calls itself in its messages.</param>
    /// <param name="log">Makes the log, verbose or not.</param>
    public static T Build<T>(T command, string program, Func<bool, ILoggerFactory> log)
        where T : System.CommandLine.Command
    {
        var data = new Option<string>("--data") { Description = "the folder that holds the copy; made where it is missing", Required = true, HelpName = "DIR" };
        var name = new Option<string>("--name") { Description = "the name of the copy and of its silo, unlike that of every other in the cluster", Required = true, HelpName = "NAME" };
        var role = new Option<string>("--role") { Description = "master, which takes changes, or replica, which follows it", Required = true, HelpName = "master|replica" };
        var network = new SiloNetworkOptions();
        var blockSize = new Option<string>("--block-size") { Description = "for a volume that is made now: a power of two from 4KiB to 4MiB", HelpName = "SIZE", DefaultValueFactory = _ => "128KiB" };
        var memory = new Option<string>("--memory") { Description = "most that is in memory and not on disk yet", HelpName = "SIZE", DefaultValueFactory = _ => "256MiB" };
        var replication = new ReplicationOptions();
        var verbose = new Option<bool>("--verbose", "-v") { Description = "say what happens, on standard error" };
        command.Options.Add(data);
        command.Options.Add(name);
        command.Options.Add(role);
        network.AddTo(command);
        command.Options.Add(blockSize);
        command.Options.Add(memory);
        replication.AddTo(command);
        command.Options.Add(verbose);
        command.SetAction((parsed, cancellation) =>
        {
            var arguments = new SiloArguments
            {
                Data = parsed.GetRequiredValue(data),
                Name = parsed.GetRequiredValue(name),
                Role = parsed.GetRequiredValue(role),
                Network = network.Read(parsed),
                BlockSize = parsed.GetRequiredValue(blockSize),
                Memory = parsed.GetRequiredValue(memory),
                Replication = replication.Read(parsed),
            };
            return ServeAsync(program, arguments, log, parsed.GetValue(verbose), cancellation);
        });
        return command;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task<int> ServeAsync(string program, SiloArguments arguments, Func<bool, ILoggerFactory> log, bool isVerbose, CancellationToken cancellation)
    {
        OrleansFsHostOptions options;
        try
        {
            options = arguments.ToOptions();
        }
        catch (HostException e)
        {
            await Console.Error.WriteLineAsync($"{program}: {e.Message}");
            return 2;
        }
        using var loggers = log(isVerbose);
        var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var starting = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        try
        {
            await using var host = await OrleansFsHost.StartAsync(options with { Loggers = loggers }, starting.Token);
            Console.WriteLine($"{host.Copy}: {Serving(host)}");
            await using (ServiceNotification.Ready(() => string.Join("; ", [Serving(host), .. Troubles(host)])))
            {
                foreach (string trouble in Troubles(host))
                    await Console.Error.WriteLineAsync($"{program}: {trouble}");
                await stop.Task;
            }
            ServiceNotification.Stopping();
            await host.StopAsync();
            return 0;
        }
        catch (OperationCanceledException) when (stop.Task.IsCompleted)
        {
            return 0;
        }
        catch (Exception e) when (e is VolumeException or HostException)
        {
            await Console.Error.WriteLineAsync($"{program}: {e.Message}");
            return 1;
        }

        void OnSignal(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.TrySetResult();
            starting.Cancel();
        }
    }

    private static string Serving(OrleansFsHost host) => $"serving {host.DataFolder}, {(host.Silo is { } silo ? $"gateway {silo.Gateway}" : "in no cluster yet")}";

    /// <summary>What an administrator ought to know of a copy that is served all the same: each one line.</summary>
    private static IEnumerable<string> Troubles(OrleansFsHost host)
    {
        if (host.ClusterTrouble is { } away)
            yield return $"{away}; it is tried again until it works";
        if ((host.Receiver is { } receiver ? receiver.Volume : host.Volume)?.FenceTrouble is { } fence)
            yield return fence;
        if (host.PromotionNotice is { } promoted)
            yield return promoted;
        if (host.NewVolumeNotice is { } made)
            yield return made;
    }
}
