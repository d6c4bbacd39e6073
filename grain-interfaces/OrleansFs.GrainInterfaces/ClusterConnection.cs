using System.Data.Common;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Npgsql;

namespace OrleansFs.GrainInterfaces;

/// <summary>Which database keeps the membership of a cluster and the state of its grains.</summary>
public enum ClusterDatabase
{
    Sqlite,
    PostgreSql,
}

/// <summary>
/// CONN of the command line: <c>sqlite:FILE</c>, for silos on one host, or a PostgreSQL connection string (<c>Host=db;Database=orleansfs;Username=…</c>, or
/// <c>postgresql://user:password@host:port/database?sslmode=verify-full</c>).
/// </summary>
public sealed record ClusterConnection
{
    /// <summary>Where every silo and client of one cluster looks; several clusters may share a database under different ids.</summary>
    public const string DefaultClusterId = "orleansfs";

    /// <summary>The name under which grains keep their state, the same for all clusters.</summary>
    public const string ServiceId = "orleansfs";

    private const string SqlitePrefix = "sqlite:";

    /// <summary>What is said of a PostgreSQL address that is none. Not the address: what breaks it is a password, mostly.</summary>
    private const string NoAddress =
        "that is no address of a PostgreSQL database, as in postgresql://user:password@db.example:5432/orleansfs; in a name or a password # is written %23, / %2F, ? %3F, @ %40, : %3A and % %25";

    /// <summary>How long a connection to PostgreSQL is waited for, seconds, where its string does not say: a server that is there answers in milliseconds, and a laptop's may be away for days.</summary>
    private const int ConnectSeconds = 5;

    /// <summary>How long one of its answers is waited for, seconds: statements are a handful of rows.</summary>
    private const int CommandSeconds = 10;

    /// <summary>Of the names that a password may have in a connection string.</summary>
    private static readonly string[] s_secret = ["pass", "pwd", "psw"];

    /// <summary>What libpq calls the parameters of an address, where Npgsql has another name for them; it takes its own names, too.</summary>
    private static readonly Dictionary<string, string> s_addressParameters = new(StringComparer.OrdinalIgnoreCase)
    {
        ["application_name"] = "Application Name",
        ["channel_binding"] = "Channel Binding",
        ["client_encoding"] = "Client Encoding",
        ["connect_timeout"] = "Timeout",
        ["dbname"] = "Database",
        ["gssencmode"] = "GSS Encryption Mode",
        ["krbsrvname"] = "Kerberos Service Name",
        ["require_auth"] = "Require Auth",
        ["sslcert"] = "SSL Certificate",
        ["sslkey"] = "SSL Key",
        ["sslmode"] = "SSL Mode",
        ["sslnegotiation"] = "SSL Negotiation",
        ["sslpassword"] = "SSL Password",
        ["sslrootcert"] = "Root Certificate",
        ["target_session_attrs"] = "Target Session Attributes",
        ["user"] = "Username",
    };

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

    /// <summary>Whether a text is meant to be one, well-formed or not.</summary>
    public static bool IsMeantBy(string text) => IsSqlite(text) || IsAddress(text) || IsPostgreSql(text);

