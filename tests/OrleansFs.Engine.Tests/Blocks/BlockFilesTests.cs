using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Time.Testing;
using OrleansFs.Engine.Blocks;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Blocks;

public sealed class BlockFilesTests
{
    private static readonly int[] s_lengths = [1, 2, 63, 4095, 4096, 4097, 16384, 16385, 131071, 131072, 1 << 20, 4 << 20];

    [Fact]
    public void What_is_written_is_read_again_of_every_length_and_kind()
    {
        using var fixture = new BlockFolderFixture();
        foreach (int length in s_lengths)
        {
            foreach (byte[] content in new[] { BlockFolderFixture.Content(length, length), BlockFolderFixture.Text(length, length), Enumerable.Repeat((byte)7, length).ToArray() })
            {
                var (hash, stored) = fixture.Write(content);
                Assert.Equal(length, stored.RawLength);
                byte[] destination = new byte[length + 100];
                Assert.Equal(BlockReadResult.Ok(length), fixture.Files.Read(hash, destination));
                Assert.Equal(content, destination[..length]);
                Assert.Equal(BlockReadResult.Ok(length), fixture.Files.Read(hash, destination.AsSpan(0, length)));
                Assert.Equal(BlockReadResult.Ok(length), fixture.Files.Verify(hash));
                Assert.Equal(BlockReadResult.Ok(length), fixture.Files.Inspect(hash));
                Assert.Equal(0, stored.StoredBytes % 4096);
                Assert.Equal(stored.StoredBytes, BlockFormat.DiskBytes((int)new FileInfo(fixture.PathOf(hash)).Length));
            }
        }
    }

    [Fact]
    public async Task The_disk_takes_what_stored_bytes_says()
    {
        using var fixture = new BlockFolderFixture();
        var (raw, storedRaw) = fixture.Write(BlockFolderFixture.Content(1, 131072));
        var (text, storedText) = fixture.Write(BlockFolderFixture.Text(1, 131072));
        await fixture.Files.SyncAsync(fixture.Files.LastSequence, TestContext.Current.CancellationToken);
        Assert.Equal(storedRaw.StoredBytes, fixture.Files.DiskBytes(raw));
        Assert.Equal(storedText.StoredBytes, fixture.Files.DiskBytes(text));
        Assert.Equal(BlockCodec.Raw, storedRaw.Codec);
        Assert.Equal(BlockCodec.Lz4, storedText.Codec);
        Assert.True(storedText.StoredBytes <= 131072 * 7 / 8);
    }

