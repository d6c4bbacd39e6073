using Microsoft.Extensions.Logging;
using OrleansFs.Fuse;
using OrleansFs.Model;

namespace OrleansFs.Mount;

/// <summary>How to mount a volume.</summary>
public sealed record VolumeMountOptions
{
    /// <summary>What the kernel may keep. Default: the session is alone on its volume.</summary>
    public MountPolicy Policy { get; init; } = MountPolicy.Alone;

    /// <summary>What the mount table shows as the source. Default: "orleansfs".</summary>
    public string Source { get; init; } = "orleansfs";

    /// <summary>Users other than the one who mounts may enter. Default: false.</summary>
    public bool AllowOther { get; init; }

    /// <summary>No change through this mount. Default: false.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>When reads bring up access times: the session has to know the same. Default: as relatime.</summary>
    public AccessTimes AccessTimes { get; init; }

    /// <summary>io_uring or /dev/fuse. Default: io_uring where the kernel has it turned on.</summary>
    public IoUringMode IoUring { get; init; } = IoUringMode.Auto;

    /// <summary>The folder <c>.orleansfs</c> is at the root, where the volume gives content by its hash. Default: true. Without it a name of that kind that the volume has of itself can be reached.</summary>
    public bool HashFolder { get; init; } = true;

    /// <summary>What <c>status</c> and <c>replicas</c> in that folder say. Default: JSON.</summary>
    public FolderReports Reports { get; init; } = new();

    /// <summary>The volume's own extended attributes are listed, and not only answered by name. Default: false, so that copying programs leave them alone.</summary>
    public bool ListXattrs { get; init; }

    internal FuseOptions ToFuse() => new()
    {
        FileSystemName = Source,
        AllowOther = AllowOther,
        ReadOnly = ReadOnly,
        AccessTimes = (AccessTimeOption)AccessTimes,
        IoUring = IoUring,
        Capabilities = Policy.Capabilities,
        MaxReadahead = Limits.ReadAhead,
        // Root's mount is like any local file system; another user's kernel refuses these anyway.
        AllowSuid = Environment.IsPrivilegedProcess,
        AllowDevices = Environment.IsPrivilegedProcess,
    };
}

/// <summary>A volume that programs can use at a mount point.</summary>
public sealed class MountedVolume : IAsyncDisposable
{
    private readonly VolumeFileSystem _fileSystem;
    private readonly FuseMount _mount;

    private MountedVolume(VolumeFileSystem fileSystem, FuseMount mount)
    {
        _fileSystem = fileSystem;
        _mount = mount;
    }

    /// <summary>Where it is mounted: an absolute path.</summary>
    public string MountPoint => _mount.MountPoint;

    /// <summary>Names it in the mount table; null where it was taken off before it could be looked for.</summary>
    public uint? DeviceMinor => _mount.DeviceMinor;

    /// <summary>Completes when the mount is gone and every inode is forgotten, whoever unmounted it. Never fails.</summary>
    public Task Completion => _mount.Completion;

    /// <summary>What the transport did so far.</summary>
    public FuseStatistics Statistics => _mount.Statistics;

    /// <summary>Inodes that the kernel knows by number besides the root. Zero after <see cref="Completion"/>.</summary>
    public long KnownNodes => _fileSystem.KnownNodes;

    /// <summary>Mounts; completes when programs can use it.</summary>
    /// <param name="mountPoint">An existing directory. A mount that a dead process left there is taken away first.</param>
    /// <param name="openSession">Gives the volume to a session whose knowledge of inodes is asked of its argument. Closing the volume stays with the caller.</param>
    /// <param name="options">How.</param>
    /// <param name="logger">Where to say what went wrong.</param>
    /// <param name="cancellation">Gives up, and leaves nothing mounted.</param>
    /// <exception cref="FuseMountException">It could not be mounted; the message says why.</exception>
    public static async Task<MountedVolume> MountAsync(
        string mountPoint, Func<ICacheHolder, IVolumeAccess> openSession, VolumeMountOptions options, ILogger logger, CancellationToken cancellation = default)
    {
        FuseMount? mounted = null;
        FolderedVolume? foldered = null;
        var fileSystem = new VolumeFileSystem(holder => Foldered(openSession(holder)), options.Policy, options.ReadOnly ? AccessTimes.Never : options.AccessTimes);
        fileSystem.Folder = foldered?.Folder;
        if (foldered is not null && await foldered.HidesAsync(cancellation))
            logger.LogWarning("the volume has a {Name} of its own in its root, which is out of sight: mounted with --no-hash-folder it can be given another name", ".orleansfs");
        var mount = mounted = await FuseMount.MountAsync(mountPoint, fileSystem, options.ToFuse(), logger, cancellation);
        fileSystem.Notifier = mount.Notifier;
        if (foldered is not null)
            foldered.Folder.Prune = (directory, name) => mount.Notifier.TryInvalidateEntry(Translate.Node(directory), name);
        if (Environment.IsPrivilegedProcess && MountTable.At(mount.MountPoint) is { } entry)
            BackingDevice.Tune(entry, logger);
        return new MountedVolume(fileSystem, mount);

        IVolumeAccess Foldered(IVolumeAccess volume)
        {
            if (!options.HashFolder || volume is not IContentAccess content)
                return volume;
            return foldered = new FolderedVolume(volume, new ContentFolder(volume, content, options.Reports, () => mounted?.Statistics, FolderOwner.Mounter), options.ListXattrs);
        }
    }

    /// <summary>Unmounts and waits until the kernel has given everything back.</summary>
    public Task<UnmountOutcome> UnmountAsync(UnmountMode mode = UnmountMode.Orderly, CancellationToken cancellation = default) => _mount.UnmountAsync(mode, cancellation);

    public ValueTask DisposeAsync() => _mount.DisposeAsync();
}
