using OrleansFs.Cli.Control;
using OrleansFs.Fuse;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs umount</c>: asks the serving process to unmount, and returns when it has committed everything.</summary>
internal static class UnmountCommand
{
    /// <summary>How long the process may take to end before it is looked whether something keeps it.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    public static async Task<int> RunAsync(string mountPoint)
    {
        using var interrupt = new Interrupt();
        string path = MountPath.Resolve(mountPoint);
        if (DeadMount.DetachIfAt(path))
        {
            await Console.Error.WriteLineAsync($"orleansfs: the process that served {path} was gone; its mount is taken away");
            return ExitCode.Success;
        }
        string folder = VolumeLocation.OfMount(path);
        await RefuseOtherMountsAsync(path, folder, interrupt.Token);
        using var client = await ControlClient.TryConnectAsync(folder, interrupt.Token)
            ?? throw new CommandException($"the process that serves {path} cannot be reached; 'umount {path}' unmounts without waiting for it");
        using var done = CancellationTokenSource.CreateLinkedTokenSource(interrupt.Token);
        var note = MountTable.At(path) is { } mount ? TellWhoHoldsAsync(path, mount.DeviceMinor, done.Token) : Task.CompletedTask;
        try
        {
            return await UnmountAsync(path, client, interrupt.Token);
        }
        finally
        {
            await done.CancelAsync();
            await note;
        }
    }

    /// <summary>What "mount --bind" shows of a volume elsewhere has its source too, and is not what the process unmounts.</summary>
    private static async Task RefuseOtherMountsAsync(string path, string folder, CancellationToken cancellation)
    {
        if (MountTable.At(path) is not { } mount || MountTable.Of(mount.DeviceMinor).Count == 1)
            return;
        using var client = await ControlClient.TryConnectAsync(folder, cancellation);
        if (client is null)
            return;
        var reply = await client.AskOnceAsync(new(ControlRequest.CurrentVersion, ControlVerb.Status), cancellation);
        if (reply.Status?.Mount?.MountPoint is { } mountPoint && mountPoint != path)
            throw new CommandException($"{path} shows what is mounted at {mountPoint}; 'umount {path}' takes it away and leaves the volume mounted");
    }

    private static async Task<int> UnmountAsync(string path, ControlClient client, CancellationToken cancellation)
    {
        // Without a time-out: how long a commit takes is for the disk to say.
        await foreach (var reply in client.AskAsync(new(ControlRequest.CurrentVersion, ControlVerb.Unmount), cancellation))
        {
            if (reply.Error is { } error)
                throw new CommandException(error);
            if (reply.Committed == true)
                return ExitCode.Success;
        }
        throw new CommandException($"the process that served {path} ended before it said that everything is committed; what was synced is safe, and the next mount recovers the rest");
    }

    private static async Task TellWhoHoldsAsync(string path, uint device, CancellationToken cancellation)
    {
        await Task.Delay(s_patience, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (cancellation.IsCancellationRequested || MountTable.At(path)?.DeviceMinor == device)
            return;
        if (MountHolders.Describe(path, device) is { } holders)
            await Console.Error.WriteLineAsync($"orleansfs: {holders}; waiting for that to end (interrupting this leaves the volume served)");
    }
}
