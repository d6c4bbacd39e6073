using System.Data.Common;
using System.Diagnostics.CodeAnalysis;

namespace OrleansFs.GrainInterfaces;

/// <summary>Which database keeps the membership of a cluster and the state of its grains.</summary>
public enum ClusterDatabase
{
    Sqlite,
    PostgreSql,
}

/// <summary>
/// CONN of the command line: <c>sqlite:FILE</c>, for silos on one host, or a PostgreSQL connection string (<c>Host=db;Database=orleansfs;Username=…</c>, or
/// <c>postgresql://user:password@host:port/database</c>).
/// </summary>
public sealed record ClusterConnection
{
    /// <summary>Where every silo and client of one cluster looks; several clusters may share a database under different ids.</summary>
    public const string DefaultClusterId = "orleansfs";

    /// <summary>The name under which grains keep their state, the same for all clusters.</summary>
    public const string ServiceId = "orleansfs";

    private const string SqlitePrefix = "sqlite:";

    /// <summary>How long a connection to PostgreSQL is waited for, seconds, where its string does not say: a server that is there answers in milliseconds, and a laptop's may be away for days.</summary>
    private const int ConnectSeconds = 5;

    /// <summary>How long one of its answers is waited for, seconds: statements are a handful of rows.</summary>
    private const int CommandSeconds = 10;

    private ClusterConnection(ClusterDatabase database, string connectionString, string? file)
    {
        Database = database;
        ConnectionString = connectionString;
        File = file;
    }

    public ClusterDatabase Database { get; }

    /// <summary>As the ADO.NET provider takes it. May hold a password: not for logs.</summary>
    public string ConnectionString { get; }

    /// <summary>The database file, for SQLite.</summary>
    public string? File { get; }

    /// <summary>What Orleans calls the ADO.NET provider. Its "System.Data.SQLite" loads Microsoft.Data.Sqlite.</summary>
    public string Invariant => Database == ClusterDatabase.Sqlite ? "System.Data.SQLite" : "Npgsql";

    /// <param name="file">Path of the database file; it need not exist.</param>
    public static ClusterConnection Sqlite(string file)
    {
        string full = Path.GetFullPath(file);
        // Default Timeout: how many seconds a statement waits for another process's write lock. Writes are a handful of rows, so a wait this long is a dead disk.
        var builder = new DbConnectionStringBuilder { ["Data Source"] = full, ["Default Timeout"] = 30 };
        return new(ClusterDatabase.Sqlite, builder.ConnectionString, full);
    }

    public static bool TryParse(string text, [NotNullWhen(true)] out ClusterConnection? connection, [NotNullWhen(false)] out string? error)
    {
        connection = null;
        error = null;
        if (text.StartsWith(SqlitePrefix, StringComparison.OrdinalIgnoreCase))
        {
            string file = text[SqlitePrefix.Length..];
            if (file.Length == 0)
                error = "sqlite: wants the path of a file, as in sqlite:/var/lib/orleansfs/cluster.db";
            else
                connection = Sqlite(file);
        }
        else if (Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "postgres" or "postgresql")
        {
            connection = PostgreSql(FromUri(uri));
        }
        else if (IsPostgreSql(text))
        {
            connection = PostgreSql(text);
        }
        else
        {
            error = $"'{text}' is neither sqlite:FILE nor a PostgreSQL connection string with a Host";
        }
        return connection is not null;
    }

    public static ClusterConnection Parse(string text) => TryParse(text, out var connection, out string? error) ? connection : throw new FormatException(error);

    /// <summary>For people and logs: no password.</summary>
    public override string ToString()
    {
        if (File is not null)
            return SqlitePrefix + File;
        var builder = new DbConnectionStringBuilder { ConnectionString = ConnectionString };
        foreach (string detail in new[] { "Password", "Timeout", "Command Timeout" })
            builder.Remove(detail);
        return builder.ConnectionString;
    }

    private static ClusterConnection PostgreSql(string text)
    {
        var builder = new DbConnectionStringBuilder { ConnectionString = text };
        AddUnlessSaid(builder, ConnectSeconds, "Timeout");
        AddUnlessSaid(builder, CommandSeconds, "Command Timeout", "CommandTimeout");
        return new(ClusterDatabase.PostgreSql, builder.ConnectionString, null);
    }

    private static void AddUnlessSaid(DbConnectionStringBuilder builder, int seconds, params string[] names)
    {
        if (!names.Any(builder.ContainsKey))
            builder[names[0]] = seconds;
    }

    private static bool IsPostgreSql(string text)
    {
        try
        {
            var builder = new DbConnectionStringBuilder { ConnectionString = text };
            return builder.ContainsKey("Host") || builder.ContainsKey("Server");
        }
        catch (ArgumentException)
        {
            return false; // not key=value;key=value
        }
    }

    private static string FromUri(Uri uri)
    {
        var builder = new DbConnectionStringBuilder { ["Host"] = uri.Host };
        if (uri.Port > 0)
            builder["Port"] = uri.Port;
        string database = Uri.UnescapeDataString(uri.AbsolutePath.TrimStart('/'));
        if (database.Length > 0)
            builder["Database"] = database;
        string[] user = uri.UserInfo.Split(':', 2);
        if (user[0].Length > 0)
            builder["Username"] = Uri.UnescapeDataString(user[0]);
        if (user.Length > 1)
            builder["Password"] = Uri.UnescapeDataString(user[1]);
        return builder.ConnectionString;
    }
}
