using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Runtime;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Hosting.Cluster;

/// <summary>
/// Strikes silos from the membership that are known to be gone, before a new one joins. Orleans lets a silo join only after all active ones have answered it, and takes a while to
/// declare one dead: without this, a start after a kill would wait for the process that was killed.
/// </summary>
/// <remarks>
/// A row is struck on proof only, since a silo that is struck while it lives stops: (1) <c>silo.json</c> in our data folder, whose lock we hold, names it; (2) the database is our
/// folder's own and the row has our name; (3) the cluster is on this host, the row is active and nothing listens on its port.
/// </remarks>
internal sealed class EarlierRun(IMembershipTable table, ClusterConnection cluster, bool isPrivate, CopyName name, ILogger logger)
{
    /// <summary>Rows struck, and changes of others met with, in one start: more than silos a cluster has.</summary>
    private const int Attempts = 100;

    /// <exception cref="HostException">Another silo has our name, and lives.</exception>
    public async Task RetireAsync(SiloAddress? ours, CancellationToken cancellation)
    {
        await table.InitializeMembershipTableAsync(true, cancellation);
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            if (await RetireOneAsync(await table.ReadAllAsync(cancellation), ours, cancellation))
                return;
        }
        throw new HostException($"the cluster's membership ({cluster}) keeps changing: a silo of an earlier run could not be struck from it");
    }

    /// <summary>Strikes one row, if there is one to be struck.</summary>
    /// <returns>Whether nothing remains to be done; false where a row was struck or changed under us, and the table has to be read again.</returns>
    private async Task<bool> RetireOneAsync(MembershipTableData data, SiloAddress? ours, CancellationToken cancellation)
    {
        foreach (var (entry, etag) in data.Members)
        {
            if (entry.Status == SiloStatus.Dead)
                continue;
            bool hasOurName = entry.SiloName == name.Value;
            bool isOurs = entry.SiloAddress.Equals(ours) || (isPrivate && hasOurName);
            if (isOurs || await IsGoneAsync(entry, cancellation))
            {
                entry.Status = SiloStatus.Dead;
                if (await table.UpdateRowAsync(entry, etag, data.Version.Next(), cancellation))
                    logger.LogInformation("silo {Silo} ({Name}) of an earlier run is struck from the membership", entry.SiloAddress, entry.SiloName);
                return false;
            }
            if (hasOurName && entry.Status == SiloStatus.Active)
                throw new HostException($"another silo named '{name}' is in the cluster, at {entry.SiloAddress.Endpoint} on {entry.HostName}: each needs a name of its own");
        }
        return true;
    }

    private async Task<bool> IsGoneAsync(MembershipEntry entry, CancellationToken cancellation)
    {
        if (cluster.Database != ClusterDatabase.Sqlite || entry.Status != SiloStatus.Active)
            return false;
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(entry.SiloAddress.Endpoint, cancellation);
            return false;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode == SocketError.ConnectionRefused;
        }
    }
}
