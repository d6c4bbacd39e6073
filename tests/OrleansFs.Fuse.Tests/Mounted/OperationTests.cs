using System.Security.Cryptography;
using System.Text;
using OrleansFs.Fuse.Tests.MemoryFs;
using Xunit;

namespace OrleansFs.Fuse.Tests.Mounted;

/// <summary>What programs do, through the kernel, on both transports.</summary>
[Collection("mounted")]
public sealed class OperationTests
{
    public static TheoryData<FuseTransport> Transports => MemoryMount.Transports;

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task Files_hold_what_is_written_to_them(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport, new MemoryFileSystem(TimeProvider.System) { DirectIO = true });
        byte[] data = RandomNumberGenerator.GetBytes((3 << 20) + 12345); // more than two of the largest writes, and a rest
        int fd = Posix.MustOpen(mount.Path("file"), Posix.O_RDWR | Posix.O_CREAT);
        Assert.Equal(data.Length, Posix.Write(fd, data, 7));
        byte[] back = new byte[data.Length + 100];
        Assert.Equal(data.Length, Posix.Read(fd, back, 7));
        Assert.Equal(data, back[..data.Length]);
        Assert.Equal(0, Posix.FTruncate(fd, 10));
        Assert.Equal(10, Posix.Read(fd, back, 0));
        Assert.Equal(data[..3], back[7..10]);
        Assert.Equal(0, Posix.FSync(fd));
        Assert.Equal(0, Posix.Close(fd));
        Assert.Equal(10, Posix.StatX(mount.Path("file")).Size);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task A_shared_mapping_reaches_the_file(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport, new MemoryFileSystem(TimeProvider.System) { Timeout = TimeSpan.FromHours(1) });
        int fd = Posix.MustOpen(mount.Path("mapped"), Posix.O_RDWR | Posix.O_CREAT);
        Assert.Equal(4096, Posix.Write(fd, new byte[4096], 0));
        Posix.WriteThroughMapping(fd, "through the mapping"u8);
        byte[] back = new byte[19];
        Assert.Equal(19, Posix.Read(fd, back, 0));
        Assert.Equal("through the mapping"u8, back);
        Assert.Equal(0, Posix.Close(fd));
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task Names_links_and_renames(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        Directory.CreateDirectory(mount.Path("a/b"));
        await File.WriteAllTextAsync(mount.Path("a/one"), "1", TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(mount.Path("two"), "2", TestContext.Current.CancellationToken);
        File.CreateSymbolicLink(mount.Path("link"), "a/one");
        Assert.Equal("a/one", new FileInfo(mount.Path("link")).LinkTarget);
        Assert.Equal((-1, Errno.EEXIST), (Posix.Rename(mount.Path("a/one"), mount.Path("two"), Posix.RENAME_NOREPLACE), Posix.LastError));
        Assert.Equal(0, Posix.Rename(mount.Path("a/one"), mount.Path("two"), Posix.RENAME_EXCHANGE));
        Assert.Equal("21", File.ReadAllText(mount.Path("a/one")) + File.ReadAllText(mount.Path("two")));
        Assert.Equal(0, Posix.Rename(mount.Path("two"), mount.Path("a/b/three"), 0));
        Assert.False(Posix.Exists(mount.Path("two")));
        Assert.Equal(3u, Posix.StatX(mount.Path("a")).LinkCount);
        Directory.Delete(mount.Path("a"), recursive: true);
        Assert.Equal(["link"], Directory.EnumerateFileSystemEntries(mount.Mount.MountPoint).Select(Path.GetFileName));
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task Names_are_bytes_up_to_255(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        byte[] directory = Encoding.UTF8.GetBytes(mount.Path(""));
        byte[] all = [.. Enumerable.Range(1, 255).Select(i => (byte)i).Where(b => b != '/')];
        int fd = Posix.Open([.. directory, .. all], Posix.O_RDWR | Posix.O_CREAT | Posix.O_EXCL);
        Assert.True(fd >= 0, $"{Posix.LastError}");
        Assert.Equal(0, Posix.Close(fd));
        byte[] longest = [.. directory, .. Enumerable.Repeat((byte)'n', 255)];
        Assert.Equal(0, Posix.Close(Posix.Open(longest, Posix.O_RDWR | Posix.O_CREAT)));
        Assert.Equal((-1, Errno.ENAMETOOLONG), (Posix.Open([.. longest, (byte)'n'], Posix.O_RDWR | Posix.O_CREAT), Posix.LastError));
        Assert.Equal(2, Directory.EnumerateFiles(mount.Mount.MountPoint).Count());
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task A_large_directory_lists_each_entry_once(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport, new MemoryFileSystem(TimeProvider.System) { Timeout = TimeSpan.FromHours(1) });
        HashSet<string> expected = [];
        for (int i = 0; i < 10_000; i++)
        {
            string name = $"{new string('x', i % 100)}{i}";
            Assert.Equal(0, Posix.Close(Posix.MustOpen(mount.Path(name), Posix.O_WRONLY | Posix.O_CREAT | Posix.O_EXCL)));
            expected.Add(name);
        }
        string[] listed = [.. Directory.EnumerateFiles(mount.Mount.MountPoint).Select(p => Path.GetFileName(p)!)];
        Assert.Equal(expected.Count, listed.Length);
        Assert.True(expected.SetEquals(listed));
        Assert.True(mount.Mount.Statistics.Requests.ContainsKey("FUSE_READDIRPLUS"));
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task Extended_attributes(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        string path = mount.Path("file");
        await File.WriteAllTextAsync(path, "", TestContext.Current.CancellationToken);
        byte[] value = RandomNumberGenerator.GetBytes(65536);
        byte[] back = new byte[65536];
        Assert.Equal(0, Posix.SetXAttr(path, "user.large", value));
        Assert.Equal(0, Posix.SetXAttr(path, "user.empty", []));
        Assert.Equal(65536, Posix.GetXAttr(path, "user.large", []));
        Assert.Equal(65536, Posix.GetXAttr(path, "user.large", back));
        Assert.Equal(value, back);
        Assert.Equal((-1L, Errno.ERANGE), (Posix.GetXAttr(path, "user.large", back.AsSpan(0, 100)), Posix.LastError));
        Assert.Equal((-1L, Errno.ENODATA), (Posix.GetXAttr(path, "user.none", back), Posix.LastError));
        Assert.Equal((-1, Errno.EEXIST), (Posix.SetXAttr(path, "user.empty", [1], flags: 1), Posix.LastError));
        long length = Posix.ListXAttr(path, back);
        Assert.Equal(["user.empty", "user.large"], Encoding.ASCII.GetString(back, 0, (int)length).TrimEnd('\0').Split('\0').Order());
        Assert.Equal(0, Posix.RemoveXAttr(path, "user.large"));
        Assert.Equal(11, Posix.ListXAttr(path, []));
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task Holes_allocation_copies_and_nameless_files(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        int fd = Posix.MustOpen(mount.Path("sparse"), Posix.O_RDWR | Posix.O_CREAT);
        Assert.Equal(5, Posix.Write(fd, "hello"u8, 1 << 20));
        Assert.Equal(1 << 20, Posix.LSeek(fd, 0, 3)); // SEEK_DATA
        Assert.Equal(0, Posix.LSeek(fd, 0, 4)); // SEEK_HOLE
        Assert.Equal(0, Posix.FAllocate(fd, 3, 1 << 20, 4)); // PUNCH_HOLE | KEEP_SIZE
        byte[] back = new byte[5];
        Assert.Equal(5, Posix.Read(fd, back, 1 << 20));
        Assert.Equal("\0\0\0\0o"u8, back);
        Assert.Equal((-1, Errno.EOPNOTSUPP), (Posix.FAllocate(fd, 8, 0, 4096), Posix.LastError)); // COLLAPSE_RANGE

        int nameless = Posix.MustOpen(mount.Mount.MountPoint, Posix.O_RDWR | Posix.O_TMPFILE);
        Assert.Equal((1 << 20) + 5, Copy(fd, nameless));
        Assert.Equal(5, Posix.Read(nameless, back, 1 << 20));
        Assert.Equal("\0\0\0\0o"u8, back);
        Assert.Equal(0, Posix.Close(nameless));
        Assert.Equal(0, Posix.Close(fd));
        Assert.Equal(["sparse"], Directory.EnumerateFiles(mount.Mount.MountPoint).Select(Path.GetFileName));
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task Ioctl_statfs_and_statx(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        int fd = Posix.MustOpen(mount.Path("file"), Posix.O_RDWR | Posix.O_CREAT);
        byte[] data = "12345678"u8.ToArray();
        Assert.Equal(0, Posix.Ioctl(fd, 0xC0086F01, data));
        Assert.Equal("87654321"u8, data);
        Assert.Equal((-1, Errno.ENOTTY), (Posix.Ioctl(fd, 0xC0086F02, data), Posix.LastError));
        Assert.Equal(0, Posix.Close(fd));
        Assert.Equal((long)MemoryFileSystem.Capacity, new DriveInfo(mount.Mount.MountPoint).TotalSize);
        Assert.Equal(1, Posix.StatX(mount.Path("file"), Posix.STATX_BTIME).BirthSeconds);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task Load_from_several_threads_keeps_every_byte(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport, new MemoryFileSystem(TimeProvider.System) { DirectIO = true });
        int seed = Random.Shared.Next();
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        Thread[] threads = [.. Enumerable.Range(0, 8).Select(t => new Thread(() => Work(mount, t, new Random(seed + t))))];
        Array.ForEach(threads, t => t.Start());
        Array.ForEach(threads, t => t.Join());
        Assert.Empty(s_failures);
        Assert.Empty(Directory.EnumerateFileSystemEntries(mount.Mount.MountPoint));
        Assert.True(mount.Mount.Statistics.TotalRequests > 8000);
    }

    private static readonly System.Collections.Concurrent.ConcurrentQueue<string> s_failures = new();

    private static unsafe long Copy(int from, int to)
    {
        long offsetFrom = 0;
        long offsetTo = 0;
        return Posix.CopyFileRange(from, &offsetFrom, to, &offsetTo, 1 << 30, 0);
    }

    private static void Work(MemoryMount mount, int thread, Random random)
    {
        byte[] data = new byte[200_000];
        byte[] back = new byte[200_000];
        try
        {
            for (int i = 0; i < 150; i++)
            {
                int length = random.Next(1, data.Length);
                random.NextBytes(data.AsSpan(0, length));
                string path = mount.Path($"{thread}-{i}");
                int fd = Posix.MustOpen(path, Posix.O_RDWR | Posix.O_CREAT | Posix.O_EXCL);
                bool whole = Posix.Write(fd, data.AsSpan(0, length), 0) == length && Posix.Read(fd, back, 0) == length;
                if (!whole || !data.AsSpan(0, length).SequenceEqual(back.AsSpan(0, length)))
                    s_failures.Enqueue($"{path}: not what was written");
                if (Posix.Rename(path, path + "r", 0) != 0 || Posix.StatX(path + "r").Size != length || Posix.Close(fd) != 0)
                    s_failures.Enqueue($"{path}: rename");
                File.Delete(path + "r");
            }
        }
        catch (IOException exception)
        {
            s_failures.Enqueue(exception.Message);
        }
    }
}
