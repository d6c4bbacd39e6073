using System.Runtime.InteropServices;
using OrleansFs.Engine.Blocks;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Blocks;

/// <summary>Blocks with checksums of their pieces: format version 2.</summary>
public sealed class BlockPartsTests
{
    [Fact]
    public void A_large_content_that_cannot_be_compressed_has_the_layout_that_is_drawn()
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = BlockFolderFixture.Content(1, 40_000);
        var (hash, stored) = fixture.Write(content);
        byte[] file = File.ReadAllBytes(fixture.PathOf(hash));
        Assert.Equal(Convert.FromHexString("4F46534202000000409C0000409C0000"), file[..16]);
        Assert.Equal(4096 + 40_000, file.Length);
        Assert.Equal(content, file[4096..]);
        Assert.Equal(11 * 4096, stored.StoredBytes);
        // Ten pieces of 4 KiB; the rest of the head is zero.
        var sums = MemoryMarshal.Cast<byte, ulong>(file.AsSpan(24, 4096 - 24));
        Assert.DoesNotContain(0UL, sums[..10].ToArray());
        Assert.All(sums[10..].ToArray(), s => Assert.Equal(0UL, s));
    }

    [Theory]
    [InlineData(16 << 10, 4096, 4)]
    [InlineData((16 << 10) + 1, 4096, 5)]
    [InlineData(128 << 10, 4096, 32)]
    [InlineData(256 << 10, 4096, 64)]
    [InlineData((256 << 10) + 1, 8192, 33)]
    [InlineData(4 << 20, 64 << 10, 64)]
    public void Pieces_are_as_small_as_leaves_64_of_them(int length, int size, int count)
    {
        Assert.Equal(size, BlockFormat.PieceBytes(length));
        Assert.Equal(count, BlockFormat.Pieces(length));
    }

    [Theory]
    [InlineData(16 << 10)]
    [InlineData(100_001)]
    [InlineData(128 << 10)]
    [InlineData(4 << 20)]
    public void Any_part_is_read_without_the_rest(int length)
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = BlockFolderFixture.Content(length, length);
        var (hash, _) = fixture.Write(content);
        var random = new Random(length);
        for (int i = 0; i < 200; i++)
        {
            int offset = random.Next(length + 100);
            byte[] destination = new byte[random.Next(1, 40_000)];
            int expected = Math.Clamp(length - offset, 0, destination.Length);
            Assert.Equal(PartRead.Of(expected), fixture.Files.ReadPart(hash, offset, destination, now: false));
            Assert.Equal(content.AsSpan(Math.Min(offset, length), expected), destination.AsSpan(0, expected));
        }
    }

    [Fact]
    public void What_has_no_pieces_is_not_read_in_parts()
    {
        using var fixture = new BlockFolderFixture();
        foreach (byte[] content in new[] { BlockFolderFixture.Text(1, 131072), BlockFolderFixture.Content(1, 16383) })
            Assert.Equal(PartRead.NotInParts, fixture.Files.ReadPart(fixture.Write(content).Hash, 5, new byte[10], now: false));
        Assert.Equal(PartRead.NotInParts, fixture.Files.ReadPart(BlockHash.Of([1]), 0, new byte[10], now: false));
    }

    [Fact]
    public void A_flipped_bit_is_found_by_whoever_reads_its_piece_and_harms_no_other()
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = BlockFolderFixture.Content(3, 50_000);
        var (hash, _) = fixture.Write(content);
        byte[] good = File.ReadAllBytes(fixture.PathOf(hash));
        var random = new Random(5);
        byte[] destination = new byte[4096];
        foreach (int at in Enumerable.Range(0, 200).Concat(Enumerable.Range(0, 200).Select(_ => random.Next(good.Length))))
        {
            byte[] bad = (byte[])good.Clone();
            bad[at] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(fixture.PathOf(hash), bad);
            fixture.Reopen();
            for (int piece = 0; piece < 12; piece++)
            {
                bool isHit = at < 4096 || (at - 4096) / 4096 == piece;
                Assert.Equal(isHit ? PartRead.NotInParts : PartRead.Of(4096), fixture.Files.ReadPart(hash, piece * 4096, destination, now: false));
            }
        }
    }

    [Fact]
    public void A_head_that_was_read_is_not_believed_of_another_file()
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = BlockFolderFixture.Content(3, 50_000);
        var (hash, _) = fixture.Write(content);
        byte[] destination = new byte[4096];
        Assert.Equal(PartRead.Of(4096), fixture.Files.ReadPart(hash, 8192, destination, now: false));
        byte[] bad = File.ReadAllBytes(fixture.PathOf(hash));
        bad[4096 + 8192] ^= 1;
        File.WriteAllBytes(fixture.PathOf(hash), bad);
        Assert.Equal(PartRead.NotInParts, fixture.Files.ReadPart(hash, 8192, destination, now: false));
        // Another file comes under the name behind our back, as from a backup.
        Assert.False(fixture.Files.Read(hash, new byte[50_000]).IsOk);
        bad[4096 + 8192] ^= 1;
        File.WriteAllBytes(fixture.PathOf(hash) + ".new", bad);
        File.Move(fixture.PathOf(hash) + ".new", fixture.PathOf(hash), overwrite: true);
        Assert.True(fixture.Files.Read(hash, new byte[50_000]).IsOk);
        Assert.Equal(PartRead.Of(4096), fixture.Files.ReadPart(hash, 8192, destination, now: false));
        Assert.Equal(content[8192..12288], destination);
    }

    [Fact]
    public void A_block_that_is_deleted_or_moved_or_stored_again_is_read_no_more_through_what_was_open()
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = BlockFolderFixture.Content(3, 50_000);
        var (hash, _) = fixture.Write(content);
        byte[] whole = new byte[50_000];
        Assert.True(fixture.Files.Read(hash, whole).IsOk);
        Assert.True(fixture.Files.Delete(hash));
        Assert.Equal(BlockReadStatus.Missing, fixture.Files.Read(hash, whole).Status);
        Assert.Equal(PartRead.NotInParts, fixture.Files.ReadPart(hash, 0, new byte[10], now: false));
        fixture.Files.Write(hash, content);
        Assert.True(fixture.Files.Read(hash, whole).IsOk);
        Assert.NotNull(fixture.Files.Quarantine(hash));
        Assert.Equal(BlockReadStatus.Missing, fixture.Files.Read(hash, whole).Status);
        fixture.Files.Write(hash, content);
        Assert.True(fixture.Files.Read(hash, whole).IsOk);
        Assert.Equal(content, whole);
    }

    /// <summary>A sample; made with xxHash's own library, not by this program.</summary>
    [Fact]
    public void A_large_block_of_version_1_is_read_for_ever()
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = new byte[20_000];
        for (int i = 0; i < content.Length; i++)
            content[i] = (byte)(i * i / 7 + i / 256);
        var hash = BlockHash.Of(content);
        Directory.CreateDirectory(Path.GetDirectoryName(fixture.PathOf(hash))!);
        File.WriteAllBytes(fixture.PathOf(hash), [.. Convert.FromHexString("4F46534201000000204E0000204E000056C043C983A8107C"), .. content]);
        foreach (int room in new[] { 20_000, 20_100, 131_072 })
        {
            byte[] destination = new byte[room];
            Assert.Equal(BlockReadResult.Ok(20_000), fixture.Files.Read(hash, destination));
            Assert.Equal(content, destination[..20_000]);
        }
        Assert.Equal(PartRead.NotInParts, fixture.Files.ReadPart(hash, 0, new byte[10], now: false));
        Assert.Equal(BlockReadResult.Ok(20_000), fixture.Files.Verify(hash));
        Assert.True(fixture.Files.ReadStored(hash, out var shipped).IsOk);
        Assert.Equal(content, shipped.Payload.ToArray());
    }

    /// <summary>A sample; made with xxHash's own library, not by this program.</summary>
    [Fact]
    public void A_block_file_of_version_2_is_read_for_ever()
    {
        using var fixture = new BlockFolderFixture();
        byte[] content = new byte[20_000];
        for (int i = 0; i < content.Length; i++)
            content[i] = (byte)(i * i / 7 + i / 256);
        var hash = BlockHash.Of(content);
        Directory.CreateDirectory(Path.GetDirectoryName(fixture.PathOf(hash))!);
        byte[] head = new byte[4096];
        Convert.FromHexString("4F46534202000000204E0000204E00003D381DBA7D42FCE5DBC6B5A1313ED988F11FD04D94BF387680FE94990531F15E527FFC0BEEB01E9CA51D6272CDADAE21").CopyTo(head, 0);
        File.WriteAllBytes(fixture.PathOf(hash), [.. head, .. content]);
        byte[] destination = new byte[20_000];
        Assert.Equal(BlockReadResult.Ok(20_000), fixture.Files.Read(hash, destination));
        Assert.Equal(content, destination);
        Assert.Equal(PartRead.Of(3616), fixture.Files.ReadPart(hash, 16384, destination, now: false));
        Assert.Equal(BlockReadResult.Ok(20_000), fixture.Files.Verify(hash));
        Assert.True(fixture.Files.ReadStored(hash, out var shipped).IsOk);
        Assert.Equal(content, shipped.Payload.ToArray());
        Assert.False(shipped.IsCompressed);
    }

    [Fact]
    public void Files_are_kept_open_up_to_a_bound()
    {
        var kept = new BlockDescriptors(2);
        using var fixture = new BlockFolderFixture();
        string path = Path.Combine(fixture.Folder, "f");
        File.WriteAllText(path, "x");
        int before = OpenCount();
        BlockHash[] hashes = [.. Enumerable.Range(0, 5).Select(i => BlockHash.Of([(byte)i]))];
        foreach (var hash in hashes)
        {
            var block = kept.Get(hash);
            Assert.False(block.IsOpen);
            block.Descriptor = LinuxFile.Open(-100, System.Text.Encoding.UTF8.GetBytes(path + "\0"), LinuxFile.O_RDONLY);
            kept.GiveBack(block);
        }
        Assert.Equal(before + 2, OpenCount());
        // One that is in use stays open until it is given back, whatever becomes of its name.
        var used = kept.Get(hashes[4]);
        Assert.True(used.IsOpen);
        kept.Forget(hashes[4]);
        Assert.Equal(before + 2, OpenCount());
        Assert.False(kept.Get(hashes[4]).IsOpen);
        kept.GiveBack(used);
        Assert.Equal(before + 1, OpenCount());
        kept.Clear();
        Assert.Equal(before, OpenCount());
        int OpenCount() => Directory.GetFileSystemEntries("/proc/self/fd").Count(f => new FileInfo(f).LinkTarget == path);
    }
}
