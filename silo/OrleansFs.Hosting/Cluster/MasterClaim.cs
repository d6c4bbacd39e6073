using System.Data.Common;
using System.Globalization;
using Microsoft.Data.Sqlite;
using Npgsql;
using OrleansFs.Client.Security;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Hosting.Cluster;

/// <summary>
/// A volume's master, as the cluster's database has it. A copy that is to be served as the master claims that before its silo joins; a second master is refused, whether the first is there or
/// away: what two masters of one epoch are given cannot be brought together again. A higher epoch wins, for only a promotion makes one.
/// </summary>
/// <remarks>The claim keeps mistakes out: a copy of a data folder that is started somewhere else, a former master that comes back. What fences a master that runs is the epoch in each message of replication.</remarks>
internal sealed record MasterClaim(CopyName Copy, Epoch Epoch, Lsn EpochStart, string Folder)
{
    /// <summary>Where a folder is: see <see cref="FolderPlace"/>.</summary>
    public static string FolderOf(string dataFolder) => FolderPlace.Of(dataFolder, "/etc/machine-id");

    /// <summary>The folder's path, on its machine.</summary>
    public string FolderPath => Folder[(Folder.IndexOf(':', StringComparison.Ordinal) + 1)..];

    /// <summary>Makes this claim the volume's, or finds that it is.</summary>
    /// <param name="cluster">The database.</param>
    /// <param name="clusterId">The cluster.</param>
    /// <param name="volume">The volume.</param>
    /// <param name="epochs">Where its epochs began, as far as they are known here.</param>
    /// <param name="isMember">Whether the copy has its name in the cluster. Where it does not yet, a claim of that name from another folder stays as it is: its silo may live, and this one is refused then.</param>
    /// <param name="cancellation">Cancels it.</param>
    /// <exception cref="SupersededException">Another copy has become the master, in a later epoch.</exception>
    /// <exception cref="HostException">Another copy is the master: one line that says so, and what to do.</exception>
    public Task TakeAsync(ClusterConnection cluster, string clusterId, VolumeId volume, IReadOnlyList<EpochBeginning> epochs, bool isMember, CancellationToken cancellation) =>
        SerialiseAsync(
            cluster,
            async (connection, transaction) =>
            {
                var holder = await ReadAsync(connection, transaction, clusterId, volume, cancellation);
                if (holder is not null)
                    Check(holder, holder.Epoch.Value > Epoch.Value ? await StartAfterAsync(connection, transaction, clusterId, volume, Epoch, cancellation) : null);
                if (!isMember && holder is not null && holder.Copy == Copy && holder.Folder != Folder)
                    return true;
                if (holder != this)
                {
                    await RunAsync(
                        connection, transaction,
                        "INSERT INTO OrleansFsMaster (ClusterId, Volume, Copy, Epoch, EpochStart, Folder) VALUES (@cluster, @volume, @copy, @epoch, @start, @folder) "
                        + "ON CONFLICT (ClusterId, Volume) DO UPDATE SET Copy = excluded.Copy, Epoch = excluded.Epoch, EpochStart = excluded.EpochStart, Folder = excluded.Folder",
                        cancellation,
                        ("cluster", clusterId), ("volume", volume.ToString()), ("copy", Copy.Value), ("epoch", Epoch.Value), ("start", EpochStart.Value), ("folder", Folder));
                }
                foreach (var (epoch, start) in epochs)
                {
                    // Of two histories, the one that went less far together counts: nothing is taken for replicated that was not.
                    await RunAsync(
                        connection, transaction,
                        "INSERT INTO OrleansFsEpoch (ClusterId, Volume, Epoch, Copy, Folder, EpochStart) VALUES (@cluster, @volume, @epoch, @copy, @folder, @start) "
                        + "ON CONFLICT (ClusterId, Volume, Epoch) DO UPDATE SET EpochStart = excluded.EpochStart WHERE OrleansFsEpoch.EpochStart IS NULL OR OrleansFsEpoch.EpochStart > excluded.EpochStart",
                        cancellation,
                        ("cluster", clusterId), ("volume", volume.ToString()), ("epoch", epoch.Value), ("copy", Copy.Value), ("folder", Folder), ("start", start.Value));
                }
                return true;
            },
            cancellation);

