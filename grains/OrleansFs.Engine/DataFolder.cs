using System.Globalization;

namespace OrleansFs.Engine;

/// <summary>
/// The data folder of a copy and the exclusive lock on it: one process has a copy open at a time.
/// </summary>
/// <remarks>Names in it: <c>meta.db</c> (with -wal and -shm), <c>redo.0</c> and <c>redo.1</c>, <c>blocks/</c>, <c>lock</c>, <c>pid</c>; <c>cluster.db</c> and <c>silo.json</c> are the silo's.</remarks>
internal sealed class DataFolder : IDisposable
{
    private readonly FileStream _lock;

    private DataFolder(string path, FileStream @lock, bool isNew)
    {
        Path = path;
        _lock = @lock;
        IsNew = isNew;
    }

    public string Path { get; }

    /// <summary>The folder holds no volume yet.</summary>
    public bool IsNew { get; }

    /// <summary>The folder of the blocks is there: the volume has been made to its end.</summary>
    public bool HasBlocks => Directory.Exists(System.IO.Path.Combine(Path, "blocks"));

    public string Metadata => System.IO.Path.Combine(Path, "meta.db");

    private string ProcessId => System.IO.Path.Combine(Path, "pid");

    /// <summary>Locks a folder that holds a volume, or is empty, or is to be made.</summary>
    /// <exception cref="VolumeException">It holds something else, or another process has it.</exception>
    public static DataFolder Open(string path, bool create)
    {
        path = System.IO.Path.GetFullPath(path);
        bool isNew = !File.Exists(System.IO.Path.Combine(path, "meta.db"));
        if (File.Exists(path))
            throw new VolumeException($"{path} is a file; name a folder for the volume's data");
        if (isNew && !create)
            throw new VolumeException($"{path} holds no volume; make one with 'orleansfs mount --data {path} MOUNTPOINT'");
        if (isNew && Directory.Exists(path) && Stranger(path) is { } stranger)
            throw new VolumeException($"{path} holds no volume but other files ({stranger}); name an empty or a new folder");
        try
        {
            Directory.CreateDirectory(path);
            var file = new FileStream(System.IO.Path.Combine(path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            var folder = new DataFolder(path, file, isNew);
            File.WriteAllText(folder.ProcessId, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            return folder;
        }
        catch (UnauthorizedAccessException e)
        {
            throw new VolumeException($"{path} cannot be used: {e.Message}", e);
        }
        catch (IOException e) when (File.Exists(System.IO.Path.Combine(path, "lock")))
        {
            throw new VolumeException($"{path} is in use by another process{Owner(path)}; unmount it first", e);
        }
    }

    /// <summary>The process that has the folder open, as it wrote it down; null where none did.</summary>
    public static int? OwnerOf(string path)
    {
        string file = System.IO.Path.Combine(path, "pid");
        return File.Exists(file) && int.TryParse(File.ReadAllText(file), NumberStyles.None, CultureInfo.InvariantCulture, out int pid) ? pid : null;
    }

    public void Dispose()
    {
        File.Delete(ProcessId);
        _lock.Dispose();
    }

    private static string Owner(string path) => OwnerOf(path) is { } pid ? $" (pid {pid})" : "";

    /// <summary>A first name that is not ours: what a volume whose making was cut short leaves may be there.</summary>
    private static string? Stranger(string path) => Directory.EnumerateFileSystemEntries(path).Select(System.IO.Path.GetFileName)
        .FirstOrDefault(n => n is not ("lock" or "pid" or "blocks" or "cluster.db" or "cluster.db-wal" or "cluster.db-shm" or "silo.json" or "lost+found" or "meta.db.new"));
}
