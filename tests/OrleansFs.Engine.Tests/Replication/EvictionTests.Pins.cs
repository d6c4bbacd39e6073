using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Replication;

/// <content>What a user keeps here.</content>
public sealed partial class EvictionTests
{
    [Fact]
    public async Task Pins_at_the_same_time_leave_room_in_the_cache_too()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        for (int i = 0; i < 12; i++)
        {
            await WriteFileAsync(master, i);
            await DrainAsync(master);
        }
        var pinned = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => Task.Run(async () => (await PinAsync(master, i)).Error, Cancellation)));
        Assert.All(pinned, error => Assert.Contains(error, new[] { Errno.None, Errno.ENOSPC }));
        Assert.Equal(6, pinned.Count(error => error == Errno.None));
        Assert.InRange(master.Copy.Metadata.PinnedBytes(), 6L * FileSize, Cache / 100 * Limits.PinPercent);
    }

    [Fact]
    public async Task A_pinned_block_that_is_lost_can_be_unpinned_and_stays_pinned_where_it_is_stored_anew()
    {
        await using var master = await CreateAsync();
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await WriteFileAsync(master, 0);
        await DrainAsync(master);
        var file = await master.FindAsync("f0");
        Assert.Equal(Errno.None, (await PinAsync(master, 0)).Error);
        Lose();
        await WriteFileAsync(master, 0, "again");
        Assert.Equal(Errno.None, (await master.Volume.SyncAllAsync(Cancellation)).Error);
        Assert.Equal(FileSize / S, LocalBlocks(master, Content(0)));
        Assert.Equal(FileSize / S, master.Copy.Why(file).Value.PinnedBlocks);
        await DrainAsync(master);

        Lose();
        Assert.Equal(FileSize / S, (await master.Copy.ChangeResidencyAsync(file, ResidencyAction.Unpin, 0, FileSize, Cancellation)).Value.Changed);
        Assert.Equal(1, (await master.Copy.VerifyAllAsync()).Damaged);
        Assert.Equal(FileSize / S, LocalBlocks(master, Content(0)));
        Assert.Equal(0, master.Copy.Why(file).Value.PinnedBlocks);

        void Lose() => File.Delete(Directory.GetFiles(Path.Combine(master.Folder, "blocks"), BlockHash.Of(Content(0).AsSpan(0, S)).ToString(), SearchOption.AllDirectories).Single());
    }

    private static async Task<FsResult<ResidencyChange>> PinAsync(VolumeFixture master, int number) =>
        await master.Copy.ChangeResidencyAsync(await master.FindAsync($"f{number}"), ResidencyAction.Pin, 0, FileSize, Cancellation);
}
