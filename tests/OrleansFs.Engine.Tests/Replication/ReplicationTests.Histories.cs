using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Replication;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;
using static OrleansFs.Engine.Tests.Replication.ReplicationSteps;

namespace OrleansFs.Engine.Tests.Replication;

/// <content>Two copies whose histories differ: after a promotion, and where a folder was set back.</content>
public sealed partial class ReplicationTests
{
    /// <summary>Were it sent anything by the former master, the replica would have what the new one has not, and could not follow it.</summary>
    [Theory, InlineData(true), InlineData(false)]
    public async Task A_former_master_sends_nothing_to_a_replica_that_has_not_heard_of_the_new_one(bool isFenced)
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var first = await ReplicaFixture.CreateAsync("first");
        await using var second = await ReplicaFixture.CreateAsync("second");
        await WriteFileAsync(master, "a", 1, 8);
        await master.Copy.Replication.AttachAsync(first.Name, first.Link);
        await master.Copy.Replication.AttachAsync(second.Name, second.Link);
        await DrainAsync(master, copies: 2);
        await master.Copy.Replication.DetachAsync(first.Name);
        await master.Copy.Replication.DetachAsync(second.Name);
        await WriteFileAsync(master, "never replicated", 3, 2);
        await master.Volume.SyncAllAsync(Cancellation);
        var epoch = await first.PromoteAsync();

