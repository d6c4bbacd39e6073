using System.Diagnostics;
using System.Runtime.InteropServices;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Blocks;

/// <summary>Large blocks go from where they lie to the disk, past the page cache, where the file system can do that.</summary>
public sealed class DirectWriteTests
{
    private const int Length = 131072;

    [Fact]
    public async Task Blocks_that_nobody_reads_soon_take_no_pages_of_the_kernel()
    {
        using var disk = Mounted.Ext4();
        using (var fixture = new BlockFolderFixture(disk.Folder, isMount: true))
        {
            var first = Write(fixture, 1);
            Assert.Equal(0, PagesOf(fixture.PathOf(first)));
            await fixture.Files.SyncAsync(fixture.Files.LastSequence, TestContext.Current.CancellationToken);
            fixture.Files.Delete(first);
            Assert.True(fixture.Files.RecycledBytes > 0);
            var second = Write(fixture, 2);
            Assert.Equal(0, fixture.Files.RecycledBytes);
            Assert.Equal(0, PagesOf(fixture.PathOf(second)));
            Assert.Equal(BlockReadResult.Ok(Length), fixture.Files.VerifyOnDisk(second));
            fixture.Files.Readers = () => 1;
            var third = Write(fixture, 4);
            using (var fresh = fixture.Files.TakeFresh(third))
                Assert.Equal(third, BlockHash.Of(fresh!.Content.Span));
            Assert.Null(fixture.Files.TakeFresh(third));
            var deleted = Write(fixture, 5);
            fixture.Files.Delete(deleted);
            Assert.Null(fixture.Files.TakeFresh(deleted));
            fixture.Files.KeepsPages = () => true;
            Assert.InRange(PagesOf(fixture.PathOf(Write(fixture, 3))), 1, Length / 4096 + 1);
        }
    }

    /// <summary>The content that is kept in memory for replicas says nothing of the disk; where that has lost it, it may be the last.</summary>
    [Fact]
    public void What_is_kept_for_replicas_is_verified_in_its_file_and_outlives_it()
    {
        using var disk = Mounted.Ext4();
        using (var fixture = new BlockFolderFixture(disk.Folder, isMount: true))
        {
            fixture.Files.Readers = () => 1;
            var hash = Write(fixture, 1);
            byte[] bytes = File.ReadAllBytes(fixture.PathOf(hash));
            bytes[^1] ^= 1;
            File.WriteAllBytes(fixture.PathOf(hash), bytes);
            Assert.True(fixture.Files.Read(hash, new byte[Length]).IsOk);
            Assert.Equal(BlockReadStatus.Corrupt, fixture.Files.VerifyOnDisk(hash).Status);
            Assert.Equal(BlockReadStatus.Corrupt, fixture.Files.ReadFile(hash, new byte[Length]).Status);
            Assert.NotNull(fixture.Files.Quarantine(hash));
            using var fresh = fixture.Files.TakeFresh(hash);
            Assert.Equal(hash, BlockHash.Of(fresh!.Content.Span));
        }
    }

    [Fact]
    public void A_block_that_came_from_elsewhere_goes_there_too_unless_it_is_read_soon()
    {
        using var disk = Mounted.Ext4();
        using (var fixture = new BlockFolderFixture(disk.Folder, isMount: true))
        {
            Assert.Equal(0, PagesAfter(1, isReadSoon: false));
            Assert.InRange(PagesAfter(2, isReadSoon: true), 1, Length / 4096 + 1);
            // Not a multiple of what the disk takes.
            Assert.InRange(PagesAfter(3, isReadSoon: false, Length - 1), 1, Length / 4096 + 1);

            int PagesAfter(int seed, bool isReadSoon, int length = Length)
            {
                byte[] content = BlockFolderFixture.Content(seed, length);
                var hash = BlockHash.Of(content);
                fixture.Files.Write(new ShippedBlock { Hash = hash, Length = length, IsCompressed = false, Payload = content }, isReadSoon);
                int pages = PagesOf(fixture.PathOf(hash));
                Assert.Equal(BlockReadResult.Ok(length), fixture.Files.VerifyOnDisk(hash));
                return pages;
            }
        }
    }

