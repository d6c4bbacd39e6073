using System.Security.Cryptography;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Tests.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>fsync through the redo log: what it answered is there after a kill, whatever else happens to the file.</summary>
public sealed class SyncTests
{
    private const int S = 128 << 10;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_file_that_grows_sync_by_sync_survives_a_kill()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        var file = await volume.CreateFileAsync("db");
        await volume.WriteAsync(file, 0, [1]);
        await volume.SyncAsync(file);
        byte[] expected = RandomNumberGenerator.GetBytes(40_000);
        for (int at = 0; at < expected.Length; at += 4000)
        {
            await volume.WriteAsync(file, at, expected[at..(at + 4000)]);
            await volume.SyncAsync(file);
        }
        Assert.True(new FileInfo(Path.Combine(volume.Folder, "redo.0")).Length > 10 * 4096);
        await ExpectAfterKillAsync(volume, ("db", expected));
    }

    [Fact]
    public async Task Everything_that_happens_between_two_syncs_is_there()
    {
        var random = new Random(5);
        await using var volume = await VolumeFixture.CreateAsync(4096);
        var file = await volume.CreateFileAsync("a");
        byte[] expected = [];
        string name = "a";
        for (int step = 0; step < 120; step++)
        {
            for (int n = random.Next(1, 4); n > 0; n--)
                expected = await ChangeAsync(volume, file, expected, random);
            if (random.Next(6) == 0)
            {
                string next = name == "a" ? "b" : "a";
                Assert.True((await volume.Volume.RenameAsync(InodeNumber.Root, name.Bytes(), InodeNumber.Root, next.Bytes(), RenameFlags.None, VolumeFixture.Root, Cancellation)).IsOk);
                name = next;
            }
            if (random.Next(8) == 0)
                Assert.True((await volume.Volume.SyncAllAsync(Cancellation)).IsOk);
            await volume.SyncAsync(file);
            if (step % 6 == 5)
                await ExpectAfterKillAsync(volume, (name, expected));
        }
    }

    /// <summary>Who is not answered any more asks again: with the bytes and without the reply they would be appended twice.</summary>
    [Fact]
    public async Task The_reply_of_an_append_survives_a_kill_with_its_bytes()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        var file = await volume.CreateFileAsync("log");
        var session = Guid.NewGuid();
        Assert.True(volume.Copy.KeepSession(new KeptSession(session, "host:/mnt", null, null)).IsOk);
        Assert.True((await volume.Volume.SyncAllAsync(Cancellation)).IsOk);
        byte[] line = "a line"u8.ToArray();
        // A commit that was due before would have the reply with it.
        await Task.Delay(3 * Limits.CommitInterval, Cancellation);
        var once = volume.Volume.Once(new ChangeRecord(new ReplyKey(session, 1, 1)));
        Assert.Equal(0, (await once.WriteAsync(file, 0, line, WriteFlags.Append, Cancellation)).Value);
        await volume.SyncAsync(file);

        string killed = volume.CopyAsKilled();
        await using (var after = await VolumeFixture.CreateAsync(folder: killed))
        {
            Assert.Equal(line, await after.ReadAllAsync(await after.FindAsync("log")));
            var reply = Assert.Single(after.Copy.RepliesOf(session));
            Assert.Equal(ReplyValue.Of(0), reply.Value);
        }
        Directory.Delete(killed, recursive: true);
    }

    /// <summary>A write that finds no memory, and is interrupted or refused while it waits, leaves an empty set of changes.</summary>
    [Fact]
    public async Task A_file_of_which_nothing_is_in_flight_after_all_has_nothing_to_settle()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        var file = await volume.CreateFileAsync("new");
        await volume.CreateFileAsync("old");
        // Nothing is asked to settle where no file has anything in flight.
        await volume.WriteAsync(await volume.CreateFileAsync("another"), 0, [1]);
        var inode = volume.Copy.Metadata.Acquire(file)!;
        lock (inode.Gate)
            inode.Content = new FileContent(null!, S);
        var renamed = await Task.Run(() => volume.Volume.RenameAsync(InodeNumber.Root, "new".Bytes(), InodeNumber.Root, "old".Bytes(), RenameFlags.None, VolumeFixture.Root, Cancellation).AsTask())
            .WaitAsync(TimeSpan.FromSeconds(20), Cancellation);
        Assert.Equal(Errno.None, renamed.Error);
        volume.Copy.Metadata.Release(inode);
    }

    /// <summary>A program writes through a mapping, and then makes the file immutable: the kernel brings the pages after the flag, and they are taken.</summary>
    [Fact]
    public async Task What_came_out_of_the_page_cache_and_was_synced_after_a_file_became_immutable_survives_a_kill()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        var file = await volume.CreateFileAsync("f");
        byte[] expected = RandomNumberGenerator.GetBytes(5000);
        await volume.WriteAsync(file, 0, expected);
        Assert.True((await volume.Volume.SyncAllAsync(Cancellation)).IsOk);
        var guard = new AttributeChange { Mask = AttributeMask.Flags, Flags = InodeFlags.Immutable };
        Assert.True((await volume.Volume.SetAttributesAsync(file, guard, VolumeFixture.Root, Cancellation)).IsOk);
        byte[] late = RandomNumberGenerator.GetBytes(100);
        Assert.True((await volume.Volume.WriteAsync(file, 1000, late, WriteFlags.FromPageCache, Cancellation)).IsOk);
        late.CopyTo(expected, 1000);
        await volume.SyncAsync(file);
        Assert.True(volume.Copy.Metadata.RedoBytes(file) > 0, "nothing was logged, so this proves nothing");
        await ExpectAfterKillAsync(volume, ("f", expected));
    }

    [Fact]
    public async Task Many_files_synced_at_once_are_all_there()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        var files = new List<(string Name, byte[] Content)>();
        await Parallel.ForEachAsync(Enumerable.Range(0, 8), Cancellation, async (i, _) =>
        {
            var file = await volume.CreateFileAsync($"f{i}");
            byte[] content = RandomNumberGenerator.GetBytes(100 * 600);
            for (int at = 0; at < content.Length; at += 600)
            {
                await volume.WriteAsync(file, at, content[at..(at + 600)]);
                await volume.SyncAsync(file);
            }
            lock (files)
                files.Add(($"f{i}", content));
        });
        await ExpectAfterKillAsync(volume, [.. files]);
    }

    private static async Task<byte[]> ChangeAsync(VolumeFixture volume, InodeNumber file, byte[] content, Random random)
    {
        if (random.Next(10) == 0)
        {
            int size = random.Next(20_000);
            Assert.True((await volume.Volume.SetAttributesAsync(file, new AttributeChange { Mask = AttributeMask.Size, Size = size }, VolumeFixture.Root, Cancellation)).IsOk);
            Array.Resize(ref content, size);
            return content;
        }
        int at = random.Next(20_000);
        byte[] data = new byte[random.Next(1, 6000)];
        random.NextBytes(data);
        await volume.WriteAsync(file, at, data);
        if (content.Length < at + data.Length)
            Array.Resize(ref content, at + data.Length);
        data.CopyTo(content, at);
        return content;
    }

    private static async Task ExpectAfterKillAsync(VolumeFixture volume, params (string Name, byte[] Content)[] expected)
    {
        string killed = volume.CopyAsKilled();
        await using (var again = await VolumeFixture.CreateAsync(folder: killed))
        {
            foreach (var (name, content) in expected)
                Assert.Equal(content, await again.ReadAllAsync(await again.FindAsync(name)));
        }
        Directory.Delete(killed, recursive: true);
    }
}
