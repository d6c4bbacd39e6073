using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class EffectLogTests : IDisposable
{
    private static readonly CommitPoint s_point = new(new Lsn(7), new Timestamp(70));
    private readonly TestVolume _volume = new();

    private MetadataStore Store => _volume.Store;

    private string LogPath => Path.Combine(_volume.Folder, EffectLog.FileName);

    public void Dispose() => _volume.Dispose();

    [Fact]
    public void What_is_kept_is_after_a_kill_as_it_would_have_been_committed()
    {
        int seed = Environment.TickCount;
        var random = new Random(seed);
        var work = new RandomWork(seed, Store, content: true);
        for (int i = 0; i < 40; i++)
        {
            if (i % 8 == 0)
            {
                // What is compared is in a branch of its own on either side.
                _volume.Reopen();
                work.GoOnWith(Store);
            }
            for (int kept = random.Next(1, 9); kept > 0; kept--)
            {
                work.Steps(random.Next(1, 20));
                var file = Store.Acquire(Store.Create(InodeNumber.Root, $"redo{i}-{kept}").Inode)!;
                Store.AppendRedo(file, 0, "abc".Bytes());
                Store.Release(file);
                Store.Unlink(InodeNumber.Root, $"redo{i}-{kept}");
                Store.PurgeOrphan(file.Number);
                Keep();
            }
            var counters = Store.Counters;
            using var killed = _volume.Crashed();
            Assert.Equal(Store.Tail, killed.Store.Committed);
            Assert.Equal(counters, killed.Store.Counters);
            Assert.Empty(killed.Store.Check(null, CancellationToken.None));
            if (i % 8 > 0)
            {
                _volume.Commit();
                continue;
            }
            // With the journal, from which replicas take it.
            Assert.Equal(_volume.Dump(namesBranches: false), killed.Dump(namesBranches: false));
            work.GoOnWith(Store);
        }
    }

    [Fact]
    public void A_record_that_is_torn_was_not_answered_and_those_before_it_are_there()
    {
        Store.Create(InodeNumber.Root, "a");
        Keep();
        long whole = new FileInfo(LogPath).Length;
        Store.Create(InodeNumber.Root, "b");
        Keep();
        long both = new FileInfo(LogPath).Length;
        foreach (long length in new[] { whole - 1, whole, whole + 1, whole + 60, both - 1, both })
        {
            using var killed = Crashed(log => log.SetLength(length));
            Assert.Equal(length < whole ? [] : length < both ? ["a"] : new[] { "a", "b" }, killed.Store.List(InodeNumber.Root));
        }
        using var damaged = Crashed(log =>
        {
            log.Position = whole + 70;
            int old = log.ReadByte();
            log.Position--;
            log.WriteByte((byte)(old ^ 1));
        });
        Assert.Equal(["a"], damaged.Store.List(InodeNumber.Root));
        damaged.Store.Create(InodeNumber.Root, "c");
        damaged.Commit();
        damaged.Reopen();
        Assert.Equal(["a", "c"], damaged.Store.List(InodeNumber.Root));
    }

    [Fact]
    public void A_log_that_follows_on_another_commit_is_void()
    {
        Store.Create(InodeNumber.Root, "first");
        Keep();
        byte[] first = File.ReadAllBytes(LogPath);
        _volume.Commit();
        Store.Create(InodeNumber.Root, "second");
        _volume.Commit();
        // Left of a history that has gone on otherwise, from the same mutation too.
        File.WriteAllBytes(LogPath, first);
        _volume.Reopen();
        Assert.Equal(["first", "second"], Store.List(InodeNumber.Root));
        using var other = new TestVolume();
        other.Time.Set(new DateTimeOffset(2027, 1, 1, 0, 0, 0, TimeSpan.Zero));
        File.WriteAllBytes(Path.Combine(other.Folder, EffectLog.FileName), first);
        other.Reopen();
        Assert.Empty(other.Store.List(InodeNumber.Root));
    }

    [Fact]
    public void A_record_of_blocks_that_may_not_be_on_disk_counts_in_the_same_boot_only()
    {
        string folder = Directory.CreateTempSubdirectory("ofs-log-").FullName;
        var volume = VolumeId.New();
        Guid boot = Guid.NewGuid();
        using (var log = new EffectLog(folder, volume, 1 << 20, NullLogger.Instance, boot))
        {
            log.Begin(s_point);
            Assert.True(log.TryAppend([1, 2, 3], State(8), areBlocksSynced: true));
            Assert.True(log.TryAppend([4, 5], State(9), areBlocksSynced: false));
            Assert.True(log.TryAppend([6], State(10), areBlocksSynced: true));
            Assert.Equal([8, 9, 10], Lsns(boot));
            Assert.Equal([4, 5], log.Read(s_point)[1].Effects.ToArray());
            Assert.Equal([8], Lsns(Guid.NewGuid()));
            Assert.Equal([8], Lsns(Guid.Empty));
            // Its place is used again after the commit, and what is left behind the new end is of before.
            log.Begin(new CommitPoint(new Lsn(10), new Timestamp(71)));
            Assert.True(log.TryAppend([1, 2, 3], State(11), areBlocksSynced: true));
            Assert.Empty(Lsns(boot));
            Assert.Equal([11], log.Read(new CommitPoint(new Lsn(10), new Timestamp(71))).Select(r => r.State.Lsn.Value));
        }
        using var another = new EffectLog(folder, VolumeId.New(), 1 << 20, NullLogger.Instance, boot);
        Assert.Empty(another.Read(new CommitPoint(new Lsn(10), new Timestamp(71))));
        Directory.Delete(folder, recursive: true);

        IEnumerable<long> Lsns(Guid now) => new EffectLog(folder, volume, 1 << 20, NullLogger.Instance, now).Read(s_point).Select(r => r.State.Lsn.Value);
    }

    [Fact]
    public void A_log_that_is_full_or_cannot_be_written_takes_a_commit()
    {
        string folder = Directory.CreateTempSubdirectory("ofs-log-").FullName;
        var volume = VolumeId.New();
        using (var log = new EffectLog(folder, volume, 1 << 10, NullLogger.Instance))
        {
            log.Begin(s_point);
            int taken = 0;
            while (log.TryAppend(new byte[50], State(8 + taken), areBlocksSynced: true))
                taken++;
            Assert.InRange(taken, 5, 20);
            Assert.InRange(new FileInfo(Path.Combine(folder, EffectLog.FileName)).Length, 500, 1 << 10);
            Assert.Equal(taken, log.Read(s_point).Count);
        }
        Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(LogPath);
        Store.Create(InodeNumber.Root, "a");
        lock (Store.Lock)
            Assert.Equal(Errno.ENOSPC, Store.Keep(areBlocksSynced: true).Error);
        _volume.Log.Expect("cannot be written");
        Assert.True(Store.HasPending);
        _volume.Commit();
        Directory.Delete(LogPath);
    }

    [Fact]
    public void A_log_that_cannot_be_applied_is_not_dropped_in_silence()
    {
        var at = new CommitPoint(Store.Committed, new Timestamp(ClockOf(_volume)));
        using (var log = new EffectLog(_volume.Folder, Store.Volume.Id, 1 << 20, NullLogger.Instance))
        {
            log.Begin(at);
            Assert.True(log.TryAppend([0x7F], State(at.Lsn.Value + 1), areBlocksSynced: true));
        }
        Assert.Contains(EffectLog.FileName, Assert.Throws<NotAVolumeException>(_volume.Reopen).Message, StringComparison.Ordinal);
        EffectLog.Delete(_volume.Folder);
        _volume.Reopen();
        Assert.Empty(Store.List(InodeNumber.Root));
    }

    private static long ClockOf(TestVolume volume)
    {
        using var database = Database.Open(volume.Database, 1024);
        return database.Scalar("SELECT clock FROM volume");
    }

    private static VolumeState State(long lsn) => new(100, 200, new Timestamp(300), new Lsn(lsn), new Counters { Files = 4 });

    /// <summary>What a kill leaves, with the log changed after it.</summary>
    private TestVolume Crashed(Action<FileStream> change)
    {
        byte[] before = File.ReadAllBytes(LogPath);
        using (var log = new FileStream(LogPath, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite))
            change(log);
        try
        {
            return _volume.Crashed();
        }
        finally
        {
            File.WriteAllBytes(LogPath, before);
        }
    }

    private void Keep()
    {
        lock (Store.Lock)
            Assert.Equal(Errno.None, Store.Keep(areBlocksSynced: true).Error);
    }
}
