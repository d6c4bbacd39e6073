using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Replication;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Replication;

/// <content>A master that hands over to a replica.</content>
public sealed partial class SuccessionTests
{
    [Fact]
    public async Task A_master_that_hands_over_takes_no_changes_and_brings_over_what_sessions_have_open()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        var holder = new Program { IsRunning = true };
        var session = master.Copy.OpenSession(holder);
        master.Copy.KeepSession(new KeptSession(Guid.NewGuid(), "host:/mnt", null, null));
        var open = (await session.CreateAsync(InodeNumber.Root, "open"u8.ToArray(), s_file, VolumeFixture.Root, Cancellation)).Value.Inode;
        await session.WriteAsync(open, 0, Pattern(1, 1), WriteFlags.None, Cancellation);
        Assert.True((await session.UnlinkAsync(InodeNumber.Root, "open"u8.ToArray(), Cancellation)).IsOk);
        master.Copy.Yielding += () =>
        {
            holder.IsRunning = false;
            session.Dispose();
            // What nobody has open any more, if it were that.
            master.Copy.Orphanage.PurgeQueuedAsync().GetAwaiter().GetResult();
        };

        var yielded = await master.Copy.YieldAsync(replica.Name, TimeSpan.FromSeconds(30), Cancellation);
        Assert.Equal(Errno.None, yielded.Error);
        Assert.Equal(Errno.EROFS, (await master.Volume.CreateAsync(InodeNumber.Root, "late"u8.ToArray(), s_file, VolumeFixture.Root, Cancellation)).Error);
        await replica.PromoteAsync();
        Assert.Equal(yielded.Value, replica.Volume.EpochStart);
        Assert.Equal([open], replica.Volume.KeptOrphans);
        using var there = replica.OpenSession();
        byte[] content = new byte[S];
        Assert.Equal(S, (await there.ReadAsync(open, 0, content, Cancellation)).Value);
        Assert.Equal(Pattern(1, 1), content);
    }

    /// <summary>A write that waited for memory, or a change whose thread stood still, is answered after what it would have to be part of.</summary>
    [Fact]
    public async Task A_change_that_was_let_in_before_the_hand_over_is_part_of_it_or_is_refused()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        var file = await master.CreateFileAsync("file");
        await master.WriteAsync(file, 0, Pattern(1, 2));
        await master.Volume.SyncAllAsync(Cancellation);
        var errors = new List<Errno>();
        master.Copy.Yielding += () =>
        {
            var files = master.Copy.Files;
            errors.Add(files.WriteAsync(file, 0, Pattern(2, 1), WriteFlags.None, Cancellation).AsTask().GetAwaiter().GetResult().Error);
            errors.Add(files.AllocateAsync(file, AllocateMode.ZeroRange, 10, S, Cancellation).AsTask().GetAwaiter().GetResult().Error);
            errors.Add(files.AllocateAsync(file, AllocateMode.None, 0, 4 * S, Cancellation).AsTask().GetAwaiter().GetResult().Error);
            errors.Add(files.CopyRangeAsync(file, 0, file, 4 * S, 2 * S, Cancellation).AsTask().GetAwaiter().GetResult().Error);
            errors.Add(master.Copy.Create(InodeNumber.Root, "new"u8, s_file, VolumeFixture.Root, null).Error);
            errors.Add(master.Copy.Link(file, InodeNumber.Root, "link"u8, null).Error);
            errors.Add(master.Copy.SetXattr(file, "user.a"u8, "b"u8, XattrFlags.None, null).Error);
        };
        Assert.Equal(Errno.None, (await master.Copy.YieldAsync(replica.Name, TimeSpan.FromSeconds(30), Cancellation)).Error);
        Assert.Equal(Enumerable.Repeat((int)Errno.EROFS, 7), errors.Select(e => (int)e));
        Assert.Equal(0, master.Copy.Files.Dirty.Count);
        await replica.PromoteAsync();
        using var session = replica.OpenSession();
        Assert.Equal(await Trees.DescribeAsync(master.Volume), await Trees.DescribeAsync(session));
    }

    /// <summary>What it makes after that is on no other copy: it would be told as lost.</summary>
    [Fact]
    public async Task A_master_that_has_handed_over_makes_no_mutation_of_its_own()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        var file = await master.CreateFileAsync("file");
        await master.WriteAsync(file, 0, Pattern(1, 1));
        await master.Volume.CreateAsync(InodeNumber.Root, "directory"u8.ToArray(), new NewInode { Mode = Mode.S_IFDIR | 0x1ED }, VolumeFixture.Root, Cancellation);
        var deleted = await DeletedAsync(master);
        var yielded = await master.Copy.YieldAsync(replica.Name, TimeSpan.FromSeconds(30), Cancellation);
        Assert.Equal(Errno.None, yielded.Error);

        await master.ReadAllAsync(file);
        await Trees.DescribeAsync(master.Volume);
        master.LetGo(deleted);
        master.Copy.Orphanage.Queue(deleted);
        master.Copy.KeepSession(new KeptSession(Guid.NewGuid(), "host:/mnt", null, null));
        master.Copy.DropSession(Guid.NewGuid());
        await Task.Delay(3 * Limits.CommitInterval, Cancellation);
        Assert.Equal(yielded.Value, master.Copy.Metadata.Tail);
        await replica.PromoteAsync();
        await EventuallyAsync(() => master.Copy.FencedBy is not null);
        Assert.Equal(yielded.Value, master.Copy.Metadata.Committed);
    }

    [Fact]
    public async Task A_master_purges_again_when_a_hand_over_has_come_to_nothing()
    {
        var time = new PassingTime();
        await using var master = await VolumeFixture.CreateAsync(S, time: time);
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        var deleted = await DeletedAsync(master);
        Assert.Equal(Errno.None, (await master.Copy.YieldAsync(replica.Name, TimeSpan.FromSeconds(30), Cancellation)).Error);
        master.LetGo(deleted);
        master.Copy.Orphanage.Queue(deleted);
        await Task.Delay(3 * Limits.CommitInterval, Cancellation);
        Assert.Equal(1, master.Copy.Metadata.Counters.Orphans);
        time.Pass(Limits.YieldFor);
        await EventuallyAsync(() => master.Copy.Metadata.Counters.Orphans == 0);
    }

    [Fact]
    public async Task A_master_goes_on_where_it_cannot_hand_over()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await EventuallyAsync(() => replica.Receiver.Volume is { Epoch.Value: > 0 });
        replica.Link.Target = null;
        await WriteAsync(master, "more", 1, 1);
        Assert.Equal(Errno.ETIMEDOUT, (await master.Copy.YieldAsync(replica.Name, TimeSpan.FromMilliseconds(100), Cancellation)).Error);
        Assert.Equal(Errno.None, (await master.Volume.CreateAsync(InodeNumber.Root, "on"u8.ToArray(), s_file, VolumeFixture.Root, Cancellation)).Error);
        Assert.Equal(Errno.EROFS, (await replica.Volume.YieldAsync(CopyName.Parse("other"), TimeSpan.Zero, Cancellation)).Error);
    }

    /// <summary>It would be asked for its blocks when nobody else has them any more.</summary>
    [Fact]
    public async Task A_master_does_not_hand_over_to_a_replica_that_lacks_blocks()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteAsync(master, "a", 1, 4);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(1, null, Cancellation)).Error);
        var mending = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        replica.Link.Gate = mending.Task;
        File.Delete(Directory.GetFiles(Path.Combine(replica.Folder, "blocks"), "*", SearchOption.AllDirectories)[0]);
        Assert.Equal(1, (await replica.VerifyAsync()).Damaged);
        await EventuallyAsync(() => master.Copy.Replication.Reports().Single().DamagedBlocks == 1);
        Assert.Equal(Errno.ETIMEDOUT, (await master.Copy.YieldAsync(replica.Name, TimeSpan.FromMilliseconds(300), Cancellation)).Error);

        replica.Link.Gate = null;
        mending.SetResult();
        Assert.Equal(Errno.None, (await master.Copy.YieldAsync(replica.Name, TimeSpan.FromSeconds(60), Cancellation)).Error);
        Assert.Equal((4L, 0L), await replica.VerifyAsync());
    }

    /// <summary>A file without a name that is open.</summary>
    private static async Task<InodeNumber> DeletedAsync(VolumeFixture master)
    {
        var deleted = await master.CreateFileAsync("deleted");
        await master.WriteAsync(deleted, 0, Pattern(2, 1));
        master.Hold(deleted);
        Assert.True((await master.Volume.UnlinkAsync(InodeNumber.Root, "deleted"u8.ToArray(), Cancellation)).IsOk);
        return deleted;
    }

    private sealed class Program : IInodeHolder
    {
        public bool IsRunning { get; set; }

        bool IInodeHolder.OutlivesProcess => true;

        public bool Holds(InodeNumber inode) => IsRunning;
    }
}
