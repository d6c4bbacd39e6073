using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Check;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Replication;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;
using static OrleansFs.Engine.Tests.Replication.ReplicationSteps;

namespace OrleansFs.Engine.Tests.Replication;

/// <summary>A master and its replicas on real folders, in one process.</summary>
public sealed partial class ReplicationTests(ITestOutputHelper output)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_empty_replica_takes_a_copy_and_follows()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        var file = await master.CreateFileAsync("before");
        await master.WriteAsync(file, 0, Pattern(1, 10 * S));
        await master.SyncAsync(file);
        Assert.Null(replica.Receiver.Volume);

        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        using var session = replica.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));

        // What comes first may be of the file before: its access time, or its hash.
        var seen = new System.Collections.Concurrent.ConcurrentQueue<VolumeChanges>();
        replica.Volume.Changed += seen.Enqueue;
        var later = await master.CreateFileAsync("after");
        await master.WriteAsync(later, 0, Pattern(2, 3 * S));
        await DrainAsync(master);
        Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));
        await EventuallyAsync(() => seen.Any(c => c.Inodes.Contains(later)));
        Assert.DoesNotContain(seen, c => c.Everything);
        Assert.Equal(1, replica.Link.Copies);
        await EventuallyAsync(() => master.Copy.Replication.Reports().Single().State == ReplicaState.Following);
    }

    [Fact]
    public async Task A_replica_has_its_folder_for_itself_from_the_start()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        var options = new VolumeOptions { DataFolder = replica.Folder, Copy = replica.Name, Memory = 32 << 20 };
        Assert.False(File.Exists(Path.Combine(replica.Folder, "meta.db")));
        await AssertRefusedAsync();
        // Also after a master came whose volume it cannot make.
        var hello = new MasterHello { Volume = master.Copy.Id, VolumeName = "v", BlockSize = 5, Master = master.Copy.Copy, Epoch = new Epoch(1), Epochs = [new EpochBeginning(new Epoch(1), Lsn.Zero)] };
        Assert.True((await replica.Link.HelloAsync(hello, Cancellation)).Outcome == ReplicaOutcome.Refused);
        await AssertRefusedAsync();
        await WriteFileAsync(master, "a", 1, 2);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        await AssertRefusedAsync();
        await replica.RestartAsync();
        await AssertRefusedAsync();

        async Task AssertRefusedAsync()
        {
            var refused = await Assert.ThrowsAsync<VolumeInUseException>(() => ReplicaReceiver.OpenAsync(options, NullLoggerFactory.Instance, TimeProvider.System, Cancellation));
            Assert.Contains("is in use by another process", refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_replica_refuses_every_mutation()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        var file = await master.CreateFileAsync("f");
        await master.WriteAsync(file, 0, [1]);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        using var session = replica.OpenSession();
        var root = InodeNumber.Root;
        byte[] name = "f"u8.ToArray();
        Errno[] answers =
        [
            (await session.CreateAsync(root, "x"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG }, VolumeFixture.Root, Cancellation)).Error,
            (await session.CreateUnnamedAsync(root, new NewInode { Mode = Mode.S_IFREG }, VolumeFixture.Root, Cancellation)).Error,
            (await session.WriteAsync(file, 0, new byte[] { 2 }, WriteFlags.None, Cancellation)).Error,
            (await session.UnlinkAsync(root, name, Cancellation)).Error,
            (await session.RemoveDirectoryAsync(root, name, Cancellation)).Error,
            (await session.RenameAsync(root, name, root, "g"u8.ToArray(), RenameFlags.None, VolumeFixture.Root, Cancellation)).Error,
            (await session.LinkAsync(file, root, "g"u8.ToArray(), Cancellation)).Error,
            (await session.SetAttributesAsync(file, new AttributeChange { Mask = AttributeMask.Size, Size = 0 }, VolumeFixture.Root, Cancellation)).Error,
            (await session.SetXattrAsync(file, "user.a"u8.ToArray(), name, XattrFlags.None, Cancellation)).Error,
            (await session.RemoveXattrAsync(file, "user.a"u8.ToArray(), Cancellation)).Error,
            (await session.AllocateAsync(file, AllocateMode.None, 0, S, Cancellation)).Error,
            (await session.CopyRangeAsync(file, 0, file, S, 1, Cancellation)).Error,
        ];
        Assert.All(answers, a => Assert.Equal(Errno.EROFS, a));
        Assert.Equal(Errno.None, (await session.SyncAllAsync(Cancellation)).Error);
        string folder = replica.Folder;
        await replica.Receiver.CloseAsync();
        var refused = await Assert.ThrowsAsync<VolumeException>(
            () => VolumeCopy.OpenAsync(new VolumeOptions { DataFolder = folder }, NullLoggerFactory.Instance, TimeProvider.System, Cancellation));
        Assert.Contains("promote", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_replica_that_comes_back_gets_what_it_missed_and_nothing_else()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteFileAsync(master, "a", 1, 20);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        long before = replica.Link.BlocksStored;
        replica.Link.Target = null;
        await WriteFileAsync(master, "b", 2, 5);
        // The same content once more, another name for it, another mode: nothing to ship.
        await WriteFileAsync(master, "c", 1, 20);
        await master.Volume.RenameAsync(InodeNumber.Root, "a"u8.ToArray(), InodeNumber.Root, "d"u8.ToArray(), RenameFlags.None, VolumeFixture.Root, Cancellation);
        await replica.RestartAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        Assert.Equal(5, replica.Link.BlocksStored - before);
        Assert.Equal(1, replica.Link.Copies);
        using var session = replica.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));
    }

    [Fact]
    public async Task Past_the_cut_of_the_journal_a_copy_is_taken_without_the_blocks_that_are_there()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteFileAsync(master, "a", 1, 30);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        await master.Copy.Replication.DetachAsync(replica.Name);
        long before = replica.Link.BlocksStored;
        await WriteFileAsync(master, "b", 2, 7);
        await master.Volume.UnlinkAsync(InodeNumber.Root, "a"u8.ToArray(), Cancellation);
        await master.Volume.SyncAllAsync(Cancellation);
        await master.Copy.CloseAsync();
        using (var database = Engine.Metadata.Database.Open(Path.Combine(master.Folder, "meta.db"), 1024))
            database.Execute("DELETE FROM journal");
        await master.ReopenAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        Assert.Equal(2, replica.Link.Copies);
        Assert.Equal(7, replica.Link.BlocksStored - before);
        using var session = replica.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));
        await AssertCleanAsync(replica);
    }

    [Fact]
    public async Task A_dead_replica_holds_up_nobody()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var dead = await ReplicaFixture.CreateAsync("dead");
        await using var good = await ReplicaFixture.CreateAsync("good");
        await WriteFileAsync(master, "a", 1, 3);
        await master.Copy.Replication.AttachAsync(dead.Name, dead.Link);
        await master.Copy.Replication.AttachAsync(good.Name, good.Link);
        await DrainAsync(master, copies: 2);
        var never = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        dead.Link.Gate = never.Task;
        for (int i = 0; i < 20; i++)
            await WriteFileAsync(master, $"f{i}", 10 + i, 4);
        await DrainAsync(master, copies: 1);
        using var session = good.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));
        Assert.True(master.Copy.Replication.Reports().Single(r => r.Name == "dead").LagMutations > 0);
        dead.Link.Gate = null;
        never.SetResult();
        await DrainAsync(master, copies: 2);
    }

    [Fact]
    public async Task An_fsync_waits_for_as_many_replicas_as_were_asked_for_and_not_for_ever()
    {
        var patience = TimeSpan.FromMilliseconds(300);
        await using var master = await VolumeFixture.CreateAsync(S, configure: o => o with { SyncCopies = 1, SyncTimeout = patience });
        await using var replica = await ReplicaFixture.CreateAsync();
        var file = await master.CreateFileAsync("f");
        await master.WriteAsync(file, 0, Pattern(1, 3 * S));
        Assert.Equal(Errno.ETIMEDOUT, (await master.Volume.SyncAsync(file, false, Cancellation)).Error);
        Assert.Contains("was not on those of 1 replica within 0.3 s", (await master.StatusAsync()).Trouble, StringComparison.Ordinal);

        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await EventuallyAsync(async () => (await master.Volume.SyncAsync(file, false, Cancellation)).IsOk);
        Assert.Null((await master.StatusAsync()).Trouble);
        using var session = replica.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));

        // What was written since is another matter, and a program that waits for it can be told to stop.
        replica.Link.Target = null;
        await master.WriteAsync(file, 0, Pattern(2, S));
        Assert.Equal(Errno.ETIMEDOUT, (await master.Volume.SyncAsync(file, false, Cancellation)).Error);
        patience = TimeSpan.FromHours(1);
        await master.ReopenAsync();
        using var interrupt = new CancellationTokenSource();
        var syncing = master.Volume.SyncAsync(file, false, interrupt.Token).AsTask();
        await interrupt.CancelAsync();
        Assert.Equal(Errno.EINTR, (await syncing).Error);
    }

    [Fact]
    public async Task A_damaged_block_on_a_replica_is_sent_again()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteFileAsync(master, "a", 1, 8);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        string[] blocks = Directory.GetFiles(Path.Combine(replica.Folder, "blocks"), "*", SearchOption.AllDirectories);
        byte[] bytes = await File.ReadAllBytesAsync(blocks[0], Cancellation);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(blocks[0], bytes, Cancellation);
        File.Delete(blocks[1]);
        Assert.Equal((8L, 2L), await replica.VerifyAsync());
        await EventuallyAsync(() => replica.Volume.ReplicaBlocks.DamagedCount == 0);
        Assert.Equal((8L, 0L), await replica.VerifyAsync());
        Assert.Single(Directory.GetFiles(Path.Combine(replica.Folder, "lost+blocks")));
    }

    /// <summary>One that is not full tells the master of all: what it leaves out counts as mended.</summary>
    [Fact]
    public async Task With_more_damaged_blocks_than_an_answer_has_room_for_every_answer_is_full()
    {
        const int More = ReplicationLimits.DamagedPerReply + 44;
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteFileAsync(master, "a", 1, More);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        await master.Copy.Replication.DetachAsync(replica.Name);
        foreach (byte[] block in Pattern(1, More * S).Chunk(S))
            replica.Volume.ReplicaBlocks.NoteDamaged(BlockHash.Of(block), Engine.Blocks.BlockReadResult.Missing);
        var told = new HashSet<BlockHash>();
        for (int i = 0; i < 4; i++)
        {
            var damaged = (await replica.Receiver.PulseAsync(master.Copy.Epoch, Cancellation)).Damaged;
            Assert.Equal(ReplicationLimits.DamagedPerReply, damaged.Distinct().Count());
            told.UnionWith(damaged);
        }
        Assert.Equal(More, told.Count);
    }

    [Fact]
    public async Task Collected_blocks_go_on_the_replica_when_they_go_on_the_master()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteFileAsync(master, "a", 1, 8);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        await master.Volume.UnlinkAsync(InodeNumber.Root, "a"u8.ToArray(), Cancellation);
        await EventuallyAsync(async () => (await master.StatusAsync()).DeadBlocks == 8);
        Assert.Equal(8, (await master.Copy.CollectAsync(TimeSpan.Zero, false, null, Cancellation)).Blocks);
        // Back again: born again, and shipped again where the file has gone.
        await WriteFileAsync(master, "b", 1, 8);
        await DrainAsync(master);
        using var session = replica.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));
        Assert.Equal(8, replica.Volume.Metadata.Counters.Blocks);
        Assert.Equal(0, replica.Volume.Metadata.Counters.DeadBlocks);
        await AssertCleanAsync(replica);
    }

    /// <summary>The row of such a block must say so from the first moment on: who starts after a kill believes what the rows say.</summary>
    [Fact]
    public async Task A_kill_after_a_row_came_of_blocks_that_nobody_has_any_more_leaves_no_row_that_says_they_are_here()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await MakeGoneAsync(master, replica);

        // Killed when it has applied the row that names them, and not the one that deletes theirs.
        var named = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var receiver = replica.Receiver;
        replica.Link.Applying = shipment =>
        {
            int naming = Array.FindIndex(shipment.Entries, e => JournalContent.Of(e.Effects.Span).Blocks.Count > 0);
            if (naming < 0 || shipment.Gone.Length == 0)
                return shipment;
            receiver.ApplyAsync(shipment with { Entries = shipment.Entries[..(naming + 1)] }, Cancellation).AsTask().GetAwaiter().GetResult();
            replica.Link.Target = null;
            named.TrySetResult();
            return shipment;
        };
        replica.Link.Target = receiver;
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await named.Task.WaitAsync(TimeSpan.FromSeconds(30), Cancellation);
        replica.Link.Applying = null;
        await replica.KillAsync();
        Assert.Equal(8, replica.Volume.Metadata.AbsentBlocks(100).Count);
        Assert.Equal(8, replica.Volume.ReplicaBlocks.DamagedCount);
        await DrainAsync(master);
        Assert.Equal(0, replica.Volume.ReplicaBlocks.DamagedCount);
        await AssertCleanAsync(replica);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Whatever_is_cut_or_killed_the_copies_become_equal(int run)
    {
        int seed = Environment.GetEnvironmentVariable("OFS_SEED") is { } given ? int.Parse(given, System.Globalization.CultureInfo.InvariantCulture) : Random.Shared.Next();
        output.WriteLine($"OFS_SEED={seed} (run {run})");
        var random = new Random(seed + run);
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        var work = new RandomTreeWork(random, master.Volume, S);
        replica.Link.FailAtRandom(new Random(seed), 0.03);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        for (int round = 0; round < 12; round++)
        {
            await work.StepsAsync(60);
            if (random.Next(3) == 0)
                await master.Volume.SyncAllAsync(Cancellation);
            if (random.Next(4) == 0)
                await master.Copy.CollectAsync(TimeSpan.Zero, false, null, Cancellation);
            // Killed, or only cut off in the middle of whatever it was asked.
            int fault = random.Next(6);
            if (fault < 2)
                await replica.KillAsync();
            if (fault < 4)
                await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        }
        replica.Link.FailAtRandom(new Random(seed), 0);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        // A purge after the drain would be what the replica has not heard of yet.
        await master.Copy.Orphanage.PurgeQueuedAsync();
        await DrainAsync(master);
        using var session = replica.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));
        var (own, theirs) = (master.Copy.Metadata.Counters, replica.Volume.Metadata.Counters);
        Assert.Equal(own, theirs);
        await AssertCleanAsync(replica);
    }

    /// <summary>Whoever goes on at a promoted replica asks again where no answer came: with the bytes and without the reply they would be appended twice.</summary>
    [Fact]
    public async Task The_reply_of_an_append_comes_with_its_bytes()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        var file = await master.CreateFileAsync("log");
        var session = Guid.NewGuid();
        Assert.True(master.Copy.KeepSession(new KeptSession(session, "host:/mnt", null, null)).IsOk);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        var once = master.Volume.Once(new ChangeRecord(new ReplyKey(session, 1, 1)));
        Assert.Equal(0, (await once.WriteAsync(file, 0, Pattern(1, 10), WriteFlags.Append, Cancellation)).Value);
        Assert.True(master.Copy.Metadata.Commit().IsOk);
        await master.SyncAsync(file);
        await DrainAsync(master);
        Assert.Equal(ReplyValue.Of(0), Assert.Single(replica.Volume.RepliesOf(session)).Value);
    }

    private static async Task AssertCleanAsync(ReplicaFixture replica)
    {
        string folder = replica.Folder;
        await replica.Receiver.CloseAsync();
        var report = await VolumeCheck.RunAsync(new CheckOptions { DataFolder = folder, VerifyData = true }, NullLoggerFactory.Instance, TimeProvider.System, null, Cancellation);
        Assert.Empty(report.Faults);
    }
}
