using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Check;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>The disk under the data folder is full.</summary>
public sealed class FullDiskTests
{
    private const int S = 128 << 10;
    private const int DiskMebibytes = 48;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Small files take more on the disk than in memory: a page here is a cluster, an inode and a row there.</summary>
    [Theory]
    [InlineData(3000)]
    [InlineData(700_000)]
    public async Task What_was_taken_is_stored_and_names_can_go_at_once(int size)
    {
        using var disk = new SmallDisk(DiskMebibytes);
        string data = Path.Combine(disk.Folder, "data");
        var volume = await VolumeFixture.CreateAsync(S, data);
        var written = new List<byte[]>();
        Errno error;
        while ((error = await TryWriteAsync(volume, $"f{written.Count}", size, written)) == Errno.None)
        {
        }
        Assert.Equal(Errno.ENOSPC, error);
        Assert.InRange((long)written.Count * size, 10L << 20, (long)DiskMebibytes << 20);
        Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
        Assert.True(disk.FreeBytes > 0, "nothing is left for the metadata");
        await ExpectAsync(volume, written, from: 0);

        int half = written.Count / 2;
        for (int i = 0; i < half; i++)
            Assert.Equal(Errno.None, (await volume.Volume.UnlinkAsync(InodeNumber.Root, Name(i), Cancellation)).Error);
        // Without a pause: the blocks of the deleted files are collected because they are in the way.
        int kept = written.Count;
        Assert.Equal(Errno.None, await TryWriteAsync(volume, $"f{kept}", size, written));
        Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
        await ExpectAsync(volume, written, half);
        await volume.DisposeAsync();
        await ExpectSoundAsync(data);
    }

    /// <summary>Between the rows of dead blocks and their files lies a sync: who finds the disk full in that moment waits for it.</summary>
    [Fact]
    public async Task A_collection_under_way_is_waited_for()
    {
        using var disk = new SmallDisk(DiskMebibytes);
        await using var volume = await VolumeFixture.CreateAsync(S, Path.Combine(disk.Folder, "data"));
        var written = new List<byte[]>();
        for (int round = 0; round < 4; round++)
        {
            int first = written.Count;
            while (await TryWriteAsync(volume, $"f{written.Count}", 700_000, written) == Errno.None)
            {
            }
            Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
            var next = await volume.Volume.CreateAsync(InodeNumber.Root, Encoding.ASCII.GetBytes($"next{round}"), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, VolumeFixture.Root, Cancellation);
            for (int i = first; i < written.Count; i++)
                Assert.Equal(Errno.None, (await volume.Volume.UnlinkAsync(InodeNumber.Root, Name(i), Cancellation)).Error);
            while ((await volume.Volume.GetStatusAsync(Cancellation)).Value.DeadBlocks < 5)
                await Task.Delay(1, Cancellation);
            var collecting = volume.Copy.CollectAsync(TimeSpan.Zero, dryRun: false, null, Cancellation);
            var result = await volume.Volume.WriteAsync(next.Value.Inode, 0, RandomNumberGenerator.GetBytes(700_000), WriteFlags.None, Cancellation);
            Assert.True(result.IsOk, $"{result.Error} in round {round} after {written.Count - first} files");
            await collecting;
        }
    }

    /// <summary>A disk can have bytes and no inode left: a small ext4 is made with one for 16 KiB.</summary>
    [Fact]
    public async Task A_disk_without_inodes_is_a_full_disk()
    {
        using var disk = new SmallDisk(4 * DiskMebibytes, inodes: 3000);
        string data = Path.Combine(disk.Folder, "data");
        var volume = await VolumeFixture.CreateAsync(S, data);
        var written = new List<byte[]>();
        Errno error;
        while ((error = await TryWriteAsync(volume, $"f{written.Count}", 1000, written)) == Errno.None)
        {
        }
        Assert.Equal(Errno.ENOSPC, error);
        Assert.InRange(written.Count, 500, 3000);
        Assert.True((await volume.Volume.GetSpaceAsync(Cancellation)).Value.FreeInodes < 10);
        Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
        int half = written.Count / 2;
        for (int i = 0; i < half; i++)
            Assert.Equal(Errno.None, (await volume.Volume.UnlinkAsync(InodeNumber.Root, Name(i), Cancellation)).Error);
        Assert.Equal(Errno.None, await TryWriteAsync(volume, $"f{written.Count}", 1000, written));
        await ExpectAsync(volume, written, half);
        await volume.DisposeAsync();
        // Whoever else has used up the rest: the check makes its notes elsewhere.
        int fillers = 0;
        while (TryMake(Path.Combine(disk.Folder, $"filler{fillers}")))
            fillers++;
        // SQLite's log and its index need a few.
        for (int i = 0; i < 4; i++)
            File.Delete(Path.Combine(disk.Folder, $"filler{i}"));
        await ExpectSoundAsync(data);
    }

    /// <summary>What lies over a layer that could not be stored belongs to the next fsync too.</summary>
    /// <param name="from">Where the file begins to be written: not at 0, and no block is complete and stored before the fsync.</param>
    /// <param name="length">Bytes of the file.</param>
    [Theory]
    [InlineData(0, 2 * S + 300)]
    [InlineData(10, S + 300)]
    [InlineData(10, 4 * S + 300)]
    public async Task A_sync_after_one_that_failed_has_all_that_was_written(int from, int length)
    {
        using var disk = new SmallDisk(DiskMebibytes);
        await using var volume = await VolumeFixture.CreateAsync(S, Path.Combine(disk.Folder, "data"));
        var file = await volume.CreateFileAsync("f");
        byte[] expected = [.. new byte[from], .. RandomNumberGenerator.GetBytes(length - from)];
        await volume.WriteAsync(file, from, expected[from..]);
        disk.FillUpTo(1 << 20);
        Assert.Equal(Errno.ENOSPC, (await volume.Volume.SyncAsync(file, false, Cancellation)).Error);
        File.Delete(Path.Combine(disk.Folder, "filler"));
        byte[] newer = RandomNumberGenerator.GetBytes(5000);
        newer.CopyTo(expected, 1000);
        await volume.WriteAsync(file, 1000, newer);
        await volume.SyncAsync(file);
        string killed = volume.CopyAsKilled();
        await using (var again = await VolumeFixture.CreateAsync(folder: killed))
            Assert.Equal(expected, await again.ReadAllAsync(await again.FindAsync("f")));
        Directory.Delete(killed, recursive: true);
    }

