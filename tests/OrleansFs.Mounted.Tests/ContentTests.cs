using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>Content: write, append, truncate, holes, allocation, copies.</summary>
public sealed class ContentTests(MountPool mounts)
{
    private const int MiB = 1 << 20;

    [Theory, OnEveryMount]
    public async Task What_is_written_is_read_after_the_caches_are_gone(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        byte[] content = new byte[(5 * MiB) + 123];
        new Random(1).NextBytes(content);
        using (var fd = Sys.Open($"{at}/f", Sys.O_CREAT | Sys.O_WRONLY))
        {
            for (int offset = 0; offset < content.Length; offset += 100_000)
                Assert.Equal(Errno.None, fd.Write(offset, content.AsSpan(offset, Math.Min(100_000, content.Length - offset))));
            Assert.Equal(Errno.None, fd.Sync());
        }
        // Directly, past the page cache.
        using (var fd = Sys.Open($"{at}/f", Sys.O_RDONLY | Sys.O_DIRECT))
            Assert.Equal(content, ReadAligned(fd, content.Length));
        Assert.Equal(content, await File.ReadAllBytesAsync($"{at}/f", TestContext.Current.CancellationToken));
        Assert.Equal(content.Length, Sys.Stat($"{at}/f").Size);
    }

    [Theory, OnEveryMount]
    public async Task Direct_and_cached_writes_see_each_other(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        using var cached = Sys.Open($"{at}/f", Sys.O_CREAT | Sys.O_RDWR);
        using var direct = Sys.Open($"{at}/f", Sys.O_RDWR | Sys.O_DIRECT);
        Assert.Equal(Errno.None, cached.Write(0, Filled(8192, 1)));
        Assert.Equal(Filled(8192, 1), ReadAligned(direct, 8192));
        Assert.Equal(Errno.None, WriteAligned(direct, 4096, Filled(4096, 2)));
        Assert.Equal([.. Filled(4096, 1), .. Filled(4096, 2)], cached.Read(0, 10_000));
    }

    [Theory, OnEveryMount]
    public async Task Appends_of_many_writers_all_arrive(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        const int Writers = 4;
        const int Records = 500;
        var tasks = Enumerable.Range(0, Writers).Select(writer => Task.Run(() =>
        {
            using var fd = Sys.Open($"{at}/log", Sys.O_CREAT | Sys.O_WRONLY | Sys.O_APPEND);
            for (int i = 0; i < Records; i++)
                Assert.Equal(Errno.None, fd.Append(System.Text.Encoding.ASCII.GetBytes($"{writer} {i:D4}\n")));
        }));
        await Task.WhenAll(tasks);
        string[] lines = await File.ReadAllLinesAsync($"{at}/log", TestContext.Current.CancellationToken);
        Assert.Equal(Writers * Records, lines.Length);
        foreach (var group in lines.GroupBy(line => line[0]))
            Assert.Equal(Enumerable.Range(0, Records).Select(i => $"{group.Key} {i:D4}"), group);
    }

    [Theory, OnEveryMount]
    public async Task A_truncated_file_has_zeros_where_it_grows_again(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        using var fd = Sys.Open($"{at}/f", Sys.O_CREAT | Sys.O_RDWR);
        Assert.Equal(Errno.None, fd.Write(0, Filled(300_000, 7)));
        Assert.Equal(Errno.None, fd.Truncate(100_001));
        Assert.Equal(100_001, Sys.Stat($"{at}/f").Size);
        Assert.Equal(Errno.None, Sys.Truncate($"{at}/f", 300_000));
        byte[] seen = fd.Read(0, 400_000);
        Assert.Equal([.. Filled(100_001, 7), .. new byte[199_999]], seen);
        using (Sys.Open($"{at}/f", Sys.O_WRONLY | Sys.O_TRUNC))
            Assert.Equal(0, Sys.Stat($"{at}/f").Size);
        Assert.Empty(fd.Read(0, 10));
    }

    [Theory, OnEveryMount]
    public async Task A_hole_takes_no_space_and_is_found(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        using var fd = Sys.Open($"{at}/f", Sys.O_CREAT | Sys.O_RDWR);
        Assert.Equal(Errno.None, fd.Write(8 * MiB, Filled(MiB, 5)));
        Assert.Equal(Errno.None, fd.Truncate(20 * MiB));
        Assert.Equal(Errno.None, fd.Sync());
        Assert.Equal(Errno.None, fd.Seek(0, Sys.SEEK_DATA, out long data));
        Assert.Equal(8 * MiB, data);
        Assert.Equal(Errno.None, fd.Seek(0, Sys.SEEK_HOLE, out long first));
        Assert.Equal(0, first);
        Assert.Equal(Errno.None, fd.Seek(8 * MiB, Sys.SEEK_HOLE, out long second));
        Assert.Equal(9 * MiB, second);
        Assert.Equal(Errno.ENXIO, fd.Seek(9 * MiB, Sys.SEEK_DATA, out _));
        Assert.InRange(Sys.Stat($"{at}/f").Blocks * 512, MiB, 2 * MiB);
        Assert.Equal(new byte[1000], fd.Read((8 * MiB) - 1000, 1000));
    }

