using OrleansFs.Cli.Control;
using OrleansFs.Fuse;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs umount</c>: asks the serving process to unmount, and returns when it has committed everything.</summary>
internal static class UnmountCommand
{
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
        using var client = await ControlClient.TryConnectAsync(folder, interrupt.Token)
            ?? throw new CommandException($"the process that serves {path} cannot be reached; 'umount {path}' unmounts without waiting for it");
        // Without a time-out: how long a commit takes is for the disk to say.
        await foreach (var reply in client.AskAsync(new(ControlRequest.CurrentVersion, ControlVerb.Unmount), interrupt.Token))
        {
            if (reply.Error is { } error)
                throw new CommandException(error);
            if (reply.Committed == true)
                return ExitCode.Success;
        }
        throw new CommandException($"the process that served {path} ended before it said that everything is committed; what was synced is safe, and the next mount recovers the rest");
    }
}
