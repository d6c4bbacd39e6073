using OrleansFs.Model;
using SQLitePCL;

namespace OrleansFs.Engine.Metadata;

/// <summary>Copies a whole meta.db: out of a volume in use, and, page by page, into another.</summary>
/// <remarks>
/// SQLite's online backup (sqlite.org/backup.html) starts anew when another connection changes the source. Inside a read transaction of the source connection it does not: it copies the
/// snapshot, while the writer goes on. Until it ends the log cannot start anew.
/// </remarks>
internal static class MetadataCopy
{
    /// <summary>A small cache on either side: each page is read and written once.</summary>
    private const int CacheKibibytes = 1024;

    /// <summary>Pages between two looks at the cancellation: 4 MiB.</summary>
    private const int StepPages = 1024;

    /// <summary>Writes a copy of the last commit to a file, replacing what is there.</summary>
    /// <param name="source">meta.db; may be in use.</param>
    /// <param name="target">The copy. Not synced.</param>
    /// <param name="cancellation">Ends it; what is there of the copy is left.</param>
    /// <returns>Newest mutation that the copy has.</returns>
    /// <exception cref="MetadataException">Reading or writing failed.</exception>
    public static Lsn Save(string source, string target, CancellationToken cancellation)
    {
        Delete(target);
        using var from = Database.Open(source, CacheKibibytes);
        using var to = Database.Open(target, CacheKibibytes);
        to.Execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF");
        from.Execute("BEGIN");
        var lsn = new Lsn(from.Scalar("SELECT lsn FROM volume"));
        Copy(from, to, cancellation);
        from.Execute("COMMIT");
        return lsn;
    }

    /// <summary>Copies every page of one database over another. One transaction of the target.</summary>
    public static void Copy(Database from, Database to, CancellationToken cancellation)
    {
        using var backup = raw.sqlite3_backup_init(to.Handle, "main", from.Handle, "main");
        if (backup is null || backup.IsInvalid)
            throw SqliteError.Of(to.Handle, raw.sqlite3_errcode(to.Handle), "a copy of the database");
        int code = raw.SQLITE_OK;
        while (code == raw.SQLITE_OK && !cancellation.IsCancellationRequested)
            code = raw.sqlite3_backup_step(backup, StepPages);
        int finished = raw.sqlite3_backup_finish(backup);
        cancellation.ThrowIfCancellationRequested();
        if (code != raw.SQLITE_DONE || finished != raw.SQLITE_OK)
            throw SqliteError.Of(to.Handle, code == raw.SQLITE_DONE ? finished : code, "a copy of the database");
    }

    /// <summary>Deletes a database that nobody has open, with its log.</summary>
    public static void Delete(string path)
    {
        foreach (string suffix in (string[])["", "-wal", "-shm", "-journal"])
            File.Delete(path + suffix);
    }

    /// <summary>Makes a master's meta.db that of a replica: what is the master's own goes. Committed on return; brings its format up where it is older.</summary>
    /// <exception cref="NewerFormatException">A newer program has made it.</exception>
    /// <exception cref="NotAVolumeException">It is no volume.</exception>
    public static void MakeReplica(Database database, string path, CopyName copy)
    {
        database.Migrate(path, beforeRedoTableGoes: null);
        if (!database.IsIdle)
            database.Execute("COMMIT");
        database.Execute("BEGIN IMMEDIATE");
        using (var s = database.Prepare("UPDATE volume SET copy = ?1, role = ?2, fenced_by = NULL, fenced_at = NULL"))
            s.BindText(1, copy.Value).Bind(2, (long)VolumeRole.Replica).Run();
        database.Execute(
            """
            DELETE FROM redo_settled;
            DELETE FROM redo_lost;
            DELETE FROM replica;
            UPDATE block SET stored = (length + 24 + 4095) / 4096 * 4096 WHERE hash IN (SELECT hash FROM composed);
            UPDATE volume SET stored_bytes = (SELECT coalesce(sum(stored), 0) FROM block WHERE refs > 0), dead_bytes = (SELECT coalesce(sum(stored), 0) FROM block WHERE refs = 0)
              WHERE EXISTS (SELECT 1 FROM composed);
            UPDATE volume SET local_bytes = stored_bytes + dead_bytes;
            DELETE FROM composed;
            DELETE FROM composed_source;
            UPDATE block SET pins = 0 WHERE pins <> 0;
            DROP INDEX IF EXISTS block_lru;
            DROP INDEX IF EXISTS block_kept;
            UPDATE block SET residency = 1 WHERE residency <> 1;
            CREATE INDEX IF NOT EXISTS block_absent ON block (hash) WHERE residency = 0;
            COMMIT;
            """);
    }
}
