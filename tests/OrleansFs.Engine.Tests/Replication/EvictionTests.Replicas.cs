using OrleansFs.Engine.Check;
using OrleansFs.Engine.Replication;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Replication;

/// <content>Which replicas count for a block, and which are read from.</content>
public sealed partial class EvictionTests
{
    [Fact]
    public async Task A_damaged_copy_is_had_from_the_next_replica_and_mended()
    {
        await using var master = await CreateAsync(o => o with { Copies = 2 });
        await using var bad = await ReplicaFixture.CreateAsync("bad");
        await using var good = await ReplicaFixture.CreateAsync("good");
        await master.Copy.Replication.AttachAsync(good.Name, good.Link);
        var file = await EvictedFileAsync(master, bad, copies: 2);
        foreach (string block in Directory.GetFiles(Path.Combine(bad.Folder, "blocks"), "*", SearchOption.AllDirectories))
        {
            byte[] bytes = await File.ReadAllBytesAsync(block, Cancellation);
            bytes[^1] ^= 1;
            await File.WriteAllBytesAsync(block, bytes, Cancellation);
        }
        Assert.Equal(Content(0), await master.ReadAllAsync(file));
        await bad.VerifyAsync();
        await EventuallyAsync(() => bad.Volume.ReplicaBlocks.DamagedCount == 0);
        Assert.Equal((FileSize / S, 0L), await bad.VerifyAsync());
    }