    /// <summary>Pages that lie side by side are rare once small files have come and gone.</summary>
    [Fact]
    public async Task A_block_whose_pages_lie_here_and_there_goes_there_too()
    {
        using var disk = Mounted.Ext4();
        await using (var volume = await VolumeFixture.CreateAsync(Length, disk.Folder))
        {
            for (int i = 0; i < 200; i++)
                await volume.WriteAsync(await volume.CreateFileAsync($"small{i}"), 0, BlockFolderFixture.Content(i, 4096));
            // Every other page is free, then all are: in another order than before.
            for (int i = 0; i < 200; i += 2)
                await volume.SyncAsync(await volume.FindAsync($"small{i}"));
            for (int i = 1; i < 200; i += 2)
                await volume.SyncAsync(await volume.FindAsync($"small{i}"));
            // What goes past the page cache is kept for those who would read it.
            var files = volume.Copy.BlockStore.Files;
            files.Readers = () => 1;
            byte[] content = BlockFolderFixture.Content(1000, 4 * Length);
            var large = await volume.CreateFileAsync("large");
            await volume.WriteAsync(large, 0, content);
            await volume.SyncAsync(large);
            foreach (byte[] block in content.Chunk(Length))
            {
                using var fresh = files.TakeFresh(BlockHash.Of(block));
                Assert.NotNull(fresh);
            }
            Assert.Equal(content, await volume.ReadAllAsync(large));
        }
    }

    [Fact]
    public void A_file_system_that_cannot_do_it_takes_them_as_it_can()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "mounting a file system needs root");
        using var disk = new Mounted("-t", "ramfs", "ramfs");
        using var fixture = new BlockFolderFixture(disk.Folder, isMount: true);
        BlockHash[] hashes = [Write(fixture, 1), Write(fixture, 2)];
        Assert.All(hashes, h => Assert.Equal(BlockReadResult.Ok(Length), fixture.Files.Verify(h)));
        Assert.Empty(Directory.GetFiles(Path.Combine(disk.Folder, "blocks/tmp"), "*", SearchOption.AllDirectories));
    }

    private static unsafe BlockHash Write(BlockFolderFixture fixture, int seed)
    {
        byte[] bytes = BlockFolderFixture.Content(seed, Length);
        void* memory = NativeMemory.AlignedAlloc(Length, 4096);
        try
        {
            var content = new Span<byte>(memory, Length);
            bytes.CopyTo(content);
            var hash = BlockHash.Of(content);
            fixture.Files.Write(hash, content);
            return hash;
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    /// <summary>Of fincore(1).</summary>
    private static int PagesOf(string path)
    {
        using var process = Process.Start(new ProcessStartInfo("fincore", ["--noheadings", "--output", "PAGES", path]) { RedirectStandardOutput = true })!;
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return int.Parse(text.Trim(), System.Globalization.CultureInfo.InvariantCulture);
    }

    private static void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    private sealed class Mounted : IDisposable
    {
        public Mounted(params string[] arguments)
        {
            Folder = Directory.CreateTempSubdirectory("ofs-direct-").FullName;
            Run("mount", [.. arguments, Folder]);
        }

        public string Folder { get; }

        private string? Image { get; init; }

        public static Mounted Ext4()
        {
            Assert.SkipUnless(Environment.IsPrivilegedProcess && File.Exists("/dev/loop-control"), "mounting a loop device needs root and loop devices");
            string image = Path.GetTempFileName();
            Run("truncate", "-s", "64m", image);
            Run("mkfs.ext4", "-q", "-F", image);
            return new Mounted("-o", "loop", image) { Image = image };
        }

        public void Dispose()
        {
            Run("umount", Folder);
            Directory.Delete(Folder);
            if (Image is not null)
                File.Delete(Image);
        }
    }
}
