using System.Text;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>Content that a mount keeps for a copy that may lose it, and writes again to one that was killed: never over what others wrote since.</summary>
public sealed class WrittenAgainTests : IDisposable
{
    private readonly TestFolder _folder = new();
    private readonly TestLog _log = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private ClusterConnection Private => ClusterConnection.Sqlite(_folder["data/cluster.db"]);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_another_mount_has_written_over_it_and_synced_stays(bool gathers)
    {
        var silo = await SiloProcess.StartAsync(_folder["data"]);
        await using var connection = await ConnectAsync();
        await using var first = await MountAsync(connection, gathers);
        await using var second = await MountAsync(connection, gathers);
        var file = (await first.CreateAsync(InodeNumber.Root, "file"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation)).Value.Inode;
        var other = (await first.CreateAsync(InodeNumber.Root, "other"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation)).Value.Inode;
        await WriteAsync(first, other, "of the first alone");
        // In turn, as under a lock: each has been answered by the copy before the other writes.
        foreach (string text in new[] { "first", "again" })
        {
            await WriteAsync(first, file, text);
            await WriteAsync(second, file, "other");
        }
        Assert.True((await second.SyncAsync(file, dataOnly: false, Cancellation)).IsOk);
        await silo.KillAsync();
        silo = await SiloProcess.StartAsync(_folder["data"]);
        Assert.Equal("other", await ReadAsync(first, file));
        Assert.Equal("other", await ReadAsync(second, file));
        Assert.Equal("of the first alone", await ReadAsync(second, other));
        _log.AssertQuiet("cannot be reached", "answers again");
        await silo.DisposeAsync();
    }

    /// <summary>A mount whose clock stands is one that sleeps: it does not notice that the silo is gone.</summary>
    [Fact]
    public async Task A_mount_that_comes_back_late_does_not_write_over_what_others_wrote()
    {
        var asleep = new ManualTime();
        var silo = await SiloProcess.StartAsync(_folder["data"]);
        await using var connection = await ConnectAsync();
        await using var another = await ConnectAsync(asleep);
        await using var awake = await MountAsync(connection, gathers: false);
        await using var late = await MountAsync(another, gathers: false);
        var files = new List<InodeNumber>();
        foreach (string name in new[] { "overtaken.txt", "same", "untouched" })
        {
            files.Add((await late.CreateAsync(InodeNumber.Root, Encoding.UTF8.GetBytes(name), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, new Caller(7, 8, 1, 0), Cancellation)).Value.Inode);
            await WriteAsync(late, files[^1], "written before it slept");
        }
        await silo.KillAsync();
        silo = await SiloProcess.StartAsync(_folder["data"]);
        await WriteAsync(awake, files[0], "since then");
        await WriteAsync(awake, files[1], "written before it slept");
        Assert.True((await awake.SyncAllAsync(Cancellation)).IsOk);
        var back = late.SyncAsync(files[0], dataOnly: false, Cancellation).AsTask();
        while (!back.IsCompleted)
        {
            asleep.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Delay(1, Cancellation);
        }
        Assert.Equal(Errno.EIO, (await back).Error);
        Assert.True((await late.SyncAsync(files[0], dataOnly: false, Cancellation)).IsOk);
        Assert.Equal("since then", await ReadAsync(awake, files[0]));
        Assert.Equal("written before it slept", await ReadAsync(awake, files[1]));
        Assert.Equal("written before it slept", await ReadAsync(awake, files[2]));
        var names = await NamesAsync(awake);
        string aside = Assert.Single(names, n => n.StartsWith("overtaken.conflict-test-", StringComparison.Ordinal) && n.EndsWith(".txt", StringComparison.Ordinal));
        Assert.Equal(files.Count + 1, names.Count);
        var copy = (await awake.LookupAsync(InodeNumber.Root, Encoding.UTF8.GetBytes(aside), Cancellation)).Value;
        Assert.Equal("written before it slept", await ReadAsync(awake, copy.Inode));
        Assert.Equal((7u, 8u), (copy.Uid, copy.Gid));
        Assert.Single(_log.Lines, l => l.Contains(aside, StringComparison.Ordinal));
        _log.AssertQuiet("cannot be reached", "answers again", aside);
        await silo.DisposeAsync();
    }