    [Fact]
    public async Task Damaged_blocks_are_asked_for_in_messages_of_a_bounded_size()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await WriteFileAsync(master, 0);
        await WriteFileAsync(master, 1);
        await DrainAsync(master);
        foreach (byte[] block in Content(0).Chunk(S).Concat(Content(1).Chunk(S)))
            File.Delete(Directory.GetFiles(Path.Combine(master.Folder, "blocks"), BlockHash.Of(block).ToString(), SearchOption.AllDirectories).Single());
        Assert.Equal(2 * FileSize / S, (await master.Copy.VerifyAllAsync()).Damaged);
        Assert.Equal(0, master.Copy.Verification.Report.Unrepaired);
        Assert.InRange(replica.Link.MostAskedForAtOnce, 1, ReplicationLimits.MessageBytes / S);
    }

    [Fact]
    public async Task With_nobody_to_ask_a_read_ends_with_EIO_after_its_time_and_works_again_later()
    {
        await using var master = await CreateAsync(o => o with { FetchTimeout = TimeSpan.FromMilliseconds(300) });
        await using var replica = await ReplicaFixture.CreateAsync();
        var file = await EvictedFileAsync(master, replica);
        replica.Link.Target = null;
        Assert.Equal(Errno.EIO, (await master.Volume.ReadAsync(file, 0, new byte[S], Cancellation)).Error);
        Assert.Contains("no replica could give it", (await master.StatusAsync()).Trouble, StringComparison.Ordinal);
        using var interrupt = new CancellationTokenSource();
        var reading = master.Volume.ReadAsync(file, S, new byte[S], interrupt.Token).AsTask();
        await interrupt.CancelAsync();
        Assert.Contains((await reading).Error, new[] { Errno.EINTR, Errno.EIO });
        replica.Link.Target = replica.Receiver;
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await EventuallyAsync(async () => (await master.Volume.ReadAsync(file, 0, new byte[S], Cancellation)).IsOk);
        Assert.Equal(Content(0), await master.ReadAllAsync(file));
    }

    /// <summary>As long as another replica may become the master, which may not come about.</summary>
    [Fact]
    public async Task A_replica_that_refuses_its_master_for_a_while_is_read_from()
    {
        await using var master = await CreateAsync(o => o with { FetchTimeout = TimeSpan.FromSeconds(2) });
        await using var replica = await ReplicaFixture.CreateAsync();
        var file = await EvictedFileAsync(master, replica);
        await replica.Receiver.HoldAsync(replica.Volume.Id, new Epoch(9), CopyName.Parse("other"), Cancellation);
        await WriteFileAsync(master, 1);
        Assert.True((await master.Volume.SyncAllAsync(Cancellation)).IsOk);
        await EventuallyAsync(() => Trouble(master, replica)?.Contains("about to become the master", StringComparison.Ordinal) == true);
        Assert.Equal(Content(0), await master.ReadAllAsync(file));
    }

    /// <summary>What it acknowledged it may have collected since, in mutations that the master has not got.</summary>
    [Fact]
    public async Task A_replica_that_has_more_than_its_master_counts_for_no_block_and_is_read_from()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await WriteFileAsync(master, 0);
        await DrainAsync(master);
        await WriteFileAsync(master, 1);
        await DrainAsync(master);
        string earlier = master.CopyAsKilled();
        await WriteFileAsync(master, 2);
        await DrainAsync(master);
        await master.Copy.Replication.DetachAsync(replica.Name);
        await using (var back = await VolumeFixture.CreateAsync(S, earlier, configure: o => o with { CacheSize = Cache, FetchTimeout = TimeSpan.FromSeconds(5) }))
        {
            var file = await back.FindAsync("f0");
            Assert.Equal(1, back.Copy.Why(file).Value.Copies);
            await back.Copy.Replication.AttachAsync(replica.Name, replica.Link);
            await EventuallyAsync(() => Trouble(back, replica)?.Contains("left alone", StringComparison.Ordinal) == true);
            Assert.Equal(0, back.Copy.Why(file).Value.Copies);
            var change = await back.Copy.ChangeResidencyAsync(file, ResidencyAction.Evict, 0, FileSize, Cancellation);
            Assert.Equal(new ResidencyChange { Blocks = FileSize / S, Changed = 0, Staying = FileSize / S }, change.Value);

            string block = BlockHash.Of(Content(0).AsSpan(0, S)).ToString();
            File.Delete(Path.Combine(earlier, "blocks", block[..2], block));
            Assert.Equal(Content(0), await back.ReadAllAsync(file));

            await back.ReopenAsync();
            Assert.Equal(0, back.Copy.Why(file).Value.Copies);
        }
        Directory.Delete(earlier, recursive: true);
    }

    [Fact]
    public async Task A_drain_does_not_count_a_replica_that_lacks_what_only_another_had()
    {
        await using var master = await CreateAsync();
        await using var usb = await ReplicaFixture.CreateAsync("usb");
        await using var nas = await ReplicaFixture.CreateAsync("nas");
        var file = await EvictedFileAsync(master, usb);
        usb.Link.Target = null;
        await master.Copy.Replication.AttachAsync(nas.Name, nas.Link);
        await EventuallyAsync(() => master.Copy.Replication.Reports().Any(r => r.Name == "nas" && r.State == ReplicaState.Following));
        var step = (await master.Copy.Replication.DrainStepAsync(2, null, TimeSpan.FromMilliseconds(500), Cancellation)).Value;
        Assert.True(nas.Volume.Metadata.Committed >= step.Target, "it has the row");
        Assert.False(nas.Volume.BlockStore.Files.Exists(BlockHash.Of(Content(0).AsSpan(0, S))), "and not the block");
        Assert.Equal(1, step.Copies);

        // Nor does a master count it that is started anew while both are away.
        nas.Link.Target = null;
        await master.ReopenAsync();
        Assert.Equal(1, (await master.Volume.GetResidencyAsync(file, Cancellation)).Value.Copies);

        // Nor when it answers without a word about its blocks.
        await nas.Receiver.HoldAsync(nas.Volume.Id, new Epoch(9), usb.Name, Cancellation);
        nas.Link.Target = nas.Receiver;
        await master.Copy.Replication.AttachAsync(nas.Name, nas.Link);
        await EventuallyAsync(() => Trouble(master, nas)?.Contains("about to become the master", StringComparison.Ordinal) == true);
        Assert.Equal(1, (await master.Volume.GetResidencyAsync(file, Cancellation)).Value.Copies);
        step = (await master.Copy.Replication.DrainStepAsync(2, null, TimeSpan.Zero, Cancellation)).Value;
        Assert.Equal(1, step.Copies);

        await nas.RestartAsync();
        usb.Link.Target = usb.Receiver;
        await master.Copy.Replication.AttachAsync(nas.Name, nas.Link);
        await master.Copy.Replication.AttachAsync(usb.Name, usb.Link);
        await DrainAsync(master, copies: 2);
        Assert.Equal(2, (await master.Volume.GetResidencyAsync(file, Cancellation)).Value.Copies);
        Assert.True(nas.Volume.BlockStore.Files.Exists(BlockHash.Of(Content(0).AsSpan(0, S))));
        Assert.Equal((FileSize / S, 0L), await nas.VerifyAsync());
    }
}
