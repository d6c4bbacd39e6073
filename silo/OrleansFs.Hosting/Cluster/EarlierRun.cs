using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Runtime;
using OrleansFs.Client.Security;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Hosting.Cluster;

/// <summary>
/// Strikes silos from the membership that are known to be gone, before a new one joins. Orleans lets a silo join only after all active ones have answered it, and takes a while to
/// declare one dead: without this, a start after a kill would wait for the process that was killed.
/// </summary>
/// <remarks>
/// A row is struck on proof only, since a silo that is struck while it lives stops: (1) <c>silo.json</c> in our data folder, whose lock we hold, names it, and was written in this folder; (2) the database is our
/// folder's own and the row has our name; (3) the cluster is on this host, the row is active and nothing listens on its port; (4) the row has our name, and while we watched it for as long as <see cref="MemberWatch"/>
/// would, it showed no sign of life and did not answer: the machine is gone, or its folder is, and this silo is to take its place.
/// </remarks>
internal sealed class EarlierRun(IMembershipTable table, ClusterConnection cluster, bool isPrivate, CopyName name, TimeProvider time, ILogger logger)
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
                await StrikeAsync(entry, etag, data.Version, cancellation);
                return false;
            }
            if (!hasOurName || entry.Status != SiloStatus.Active)
                continue;
            if (!await IsSilentAsync(entry, cancellation))
                throw new HostException($"another silo named '{name}' is in the cluster, at {entry.SiloAddress.Endpoint} on {entry.HostName}: each needs a name of its own");
            await StrikeAsync(entry, etag, data.Version, cancellation);
            return false;
        }
        return true;
    }

    private async Task StrikeAsync(MembershipEntry entry, string etag, TableVersion version, CancellationToken cancellation)
    {
        entry.Status = SiloStatus.Dead;
        if (await table.UpdateRowAsync(entry, etag, version.Next(), cancellation))
            logger.LogInformation("silo {Silo} ({Name}) of an earlier run is struck from the membership", entry.SiloAddress, entry.SiloName);
    }

    /// <summary>Watches a silo that has our name, until it shows itself or has been silent for long enough.</summary>
    private async Task<bool> IsSilentAsync(MembershipEntry namesake, CancellationToken cancellation)
    {
        if (await SiloProbe.AnswersAsync(namesake.SiloAddress.Endpoint, time, cancellation))
            return false;
        logger.LogInformation("silo {Silo} has the name '{Name}' too and does not answer: waiting for a sign of life", namesake.SiloAddress, name);
        long began = time.GetTimestamp();
        while (time.GetElapsedTime(began) < Limits.SilentFor)
        {
            await Task.Delay(Limits.NamesakeTick, time, cancellation);
            var now = (await table.ReadAllAsync(cancellation)).Members.FirstOrDefault(m => m.Item1.SiloAddress.Equals(namesake.SiloAddress))?.Item1;
            if (now is null || now.Status != SiloStatus.Active)
                return true;
            if (now.IAmAliveTime != namesake.IAmAliveTime)
                return false;
        }
        return !await SiloProbe.AnswersAsync(namesake.SiloAddress.Endpoint, time, cancellation);
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
