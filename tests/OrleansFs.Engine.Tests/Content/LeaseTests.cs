using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>Content that no file has: it stays as long as its lease, whatever is collected, stopped or killed meanwhile, and no longer.</summary>
public sealed class LeaseTests
{
    private const int S = 64 << 10;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_lease_is_kept_over_collections_restarts_and_a_kill_and_can_be_renewed()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        byte[] content = Data();
        var lease = await PutAsync(volume, content, TimeSpan.FromHours(1));
        await AssertThereAsync(volume, lease, content);

        await volume.ReopenAsync();
        await AssertThereAsync(volume, lease, content);
        var renewed = (await volume.Volume.LeaseAsync(lease.Holder, TimeSpan.FromHours(2), Cancellation)).Value;
        Assert.Equal((lease.Hash, lease.Size, true), (renewed.Hash, renewed.Size, renewed.Ends > lease.Ends));
        // The renewal was answered: a kill does not take it back.
        await using (var killed = await VolumeFixture.CreateAsync(folder: volume.CopyAsKilled()))
        {
            await AssertThereAsync(killed, lease, content);
            Assert.True((await killed.Volume.LinkAsync(lease.Holder, InodeNumber.Root, "file"u8.ToArray(), Cancellation)).IsOk);
            await killed.ReopenAsync();
            Assert.Equal(content, await killed.ReadAllAsync(await killed.FindAsync("file")));
            Assert.Equal(Errno.EINVAL, (await killed.Volume.LeaseAsync(lease.Holder, TimeSpan.FromHours(1), Cancellation)).Error);
            await killed.Copy.CloseAsync();
            Directory.Delete(killed.Folder, true);
        }
        Assert.Equal(Errno.None, (await volume.Volume.EndLeaseAsync(lease.Holder, Cancellation)).Error);
        await AssertGoneAsync(volume, lease);
    }

    [Fact]
    public async Task A_lease_that_ends_while_nobody_serves_the_volume_is_over()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        var lease = await PutAsync(volume, Data(), TimeSpan.FromMilliseconds(1));
        await volume.ReopenAsync();
        await AssertGoneAsync(volume, lease);
        Assert.Equal(Errno.ESTALE, (await volume.Volume.LeaseAsync(lease.Holder, TimeSpan.FromHours(1), Cancellation)).Error);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_lease_that_is_renewed_when_its_purge_is_queued_is_kept(bool getsName)
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        byte[] content = Data();
        var lease = await PutAsync(volume, content, TimeSpan.FromHours(1));
        // Purges go one after the other, and the one before takes as long as this.
        var before = (await volume.Volume.CreateUnnamedAsync(InodeNumber.Root, new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, VolumeFixture.Root, Cancellation)).Value.Inode;
        var inode = volume.Copy.Metadata.Acquire(before)!;
        using var held = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        var holding = Task.Factory.StartNew(
            () =>
            {
                lock (inode.Gate)
                {
                    held.Set();
                    release.Wait(Cancellation);
                }
            },
            Cancellation,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        held.Wait(Cancellation);
        volume.Hold(before);
        volume.LetGo(before);
        Assert.Equal(Errno.None, (await volume.Volume.EndLeaseAsync(lease.Holder, Cancellation)).Error);
        Assert.Equal(Errno.None, (await volume.Volume.LeaseAsync(lease.Holder, TimeSpan.FromHours(1), Cancellation)).Error);
        if (getsName)
        {
            Assert.True((await volume.Volume.LinkAsync(lease.Holder, InodeNumber.Root, "file"u8.ToArray(), Cancellation)).IsOk);
            byte[] more = [.. content, 1, 2, 3];
            await volume.WriteAsync(lease.Holder, content.Length, more[^3..]);
            content = more;
        }
        release.Set();
        await holding;
        volume.Copy.Metadata.Release(inode);
        await volume.Copy.Orphanage.PurgeQueuedAsync();
        if (getsName)
        {
            Assert.Equal(content, await volume.ReadAllAsync(await volume.FindAsync("file")));
            return;
        }
        await AssertThereAsync(volume, lease, content);

        Assert.Equal(Errno.None, (await volume.Volume.EndLeaseAsync(lease.Holder, Cancellation)).Error);
        await AssertGoneAsync(volume, lease);
    }

    private static byte[] Data()
    {
        byte[] content = new byte[5 * S + 100];
        new Random(7).NextBytes(content);
        return content;
    }

    private static async Task<ContentLease> PutAsync(VolumeFixture volume, byte[] content, TimeSpan time)
    {
        var inode = (await volume.Volume.CreateUnnamedAsync(InodeNumber.Root, new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, VolumeFixture.Root, Cancellation)).Value.Inode;
        volume.Hold(inode);
        await volume.WriteAsync(inode, 0, content);
        var lease = await volume.Volume.LeaseAsync(inode, time, Cancellation);
        Assert.Equal(Errno.None, lease.Error);
        volume.LetGo(inode);
        return lease.Value;
    }

    private static async Task AssertThereAsync(VolumeFixture volume, ContentLease lease, byte[] content)
    {
        await volume.Copy.CollectAsync(TimeSpan.Zero, false, null, Cancellation);
        var name = new ContentName(ContentKind.File, lease.Hash);
        Assert.Equal(content.Length, (await volume.Volume.HoldAsync(name, Cancellation)).Value.Size);
        byte[] read = new byte[content.Length];
        Assert.Equal(read.Length, (await volume.Volume.ReadAsync(name, 0, read, Cancellation)).Value);
        Assert.Equal(content, read);
        volume.Volume.Release(name);
    }

    private static async Task AssertGoneAsync(VolumeFixture volume, ContentLease lease)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(120));
        while ((await volume.StatusAsync()) is { Orphans: > 0 } or { Blocks: > 0 })
            await Task.Delay(10, limit.Token);
        await volume.Copy.CollectAsync(TimeSpan.Zero, false, null, Cancellation);
        Assert.Equal(Errno.ENOENT, (await volume.Volume.HoldAsync(new ContentName(ContentKind.File, lease.Hash), Cancellation)).Error);
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(volume.Folder, "blocks"), "*", SearchOption.AllDirectories));
    }
}