    /// <summary>copy_file_range is on disk when it is answered, and what was written before it is older.</summary>
    [Theory]
    [InlineData("truncation")]
    [InlineData("write")]
    [InlineData("hole")]
    public async Task What_a_copied_range_has_replaced_does_not_come_back(string before)
    {
        var silo = await SiloProcess.StartAsync(_folder["data"]);
        await using var connection = await ConnectAsync();
        await using var mount = await MountAsync(connection, gathers: true);
        var (source, target) = (await CreateAsync(mount, "source"), await CreateAsync(mount, "target"));
        await WriteAsync(mount, source, "what was copied");
        await WriteAsync(mount, target, "as it was before all that");
        Assert.True((await mount.SyncAllAsync(Cancellation)).IsOk);
        if (before == "truncation")
            Assert.True((await mount.SetAttributesAsync(target, new AttributeChange { Mask = AttributeMask.Size, Size = 0 }, default, Cancellation)).IsOk);
        else if (before == "write")
            await WriteAsync(mount, target, "written");
        else
            Assert.True((await mount.AllocateAsync(target, AllocateMode.PunchHole | AllocateMode.KeepSize, 0, 10, Cancellation)).IsOk);
        Assert.Equal(15, (await mount.CopyRangeAsync(source, 0, target, 0, 15, Cancellation)).Value);
        string copied = await ReadAsync(mount, target);
        Assert.StartsWith("what was copied", copied, StringComparison.Ordinal);
        await silo.KillAsync();
        silo = await SiloProcess.StartAsync(_folder["data"]);
        Assert.Equal(copied, await ReadAsync(mount, target));
        _log.AssertQuiet("cannot be reached", "answers again");
        await silo.DisposeAsync();
    }

    public void Dispose()
    {
        _log.Dispose();
        _folder.Dispose();
    }

    private static async Task<InodeNumber> CreateAsync(GrainVolumeAccess mount, string name) =>
        (await mount.CreateAsync(InodeNumber.Root, Encoding.UTF8.GetBytes(name), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation)).Value.Inode;

    private static async Task WriteAsync(GrainVolumeAccess mount, InodeNumber file, string text)
    {
        Assert.True((await mount.WriteAsync(file, 0, Encoding.UTF8.GetBytes(text), WriteFlags.None, Cancellation)).IsOk);
        Assert.True((await mount.FlushAsync(file, 1, Cancellation)).IsOk);
    }

    private static async Task<string> ReadAsync(GrainVolumeAccess mount, InodeNumber file)
    {
        byte[] bytes = new byte[100];
        var read = await mount.ReadAsync(file, 0, bytes, Cancellation);
        Assert.True(read.IsOk, read.Error.ToString());
        return Encoding.UTF8.GetString(bytes.AsSpan(0, read.Value));
    }

    private static async Task<List<string>> NamesAsync(GrainVolumeAccess mount)
    {
        var names = new Names();
        Assert.True((await mount.ReadDirectoryAsync(InodeNumber.Root, 0, names, withAttributes: false, Cancellation)).IsOk);
        return names.All;
    }

    private sealed class Names : IDirectorySink
    {
        public List<string> All { get; } = [];

        public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes)
        {
            string text = Encoding.UTF8.GetString(name);
            if (text is not ("." or ".."))
                All.Add(text);
            return true;
        }
    }

    private Task<VolumeConnection> ConnectAsync(TimeProvider? time = null) =>
        VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = Private, Loggers = _log.Factory, Time = time ?? TimeProvider.System }, Cancellation);

    private static Task<GrainVolumeAccess> MountAsync(VolumeConnection connection, bool gathers) =>
        GrainVolumeAccess.AttachAsync(connection, CopyName.Parse("master"), new Holder(), new RemoteVolumeOptions { Client = "test", WriteBehind = gathers }, Cancellation);
}
