using System.Data.Common;
using Microsoft.Data.Sqlite;
using Npgsql;
using OrleansFs.GrainInterfaces;

namespace OrleansFs.Client.Security;

/// <summary>Connections to the database of a cluster.</summary>
public static class ClusterDatabaseExtensions
{
    /// <summary>Opens one, which is the caller's.</summary>
    /// <exception cref="DbException">It cannot be opened.</exception>
    /// <exception cref="OperationCanceledException">Cancelled. Npgsql does not hear of a cancellation that comes between two steps of its connecting, and goes on to its time-out: it is left to that.</exception>
    public static async Task<DbConnection> OpenAsync(this ClusterConnection cluster, CancellationToken cancellation)
    {
        try
        {
            return await OpenedAsync(cluster, cancellation);
        }
        catch (Exception e) when (e is not DbException && !(e is OperationCanceledException && cancellation.IsCancellationRequested))
        {
            // What is wrong with a setting or a certificate Npgsql says by whatever its parts throw.
            throw new ClusterDatabaseException(e.Message.ReplaceLineEndings(" "), e);
        }
    }

    private static async Task<DbConnection> OpenedAsync(ClusterConnection cluster, CancellationToken cancellation)
    {
        DbConnection connection = cluster.Database == ClusterDatabase.Sqlite ? new SqliteConnection(cluster.ConnectionString) : new NpgsqlConnection(cluster.ConnectionString);
        var opening = connection.OpenAsync(cancellation);
        try
        {
            await opening.WaitAsync(cancellation);
            return connection;
        }
        catch
        {
            _ = opening.ContinueWith(_ => connection.Dispose(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            throw;
        }
    }

    /// <summary>A connection that cannot be opened, for a reason that the provider does not call one of the database.</summary>
    private sealed class ClusterDatabaseException(string message, Exception inner) : DbException(message, inner);
}
