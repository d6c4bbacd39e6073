using System.Globalization;
using System.Text;

namespace OrleansFs.Engine;

/// <summary>The process that has a data folder open, as it wrote it down.</summary>
/// <param name="Pid">Its process id.</param>
/// <param name="IsEnding">It has said that it is about to let the folder go.</param>
public readonly record struct FolderOwner(int Pid, bool IsEnding);

/// <summary>
/// The data folder of a copy and the exclusive lock on it: one process has a copy open at a time.
/// </summary>
/// <remarks>Names in it: <c>meta.db</c> (with -wal and -shm), <c>effects.log</c>, <c>redo.0</c> and <c>redo.1</c>, <c>blocks/</c>, <c>lock</c>, <c>pid</c> (the process's id, and the word "ending" once it is about to let the folder go); <c>cluster.db</c>, <c>cluster.json</c> and <c>silo.json</c> are the silo's.</remarks>
internal sealed class DataFolder : IDisposable
{
    private const string LockName = "lock";
    private const string OwnerName = "pid";
    private const string EndingWord = "ending";

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

    private string OwnerFile => System.IO.Path.Combine(Path, OwnerName);

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
        FileStream? file = null;
        try
        {
            Directory.CreateDirectory(path);
            file = new FileStream(System.IO.Path.Combine(path, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            var folder = new DataFolder(path, file, isNew);
            folder.WriteOwner();
            return folder;
        }
        catch (UnauthorizedAccessException e)
        {
            file?.Dispose();
            throw new VolumeException($"{path} cannot be used: {e.Message}", e);
        }
        catch (IOException e) when (File.Exists(System.IO.Path.Combine(path, LockName)))
        {
            throw new VolumeInUseException($"{path} is in use by another process{Owner(path)}; unmount it first", e);
        }
    }

    /// <summary>The process that has the folder open; null where none did, or it is just writing that down.</summary>
    public static FolderOwner? OwnerOf(string path)
    {
        try
        {
            string[] words = File.ReadAllText(System.IO.Path.Combine(path, OwnerName)).Split(' ');
            return int.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out int pid) ? new FolderOwner(pid, words.Length > 1) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Whether a process has the folder open at this moment.</summary>
    public static bool IsInUse(string path)
    {
        try
        {
            using var file = new FileStream(System.IO.Path.Combine(path, LockName), FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return false;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    private void WriteOwner()
    {
        try
        {
            File.WriteAllText(OwnerFile, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
        }
        catch (IOException)
        {
            // On a disk without a byte left the lock says all that has to be said. The next process is refused, and not told by whom.
        }
    }

    /// <summary>Writes down that the folder is about to be let go, so that the next process waits for that instead of giving up.</summary>
    public void AnnounceEnd()
    {
        try
        {
            // In place and within the block that the file has: a full disk is no obstacle.
            using var file = new FileStream(OwnerFile, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            file.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId} {EndingWord}")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A folder that cannot be written, as on a disk that fails, is closed all the same. The next process is refused, as if nothing had been said.
        }
    }

    public void Dispose()
    {
        File.Delete(OwnerFile);
        _lock.Dispose();
    }

    private static string Owner(string path) => OwnerOf(path) is { } owner ? $" (pid {owner.Pid})" : "";

    /// <summary>A first name that is not ours: what a volume whose making was cut short leaves may be there.</summary>
    private static string? Stranger(string path) => Directory.EnumerateFileSystemEntries(path).Select(System.IO.Path.GetFileName)
        .FirstOrDefault(n => n is not ("lock" or "pid" or "blocks" or "cluster.db" or "cluster.db-wal" or "cluster.db-shm" or "silo.json" or "silo.json.new" or "cluster.json" or "cluster.json.new" or "lost+found" or "meta.db.new"));
}
