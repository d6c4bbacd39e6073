using System.Text;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>A session that gathers writes: it sees its own at once, others see them after a close.</summary>
public sealed class WriteBehindTests : IAsyncLifetime
{
    private static readonly Caller s_me = new(0, 0, 1, 0x12);

    private readonly TestFolder _folder = new();
    private RunningSilo _silo = null!;
    private VolumeConnection _connection = null!;
    private string[] _expected = [];

    private static CancellationToken Cancellation => RunningSilo.Cancellation;

    public async ValueTask InitializeAsync()
    {
        _silo = await RunningSilo.StartAsync(_folder["data"]);
        _connection = await _silo.ConnectAsync();
    }

    [Fact]
    public async Task Random_work_is_as_if_nothing_were_gathered()
    {
        int seed = Environment.TickCount;
        TestContext.Current.SendDiagnosticMessage($"seed {seed}");
        var random = new Random(seed);
        await using var mine = await GatheringAsync();
        await using var other = await _silo.MountAsync(_connection);
        var file = await CreateAsync(mine, "a");
        var expected = new MemoryStream();
        for (int step = 0; step < 600; step++)
        {
            byte[] data = new byte[random.Next(8) == 0 ? random.Next(1, 300_000) : random.Next(1, 5000)];
            random.NextBytes(data);
            switch (random.Next(10))
            {
                case 0 or 1 or 2:
                    expected.Position = random.Next(500_000);
                    Assert.Equal(expected.Position, (await mine.WriteAsync(file, expected.Position, data, WriteFlags.None, Cancellation)).Value);
                    expected.Write(data);
                    break;
                case 3 or 4:
                    Assert.True((await mine.WriteAsync(file, 0, data, WriteFlags.Append, Cancellation)).IsOk);
                    expected.Position = expected.Length;
                    expected.Write(data);
                    break;
                case 5:
                    long size = random.Next(600_000);
                    Assert.Equal(size, (await mine.SetAttributesAsync(file, new AttributeChange { Mask = AttributeMask.Size, Size = size }, s_me, Cancellation)).Value.Size);
                    expected.SetLength(size);
                    break;
                case 6:
                    Assert.Equal(expected.Length, (await mine.LookupAsync(InodeNumber.Root, "a"u8.ToArray(), Cancellation)).Value.Size);
                    break;
                case 7:
                    await CompareAsync(mine, file, expected);
                    break;
                case 8:
                    Assert.True((await mine.SyncAsync(file, false, Cancellation)).IsOk);
                    Assert.Equal(expected.Length, (await other.GetAttributesAsync(file, Cancellation)).Value.Size);
                    break;
                default:
                    Assert.True((await mine.FlushAsync(file, 1, Cancellation)).IsOk);
                    Assert.Equal(expected.Length, (await other.GetAttributesAsync(file, Cancellation)).Value.Size);
                    await CompareAsync(other, file, expected);
                    break;
            }
        }
    }

    [Fact]
    public async Task A_failure_is_told_to_the_sync_once()
    {
        await using var mine = await GatheringAsync();
        var file = await CreateAsync(mine, "a");
        Assert.True((await mine.WriteAsync(file, long.MaxValue - 10, new byte[100], WriteFlags.None, Cancellation)).IsOk);
        Assert.Equal(Errno.EFBIG, (await mine.SyncAsync(file, false, Cancellation)).Error);
        Assert.True((await mine.SyncAsync(file, false, Cancellation)).IsOk);
    }

    /// <summary>To the one that was interrupted, or to the next: never to none.</summary>
    [Fact]
    public async Task A_sync_that_is_interrupted_takes_no_failure_with_it()
    {
        await using var mine = await GatheringAsync();
        var file = await CreateAsync(mine, "a");
        Assert.True((await mine.WriteAsync(file, long.MaxValue - 10, new byte[100], WriteFlags.None, Cancellation)).IsOk);
        if ((await mine.SyncAsync(file, false, new CancellationToken(canceled: true))).Error is var error && error != Errno.EFBIG)
        {
            Assert.Equal(Errno.EINTR, error);
            Assert.Equal(Errno.EFBIG, (await mine.SyncAsync(file, false, Cancellation)).Error);
        }
        Assert.True((await mine.SyncAsync(file, false, Cancellation)).IsOk);
    }

