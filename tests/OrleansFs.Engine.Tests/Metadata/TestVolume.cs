using System.Collections.Concurrent;
using System.Text;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

/// <summary>A real meta.db in a temporary folder. A warning or error in the log that was not asked for fails the test.</summary>
internal sealed class TestVolume : IDisposable
{
    public const int BlockSize = 4096;

    private static readonly string[] s_tables = ["inode", "dentry", "xattr", "manifest", "block", "journal", "branch", "volume"];

    public TestVolume()
    {
        Folder = Directory.CreateTempSubdirectory("ofs-meta-").FullName;
        Store = Open(Folder, create: true);
    }

    private TestVolume(string folder)
    {
        Folder = folder;
        Store = Open(folder, create: false);
    }

    public string Folder { get; }

    public TestLog Log { get; } = new();

    public TestTime Time { get; } = new();

    public MetadataStore Store { get; private set; }

    public string Database => Path.Combine(Folder, "meta.db");

    public static Caller Root { get; } = new(0, 0, 1, 0x12);

    public void Reopen()
    {
        Store.Dispose();
        Store = Open(Folder, create: false);
    }

    /// <summary>What a SIGKILL at this moment leaves: the files as the system has them.</summary>
    public TestVolume Crashed()
    {
        string folder = Directory.CreateTempSubdirectory("ofs-meta-").FullName;
        foreach (string name in new[] { "meta.db", "meta.db-wal", "redo.0", "redo.1", EffectLog.FileName })
        {
            if (File.Exists(Path.Combine(Folder, name)))
                File.Copy(Path.Combine(Folder, name), Path.Combine(folder, name));
        }
        return new TestVolume(folder);
    }

    public void Commit() => Assert.Equal(Errno.None, Store.Commit().Error);

    /// <summary>Closes the store so that a test can work on the file, and opens it again after.</summary>
    public void Offline(string sql)
    {
        Commit();
        Store.Dispose();
        using (var database = Engine.Metadata.Database.Open(Database, 1024))
            database.Execute(sql);
        Store = Open(Folder, create: false);
    }

    /// <summary>The tables as text, row by row; of the volume what is not this copy's own.</summary>
    /// <param name="namesBranches">With the names of branches, which are random.</param>
    public string Dump(bool namesBranches = true)
    {
        Offline("SELECT 1");
        using var database = Engine.Metadata.Database.Open(Database, 1024);
        var text = new StringBuilder();
        foreach (string table in s_tables)
        {
            string columns = Columns(database, table);
            using var s = database.Prepare($"SELECT concat_ws('|', {columns}) FROM {table} ORDER BY 1");
            while (s.Step())
                text.Append(table).Append(' ').AppendLine(s.Text(0));
        }
        if (!namesBranches)
        {
            foreach (var branch in Store.Branches())
                text.Replace(Convert.ToHexString(branch.Id.ToByteArray()), "");
        }
        return text.ToString();
    }

    public void Dispose()
    {
        // A store that is closed already says so; to close with work that is not committed is worth a warning, which would fail the test.
        _ = Store.Commit();
        Store.Dispose();
        Directory.Delete(Folder, recursive: true);
        Log.AssertQuiet();
    }

    private static string Columns(Engine.Metadata.Database database, string table)
    {
        using var s = database.Prepare($"SELECT group_concat('quote(' || name || ')', ', ') FROM pragma_table_info('{table}')");
        s.Step();
        return s.Text(0);
    }

    private MetadataStore Open(string folder, bool create)
    {
        var volume = new NewVolume { Name = "test", Copy = CopyName.Parse("here"), BlockSize = BlockSize };
        return MetadataStore.Open(Path.Combine(folder, "meta.db"), create ? volume : null, Time, Log);
    }
}

/// <summary>Time that goes on by a microsecond each time it is asked, so that each operation has a time of its own.</summary>
internal sealed class TestTime : TimeProvider
{
    private long _ticks = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero).Ticks;

    public void Set(DateTimeOffset time) => Interlocked.Exchange(ref _ticks, time.Ticks);

    public override DateTimeOffset GetUtcNow() => new(Interlocked.Add(ref _ticks, 10), TimeSpan.Zero);
}

internal sealed class TestLog : ILogger
{
    private readonly ConcurrentQueue<string> _loud = new();