    [Fact]
    public async Task A_volume_opens_on_a_full_disk_with_what_was_synced()
    {
        using var disk = new SmallDisk(DiskMebibytes);
        string data = Path.Combine(disk.Folder, "data");
        byte[] expected = await LeaveKilledAsync(data);
        disk.FillUpTo(200 << 10);
        await using (var volume = await VolumeFixture.CreateAsync(folder: data))
        {
            Assert.Equal(expected, await volume.ReadAllAsync(await volume.FindAsync("db")));
            Assert.Equal(Errno.ENOSPC, (await volume.Volume.WriteAsync(await volume.FindAsync("db"), 0, new byte[4096], WriteFlags.None, Cancellation)).Error);
            File.Delete(Path.Combine(disk.Folder, "filler"));
            await volume.WriteAsync(await volume.FindAsync("db"), expected.Length, [1, 2, 3]);
            Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
        }
        await using (var volume = await VolumeFixture.CreateAsync(folder: data))
            Assert.Equal([.. expected, 1, 2, 3], await volume.ReadAllAsync(await volume.FindAsync("db")));
        await ExpectSoundAsync(data);
    }

    [Fact]
    public async Task A_read_only_opening_shows_what_was_synced_and_changes_nothing()
    {
        string data = Directory.CreateTempSubdirectory("ofs-read-only-").FullName;
        byte[] expected = await LeaveKilledAsync(data);
        for (int i = 0; i < 2; i++)
        {
            var copy = await VolumeCopy.OpenAsync(new VolumeOptions { DataFolder = data, ReadOnly = true, Memory = 32 << 20 }, NullLoggerFactory.Instance, TimeProvider.System, Cancellation);
            var session = copy.OpenSession(new Holder());
            var found = await session.LookupAsync(InodeNumber.Root, "db"u8.ToArray(), Cancellation);
            Assert.Equal(expected.Length, found.Value.Size);
            byte[] content = new byte[expected.Length];
            Assert.Equal(expected.Length, (await session.ReadAsync(found.Value.Inode, 0, content, Cancellation)).Value);
            Assert.Equal(expected, content);
            Assert.Equal(Errno.EROFS, (await session.WriteAsync(found.Value.Inode, 0, new byte[1], WriteFlags.None, Cancellation)).Error);
            await copy.CloseAsync();
        }
        Directory.Delete(data, recursive: true);
    }

    /// <summary>A folder as a kill leaves it after small synced writes, which are in the redo log only.</summary>
    private static async Task<byte[]> LeaveKilledAsync(string data)
    {
        await using var volume = await VolumeFixture.CreateAsync();
        var file = await volume.CreateFileAsync("db");
        await volume.WriteAsync(file, 0, RandomNumberGenerator.GetBytes(2 * S));
        await volume.SyncAsync(file);
        for (int i = 0; i < 20; i++)
        {
            await volume.WriteAsync(file, i * 16007, RandomNumberGenerator.GetBytes(4096));
            await volume.SyncAsync(file);
        }
        string killed = volume.CopyAsKilled();
        using (var cp = System.Diagnostics.Process.Start("cp", ["-aT", killed, data]))
        {
            await cp.WaitForExitAsync(Cancellation);
            Assert.Equal(0, cp.ExitCode);
        }
        Directory.Delete(killed, recursive: true);
        return await volume.ReadAllAsync(file);
    }

    private static async Task<Errno> TryWriteAsync(VolumeFixture volume, string name, int size, List<byte[]> written)
    {
        var made = await volume.Volume.CreateAsync(InodeNumber.Root, Encoding.ASCII.GetBytes(name), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, VolumeFixture.Root, Cancellation);
        if (!made.IsOk)
            return made.Error;
        byte[] content = RandomNumberGenerator.GetBytes(size);
        var result = await volume.Volume.WriteAsync(made.Value.Inode, 0, content, WriteFlags.None, Cancellation);
        if (result.IsOk)
            written.Add(content);
        else
            Assert.Equal(Errno.None, (await volume.Volume.UnlinkAsync(InodeNumber.Root, Encoding.ASCII.GetBytes(name), Cancellation)).Error);
        return result.Error;
    }

    private static bool TryMake(string path)
    {
        try
        {
            File.Create(path).Dispose();
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static byte[] Name(int number) => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"f{number}"));

    private static async Task ExpectAsync(VolumeFixture volume, List<byte[]> written, int from)
    {
        for (int i = from; i < written.Count; i++)
            Assert.Equal(written[i], await volume.ReadAllAsync(await volume.FindAsync($"f{i}")));
    }

    private static async Task ExpectSoundAsync(string data)
    {
        var report = await VolumeCheck.RunAsync(new CheckOptions { DataFolder = data, VerifyData = true }, NullLoggerFactory.Instance, TimeProvider.System, null, Cancellation);
        Assert.Empty(report.Faults);
    }

    private sealed class Holder : IInodeHolder
    {
        public bool Holds(InodeNumber inode) => false;
    }
}
