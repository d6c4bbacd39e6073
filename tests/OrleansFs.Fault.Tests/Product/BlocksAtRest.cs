using Microsoft.Data.Sqlite;
using OrleansFs.Fault.Tests.Machine;

namespace OrleansFs.Fault.Tests.Product;

/// <summary>How the blocks of a copy lie on its disk, while no process has it open: as a kill has left them.</summary>
/// <param name="Composed">Blocks that are kept as pieces of others.</param>
/// <param name="Files">Names of the block files.</param>
/// <param name="Known">Blocks that have a row.</param>
internal sealed record BlocksAtRest(IReadOnlySet<string> Composed, IReadOnlySet<string> Files, IReadOnlySet<string> Known)
{
    /// <summary>A block is in a file and composed: between the one and the other something was cut short.</summary>
    public int Halfway => Composed.Count(Files.Contains);

    /// <summary>Files that were stored, and the transaction that names them was not applied yet.</summary>
    public int WithoutRow => Files.Count(f => !Known.Contains(f));

    /// <summary>Blocks that have a row and are neither in a file nor composed: given up, or lost.</summary>
    public int Absent => Known.Count(k => !Files.Contains(k) && !Composed.Contains(k));

    /// <param name="data">The folder of the copy. Its log is left as it is: a copy of the database is looked at.</param>
    /// <param name="scratch">Where that copy may be.</param>
    public static BlocksAtRest Of(string data, Scratch scratch)
    {
        string folder = scratch.Folder("at-rest");
        foreach (string name in new[] { "meta.db", "meta.db-wal" })
        {
            if (File.Exists(Path.Combine(data, name)))
                File.Copy(Path.Combine(data, name), Path.Combine(folder, name), overwrite: true);
        }
        using var database = new SqliteConnection($"Data Source={Path.Combine(folder, "meta.db")};Pooling=False");
        database.Open();
        var files = Directory.EnumerateFiles(Path.Combine(data, "blocks"), "*", SearchOption.AllDirectories).Select(f => Path.GetFileName(f)).Where(f => f.Length == 64);
        var rest = new BlocksAtRest(Hashes(database, "composed"), files.ToHashSet(), Hashes(database, "block"));
        database.Close();
        Directory.Delete(folder, recursive: true);
        return rest;
    }

    private static HashSet<string> Hashes(SqliteConnection database, string table)
    {
        using var command = database.CreateCommand();
        command.CommandText = $"SELECT lower(hex(hash)) FROM {table}";
        using var reader = command.ExecuteReader();
        var hashes = new HashSet<string>();
        while (reader.Read())
            hashes.Add(reader.GetString(0));
        return hashes;
    }
}
