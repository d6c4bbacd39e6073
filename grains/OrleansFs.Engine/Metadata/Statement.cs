using OrleansFs.Model;
using SQLitePCL;

namespace OrleansFs.Engine.Metadata;

/// <summary>A prepared statement that is used over and over. Not thread-safe: used under the lock of its connection.</summary>
/// <remarks>Columns count from 0, parameters from 1, as in SQLite. A span from <see cref="Blob"/> is good until the next step or reset.</remarks>
internal sealed class Statement : IDisposable
{
    private const uint SQLITE_PREPARE_PERSISTENT = 1;
    private readonly Database _database;
    private readonly sqlite3_stmt _statement;

    public Statement(Database database, string sql)
    {
        _database = database;
        int code = raw.sqlite3_prepare_v3(database.Handle, sql, SQLITE_PREPARE_PERSISTENT, out _statement);
        if (code != raw.SQLITE_OK)
            throw SqliteError.Of(database.Handle, code, sql);
    }

    public void Dispose() => _statement.Dispose();

    public Statement Bind(int parameter, long value)
    {
        Check(raw.sqlite3_bind_int64(_statement, parameter, value));
        return this;
    }

    public Statement Bind(int parameter, ulong value) => Bind(parameter, unchecked((long)value));

    public Statement Bind(int parameter, InodeNumber value) => Bind(parameter, unchecked((long)value.Value));

    public Statement Bind(int parameter, Timestamp value) => Bind(parameter, value.Nanoseconds);

    public Statement Bind(int parameter, ReadOnlySpan<byte> value)
    {
        Check(raw.sqlite3_bind_blob(_statement, parameter, value));
        return this;
    }

    public Statement Bind(int parameter, BlockHash hash)
    {
        Span<byte> bytes = stackalloc byte[BlockHash.Size];
        hash.CopyTo(bytes);
        return Bind(parameter, bytes);
    }

    public Statement BindText(int parameter, string value)
    {
        Check(raw.sqlite3_bind_text(_statement, parameter, value));
        return this;
    }

    public Statement Bind(int parameter, Timestamp? value) => value is { } time ? Bind(parameter, time) : BindNull(parameter);

    public Statement BindNull(int parameter)
    {
        Check(raw.sqlite3_bind_null(_statement, parameter));
        return this;
    }

    /// <summary>Goes to the next row. False at the end, and then the statement is ready for its next use.</summary>
    public bool Step()
    {
        int code = raw.sqlite3_step(_statement);
        if (code == raw.SQLITE_ROW)
            return true;
        if (code == raw.SQLITE_DONE)
        {
            _ = raw.sqlite3_reset(_statement);
            return false;
        }
        var error = SqliteError.Of(_database.Handle, code, null);
        _ = raw.sqlite3_reset(_statement);
        _database.Failed(code);
        throw error;
    }

    /// <summary>Runs a statement that gives no rows, or whose rows are of no interest.</summary>
    public void Run()
    {
        while (Step())
        {
        }
    }

    /// <summary>Leaves the rows that are left. The code that it gives is that of the last step, which has been dealt with.</summary>
    public void Reset() => _ = raw.sqlite3_reset(_statement);

    public long Int64(int column) => raw.sqlite3_column_int64(_statement, column);

    public int Int32(int column) => (int)raw.sqlite3_column_int64(_statement, column);

    public uint UInt32(int column) => (uint)raw.sqlite3_column_int64(_statement, column);

    public InodeNumber Inode(int column) => new(unchecked((ulong)raw.sqlite3_column_int64(_statement, column)));

    public Timestamp Time(int column) => new(raw.sqlite3_column_int64(_statement, column));

    public ReadOnlySpan<byte> Blob(int column) => raw.sqlite3_column_blob(_statement, column);

    public BlockHash Hash(int column) => new(Blob(column));

    public string Text(int column) => raw.sqlite3_column_text(_statement, column).utf8_to_string();

    public bool IsNull(int column) => raw.sqlite3_column_type(_statement, column) == raw.SQLITE_NULL;

    private void Check(int code)
    {
        if (code != raw.SQLITE_OK)
            throw SqliteError.Of(_database.Handle, code, null);
    }
}

/// <summary>Turns SQLite's codes into what a caller is told.</summary>
internal static class SqliteError
{
    /// <summary>The disk is at fault, or memory: what failed can succeed another time. A damaged page is among them, since SQLite takes a read that fails for one.</summary>
    public static bool IsOfDisk(int code) => (code & 0xFF) is raw.SQLITE_IOERR or raw.SQLITE_CORRUPT or raw.SQLITE_FULL or raw.SQLITE_CANTOPEN or raw.SQLITE_NOMEM or raw.SQLITE_BUSY;

    public static MetadataException Of(sqlite3 database, int code, string? sql)
    {
        int extended = raw.sqlite3_extended_errcode(database);
        string message = raw.sqlite3_errmsg(database).utf8_to_string();
        string where = sql is null ? "" : $" in: {sql}";
        return new MetadataException((code & 0xFF) == raw.SQLITE_FULL ? Errno.ENOSPC : Errno.EIO, extended, $"meta.db: {message} (SQLite {extended}){where}");
    }
}
