using System.Data.Common;
using System.Globalization;
using Microsoft.Data.Sqlite;
using Npgsql;
using OrleansFs.Client.Security;
using OrleansFs.GrainInterfaces;

namespace OrleansFs.Hosting.Cluster;

/// <summary>
/// Makes the tables of a cluster's database on first use, and refuses those of a newer program. Safe against another silo that does the same at the same moment: one waits for the other.
/// </summary>
internal static class ClusterSchema
{
    /// <summary>
    /// Of the tables and of the statements kept in them: the number of the last script. A change of either is a further script, run once on the databases that were made without it. (The number 1
    /// stands for the first three, made before this was the rule.)
    /// </summary>
    public const int Version = 7;

    /// <summary>"OFSC": marks a SQLite file as ours (PRAGMA application_id).</summary>
    private const int ApplicationId = 0x4F465343;

    /// <summary>The advisory lock of PostgreSQL that stands for "making the tables of OrleansFs".</summary>
    private const long AdvisoryLock = 0x4F726C65616E4673;

    /// <exception cref="HostException">The database cannot be used: one line that says why.</exception>
    public static async Task PrepareAsync(ClusterConnection connection, CancellationToken cancellation)
    {
        try
        {
            if (connection.Database == ClusterDatabase.PostgreSql)
            {
                await PreparePostgreSqlAsync(connection, cancellation);
                return;
            }
            PrepareSqlite(connection);
            CheckPrivate(connection.File!);
        }
        catch (Exception e) when (e is DbException or TimeoutException)
        {
            throw ClusterAwayException.Of(connection.ToString(), e);
        }
    }

    private static void PrepareSqlite(ClusterConnection cluster)
    {
        string file = cluster.File!;
        if (!File.Exists(file))
            CreatePrivate(file);
        using var connection = new SqliteConnection(cluster.ConnectionString);
        connection.Open();
        // Looked at before anything is changed: a path that was mistyped names some other program's database.
        using (connection.BeginTransaction(deferred: true))
        {
            if (IsWhole(connection, file, out _))
                return;
        }
        // In WAL mode readers and a writer do not stand in each other's way. It stays with the file. Must be outside a transaction.
        Run(connection, "PRAGMA journal_mode = WAL");
        using var transaction = connection.BeginTransaction(deferred: false);
        if (IsWhole(connection, file, out long version))
            return;
        foreach (string script in Missing("Sqlite/", cluster, version))
            Run(connection, script);
        Run(connection, string.Create(CultureInfo.InvariantCulture, $"PRAGMA application_id = {ApplicationId}; PRAGMA user_version = {Version}"));
        transaction.Commit();
    }

    /// <returns>Whether nothing is to be done; false where tables are missing, of those of a version.</returns>
    /// <exception cref="HostException">It belongs to another program.</exception>
    private static bool IsWhole(SqliteConnection connection, string file, out long version)
    {
        version = Number(connection, "PRAGMA user_version");
        long application = Number(connection, "PRAGMA application_id");
        bool isNew = version == 0 && application == 0 && Number(connection, "SELECT count(*) FROM sqlite_schema") == 0;
        if (!isNew && application != ApplicationId)
            throw new HostException($"{file} is a database, but not one of an OrleansFs cluster");
        return version == Version;
    }

    private static async Task PreparePostgreSqlAsync(ClusterConnection cluster, CancellationToken cancellation)
    {
        await using var connection = (NpgsqlConnection)await cluster.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        Run(connection, string.Create(CultureInfo.InvariantCulture, $"SELECT pg_advisory_xact_lock({AdvisoryLock})"));
        Run(connection, "CREATE TABLE IF NOT EXISTS OrleansFsSchema (Version integer NOT NULL)");
        long version = Number(connection, "SELECT coalesce(max(Version), 0) FROM OrleansFsSchema");
        foreach (string script in Missing("PostgreSql/", cluster, version))
            Run(connection, script);
        if (version != Version)
            Run(connection, string.Create(CultureInfo.InvariantCulture, $"INSERT INTO OrleansFsSchema VALUES ({Version})"));
        await transaction.CommitAsync(cancellation);
    }

    /// <summary>The scripts that a database of a version has not had yet, in their order.</summary>
    private static IEnumerable<string> Missing(string folder, ClusterConnection cluster, long version)
    {
        if (version > Version)
            throw new HostException($"the cluster's database ({cluster}) has format {version}, this program knows {Version}: use the same version of OrleansFs on all silos");
        long done = version == 1 ? 3 : version;
        return Scripts(folder).SkipWhile(s => s.Number <= done).Select(s => s.Text);
    }

    /// <summary>Who can read the file can join the cluster, and reach every file of the volume: as with a private key, nobody but its owner (or a group that the owner chose) may.</summary>
    private static void CheckPrivate(string file)
    {
        const UnixFileMode Others = UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
        if ((File.GetUnixFileMode(file) & Others) != 0)
            throw new HostException($"every user of this machine can read the cluster's database {file}, and with it join the cluster: chmod o= it");
    }

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

    private static IEnumerable<(int Number, string Text)> Scripts(string folder)
    {
        var assembly = typeof(ClusterSchema).Assembly;
        foreach (string name in assembly.GetManifestResourceNames().Where(n => n.StartsWith(folder, StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
            yield return (int.Parse(name[folder.Length..name.IndexOf('-', StringComparison.Ordinal)], CultureInfo.InvariantCulture), reader.ReadToEnd());
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