    public IReadOnlyCollection<string> Loud => _loud;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
            _loud.Enqueue($"{logLevel}: {formatter(state, exception)} {exception}");
    }

    /// <summary>The log lines that a test expects, taken out.</summary>
    public void Expect(string part)
    {
        string[] lines = [.. _loud];
        Assert.Contains(lines, l => l.Contains(part, StringComparison.Ordinal));
        _loud.Clear();
    }

    /// <summary>Forgets what was logged.</summary>
    public void Clear() => _loud.Clear();

    public void AssertQuiet() => Assert.Empty(_loud);
}

/// <summary>Short forms for tests.</summary>
internal static class StoreExtensions
{
    public static byte[] Bytes(this string text) => Encoding.UTF8.GetBytes(text);

    public static Attributes Create(this MetadataStore store, InodeNumber directory, string name, uint mode = Mode.S_IFREG | 0x1A4, Caller? caller = null) =>
        store.Create(directory, name.Bytes(), new NewInode { Mode = mode }, caller ?? TestVolume.Root).Value;

    public static Attributes MakeDirectory(this MetadataStore store, InodeNumber directory, string name, uint mode = 0x1FF, Caller? caller = null) =>
        store.Create(directory, name, Mode.S_IFDIR | mode, caller);

    public static FsResult<Attributes> Lookup(this MetadataStore store, InodeNumber directory, string name) => store.Lookup(directory, name.Bytes());

    public static Attributes Get(this MetadataStore store, InodeNumber inode) => store.GetAttributes(inode).Value;

    /// <summary>Logs bytes of a file, as an fsync does.</summary>
    public static long? AppendRedo(this MetadataStore store, Inode inode, long offset, byte[] data) =>
        store.AppendRedo(inode, data.Length == 0 ? [] : [new ByteRange(offset, offset + data.Length)], (at, target) => data.AsSpan((int)(at - offset), target.Length).CopyTo(target), _ => true);

    public static FsResult<InodeNumber?> Unlink(this MetadataStore store, InodeNumber directory, string name) => store.Unlink(directory, name.Bytes());

    public static FsResult<InodeNumber?> RemoveDirectory(this MetadataStore store, InodeNumber directory, string name) => store.RemoveDirectory(directory, name.Bytes());

    public static FsResult<InodeNumber?> Rename(this MetadataStore store, InodeNumber directory, string name, InodeNumber newDirectory, string newName, RenameFlags flags = RenameFlags.None) =>
        store.Rename(directory, name.Bytes(), newDirectory, newName.Bytes(), flags, TestVolume.Root);

    public static FsResult<Attributes> Link(this MetadataStore store, InodeNumber inode, InodeNumber directory, string name) => store.Link(inode, directory, name.Bytes());

    public static FsResult<Attributes> Set(this MetadataStore store, InodeNumber number, AttributeChange change)
    {
        var inode = store.Acquire(number)!;
        try
        {
            return store.ApplyAttributes(inode, change, TestVolume.Root);
        }
        finally
        {
            store.Release(inode);
        }
    }

    /// <summary>Names of a directory in the order of readdir, "." and ".." left out, read so many at a time.</summary>
    public static List<string> List(this MetadataStore store, InodeNumber directory, int pageSize = int.MaxValue)
    {
        var names = new List<string>();
        long cookie = 0;
        while (true)
        {
            var sink = new ListSink(pageSize);
            Assert.Equal(Errno.None, store.ReadDirectory(directory, cookie, sink, withAttributes: false).Error);
            if (sink.Entries.Count == 0)
                break;
            names.AddRange(sink.Entries.Select(e => e.Name));
            cookie = sink.Entries[^1].Cookie;
        }
        return [.. names.Where(n => n is not ("." or ".."))];
    }
}

internal sealed record ListedEntry(string Name, InodeNumber Inode, byte Type, long Cookie, Attributes? Attributes);

internal sealed class ListSink(int room) : IDirectorySink
{
    public List<ListedEntry> Entries { get; } = [];

    public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes)
    {
        if (Entries.Count == room)
            return false;
        Entries.Add(new ListedEntry(Encoding.UTF8.GetString(name), inode, type, cookie, attributes));
        return true;
    }
}
