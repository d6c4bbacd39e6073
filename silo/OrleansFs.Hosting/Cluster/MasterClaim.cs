using System.Data.Common;
using System.Globalization;
using Microsoft.Data.Sqlite;
using Npgsql;
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
    /// <summary>Where a folder is, for one to be known again: its path, and the machine.</summary>
    public static string FolderOf(string dataFolder)
    {
        const string MachineId = "/etc/machine-id";
        string machine = File.Exists(MachineId) ? File.ReadAllText(MachineId).Trim() : Environment.MachineName;
        return $"{machine}:{Path.GetFullPath(dataFolder)}";
    }

    /// <summary>The folder's path, on its machine.</summary>
    public string FolderPath => Folder[(Folder.IndexOf(':', StringComparison.Ordinal) + 1)..];

    /// <summary>Makes this claim the volume's, or finds that it is.</summary>
    /// <exception cref="SupersededException">Another copy has become the master, in a later epoch.</exception>
    /// <exception cref="HostException">Another copy is the master: one line that says so, and what to do.</exception>
    public async Task TakeAsync(ClusterConnection cluster, string clusterId, VolumeId volume, CancellationToken cancellation)
    {
        try
        {
            await using var connection = await OpenAsync(cluster, cancellation);
            // Both serialise: SQLite takes the write lock at the beginning, PostgreSQL the lock of the table.
            await using DbTransaction transaction = connection is SqliteConnection sqlite ? sqlite.BeginTransaction(deferred: false) : await connection.BeginTransactionAsync(cancellation);
            if (connection is NpgsqlConnection)
                await RunAsync(connection, transaction, "LOCK TABLE OrleansFsMaster IN EXCLUSIVE MODE", cancellation);
            var holder = await ReadAsync(connection, transaction, clusterId, volume, cancellation);
            if (holder is not null)
                Check(holder);
            if (holder != this)
            {
                await RunAsync(
                    connection, transaction,
                    "INSERT INTO OrleansFsMaster (ClusterId, Volume, Copy, Epoch, EpochStart, Folder) VALUES (@cluster, @volume, @copy, @epoch, @start, @folder) "
                    + "ON CONFLICT (ClusterId, Volume) DO UPDATE SET Copy = excluded.Copy, Epoch = excluded.Epoch, EpochStart = excluded.EpochStart, Folder = excluded.Folder",
                    cancellation,
                    ("cluster", clusterId), ("volume", volume.ToString()), ("copy", Copy.Value), ("epoch", Epoch.Value), ("start", EpochStart.Value), ("folder", Folder));
            }
            await transaction.CommitAsync(cancellation);
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
            await using var connection = await OpenAsync(cluster, cancellation);
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
            await using var connection = await OpenAsync(cluster, cancellation);
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

    private static async Task<DbConnection> OpenAsync(ClusterConnection cluster, CancellationToken cancellation)
    {
        DbConnection connection = cluster.Database == ClusterDatabase.Sqlite ? new SqliteConnection(cluster.ConnectionString) : new NpgsqlConnection(cluster.ConnectionString);
        try
        {
            await connection.OpenAsync(cancellation);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private void Check(MasterClaim holder)
    {
        if (Epoch.Value > holder.Epoch.Value)
            return;
        if (Epoch.Value < holder.Epoch.Value)
        {
            throw new SupersededException(
                $"the copy '{holder.Copy}' has become the volume's master (epoch {holder.Epoch}; this folder's is {Epoch}): this one can be read, and not be changed", holder.Epoch, holder.EpochStart);
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
