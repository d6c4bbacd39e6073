using Microsoft.Extensions.Logging;
using OrleansFs.Fuse.Mounting;
using OrleansFs.Fuse.Transport;

namespace OrleansFs.Fuse;

/// <summary>How hard to unmount.</summary>
public enum UnmountMode
{
    /// <summary>Only when nobody uses it: what is dirty is written first.</summary>
    Orderly,
    /// <summary>Out of sight at once, gone when the last user is (MNT_DETACH).</summary>
    Lazy,
    /// <summary>Out of sight and cut off at once: programs that use it get ENOTCONN. What is dirty in the kernel is lost.</summary>
    Abort,
}

/// <summary>How an unmount ended.</summary>
public enum UnmountOutcome
{
    /// <summary>The mount is gone.</summary>
    Unmounted,
    /// <summary>Somebody uses it (EBUSY): it is still mounted and served.</summary>
    Busy,
    /// <summary>Out of sight; it goes when its last user does, which may be another mount of the same connection: a bind mount, or one in another mount namespace.</summary>
    Detached,
}

/// <summary>The mount could not be made.</summary>
public sealed class FuseMountException : Exception
{
    /// <summary>A failure.</summary>
    public FuseMountException()
    {
    }

    /// <summary>A failure with its reason, fit to be shown to a user.</summary>
    public FuseMountException(string message)
        : base(message)
    {
    }

    /// <summary>A failure with its reason and cause.</summary>
    public FuseMountException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}

/// <summary>A mounted file system.</summary>
public sealed class FuseMount : IAsyncDisposable
{
    private readonly Connection _connection;
    private readonly TimeProvider _time;

    private FuseMount(string mountPoint, Connection connection, uint? deviceMinor, TimeProvider time)
    {
        MountPoint = mountPoint;
        _connection = connection;
        DeviceMinor = deviceMinor;
        _time = time;
    }

    /// <summary>Where it is mounted: an absolute path without symbolic links.</summary>
    public string MountPoint { get; }

    /// <summary>Names it in the mount table, see <see cref="MountTableLine.DeviceMinor"/>; null where it was taken off before it could be looked for.</summary>
    public uint? DeviceMinor { get; }

    /// <summary>Tells the kernel what changed behind its back.</summary>
    public FuseNotifier Notifier => _connection.Notifications;

    /// <summary>Completes when the mount answers requests; fails where the connection could not be started.</summary>
    public Task Ready => _connection.Ready;

    /// <summary>Completes when the mount is gone, all handlers are done and <see cref="FuseFileSystem.Destroy"/> was called. Never fails.</summary>
    public Task Completion => _connection.Completion;

    /// <summary>What it did so far.</summary>
    public FuseStatistics Statistics => _connection.Statistics();

    /// <summary>Mount and serve. Completes when the mount answers requests.</summary>
    /// <param name="mountPoint">An existing directory. A mount that a dead process left there is detached first.</param>
    /// <param name="fileSystem">Who answers.</param>
    /// <param name="options">How.</param>
    /// <param name="logger">Where to say what went wrong.</param>
    /// <param name="cancellationToken">Gives up, and leaves nothing mounted.</param>
    /// <exception cref="FuseMountException">It could not be mounted; the message says why.</exception>
    public static async Task<FuseMount> MountAsync(
        string mountPoint, FuseFileSystem fileSystem, FuseOptions options, ILogger logger, CancellationToken cancellationToken = default)
    {
        string path = MountPath.Resolve(mountPoint);
        // Off the caller's thread: mount(2) may wait, for the kernel and for fusermount3.
        FuseMount mount = await Task.Run(() => Mount(path, fileSystem, options, logger), cancellationToken).ConfigureAwait(false);
        try
        {
            await mount.Ready.WaitAsync(options.MountTimeout, mount._time, cancellationToken).ConfigureAwait(false);
            return mount;
        }
        catch (Exception exception) when (exception is FuseMountException or TimeoutException or OperationCanceledException)
        {
            await mount.UnmountAsync(UnmountMode.Abort, CancellationToken.None).ConfigureAwait(false);
            throw exception is TimeoutException
                ? new FuseMountException($"the kernel did not start the connection of {path} within {options.MountTimeout}", exception)
                : exception;
        }
    }

