using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Check;
using OrleansFs.Engine.Replication;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Replication;

/// <summary>A master whose disk holds less than its volume: eviction, fetching, waiting, refusing.</summary>
public sealed partial class EvictionTests
{
    private const int S = 64 << 10;
    private const int FileSize = 1 << 20;
    private const long Cache = 8 << 20;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_volume_larger_than_its_cache_is_written_and_read()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        for (int i = 0; i < 24; i++)
            await WriteFileAsync(master, i);
        await DrainAsync(master);
        await EventuallyAsync(() => BytesOfBlocks(master) <= Cache);
        Assert.Equal(BytesOfBlocks(master), master.Copy.Metadata.LocalBytes + master.Copy.BlockStore.Files.RecycledBytes);
        Assert.Equal(24L * FileSize, replica.Volume.Metadata.Counters.UniqueBytes);

        for (int i = 0; i < 24; i++)
            Assert.Equal(Content(i), await master.ReadAllAsync(await master.FindAsync($"f{i}")));
        Assert.True(replica.Link.BlocksAskedFor >= 24 * (FileSize / S) - Cache / S);
        await EventuallyAsync(() => BytesOfBlocks(master) <= Cache);
        var space = (await master.Volume.GetSpaceAsync(Cancellation)).Value;
        Assert.True(space.TotalBytes - space.FreeBytes >= 24L * FileSize && space.FreeBytes > Cache);

