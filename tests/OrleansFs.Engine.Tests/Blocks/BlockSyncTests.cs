using System.Collections.Concurrent;
using System.Diagnostics;
using OrleansFs.Engine.Blocks;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Blocks;

public sealed class BlockSyncTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(300)]
    public async Task A_sync_covers_all_that_was_written(int blocks)
    {
        using var fixture = new BlockFolderFixture();
        Assert.Equal(0, fixture.Files.LastSequence);
        await fixture.Files.SyncAsync(0, Cancellation);
        long last = 0;
        for (int i = 0; i < blocks; i++)
        {
            long sequence = fixture.Write(BlockFolderFixture.Content(i, 1000 + 100 * i)).Stored.WriteSequence;
            Assert.True(sequence > last);
            last = sequence;
        }
        Assert.Equal(last, fixture.Files.LastSequence);
        await fixture.Files.SyncAsync(last, Cancellation);
        Assert.Equal(last, fixture.Files.SyncedSequence);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await fixture.Files.SyncAsync(last + 1, Cancellation));
    }

    [Fact]
    public async Task Few_blocks_are_synced_one_by_one_with_their_folders_and_a_folder_that_was_made_anew_with_all()
    {
        var disk = new TestDisk();
        using var fixture = new BlockFolderFixture();
        fixture.OpenWith(disk.Over);
        await fixture.Files.SyncAsync(fixture.Write([0]).Stored.WriteSequence, Cancellation);
        Assert.Equal(["filesystem"], disk.TakeCalls());
        var (hash, stored) = fixture.Write([1]);
        await fixture.Files.SyncAsync(stored.WriteSequence, Cancellation);
        string text = hash.ToString();
        Assert.Equal(["data", $"folder {text[..2]}"], disk.TakeCalls());
        Assert.True(fixture.Files.Delete(hash));
        Directory.Delete(Path.GetDirectoryName(fixture.PathOf(hash))!);
        stored = fixture.Files.Write(hash, [1]);
        await fixture.Files.SyncAsync(stored.WriteSequence, Cancellation);
        Assert.Equal(["filesystem"], disk.TakeCalls());
        for (int i = 0; i < 5; i++)
            fixture.Write([2, (byte)i]);
        await fixture.Files.SyncAsync(fixture.Files.LastSequence, Cancellation);
        Assert.Equal(["filesystem"], disk.TakeCalls());
    }

    [Fact]
    public async Task Many_blocks_are_synced_by_themselves_where_others_have_much_to_write()
    {
        Assert.SkipUnless(IsOnExt4OrXfs(), "elsewhere the file system is synced");
        var disk = new TestDisk();
        using var fixture = new BlockFolderFixture();
        fixture.OpenWith(disk.Over);
        await fixture.Files.SyncAsync(fixture.Write([0]).Stored.WriteSequence, Cancellation);
        disk.TakeCalls();
        disk.Unwritten = 1L << 30;
        var hashes = Enumerable.Range(0, 300).Select(i => WritePast(fixture, i)).ToList();
        await fixture.Files.SyncAsync(fixture.Files.LastSequence, Cancellation);
        var calls = disk.TakeCalls();
        Assert.Equal(300, calls.Count(c => c == "data"));
        Assert.Equal(hashes.Select(h => $"folder {h.ToString()[..2]}").Distinct().Order(StringComparer.Ordinal), calls.Where(c => c.StartsWith("folder", StringComparison.Ordinal)));
        Assert.Equal(["from tmp/00", "from tmp/01", "from tmp/02", "from tmp/03", "from tmp/04"], calls.Where(c => c.StartsWith("from", StringComparison.Ordinal)));
        Assert.DoesNotContain("filesystem", calls);
        Assert.Equal(fixture.Files.LastSequence, fixture.Files.SyncedSequence);
        // One that fails makes all suspect, and the next round syncs the file system.
        hashes = [.. Enumerable.Range(1000, 20).Select(i => WritePast(fixture, i))];
        disk.Failures.Enqueue(Errno.EIO);
        var failure = await Assert.ThrowsAsync<BlockSyncException>(async () => await fixture.Files.SyncAsync(fixture.Files.LastSequence, Cancellation));
        Assert.Equal(hashes.ToHashSet(), failure.Affected.ToHashSet());
        Assert.Equal(20, disk.TakeCalls().Count(c => c == "data"));
        await fixture.Files.SyncAsync(fixture.Files.LastSequence, Cancellation);
        Assert.Equal(["filesystem"], disk.TakeCalls());
        // The system writes many small ones at a time. Open ones would keep their space when they are deleted.
        for (int i = 0; i < 20; i++)
            fixture.Write(BitConverter.GetBytes(i));
        Assert.Equal(BlockLimits.SyncOneByOne, fixture.OpenBlocks());
        await fixture.Files.SyncAsync(fixture.Files.LastSequence, Cancellation);
        Assert.Equal(["filesystem"], disk.TakeCalls());
        Assert.NotEmpty(fixture.TakeLog());
    }

    [Fact]
    public async Task Who_waits_together_shares_a_sync()
    {
        var disk = new TestDisk();
        using var fixture = new BlockFolderFixture();
        fixture.OpenWith(disk.Over);
        disk.Gate.Reset();
        fixture.Write([0]);
        var first = fixture.Files.SyncAsync(1, Cancellation).AsTask();
        await disk.Entered.WaitAsync(Cancellation);
        var waiting = Enumerable.Range(1, 100).Select(i =>
        {
            long sequence = fixture.Write(BlockFolderFixture.Content(i, 10)).Stored.WriteSequence;
            return fixture.Files.SyncAsync(sequence, Cancellation).AsTask();
        }).ToList();
        Assert.False(first.IsCompleted);
        disk.Gate.Set();
        await Task.WhenAll(waiting.Append(first));
        Assert.Equal(["filesystem", "filesystem"], disk.TakeCalls());
    }

    /// <summary>The sync goes on whatever is wrong with one block: a database that cannot be read, too.</summary>
    [Fact]
    public async Task What_cannot_be_looked_up_when_it_is_written_anew_is_lost_and_nothing_else_is()
    {
        var disk = new TestDisk();
        using var fixture = new BlockFolderFixture();
        fixture.OpenWith(disk.Over);
        var (hash, stored) = fixture.Write([1]);
        disk.Failures.Enqueue(Errno.EIO);
        await Assert.ThrowsAsync<BlockSyncException>(async () => await fixture.Files.SyncAsync(stored.WriteSequence, Cancellation));
        File.Delete(fixture.PathOf(hash));
        fixture.Files.Composed = new BrokenTable();
        var failure = await Assert.ThrowsAsync<BlockSyncException>(async () => await fixture.Files.SyncAsync(stored.WriteSequence, Cancellation));
        Assert.Equal([hash], failure.Affected);
        await fixture.Files.SyncAsync(fixture.Files.Write(hash, [1]).WriteSequence, Cancellation);
        Assert.Contains(fixture.TakeLog(), m => m.Contains("the database cannot be read", StringComparison.Ordinal));
    }

    private sealed class BrokenTable : IComposedBlocks
    {
        public BlockReadResult Inspect(BlockHash hash) => throw new IOException("the database cannot be read");

        public bool IsReliable(BlockHash hash) => false;

        public BlockReadResult Read(BlockHash hash, Span<byte> destination, IReadOnlyDictionary<BlockHash, ReadOnlyMemory<byte>>? given = null) => throw new IOException("the database cannot be read");

        public IReadOnlyList<(BlockHash Source, BlockReadResult Fault)> FaultySources(BlockHash hash) => [];

        public void NoteUse(BlockHash hash)
        {
        }
    }

    [Fact]
    public async Task A_wait_can_be_given_up_and_harms_nobody()
    {
        var disk = new TestDisk();
        using var fixture = new BlockFolderFixture();
        fixture.OpenWith(disk.Over);
        disk.Gate.Reset();
        fixture.Write([0]);
        using var impatient = new CancellationTokenSource();
        var given = fixture.Files.SyncAsync(1, impatient.Token).AsTask();
        var kept = fixture.Files.SyncAsync(1, Cancellation).AsTask();
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => given);
        disk.Gate.Set();
        await kept;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(20)]
    public async Task A_failed_sync_is_told_to_all_who_waited_and_heals_with_the_next(int blocks)
    {
        var disk = new TestDisk();
        using var fixture = new BlockFolderFixture();
        fixture.OpenWith(disk.Over);
        var (before, _) = fixture.Write([42]);
        await fixture.Files.SyncAsync(1, Cancellation);
        var hashes = Enumerable.Range(0, blocks).Select(i => fixture.Write(BlockFolderFixture.Content(i, 100)).Hash).ToHashSet();
        disk.Failures.Enqueue(Errno.EIO);
        disk.Gate.Reset();
        var waiters = Enumerable.Range(2, blocks).Select(s => fixture.Files.SyncAsync(s, Cancellation).AsTask()).ToList();
        disk.Gate.Set();
        foreach (var waiter in waiters)
        {
            var failure = await Assert.ThrowsAsync<BlockSyncException>(() => waiter);
            Assert.Equal(Errno.EIO, failure.Error);
            Assert.Equal(hashes, failure.Affected.ToHashSet());
        }
        Assert.Equal(1, fixture.Files.SyncedSequence);
        Assert.All(hashes, h => Assert.True(fixture.Files.IsSuspect(h)));
        Assert.False(fixture.Files.IsSuspect(before));
        Assert.NotEmpty(fixture.TakeLog());
        // The kernel would say now that all is well; the blocks are read back and written anew before that is believed.
        disk.TakeCalls();
        await fixture.Files.SyncAsync(1 + blocks, Cancellation);
        Assert.Equal(["filesystem"], disk.TakeCalls());
        Assert.All(hashes, h => Assert.False(fixture.Files.IsSuspect(h)));
        Assert.Equal(1 + 2 * blocks, fixture.Files.SyncedSequence);
        Assert.Equal(fixture.Files.LastSequence, fixture.Files.SyncedSequence);
    }

    [Fact]
    public async Task A_block_that_cannot_be_read_back_holds_the_sequence_until_it_is_written_again()
    {
        var disk = new TestDisk();
        using var fixture = new BlockFolderFixture();
        fixture.OpenWith(disk.Over);
        byte[] content = BlockFolderFixture.Content(1, 5000);
        var (hash, stored) = fixture.Write(content);
        disk.Failures.Enqueue(Errno.EIO);
        await Assert.ThrowsAsync<BlockSyncException>(async () => await fixture.Files.SyncAsync(stored.WriteSequence, Cancellation));
        File.WriteAllText(fixture.PathOf(hash), "what the disk made of it");
        for (int i = 0; i < 3; i++)
        {
            var failure = await Assert.ThrowsAsync<BlockSyncException>(async () => await fixture.Files.SyncAsync(stored.WriteSequence, Cancellation));
            Assert.Equal([hash], failure.Affected);
            Assert.Equal(0, fixture.Files.SyncedSequence);
        }
        // Later writes do not get past it either, and other blocks are not held to be suspect.
        var (other, later) = fixture.Write([5]);
        await Assert.ThrowsAsync<BlockSyncException>(async () => await fixture.Files.SyncAsync(later.WriteSequence, Cancellation));
        Assert.False(fixture.Files.IsSuspect(other));
        var again = fixture.Files.Write(hash, content);
        Assert.True(fixture.Files.IsSuspect(hash));
        await fixture.Files.SyncAsync(again.WriteSequence, Cancellation);
        Assert.False(fixture.Files.IsSuspect(hash));
        Assert.Equal(fixture.Files.LastSequence, fixture.Files.SyncedSequence);
        Assert.NotEmpty(fixture.TakeLog());
    }

    [Fact]
    public async Task A_suspect_block_that_is_deleted_holds_nothing_back()
    {
        var disk = new TestDisk();
        using var fixture = new BlockFolderFixture();
        fixture.OpenWith(disk.Over);
        var (hash, stored) = fixture.Write(BlockFolderFixture.Content(1, 5000));
        disk.Failures.Enqueue(Errno.EIO);
        await Assert.ThrowsAsync<BlockSyncException>(async () => await fixture.Files.SyncAsync(stored.WriteSequence, Cancellation));
        fixture.Files.Delete(hash);
        Assert.False(fixture.Files.IsSuspect(hash));
        await fixture.Files.SyncAsync(stored.WriteSequence, Cancellation);
        Assert.NotEmpty(fixture.TakeLog());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_block_that_is_deleted_before_its_sync_fails_holds_nothing_back(bool isRunning)
    {
        var disk = new TestDisk();
        using var fixture = new BlockFolderFixture();
        fixture.OpenWith(disk.Over);
        var (hash, stored) = fixture.Write(BlockFolderFixture.Content(1, 5000));
        disk.Failures.Enqueue(Errno.EIO);
        disk.Gate.Reset();
        if (!isRunning)
            fixture.Files.Delete(hash);
        var syncing = fixture.Files.SyncAsync(stored.WriteSequence, Cancellation).AsTask();
        await disk.Entered.WaitAsync(Cancellation);
        if (isRunning)
            fixture.Files.Delete(hash);
        disk.Gate.Set();
        // Who waited for it is told all the same.
        Assert.Equal(Errno.EIO, (await Assert.ThrowsAsync<BlockSyncException>(() => syncing)).Error);
        Assert.False(fixture.Files.IsSuspect(hash));
        fixture.Write([5]);
        await fixture.Files.SyncAsync(fixture.Files.LastSequence, Cancellation);
        Assert.Equal(fixture.Files.LastSequence, fixture.Files.SyncedSequence);
        Assert.NotEmpty(fixture.TakeLog());
    }

    [Fact]
    public async Task A_block_that_is_deleted_and_written_again_is_suspect_after_a_sync_that_fails()
    {
        var disk = new TestDisk();
        using var fixture = new BlockFolderFixture();
        fixture.OpenWith(disk.Over);
        byte[] content = BlockFolderFixture.Content(1, 5000);
        var (hash, _) = fixture.Write(content);
        fixture.Files.Delete(hash);
        var again = fixture.Files.Write(hash, content);
        disk.Failures.Enqueue(Errno.EIO);
        await Assert.ThrowsAsync<BlockSyncException>(async () => await fixture.Files.SyncAsync(again.WriteSequence, Cancellation));
        Assert.True(fixture.Files.IsSuspect(hash));
        await fixture.Files.SyncAsync(again.WriteSequence, Cancellation);
        Assert.False(fixture.Files.IsSuspect(hash));
        Assert.NotEmpty(fixture.TakeLog());
    }

    [Fact]
    public async Task A_sync_that_keeps_failing_is_told_each_time()
    {
        var disk = new TestDisk();
        using var fixture = new BlockFolderFixture();
        fixture.OpenWith(disk.Over);
        var (_, stored) = fixture.Write(BlockFolderFixture.Content(1, 5000));
        for (int i = 0; i < 5; i++)
            disk.Failures.Enqueue(Errno.EDQUOT);
        for (int i = 0; i < 5; i++)
        {
            var failure = await Assert.ThrowsAsync<BlockSyncException>(async () => await fixture.Files.SyncAsync(stored.WriteSequence, Cancellation));
            Assert.Equal(Errno.EDQUOT, failure.Error);
        }
        await fixture.Files.SyncAsync(stored.WriteSequence, Cancellation);
        Assert.NotEmpty(fixture.TakeLog());
    }

    [Fact]
    public async Task A_full_disk_refuses_a_block_leaves_nothing_behind_and_takes_it_when_there_is_room()
    {
        if (!Environment.IsPrivilegedProcess)
            Assert.Skip("mounting a small file system needs root");
        string mountPoint = Directory.CreateTempSubdirectory("ofs-small-").FullName;
        Run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mountPoint);
        try
        {
            using var fixture = new BlockFolderFixture(mountPoint, isMount: true);
            var written = new List<(BlockHash Hash, byte[] Content)>();
            BlockStoreException? refused = null;
            for (int i = 0; refused is null; i++)
            {
                Assert.True(i < 100, "the disk never became full");
                byte[] content = BlockFolderFixture.Content(i, 131072);
                try
                {
                    written.Add((fixture.Write(content).Hash, content));
                }
                catch (BlockStoreException e)
                {
                    refused = e;
                    Assert.False(fixture.Files.Exists(BlockHash.Of(content)));
                }
            }
            Assert.Equal(Errno.ENOSPC, refused.Error);
            Assert.InRange(written.Count, 10, 16);
            Assert.Empty(Directory.GetFiles(Path.Combine(mountPoint, "blocks/tmp")));
            await fixture.Files.SyncAsync(fixture.Files.LastSequence, Cancellation);
            Assert.All(written, w => Assert.True(fixture.Files.Verify(w.Hash).IsOk));
            // A block that is there stays as it is when its replacement does not fit.
            Assert.Throws<BlockStoreException>(() => fixture.Files.Write(written[0].Hash, written[0].Content));
            Assert.True(fixture.Files.Verify(written[0].Hash).IsOk);
            fixture.Files.Delete(written[1].Hash);
            fixture.Files.Write(written[0].Hash, written[0].Content);
        }
        finally
        {
            Run("umount", mountPoint);
            Directory.Delete(mountPoint);
        }
    }

    /// <summary>A real disk that loses writes after it has taken them: a loop device over a file for which there is no room. The kernel tells once, at the sync.</summary>
    [Fact]
    public async Task A_disk_that_loses_writes_is_not_believed_and_nothing_is_lost_once_it_has_room()
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/dev/loop-control") || !File.Exists("/usr/sbin/mkfs.ext4") && !File.Exists("/sbin/mkfs.ext4"))
            Assert.Skip("mounting a loop device needs root, loop devices and mkfs.ext4");
        string room = Directory.CreateTempSubdirectory("ofs-room-").FullName;
        string disk = Directory.CreateTempSubdirectory("ofs-disk-").FullName;
        string image = Path.Combine(room, "image");
        Run("mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", room);
        try
        {
            Run("truncate", "-s", "96m", image);
            Run("mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal", image);
            Run("mount", "-o", "loop", image, disk);
            var written = new List<BlockHash>();
            try
            {
                using var fixture = new BlockFolderFixture(disk, isMount: true);
                // Through the page cache, also what happens to lie on a page's border: a write past it is refused at once.
                fixture.Files.KeepsPages = () => true;
                // Folders and inodes get their place while there is room: a file system that loses those is beyond help.
                for (int i = 0; i < 200; i++)
                    fixture.Files.Write(BlockHash.Of(BlockFolderFixture.Content(i, 131072)), [1]);
                for (int i = 0; i < 1500; i++)
                    File.WriteAllText(Path.Combine(disk, "blocks/tmp", $"inode{i}"), "");
                long first = fixture.Files.LastSequence;
                await fixture.Files.SyncAsync(first, Cancellation);
                for (int i = 0; i < 200; i++)
                    written.Add(fixture.Write(BlockFolderFixture.Content(i, 131072)).Hash);
                long last = fixture.Files.LastSequence;
                for (int i = 0; i < 2; i++)
                {
                    var failure = await Assert.ThrowsAsync<BlockSyncException>(async () => await fixture.Files.SyncAsync(last, Cancellation));
                    Assert.Equal(written.ToHashSet(), failure.Affected.ToHashSet());
                    Assert.Equal(first, fixture.Files.SyncedSequence);
                }
                Run("mount", "-o", "remount,size=128m", room);
                // The kernel may have dropped what it could not write; who still has the content stores it again.
                for (int i = 0; i < 200; i++)
                    last = fixture.Files.Write(written[i], BlockFolderFixture.Content(i, 131072)).WriteSequence;
                await fixture.Files.SyncAsync(last, Cancellation);
                Assert.Equal(fixture.Files.LastSequence, fixture.Files.SyncedSequence);
                Assert.All(written, h => Assert.False(fixture.Files.IsSuspect(h)));
                Assert.NotEmpty(fixture.TakeLog());
            }
            finally
            {
                Run("umount", disk);
            }
            // What was only in memory is gone now.
            Run("mount", "-o", "loop", image, disk);
            try
            {
                using var fixture = new BlockFolderFixture(disk, isMount: true);
                Assert.All(written, h => Assert.Equal(BlockReadResult.Ok(131072), fixture.Files.Verify(h)));
            }
            finally
            {
                Run("umount", disk);
            }
        }
        finally
        {
            Run("umount", room);
            Directory.Delete(disk);
            Directory.Delete(room);
        }
    }

    /// <summary>Writes a large block past the page cache.</summary>
    private static BlockHash WritePast(BlockFolderFixture fixture, int seed)
    {
        var content = DirectBuffer.OfThread(131072);
        new Random(seed).NextBytes(content);
        var hash = BlockHash.Of(content);
        fixture.Files.Write(hash, content);
        return hash;
    }

    private static bool IsOnExt4OrXfs()
    {
        using var process = Process.Start(new ProcessStartInfo("stat", ["-f", "-c", "%T", Path.GetTempPath()]) { RedirectStandardOutput = true })!;
        string type = process.StandardOutput.ReadToEnd().Trim();
        return type is "ext2/ext3" or "xfs";
    }

    private static void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    /// <summary>Records the syncs, holds them while the gate is closed, and fails as many as it is told to.</summary>
    private sealed class TestDisk
    {
        private readonly ConcurrentQueue<string> _calls = new();

        public ManualResetEventSlim Gate { get; } = new(true);

        public SemaphoreSlim Entered { get; } = new(0);

        public ConcurrentQueue<Errno> Failures { get; } = new();

        /// <summary>What all programs have to write, bytes.</summary>
        public long Unwritten { get; set; }

        public BlockDisk Over(int root) => new Disk(root, this);

        /// <summary>The calls so far, folders in order of their names.</summary>
        public List<string> TakeCalls()
        {
            var calls = new List<string>();
            while (_calls.TryDequeue(out string? call))
                calls.Add(call);
            return [.. calls.Order(StringComparer.Ordinal)];
        }

        private Errno Call(string what, Func<Errno> real)
        {
            _calls.Enqueue(what);
            Entered.Release();
            Gate.Wait();
            return Failures.TryDequeue(out var error) ? error : real();
        }

        private sealed class Disk(int root, TestDisk owner) : BlockDisk(root)
        {
            protected override Errno SyncData(int descriptor) => owner.Call("data", () => base.SyncData(descriptor));

            protected override Errno SyncFileSystem() => owner.Call("filesystem", base.SyncFileSystem);

            protected override Errno SyncFolder(int folder)
            {
                Span<byte> path = stackalloc byte[BlockNames.MaxPath];
                string name = "folder " + System.Text.Encoding.ASCII.GetString(BlockNames.Folder(folder, path)[..^1]);
                return owner.Call(name, () => base.SyncFolder(folder));
            }

            protected override Errno SyncUnnamedFolder(int folder)
            {
                Span<byte> path = stackalloc byte[BlockNames.MaxPath];
                string name = "from " + System.Text.Encoding.ASCII.GetString(BlockNames.UnnamedFolder(folder, path)[..^1]);
                return owner.Call(name, () => base.SyncUnnamedFolder(folder));
            }

            protected override long Unwritten() => owner.Unwritten;
        }
    }
}
