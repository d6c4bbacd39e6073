using System.Diagnostics;
using System.Reflection;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class TransactionTests : IDisposable
{
    private readonly TestVolume _volume = new();

    private static InodeNumber Root => InodeNumber.Root;

    private MetadataStore Store => _volume.Store;

    public void Dispose() => _volume.Dispose();

    [Fact]
    public async Task Durability_is_shared_and_follows_the_commit()
    {
        Store.Create(Root, "a");
        Assert.Equal((new Lsn(1), new Lsn(0), new Lsn(0)), (Store.Tail, Store.Committed, Store.Durable));
        _volume.Commit();
        Assert.Equal((new Lsn(1), new Lsn(0)), (Store.Committed, Store.Durable));
        await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => Store.DurableAsync(CancellationToken.None)));
        Assert.Equal(new Lsn(1), Store.Durable);
        Assert.True(Store.DurableAsync(CancellationToken.None).IsCompletedSuccessfully);
    }

    [Fact]
    public void Pending_is_told_once_a_transaction()
    {
        int told = 0;
        Store.Pending = () => told++;
        Assert.False(Store.HasPending);
        Store.Create(Root, "a");
        Store.Create(Root, "b");
        Assert.Equal((1, 2L), (told, Store.PendingMutations));
        _volume.Commit();
        Assert.False(Store.HasPending);
        var root = Store.Acquire(Root)!;
        root.Current = root.Current with { AccessTime = new(9) };
        Store.MarkDirty(root);
        Assert.Equal(2, told);
        Assert.True(Store.HasPending);
        _volume.Commit();
        Assert.Equal(new Lsn(3), Store.Tail);
        Store.Release(root);
        _volume.Reopen();
        Assert.Equal(new Timestamp(9), Store.Get(Root).AccessTime);
    }

    [Fact]
    public void An_operation_that_fails_half_way_is_undone_and_all_before_it_stays()
    {
        var directory = Store.MakeDirectory(Root, "d").Inode;
        var file = Store.Acquire(Store.Create(directory, "kept").Inode)!;
        Store.SetXattr(file.Number, "user.a"u8, [1], XattrFlags.None);
        Store.CommitContent(file, Commit(300, 1));
        Store.AppendRedo(file, 0, "abc".Bytes());
        var before = (Store.Counters, file.Snapshot(), file.Committed, Store.Get(directory), Store.RequiredBlockSequence, Store.Tail);
        Limit(pages: true);
        // Far more than the pages that are left: the first blocks are in the tables when it fails.
        Assert.Equal(Errno.ENOSPC, Store.CommitContent(file, Commit(8000, 99)).Error);
        _volume.Log.Expect("failed and is undone");
        Assert.Equal(before, (Store.Counters, file.Snapshot(), file.Committed, Store.Get(directory), Store.RequiredBlockSequence, Store.Tail));
        Assert.Equal(Errno.ENOSPC, Store.SetXattr(file.Number, "user.b"u8, new byte[60000], XattrFlags.None).Error);
        _volume.Log.Expect("failed and is undone");
        Assert.Null(Store.Poison);
        Limit(pages: false);
        _volume.Commit();
        using var crashed = _volume.Crashed();
        Assert.Equal(["kept"], crashed.Store.List(directory));
        Assert.Equal(3, crashed.Store.RedoBytes(file.Number));
        Assert.Equal([1], crashed.Store.GetXattr(file.Number, "user.a"u8).Value.ToArray());
        Assert.Equal(Errno.ENODATA, crashed.Store.GetXattr(file.Number, "user.b"u8).Error);
        Assert.Equal(before.Counters, crashed.Store.Counters);
        Assert.Empty(crashed.Store.Check(null, CancellationToken.None));
        Store.Release(file);
    }

    [Fact]
    public void A_store_that_cannot_undo_stops_and_what_was_committed_is_there_afterwards()
    {
        var kept = Store.Create(Root, "kept").Inode;
        _volume.Commit();
        Store.Create(Root, "lost");
        Database().Execute("PRAGMA query_only = ON");
        Assert.Equal(Errno.EIO, Store.Create(Root, "x".Bytes(), new NewInode { Mode = Mode.S_IFREG }, TestVolume.Root).Error);
        Assert.NotNull(Store.Poison);
        Assert.Equal(Errno.EIO, Store.Unlink(Root, "kept").Error);
        Assert.Equal(Errno.EIO, Store.Lookup(Root, "kept").Error);
        Assert.Equal(Errno.EIO, Store.ReadDirectory(Root, 0, new ListSink(9), false).Error);
        Assert.Equal(Errno.EIO, Store.Commit().Error);
        _volume.Log.Expect("the metadata store stops");
        _volume.Reopen();
        _volume.Log.Clear();
        Assert.Equal(["kept"], Store.List(Root));
        Assert.Equal(kept, Store.Lookup(Root, "kept").Value.Inode);
    }

    [Fact]
    public void A_full_disk_fails_the_commit_and_loses_nothing()
    {
        string folder = Directory.CreateTempSubdirectory("ofs-full-").FullName;
        if (Run("mount", "-t", "tmpfs", "-o", "size=3m", "none", folder) != 0)
            Assert.Skip("a small file system cannot be mounted here");
        var log = new TestLog();
        try
        {
            var volume = new NewVolume { Name = "full", Copy = CopyName.Parse("here"), BlockSize = 4096 };
            using (var store = MetadataStore.Open(Path.Combine(folder, "meta.db"), volume, _volume.Time, log))
            {
                store.Create(Root, "first");
                Assert.True(store.Commit().IsOk);
                byte[] ballast = new byte[4096];
                using (var file = File.Create(Path.Combine(folder, "ballast")))
                {
                    try
                    {
                        while (true)
                            file.Write(ballast);
                    }
                    catch (IOException)
                    {
                        // The disk is full, as it should be.
                    }
                }
                for (int i = 0; i < 2000; i++)
                    store.Create(Root, $"file{i}");
                Assert.Equal(Errno.ENOSPC, store.Commit().Error);
                Assert.Equal(Errno.ENOSPC, store.Commit().Error);
                log.Expect("the transaction stays open");
                Assert.Null(store.Poison);
                Assert.Equal(2001, store.Get(Root).Size);
                Assert.True(store.Unlink(Root, "file7").IsOk);
                Assert.Equal(2000, store.List(Root).Count);
                File.Delete(Path.Combine(folder, "ballast"));
                Assert.True(store.Commit().IsOk);
            }
            using var again = MetadataStore.Open(Path.Combine(folder, "meta.db"), null, _volume.Time, log);
            Assert.Equal(2000, again.List(Root).Count);
            Assert.Empty(again.Check(null, CancellationToken.None));
            log.AssertQuiet();
        }
        finally
        {
            Run("umount", folder);
            Directory.Delete(folder);
        }
    }

    [Fact]
    public async Task The_log_stays_bounded_under_a_steady_load()
    {
        long longest = 0, written = 0;
        for (int round = 0; written < 4 * MetadataLimits.RestartBytes; round++)
        {
            for (int i = 0; i < 1000; i++)
                Store.SetXattr(Root, $"user.{i % 8}".Bytes(), new byte[3000 + (round + i) % 10], XattrFlags.None);
            var before = Store.WalBytes;
            for (int i = 0; i < 12; i++)
                Store.SetXattr(Root, $"user.big{i}".Bytes(), Block(round, 65536), XattrFlags.None);
            _volume.Commit();
            await Store.CheckpointAsync();
            written += Math.Max(0, Store.WalBytes - before);
            longest = Math.Max(longest, new FileInfo(_volume.Database + "-wal").Length);
        }
        Assert.InRange(longest, MetadataLimits.RestartBytes, MetadataLimits.RestartBytes + (24L << 20));
        using var crashed = _volume.Crashed();
        Assert.Empty(crashed.Store.Check(null, CancellationToken.None));
    }

    [Fact]
    public void The_inode_cache_is_bounded_and_what_is_in_use_stays()
    {
        var held = Store.Acquire(Store.Create(Root, "held").Inode)!;
        for (int i = 0; i < MetadataLimits.CachedInodes + 5000; i++)
        {
            Store.Create(Root, $"f{i}");
            if (i % 4000 == 0)
                _volume.Commit();
        }
        _volume.Commit();
        for (int i = 0; i < 2000; i++)
            Assert.True(Store.Lookup(Root, $"f{i}").IsOk);
        Assert.InRange(Store.CachedInodes, 1000, MetadataLimits.CachedInodes + 1);
        var again = Store.Acquire(held.Number)!;
        Assert.Same(held, again);
        Store.Release(again);
        Store.Release(held);
    }

    [Fact]
    public void Many_threads_see_one_object_an_inode()
    {
        var file = Store.Create(Root, "a").Inode;
        _volume.Commit();
        int seed = Environment.TickCount;
        Parallel.For(0, 4, t =>
        {
            var random = new Random(seed + t);
            for (int i = 0; i < 3000; i++)
            {
                switch (random.Next(4))
                {
                    case 0:
                        var inode = Store.Acquire(file)!;
                        Assert.Same(inode, Store.Acquire(file));
                        Store.Release(inode);
                        Store.Release(inode);
                        break;
                    case 1:
                        Store.Create(Root, $"t{t}-{i}");
                        break;
                    case 2:
                        Store.Unlink(Root, $"t{t}-{random.Next(i + 1)}");
                        break;
                    default:
                        _ = Store.Commit();
                        break;
                }
            }
        });
        _volume.Commit();
        Assert.Empty(Store.Check(null, CancellationToken.None));
    }

    private static ContentCommit Commit(int blocks, long sequence) => new()
    {
        Size = blocks * 4096L,
        ModifyTime = new(1),
        Blocks = [.. Enumerable.Range(0, blocks).Select(i => new ManifestBlock(i, BlockHash.Of(BitConverter.GetBytes(i)), 4096, 1, 100, sequence))],
    };

    private static byte[] Block(int seed, int length)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static int Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true });
        process!.WaitForExit();
        return process.ExitCode;
    }

    private Database Database() => (Database)typeof(MetadataStore).GetField("_database", BindingFlags.Instance | BindingFlags.NonPublic)!.GetValue(Store)!;

    /// <summary>The device seam for SQLite: a bound on the pages of the database stands for a full disk in the middle of an operation.</summary>
    private void Limit(bool pages)
    {
        var database = Database();
        database.Execute($"PRAGMA max_page_count = {(pages ? database.Scalar("PRAGMA page_count") + 6 : 1_000_000_000)}");
    }
}
