using System.Text;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>Files that become immutable or append-only while what was written to them is in the memory of a silo that is killed then.</summary>
public sealed class GuardedFileTests : IAsyncLifetime
{
    private readonly TestFolder _folder = new();
    private SiloProcess _silo = null!;
    private VolumeConnection _connection = null!;
    private GrainVolumeAccess _first = null!, _second = null!;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await StartAsync();
        var options = new VolumeConnectionOptions { Cluster = ClusterConnection.Parse($"sqlite:{_folder.Path}/cluster.db"), ConnectTimeout = TimeSpan.FromMinutes(1) };
        _connection = await VolumeConnection.ConnectAsync(options, Cancellation);
        _first = await AttachAsync();
        _second = await AttachAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _second.DisposeAsync();
        await _first.DisposeAsync();
        await _connection.DisposeAsync();
        await _silo.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task What_a_file_had_when_it_was_flagged_is_there_after_a_kill_and_once()
    {
        var fixedFile = await CreateAsync("fixed");
        var cut = await CreateAsync("cut");
        var log = await CreateAsync("log");
        await WriteAsync(_first, fixedFile, 0, "what it is to be");
        await WriteAsync(_first, cut, 0, new string('a', 300));
        await WriteAsync(_second, cut, 300, new string('b', 300));
        Assert.True((await _first.SetAttributesAsync(cut, new AttributeChange { Mask = AttributeMask.Size, Size = 300 }, default, Cancellation)).IsOk);
        await FlagAsync(fixedFile, InodeFlags.Immutable);
        await FlagAsync(cut, InodeFlags.AppendOnly);
        await FlagAsync(log, InodeFlags.AppendOnly);
        // Brings the flags into the database, and nobody's content with them.
        Assert.True((await _second.AppendAsync(log, "a record"u8.ToArray(), null, durable: false, Cancellation)).IsOk);
        await RestartAsync();
        Assert.Equal("what it is to be", await ReadAsync(fixedFile));
        Assert.Equal(new string('a', 300), await ReadAsync(cut));
        Assert.Empty((await _first.ListRecordsAsync(cut, 0, 10, Cancellation)).Value);
        Assert.Equal("a record", await ReadAsync(log));
        // Nothing was lost, and nobody is told that something was.
        foreach (var access in new[] { _first, _second })
        {
            foreach (var file in new[] { fixedFile, cut, log })
                Assert.Equal(Errno.None, (await access.SyncAsync(file, false, Cancellation)).Error);
        }
        Assert.Equal(300, (await _first.AppendAsync(cut, "behind"u8.ToArray(), null, false, Cancellation)).Value.Offset);
    }

    /// <summary>A program has a file open for appending when it becomes append-only: its mount does not know of records.</summary>
    [Fact]
    public async Task Appends_of_who_opened_a_file_before_it_became_append_only_are_records_too()
    {
        var log = await CreateAsync("log");
        await WriteAsync(_first, log, 0, "head\n");
        await FlagAsync(log, InodeFlags.AppendOnly);
        var expected = new StringBuilder("head\n");
        for (int i = 0; i < 20; i++)
        {
            var access = i % 3 == 0 ? _second : _first;
            string line = $"line {i} of one of two\n";
            var written = await access.WriteAsync(log, 0, Encoding.ASCII.GetBytes(line), WriteFlags.Append, Cancellation);
            Assert.Equal(expected.Length, written.Value);
            expected.Append(line);
            if (i == 9)
                await RestartAsync();
        }
        Assert.Equal(expected.ToString(), await ReadAsync(log));
        Assert.Equal(20, (await _first.ListRecordsAsync(log, 0, 100, Cancellation)).Value.Length);
        Assert.Equal(Errno.None, (await _first.SyncAsync(log, false, Cancellation)).Error);
        Assert.Equal(Errno.None, (await _second.SyncAsync(log, false, Cancellation)).Error);
    }