    /// <summary>Has an epoch for this copy alone, before it begins it.</summary>
    /// <returns>False where it, or a later one, is another copy's.</returns>
    /// <exception cref="HostException">The database cannot be asked.</exception>
    public Task<bool> TryReserveAsync(ClusterConnection cluster, string clusterId, VolumeId volume, CancellationToken cancellation) =>
        SerialiseAsync(
            cluster,
            async (connection, transaction) =>
            {
                (string Name, object Value)[] key = [("cluster", clusterId), ("volume", volume.ToString()), ("epoch", Epoch.Value), ("copy", Copy.Value), ("folder", Folder)];
                await using (var others = Command(
                    connection, transaction,
                    "SELECT count(*) FROM OrleansFsEpoch WHERE ClusterId = @cluster AND Volume = @volume AND Epoch >= @epoch AND NOT (Epoch = @epoch AND Copy = @copy AND Folder = @folder AND EpochStart IS NULL)", key))
                {
                    if (Convert.ToInt64(await others.ExecuteScalarAsync(cancellation), CultureInfo.InvariantCulture) > 0)
                        return false;
                }
                await RunAsync(
                    connection, transaction,
                    "INSERT INTO OrleansFsEpoch (ClusterId, Volume, Epoch, Copy, Folder) VALUES (@cluster, @volume, @epoch, @copy, @folder) ON CONFLICT (ClusterId, Volume, Epoch) DO NOTHING", cancellation, key);
                return true;
            },
            cancellation);

    /// <summary>Where the first epoch began that came after one's own; null where there is none.</summary>
    /// <exception cref="HostException">It cannot be asked.</exception>
    public static async Task<Lsn?> StartAfterAsync(ClusterConnection cluster, string clusterId, VolumeId volume, Epoch own, CancellationToken cancellation)
    {
        try
        {
            await using var connection = await cluster.OpenAsync(cancellation);
            return await StartAfterAsync(connection, null, clusterId, volume, own, cancellation);
        }
        catch (Exception e) when (e is DbException or TimeoutException)
        {
            throw ClusterAwayException.Of(cluster.ToString(), e);
        }
    }

    /// <summary>What the database has of a volume; null where nobody has claimed it.</summary>
    /// <exception cref="HostException">It cannot be asked.</exception>
    public static async Task<MasterClaim?> FindAsync(ClusterConnection cluster, string clusterId, VolumeId volume, CancellationToken cancellation)
    {
        try
        {
            await using var connection = await cluster.OpenAsync(cancellation);
            return await ReadAsync(connection, null, clusterId, volume, cancellation);
        }
        catch (Exception e) when (e is DbException or TimeoutException)
        {
            throw ClusterAwayException.Of(cluster.ToString(), e);
        }
    }

    /// <summary>The masters of the cluster's other volumes, whether they are there or away.</summary>
    /// <exception cref="HostException">It cannot be asked.</exception>
    public static async Task<IReadOnlyList<MasterClaim>> OthersAsync(ClusterConnection cluster, string clusterId, VolumeId volume, CancellationToken cancellation)
    {
        try
        {
            await using var connection = await cluster.OpenAsync(cancellation);
            await using var command = Command(
                connection, null, "SELECT Copy, Epoch, EpochStart, Folder FROM OrleansFsMaster WHERE ClusterId = @cluster AND Volume <> @volume ORDER BY Copy", ("cluster", clusterId), ("volume", volume.ToString()));
            await using var row = await command.ExecuteReaderAsync(cancellation);
            var others = new List<MasterClaim>();
            while (await row.ReadAsync(cancellation))
                others.Add(Of(row));
            return others;
        }
        catch (Exception e) when (e is DbException or TimeoutException)
        {
            throw ClusterAwayException.Of(cluster.ToString(), e);
        }
    }

