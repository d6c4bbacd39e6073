using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Cli.Control;
using OrleansFs.Cli.Output;
using OrleansFs.Engine;
using OrleansFs.Engine.Check;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs gc</c>: deletes blocks that nothing refers to, at once, in the process that serves the volume or in a folder at rest.</summary>
internal static class CollectCommand
{
    public static async Task<int> RunAsync(string? mountPoint, string? data, bool dryRun)
    {
        using var interrupt = new Interrupt();
        string folder = VolumeLocation.Of(mountPoint, data);
        using var client = await ControlClient.TryConnectAsync(folder, interrupt.Token);
        var done = await WorkDisplay.RunAsync(
            show: true, progress => client is null ? AtRestAsync(folder, dryRun, progress, interrupt.Token) : AskAsync(client, dryRun, progress, interrupt.Token));
        string what = $"{done.Blocks} blocks and {done.Strays} stray files, {ByteSize.Format(done.Bytes)}";
        Console.WriteLine(dryRun ? $"would free {what}" : $"freed {what}");
        return ExitCode.Success;
    }

    private static async Task<CollectResult> AskAsync(ControlClient client, bool dryRun, IProgress<WorkProgress> progress, CancellationToken cancellation)
    {
        await foreach (var reply in client.AskAsync(new(ControlRequest.CurrentVersion, ControlVerb.Collect, dryRun), cancellation))
        {
            if (reply.Error is { } error)
                throw new CommandException(error);
            if (reply.Progress is { } step)
                progress.Report(step);
            if (reply.Collected is { } result)
                return result;
        }
        throw new CommandException("the process that serves the volume ended before it had finished");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task<CollectResult> AtRestAsync(string folder, bool dryRun, IProgress<WorkProgress> progress, CancellationToken cancellation)
    {
        await using var volume = await EmbeddedVolume.OpenAsync(new VolumeOptions { DataFolder = folder, Create = false }, NullLoggerFactory.Instance, cancellation);
        return await volume.CollectAsync(dryRun, progress, cancellation);
    }
}
