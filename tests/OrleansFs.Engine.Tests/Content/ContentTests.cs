using System.Security.Cryptography;
using System.Text;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>What the content layer promises, on a real volume in a real folder.</summary>
public sealed class ContentTests
{
    private const int S = 128 << 10;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>The end of the last block there can be is past what a long holds.</summary>
    [Fact]
    public async Task The_last_block_that_there_can_be_is_one_like_any_other()
    {
        const int Block = 4096;
        const long Last = long.MaxValue - (Block - 1);
        await using var volume = await VolumeFixture.CreateAsync(Block);
        var file = await volume.CreateFileAsync("huge");
        var other = await volume.CreateFileAsync("other");
        foreach (bool isWhole in new[] { true, false })
        {
            await volume.SetSizeAsync(file, isWhole ? long.MaxValue : long.MaxValue - 100);
            await volume.WriteAsync(file, Last, [.. Enumerable.Repeat((byte)1, 40)]);
            Assert.True((await volume.Volume.AllocateAsync(file, AllocateMode.PunchHole | AllocateMode.KeepSize, Last + 10, 20, Cancellation)).IsOk);
            byte[] read = new byte[40];
            Assert.Equal(40, (await volume.Volume.ReadAsync(file, Last, read, Cancellation)).Value);
            Assert.Equal([.. Enumerable.Repeat((byte)1, 10), .. new byte[20], .. Enumerable.Repeat((byte)1, 10)], read);
            Assert.True((await volume.Volume.AllocateAsync(file, AllocateMode.PunchHole | AllocateMode.KeepSize, Last, long.MaxValue - Last, Cancellation)).IsOk);
            Assert.Equal(40, (await volume.Volume.ReadAsync(file, Last, read, Cancellation)).Value);
            Assert.Equal(new byte[40], read);
            var copied = await Task.Run(() => volume.Volume.CopyRangeAsync(file, Last, other, 0, long.MaxValue - Last, Cancellation).AsTask()).WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
            Assert.True(copied.IsOk && copied.Value > 0);
            Assert.True((await volume.Volume.SyncAllAsync(Cancellation)).IsOk);
            Assert.True((await volume.Volume.GetResidencyAsync(file, Cancellation)).IsOk);
            await volume.SetSizeAsync(file, 0);
        }
    }