    public static bool TryParse(string text, [NotNullWhen(true)] out ClusterConnection? connection, [NotNullWhen(false)] out string? error)
    {
        connection = null;
        error = null;
        if (IsSqlite(text))
        {
            string file = text[SqlitePrefix.Length..];
            if (file.Length == 0)
                error = "sqlite: wants the path of a file, as in sqlite:/var/lib/orleansfs/cluster.db";
            else
                connection = Sqlite(file);
        }
        else if (AddressOf(text) is { } address)
        {
            connection = HasMisplacedSign(address) ? null : PostgreSql(FromAddress(address), out error);
            if (connection is null)
                error ??= NoAddress;
        }
        else if (IsPostgreSql(text))
        {
            connection = PostgreSql(new DbConnectionStringBuilder { ConnectionString = text }, out error);
        }
        else if (IsAddress(text))
        {
            error = NoAddress;
        }
        else
        {
            error = $"{(MayHoldPassword(text) ? "what is given" : $"'{text}'")} is neither sqlite:FILE nor a PostgreSQL connection string with a Host";
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
        foreach (string detail in new[] { "Password", "PSW", "PWD", "SSL Password", "SslPassword", "Timeout", "Command Timeout" })
            builder.Remove(detail);
        return builder.ConnectionString;
    }

    private static ClusterConnection? PostgreSql(DbConnectionStringBuilder builder, out string? error)
    {
        error = Fault(builder);
        if (error is not null)
            return null;
        AddUnlessSaid(builder, ConnectSeconds, "Timeout");
        AddUnlessSaid(builder, CommandSeconds, "Command Timeout", "CommandTimeout");
        return new(ClusterDatabase.PostgreSql, builder.ConnectionString, null);
    }

    /// <summary>What Npgsql would refuse, in one line; null where there is nothing. Apart, so that Npgsql is loaded only for this.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string? Fault(DbConnectionStringBuilder given)
    {
        if (!given.TryGetValue("Host", out object? host) && !given.TryGetValue("Server", out host) || host is "")
            return "the address of a PostgreSQL database names no host, as in postgresql://user@db.example/orleansfs";
        var known = new NpgsqlConnectionStringBuilder();
        foreach (string key in given.Keys)
        {
            try
            {
                known[key] = given[key];
            }
            catch (ArgumentException)
            {
                return known.ContainsKey(key)
                    ? $"{key}={given[key]}: that is no value of '{key}' in a PostgreSQL connection string"
                    : $"a PostgreSQL connection string has no '{key}': Host, Port, Database, Username, Passfile, SSL Mode and Root Certificate are some that it has";
            }
        }
        return known.Port > ushort.MaxValue ? $"port={known.Port}: a port is 1 to 65535" : null;
    }

    private static void AddUnlessSaid(DbConnectionStringBuilder builder, int seconds, params string[] names)
    {
        if (!names.Any(builder.ContainsKey))
            builder[names[0]] = seconds;
    }

    private static bool IsSqlite(string text) => text.StartsWith(SqlitePrefix, StringComparison.OrdinalIgnoreCase);

    private static bool IsAddress(string text) => text.StartsWith("postgres:", StringComparison.OrdinalIgnoreCase) || text.StartsWith("postgresql:", StringComparison.OrdinalIgnoreCase);

    private static Uri? AddressOf(string text) => IsAddress(text) && Uri.TryCreate(text, UriKind.Absolute, out var uri) ? uri : null;

    /// <summary>Whether a sign of a password stands where an address has another meaning for it: what comes before it was taken for the host then.</summary>
    private static bool HasMisplacedSign(Uri address) =>
        address.Fragment.Length > 0 || address.AbsolutePath.Contains('@', StringComparison.Ordinal) || address.Query.Split('=', 2)[0].Contains('@', StringComparison.Ordinal);

    private static bool MayHoldPassword(string text) => text.Contains('@', StringComparison.Ordinal) || s_secret.Any(word => text.Contains(word, StringComparison.OrdinalIgnoreCase));

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

    private static DbConnectionStringBuilder FromAddress(Uri address)
    {
        var builder = new DbConnectionStringBuilder { ["Host"] = address.Host };
        if (address.Port > 0)
            builder["Port"] = address.Port;
        string database = Uri.UnescapeDataString(address.AbsolutePath.TrimStart('/'));
        if (database.Length > 0)
            builder["Database"] = database;
        string[] user = address.UserInfo.Split(':', 2);
        if (user[0].Length > 0)
            builder["Username"] = Uri.UnescapeDataString(user[0]);
        if (user.Length > 1)
            builder["Password"] = Uri.UnescapeDataString(user[1]);
        foreach (string parameter in address.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] pair = [.. parameter.Split('=', 2).Select(Uri.UnescapeDataString)];
            string key = s_addressParameters.GetValueOrDefault(pair[0], pair[0]);
            // "verify-full" is VerifyFull there.
            builder[key.Length > 0 ? key : "?"] = pair.Length == 1 ? "" : key == "SSL Mode" ? pair[1].Replace("-", "", StringComparison.Ordinal) : pair[1];
        }
        return builder;
    }
}
