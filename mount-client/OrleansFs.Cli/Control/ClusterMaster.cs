using System.Runtime.CompilerServices;
using OrleansFs.Client;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting.Command;
using OrleansFs.Model;

namespace OrleansFs.Cli.Control;

/// <summary>A volume's master, found in its cluster.</summary>
internal sealed class ClusterMaster : IMaster
{
    private ClusterMaster(VolumeConnection connection, CopyDescription copy)
    {
        Connection = connection;
        Volume = copy.Volume;
        VolumeName = copy.VolumeName;
    }

    public VolumeConnection Connection { get; }

    public VolumeId Volume { get; }

    /// <summary>For people.</summary>
    public string VolumeName { get; }

    /// <param name="conn">CONN.</param>
    /// <param name="copy">A copy of the volume that is meant; null where the cluster has but one volume.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="VolumeConnectionException">One line that says why it cannot be found.</exception>
    public static async Task<ClusterMaster> ConnectAsync(string conn, CopyName? copy, CancellationToken cancellation)
    {
        var connection = await VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = SiloNetwork.ParseCluster(conn) }, cancellation);
        try
        {
            var copies = await connection.ListCopiesAsync(cancellation);
            // A replica that has had no contact with a master yet is a copy of nothing. Of each volume the master is named, not one that was it before.
            var meant = copies.Where(c => c.Volume != default && (copy is null || c.Copy == copy)).OrderBy(c => c.Role).ThenByDescending(c => c.Epoch.Value).DistinctBy(c => c.Volume).ToList();
            return meant switch
            {
                [var one] => new ClusterMaster(connection, one),
                [] when copies.Any(c => c.Copy == copy) => throw new VolumeConnectionException($"the copy '{copy}' holds nothing yet: no master has given it its first full copy"),
                [] when copy is not null => throw new VolumeConnectionException($"the copy '{copy}' is not in the cluster now"),
                [] => throw new VolumeConnectionException("no copy of a volume is in the cluster now"),
                _ => throw new VolumeConnectionException($"the cluster has several volumes: name one of its copies with --copy ({string.Join(", ", meant.Select(c => c.Copy.Value).Order(StringComparer.Ordinal))})"),
            };
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    public Task<MasterReport> ReplicasAsync(CancellationToken cancellation) => Connection.ListReplicasAsync(Volume, cancellation);

    public Task<DrainStep> DrainAsync(int copies, Lsn? target, CancellationToken cancellation) => Connection.DrainAsync(Volume, copies, target, cancellation);

    public Task<IReadOnlyList<CopyVerification>> VerifyAsync(CopyName? copy, VerificationAction action, CancellationToken cancellation) => Connection.VerifyAsync(Volume, copy, action, cancellation);

    public ValueTask DisposeAsync() => Connection.DisposeAsync();
}

/// <summary>Finds who a user means by CONN or by a mount point.</summary>
internal static class MasterLocation
{
    /// <summary>Whether a word is a CONN: a path can be told from one by a leading <c>./</c>.</summary>
    public static bool IsCluster(string where) => ClusterConnection.IsMeantBy(where);

    public static async Task<IMaster> OpenAsync(string where, CopyName? copy, CancellationToken cancellation)
    {
        if (IsCluster(where))
            return await ConnectAsync(where, copy, cancellation);
        return copy is null ? new MountedMaster(VolumeLocation.OfMount(where)) : throw new CommandException("--copy goes with CONN, not with a mount point");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task<IMaster> ConnectAsync(string where, CopyName? copy, CancellationToken cancellation) => await ClusterMaster.ConnectAsync(where, copy, cancellation);
}
