using Microsoft.Extensions.Logging;
using OrleansFs.Cli.Control;
using OrleansFs.Client;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting.Command;
using OrleansFs.Model;
using OrleansFs.Mount;

namespace OrleansFs.Cli.Commands;

/// <summary>A copy that a silo elsewhere serves, reached through the gateways of its cluster.</summary>
internal sealed class RemoteVolume : IServedVolume
{
    private readonly VolumeConnection _connection;
    private readonly GrainVolumeAccess _access;
    private readonly LateHolder _holder;
    private readonly RuntimeFolder _folder;
    private readonly MountRequest _request;

    private RemoteVolume(MountRequest request, VolumeConnection connection, GrainVolumeAccess access, LateHolder holder, RuntimeFolder folder)
    {
        _request = request;
        _connection = connection;
        _access = access;
        _holder = holder;
        _folder = folder;
    }

    public string What => $"the copy '{_access.Copy.Copy}' of volume {_access.Copy.VolumeName}";

    public string ControlFolder => _folder.Path;

    /// <summary>Others change the volume, and a call may wait for a silo that is away: a program that waits with it can be interrupted.</summary>
    public MountPolicy Policy => MountPolicy.Leased with { Cancellable = true };

    public bool ReadOnly => _request.ReadOnly || _access.Copy.ReadOnly;

    public string? Notice => _access.Copy is { FencedBy: { } by } former
        ? $"another copy is the master since epoch {by}: '{former.Copy}' is read-only, and lacks what was written since"
        : null;

    /// <exception cref="VolumeConnectionException">One line that says why the copy cannot be reached.</exception>
    public static async Task<RemoteVolume> OpenAsync(MountRequest request, ILoggerFactory loggers, CancellationToken cancellation)
    {
        var cluster = SiloNetwork.ParseCluster(request.Network.Cluster!);
        CopyName? wanted = request.Copy is { } name ? SiloNetwork.ParseName("--copy", name) : null;
        var connection = await VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = cluster, Loggers = loggers }, cancellation);
        RuntimeFolder? folder = null;
        try
        {
            var copy = await connection.FindCopyAsync(wanted, cancellation);
            var holder = new LateHolder();
            var options = new RemoteVolumeOptions { Client = $"{Environment.MachineName}:{request.MountPoint}", WriteBehind = true, FollowsMaster = wanted is null, AccessTimes = request.ReadOnly ? AccessTimes.Never : request.AccessTimes };
            // Before the session: where it cannot be made, none is left attached.
            folder = RuntimeFolder.Create(copy.Copy.Value);
            var access = await GrainVolumeAccess.AttachAsync(connection, copy.Copy, holder, options, cancellation);
            return new RemoteVolume(request, connection, access, holder, folder);
        }
        catch
        {
            folder?.Dispose();
            await connection.DisposeAsync();
            throw;
        }
    }

    public Task StartAsync(CancellationToken cancellation) => Task.CompletedTask;

    public IVolumeAccess OpenSession(ICacheHolder holder)
    {
        _holder.Mount = holder;
        return _access;
    }

    public ValueTask<FsResult<VolumeStatus>> StatusAsync(CancellationToken cancellation) => _access.GetStatusAsync(cancellation);

    public Task<CollectResult> CollectAsync(bool dryRun, IProgress<WorkProgress> progress, CancellationToken cancellation) =>
        throw new CommandException($"the volume is served by the silo '{_access.Copy.Copy}': run 'orleansfs gc' there");

    public Task<MasterReport> ReplicasAsync(CancellationToken cancellation) => _connection.ListReplicasAsync(_access.Copy.Volume, cancellation);

    public async Task<DrainStep> DrainAsync(int copies, Lsn? target, CancellationToken cancellation)
    {
        // What this mount still keeps for the copy to bring to disk comes first.
        if (target is null && await _access.SyncAllAsync(cancellation) is { IsOk: false, Error: var error })
            throw new CommandException($"not everything could be brought to disk by the copy '{_access.Copy.Copy}': {error}");
        return await _connection.DrainAsync(_access.Copy.Volume, copies, target, cancellation);
    }

    public Task<IReadOnlyList<CopyVerification>> VerifyAsync(CopyName? copy, VerificationAction action, CancellationToken cancellation) =>
        _connection.VerifyAsync(_access.Copy.Volume, copy, action, cancellation);

    public async ValueTask DisposeAsync()
    {
        await _access.DisposeAsync();
        await _connection.DisposeAsync();
        _folder.Dispose();
    }

    /// <summary>The session begins before the mount that knows its inodes is there.</summary>
    private sealed class LateHolder : ICacheHolder
    {
        private volatile ICacheHolder? _mount;

        public ICacheHolder? Mount
        {
            set => _mount = value;
        }

        public bool Holds(InodeNumber inode) => _mount?.Holds(inode) ?? false;

        public void LetGo(InodeNumber inode) => _mount?.LetGo(inode);

        public ValueTask InvalidateAsync(InodeNumber[] inodes, bool areChanged) => _mount?.InvalidateAsync(inodes, areChanged) ?? default;

        public void InvalidateAll() => _mount?.InvalidateAll();
    }
}
