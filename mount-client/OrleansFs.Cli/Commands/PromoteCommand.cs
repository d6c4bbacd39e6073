using System.Runtime.CompilerServices;
using OrleansFs.Cli.Control;
using OrleansFs.Cli.Output;
using OrleansFs.Client;
using OrleansFs.Model;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs promote</c>: makes a replica the master, in a new epoch. Other replicas follow it; the master before it, there or coming back, is read-only from then on.</summary>
internal static class PromoteCommand
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static async Task<int> RunAsync(string name, string cluster, bool force)
    {
        var copy = CopyNames.Parse("NAME", name);
        using var interrupt = new Interrupt();
        await using var master = await ClusterMaster.ConnectAsync(cluster, copy, interrupt.Token);
        var (before, unknown) = await LookAsync(master, interrupt.Token);
        var promotion = await master.Connection.PromoteAsync(copy, force, interrupt.Token);
        Console.WriteLine($"'{copy}' is the master of volume {master.VolumeName} now, in epoch {promotion.Epoch}");
        if (promotion.HandedOver is { } handed)
        {
            await Console.Error.WriteLineAsync($"orleansfs: '{handed}' was the master and is read-only from now on; '{name}' has everything that it had");
        }
        else if (before is null)
        {
            await Console.Error.WriteLineAsync($"orleansfs: what '{name}' lacked of the master before is not known: {unknown}");
        }
        else if (before.Value.Master is { } former && former != name)
        {
            var lag = before.Value.Replicas.Where(r => r.Name == name).Select(r => ReplicasText.Lag(r)).FirstOrDefault("not known");
            await Console.Error.WriteLineAsync($"orleansfs: '{former}' was the master and is read-only from now on; what '{name}' lacked of it a moment before: {lag}");
        }
        await Console.Error.WriteLineAsync($"orleansfs: '{name}' keeps its folder, and is started with --role master from now on");
        return ExitCode.Success;
    }

    /// <summary>How the replicas stand, to be told of when it is done: nothing that a promotion needs. Where it cannot be told, why.</summary>
    private static async Task<(MasterReport? Report, string? Unknown)> LookAsync(ClusterMaster master, CancellationToken cancellation)
    {
        try
        {
            return (await master.ReplicasAsync(cancellation), null);
        }
        catch (VolumeConnectionException e)
        {
            return (null, e.Message);
        }
    }
}
