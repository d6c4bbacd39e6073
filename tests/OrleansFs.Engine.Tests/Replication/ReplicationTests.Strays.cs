using Microsoft.Extensions.Time.Testing;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;
using static OrleansFs.Engine.Tests.Replication.ReplicationSteps;

namespace OrleansFs.Engine.Tests.Replication;

/// <content>Files of blocks on a replica that no row of it speaks of.</content>
public sealed partial class ReplicationTests
{
    /// <summary>What it was about to delete it knows in memory only.</summary>
    [Fact]
    public async Task A_replica_that_is_started_anew_deletes_what_it_had_not_deleted_yet()
    {
        // Later than any file of this test, and passing only when it is told to.
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow.AddDays(1));
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync(time: time);
        await WriteFileAsync(master, "a", 1, 8);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        await master.Volume.UnlinkAsync(InodeNumber.Root, "a"u8.ToArray(), Cancellation);
        await EventuallyAsync(async () => (await master.StatusAsync()).DeadBlocks == 8);
        Assert.Equal(8, (await master.Copy.CollectAsync(TimeSpan.Zero, false, null, Cancellation)).Blocks);
        await DrainAsync(master);
        await master.Copy.Replication.DetachAsync(replica.Name);
        await replica.RestartAsync();
        Assert.Equal(8, FilesOf(replica));
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await WriteFileAsync(master, "b", 2, 3);
        await DrainAsync(master);
        await PassUntilAsync(time, () => FilesOf(replica) == 3);
        Assert.Equal((3L, 0L), await replica.VerifyAsync());
    }

    /// <summary>After a full copy there are files whose rows were in the database before only; while it is taken, files whose rows are to come.</summary>
    [Fact]
    public async Task A_full_copy_leaves_no_files_behind_and_none_goes_while_it_is_taken()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow.AddDays(1));
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync(time: time);
        await WriteFileAsync(master, "a", 1, 8);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        await master.Copy.Replication.DetachAsync(replica.Name);
        await master.Volume.UnlinkAsync(InodeNumber.Root, "a"u8.ToArray(), Cancellation);
        await EventuallyAsync(async () => (await master.StatusAsync()).DeadBlocks == 8);
        await master.Copy.CollectAsync(TimeSpan.Zero, false, null, Cancellation);
        await WriteFileAsync(master, "b", 2, 3);
        await master.Copy.CloseAsync();
        using (var database = Database.Open(Path.Combine(master.Folder, "meta.db"), 1024))
            database.Execute("DELETE FROM journal");
        await master.ReopenAsync();
        int atEnd = 0;
        replica.Link.EndingCopy = () =>
        {
            time.Advance(2 * Limits.SweepAfterStart);
            // One that is asked for by hand is no exception.
            replica.Volume.CollectAsync(TimeSpan.Zero, dryRun: false, progress: null, Cancellation).GetAwaiter().GetResult();
            atEnd = FilesOf(replica);
        };
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        Assert.Equal(11, atEnd);
        await PassUntilAsync(time, () => FilesOf(replica) == 3);
        Assert.Equal((3L, 0L), await replica.VerifyAsync());
    }

    private static Task PassUntilAsync(FakeTimeProvider time, Func<bool> condition) => EventuallyAsync(() =>
    {
        time.Advance(Limits.CollectInterval);
        return condition();
    });

    private static int FilesOf(ReplicaFixture replica) =>
        Directory.EnumerateFiles(Path.Combine(replica.Folder, "blocks"), "*", SearchOption.AllDirectories).Count(f => Path.GetFileName(f).Length == 2 * BlockHash.Size);
}
