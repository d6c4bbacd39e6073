using System.Globalization;
using Microsoft.Data.Sqlite;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>SQLite itself, as programs have it, with all its syncing (EXTRA: the unlinking of a rollback journal too): each commit that returned is there afterwards, whole, and the database is sound.</summary>
internal sealed class SqliteWork(string journalMode) : IWork
{
    private const string Name = "data.db";

    public void Run(WorkContext context)
    {
        using var connection = Connection(context.Path(Name));
        int number = 0;
        context.Log.Do("open", _ => Try(() =>
        {
            connection.Open();
            Execute(connection, $"PRAGMA journal_mode = {journalMode}; PRAGMA synchronous = EXTRA; CREATE TABLE IF NOT EXISTS entry (step INTEGER, piece INTEGER, body BLOB)");
            number = (int)Scalar(connection, "SELECT coalesce(max(step), 0) FROM entry");
        }));
        context.Log.Found(number, "base");
        while (!context.Stop.IsCancellationRequested)
            context.Log.Do("c", step => Try(() => Commit(connection, step, context.Random)) is var error and not Errno.None ? error : SyncFolder(context.Path("")));
    }

    public void Verify(string folder, int family, History history, Findings findings)
    {
        string path = Path.Combine(folder, Name);
        int synced = history.Ops.Where(o => o.IsDone && o.Verb is "c" or "base").Select(o => o.Number).LastOrDefault();
        int most = history.Ops.Where(o => o.Verb is "c" or "base").Select(o => o.Number).LastOrDefault();
        if (!File.Exists(path))
        {
            if (synced > 0)
                findings.Violation($"{path}: the database is gone, with {synced} commits");
            return;
        }
        findings.Checked++;
        using var connection = Open(path);
        string sound = Text(connection, "PRAGMA integrity_check");
        if (sound != "ok")
            findings.Violation($"{path}: {sound}");
        long last = Scalar(connection, "SELECT count(*) FROM sqlite_schema WHERE name = 'entry'") == 0 ? 0 : Scalar(connection, "SELECT coalesce(max(step), 0) FROM entry");
        if (last < synced || last > most)
            findings.Violation($"{path}: the last commit is {last}; {synced} had returned, {most} had begun");
        if (last == 0)
            return;
        // A transaction of step N has N % 5 + 1 pieces, each of which has the length that its numbers say.
        long wrong = Scalar(connection, "SELECT count(*) FROM (SELECT step FROM entry GROUP BY step HAVING count(*) <> step % 5 + 1 OR sum(length(body) <> 1 + step * (piece + 7) % 3000) > 0)");
        if (wrong > 0)
            findings.Violation($"{path}: {wrong} transactions are there in part");
    }

    private static void Commit(SqliteConnection connection, int step, Random random)
    {
        using var transaction = connection.BeginTransaction();
        for (int piece = 0; piece <= step % 5; piece++)
        {
            using var insert = connection.CreateCommand();
            insert.CommandText = "INSERT INTO entry (step, piece, body) VALUES ($step, $piece, $body)";
            byte[] body = new byte[1 + (int)((long)step * (piece + 7) % 3000)];
            random.NextBytes(body);
            insert.Parameters.AddWithValue("$step", step);
            insert.Parameters.AddWithValue("$piece", piece);
            insert.Parameters.AddWithValue("$body", body);
            insert.ExecuteNonQuery();
        }
        transaction.Commit();
    }

    /// <summary>SQLite does this too, after it has unlinked its rollback journal, but takes no notice where the folder cannot be opened (unixDelete in os_unix.c): killed between the two, the volume would have said no
    /// and the commit yes.</summary>
    private static Errno SyncFolder(string path)
    {
        var error = Sys.Open(path, Sys.O_RDONLY | Sys.O_DIRECTORY, 0, out var folder);
        using (folder)
            return error == Errno.None ? folder.Sync() : error;
    }

    private static SqliteConnection Connection(string path)
    {
        SQLitePCL.Batteries_V2.Init();
        return new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false, DefaultTimeout = 20 }.ToString());
    }

    private static SqliteConnection Open(string path)
    {
        var connection = Connection(path);
        connection.Open();
        return connection;
    }

    private static Errno Try(Action act)
    {
        try
        {
            act();
            return Errno.None;
        }
        catch (SqliteException)
        {
            // SQLITE_IOERR and its kin: what was under it has gone.
            return Errno.EIO;
        }
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    private static string Text(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return Convert.ToString(command.ExecuteScalar(), CultureInfo.InvariantCulture) ?? "";
    }

    private static long Scalar(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return Convert.ToInt64(command.ExecuteScalar(), CultureInfo.InvariantCulture);
    }
}
