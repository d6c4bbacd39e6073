using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Replication;

/// <content>A cache that is full of what has to stay: who writes waits, and is refused after its time; who reads and deletes goes on.</content>
public sealed partial class EvictionTests
{
    [Fact]
    public async Task Without_a_replica_nothing_is_evicted_and_a_full_cache_says_so()
    {
        await using var master = await CreateAsync(o => o with { CacheFullTimeout = TimeSpan.FromSeconds(1) });
        int written = 0;
        Errno refused;
        do
            refused = await TryWriteFileAsync(master, written);
        while (refused == Errno.None && ++written < 20);
        Assert.Equal(Errno.ENOSPC, refused);
        Assert.InRange(written, 5, 8);
        await master.Volume.SyncAllAsync(Cancellation);
        Assert.Contains("attach a replica", (await master.StatusAsync()).Trouble, StringComparison.Ordinal);
        for (int i = 0; i < written; i++)
            Assert.Equal(Content(i), await master.ReadAllAsync(await master.FindAsync($"f{i}")));
        Assert.Equal(0, (await master.Volume.GetSpaceAsync(Cancellation)).Value.FreeBytes / FileSize);

        for (int i = 0; i < 3; i++)
            Assert.Equal(Errno.None, (await master.Volume.UnlinkAsync(InodeNumber.Root, Name(i), Cancellation)).Error);
        await EventuallyAsync(async () => await TryWriteFileAsync(master, 50) == Errno.None);
    }

    [Fact]
    public async Task While_the_replica_is_away_writers_wait_then_are_refused_and_readers_and_deleters_go_on()
    {
        await using var master = await CreateAsync(o => o with { CacheFullTimeout = TimeSpan.FromSeconds(1) });
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await WriteFileAsync(master, 0);
        await DrainAsync(master);
        replica.Link.Target = null;
        int written = 1;
        while (written < 20 && await TryWriteFileAsync(master, written) == Errno.None)
            written++;
        Assert.InRange(written, 5, 9);
        Assert.Equal(Content(1), await master.ReadAllAsync(await master.FindAsync("f1")));
        Assert.Equal(Errno.None, (await master.Volume.UnlinkAsync(InodeNumber.Root, Name(1), Cancellation)).Error);

        // It comes back while a writer waits.
        replica.Link.Target = replica.Receiver;
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await EventuallyAsync(async () => await TryWriteFileAsync(master, 60) == Errno.None);
        await DrainAsync(master);
    }

    [Fact]
    public async Task A_writer_in_a_full_cache_waits_for_a_replica_that_is_not_known_yet()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        // As many as fit, beside the room that writers leave.
        for (int i = 0; i < 6; i++)
            await WriteFileAsync(master, i);
        var writing = Task.Run(async () =>
        {
            for (int i = 6; i < 12; i++)
                await WriteFileAsync(master, i);
        }, Cancellation);
        await EventuallyAsync(async () => (await master.StatusAsync()).Trouble is not null);
        Assert.False(writing.IsCompleted);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await writing.WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
        await DrainAsync(master);
        await EventuallyAsync(() => BytesOfBlocks(master) <= Cache);
    }

    [Fact]
    public async Task A_writer_whose_room_is_taken_by_others_waits_on()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        var closed = new TaskCompletionSource();
        replica.Link.Gate = closed.Task;
        for (int i = 0; i < 6; i++)
            await WriteFileAsync(master, i);
        var other = await master.CreateFileAsync("other");
        byte[] content = Content(99);
        var makeRoom = master.Copy.Files.MakeRoom;
        int times = 0;
        int taken = 0;
        master.Copy.Files.MakeRoom = async cancellation =>
        {
            bool goesOn = await makeRoom(cancellation);
            // All that has become free, and nothing that would have to be waited for.
            if (Interlocked.Increment(ref times) == 1)
            {
                while ((await master.Volume.WriteAsync(other, taken, content.AsMemory(taken % FileSize, S), WriteFlags.None, new CancellationToken(canceled: true))).IsOk)
                    taken += S;
            }
            return goesOn;
        };
        var writing = Task.Run(async () =>
        {
            for (int i = 6; i < 9; i++)
                await WriteFileAsync(master, i);
        }, Cancellation);
        await EventuallyAsync(async () => (await master.StatusAsync()).Trouble is not null);
        replica.Link.Gate = null;
        closed.SetResult();
        await writing.WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
        Assert.True(taken > 0 && times > 1);
        await DrainAsync(master);
        for (int i = 0; i < 9; i++)
            Assert.Equal(Content(i), await master.ReadAllAsync(await master.FindAsync($"f{i}")));
    }

    [Fact]
    public async Task A_few_bytes_over_a_stored_block_count_as_the_block_that_they_become()
    {
        await using var master = await CreateAsync(o => o with { CacheFullTimeout = TimeSpan.FromSeconds(1) });
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        for (int i = 0; i < 24; i++)
        {
            await WriteFileAsync(master, i);
            await DrainAsync(master);
        }
        // From here on nothing that is new can leave.
        var closed = new TaskCompletionSource();
        replica.Link.Gate = closed.Task;
        int refused = 0;
        for (int i = 0; i < 24 * FileSize / S; i++)
        {
            var file = await master.FindAsync($"f{i / (FileSize / S)}");
            var written = await master.Volume.WriteAsync(file, (i % (FileSize / S) * S) + 100, new byte[] { 1, 2, 3, 4 }, WriteFlags.None, Cancellation);
            refused += written.IsOk ? 0 : 1;
            Assert.True(written.IsOk || written.Error == Errno.ENOSPC);
        }
        Assert.Equal(Errno.None, (await master.Volume.SyncAllAsync(Cancellation)).Error);
        Assert.InRange(master.Copy.Metadata.LocalBytes, 1, Cache + FileSize);
        Assert.True(refused > 0);
        closed.SetResult();
        await DrainAsync(master);
    }

    [Fact]
    public async Task Who_comes_after_the_time_out_of_a_full_cache_does_not_wait_for_it_again()
    {
        await using var master = await CreateAsync(o => o with { CacheFullTimeout = TimeSpan.FromSeconds(2) });
        int written = 0;
        while (await TryWriteFileAsync(master, written) == Errno.None)
            written++;
        long began = TimeProvider.System.GetTimestamp();
        for (int i = 0; i < 20; i++)
            Assert.Equal(Errno.ENOSPC, await TryWriteFileAsync(master, 100 + i));
        Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(20), "each waited for itself");
    }
}
