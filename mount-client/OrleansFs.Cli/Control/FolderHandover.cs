using OrleansFs.Engine;
using OrleansFs.Fuse;

namespace OrleansFs.Cli.Control;

/// <summary>
/// Takes over a data folder from a process that is ending. umount(8) returns when the kernel has let go of the mount; its process commits after that, and has the folder until then.
/// </summary>
/// <remarks>
/// Who has the folder is asked in three ways, for none is enough: the process writes down that it is ending; before it has noticed the unmount, its control socket names a mount point at which nothing
/// of it is mounted any more; and a process that has neither said it nor has such a socket is at work (a silo, a check, a mount that begins) and is not waited for.
/// </remarks>
internal sealed class FolderHandover(string folder, Action<string> say, CancellationToken cancellation)
{
    private readonly TimeProvider _time = TimeProvider.System;
    private readonly long _start = TimeProvider.System.GetTimestamp();
    private TimeSpan _noticeTimeout = Limits.UnmountNoticeTimeout;
    private bool _hasSaid;
    private string? _refusal;

    private enum Holder
    {
        /// <summary>At work: it keeps the folder.</summary>
        Serving,

        /// <summary>It has not said who it is yet, or just ended: the next look tells.</summary>
        Unknown,

        /// <summary>Its mount is gone. It has not noticed, or programs still use what was detached.</summary>
        Unmounted,

        /// <summary>It commits and closes.</summary>
        Ending,
    }

    /// <summary>Opens the folder, waiting for a process that is only ending.</summary>
    /// <param name="folder">The folder of a copy.</param>
    /// <param name="open">Opens it; called again after a <see cref="VolumeInUseException"/>.</param>
    /// <param name="say">Told in a line what is waited for, where it takes long.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="VolumeInUseException">A process is at work on the folder.</exception>
    /// <exception cref="CommandException">The process did not end in time.</exception>
    public static async Task<T> OpenAsync<T>(string folder, Func<Task<T>> open, Action<string> say, CancellationToken cancellation)
    {
        var handover = new FolderHandover(folder, say, cancellation);
        while (true)
        {
            try
            {
                return await open();
            }
            catch (VolumeInUseException)
            {
                if (await handover.WaitStepAsync())
                    continue;
                if (handover._refusal is { } refusal)
                    throw new CommandException(refusal);
                throw;
            }
        }
    }

    /// <summary>Waits until the process that has a folder now has let it go. Returns at once where that process is at work, and with a line where it has users left that nobody can wait for.</summary>
    /// <param name="folder">The folder of a copy.</param>
    /// <param name="isGone">The kernel has ended the connection: the process will notice, however busy the machine is.</param>
    /// <param name="say">Told in a line what is waited for, where it takes long.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="CommandException">It did not end in time.</exception>
    public static async Task AwaitReleaseAsync(string folder, bool isGone, Action<string> say, CancellationToken cancellation)
    {
        var handover = new FolderHandover(folder, say, cancellation);
        if (isGone)
            handover._noticeTimeout = Limits.HandoverTimeout;
        int? first = null;
        while (VolumeCopy.IsInUse(folder))
        {
            int? owner = VolumeCopy.OwnerOf(folder)?.Pid;
            first ??= owner;
            if (owner == first && await handover.WaitStepAsync())
                continue;
            if (handover._refusal is { } refusal)
                say($"orleansfs: {refusal}");
            return;
        }
    }

    /// <summary>Waits until a mount point is free, where what is mounted there is ending.</summary>
    /// <exception cref="CommandException">It did not end in time.</exception>
    public static async Task AwaitMountPointAsync(string mountPoint, Action<string> say, CancellationToken cancellation)
    {
        FolderHandover? handover = null;
        while (MountTable.At(mountPoint) is { Type: VolumeLocation.MountType, Source: var folder } && VolumeCopy.OwnerOf(folder) is { IsEnding: true })
        {
            handover ??= new FolderHandover(folder, say, cancellation);
            if (!await handover.WaitStepAsync())
                return;
        }
    }

    /// <summary>Waits a moment.</summary>
    /// <returns>False where the process is at work: there is nothing to wait for. <see cref="_refusal"/> has the reason where there is more to say than that.</returns>
    /// <exception cref="CommandException">It is ending, and does not come to its end.</exception>
    private async Task<bool> WaitStepAsync()
    {
        var holder = await FindHolderAsync();
        if (holder == Holder.Serving)
            return false;
        var waited = _time.GetElapsedTime(_start);
        if (holder == Holder.Unknown && waited > Limits.UnmountNoticeTimeout)
            return false;
        string process = VolumeCopy.OwnerOf(folder) is { } owner ? $"process {owner.Pid}" : "a process";
        if (holder == Holder.Ending && waited > Limits.HandoverTimeout)
            throw new CommandException($"{folder} was not let go within {Limits.HandoverTimeout} by {process}, which is ending");
        if (holder == Holder.Unmounted && waited > _noticeTimeout)
        {
            _refusal = $"{folder} is in use by {process}: it is unmounted, but programs have files of it open still, or another mount namespace has it";
            return false;
        }
        if (waited > Limits.HandoverSilence && !_hasSaid)
        {
            _hasSaid = true;
            say($"orleansfs: waiting for {process}, which is unmounted and has {folder} until all is committed");
        }
        await Task.Delay(Limits.HandoverInterval, _time, cancellation);
        return true;
    }

    private async Task<Holder> FindHolderAsync()
    {
        if (VolumeCopy.OwnerOf(folder) is not { } owner || !Directory.Exists($"/proc/{owner.Pid}"))
            return Holder.Unknown;
        if (owner.IsEnding)
            return Holder.Ending;
        try
        {
            using var client = await ControlClient.TryConnectAsync(folder, cancellation);
            if (client is null)
                return VolumeCopy.OwnerOf(folder) == owner ? Holder.Serving : Holder.Unknown;
            return await FindMountAsync(client);
        }
        catch (CommandException)
        {
            return Holder.Serving; // another user's
        }
    }

    private async Task<Holder> FindMountAsync(ControlClient client)
    {
        try
        {
            var reply = await client.AskOnceAsync(new(ControlRequest.CurrentVersion, ControlVerb.Status), cancellation);
            if (reply.Status?.Mount is not { } mount)
                return Holder.Serving;
            return MountTable.At(mount.MountPoint, mount.ProcessId) is { Type: VolumeLocation.MountType } there && there.Source == mount.DataFolder ? Holder.Serving : Holder.Unmounted;
        }
        catch (Exception e) when (e is CommandException or IOException)
        {
            return Holder.Unknown; // it ended while it was asked
        }
        catch (UnauthorizedAccessException)
        {
            return Holder.Serving;
        }
    }
}