    /// <summary>Does something while nobody else does: SQLite takes the write lock at the beginning, PostgreSQL the lock of the table.</summary>
    private static async Task<T> SerialiseAsync<T>(ClusterConnection cluster, Func<DbConnection, DbTransaction, Task<T>> work, CancellationToken cancellation)
    {
        try
        {
            await using var connection = await cluster.OpenAsync(cancellation);
            await using DbTransaction transaction = connection is SqliteConnection sqlite ? sqlite.BeginTransaction(deferred: false) : await connection.BeginTransactionAsync(cancellation);
            if (connection is NpgsqlConnection)
                await RunAsync(connection, transaction, "LOCK TABLE OrleansFsMaster IN EXCLUSIVE MODE", cancellation);
            var result = await work(connection, transaction);
            await transaction.CommitAsync(cancellation);
            return result;
        }
        catch (Exception e) when (e is DbException or TimeoutException)
        {
            throw ClusterAwayException.Of(cluster.ToString(), e);
        }
    }

    private static async Task<Lsn?> StartAfterAsync(DbConnection connection, DbTransaction? transaction, string clusterId, VolumeId volume, Epoch own, CancellationToken cancellation)
    {
        // What a later one has in common with one's own is no more than what any in between has.
        await using var command = Command(
            connection, transaction, "SELECT min(EpochStart) FROM OrleansFsEpoch WHERE ClusterId = @cluster AND Volume = @volume AND Epoch > @own",
            ("cluster", clusterId), ("volume", volume.ToString()), ("own", own.Value));
        return await command.ExecuteScalarAsync(cancellation) is { } value and not DBNull ? new Lsn(Convert.ToInt64(value, CultureInfo.InvariantCulture)) : null;
    }

    private void Check(MasterClaim holder, Lsn? startAfter)
    {
        if (Epoch.Value > holder.Epoch.Value)
            return;
        if (Epoch.Value < holder.Epoch.Value)
        {
            throw new SupersededException(
                $"the copy '{holder.Copy}' has become the volume's master (epoch {holder.Epoch}; this folder's is {Epoch}): this one can be read, and not be changed", holder.Epoch, startAfter ?? holder.EpochStart);
        }
        if (Copy != holder.Copy && Folder != holder.Folder)
            throw new HostException($"the volume has a master already, the copy '{holder.Copy}': there is one master a volume; serve this machine with --role replica and an empty folder, or promote its replica");
    }

    private static async Task<MasterClaim?> ReadAsync(DbConnection connection, DbTransaction? transaction, string clusterId, VolumeId volume, CancellationToken cancellation)
    {
        await using var command = Command(
            connection, transaction, "SELECT Copy, Epoch, EpochStart, Folder FROM OrleansFsMaster WHERE ClusterId = @cluster AND Volume = @volume", ("cluster", clusterId), ("volume", volume.ToString()));
        await using var row = await command.ExecuteReaderAsync(cancellation);
        return await row.ReadAsync(cancellation) ? Of(row) : null;
    }

    private static MasterClaim Of(DbDataReader row) => new(CopyName.Parse(row.GetString(0)), new Epoch(Number(row, 1)), new Lsn(Number(row, 2)), row.GetString(3));

    private static long Number(DbDataReader row, int column) => Convert.ToInt64(row.GetValue(column), CultureInfo.InvariantCulture);

    private static async Task RunAsync(DbConnection connection, DbTransaction transaction, string sql, CancellationToken cancellation, params (string Name, object Value)[] parameters)
    {
        await using var command = Command(connection, transaction, sql, parameters);
        await command.ExecuteNonQueryAsync(cancellation);
    }

    private static DbCommand Command(DbConnection connection, DbTransaction? transaction, string sql, params (string Name, object Value)[] parameters)
    {
        var command = connection.CreateCommand();
        command.CommandText = sql;
        command.Transaction = transaction;
        foreach (var (name, value) in parameters)
        {
            var parameter = command.CreateParameter();
            parameter.ParameterName = name;
            parameter.Value = value;
            command.Parameters.Add(parameter);
        }
        return command;
    }
}
