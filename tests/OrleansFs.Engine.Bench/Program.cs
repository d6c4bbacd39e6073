using System.Diagnostics;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

// Metadata operations a second through the store's methods, one thread, commits included. Arguments: number of files (default 200000), folder (default the
// system's temporary one), files in one directory (default 1000).
int filesPerDirectory = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 1000;
int files = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 200_000;
string folder = Directory.CreateDirectory(Path.Combine(args.Length > 1 ? args[1] : Path.GetTempPath(), $"ofs-bench-{Environment.ProcessId}")).FullName;
try
{
    var volume = new NewVolume { Name = "bench", Copy = CopyName.Parse("here"), BlockSize = 128 << 10 };
    using var store = MetadataStore.Open(Path.Combine(folder, "meta.db"), volume, TimeProvider.System, NullLogger.Instance);
    new Bench(store, files, filesPerDirectory).Run();
}
finally
{
    Directory.Delete(folder, recursive: true);
}

/// <summary>The operations in the order in which a program that makes a tree, walks it and removes it does them.</summary>
internal sealed class Bench(MetadataStore store, int files, int filesPerDirectory)
{
    private const int MutationsPerCommit = 4000;
    private readonly Caller _caller = new(1000, 1000, 1, 18);
    private readonly InodeNumber[] _directories = new InodeNumber[(files + filesPerDirectory - 1) / filesPerDirectory];
    private readonly InodeNumber[] _inodes = new InodeNumber[files];
    private TimeSpan _committing;
    private Task _checkpoint = Task.CompletedTask;
    private readonly byte[][] _names = [.. Enumerable.Range(0, filesPerDirectory).Select(i => Encoding.UTF8.GetBytes($"file-{i:x6}.txt"))];

    public void Run()
    {
        for (int i = 0; i < _directories.Length; i++)
            _directories[i] = store.Create(InodeNumber.Root, Encoding.UTF8.GetBytes($"d{i}"), new NewInode { Mode = Mode.S_IFDIR | 0x1ED }, _caller).Value.Inode;
        Measure("create", i => _inodes[i] = store.Create(Directory(i), Name(i), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, _caller).Value.Inode);
        Measure("unlink, empty file", Unlink);
        Measure("create, again", i => _inodes[i] = store.Create(Directory(i), Name(i), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, _caller).Value.Inode);
        Measure("create, name exists", i => store.Create(Directory(i), Name(i), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, _caller));
        Measure("lookup, recent", i => Check(store.Lookup(Directory(i % 1000), Name(i % 1000)).IsOk));
        Measure("lookup, all in turn", i => Check(store.Lookup(Directory(i), Name(i)).IsOk));
        Measure("lookup, no such name", i => Check(!store.Lookup(Directory(i), Name(i).AsSpan(0, 5)).IsOk));
        Measure("attributes, recent", i => Check(store.GetAttributes(_inodes[i % 1000]).IsOk));
        Measure("setattr", i =>
        {
            var inode = store.Acquire(_inodes[i])!;
            store.ApplyAttributes(inode, new AttributeChange { Mask = AttributeMask.Mode, Mode = 0x180 }, _caller);
            store.Release(inode);
        });
        Measure("commit of one block", CommitBlock);
        Measure("rename and back", i =>
        {
            Check(store.Rename(Directory(i), Name(i), Directory(i), "other name"u8, RenameFlags.None, _caller).IsOk);
            Check(store.Rename(Directory(i), "other name"u8, Directory(i), Name(i), RenameFlags.None, _caller).IsOk);
        });
        ReadAll();
        Measure("unlink, one block", Unlink);
        _checkpoint.GetAwaiter().GetResult();
        Console.WriteLine($"{store.FileBytes >> 20} MiB on disk, {GC.GetTotalMemory(forceFullCollection: true) >> 20} MiB of managed heap, {store.CachedInodes} inodes in memory");
    }

    private InodeNumber Directory(int i) => _directories[i / filesPerDirectory];

    private byte[] Name(int i) => _names[i % filesPerDirectory];

    private void Unlink(int i)
    {
        var orphan = store.Unlink(Directory(i), Name(i)).Value;
        Check(store.PurgeOrphan(orphan!.Value).IsOk);
    }

    private void CommitBlock(int i)
    {
        var inode = store.Acquire(_inodes[i])!;
        var hash = BlockHash.Of(BitConverter.GetBytes(i));
        store.CommitContent(inode, new ContentCommit { Size = 4, ModifyTime = store.Clock.Now(), Blocks = [new ManifestBlock(0, hash, 4, 7, 4096, 1)] });
        store.Release(inode);
    }

    private void ReadAll()
    {
        var watch = Stopwatch.StartNew();
        var sink = new CountingSink();
        foreach (var directory in _directories)
            Check(store.ReadDirectory(directory, 0, sink, withAttributes: true).IsOk);
        Print("readdirplus entries", sink.Count, watch.Elapsed);
    }

    private void Measure(string what, Action<int> operation)
    {
        _committing = TimeSpan.Zero;
        var watch = Stopwatch.StartNew();
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < files; i++)
        {
            operation(i);
            if (store.PendingMutations >= MutationsPerCommit)
                Commit();
        }
        Commit();
        var elapsed = watch.Elapsed;
        Print(what, files, elapsed, $"{(GC.GetAllocatedBytesForCurrentThread() - allocated) / files,8} bytes allocated each, {_committing / elapsed,5:P0} of the time in commits");
    }

    /// <summary>As the engine's committer has it: the checkpoint runs beside what follows.</summary>
    private void Commit()
    {
        long start = Stopwatch.GetTimestamp();
        Check(store.Commit().IsOk);
        _committing += Stopwatch.GetElapsedTime(start);
        if (_checkpoint.IsCompleted)
        {
            _checkpoint.GetAwaiter().GetResult();
            _checkpoint = store.CheckpointAsync();
        }
    }

    private static void Print(string what, long count, TimeSpan time, string rest = "") =>
        Console.WriteLine($"{what,-22}{count / time.TotalSeconds,12:N0}/s{rest}");

    private static void Check(bool good)
    {
        if (!good)
            throw new InvalidOperationException("an operation of the benchmark failed");
    }

    private sealed class CountingSink : IDirectorySink
    {
        public long Count { get; private set; }

        public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes)
        {
            Count++;
            return true;
        }
    }
}
