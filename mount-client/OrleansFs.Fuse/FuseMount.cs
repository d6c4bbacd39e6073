using Microsoft.Extensions.Logging;

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
    private FuseMount(string mountPoint, FuseNotifier notifier)
    {
        MountPoint = mountPoint;
        Notifier = notifier;
    }

    /// <summary>Where it is mounted: an absolute path.</summary>
    public string MountPoint { get; }

    /// <summary>Tells the kernel what changed behind its back.</summary>
    public FuseNotifier Notifier { get; }

    /// <summary>Completes when the mount answers requests; fails where the connection could not be started.</summary>
    public Task Ready => throw new NotImplementedException();

    /// <summary>Completes when the mount is gone, all handlers are done and <see cref="FuseFileSystem.Destroy"/> was called. Never fails.</summary>
    public Task Completion => throw new NotImplementedException();

    /// <summary>What it did so far.</summary>
    public FuseStatistics Statistics => throw new NotImplementedException();

    /// <summary>Mount and serve. Completes when the mount answers requests.</summary>
    /// <param name="mountPoint">An existing directory. A mount that a dead process left there is detached first.</param>
    /// <param name="fileSystem">Who answers.</param>
    /// <param name="options">How.</param>
    /// <param name="logger">Where to say what went wrong.</param>
    /// <param name="cancellationToken">Gives up, and leaves nothing mounted.</param>
    /// <exception cref="FuseMountException">It could not be mounted; the message says why.</exception>
    public static Task<FuseMount> MountAsync(
        string mountPoint, FuseFileSystem fileSystem, FuseOptions options, ILogger logger, CancellationToken cancellationToken = default) =>
        throw new NotImplementedException();

    /// <summary>Unmount and wait until handlers are done and the file system is told. Safe to call again.</summary>
    /// <param name="mode">How hard.</param>
    /// <param name="cancellationToken">Stops waiting; what was begun goes on.</param>
    public Task<UnmountOutcome> UnmountAsync(UnmountMode mode = UnmountMode.Orderly, CancellationToken cancellationToken = default) =>
        throw new NotImplementedException();

    /// <summary>Unmounts, by force where it must, and waits until all is gone.</summary>
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}
