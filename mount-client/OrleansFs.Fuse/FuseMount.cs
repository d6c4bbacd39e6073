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
    /// <summary>Out of sight; it goes when its last user does.</summary>
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
    private readonly uint? _deviceMinor;

    private FuseMount(string mountPoint, Connection connection, uint? deviceMinor, TimeProvider time)
    {
        MountPoint = mountPoint;
        _connection = connection;
        _deviceMinor = deviceMinor;
        _time = time;
    }

    /// <summary>Where it is mounted: an absolute path.</summary>
    public string MountPoint { get; }

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
        string path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(mountPoint));
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
    /// <param name="mode">How hard.</param>
    /// <param name="cancellationToken">Stops waiting; what was begun goes on.</param>
    public async Task<UnmountOutcome> UnmountAsync(UnmountMode mode = UnmountMode.Orderly, CancellationToken cancellationToken = default)
    {
        if (Completion.IsCompleted)
            return UnmountOutcome.Unmounted;
        bool cut = mode != UnmountMode.Abort || await Task.Run(Abort, CancellationToken.None).ConfigureAwait(false);
        Errno error = await Task.Run(() => KernelMount.Unmount(MountPoint, lazy: mode != UnmountMode.Orderly), CancellationToken.None).ConfigureAwait(false);
        if (mode == UnmountMode.Orderly && error != Errno.None && IsStillMounted())
        {
            return error == Errno.EBUSY
                ? UnmountOutcome.Busy
                : throw new FuseMountException($"{MountPoint} cannot be unmounted: {error}");
        }
        if (mode == UnmountMode.Orderly || (mode == UnmountMode.Abort && cut))
        {
            await Completion.WaitAsync(cancellationToken).ConfigureAwait(false);
            return UnmountOutcome.Unmounted;
        }
        try
        {
            await Completion.WaitAsync(Limits.DetachWatch, _time, cancellationToken).ConfigureAwait(false);
            return UnmountOutcome.Unmounted;
        }
        catch (TimeoutException)
        {
            return UnmountOutcome.Detached;
        }
    }

    /// <summary>Unmounts, by force where it must, and waits until all is gone.</summary>
    public async ValueTask DisposeAsync()
    {
        if (await UnmountAsync().ConfigureAwait(false) == UnmountOutcome.Busy)
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

    private bool Abort() => CutOff(_deviceMinor is uint minor && KernelMount.TryAbort(MountPoint, minor));

    /// <summary>Where the kernel's side cannot be cut, this side answers ENOTCONN to whatever still comes.</summary>
    private bool CutOff(bool aborted)
    {
        _connection.Engine.Cut();
        return aborted;
    }

    private bool IsStillMounted() => MountTable.At(MountPoint) is { IsFuse: true } && !Completion.IsCompleted;
}