    [Theory, OnEveryMount]
    public async Task Allocation_changes_size_and_holes_as_asked(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        using var fd = Sys.Open($"{at}/f", Sys.O_CREAT | Sys.O_RDWR);
        Assert.Equal(Errno.None, fd.Write(0, Filled(MiB, 9)));
        Assert.Equal(Errno.None, fd.Allocate(Sys.FALLOC_FL_KEEP_SIZE, MiB, MiB));
        Assert.Equal(MiB, Sys.Stat($"{at}/f").Size);
        Assert.Equal(Errno.None, fd.Allocate(0, MiB, MiB));
        Assert.Equal(2 * MiB, Sys.Stat($"{at}/f").Size);
        Assert.Equal(Errno.None, fd.Allocate(Sys.FALLOC_FL_PUNCH_HOLE | Sys.FALLOC_FL_KEEP_SIZE, 1000, 500_000));
        Assert.Equal(Errno.None, fd.Allocate(Sys.FALLOC_FL_ZERO_RANGE, 900_000, 1000));
        Assert.Equal(Errno.None, fd.Allocate(Sys.FALLOC_FL_ZERO_RANGE, 3 * MiB, 10));
        Assert.Equal((3 * MiB) + 10, Sys.Stat($"{at}/f").Size);
        byte[] expected = new byte[(3 * MiB) + 10];
        expected.AsSpan(0, MiB).Fill(9);
        expected.AsSpan(1000, 500_000).Clear();
        expected.AsSpan(900_000, 1000).Clear();
        Assert.Equal(expected, fd.Read(0, expected.Length + 10));
    }

    [Theory, OnEveryMount]
    public async Task A_copied_range_is_equal_and_independent(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        byte[] content = new byte[MiB];
        new Random(2).NextBytes(content);
        await File.WriteAllBytesAsync($"{at}/from", content, TestContext.Current.CancellationToken);
        using var from = Sys.Open($"{at}/from", Sys.O_RDWR);
        using var to = Sys.Open($"{at}/to", Sys.O_CREAT | Sys.O_RDWR);
        Assert.Equal(Errno.None, from.CopyTo(0, to, 0, MiB, out long whole));
        Assert.Equal(MiB, whole);
        Assert.Equal(Errno.None, from.CopyTo(1000, to, 3_000_000, 5000, out long part));
        Assert.Equal(5000, part);
        Assert.Equal(Errno.None, from.CopyTo(MiB - 10, to, 5_000_000, 100, out long tail));
        Assert.Equal(10, tail);
        Assert.Equal(Errno.None, from.CopyTo(MiB, to, 0, 100, out long none));
        Assert.Equal(0, none);
        Assert.Equal(Errno.None, from.Write(0, Filled(5000, 1)));
        byte[] copy = to.Read(0, MiB);
        Assert.Equal(content, copy);
        Assert.Equal(content[1000..6000], to.Read(3_000_000, 5000));
        Assert.Equal(5_000_010, Sys.Stat($"{at}/to").Size);
    }

    [Theory, OnEveryMount]
    public async Task A_file_can_be_as_long_as_an_offset_can_say(string kind)
    {
        if (MountKind.Named(kind).Volume == VolumeKind.Plain)
            Assert.Skip("local file systems end earlier");
        string at = await mounts.EnterAsync(kind);
        using var fd = Sys.Open($"{at}/f", Sys.O_CREAT | Sys.O_RDWR);
        const long Far = long.MaxValue - (8 * MiB);
        Assert.Equal(Errno.None, fd.Write(Far, "far"u8));
        Assert.Equal(Errno.None, fd.Sync());
        Assert.Equal(Far + 3, Sys.Stat($"{at}/f").Size);
        Assert.Equal("far"u8, fd.Read(Far, 10));
        Assert.Equal(new byte[10], fd.Read(Far - 10, 10));
        Assert.Equal(Errno.None, fd.Seek(1, Sys.SEEK_DATA, out long data));
        Assert.InRange(data, Far - (4 * MiB), Far);
        Assert.Equal(Errno.None, fd.Truncate(long.MaxValue));
        Assert.Equal(long.MaxValue, Sys.Stat($"{at}/f").Size);
        Assert.Equal(Errno.None, fd.Truncate(0));
        Assert.Equal(0, Sys.Stat($"{at}/f").Blocks);
    }

    [Theory, OnEveryMount]
    public async Task Space_is_reported(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        var (blocks, free, available, files, filesFree, unit) = Sys.StatFs(at);
        Assert.True(unit >= 512 && blocks > 0 && free <= blocks && available <= free && filesFree < files);
    }

    private static byte[] Filled(int length, byte value)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().Fill(value);
        return bytes;
    }

    /// <summary>Direct I/O wants buffers, offsets and lengths that are multiples of a sector.</summary>
    private static unsafe byte[] ReadAligned(FileDescriptor fd, int length)
    {
        int room = (length + 4095) & ~4095;
        void* memory = System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)room, 4096);
        try
        {
            var buffer = new Span<byte>(memory, room);
            int done = 0;
            while (done < length)
            {
                var error = fd.Read(done, buffer[done..], out int count);
                Assert.Equal(Errno.None, error);
                if (count == 0)
                    break;
                done += count;
            }
            return buffer[..Math.Min(done, length)].ToArray();
        }
        finally
        {
            System.Runtime.InteropServices.NativeMemory.AlignedFree(memory);
        }
    }

    private static unsafe Errno WriteAligned(FileDescriptor fd, long offset, byte[] data)
    {
        void* memory = System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)data.Length, 4096);
        try
        {
            data.CopyTo(new Span<byte>(memory, data.Length));
            return fd.Write(offset, new ReadOnlySpan<byte>(memory, data.Length));
        }
        finally
        {
            System.Runtime.InteropServices.NativeMemory.AlignedFree(memory);
        }
    }
}