        // It knows already, or finds out when it asks.
        if (isFenced)
            await master.Copy.FenceAsync(epoch, first.Volume.EpochStart);
        else
            master.Copy.ConfirmRole = _ => master.Copy.FenceAsync(epoch, first.Volume.EpochStart).AsTask();
        await master.Copy.Replication.AttachAsync(second.Name, second.Link);
        await EventuallyAsync(() => master.Copy.Replication.Reports().Any(r => r.Name == second.Name.Value && r.State == ReplicaState.Fenced));
        await first.Volume.Replication.AttachAsync(second.Name, second.Link);
        Assert.Equal(Errno.None, (await first.Volume.Replication.DrainAsync(1, null, Cancellation)).Error);
        using var session = first.OpenSession();
        using var reader = second.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(session), await Trees.DescribeAsync(reader));
    }

    [Fact]
    public async Task A_promoted_replica_takes_over_and_the_old_master_is_fenced()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var first = await ReplicaFixture.CreateAsync("first");
        await using var second = await ReplicaFixture.CreateAsync("second");
        await WriteFileAsync(master, "a", 1, 8);
        await master.Copy.Replication.AttachAsync(first.Name, first.Link);
        await master.Copy.Replication.AttachAsync(second.Name, second.Link);
        await DrainAsync(master, copies: 2);
        await master.Copy.Replication.DetachAsync(first.Name);
        await master.Copy.Replication.DetachAsync(second.Name);
        await WriteFileAsync(master, "never replicated", 3, 2);
        await master.Volume.SyncAllAsync(Cancellation);

        Assert.Equal(new Epoch(2), await first.PromoteAsync());
        using var session = first.OpenSession();
        var made = await session.CreateAsync(InodeNumber.Root, "new"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, VolumeFixture.Root, Cancellation);
        Assert.Equal(Errno.None, made.Error);
        Assert.Equal(Errno.None, (await session.WriteAsync(made.Value.Inode, 0, Pattern(9, 3 * S), WriteFlags.None, Cancellation)).Error);
        await first.Volume.Replication.AttachAsync(second.Name, second.Link);
        Assert.Equal(Errno.None, (await first.Volume.Replication.DrainAsync(1, null, Cancellation)).Error);
        using var reader = second.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(session), await Trees.DescribeAsync(reader));

        // The old one comes back, and is told by whomever it speaks to.
        await master.Copy.Replication.AttachAsync(second.Name, second.Link);
        await EventuallyAsync(() => master.Copy.ReadOnly);
        Assert.Equal(new Epoch(2), master.Copy.FencedBy);
        Assert.Equal(Errno.EROFS, (await master.Volume.UnlinkAsync(InodeNumber.Root, "a"u8.ToArray(), Cancellation)).Error);
        Assert.Equal(2 * S, (await master.ReadAllAsync(await master.FindAsync("never replicated"))).Length);
        await master.ReopenAsync();
        Assert.True(master.Copy.ReadOnly);
        Assert.Equal(new Epoch(2), master.Copy.FencedBy);
        Assert.Equal(await Trees.DescribeAsync(session), await Trees.DescribeAsync(reader));
    }

    [Fact]
    public async Task A_replica_that_has_more_than_its_master_is_left_alone()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteFileAsync(master, "a", 1, 2);
        await master.Volume.SyncAllAsync(Cancellation);
        string earlier = master.CopyAsKilled();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await WriteFileAsync(master, "b", 2, 2);
        await DrainAsync(master);
        await master.Copy.Replication.DetachAsync(replica.Name);
        await using (var back = await VolumeFixture.CreateAsync(S, earlier))
        {
            await back.Copy.Replication.AttachAsync(replica.Name, replica.Link);
            await EventuallyAsync(() => back.Copy.Replication.Reports().Single().State == ReplicaState.Ahead);
            using var session = replica.OpenSession();
            Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));
            Assert.True(back.Copy.Replication.Discard(replica.Name));
            await DrainAsync(back);
            Assert.Equal(await Trees.DescribeAsync(back.Volume), await Trees.DescribeAsync(session));
        }
        Directory.Delete(earlier, recursive: true);
    }

    /// <summary>In the one case a transaction of the folder that was set back ends where the replica is, in the next none does, and in the last its journal does not go back so far.</summary>
    [Theory, InlineData(true, false), InlineData(false, false), InlineData(false, true)]
    public async Task A_replica_is_left_alone_by_a_master_that_was_set_back_and_has_passed_it_since(bool meets, bool isCut)
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteFileAsync(master, "a", 1, 2);
        await master.Volume.SyncAllAsync(Cancellation);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        string earlier = master.CopyAsKilled();
        await WriteFileAsync(master, "b", 2, 2);
        await DrainAsync(master);
        await master.Copy.Replication.DetachAsync(replica.Name);
        var position = replica.Volume.Metadata.Committed;
        using var session = replica.OpenSession();
        string before = await Trees.DescribeAsync(session);
        await using (var back = await VolumeFixture.CreateAsync(S, earlier))
        {
            await CreateManyAsync(back, (int)(position.Value - back.Copy.Metadata.Committed.Value) + 20, oneByOne: meets);
            if (isCut)
            {
                await back.Copy.CloseAsync();
                using (var database = Engine.Metadata.Database.Open(Path.Combine(earlier, "meta.db"), 1024))
                    database.Execute("DELETE FROM journal");
                await back.ReopenAsync();
            }
            using (var reader = JournalReader.Open(Path.Combine(earlier, "meta.db")))
                Assert.Equal(meets, reader.Read(position, 1, 1) is { Count: > 0 });
            await back.Copy.Replication.AttachAsync(replica.Name, replica.Link);
            await EventuallyAsync(() => back.Copy.Replication.Reports().Single().State is ReplicaState.Ahead or ReplicaState.Following);
            Assert.Equal(ReplicaState.Ahead, back.Copy.Replication.Reports().Single().State);
            Assert.Equal(before, await Trees.DescribeAsync(session));
            Assert.Equal(1, replica.Link.Copies);
            Assert.True(back.Copy.Replication.Discard(replica.Name));
            await DrainAsync(back);
            Assert.Equal(await Trees.DescribeAsync(back.Volume), await Trees.DescribeAsync(session));
        }
        Directory.Delete(earlier, recursive: true);

        static async Task CreateManyAsync(VolumeFixture volume, int count, bool oneByOne)
        {
            var store = volume.Copy.Metadata;
            lock (store.Lock)
            {
                for (int i = 0; i < count; i++)
                {
                    Assert.True(store.Create(InodeNumber.Root, System.Text.Encoding.UTF8.GetBytes($"other{i}"), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, VolumeFixture.Root).IsOk);
                    if (oneByOne)
                        Assert.True(store.Commit().IsOk);
                }
            }
            Assert.True((await volume.Volume.SyncAllAsync(Cancellation)).IsOk);
        }
    }

    [Fact]
    public async Task Folders_of_before_there_were_branches_go_on()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteFileAsync(master, "a", 1, 2);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        await master.Copy.CloseAsync();
        await replica.Receiver.CloseAsync();
        foreach (string folder in (string[])[master.Folder, replica.Folder])
        {
            using var database = Engine.Metadata.Database.Open(Path.Combine(folder, "meta.db"), 1024);
            database.Execute("DROP TABLE branch; PRAGMA user_version = 17");
        }
        await master.ReopenAsync();
        await WriteFileAsync(master, "b", 2, 2);
        await replica.RestartAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        using var session = replica.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));
        Assert.Equal(1, replica.Link.Copies);
        Assert.Equal(master.Copy.Metadata.Branches(), replica.Volume.Metadata.Branches());
    }
}
