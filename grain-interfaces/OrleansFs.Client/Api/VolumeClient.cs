using System.Text;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>
/// A volume for a program: files by path, content by hash, records of append-only files, and what has changed. One connection and one session; thread-safe.
/// </summary>
/// <remarks>
/// <para>Calls answer <see cref="FsResult{T}"/>: a value, or an errno as the same thing gives on a mount. Only <see cref="ConnectAsync"/> throws. A call whose connection is lost is made again, and happens once, until
/// <see cref="VolumeClientOptions.Patience"/> ends: <c>EIO</c>. Cancelled: <c>EINTR</c>, and nothing was done, or the answer as if it had not been cancelled. Only where the copy is silent (its
/// process is stopped, or the network swallows everything), which takes some seconds to notice, is <c>EINTR</c> of a change, as <c>EIO</c>, no answer to whether it was done.</para>
/// <para>Who can connect can do everything: neither modes nor owners nor ACLs are looked at. Paths are UTF-8, from the root of the volume, with or without a slash in front; symbolic links are not followed
/// (<c>ELOOP</c>), and ".." is <c>EINVAL</c>.</para>
/// </remarks>
public sealed partial class VolumeClient : IAsyncDisposable
{
    private readonly VolumeConnection _connection;
    private readonly GrainVolumeAccess _volume;
    private readonly Making _making;
    private readonly Caller _caller;

    private VolumeClient(VolumeConnection connection, GrainVolumeAccess volume, Making making, VolumeClientOptions options)
    {
        _connection = connection;
        _volume = volume;
        _making = making;
        _caller = new Caller(options.Uid, options.Gid, (uint)Environment.ProcessId, 0);
    }

    /// <summary>The copy that is worked on.</summary>
    public CopyDescription Copy => _volume.Copy;

    /// <summary>Connects.</summary>
    /// <param name="cluster">CONN of the command line: "sqlite:FILE", or a PostgreSQL connection string.</param>
    /// <param name="options">How; the defaults are those of its members.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="VolumeConnectionException">One line that says why it cannot be reached.</exception>
    /// <exception cref="FormatException">CONN is malformed.</exception>
    public static async Task<VolumeClient> ConnectAsync(string cluster, VolumeClientOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new VolumeClientOptions();
        var how = new VolumeConnectionOptions { Cluster = ClusterConnection.Parse(cluster), ConnectTimeout = options.ConnectTimeout, Loggers = options.Loggers, Time = options.Time };
        var connection = await VolumeConnection.ConnectAsync(how, cancellation);
        try
        {
            var copy = await connection.FindCopyAsync(options.Copy, cancellation);
            var making = new Making();
            var session = new RemoteVolumeOptions { Client = options.Client ?? $"{Environment.MachineName}:{AppDomain.CurrentDomain.FriendlyName}", Patience = options.Patience, FollowsMaster = options.Copy is null };
            return new VolumeClient(connection, await GrainVolumeAccess.AttachAsync(connection, copy.Copy, making, session, cancellation), making, options);
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    /// <summary>Ends the session. What was written is on disk at the copy then.</summary>
    public async ValueTask DisposeAsync()
    {
        await _volume.DisposeAsync();
        await _connection.DisposeAsync();
    }

    /// <summary>The inode of a path. <c>ENOENT</c>, <c>ENOTDIR</c>, <c>ELOOP</c>, <c>EINVAL</c>.</summary>
    private async ValueTask<FsResult<Attributes>> FindAsync(string path, CancellationToken cancellation)
    {
        if (!TrySplit(path, out string[] names))
            return Errno.EINVAL;
        // What is known is answered without a call, which would say so.
        if (cancellation.IsCancellationRequested)
            return Errno.EINTR;
        var found = await _volume.GetAttributesAsync(InodeNumber.Root, cancellation);
        foreach (string name in names)
        {
            if (!found.TryGet(out var at, out _))
                return found;
            if (!at.IsDirectory)
                return at.IsSymlink ? Errno.ELOOP : Errno.ENOTDIR;
            found = await _volume.LookupAsync(at.Inode, Encoding.UTF8.GetBytes(name), cancellation);
        }
        return found;
    }

    /// <summary>A regular file: <c>EISDIR</c> for a directory, <c>ELOOP</c> for a symbolic link, <c>EINVAL</c> for anything else.</summary>
    private async ValueTask<FsResult<Attributes>> FindFileAsync(string path, CancellationToken cancellation)
    {
        var found = await FindAsync(path, cancellation);
        if (!found.TryGet(out var file, out _) || file.IsRegular)
            return found;
        return file.IsDirectory ? Errno.EISDIR : file.IsSymlink ? Errno.ELOOP : Errno.EINVAL;
    }

    /// <summary>The directory of a path, and the name in it. <c>EEXIST</c> for the root itself.</summary>
    private async ValueTask<FsResult<(InodeNumber Directory, byte[] Name)>> FindParentAsync(string path, CancellationToken cancellation)
    {
        if (!TrySplit(path, out string[] names))
            return Errno.EINVAL;
        if (names.Length == 0)
            return Errno.EEXIST;
        var found = await FindAsync(string.Join('/', names[..^1]), cancellation);
        if (!found.TryGet(out var parent, out var error))
            return error;
        return parent.IsDirectory ? (parent.Inode, Encoding.UTF8.GetBytes(names[^1])) : parent.IsSymlink ? Errno.ELOOP : Errno.ENOTDIR;
    }

    private static bool TrySplit(string path, out string[] names)
    {
        names = [.. path.Split('/', StringSplitOptions.RemoveEmptyEntries).Where(n => n != ".")];
        return !names.Contains("..") && !path.Contains('\0', StringComparison.Ordinal);
    }

    /// <summary>Inodes without a name that this client is making: the copy keeps them as long as it says that it knows them.</summary>
    private sealed class Making : ICacheHolder
    {
        private readonly System.Collections.Concurrent.ConcurrentDictionary<InodeNumber, byte> _inodes = new();

        public bool Holds(InodeNumber inode) => _inodes.ContainsKey(inode);

        public void Add(InodeNumber inode) => _inodes[inode] = 0;

        public void Remove(InodeNumber inode) => _inodes.TryRemove(inode, out _);

        public ValueTask InvalidateAsync(InodeNumber[] inodes, bool areChanged) => default;

        public void InvalidateAll()
        {
        }
    }
}
