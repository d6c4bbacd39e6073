using System.Data.Common;
using System.Globalization;
using Microsoft.Data.Sqlite;
using Npgsql;
using OrleansFs.GrainInterfaces;

namespace OrleansFs.Hosting.Cluster;

/// <summary>
/// Makes the tables of a cluster's database on first use, and refuses those of a newer program. Safe against another silo that does the same at the same moment: one waits for the other.
/// </summary>
internal static class ClusterSchema
{
    /// <summary>Of the tables and of the statements kept in them. A change of either makes a new one.</summary>
    public const int Version = 1;

    /// <summary>"OFSC": marks a SQLite file as ours (PRAGMA application_id).</summary>
    private const int ApplicationId = 0x4F465343;

    /// <summary>The advisory lock of PostgreSQL that stands for "making the tables of OrleansFs".</summary>
    private const long AdvisoryLock = 0x4F726C65616E4673;

    /// <exception cref="HostException">The database cannot be used: one line that says why.</exception>
    public static async Task PrepareAsync(ClusterConnection connection, CancellationToken cancellation)
    {
        try
        {
            if (connection.Database == ClusterDatabase.Sqlite)
                PrepareSqlite(connection);
            else
                await PreparePostgreSqlAsync(connection, cancellation);
        }
        catch (DbException e)
        {
            throw new HostException($"the cluster's database ({connection}) cannot be used: {e.Message}", e);
        }
    }

    private static void PrepareSqlite(ClusterConnection cluster)
    {
        string file = cluster.File!;
        if (!File.Exists(file))
            CreatePrivate(file);
        using var connection = new SqliteConnection(cluster.ConnectionString);
        connection.Open();
        if (Number(connection, "PRAGMA user_version") == Version && Number(connection, "PRAGMA application_id") == ApplicationId)
            return;
        // In WAL mode readers and a writer do not stand in each other's way. It stays with the file. Must be outside a transaction.
        Run(connection, "PRAGMA journal_mode = WAL");
        using var transaction = connection.BeginTransaction(deferred: false);
        long version = Number(connection, "PRAGMA user_version");
        long application = Number(connection, "PRAGMA application_id");
        if (version == 0 && application == 0 && Number(connection, "SELECT count(*) FROM sqlite_schema") == 0)
        {
            foreach (string script in Scripts("Sqlite/"))
                Run(connection, script);
            Run(connection, string.Create(CultureInfo.InvariantCulture, $"PRAGMA application_id = {ApplicationId}; PRAGMA user_version = {Version}"));
        }
        else if (application != ApplicationId)
        {
            throw new HostException($"{file} is a database, but not one of an OrleansFs cluster");
        }
        else
        {
            Check(cluster, version);
        }
        transaction.Commit();
    }

    private static async Task PreparePostgreSqlAsync(ClusterConnection cluster, CancellationToken cancellation)
    {
        await using var connection = new NpgsqlConnection(cluster.ConnectionString);
        await connection.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        Run(connection, string.Create(CultureInfo.InvariantCulture, $"SELECT pg_advisory_xact_lock({AdvisoryLock})"));
        Run(connection, "CREATE TABLE IF NOT EXISTS OrleansFsSchema (Version integer NOT NULL)");
        long version = Number(connection, "SELECT coalesce(max(Version), 0) FROM OrleansFsSchema");
        if (version == 0)
        {
            foreach (string script in Scripts("PostgreSql/"))
                Run(connection, script);
            Run(connection, string.Create(CultureInfo.InvariantCulture, $"INSERT INTO OrleansFsSchema VALUES ({Version})"));
        }
        else
        {
            Check(cluster, version);
        }
        await transaction.CommitAsync(cancellation);
    }

    private static void Check(ClusterConnection cluster, long version)
    {
        if (version != Version)
            throw new HostException($"the cluster's database ({cluster}) has format {version}, this program knows {Version}: use the same version of OrleansFs on all silos");
    }

    /// <summary>Who can read the file can join the cluster.</summary>
    private static void CreatePrivate(string file)
    {
        try
        {
            var options = new FileStreamOptions
            {
                Mode = FileMode.OpenOrCreate,
                Access = FileAccess.ReadWrite,
                Share = FileShare.ReadWrite,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            };
            new FileStream(file, options).Dispose();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostException($"the cluster's database {file} cannot be made: {e.Message}", e);
        }
    }

    private static IEnumerable<string> Scripts(string folder)
    {
        var assembly = typeof(ClusterSchema).Assembly;
        foreach (string name in assembly.GetManifestResourceNames().Where(n => n.StartsWith(folder, StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
            yield return reader.ReadToEnd();
        }
    }

    private static long Number(DbConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return Convert.ToInt64(command.ExecuteScalar(), CultureInfo.InvariantCulture);
    }

    private static void Run(DbConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
