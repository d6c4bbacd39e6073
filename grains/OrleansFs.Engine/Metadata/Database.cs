using System.Reflection;
using Microsoft.Data.Sqlite;
using OrleansFs.Model;
using SQLitePCL;

namespace OrleansFs.Engine.Metadata;

/// <summary>A connection to meta.db with the settings that the store relies on.</summary>
/// <remarks>
/// WAL with <c>synchronous=NORMAL</c>: a commit is in the system's page cache when it returns, and on disk after a sync of the WAL. No automatic checkpoint:
/// it would run on the
/// request path. No cache spill: a transaction touches the disk at its commit only, so that a full disk fails the commit and never a statement.
/// </remarks>
internal sealed class Database : IDisposable
{
    /// <summary>"OFSm": marks the file as a meta.db.</summary>
    private const int ApplicationId = 0x4F46536D;

    /// <summary>SQLite before this version can corrupt a database in WAL mode (the WAL-reset bug, sqlite.org/wal.html#walresetbug).</summary>
    private const int OldestGoodSqlite = 3_051_003;

    /// <summary>The format in which small synced writes went from a table to a log of their own.</summary>
    private const int RedoLogFormat = 7;

    private readonly SqliteConnection _connection;

    private Database(SqliteConnection connection) => _connection = connection;

    public sqlite3 Handle => _connection.Handle!;

    /// <summary>Whether no transaction is open, as after SQLite rolled one back by itself.</summary>
    public bool IsIdle => raw.sqlite3_get_autocommit(Handle) != 0;

    /// <summary>The open transaction is lost, or SQLite takes no more writes in it: it is to be rolled back before anything else is done.</summary>
    /// <remarks>
    /// A read that fails is enough for either. SQLite answers an I/O error in any statement by rolling the transaction back (sqlite3VdbeHalt), and after what looks like a damaged page, which an EIO of a read does too
    /// (SQLITE_IOERR_CORRUPTFS), it refuses writes until the end of the transaction (SQLITE_CorruptRdOnly).
    /// </remarks>
    public bool MustRollBack { get; private set; }

    /// <summary>A statement has failed.</summary>
    public void Failed(int code) => MustRollBack |= (code & 0xFF) == raw.SQLITE_CORRUPT || IsIdle;

    /// <summary>A new transaction has begun.</summary>
    public void Renewed() => MustRollBack = false;

    public static Database Open(string path, int cacheKibibytes)
    {
        Batteries_V2.Init();
        if (raw.sqlite3_libversion_number() < OldestGoodSqlite)
            throw new NotAVolumeException($"SQLite {raw.sqlite3_libversion().utf8_to_string()} can corrupt databases in WAL mode: 3.51.3 or newer is needed");
        var builder = new SqliteConnectionStringBuilder { DataSource = path, Pooling = false, Mode = SqliteOpenMode.ReadWriteCreate };
        var connection = new SqliteConnection(builder.ToString());
        var database = new Database(connection);
        try
        {
            connection.Open();
            database.Execute($"""
                PRAGMA busy_timeout = {MetadataLimits.BusyMilliseconds};
                PRAGMA page_size = 4096;
                PRAGMA journal_mode = WAL;
                PRAGMA synchronous = NORMAL;
                PRAGMA wal_autocheckpoint = 0;
                PRAGMA cache_size = -{cacheKibibytes};
                PRAGMA cache_spill = OFF;
                PRAGMA foreign_keys = OFF;
                PRAGMA temp_store = MEMORY;
                PRAGMA locking_mode = NORMAL;
                """);
            return database;
        }
        catch (SqliteException e)
        {
            connection.Dispose();
            throw new NotAVolumeException($"{path} cannot be opened as metadata: {e.Message}");
        }
    }

    public Statement Prepare(string sql) => new(this, sql);

    /// <summary>Runs statements that are not worth preparing.</summary>
    public void Execute(string sql)
    {
        using var command = _connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    public long Scalar(string sql)
    {
        using var statement = Prepare(sql);
        return statement.Step() ? statement.Int64(0) : throw new InvalidOperationException($"no row: {sql}");
    }

    /// <summary>Checkpoints as far as nobody is in the way, or only looks. Gives the frames in the WAL, and how many of them are in the database now; null
    /// where another
    /// connection is at it.</summary>
    public (int Log, int Done)? Checkpoint(bool look)
    {
        const int SQLITE_CHECKPOINT_NOOP = -1;
        int code = raw.sqlite3_wal_checkpoint_v2(Handle, "main", look ? SQLITE_CHECKPOINT_NOOP : raw.SQLITE_CHECKPOINT_PASSIVE, out int log, out int done);
        return (code & 0xFF) switch
        {
            raw.SQLITE_OK => (log, done),
            raw.SQLITE_BUSY => null,
            _ => throw SqliteError.Of(Handle, code, "checkpoint"),
        };
    }

    /// <summary>Brings the schema to the newest format, in one transaction. A file without a schema gets one.</summary>
    /// <returns>The format; and whether it was made now.</returns>
    /// <param name="path">For messages.</param>
    /// <param name="beforeRedoTableGoes">Keeps what the formats before 7 have in table redo; null where it is another copy's.</param>
    public (int Format, bool Made) Migrate(string path, Action? beforeRedoTableGoes)
    {
        var scripts = Scripts();
        int newest = scripts[^1].Number;
        int format = (int)Scalar("PRAGMA user_version");
        int application = (int)Scalar("PRAGMA application_id");
        if (format > 0 && application != ApplicationId || format == 0 && Scalar("SELECT count(*) FROM sqlite_schema") > 0)
            throw new NotAVolumeException($"{path} is a database of another program");
        if (format > newest)
            throw new NewerFormatException(format, newest);
        if (format == newest)
            return (newest, false);
        Execute("BEGIN IMMEDIATE");
        foreach (var (number, sql) in scripts)
        {
            if (number <= format)
                continue;
            if (number == RedoLogFormat && format > 0)
                beforeRedoTableGoes?.Invoke();
            Execute(sql);
        }
        Execute($"PRAGMA application_id = {ApplicationId}; PRAGMA user_version = {newest}");
        return (newest, format == 0);
    }

    public void Dispose() => _connection.Dispose();

    private static List<(int Number, string Sql)> Scripts()
    {
        var assembly = Assembly.GetExecutingAssembly();
        var scripts = new List<(int, string)>();
        foreach (string name in assembly.GetManifestResourceNames().Where(n => n.Contains(".Metadata.Schema.", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
            string file = name[(name.IndexOf(".Schema.", StringComparison.Ordinal) + ".Schema.".Length)..];
            scripts.Add((int.Parse(file[..3], System.Globalization.CultureInfo.InvariantCulture), reader.ReadToEnd()));
        }
        return scripts;
    }
}