        // Evicted blocks are no fault, here or there.
        await master.Copy.CloseAsync();
        await AssertCleanAsync(master.Folder);
        await master.ReopenAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(Content(3), await master.ReadAllAsync(await master.FindAsync("f3")));
    }

    [Fact]
    public async Task Files_of_deleted_blocks_give_way_to_blocks_that_came_after_them()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        for (int i = 0; i < 10; i++)
            await WriteFileAsync(master, i);
        await DrainAsync(master);
        var files = master.Copy.BlockStore.Files;
        await EventuallyAsync(() => files.RecycledBytes > 4 * S);
        // As a block does that is stored between asking for the room and keeping the file: nobody writes, and no file comes, for it to be seen then.
        files.RecycledRoom = () => 2 * S;
        await EventuallyAsync(() => files.RecycledBytes <= 2 * S);
    }

    [Fact]
    public async Task A_block_is_fetched_once_however_many_read_it()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        var file = await EvictedFileAsync(master, replica);
        long before = replica.Link.BlocksAskedFor;
        byte[][] read = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(async () =>
        {
            byte[] content = new byte[S];
            Assert.Equal(S, (await master.Volume.ReadAsync(file, 5 * S, content, Cancellation)).Value);
            return content;
        })));
        Assert.All(read, r => Assert.Equal(Content(0).AsSpan(5 * S, S).ToArray(), r));
        Assert.Equal(1, replica.Link.BlocksAskedFor - before);
        await EventuallyAsync(() => LocalBlocks(master) == 1);
    }

    [Fact]
    public async Task What_was_read_last_stays_longest_also_across_a_restart()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        for (int i = 0; i < 6; i++)
            await WriteFileAsync(master, i);
        await DrainAsync(master);
        Assert.Equal(Content(0), await master.ReadAllAsync(await master.FindAsync("f0")));
        await master.ReopenAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        for (int i = 6; i < 10; i++)
            await WriteFileAsync(master, i);
        await DrainAsync(master);
        await EventuallyAsync(() => BytesOfBlocks(master) <= Cache);
        Assert.Equal(FileSize / S, LocalBlocks(master, Content(0)));
        Assert.Equal(0, LocalBlocks(master, Content(1)));
    }

    [Fact]
    public async Task A_block_that_is_written_again_while_it_is_evicted_is_kept()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        var file = await EvictedFileAsync(master, replica);
        // Partly over an evicted block: what lies under it is fetched for the seal.
        await master.WriteAsync(file, 3 * S + 100, [1, 2, 3]);
        byte[] expected = Content(0);
        new byte[] { 1, 2, 3 }.CopyTo(expected, 3 * S + 100);
        // The same content again, as another file: stored again, as the first is not here.
        await WriteFileAsync(master, 0, "again");
        await DrainAsync(master);
        Assert.Equal(expected, await master.ReadAllAsync(file));
        Assert.Equal(Content(0), await master.ReadAllAsync(await master.FindAsync("again")));
        await master.ReopenAsync();
        Assert.Equal(Content(0), await master.ReadAllAsync(await master.FindAsync("again")));
        await master.Copy.CloseAsync();
        await AssertCleanAsync(master.Folder);
        await master.ReopenAsync();
    }

    [Fact]
    public async Task A_killed_master_opens_without_the_replica_that_has_what_its_synced_writes_are_part_of()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        var file = await EvictedFileAsync(master, replica);
        byte[] expected = Content(0);
        for (int block = 0; block < 4; block++)
        {
            int at = (block * S) + 100;
            expected.AsSpan(at, 10).Fill(7);
            await master.WriteAsync(file, at, expected.AsSpan(at, 10).ToArray());
        }
        await master.SyncAsync(file);
        string killed = master.CopyAsKilled();
        replica.Link.Target = null;
        Assert.Equal(Errno.None, (await master.Volume.UnlinkAsync(InodeNumber.Root, Name(0), Cancellation)).Error);
        await master.Copy.CloseAsync();
        try
        {
            await using var again = await VolumeFixture.CreateAsync(folder: killed, configure: o => o with { CacheSize = Cache, FetchTimeout = TimeSpan.FromHours(1) }).WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
            byte[] written = new byte[10];
            Assert.Equal(10, (await again.Volume.ReadAsync(file, S + 100, written, Cancellation)).Value);
            Assert.Equal(expected.AsSpan(S + 100, 10).ToArray(), written);
            replica.Link.Target = replica.Receiver;
            await again.Copy.Replication.AttachAsync(replica.Name, replica.Link);
            Assert.Equal(expected, await again.ReadAllAsync(file));
            await DrainAsync(again);
            await again.Copy.CloseAsync();
            await AssertCleanAsync(killed);
        }
        finally
        {
            Directory.Delete(killed, recursive: true);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_is_written_into_a_block_that_nobody_can_give_outlives_an_orderly_end(bool isSealTried)
    {
        await using var master = await CreateAsync(o => o with { FetchTimeout = TimeSpan.FromMilliseconds(300) });
        await using var replica = await ReplicaFixture.CreateAsync();
        var file = await EvictedFileAsync(master, replica);
        replica.Link.Target = null;
        byte[] expected = Content(0);
        expected.AsSpan(S + 100, 10).Fill(7);
        await master.WriteAsync(file, S + 100, expected.AsSpan(S + 100, 10).ToArray());
        if (isSealTried)
        {
            Assert.Equal(Errno.EIO, (await master.Volume.SyncAllAsync(Cancellation)).Error);
            expected.AsSpan(S + 105, 10).Fill(8);
            await master.WriteAsync(file, S + 105, expected.AsSpan(S + 105, 10).ToArray());
            // What an fsync needs is at hand, whatever was tried before.
            await master.SyncAsync(file);
            expected.AsSpan(S + 107, 1).Fill(9);
            await master.WriteAsync(file, S + 107, expected.AsSpan(S + 107, 1).ToArray());
        }
        await master.ReopenAsync();
        byte[] written = new byte[15];
        int known = isSealTried ? 15 : 10;
        Assert.Equal(known, (await master.Volume.ReadAsync(file, S + 100, written.AsMemory(0, known), Cancellation)).Value);
        Assert.Equal(expected.AsSpan(S + 100, known), written.AsSpan(0, known));
        replica.Link.Target = replica.Receiver;
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(expected, await master.ReadAllAsync(file));
        await DrainAsync(master);
    }

    [Fact]
    public async Task Files_that_cannot_be_settled_keep_no_other_waiting()
    {
        await using var master = await CreateAsync(o => o with { FetchTimeout = TimeSpan.FromMilliseconds(10) });
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        // More of them than are settled at a time, each over a block that nobody can give now.
        var stuck = new List<InodeNumber>();
        for (int i = 0; i < Limits.SettleRound + 1; i++)
        {
            stuck.Add(await master.CreateFileAsync($"stuck {i}"));
            await master.WriteAsync(stuck[i], 0, Content(100 + i)[..S]);
        }
        await DrainAsync(master);
        foreach (var file in stuck)
            Assert.Equal(1, (await master.Copy.ChangeResidencyAsync(file, ResidencyAction.Evict, 0, S, Cancellation)).Value.Changed);
        replica.Link.Target = null;
        foreach (var file in stuck)
            await master.WriteAsync(file, 100, [1, 2, 3]);
        Assert.Equal(Errno.EIO, (await master.Volume.SyncAllAsync(Cancellation)).Error);

        var after = await master.CreateFileAsync("after");
        await master.WriteAsync(after, 0, Content(1));
        await EventuallyAsync(() => LocalBlocks(master, Content(1)) == FileSize / S && Settled(after));

        replica.Link.Target = replica.Receiver;
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await EventuallyAsync(async () => (await master.Copy.Replication.DrainAsync(1, null, Cancellation)).IsOk);

        bool Settled(InodeNumber number)
        {
            var inode = master.Copy.Metadata.Acquire(number)!;
            try
            {
                return inode.Content is null;
            }
            finally
            {
                master.Copy.Metadata.Release(inode);
            }
        }
    }

    [Fact]
    public async Task A_file_that_an_eviction_was_about_to_delete_is_counted_after_the_next_start()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await WriteFileAsync(master, 0);
        await DrainAsync(master);
        string[] blocks = Directory.GetFiles(Path.Combine(master.Folder, "blocks"), "*", SearchOption.AllDirectories);
        foreach (string block in blocks)
            File.Copy(block, Path.Combine(replica.Folder, Path.GetFileName(block)));
        var file = await master.FindAsync("f0");
        Assert.Equal((long)FileSize / S, (await master.Copy.ChangeResidencyAsync(file, ResidencyAction.Evict, 0, FileSize, Cancellation)).Value.Changed);

        // As a kill leaves it, between the commit and the deletion.
        await master.Copy.CloseAsync();
        foreach (string block in blocks)
            File.Move(Path.Combine(replica.Folder, Path.GetFileName(block)), block);
        // And one that was just being fetched again, as a loss of power leaves it.
        await File.WriteAllBytesAsync(blocks[0], [], Cancellation);
        await master.ReopenAsync();
        await EventuallyAsync(() => LocalBlocks(master) == FileSize / S - 1 && master.Copy.Metadata.LocalBytes == BytesOfBlocks(master));
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(Content(0), await master.ReadAllAsync(file));
        // The one that was fetched is kept after it was given.
        await EventuallyAsync(() => LocalBlocks(master) == FileSize / S);
        Assert.Equal(0, (await master.Copy.ChangeResidencyAsync(file, ResidencyAction.Evict, 0, FileSize, Cancellation)).Value.Staying);
        Assert.Equal(0, LocalBlocks(master));
    }

    [Fact]
    public async Task An_eviction_that_is_asked_for_does_not_wait_for_what_is_in_flight()
    {
        await using var master = await CreateAsync(o => o with { FetchTimeout = TimeSpan.FromHours(1) });
        await using var replica = await ReplicaFixture.CreateAsync();
        var evicted = await EvictedFileAsync(master, replica);
        await WriteFileAsync(master, 1);
        await DrainAsync(master);
        replica.Link.Target = null;
        byte[] expected = Content(0);
        expected.AsSpan(S + 100, 10).Fill(7);
        await master.WriteAsync(evicted, S + 100, expected.AsSpan(S + 100, 10).ToArray());

        var change = await master.Volume.ChangeResidencyAsync(evicted, ResidencyAction.Evict, 0, long.MaxValue, Cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
        Assert.Equal(new ResidencyChange { Blocks = (FileSize / S) + 1, Changed = 0, Staying = 1 }, change.Value);
        change = await master.Volume.ChangeResidencyAsync(await master.FindAsync("f1"), ResidencyAction.Evict, 0, long.MaxValue, Cancellation);
        Assert.Equal(new ResidencyChange { Blocks = FileSize / S, Changed = FileSize / S, Staying = 0 }, change.Value);

        replica.Link.Target = replica.Receiver;
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(expected, await master.ReadAllAsync(evicted));
        await DrainAsync(master);
    }

    [Fact]
    public async Task A_replica_with_a_bound_keeps_everything_until_it_is_promoted()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var nas = await ReplicaFixture.CreateAsync("nas", Cache);
        await using var usb = await ReplicaFixture.CreateAsync("usb");
        await master.Copy.Replication.AttachAsync(nas.Name, nas.Link);
        await master.Copy.Replication.AttachAsync(usb.Name, usb.Link);
        for (int i = 0; i < 16; i++)
            await WriteFileAsync(master, i);
        await DrainAsync(master, copies: 2);
        Assert.InRange(BytesOfBlocks(nas.Folder), 16L * FileSize, 17L * FileSize);
        await master.Copy.CloseAsync();

        await nas.PromoteAsync();
        // Nobody has acknowledged anything to this master yet.
        Assert.InRange(BytesOfBlocks(nas.Folder), 16L * FileSize, 17L * FileSize);
        await nas.Volume.Replication.AttachAsync(usb.Name, usb.Link);
        Assert.Equal(Errno.None, (await nas.Volume.Replication.DrainAsync(1, null, Cancellation)).Error);
        await EventuallyAsync(() => BytesOfBlocks(nas.Folder) <= Cache);
        using (var session = nas.OpenSession())
        {
            for (int i = 0; i < 16; i++)
            {
                byte[] read = new byte[FileSize];
                var file = (await session.LookupAsync(InodeNumber.Root, Name(i), Cancellation)).Value.Inode;
                Assert.Equal(FileSize, (await session.ReadAsync(file, 0, read, Cancellation)).Value);
                Assert.Equal(Content(i), read);
            }
        }
        Assert.True(usb.Link.BlocksAskedFor >= (16L * FileSize - Cache) / S);
        await nas.Receiver.CloseAsync();
        await AssertCleanAsync(nas.Folder);
    }

    [Fact]
    public async Task No_more_is_pinned_than_leaves_room_in_the_cache()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        for (int i = 0; i < 12; i++)
        {
            await WriteFileAsync(master, i);
            await DrainAsync(master);
        }
        int pinned = 0;
        Errno refused;
        while ((refused = (await master.Copy.ChangeResidencyAsync(await master.FindAsync($"f{pinned}"), ResidencyAction.Pin, 0, FileSize, Cancellation)).Error) == Errno.None)
            pinned++;
        Assert.Equal((Errno.ENOSPC, 6), (refused, pinned));
        Assert.True(BytesOfBlocks(master) >= 6 * FileSize);
        // What makes room for what comes has not always gone when it is there; and a file that is kept for another block meanwhile may be counted under both its names.
        await EventuallyAsync(() => BytesOfBlocks(master) <= Cache);
        // There is room for what is read and written; and what was pinned stays, mended where it is damaged.
        for (int i = 0; i < 12; i++)
            Assert.Equal(Content(i), await master.ReadAllAsync(await master.FindAsync($"f{i}")));
        await WriteFileAsync(master, 20);
        await DrainAsync(master);
        File.Delete(Directory.GetFiles(Path.Combine(master.Folder, "blocks"), BlockHash.Of(Content(0).AsSpan(0, S)).ToString(), SearchOption.AllDirectories).Single());
        Assert.Equal(1, (await master.Copy.VerifyAllAsync()).Damaged);
        Assert.Equal(0, master.Copy.Verification.Report.Unrepaired);
        Assert.Equal(6L * FileSize / S, (await Task.WhenAll(Enumerable.Range(0, 6).Select(async i => master.Copy.Why(await master.FindAsync($"f{i}")).Value))).Sum(w => w.PinnedBlocks));
        Assert.Equal(FileSize / S, LocalBlocks(master, Content(0)));
        await EventuallyAsync(() => BytesOfBlocks(master) <= Cache);
    }

    private static Task<VolumeFixture> CreateAsync(Func<VolumeOptions, VolumeOptions>? more = null) =>
        VolumeFixture.CreateAsync(S, configure: o => (more ?? (x => x))(o with { CacheSize = Cache, CollectGrace = TimeSpan.Zero }));

    /// <summary>A file of which nothing is here.</summary>
    private static async Task<InodeNumber> EvictedFileAsync(VolumeFixture master, ReplicaFixture replica, int copies = 1)
    {
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await WriteFileAsync(master, 0);
        await DrainAsync(master, copies);
        var file = await master.FindAsync("f0");
        Assert.Equal((long)FileSize / S, (await master.Copy.ChangeResidencyAsync(file, ResidencyAction.Evict, 0, FileSize, Cancellation)).Value.Changed);
        Assert.Equal(0, LocalBlocks(master));
        return file;
    }

    private static string? Trouble(VolumeFixture master, ReplicaFixture replica) => master.Copy.Replication.Reports().Single(r => r.Name == replica.Name.Value).Trouble;

    private static byte[] Name(int number) => System.Text.Encoding.UTF8.GetBytes($"f{number}");

    private static byte[] Content(int number)
    {
        byte[] data = new byte[FileSize];
        new Random(number).NextBytes(data);
        return data;
    }

    private static async Task WriteFileAsync(VolumeFixture master, int number, string? name = null)
    {
        var file = await master.CreateFileAsync(name ?? $"f{number}");
        await master.WriteAsync(file, 0, Content(number));
    }

    private static async Task<Errno> TryWriteFileAsync(VolumeFixture master, int number)
    {
        var made = await master.Volume.CreateAsync(InodeNumber.Root, Name(number), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, VolumeFixture.Root, Cancellation);
        var file = made.IsOk ? made.Value.Inode : await master.FindAsync($"f{number}");
        var written = await master.Volume.WriteAsync(file, 0, Content(number), WriteFlags.None, Cancellation);
        if (!written.IsOk)
            await master.Volume.UnlinkAsync(InodeNumber.Root, Name(number), Cancellation);
        return written.Error;
    }

    private static async Task DrainAsync(VolumeFixture master, int copies = 1)
    {
        var drained = await master.Copy.Replication.DrainAsync(copies, null, Cancellation).WaitAsync(TimeSpan.FromSeconds(120), Cancellation);
        Assert.Equal(Errno.None, drained.Error);
    }

    private static int LocalBlocks(VolumeFixture master) => Directory.GetFiles(Path.Combine(master.Folder, "blocks"), "*", SearchOption.AllDirectories).Length;

    private static int LocalBlocks(VolumeFixture master, byte[] content) => content.Chunk(S).Count(b => master.Copy.BlockStore.Files.Exists(BlockHash.Of(b)));

    private static long BytesOfBlocks(VolumeFixture master) => BytesOfBlocks(master.Folder);

    private static long BytesOfBlocks(string folder)
    {
        using var du = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("find", [Path.Combine(folder, "blocks"), "-type", "f", "-printf", "%b\\n"]) { RedirectStandardOutput = true })!;
        long units = 0;
        while (du.StandardOutput.ReadLine() is { } line)
            units += long.Parse(line, System.Globalization.CultureInfo.InvariantCulture);
        du.WaitForExit();
        return units * 512;
    }

    private static async Task AssertCleanAsync(string folder)
    {
        var report = await VolumeCheck.RunAsync(new CheckOptions { DataFolder = folder, VerifyData = true }, NullLoggerFactory.Instance, TimeProvider.System, null, Cancellation);
        Assert.Empty(report.Faults);
    }

    private static async Task EventuallyAsync(Func<bool> condition) => await EventuallyAsync(() => Task.FromResult(condition()));

    private static async Task EventuallyAsync(Func<Task<bool>> condition)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        while (!await condition())
            await Task.Delay(50, patience.Token);
    }
}
