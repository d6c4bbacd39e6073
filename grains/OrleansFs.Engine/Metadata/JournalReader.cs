using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>Reads the committed journal over a connection of its own: no lock of the store is taken, and each read ends before it returns, so that the log can start anew. Not thread-safe.</summary>
internal sealed class JournalReader : IDisposable
{
    /// <summary>A small cache: the journal is read once, in order.</summary>
    private const int CacheKibibytes = 512;

    private readonly Database _database;
    private readonly Statement _rows;
    private readonly Statement _volume;
    private readonly Statement _begin;
    private readonly Statement _end;

    private JournalReader(Database database)
    {
        _database = database;
        _rows = database.Prepare("SELECT lsn, count, time, effects FROM journal WHERE lsn > ?1 ORDER BY lsn");
        _volume = database.Prepare("SELECT lsn FROM volume");
        _begin = database.Prepare("BEGIN");
        _end = database.Prepare("COMMIT");
    }

    public static JournalReader Open(string path) => new(Database.Open(path, CacheKibibytes));

    /// <summary>The rows after a position, as many as fit, one at least where there is one. Null where the journal does not go back so far.</summary>
    /// <param name="after">What is known already.</param>
    /// <param name="maxBytes">Bound on the effects.</param>
    /// <param name="maxRows">Bound on the rows.</param>
    /// <exception cref="MetadataException">It cannot be read.</exception>
    public IReadOnlyList<JournalRow>? Read(Lsn after, long maxBytes, int maxRows)
    {
        var rows = new List<JournalRow>();
        long bytes = 0;
        var expected = after;
        _begin.Run();
        try
        {
            _rows.Bind(1, after.Value);
            while (rows.Count < maxRows && bytes < maxBytes && _rows.Step())
            {
                var row = new JournalRow(new Lsn(_rows.Int64(0)), _rows.Int32(1), _rows.Time(2), _rows.Blob(3).ToArray());
                if (row.Lsn.Value - row.Count != expected.Value)
                    return null;
                expected = row.Lsn;
                bytes += row.Effects.Length;
                rows.Add(row);
            }
            _rows.Reset();
            // Nothing after it: fine where it is the newest position, a gap where the journal was emptied past it.
            return rows.Count == 0 && Tail() != after ? null : rows;
        }
        finally
        {
            _rows.Reset();
            _end.Run();
        }
    }

    public void Dispose()
    {
        _rows.Dispose();
        _volume.Dispose();
        _begin.Dispose();
        _end.Dispose();
        _database.Dispose();
    }

    private Lsn Tail()
    {
        _volume.Step();
        var tail = new Lsn(_volume.Int64(0));
        _volume.Reset();
        return tail;
    }
}