    [Fact]
    public void A_block_has_the_path_of_its_hash_and_the_layout_that_is_drawn()
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = "OrleansFs"u8.ToArray();
        var (hash, _) = fixture.Write(content);
        byte[] file = File.ReadAllBytes(fixture.PathOf(hash));
        Assert.Equal(24, BlockHeader.Size);
        Assert.Equal(24, Marshal.SizeOf<BlockHeader>());
        Assert.Equal("OFSB"u8.ToArray(), file[..4]);
        Assert.Equal(new byte[] { 1, 0, 0, 0 }, file[4..8]);
        Assert.Equal(new byte[] { 9, 0, 0, 0, 9, 0, 0, 0 }, file[8..16]);
        Assert.Equal(content, file[24..]);
    }

    /// <summary>Samples of version 1, kept for ever; made with xxhsum's library and by hand, not by this program.</summary>
    [Theory]
    [InlineData("4F4653420100000009000000090000009DAE588880744A564F726C65616E734673", "OrleansFs", 1)]
    [InlineData("4F46534201010000881300001E0000007E509A8E75D57EFF1F610100FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF82506161616161", "a", 5000)]
    public void A_block_file_of_version_1_is_read(string file, string text, int times)
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = System.Text.Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat(text, times)));
        var hash = BlockHash.Of(content);
        Directory.CreateDirectory(Path.GetDirectoryName(fixture.PathOf(hash))!);
        File.WriteAllBytes(fixture.PathOf(hash), Convert.FromHexString(file));
        byte[] destination = new byte[content.Length];
        Assert.Equal(BlockReadResult.Ok(content.Length), fixture.Files.Read(hash, destination));
        Assert.Equal(content, destination);
    }

    [Fact]
    public void A_block_that_is_not_there_is_missing()
    {
        using var fixture = new BlockFolderFixture();
        var hash = BlockHash.Of([1]);
        Assert.Equal(BlockReadStatus.Missing, fixture.Files.Read(hash, new byte[10]).Status);
        Assert.Equal(BlockReadStatus.Missing, fixture.Files.Verify(hash).Status);
        Assert.False(fixture.Files.Exists(hash));
        Assert.Null(fixture.Files.DiskBytes(hash));
        Assert.False(fixture.Files.Delete(hash));
        Assert.Null(fixture.Files.Quarantine(hash));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_flipped_bit_anywhere_is_found(bool compressible)
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = compressible ? BlockFolderFixture.Text(3, 20000) : BlockFolderFixture.Content(3, 20000);
        var (hash, _) = fixture.Write(content);
        byte[] good = File.ReadAllBytes(fixture.PathOf(hash));
        var random = new Random(5);
        byte[] destination = new byte[content.Length];
        foreach (int at in Enumerable.Range(0, BlockHeader.Size).Concat(Enumerable.Range(0, 200).Select(_ => random.Next(good.Length))))
        {
            byte[] bad = (byte[])good.Clone();
            bad[at] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(fixture.PathOf(hash), bad);
            var read = fixture.Files.Read(hash, destination);
            Assert.True(read.Status == BlockReadStatus.Corrupt, $"byte {at}: {read}");
            Assert.Equal(BlockReadStatus.Corrupt, fixture.Files.Verify(hash).Status);
        }
        fixture.Files.Write(hash, content);
        Assert.True(fixture.Files.Read(hash, destination).IsOk);
        Assert.Equal(content, destination);
    }

    [Fact]
    public void A_file_of_another_length_is_corrupt()
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = BlockFolderFixture.Content(4, 10000);
        var (hash, _) = fixture.Write(content);
        byte[] good = File.ReadAllBytes(fixture.PathOf(hash));
        byte[] destination = new byte[20000];
        foreach (int length in new[] { 0, 1, 23, 24, 25, good.Length - 1, good.Length + 1, good.Length + 5000 })
        {
            byte[] bad = new byte[length];
            good.AsSpan(0, Math.Min(length, good.Length)).CopyTo(bad);
            File.WriteAllBytes(fixture.PathOf(hash), bad);
            Assert.Equal(BlockReadStatus.Corrupt, fixture.Files.Read(hash, destination).Status);
            Assert.Equal(BlockReadStatus.Corrupt, fixture.Files.Read(hash, destination.AsSpan(0, content.Length)).Status);
            Assert.Equal(BlockReadStatus.Corrupt, fixture.Files.Inspect(hash).Status);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_block_longer_than_the_reader_knows_is_corrupt_to_it(bool compressible)
    {
        using var fixture = new BlockFolderFixture();
        var (hash, _) = fixture.Write(compressible ? BlockFolderFixture.Text(4, 10000) : BlockFolderFixture.Content(4, 10000));
        foreach (int length in new[] { 0, 1, 100, 9999 })
            Assert.Equal(BlockReadStatus.Corrupt, fixture.Files.Read(hash, new byte[length]).Status);
    }

    [Fact]
    public void A_whole_file_under_the_name_of_another_block_is_found_by_the_checksum()
    {
        using var fixture = new BlockFolderFixture();
        var (a, _) = fixture.Write(BlockFolderFixture.Content(1, 5000));
        var (b, _) = fixture.Write(BlockFolderFixture.Content(2, 5000));
        File.Copy(fixture.PathOf(a), fixture.PathOf(b), overwrite: true);
        Assert.Equal(BlockReadResult.Corrupt("the checksum does not match"), fixture.Files.Read(b, new byte[5000]));
    }

    [Fact]
    public void Opening_deletes_unfinished_files_and_nothing_else()
    {
        using var fixture = new BlockFolderFixture();
        var (hash, _) = fixture.Write([1, 2, 3]);
        string torn = Path.Combine(fixture.Folder, "blocks/tmp", hash + ".5");
        File.WriteAllText(torn, "torn");
        fixture.Reopen();
        Assert.True(fixture.Files.Exists(hash));
        Assert.False(File.Exists(torn));
        File.WriteAllText(torn, "torn");
        Assert.Equal(0, fixture.Files.DeleteTemporaries(TimeSpan.FromHours(1)));
        Assert.True(File.Exists(torn));
        Assert.Equal(1, fixture.Files.DeleteTemporaries(TimeSpan.Zero));
    }

    [Fact]
    public void Enumeration_tells_blocks_temporaries_and_strays_apart()
    {
        using var fixture = new BlockFolderFixture();
        var blocks = Enumerable.Range(0, 50).Select(i => fixture.Write(BlockFolderFixture.Content(i, 100 + i)).Hash).ToHashSet();
        string name = blocks.First().ToString();
        string[] strays =
        [
            "blocks/README", "blocks/AB", "blocks/abc/x", $"blocks/{name[..2]}/note", $"blocks/{name[..2]}/{name.ToUpperInvariant()}", $"blocks/{name[..2]}/{name}.bak",
            $"blocks/{(name[0] == '0' ? "10" : "00")}/{name}", $"blocks/{name[..2]}/folder/x",
        ];
        foreach (string stray in strays)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(fixture.Folder, stray))!);
            File.WriteAllText(Path.Combine(fixture.Folder, stray), "?");
        }
        string link = $"blocks/{name[..2]}/{new string('e', 64)}";
        File.CreateSymbolicLink(Path.Combine(fixture.Folder, link), "/etc/passwd");
        File.WriteAllText(Path.Combine(fixture.Folder, "blocks/tmp/left"), "torn");
        var entries = fixture.Files.Enumerate().ToList();
        Assert.Equal(blocks, entries.Where(e => e.Kind == BlockEntryKind.Block).Select(e => e.Hash!.Value).ToHashSet());
        Assert.All(entries.Where(e => e.Kind == BlockEntryKind.Block), e => Assert.Equal(new FileInfo(fixture.PathOf(e.Hash!.Value)).Length, e.FileBytes));
        Assert.Equal(["blocks/tmp/left"], entries.Where(e => e.Kind == BlockEntryKind.Temporary).Select(e => e.Path));
        string[] expected = [.. strays.Select(s => s.EndsWith("/x", StringComparison.Ordinal) ? s[..^2] : s), link];
        Assert.Equal(expected.Order(StringComparer.Ordinal), entries.Where(e => e.Kind == BlockEntryKind.Stray).Select(e => e.Path).Order(StringComparer.Ordinal));
        // Folders stay, everything else can be deleted.
        Assert.Equal(strays.Length + 1 - 2, entries.Count(e => e.Kind == BlockEntryKind.Stray && fixture.Files.DeleteStray(e)));
        Assert.Equal(blocks, fixture.Files.Enumerate().Where(e => e.Kind == BlockEntryKind.Block).Select(e => e.Hash!.Value).ToHashSet());
    }

    [Fact]
    public void A_quarantined_block_is_missing_and_its_file_is_kept()
    {
        using var fixture = new BlockFolderFixture();
        var (hash, _) = fixture.Write([1, 2, 3]);
        Assert.Equal($"lost+blocks/{hash}", fixture.Files.Quarantine(hash));
        Assert.False(fixture.Files.Exists(hash));
        fixture.Write([1, 2, 3]);
        Assert.Equal($"lost+blocks/{hash}.1", fixture.Files.Quarantine(hash));
        Assert.Equal(2, Directory.GetFiles(Path.Combine(fixture.Folder, "lost+blocks")).Length);
    }

    [Fact]
    public void Blocks_of_formats_with_a_second_level_of_folders_are_found()
    {
        using var fixture = new BlockFolderFixture();
        var blocks = Enumerable.Range(0, 20).Select(i => fixture.Write(BlockFolderFixture.Content(i, 100 + i)).Hash).ToList();
        fixture.Reopen();
        string folder = Path.Combine(fixture.Folder, "blocks");
        Directory.Delete(Path.Combine(folder, "free"));
        Directory.Delete(Path.Combine(folder, "tmp"), recursive: true);
        foreach (var hash in blocks)
        {
            string text = hash.ToString();
            Directory.CreateDirectory(Path.Combine(folder, text[..2], text[2..4]));
            File.Move(fixture.PathOf(hash), Path.Combine(folder, text[..2], text[2..4], text));
        }
        // Interrupted after some of them.
        File.Move(Path.Combine(folder, blocks[0].ToString()[..2], blocks[0].ToString()[2..4], blocks[0].ToString()), fixture.PathOf(blocks[0]));
        Assert.All(blocks, hash => Assert.True(fixture.Files.Verify(hash).IsOk));
        Assert.Empty(Directory.GetDirectories(Path.GetDirectoryName(fixture.PathOf(blocks[1]))!));
    }

    [Fact]
    public void The_file_of_a_deleted_block_is_written_anew()
    {
        using var fixture = new BlockFolderFixture();
        string free = Path.Combine(fixture.Folder, "blocks/free");
        var files = Enumerable.Range(0, 10).Select(i => fixture.Write(BlockFolderFixture.Content(i, 65536)).Hash).ToList();
        Assert.All(files, hash => Assert.True(fixture.Files.Delete(hash)));
        Assert.Equal(10, Directory.GetFiles(free).Length);
        Assert.Equal(10 * (65536 + 4096), fixture.Files.RecycledBytes);
        Assert.All(files, hash => Assert.False(fixture.Files.Exists(hash)));
        Assert.All(files, hash => Assert.Equal(BlockReadStatus.Missing, fixture.Files.Verify(hash).Status));
        Assert.Empty(fixture.Files.Enumerate());
        // Another length is no use of one; the same is, also for a block that was there before.
        var (other, _) = fixture.Write(BlockFolderFixture.Content(50, 40000));
        Assert.Equal(10, Directory.GetFiles(free).Length);
        var (again, _) = fixture.Write(BlockFolderFixture.Content(3, 65536));
        var (next, _) = fixture.Write(BlockFolderFixture.Content(51, 65536));
        Assert.Equal(8, Directory.GetFiles(free).Length);
        Assert.All([other, again, next], hash => Assert.True(fixture.Files.Verify(hash).IsOk));
        Assert.NotEqual(0, fixture.Files.RecycledBytes);
        fixture.Files.DropRecycled();
        Assert.Equal(0, fixture.Files.RecycledBytes);
        Assert.Empty(Directory.GetFiles(free));
        // What is left by a killed process is nobody's.
        File.WriteAllText(Path.Combine(free, "0"), "left");
        fixture.Reopen();
        Assert.True(fixture.Files.Verify(next).IsOk);
        Assert.Empty(Directory.GetFiles(free));
    }

    [Fact]
    public void A_file_that_has_another_name_is_not_written_over()
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = BlockFolderFixture.Content(1, 65536);
        var (hash, _) = fixture.Write(content);
        string backup = Path.Combine(fixture.Folder, "backup");
        Assert.Equal(0, Process.Start("ln", [fixture.PathOf(hash), backup]) is { } ln && ln.WaitForExit(10_000) ? ln.ExitCode : -1);
        byte[] before = File.ReadAllBytes(backup);
        Assert.True(fixture.Files.Delete(hash));
        Assert.Equal(0, fixture.Files.RecycledBytes);
        fixture.Write(BlockFolderFixture.Content(2, 65536));
        Assert.Equal(before, File.ReadAllBytes(backup));
    }

    [Fact]
    public void Files_to_be_written_anew_take_no_room_that_others_want()
    {
        using var fixture = new BlockFolderFixture();
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        fixture.Time = time;
        const int each = 65536 + 4096;
        long room = 5 * each;
        fixture.Files.RecycledRoom = () => room;
        List<BlockHash> Store(int from, int count) => [.. Enumerable.Range(from, count).Select(i => fixture.Write(BlockFolderFixture.Content(i, 65536)).Hash)];
        foreach (var hash in Store(0, 8))
            fixture.Files.Delete(hash);
        Assert.Equal(5 * each, fixture.Files.RecycledBytes);
        room = 2 * each;
        fixture.Write([1, 2, 3]);
        Assert.Equal(2 * each, fixture.Files.RecycledBytes);
        time.Advance(TimeSpan.FromMinutes(2));
        Assert.Equal(2 * each, fixture.Files.RecycledBytes);
        time.Advance(TimeSpan.FromMinutes(3));
        Assert.Equal(0, fixture.Files.RecycledBytes);
    }

    [Theory]
    [InlineData(40000)]
    [InlineData(131072)]
    public async Task Readers_of_a_block_whose_file_is_written_anew_see_it_whole_or_not_at_all(int length)
    {
        using var fixture = new BlockFolderFixture();
        byte[][] contents = [.. Enumerable.Range(0, 4).Select(i => BlockFolderFixture.Content(i, length))];
        BlockHash[] hashes = [.. contents.Select(c => BlockHash.Of(c))];
        var files = fixture.Files;
        int read = 0, parts = 0, missing = 0;
        using var stop = new CancellationTokenSource();
        var failure = new TaskCompletionSource();
        void Change()
        {
            for (int i = 0; i < contents.Length && !stop.IsCancellationRequested; i++)
            {
                files.Write(hashes[i], contents[i]);
                files.Delete(hashes[(i + 3) % 4]);
            }
        }
        void Read(int i)
        {
            byte[] destination = new byte[length];
            var result = files.Read(hashes[i], destination);
            if (result.IsOk && destination.AsSpan().SequenceEqual(contents[i]))
                Interlocked.Increment(ref read);
            else if (result.Status == BlockReadStatus.Missing)
                Interlocked.Increment(ref missing);
            else
                failure.TrySetException(new InvalidOperationException($"{result}"));
            var part = files.ReadPart(hashes[i], 8192, destination.AsSpan(0, 4096), now: false);
            if (part.Kind == PartReadKind.Read && !destination.AsSpan(0, 4096).SequenceEqual(contents[i].AsSpan(8192, 4096)))
                failure.TrySetException(new InvalidOperationException("another block's part"));
            if (part.Kind == PartReadKind.Read)
                Interlocked.Increment(ref parts);
            if (files.ReadStored(hashes[i], out _).Status is not (BlockReadStatus.Ok or BlockReadStatus.Missing) || files.Inspect(hashes[i]).Status is not (BlockReadStatus.Ok or BlockReadStatus.Missing))
                failure.TrySetException(new InvalidOperationException("not whole"));
            if (read > 500 && parts > 500 && missing > 100)
                failure.TrySetResult();
        }
        Task Loop(Action action) => Task.Run(() =>
        {
            while (!stop.IsCancellationRequested && !failure.Task.IsCompleted)
                action();
        });
        var tasks = new[] { Loop(Change), Loop(() => Read(0)), Loop(() => Read(1)), Loop(() => Read(2)) };
        try
        {
            await failure.Task.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        }
        finally
        {
            await stop.CancelAsync();
            await Task.WhenAll(tasks);
        }
        Assert.True(files.RecycledBytes > 0);
    }

    [Fact]
    public async Task Writers_readers_and_deleters_of_one_hash_see_it_whole_or_not_at_all()
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = BlockFolderFixture.Content(9, 50000);
        var hash = BlockHash.Of(content);
        var files = fixture.Files;
        var locks = new BlockLocks();
        int read = 0;
        int missing = 0;
        using var stop = new CancellationTokenSource();
        Task Loop(Action action) => Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
                action();
        });
        void Write()
        {
            lock (locks.For(hash))
                files.Write(hash, content);
        }
        void Delete()
        {
            lock (locks.For(hash))
                files.Delete(hash);
        }
        var done = new TaskCompletionSource();
        void Read()
        {
            byte[] destination = new byte[content.Length];
            var result = files.Read(hash, destination);
            if (result.IsOk && destination.AsSpan().SequenceEqual(content))
                Interlocked.Increment(ref read);
            else if (result.Status == BlockReadStatus.Missing)
                Interlocked.Increment(ref missing);
            else
                done.TrySetException(new InvalidOperationException($"{result}"));
            if (read > 500 && missing > 100)
                done.TrySetResult();
        }
        var tasks = new[] { Loop(Write), Loop(Delete), Loop(Read), Loop(Read) };
        try
        {
            await done.Task.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        }
        finally
        {
            await stop.CancelAsync();
            await Task.WhenAll(tasks);
        }
    }
}
