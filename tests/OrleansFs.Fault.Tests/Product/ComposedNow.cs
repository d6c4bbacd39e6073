using Microsoft.Data.Sqlite;

namespace OrleansFs.Fault.Tests.Product;

/// <summary>Looks, while a process has a copy open, whether it has composed blocks or made some plain since. Only reads, and so leaves the log to its owner; to be closed before that is killed.</summary>
internal sealed class ComposedNow : IDisposable
{
    private readonly SqliteConnection _database;
    private readonly (long Blocks, long Bytes) _first;

    public ComposedNow(string data)
    {
        _database = new SqliteConnection($"Data Source={Path.Combine(data, "meta.db")};Mode=ReadOnly;Pooling=False");
        _database.Open();
        _first = Look();
    }

    public bool HasChanged => Look() != _first;

    public void Dispose() => _database.Dispose();

    private (long Blocks, long Bytes) Look()
    {
        using var command = _database.CreateCommand();
        command.CommandText = "SELECT count(*), coalesce(sum(length(program)), 0) FROM composed";
        using var reader = command.ExecuteReader();
        reader.Read();
        return (reader.GetInt64(0), reader.GetInt64(1));
    }
}