    [Fact]
    public async Task Appends_of_two_sessions_lose_nothing()
    {
        await using var one = await GatheringAsync();
        await using var two = await GatheringAsync();
        var file = await CreateAsync(one, "log");
        await Task.WhenAll(AppendAsync(one, file, "x"), AppendAsync(two, file, "y"));
        byte[] back = new byte[50_000];
        int length = (await two.ReadAsync(file, 0, back, Cancellation)).Value;
        string[] lines = Encoding.ASCII.GetString(back, 0, length).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal((4000, 4000), (lines.Length, lines.Distinct().Count()));
        foreach (char word in "xy")
            Assert.Equal(lines.Where(l => l[0] == word).Order(StringComparer.Ordinal), lines.Where(l => l[0] == word));
    }

    /// <summary>Whoever else closes the file or changes it, the one who wrote it is told.</summary>
    [Fact]
    public async Task A_failure_is_told_to_each_who_closes_and_to_the_next_sync()
    {
        await using var mine = await GatheringAsync();
        var file = await CreateAsync(mine, "a");
        Assert.True((await mine.WriteAsync(file, long.MaxValue - 10, new byte[100], WriteFlags.None, Cancellation)).IsOk);
        Assert.Equal(0, (await mine.ReadAsync(file, 0, new byte[10], Cancellation)).Value);
        Assert.True((await mine.SetAttributesAsync(file, new AttributeChange { Mask = AttributeMask.Mode, Mode = 0x180 }, s_me, Cancellation)).IsOk);
        Assert.True((await mine.AllocateAsync(file, AllocateMode.None, 0, 10, Cancellation)).IsOk);
        Assert.True((await mine.CopyRangeAsync(file, 0, file, 5, 5, Cancellation)).IsOk);
        for (ulong owner = 1; owner <= 2; owner++)
        {
            Assert.Equal(Errno.EFBIG, (await mine.FlushAsync(file, owner, Cancellation)).Error);
            Assert.True((await mine.FlushAsync(file, owner, Cancellation)).IsOk);
        }
        // What goes well does not undo it.
        Assert.True((await mine.WriteAsync(file, 0, new byte[100], WriteFlags.None, Cancellation)).IsOk);
        Assert.Equal(Errno.EFBIG, (await mine.SyncAsync(file, false, Cancellation)).Error);
        Assert.True((await mine.SyncAsync(file, false, Cancellation)).IsOk);
        for (ulong owner = 1; owner <= 3; owner++)
            Assert.True((await mine.FlushAsync(file, owner, Cancellation)).IsOk);
    }

    [Fact]
    public async Task A_failure_is_forgotten_with_the_file()
    {
        await using var mine = await GatheringAsync();
        var file = await CreateAsync(mine, "a");
        Assert.True((await mine.WriteAsync(file, long.MaxValue - 10, new byte[100], WriteFlags.None, Cancellation)).IsOk);
        Assert.Equal(Errno.EFBIG, (await mine.FlushAsync(file, 1, Cancellation)).Error);
        mine.Forget(file);
        Assert.True((await mine.FlushAsync(file, 2, Cancellation)).IsOk);
        Assert.True((await mine.SyncAsync(file, false, Cancellation)).IsOk);
    }

    /// <summary>A writer learns of a full disk from its next write, and of nothing that another's write is told.</summary>
    [Fact]
    public async Task After_a_failure_a_write_waits_for_its_own_answer()
    {
        await using var mine = await GatheringAsync();
        var file = await CreateAsync(mine, "a");
        Assert.True((await mine.WriteAsync(file, long.MaxValue - 10, new byte[100], WriteFlags.None, Cancellation)).IsOk);
        Assert.Equal(Errno.EFBIG, (await mine.FlushAsync(file, 1, Cancellation)).Error);
        Assert.Equal(Errno.EFBIG, (await mine.WriteAsync(file, long.MaxValue - 10, new byte[100], WriteFlags.None, Cancellation)).Error);
        Assert.True((await mine.WriteAsync(file, 0, new byte[100], WriteFlags.None, Cancellation)).IsOk);
        Assert.Equal(Errno.EFBIG, (await mine.SyncAsync(file, false, Cancellation)).Error);
    }