    /// <summary>Unmount and wait until handlers are done and the file system is told. Safe to call again.</summary>
    /// <remarks>What somebody else has mounted at the path, since this mount was taken off or over it, is left alone.</remarks>
    /// <param name="mode">How hard.</param>
    /// <param name="cancellationToken">Stops waiting; what was begun goes on.</param>
    public async Task<UnmountOutcome> UnmountAsync(UnmountMode mode = UnmountMode.Orderly, CancellationToken cancellationToken = default)
    {
        if (!_connection.Gone.IsCompleted)
        {
            bool cut = mode == UnmountMode.Abort && await Task.Run(Abort, CancellationToken.None).ConfigureAwait(false);
            Errno error = await Task.Run(() => TakeOff(lazy: mode != UnmountMode.Orderly), CancellationToken.None).ConfigureAwait(false);
            if (mode == UnmountMode.Orderly && error != Errno.None && IsAt(MountPoint))
            {
                return error == Errno.EBUSY
                    ? UnmountOutcome.Busy
                    : throw new FuseMountException($"{MountPoint} cannot be unmounted: {error}");
            }
            if (!cut && !await IsGoneSoonAsync(cancellationToken).ConfigureAwait(false))
                return UnmountOutcome.Detached;
        }
        await Completion.WaitAsync(cancellationToken).ConfigureAwait(false);
        return UnmountOutcome.Unmounted;
    }

    /// <summary>Unmounts, by force where it must, and waits until all is gone. Where it cannot be cut off, what still comes is refused.</summary>
    public async ValueTask DisposeAsync()
    {
        if (await UnmountAsync().ConfigureAwait(false) != UnmountOutcome.Unmounted)
            await UnmountAsync(UnmountMode.Abort).ConfigureAwait(false);
    }

    private static FuseMount Mount(string path, FuseFileSystem fileSystem, FuseOptions options, ILogger logger)
    {
        DeadMount.DetachIfAt(path);
        if (!Directory.Exists(path))
            throw new FuseMountException($"{path} is not a directory");
        if (options.MaxWrite is < 4096 or > Limits.MaxWrite || options.MaxWrite % 4096 != 0)
            throw new FuseMountException($"the largest write has to be a multiple of 4096 from 4096 to {Limits.MaxWrite}, not {options.MaxWrite}");
        string? unavailable = "it is turned off by the options";
        if (options.IoUring != IoUringMode.Off)
            RingTransport.IsEnabled(turnOn: options.IoUring == IoUringMode.On && KernelMount.IsRoot, out unavailable);
        int fd = KernelMount.Mount(path, options);
        Connection connection = new(fd, fileSystem, options, unavailable, TimeProvider.System, logger);
        FuseMount mount = new(path, connection, MountTable.At(path)?.DeviceMinor, TimeProvider.System);
        connection.Abort = () => mount.Abort();
        return mount;
    }

    /// <summary>Cuts the kernel's side off; where that cannot be done, this side answers ENOTCONN to whatever still comes.</summary>
    private bool Abort()
    {
        // The number of a connection that is gone may be another's by now.
        bool isCut = !_connection.Gone.IsCompleted && DeviceMinor is uint minor && (KernelMount.TryAbort(minor) || MountTable.Of(minor).Any(there => IsAt(there.MountPoint) && KernelMount.TryForce(there.MountPoint)));
        _connection.Engine.Cut();
        return isCut;
    }

    private Errno TakeOff(bool lazy) => IsAt(MountPoint) ? KernelMount.Unmount(MountPoint, lazy) : Errno.None;

    /// <summary>Whether it is this mount that lies at a path, and not one that somebody has put there since.</summary>
    private bool IsAt(string path) => DeviceMinor is uint minor && MountTable.At(path)?.DeviceMinor == minor;

    private async Task<bool> IsGoneSoonAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _connection.Gone.WaitAsync(Limits.DetachWatch, _time, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }
}
