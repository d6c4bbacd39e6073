using System.Reflection;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Replication;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Replication;

/// <summary>Promotion of a replica while another one is further.</summary>
public sealed partial class SuccessionTests
{
    private const int S = 4096;
    private static readonly NewInode s_file = new() { Mode = Mode.S_IFREG | 0x1A4 };

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_promoted_replica_takes_what_another_has_more()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var first = await ReplicaFixture.CreateAsync("first");
        await using var second = await ReplicaFixture.CreateAsync("second");
        await FurtherAsync(master, first, second);
        Assert.True(first.Volume.Metadata.Durable < second.Volume.Metadata.Durable);

        Assert.Equal(new Epoch(2), await first.PromoteAsync(second));
        using var session = first.OpenSession();
        using var reader = second.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));
        await FollowsAsync(first, second);
        Assert.Equal(await Trees.DescribeAsync(session), await Trees.DescribeAsync(reader));
        Assert.Equal(0, (await first.VerifyAsync()).Damaged);
    }

    [Fact]
    public async Task While_it_is_promoted_the_others_take_nothing_of_the_master_before()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var first = await ReplicaFixture.CreateAsync("first");
        await using var second = await ReplicaFixture.CreateAsync("second");
        await FurtherAsync(master, first, second);
        Assert.Equal(ReplicaOutcome.Ok, (await second.Receiver.HoldAsync(second.Volume.Id, new Epoch(2), first.Name, Cancellation)).Outcome);
        await WriteAsync(master, "never replicated", 5, 3);
        await master.Volume.SyncAllAsync(Cancellation);
        await EventuallyAsync(() => master.Copy.Replication.Reports().Single(r => r.Name == "second").Trouble?.Contains("about to become the master", StringComparison.Ordinal) == true);
        var held = second.Volume.Metadata.Durable;

        Assert.Equal(new Epoch(2), await first.PromoteAsync(second));
        Assert.Equal(held.Value, first.Volume.EpochStart.Value);
        await FollowsAsync(first, second);
        await EventuallyAsync(() => master.Copy.FencedBy == new Epoch(2));
    }

    /// <summary>Records of append-only files come before their content: those of the last seconds have none on a replica whose master is gone.</summary>
    [Fact]
    public async Task A_promotion_cuts_off_records_whose_content_has_not_come()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        var log = await master.CreateFileAsync("log");
        Assert.True((await master.Volume.SetXattrAsync(log, OwnXattr.AppendOnly.ToArray(), "1"u8.ToArray(), default, Cancellation)).IsOk);
        Assert.True((await master.Volume.AppendAsync(log, "kept"u8.ToArray(), null, true, Cancellation)).IsOk);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(1, null, Cancellation)).Error);
        // Its row goes with the next commit, its content with the next that brings content to disk.
        Assert.True((await master.Volume.AppendAsync(log, "lost"u8.ToArray(), null, false, Cancellation)).IsOk);
        Assert.True(master.Copy.Metadata.Commit().IsOk);
        await EventuallyAsync(() => replica.Volume.Metadata.RecordCount(log) == 2);
        replica.Link.Target = null;
        using (var reader = replica.OpenSession())
            Assert.Equal(4L, (await reader.GetAttributesAsync(log, Cancellation)).Value.Size);

        Assert.Equal(new Epoch(2), await replica.PromoteAsync());
        Assert.Equal(1, replica.Volume.Metadata.RecordCount(log));
        using var session = replica.OpenSession();
        Assert.Equal(1L, (await session.AppendAsync(log, "more"u8.ToArray(), null, true, Cancellation)).Value.Sequence);
    }

    /// <summary>An epoch without its master would fence the one before: both are there, or neither.</summary>
    [Theory]
    [InlineData("INSERT ON epoch", true)]
    [InlineData("UPDATE OF role ON volume", true)]
    [InlineData("INSERT ON journal", true)]
    [InlineData("INSERT ON journal", false)]
    public async Task A_promotion_that_fails_leaves_the_master_what_it_was(string statement, bool restarts)
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteAsync(master, "first", 1, 1);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(1, null, Cancellation)).Error);
        DatabaseOf(replica.Volume).Execute($"CREATE TEMP TRIGGER fails BEFORE {statement} BEGIN SELECT RAISE(ABORT, 'the disk fails'); END");
        var failed = await Assert.ThrowsAsync<VolumeException>(() => replica.PromoteAsync());
        Assert.Contains("is the replica that it was", failed.Message, StringComparison.Ordinal);

        Assert.Equal((VolumeRole.Replica, new Epoch(1)), (replica.Volume.Role, replica.Volume.Epoch));
        await WriteAsync(master, "second", 2, 1);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(1, null, Cancellation).WaitAsync(TimeSpan.FromSeconds(60), Cancellation)).Error);
        Assert.Null(master.Copy.FencedBy);
        if (restarts)
            await replica.RestartAsync();
        Assert.Equal((VolumeRole.Replica, new Epoch(1)), (replica.Volume.Role, replica.Volume.Epoch));
        // What failed is over: it is the next one's turn.
        Assert.Equal(new Epoch(2), await replica.PromoteAsync());
        Assert.Equal(replica.Volume.EpochStart, replica.Volume.Metadata.Branches()[^1].Start);
        await EventuallyAsync(() => master.Copy.FencedBy == new Epoch(2));
        using var session = replica.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));
    }

    /// <summary>A master that has handed over goes on when nobody has taken over for a while: who is late asks again.</summary>
    [Fact]
    public async Task A_promotion_that_comes_too_late_for_the_hand_over_does_not_begin()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteAsync(master, "all", 1, 1);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(1, null, Cancellation)).Error);
        await Assert.ThrowsAsync<HandOverPassedException>(() => PromoteAsync(beginBy: TimeProvider.System.GetTimestamp() - 1));
        Assert.Equal(VolumeRole.Replica, replica.Volume.Role);
        Assert.Equal(new Epoch(2), await PromoteAsync(beginBy: long.MaxValue));

        Task<Epoch> PromoteAsync(long beginBy) => replica.Receiver.PromoteAsync(new Dictionary<CopyName, IReplicaLink>(), force: false, Cancellation, beginBy);
    }

    /// <summary>What it has past the first epoch that is not its own is nowhere else: to be told of less would have it thrown away.</summary>
    [Theory, InlineData(true), InlineData(false)]
    public async Task A_former_master_that_slept_through_two_promotions_learns_where_the_first_began(bool fromMaster)
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var first = await ReplicaFixture.CreateAsync("first");
        await using var second = await ReplicaFixture.CreateAsync("second");
        await using var third = await ReplicaFixture.CreateAsync("third");
        await master.Copy.Replication.AttachAsync(third.Name, third.Link);
        await FurtherAsync(master, first, second);
        await EventuallyAsync(() => third.Receiver.Volume is { Epoch.Value: > 0 });
        foreach (var replica in new[] { second, third })
            await master.Copy.Replication.DetachAsync(replica.Name);
        await WriteAsync(master, "never replicated", 9, 1);
        await master.Volume.SyncAllAsync(Cancellation);
        await first.PromoteAsync(second);
        await FollowsAsync(first, second);
        await second.PromoteAsync(first);
        await WriteSomeAsync(second, 200);
        var (began, newest) = (first.Volume.EpochStart, second.Volume.EpochStart);
        Assert.True(began < newest && master.Copy.Metadata.Committed < second.Volume.Metadata.Committed);

        // From the new master, or from a replica that has heard of that one and has nothing of it yet.
        var told = fromMaster ? second : third;
        var hello = new MasterHello { Volume = third.Volume.Id, VolumeName = "v", BlockSize = S, Master = second.Name, Epoch = new Epoch(3), Epochs = second.Volume.Epochs };
        Assert.Equal(ReplicaOutcome.Ok, (await third.Receiver.HelloAsync(hello, Cancellation)).Outcome);
        await master.Copy.Replication.AttachAsync(told.Name, told.Link);
        await EventuallyAsync(() => master.Copy.FencedBy == new Epoch(3));
        Assert.Equal(began, master.Copy.FencedAt);
        // Nor does it believe another that knows less of it.
        await master.Copy.FenceAsync(new Epoch(4), newest);
        Assert.Equal((new Epoch(4), began), (master.Copy.FencedBy, master.Copy.FencedAt));
    }

    private static async Task WriteSomeAsync(ReplicaFixture master, int files)
    {
        using var session = master.OpenSession();
        for (int i = 0; i < files; i++)
            Assert.Equal(Errno.None, (await session.CreateAsync(InodeNumber.Root, System.Text.Encoding.ASCII.GetBytes($"since {i}"), s_file, VolumeFixture.Root, Cancellation)).Error);
        await session.SyncAllAsync(Cancellation);
    }

    /// <summary>A master that was set back gave one replica another history than the other one has: nothing of that goes on top.</summary>
    [Fact]
    public async Task Of_another_branch_of_the_history_nothing_is_taken()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var first = await ReplicaFixture.CreateAsync("first");
        await using var second = await ReplicaFixture.CreateAsync("second");
        await WriteAsync(master, "both", 1, 1);
        await master.Copy.Replication.AttachAsync(second.Name, second.Link);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(1, null, Cancellation)).Error);
        await master.Copy.Replication.DetachAsync(second.Name);
        string earlier = master.CopyAsKilled();
        await WriteAsync(master, "lost by it", 2, 1);
        await master.Copy.Replication.AttachAsync(first.Name, first.Link);
        await EventuallyAsync(() => first.Receiver.Volume is { Epoch.Value: > 0 } && first.Volume.Metadata.Durable == master.Copy.Metadata.Committed);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(1, null, Cancellation)).Error);
        await EventuallyAsync(() => first.Volume.Metadata.Durable == master.Copy.Metadata.Committed);
        await master.Copy.CloseAsync();
        await using (var back = await VolumeFixture.CreateAsync(S, earlier))
        {
            // A transaction each: one of them ends where the first one is.
            for (int i = 0; i < 40; i++)
            {
                Assert.True(back.Copy.Metadata.Create(InodeNumber.Root, System.Text.Encoding.ASCII.GetBytes($"other {i}"), s_file, VolumeFixture.Root).IsOk);
                Assert.True(back.Copy.Metadata.Commit().IsOk);
            }
            Assert.True((await back.Volume.SyncAllAsync(Cancellation)).IsOk);
            await back.Copy.Replication.AttachAsync(second.Name, second.Link);
            await EventuallyAsync(() => second.Volume.Metadata.Durable == back.Copy.Metadata.Committed);
            Assert.True(second.Volume.Metadata.Durable > first.Volume.Metadata.Durable);
        }
        using var session = first.OpenSession();
        string before = await Trees.DescribeAsync(session);
        await Assert.ThrowsAsync<NotNewestException>(() => first.PromoteAsync(second));
        Assert.Equal(before, await Trees.DescribeAsync(session));
        Directory.Delete(earlier, recursive: true);
    }

    /// <summary>Two masters in one epoch would each be believed by the replicas that heard of it first, and nothing would fence either.</summary>
    [Fact]
    public async Task Of_two_promotions_at_the_same_time_one_makes_a_master()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var first = await ReplicaFixture.CreateAsync("first");
        await using var second = await ReplicaFixture.CreateAsync("second");
        await using var third = await ReplicaFixture.CreateAsync("third");
        await WriteAsync(master, "all", 1, 8);
        foreach (var replica in new[] { first, second, third })
            await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(3, null, Cancellation)).Error);
        await master.Copy.CloseAsync();

        // Both have held each other, and wait for the third one's answer.
        int asked = 0;
        var both = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        third.Link.Holding = () =>
        {
            if (Interlocked.Increment(ref asked) == 2)
                both.SetResult();
            return both.Task;
        };
        Task<Epoch>[] promotions = [first.PromoteAsync(second, third), second.PromoteAsync(first, third)];
        await Task.WhenAll(promotions).WaitAsync(TimeSpan.FromSeconds(60), Cancellation).ContinueWith(_ => { }, Cancellation, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);

        // Overtaken on its way, or told at its end that the other has become the master.
        Assert.True(Assert.Single(promotions, p => p.IsFaulted).Exception!.InnerException is OvertakenException or NotNewestException);
        var promoted = first.Volume.Role == VolumeRole.Master ? first : second;
        var other = promoted == first ? second : first;
        Assert.Equal(VolumeRole.Master, promoted.Volume.Role);
        Assert.Equal(VolumeRole.Replica, other.Volume.Role);
        await FollowsAsync(promoted, other);
    }

    [Fact]
    public async Task A_copy_that_became_the_master_meanwhile_is_not_passed_over()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var first = await ReplicaFixture.CreateAsync("first");
        await using var second = await ReplicaFixture.CreateAsync("second");
        await FurtherAsync(master, first, second);
        Assert.Equal(new Epoch(2), await second.PromoteAsync());
        var refused = await Assert.ThrowsAsync<NotNewestException>(() => first.PromoteAsync(second));
        Assert.Contains("the copy 'second' has become the master", refused.Message, StringComparison.Ordinal);
        Assert.Equal(VolumeRole.Replica, first.Volume.Role);

        // A promotion that has failed holds nobody.
        await FollowsAsync(second, first);
    }

    [Fact]
    public async Task What_cannot_be_had_is_given_up_only_where_that_is_asked_for()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var first = await ReplicaFixture.CreateAsync("first");
        await using var second = await ReplicaFixture.CreateAsync("second");
        await FurtherAsync(master, first, second);
        var cut = new Dictionary<CopyName, IReplicaLink> { [second.Name] = new CutOffAfterHold(second.Receiver) };
        var refused = await Assert.ThrowsAsync<NotNewestException>(() => first.Receiver.PromoteAsync(cut, force: false, Cancellation));
        Assert.Contains("the replica 'second' is further than mutation", refused.Message, StringComparison.Ordinal);
        Assert.Equal(VolumeRole.Replica, first.Volume.Role);
        Assert.Equal(new Epoch(2), await first.Receiver.PromoteAsync(cut, force: true, Cancellation));
    }

    [Fact]
    public async Task A_replica_that_slept_through_an_epoch_takes_it_from_one_that_did_not()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var first = await ReplicaFixture.CreateAsync("first");
        await using var second = await ReplicaFixture.CreateAsync("second");
        await using var third = await ReplicaFixture.CreateAsync("third");
        await master.Copy.Replication.AttachAsync(third.Name, third.Link);
        await FurtherAsync(master, first, second);
        await EventuallyAsync(() => third.Receiver.Volume is { Epoch.Value: > 0 });
        await third.PromoteAsync(second);
        await FollowsAsync(third, second);
        await third.Receiver.CloseAsync();

        // The first one knows nothing of the second epoch, and of the file that came in it.
        Assert.Equal(new Epoch(3), await first.PromoteAsync(second));
        using var session = first.OpenSession();
        using var reader = second.OpenSession();
        await FollowsAsync(first, second);
        Assert.Equal(await Trees.DescribeAsync(session), await Trees.DescribeAsync(reader));
        Assert.Equal(Errno.None, (await session.LookupAsync(InodeNumber.Root, "of third"u8.ToArray(), Cancellation)).Error);
    }

    [Fact]
    public async Task A_block_that_the_further_one_has_not_got_whole_is_damaged_and_nothing_else_is_lost()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var first = await ReplicaFixture.CreateAsync("first");
        await using var second = await ReplicaFixture.CreateAsync("second");
        await FurtherAsync(master, first, second);
        var damaged = BlockHash.Of(Pattern(2, 1));
        File.Delete(Path.Combine(second.Folder, "blocks", damaged.ToString()[..2], damaged.ToString()));

        await first.PromoteAsync(second);
        using var session = first.OpenSession();
        var kept = (await session.LookupAsync(InodeNumber.Root, "more 1"u8.ToArray(), Cancellation)).Value.Inode;
        Assert.False(first.Volume.BlockStore.Files.ReadStored(damaged, out _).IsOk);
        byte[] content = new byte[S];
        Assert.Equal(Errno.None, (await session.ReadAsync(kept, 0, content, Cancellation)).Error);
        Assert.Equal(Pattern(3, 1), content);
    }

    /// <summary>Two replicas with the same, then one that goes on while the other is away.</summary>
    private static async Task FurtherAsync(VolumeFixture master, ReplicaFixture first, ReplicaFixture second)
    {
        await WriteAsync(master, "both", 1, 8);
        await master.Copy.Replication.AttachAsync(first.Name, first.Link);
        await master.Copy.Replication.AttachAsync(second.Name, second.Link);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(2, null, Cancellation)).Error);
        // Drained may be another replica and one of these, of which the other has not been spoken to yet.
        await EventuallyAsync(() => first.Receiver.Volume is { } one && second.Receiver.Volume is { } other && one.Metadata.Durable == other.Metadata.Durable);
        await master.Copy.Replication.DetachAsync(first.Name);
        for (int i = 0; i < 20; i++)
        {
            await WriteAsync(master, $"more {i}", 2 + i, 1);
            await master.Volume.SyncAllAsync(Cancellation);
        }
        await EventuallyAsync(() => second.Volume.Metadata.Durable == master.Copy.Metadata.Committed);
    }

    private static async Task FollowsAsync(ReplicaFixture master, ReplicaFixture replica)
    {
        using (var session = master.OpenSession())
        {
            var name = System.Text.Encoding.UTF8.GetBytes($"of {master.Name}");
            Assert.Equal(Errno.None, (await session.CreateAsync(InodeNumber.Root, name, new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, VolumeFixture.Root, Cancellation)).Error);
        }
        await master.Volume.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(Errno.None, (await master.Volume.Replication.DrainAsync(1, null, Cancellation).WaitAsync(TimeSpan.FromSeconds(60), Cancellation)).Error);
    }

    private static async Task WriteAsync(VolumeFixture volume, string name, int seed, int blocks) => await volume.WriteAsync(await volume.CreateFileAsync(name), 0, Pattern(seed, blocks));

    private static byte[] Pattern(int seed, int blocks)
    {
        byte[] bytes = new byte[blocks * S];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static Database DatabaseOf(VolumeCopy volume) =>
        (Database)typeof(MetadataStore).GetField("_database", BindingFlags.Instance | BindingFlags.NonPublic)!.GetValue(volume.Metadata)!;

    private static async Task EventuallyAsync(Func<bool> condition)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!condition())
            await Task.Delay(20, patience.Token);
    }

    /// <summary>It says how far it is, and is not heard of again.</summary>
    private sealed class CutOffAfterHold(IReplicaLink target) : IReplicaLink
    {
        public ValueTask<ReplicaReply> HoldAsync(VolumeId volume, Epoch epoch, CopyName by, CancellationToken cancellation) => target.HoldAsync(volume, epoch, by, cancellation);

        public ValueTask<JournalReply> ReadJournalAsync(Epoch held, Epoch epoch, Guid? branch, Lsn after, CancellationToken cancellation) => throw Away;

        public ValueTask<ReplicaReply> HelloAsync(MasterHello hello, CancellationToken cancellation) => throw Away;

        public ValueTask<ReplicaReply> OfferAsync(Epoch epoch, BlockHash[] hashes, CancellationToken cancellation) => throw Away;

        public ValueTask<ReplicaReply> StoreAsync(Epoch epoch, ShippedBlock[] blocks, CancellationToken cancellation) => throw Away;

        public ValueTask<ReplicaReply> BuildAsync(Epoch epoch, ReadOnlyMemory<byte> program, CancellationToken cancellation) => throw Away;

        public ValueTask<ReplicaReply> ApplyAsync(JournalShipment shipment, CancellationToken cancellation) => throw Away;

        public ValueTask<ReplicaReply> PulseAsync(Epoch epoch, CancellationToken cancellation) => throw Away;

        public ValueTask<ReplicaReply> BeginCopyAsync(CopyOffer offer, CancellationToken cancellation) => throw Away;

        public ValueTask<ReplicaReply> PutCopyAsync(Guid copy, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellation) => throw Away;

        public ValueTask<ReplicaReply> WantedAsync(Guid copy, BlockHash after, CancellationToken cancellation) => throw Away;

        public ValueTask<ReplicaReply> EndCopyAsync(Guid copy, CancellationToken cancellation) => throw Away;

        public ValueTask<FetchReply> FetchAsync(BlockHash[] hashes, CancellationToken cancellation) => throw Away;

        private static IOException Away => new("its silo cannot be reached");
    }
}