    [Fact]
    public async Task What_is_written_is_read_before_and_after_a_settling_and_after_reopening()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        var file = await volume.CreateFileAsync("f");
        byte[] data = RandomNumberGenerator.GetBytes(3 * S + 777);
        await volume.WriteAsync(file, 0, data);
        Assert.Equal(data, await volume.ReadAllAsync(file));
        await volume.SyncAsync(file);
        Assert.Equal(data, await volume.ReadAllAsync(file));
        await volume.ReopenAsync();
        Assert.Equal(data, await volume.ReadAllAsync(await volume.FindAsync("f")));
    }

    [Fact]
    public async Task A_block_is_a_file_named_by_its_hash_and_stored_once()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        byte[] data = RandomNumberGenerator.GetBytes(S);
        foreach (string name in (string[])["a", "b", "c"])
        {
            var file = await volume.CreateFileAsync(name);
            await volume.WriteAsync(file, 0, data);
        }
        Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
        string hash = Convert.ToHexStringLower(SHA256.HashData(data));
        Assert.True(File.Exists(Path.Combine(volume.Folder, "blocks", hash[..2], hash)));
        Assert.Single(Directory.EnumerateFiles(Path.Combine(volume.Folder, "blocks"), "*", SearchOption.AllDirectories));
        Assert.Equal(3, volume.Copy.GetBlock(BlockHash.Parse(hash)).Value.References);
    }

    [Fact]
    public async Task Many_one_byte_appends_make_as_many_blocks_as_one_write()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        var file = await volume.CreateFileAsync("f");
        byte[] data = RandomNumberGenerator.GetBytes(200_000);
        for (int i = 0; i < data.Length; i++)
        {
            var written = await volume.Volume.WriteAsync(file, 0, data.AsMemory(i, 1), WriteFlags.Append, Cancellation);
            Assert.Equal(i, written.Value);
        }
        Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
        Assert.Equal(data, await volume.ReadAllAsync(file));
        Assert.Equal(2, Directory.EnumerateFiles(Path.Combine(volume.Folder, "blocks"), "*", SearchOption.AllDirectories).Count());
    }

    [Fact]
    public async Task What_was_synced_in_small_pieces_survives_a_kill()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        var file = await volume.CreateFileAsync("db");
        await volume.WriteAsync(file, 0, RandomNumberGenerator.GetBytes(2 * S));
        await volume.SyncAsync(file);
        for (int i = 0; i < 40; i++)
        {
            await volume.WriteAsync(file, i * 6007, RandomNumberGenerator.GetBytes(4096));
            await volume.SyncAsync(file);
        }
        byte[] expected = await volume.ReadAllAsync(file);
        await volume.WriteAsync(file, 0, new byte[100]);
        await ExpectAfterKill(volume, "db", expected);
    }

    [Fact]
    public async Task Scattered_writes_are_synced_without_making_their_blocks_and_survive_a_kill()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        var inode = await volume.CreateFileAsync("database");
        byte[] content = new byte[16 << 20];
        var random = new Random(4);
        random.NextBytes(content);
        await volume.WriteAsync(inode, 0, content);
        await volume.SyncAsync(inode);
        int blocks = Directory.GetFiles(Path.Combine(volume.Folder, "blocks"), "*", SearchOption.AllDirectories).Length;
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < 150; i++)
            {
                byte[] page = new byte[random.Next(1, 5000)];
                random.NextBytes(page);
                int at = random.Next(content.Length - page.Length);
                page.CopyTo(content, at);
                await volume.WriteAsync(inode, at, page);
            }
            await volume.SyncAsync(inode);
        }
        Assert.Equal(blocks, Directory.GetFiles(Path.Combine(volume.Folder, "blocks"), "*", SearchOption.AllDirectories).Length);
        await ExpectAfterKill(volume, "database", content);
        // The one that lives makes blocks of it when the file settles.
        Assert.True((await volume.Volume.SyncAllAsync(Cancellation)).IsOk);
        await volume.ReopenAsync();
        Assert.Equal(content, await volume.ReadAllAsync(inode));
    }

    [Fact]
    public async Task What_was_synced_while_the_file_was_being_settled_survives_a_kill()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        var file = await volume.CreateFileAsync("db");
        await volume.WriteAsync(file, 0, RandomNumberGenerator.GetBytes(60 * S));
        await volume.SyncAsync(file);
        await volume.CreateFileAsync("other");
        for (int round = 0; round < 4; round++)
        {
            for (int i = 0; i < 28; i++)
                await volume.WriteAsync(file, (2 * i + 1) * S, RandomNumberGenerator.GetBytes(4096));
            await volume.SyncAsync(file);
            // The file is settled because it takes another's place; meanwhile small writes go to the redo log.
            var (from, to) = round % 2 == 0 ? ("db", "other") : ("other", "db");
            if (round > 0)
                await volume.CreateFileAsync(to);
            var settling = Task.Run(() => volume.Volume.RenameAsync(InodeNumber.Root, Encoding.ASCII.GetBytes(from), InodeNumber.Root, Encoding.ASCII.GetBytes(to), RenameFlags.None,
                VolumeFixture.Root, Cancellation).AsTask(), Cancellation);
            byte[] newest = [];
            do
            {
                newest = RandomNumberGenerator.GetBytes(512);
                await volume.WriteAsync(file, 0, newest);
                await volume.SyncAsync(file);
            }
            while (!settling.IsCompleted);
            Assert.True((await settling).IsOk);
            await volume.SyncAsync(InodeNumber.Root);
            await ExpectAfterKill(volume, to, await volume.ReadAllAsync(file));
        }
    }

    [Fact]
    public async Task A_file_that_was_synced_before_it_had_a_name_is_whole_after_a_kill()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        byte[] data = RandomNumberGenerator.GetBytes(3 * S + 5);
        var made = await volume.Volume.CreateUnnamedAsync(InodeNumber.Root, new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, VolumeFixture.Root, Cancellation);
        var file = made.Value.Inode;
        volume.Hold(file);
        await volume.WriteAsync(file, 0, data);
        await volume.SyncAsync(file);
        Assert.True((await volume.Volume.LinkAsync(file, InodeNumber.Root, "f"u8.ToArray(), Cancellation)).IsOk);
        await volume.SyncAsync(InodeNumber.Root);
        await ExpectAfterKill(volume, "f", data);
    }

    [Fact]
    public async Task A_file_that_replaces_another_is_whole_after_a_kill()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        byte[] old = RandomNumberGenerator.GetBytes(5000);
        byte[] data = RandomNumberGenerator.GetBytes(S + 1);
        var target = await volume.CreateFileAsync("f");
        await volume.WriteAsync(target, 0, old);
        await volume.SyncAsync(target);
        var file = await volume.CreateFileAsync("f.tmp");
        await volume.WriteAsync(file, 0, data);
        var renamed = await volume.Volume.RenameAsync(InodeNumber.Root, "f.tmp"u8.ToArray(), InodeNumber.Root, "f"u8.ToArray(), RenameFlags.None, VolumeFixture.Root, Cancellation);
        Assert.Equal(Errno.None, renamed.Error);
        Assert.Equal(Errno.None, (await volume.Volume.SyncAsync(InodeNumber.Root, false, Cancellation)).Error);
        await ExpectAfterKill(volume, "f", data);
    }

    [Fact]
    public async Task A_truncation_that_was_not_synced_leaves_the_old_state_after_a_kill()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        byte[] old = RandomNumberGenerator.GetBytes(3 * S);
        var file = await volume.CreateFileAsync("f");
        await volume.WriteAsync(file, 0, old);
        await volume.SyncAsync(file);
        await volume.SetSizeAsync(file, 0);
        await volume.WriteAsync(file, 0, RandomNumberGenerator.GetBytes(10));
        await ExpectAfterKill(volume, "f", old);
    }

    [Fact]
    public async Task An_unlinked_file_lives_while_it_is_held_and_frees_its_blocks_after()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        byte[] data = RandomNumberGenerator.GetBytes(2 * S);
        var file = await volume.CreateFileAsync("f");
        volume.Hold(file);
        await volume.WriteAsync(file, 0, data);
        await volume.SyncAsync(file);
        Assert.Equal(Errno.None, (await volume.Volume.UnlinkAsync(InodeNumber.Root, "f"u8.ToArray(), Cancellation)).Error);
        Assert.Equal(data, await volume.ReadAllAsync(file));
        await volume.WriteAsync(file, 10, new byte[20]);
        volume.LetGo(file);
        await Until(async () => (await volume.StatusAsync()) is { Orphans: 0, Blocks: 0, DeadBlocks: 2, InFlightBytes: 0 });
        Assert.Equal(Errno.ESTALE, (await volume.Volume.GetAttributesAsync(file, Cancellation)).Error);
    }

    [Fact]
    public async Task A_settling_ends_early_when_its_file_is_deleted()
    {
        const int block = 64 << 10, blocks = 1000;
        await using var fixture = await VolumeFixture.CreateAsync(block);
        var inode = await fixture.CreateFileAsync("a");
        fixture.Hold(inode);
        var random = new Random(8);
        byte[] content = new byte[block];
        for (int i = 0; i < blocks; i++)
        {
            random.NextBytes(content);
            await fixture.WriteAsync(inode, (long)i * block, content);
        }
        await fixture.SyncAsync(inode);
        Assert.Equal(blocks, Stored());
        for (int i = 0; i < blocks; i++)
            await fixture.WriteAsync(inode, (long)i * block + 5000, content[..100]);
        // More than a log takes: each block has to be made anew.
        await fixture.SetSizeAsync(inode, (long)blocks * block - 1);
        var syncing = fixture.Volume.SyncAsync(inode, false, Cancellation).AsTask();
        while (Stored() == blocks)
            await Task.Delay(1, Cancellation);
        Assert.Equal(Errno.None, (await fixture.Volume.UnlinkAsync(InodeNumber.Root, "a"u8.ToArray(), Cancellation)).Error);
        fixture.LetGo(inode);
        Assert.Equal(Errno.None, (await syncing).Error);
        Assert.InRange(Stored(), blocks + 1, 2 * blocks - blocks / 4);

        int Stored() => Directory.EnumerateFiles(Path.Combine(fixture.Folder, "blocks"), "*", SearchOption.AllDirectories).Count();
    }

    [Fact]
    public async Task A_collection_takes_what_nothing_refers_to_and_nothing_else()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        byte[] kept = RandomNumberGenerator.GetBytes(2 * S);
        var keep = await volume.CreateFileAsync("kept");
        var gone = await volume.CreateFileAsync("gone");
        await volume.WriteAsync(keep, 0, kept);
        await volume.WriteAsync(gone, 0, kept[..S]);
        await volume.WriteAsync(gone, S, RandomNumberGenerator.GetBytes(S));
        Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
        Assert.Equal(Errno.None, (await volume.Volume.UnlinkAsync(InodeNumber.Root, "gone"u8.ToArray(), Cancellation)).Error);
        string stray = Path.Combine(volume.Folder, "blocks", "ab", "abcd" + new string('0', 60));
        await File.WriteAllTextAsync(stray, "stray", Cancellation);
        await Until(async () => (await volume.StatusAsync()).DeadBlocks == 1);
        var would = await volume.Copy.CollectAsync(TimeSpan.Zero, dryRun: true, null, Cancellation);
        Assert.Equal((1, 1), (would.Blocks, would.Strays));
        var did = await volume.Copy.CollectAsync(TimeSpan.Zero, dryRun: false, null, Cancellation);
        Assert.Equal(would, did);
        Assert.Equal(2, Directory.EnumerateFiles(Path.Combine(volume.Folder, "blocks"), "*", SearchOption.AllDirectories).Count());
        Assert.Equal(kept, await volume.ReadAllAsync(keep));
    }

    /// <summary>A read looks at the file, and then reads blocks, which nothing keeps in between.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task A_block_that_is_written_over_and_collected_while_it_is_read_is_had_from_the_file_as_it_is_then(int blocks)
    {
        await using var volume = await VolumeFixture.CreateAsync(time: new PassingTime());
        byte[] before = RandomNumberGenerator.GetBytes(blocks * S), after = RandomNumberGenerator.GetBytes(blocks * S);
        var file = await volume.CreateFileAsync("f");
        await volume.WriteAsync(file, 0, before);
        Assert.True((await volume.Volume.SyncAllAsync(Cancellation)).IsOk);
        int reads = 0;
        volume.Copy.BlockStore.Used = _ =>
        {
            if (Interlocked.Increment(ref reads) == 1)
                Task.Run(ReplaceAsync, Cancellation).Wait(Cancellation);
        };
        Assert.Equal(after, await volume.ReadAllAsync(file));
        Assert.False(File.Exists(PathOf(volume, before.AsSpan(0, S))));

        async Task ReplaceAsync()
        {
            await volume.WriteAsync(file, 0, after);
            Assert.True((await volume.Volume.SyncAllAsync(Cancellation)).IsOk);
            Assert.Equal(blocks, (await volume.Copy.CollectAsync(TimeSpan.Zero, dryRun: false, null, Cancellation)).Blocks);
        }
    }

    [Fact]
    public async Task Copying_a_range_shares_blocks()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        byte[] data = RandomNumberGenerator.GetBytes(4 * S + 99);
        var source = await volume.CreateFileAsync("a");
        var target = await volume.CreateFileAsync("b");
        await volume.WriteAsync(source, 0, data);
        for (long done = 0; done < data.Length;)
        {
            var copied = await volume.Volume.CopyRangeAsync(source, done, target, done, data.Length - done, Cancellation);
            Assert.Equal(Errno.None, copied.Error);
            Assert.True(copied.Value > 0);
            done += copied.Value;
        }
        Assert.Equal(data, await volume.ReadAllAsync(target));
        Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
        Assert.Equal(5, (await volume.StatusAsync()).Blocks);
        Assert.Equal(data, await volume.ReadAllAsync(target));
    }

    /// <summary>A short last block that is shared becomes the target's last: not where the target has become longer while the source was settled.</summary>
    [Fact]
    public async Task What_is_written_to_the_target_of_a_copy_meanwhile_stays()
    {
        await using var volume = await VolumeFixture.CreateAsync(time: new PassingTime());
        byte[] data = RandomNumberGenerator.GetBytes(10 << 10), late = RandomNumberGenerator.GetBytes(4 << 10);
        var source = await volume.CreateFileAsync("a");
        var target = await volume.CreateFileAsync("b");
        await volume.WriteAsync(source, 0, data);
        await CopyMeanwhileAsync(volume, source, target, data.Length, () => volume.WriteAsync(target, 64 << 10, late));
        byte[] expected = [.. data, .. new byte[(64 << 10) - data.Length], .. late];
        Assert.Equal(expected, await volume.ReadAllAsync(target));
        await volume.ReopenAsync();
        Assert.Equal(expected, await volume.ReadAllAsync(await volume.FindAsync("b")));
    }

    [Fact]
    public async Task What_is_added_to_the_source_of_a_copy_meanwhile_does_not_come_along()
    {
        await using var volume = await VolumeFixture.CreateAsync(time: new PassingTime());
        byte[] data = RandomNumberGenerator.GetBytes(1000);
        var source = await volume.CreateFileAsync("a");
        var target = await volume.CreateFileAsync("b");
        await volume.WriteAsync(source, 0, data);
        await CopyMeanwhileAsync(volume, source, target, data.Length, () => volume.WriteAsync(source, data.Length, RandomNumberGenerator.GetBytes(500)));
        Assert.Equal(data, await volume.ReadAllAsync(target));
        await volume.SetSizeAsync(target, 2000);
        byte[] read = await volume.ReadAllAsync(target);
        Assert.Equal([.. data, .. new byte[1000]], read);
    }

    [Fact]
    public async Task A_target_that_becomes_immutable_meanwhile_takes_no_copy()
    {
        await using var volume = await VolumeFixture.CreateAsync(time: new PassingTime());
        var source = await volume.CreateFileAsync("a");
        var target = await volume.CreateFileAsync("b");
        await volume.WriteAsync(source, 0, RandomNumberGenerator.GetBytes(1000));
        var guard = new AttributeChange { Mask = AttributeMask.Flags, Flags = InodeFlags.Immutable };
        var copied = await StartCopyAsync(volume, source, target, 1000,
            async () => Assert.True((await volume.Volume.SetAttributesAsync(target, guard, VolumeFixture.Root, Cancellation)).IsOk));
        Assert.Equal(Errno.EPERM, copied.Error);
        Assert.Equal(0, (await volume.Volume.GetAttributesAsync(target, Cancellation)).Value.Size);
    }

    [Fact]
    public async Task Holes_are_found_and_take_no_space()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        var file = await volume.CreateFileAsync("f");
        await volume.WriteAsync(file, 10L * S, [1, 2, 3]);
        await volume.WriteAsync(file, long.MaxValue - 10, [9]);
        foreach (bool settle in (bool[])[false, true])
        {
            if (settle)
                Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
            Assert.Equal(10L * S, (await volume.Volume.SeekAsync(file, 0, SeekKind.Data, Cancellation)).Value);
            Assert.Equal(11L * S, (await volume.Volume.SeekAsync(file, 10L * S, SeekKind.Hole, Cancellation)).Value);
            Assert.Equal(long.MaxValue / S * S, (await volume.Volume.SeekAsync(file, 11L * S, SeekKind.Data, Cancellation)).Value);
            Assert.Equal(Errno.ENXIO, (await volume.Volume.SeekAsync(file, long.MaxValue - 5, SeekKind.Data, Cancellation)).Error);
        }
        Assert.Equal(2, (await volume.StatusAsync()).Blocks);
    }

    [Fact]
    public async Task Writers_wait_at_the_budget_and_lose_nothing()
    {
        await using var volume = await VolumeFixture.CreateAsync(memory: 16 << 20);
        byte[] data = RandomNumberGenerator.GetBytes(64 << 20);
        var file = await volume.CreateFileAsync("f");
        for (int at = 0; at < data.Length; at += 1 << 20)
            await volume.WriteAsync(file, at, data[at..(at + (1 << 20))]);
        byte[] actual = await volume.ReadAllAsync(file);
        Assert.True(data.AsSpan().SequenceEqual(actual));
        Assert.True((await volume.StatusAsync()).InFlightBytes <= 16 << 20);
    }

    private static async Task ExpectAfterKill(VolumeFixture volume, string name, byte[] expected)
    {
        string killed = volume.CopyAsKilled();
        try
        {
            await using var again = await VolumeFixture.CreateAsync(folder: killed);
            Assert.Equal(expected, await again.ReadAllAsync(await again.FindAsync(name)));
        }
        finally
        {
            Directory.Delete(killed, recursive: true);
        }
    }

    private static string PathOf(VolumeFixture volume, ReadOnlySpan<byte> content)
    {
        string name = BlockHash.Of(content).ToString();
        return Path.Combine(volume.Folder, "blocks", name[..2], name);
    }

    /// <summary>Copies all of a file, and does something while the settling of it that comes first waits.</summary>
    private static async Task CopyMeanwhileAsync(VolumeFixture volume, InodeNumber source, InodeNumber target, long length, Func<Task> meanwhile)
    {
        var copied = await StartCopyAsync(volume, source, target, length, meanwhile);
        Assert.Equal(Errno.None, copied.Error);
        for (long done = copied.Value; done < length; done += copied.Value)
        {
            copied = await volume.Volume.CopyRangeAsync(source, done, target, done, length - done, Cancellation);
            Assert.True(copied.IsOk && copied.Value > 0);
        }
    }

    private static async Task<FsResult<long>> StartCopyAsync(VolumeFixture volume, InodeNumber source, InodeNumber target, long length, Func<Task> meanwhile)
    {
        var inode = volume.Copy.Metadata.Acquire(source)!;
        var gate = inode.Content!.SettleGate;
        await gate.WaitAsync(Cancellation);
        var copying = volume.Volume.CopyRangeAsync(source, 0, target, 0, length, Cancellation).AsTask();
        Assert.False(copying.IsCompleted);
        await meanwhile();
        gate.Release();
        volume.Copy.Metadata.Release(inode);
        return await copying;
    }

    private static async Task Until(Func<Task<bool>> condition)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(20));
        while (!await condition())
            await Task.Delay(10, limit.Token);
    }
}
