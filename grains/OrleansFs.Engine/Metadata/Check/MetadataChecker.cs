using System.Text;
using Microsoft.Data.Sqlite;
using OrleansFs.Engine.Native;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>Looks for faults in a meta.db as it was committed last, with a connection of its own.</summary>
/// <remarks>What it has to remember of each inode and block goes to tables in a scratch file beside meta.db, so that its memory does not grow with the
/// volume; where that disk is short, to one in the folder for temporary files.</remarks>
internal sealed partial class MetadataChecker : IDisposable
{
    /// <summary>Rows between two reports of progress.</summary>
    private const int ReportRows = 100_000;

    private readonly Database _database;
    private readonly string _scratch;
    private readonly int _blockSize;
    private readonly IProgress<CheckProgress>? _progress;
    private readonly CancellationToken _cancellation;

    public MetadataChecker(string path, int blockSize, IProgress<CheckProgress>? progress, CancellationToken cancellation)
    {
        _blockSize = blockSize;
        _progress = progress;
        _cancellation = cancellation;
        _scratch = path + "-check";
        File.Delete(_scratch);
        // An empty name is SQLite's own temporary file: in memory while it is small, then in TMPDIR.
        string scratch = IsShortOfRoom(path) ? "" : _scratch;
        _database = Database.Open(path, MetadataLimits.CacheKibibytes);
        try
        {
            _database.Execute($"""
                PRAGMA temp_store = FILE;
                ATTACH DATABASE '{scratch.Replace("'", "''", StringComparison.Ordinal)}' AS scratch;
                PRAGMA scratch.journal_mode = OFF;
                PRAGMA scratch.synchronous = OFF;
                PRAGMA cache_spill = ON;
                """);
        }
        catch (SqliteException e)
        {
            _database.Dispose();
            throw new MetadataException(Errno.EIO, e.SqliteExtendedErrorCode, $"there is no place for the notes of a check: {e.Message}");
        }
    }

    public void Dispose()
    {
        _database.Dispose();
        File.Delete(_scratch);
    }

    private static bool IsShortOfRoom(string path)
    {
        var space = DiskSpace.Of(Path.GetDirectoryName(Path.GetFullPath(path))!);
        return space.FreeBytes < 2 * new FileInfo(path).Length + MetadataLimits.ScratchBytes || space.FreeInodes < MetadataLimits.ScratchInodes;
    }

    /// <summary>All faults, those first that others may follow from.</summary>
    public IEnumerable<MetadataFault> Run()
    {
        bool damaged = false;
        foreach (var fault in CheckDatabase())
        {
            damaged = true;
            yield return fault;
        }
        if (damaged)
            yield break;
        _database.Execute("BEGIN");
        foreach (var fault in CheckNames().Concat(CheckTree()).Concat(CheckInodes()).Concat(CheckXattrs()).Concat(CheckRecords()).Concat(CheckContent()).Concat(CheckCounters()))
        {
            _cancellation.ThrowIfCancellationRequested();
            yield return fault;
        }
        _database.Execute("ROLLBACK");
    }

    private IEnumerable<MetadataFault> CheckDatabase()
    {
        Report("database", 0, null);
        using var s = _database.Prepare("PRAGMA main.integrity_check(20)");
        while (s.Step())
        {
            if (s.Text(0) is var text and not "ok")
                yield return new MetadataFault(MetadataFaultKind.DatabaseDamaged, text);
        }
    }

    /// <summary>Runs a query whose every row is a fault.</summary>
    private IEnumerable<MetadataFault> Each(string step, string sql, Func<Statement, MetadataFault> fault)
    {
        Report(step, 0, null);
        using var s = _database.Prepare(sql);
        while (s.Step())
            yield return fault(s);
    }

    private IEnumerable<MetadataFault> CheckCounters()
    {
        Report("counters", 0, null);
        using var s = _database.Prepare(CountersQuery);
        s.Step();
        for (int i = 0; i < s_counters.Length; i++)
        {
            long recorded = s.Int64(2 * i), counted = s.Int64(2 * i + 1);
            bool isBound = s_counters[i].StartsWith("next_", StringComparison.Ordinal);
            if (isBound ? recorded <= counted : recorded != counted)
            {
                yield return new MetadataFault(MetadataFaultKind.CounterWrong, $"the volume's {s_counters[i]} is {recorded}, {(isBound ? "there is a" : "it should be")} {counted}")
                {
                    Expected = isBound ? counted + 1 : counted,
                    Name = Encoding.UTF8.GetBytes(s_counters[i]),
                };
            }
        }
        s.Reset();
    }

    private static readonly string[] s_counters =
    [
        "files", "directories", "others", "logical_bytes", "orphans", "referenced_bytes", "blocks", "unique_bytes", "stored_bytes", "dead_blocks", "dead_bytes", "local_bytes", "next_inode", "next_cookie",
    ];

    /// <summary>Of each counter what is recorded and what is counted.</summary>
    private const string CountersQuery =
        """
        WITH i AS (
          SELECT count(*) FILTER (WHERE nlink > 0 AND mode & 0xF000 = 0x8000) AS files,
            count(*) FILTER (WHERE nlink > 0 AND mode & 0xF000 = 0x4000) AS directories,
            count(*) FILTER (WHERE nlink > 0 AND mode & 0xF000 NOT IN (0x8000, 0x4000)) AS others,
            coalesce(sum(size) FILTER (WHERE nlink > 0 AND mode & 0xF000 = 0x8000), 0) AS bytes,
            count(*) FILTER (WHERE nlink = 0) AS orphans
          FROM inode),
        b AS (
          SELECT coalesce(sum(refs * length), 0) AS referenced,
            count(*) FILTER (WHERE refs > 0) AS blocks,
            coalesce(sum(length) FILTER (WHERE refs > 0), 0) AS bytes,
            coalesce(sum(stored) FILTER (WHERE refs > 0), 0) AS stored,
            count(*) FILTER (WHERE refs = 0) AS dead,
            coalesce(sum(stored) FILTER (WHERE refs = 0), 0) AS dead_bytes,
            coalesce(sum(stored) FILTER (WHERE residency <> 0), 0) AS local_bytes
          FROM block)
        SELECT v.files, i.files, v.directories, i.directories, v.others, i.others, v.logical_bytes, i.bytes, v.orphans, i.orphans, v.referenced_bytes, b.referenced, v.blocks, b.blocks,
          v.unique_bytes, b.bytes, v.stored_bytes, b.stored, v.dead_blocks, b.dead, v.dead_bytes, b.dead_bytes, v.local_bytes, b.local_bytes,
          v.next_inode, (SELECT coalesce(max(ino), 0) FROM inode WHERE ino >> 48 & 0xFFFF = v.site), v.next_cookie, (SELECT coalesce(max(cookie), 0) FROM dentry)
        FROM volume v, i, b
        """;

    private void Report(string step, long done, long? total)
    {
        _cancellation.ThrowIfCancellationRequested();
        _progress?.Report(new CheckProgress(step, done, total));
    }

    /// <summary>A name for a message: what is not printable ASCII in hexadecimal.</summary>
    private static string Show(ReadOnlySpan<byte> name)
    {
        var text = new StringBuilder("\"");
        foreach (byte b in name)
            text.Append(b is >= 0x20 and < 0x7F ? ((char)b).ToString() : $"\\x{b:x2}");
        return text.Append('"').ToString();
    }
}