    [Fact]
    public async Task Appends_of_who_opened_a_file_before_it_was_append_only_are_records_each()
    {
        await using var mine = await GatheringAsync();
        await using var other = await _silo.MountAsync(_connection);
        var file = await CreateAsync(mine, "log");
        Assert.True((await mine.WriteAsync(file, 0, "before"u8.ToArray(), WriteFlags.Append, Cancellation)).IsOk);
        Assert.True((await mine.FlushAsync(file, 1, Cancellation)).IsOk);
        Assert.True((await other.SetAttributesAsync(file, new AttributeChange { Mask = AttributeMask.Flags, Flags = InodeFlags.AppendOnly }, s_me, Cancellation)).IsOk);
        foreach (string word in new[] { "one", "two", "three" })
            Assert.True((await mine.WriteAsync(file, 0, Encoding.ASCII.GetBytes(word), WriteFlags.Append, Cancellation)).IsOk);
        Assert.Equal(Errno.None, (await mine.FlushAsync(file, 1, Cancellation)).Error);
        byte[] back = new byte[100];
        Assert.Equal("beforeonetwothree", Encoding.ASCII.GetString(back, 0, (await other.ReadAsync(file, 0, back, Cancellation)).Value));
        Assert.Equal([3, 3, 5], (await other.ListRecordsAsync(file, 0, 10, Cancellation)).Value.Select(r => r.Length).TakeLast(3));
    }

    /// <summary>A program that closes a file is told that the copy is gone when patience ends, not when it has ended once for each message.</summary>
    [Fact]
    public async Task Patience_with_a_copy_that_is_gone_ends_once()
    {
        await using var mine = await GatheringAsync(patience: TimeSpan.FromSeconds(5));
        var file = await CreateAsync(mine, "a");
        byte[] data = new byte[GrainInterfaces.Limits.MaxTransfer];
        Assert.True((await mine.WriteAsync(file, 0, data, WriteFlags.None, Cancellation)).IsOk);
        Assert.True((await mine.SyncAsync(file, true, Cancellation)).IsOk);
        await _silo.Host.DisposeAsync();
        _expected = ["cannot be reached", "could not be reached", "was not told", "before the copy"];
        // Each over the one before, and so one after the other.
        for (int i = 0; i < 24; i++)
            Assert.True((await mine.WriteAsync(file, 0, data, WriteFlags.None, Cancellation)).IsOk);
        Assert.Equal(Errno.EIO, (await mine.FlushAsync(file, 1, Cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(60), Cancellation)).Error);
    }

    public async ValueTask DisposeAsync()
    {
        await _silo.DisposeAsync();
        _silo.Log.AssertQuiet(_expected);
        _folder.Dispose();
    }

    private static Task AppendAsync(GrainVolumeAccess volume, InodeNumber file, string word) => Task.Run(async () =>
    {
        for (int i = 0; i < 2000; i++)
            Assert.True((await volume.WriteAsync(file, 0, Encoding.ASCII.GetBytes($"{word}{i:0000}\n"), WriteFlags.Append, Cancellation)).IsOk);
        Assert.True((await volume.FlushAsync(file, 1, Cancellation)).IsOk);
    });

    private static async Task CompareAsync(GrainVolumeAccess volume, InodeNumber file, MemoryStream expected)
    {
        byte[] back = new byte[expected.Length + 1];
        Assert.Equal(expected.Length, (await volume.ReadAsync(file, 0, back, Cancellation)).Value);
        Assert.True(back.AsSpan(0, (int)expected.Length).SequenceEqual(expected.ToArray()));
    }

    private Task<GrainVolumeAccess> GatheringAsync(TimeSpan? patience = null) =>
        GrainVolumeAccess.AttachAsync(_connection, _silo.Copy, new Holder(), new RemoteVolumeOptions { Client = "test", WriteBehind = true, Patience = patience ?? TimeSpan.FromMinutes(1) }, Cancellation);

    private static async Task<InodeNumber> CreateAsync(GrainVolumeAccess volume, string name) =>
        (await volume.CreateAsync(InodeNumber.Root, Encoding.UTF8.GetBytes(name), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, s_me, Cancellation)).Value.Inode;
}
