using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Replication;

/// <content>A disk that is smaller than the bound of the cache.</content>
public sealed partial class EvictionTests
{
    private const int DiskMebibytes = 48;

    /// <param name="isBounded">Whether the copy may evict when it is read; it did when it was written.</param>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Reading_leaves_the_disk_what_the_metadata_needs(bool isBounded)
    {
        using var disk = new SmallDisk(DiskMebibytes);
        string folder = Path.Combine(disk.Folder, "data");
        await using var replica = await ReplicaFixture.CreateAsync();
        await using (var writer = await OnAsync(folder, 1 << 30))
        {
            await writer.Copy.Replication.AttachAsync(replica.Name, replica.Link);
            for (int i = 0; i < 60; i++)
            {
                await WriteFileAsync(writer, i);
                if (i % 20 < 19)
                    continue;
                await DrainAsync(writer);
                for (int j = i - 19; j <= i; j++)
                    Assert.Equal(0, (await writer.Copy.ChangeResidencyAsync(await writer.FindAsync($"f{j}"), ResidencyAction.Evict, 0, FileSize, Cancellation)).Value.Staying);
            }
        }
        await using var master = await OnAsync(folder, isBounded ? 1 << 30 : null);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        for (int i = 0; i < 60; i++)
        {
            Assert.Equal(Content(i), await master.ReadAllAsync(await master.FindAsync($"f{i}")));
            // Without a bound blocks are stored up to the half that is the metadata's, which takes of it.
            Assert.True(disk.FreeBytes >= Limits.MinDiskReserve / (isBounded ? 2 : 4), $"{disk.FreeBytes} bytes are free after {i + 1} files");
        }
        Assert.Equal(Errno.None, (await master.Volume.UnlinkAsync(InodeNumber.Root, Name(0), Cancellation)).Error);
        if (isBounded)
            await WriteFileAsync(master, 60);
        await DrainAsync(master);
    }

    [Fact]
    public async Task A_disk_that_is_full_of_blocks_that_replicas_have_takes_more()
    {
        using var disk = new SmallDisk(DiskMebibytes);
        await using var replica = await ReplicaFixture.CreateAsync();
        await using var master = await OnAsync(Path.Combine(disk.Folder, "data"), 1 << 30);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        for (int i = 0; i < 80; i++)
            Assert.Equal(Errno.None, await TryWriteFileAsync(master, i));
        await DrainAsync(master);
        // Another program takes what is left, and there still is something to give.
        disk.FillUpTo(1 << 20);
        await WriteFileAsync(master, 80);
        await DrainAsync(master);
        for (int i = 0; i < 81; i++)
            Assert.Equal(Content(i), await master.ReadAllAsync(await master.FindAsync($"f{i}")));
    }

    private static Task<VolumeFixture> OnAsync(string folder, long? cache) => VolumeFixture.CreateAsync(S, folder, configure: o => o with { CacheSize = cache, CollectGrace = TimeSpan.Zero });
}
