using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Replication;

/// <summary>Content by its hash, while files change, are deleted, collected, evicted, and on a replica.</summary>
public sealed class ByHashTests
{
    private const int S = 64 << 10;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Content_is_found_as_long_as_a_file_has_it_and_stays_while_it_is_held()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        var file = await volume.CreateFileAsync("a");
        byte[] old = Random(1, 5 * S + 7);
        await volume.WriteAsync(file, 0, old);
        var name = await FileNameAsync(old);
        Assert.Equal(Errno.ENOENT, (await volume.Volume.HoldAsync(name, Cancellation)).Error); // in flight
        await volume.SyncAsync(file);
        Assert.Equal(old.Length, (await volume.Volume.HoldAsync(name, Cancellation)).Value.Size);

        // The file changes, goes, and what is dead is collected.
        await volume.WriteAsync(file, S, Random(2, S));
        await volume.SyncAsync(file);
        Assert.Equal(old, await ReadAsync(volume.Volume, name, old.Length));
        await volume.Volume.UnlinkAsync(InodeNumber.Root, "a"u8.ToArray(), Cancellation);
        await EventuallyAsync(async () => (await volume.StatusAsync()).Blocks == 0);
        await volume.Copy.CollectAsync(TimeSpan.Zero, false, null, Cancellation);
        Assert.Equal(old, await ReadAsync(volume.Volume, name, old.Length));
        var block = new ContentName(ContentKind.Block, BlockHash.Of(old.AsSpan(0, S)));
        Assert.True((await volume.Volume.HoldAsync(block, Cancellation)).IsOk);

        volume.Volume.Release(name);
        Assert.Equal(Errno.EBADF, (await volume.Volume.ReadAsync(name, 0, new byte[10], Cancellation)).Error);
        await volume.Copy.CollectAsync(TimeSpan.Zero, false, null, Cancellation);
        Assert.Equal(1, (await volume.StatusAsync()).DeadBlocks); // held by its own name
        volume.Volume.Release(block);
        await volume.Copy.CollectAsync(TimeSpan.Zero, false, null, Cancellation);
        Assert.Equal(0, (await volume.StatusAsync()).DeadBlocks);
        Assert.Equal(Errno.ENOENT, (await volume.Volume.HoldAsync(name, Cancellation)).Error);
        Assert.Equal(Errno.ENOENT, (await volume.Volume.HoldAsync(block, Cancellation)).Error);
    }

    [Fact]
    public async Task Of_two_files_with_one_content_one_is_enough_and_a_hole_costs_no_block()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        byte[] content = [.. Random(1, S), .. new byte[3 * S], .. Random(2, 100)];
        foreach (string file in new[] { "a", "b" })
        {
            var inode = await volume.CreateFileAsync(file);
            await volume.WriteAsync(inode, 0, content);
            await volume.SyncAsync(inode);
        }
        var name = await FileNameAsync(content);
        await volume.Volume.UnlinkAsync(InodeNumber.Root, "a"u8.ToArray(), Cancellation);
        var info = (await volume.Volume.HoldAsync(name, Cancellation)).Value;
        Assert.Equal((content.Length, S + 100L), (info.Size, info.AllocatedBytes));
        Assert.Equal(content, await ReadAsync(volume.Volume, name, content.Length));
        byte[] part = new byte[2 * S];
        Assert.Equal(2 * S, (await volume.Volume.ReadAsync(name, S / 2, part, Cancellation)).Value);
        Assert.Equal(content[(S / 2)..(S / 2 + 2 * S)], part);
        Assert.Equal(0, (await volume.Volume.ReadAsync(name, content.Length, part, Cancellation)).Value);
        await volume.ReopenAsync();
        Assert.True((await volume.Volume.HoldAsync(name, Cancellation)).IsOk);
    }

    [Fact]
    public async Task A_replica_has_it_too_and_what_was_evicted_is_fetched()
    {
        await using var master = await VolumeFixture.CreateAsync(S, configure: o => o with { CacheSize = 8 << 20, BlockSize = S });
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        byte[] content = Random(3, 20 * S + 1);
        var file = await master.CreateFileAsync("a");
        await master.WriteAsync(file, 0, content);
        await master.SyncAsync(file);
        await master.Copy.Replication.DrainAsync(1, null, Cancellation).WaitAsync(TimeSpan.FromSeconds(120), Cancellation);
        var name = await FileNameAsync(content);
        Assert.Equal(0, (await master.Volume.ChangeResidencyAsync(file, ResidencyAction.Evict, 0, long.MaxValue, Cancellation)).Value.Staying);
        Assert.Equal("0", await XattrAsync(master.Volume, file, "local"));
        Assert.Equal("1", await XattrAsync(master.Volume, file, "copies"));
        Assert.True((await master.Volume.HoldAsync(name, Cancellation)).IsOk);
        Assert.Equal(content, await ReadAsync(master.Volume, name, content.Length));
        // Who reads is answered first, and what came is kept behind that.
        await EventuallyAsync(async () => await XattrAsync(master.Volume, file, "local") == $"{content.Length}");
        Assert.Equal(Errno.None, (await master.Volume.SetXattrAsync(file, "user.orleansfs.pinned"u8.ToArray(), "1"u8.ToArray(), default, Cancellation)).Error);
        Assert.Equal("1", await XattrAsync(master.Volume, file, "pinned"));

        using var session = replica.OpenSession();
        Assert.True((await session.HoldAsync(name, Cancellation)).IsOk);
        Assert.Equal(name.Hash.ToString(), await XattrAsync(session, file, "hash"));
        await master.Volume.UnlinkAsync(InodeNumber.Root, "a"u8.ToArray(), Cancellation);
        master.Volume.Release(name);
        await EventuallyAsync(async () => (await master.StatusAsync()).Blocks == 0);
        await master.Copy.CollectAsync(TimeSpan.Zero, false, null, Cancellation);
        await master.Copy.Replication.DrainAsync(1, null, Cancellation).WaitAsync(TimeSpan.FromSeconds(120), Cancellation);
        Assert.Equal(0, replica.Volume.Metadata.Counters.DeadBlocks);
        replica.Volume.ReplicaBlocks.Sweep(TimeSpan.FromSeconds(-60), Cancellation);
        Assert.Equal(content, await ReadAsync(session, name, content.Length));
        session.Release(name);
        Assert.Equal(21, replica.Volume.ReplicaBlocks.Sweep(TimeSpan.FromSeconds(-60), Cancellation).Files);
        Assert.Equal(Errno.ENOENT, (await session.HoldAsync(name, Cancellation)).Error);
    }

    private static async Task<string> XattrAsync(LocalSession session, InodeNumber inode, string name)
    {
        var value = await session.GetXattrAsync(inode, System.Text.Encoding.ASCII.GetBytes($"user.orleansfs.{name}"), Cancellation);
        return System.Text.Encoding.ASCII.GetString(value.Value.Span);
    }

    private static async Task<ContentName> FileNameAsync(byte[] content)
    {
        using var stream = new MemoryStream(content);
        return new ContentName(ContentKind.File, await ContentHasher.HashAsync(stream, S, null, Cancellation));
    }

    private static async Task<byte[]> ReadAsync(LocalSession session, ContentName name, int length)
    {
        byte[] read = new byte[length + 10];
        var result = await session.ReadAsync(name, 0, read, Cancellation);
        Assert.Equal(length, result.Value);
        return read[..length];
    }

    private static byte[] Random(int seed, int length)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static async Task EventuallyAsync(Func<Task<bool>> condition)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        while (!await condition())
            await Task.Delay(10, limit.Token);
    }
}
