using System.Text;
using Microsoft.Data.Sqlite;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata.Check;

/// <summary>Finds which files a block is part of. No index answers that, so each question reads all manifests and, for each file found, all names: for the few blocks that a check finds lost.</summary>
internal sealed class BlockPaths : IDisposable
{
    private readonly SqliteConnection _connection;

    public BlockPaths(string path)
    {
        _connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false, Mode = SqliteOpenMode.ReadOnly }.ToString());
        _connection.Open();
    }

    /// <summary>Paths from the root of the volume; bytes that are no UTF-8 are replaced. A file with several names is given with one.</summary>
    public IReadOnlyList<string> Of(BlockHash hash, int max)
    {
        var inodes = new List<long>();
        using (var files = _connection.CreateCommand())
        {
            files.CommandText = "SELECT DISTINCT i.ino FROM manifest m JOIN inode i ON i.manifest = m.manifest WHERE instr(m.hashes, $hash) > 0 LIMIT $max";
            files.Parameters.AddWithValue("$hash", hash.ToArray());
            files.Parameters.AddWithValue("$max", max);
            using var rows = files.ExecuteReader();
            while (rows.Read())
                inodes.Add(rows.GetInt64(0));
        }
        return [.. inodes.Select(PathOf)];
    }

    public void Dispose() => _connection.Dispose();

    private string PathOf(long inode)
    {
        var path = new StringBuilder();
        long current = inode;
        for (int depth = 0; current != (long)InodeNumber.Root.Value && depth < MetadataLimits.PathDepth; depth++)
        {
            using var names = _connection.CreateCommand();
            names.CommandText = "SELECT parent, name FROM dentry WHERE ino = $ino LIMIT 1";
            names.Parameters.AddWithValue("$ino", current);
            using var row = names.ExecuteReader();
            if (!row.Read())
                return $"(inode {inode}, which has no name)";
            current = row.GetInt64(0);
            path.Insert(0, Encoding.UTF8.GetString((byte[])row[1])).Insert(0, '/');
        }
        return path.ToString();
    }
}
