using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

public sealed class OrphanageTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Who queues one may have the metadata lock, as a rename over a file has, and a purge takes the gate of a file, whose owner may wait for that lock.</summary>
    [Fact]
    public async Task An_orphan_for_which_the_queue_has_no_room_is_purged_later_and_not_at_once()
    {
        await using var volume = await VolumeFixture.CreateAsync(4096);
        using var session = volume.Copy.OpenSession(new Program());
        var file = await volume.CreateFileAsync("file");
        await volume.WriteAsync(file, 0, new byte[100]);
        Assert.True((await session.UnlinkAsync(InodeNumber.Root, "file"u8.ToArray(), Cancellation)).IsOk);

        var orphanage = new Orphanage(volume.Copy.Metadata, volume.Copy.Files, new TroubleLog(NullLogger.Instance, TimeProvider.System));
        for (ulong i = 0; i < Limits.PurgeQueue; i++)
            orphanage.Queue(new InodeNumber(1_000_000 + i));
        var inode = volume.Copy.Metadata.Acquire(file)!;
        var added = new Thread(() => orphanage.Add(file));
        lock (inode.Gate)
        {
            added.Start();
            Assert.True(added.Join(TimeSpan.FromSeconds(30)), "it waits for the gate of the file");
        }
        volume.Copy.Metadata.Release(inode);
        orphanage.PurgeQueued();
        Assert.Null(volume.Copy.Metadata.Acquire(file));
    }

    private sealed class Program : IInodeHolder
    {
        public bool Holds(InodeNumber inode) => true;
    }
}