    /// <summary>
    /// What was done before the flag is older than the records that came under it, whoever did it and however late it is made again; and what came after the flag was taken away is not lost for that.
    /// </summary>
    [Theory]
    [InlineData(InodeFlags.AppendOnly)]
    [InlineData(InodeFlags.Immutable)]
    public async Task What_was_done_before_a_flag_is_not_made_again_when_the_flag_is_gone(InodeFlags flag)
    {
        var file = await CreateAsync("file");
        await WriteAsync(_first, file, 0, new string('a', 600));
        await WriteAsync(_second, file, 100, new string('b', 600));
        foreach (var access in new[] { _first, _second })
            Assert.True((await access.SetAttributesAsync(file, new AttributeChange { Mask = AttributeMask.Size, Size = access == _first ? 650 : 300 }, default, Cancellation)).IsOk);
        Assert.True((await _second.AllocateAsync(file, AllocateMode.PunchHole | AllocateMode.KeepSize, 0, 100, Cancellation)).IsOk);
        await FlagAsync(file, flag);
        string before = new string('\0', 100) + new string('b', 200);
        string expected = before;
        if (flag == InodeFlags.AppendOnly)
        {
            expected += "one record";
            Assert.Equal(300, (await _second.AppendAsync(file, "one record"u8.ToArray(), null, durable: false, Cancellation)).Value.Offset);
        }
        await FlagAsync(file, InodeFlags.None);
        await RestartAsync();
        Assert.Equal(expected, await ReadAsync(file));

        // The file is one like any other: what is written, cut and punched now survives too, by whoever.
        Assert.True((await _first.SetAttributesAsync(file, new AttributeChange { Mask = AttributeMask.Size, Size = 200 }, default, Cancellation)).IsOk);
        await WriteAsync(_second, file, 200, "after");
        Assert.True((await _first.AllocateAsync(file, AllocateMode.PunchHole | AllocateMode.KeepSize, 150, 10, Cancellation)).IsOk);
        Assert.Equal(205, (await _first.WriteAsync(file, 0, "end"u8.ToArray(), WriteFlags.Append, Cancellation)).Value);
        await RestartAsync();
        Assert.Equal(before[..150] + new string('\0', 10) + before[160..200] + "afterend", await ReadAsync(file));
        foreach (var access in new[] { _first, _second })
            Assert.Equal(Errno.None, (await access.SyncAsync(file, false, Cancellation)).Error);
        Assert.Equal(InodeFlags.None, (await _first.GetAttributesAsync(file, Cancellation)).Value.Flags & (InodeFlags.Immutable | InodeFlags.AppendOnly));
    }

    private async Task RestartAsync()
    {
        await _silo.KillAsync();
        await _silo.DisposeAsync();
        await StartAsync();
    }

    private async Task StartAsync() => _silo = await SiloProcess.StartAsync($"{_folder.Path}/data", "--cluster", $"sqlite:{_folder.Path}/cluster.db");

    private Task<GrainVolumeAccess> AttachAsync() => GrainVolumeAccess.AttachAsync(_connection, CopyName.Parse("master"), new Holder(), new RemoteVolumeOptions { Client = "test" }, Cancellation);

    private async Task<InodeNumber> CreateAsync(string name) =>
        (await _first.CreateAsync(InodeNumber.Root, Encoding.ASCII.GetBytes(name), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation)).Value.Inode;

    private static async Task WriteAsync(GrainVolumeAccess access, InodeNumber file, long offset, string text) =>
        Assert.Equal(Errno.None, (await access.WriteAsync(file, offset, Encoding.ASCII.GetBytes(text), WriteFlags.None, Cancellation)).Error);

    private async Task FlagAsync(InodeNumber file, InodeFlags flags) =>
        Assert.Equal(Errno.None, (await _first.SetAttributesAsync(file, new AttributeChange { Mask = AttributeMask.Flags, Flags = flags }, default, Cancellation)).Error);

    private async Task<string> ReadAsync(InodeNumber file)
    {
        byte[] content = new byte[4096];
        var read = await _second.ReadAsync(file, 0, content, Cancellation);
        Assert.Equal(Errno.None, read.Error);
        return Encoding.ASCII.GetString(content, 0, read.Value);
    }
}
