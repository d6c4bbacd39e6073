using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using OrleansFs.Client;
using OrleansFs.Client.Direct;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>Calls of the API for programs that are cancelled, or whose copy does not answer, against a silo in a process of its own: they end, with an errno, and nothing is half done.</summary>
public sealed class CancellationTests : IAsyncLifetime
{
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(30); // far above what it takes on a busy machine: a call that is not cancelled would wait for minutes

    private readonly TestFolder _folder = new();
    private readonly TestLog _log = new();
    private SiloProcess _silo = null!;
    private VolumeClient _volume = null!;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _silo = await SiloProcess.StartAsync($"{_folder.Path}/data", "--cluster", $"sqlite:{_folder.Path}/cluster.db");
        _volume = await ConnectAsync(TimeSpan.FromMinutes(5));
    }

    public async ValueTask DisposeAsync()
    {
        await _silo.ThawAsync();
        await _volume.DisposeAsync();
        await _silo.DisposeAsync();
        _log.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task What_is_cancelled_leaves_nothing_half_done()
    {
        Ok(await _volume.WriteAllAsync("file", "as it was"u8.ToArray(), Cancellation));
        Ok(await _volume.CreateAppendOnlyAsync("log", Cancellation));
        Assert.True((await _volume.AppendAsync("log", "one"u8.ToArray(), false, Cancellation)).IsOk);
        var put = (await _volume.PutAsync("put"u8.ToArray(), TimeSpan.FromMinutes(5), Cancellation)).Value;

        // Before they begin.
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        var token = cancelled.Token;
        using var stream = new MemoryStream(new byte[3_000_000]);
        Assert.All(
            (Errno[])[
                (await _volume.WriteAsync("file", 3, "xxx"u8.ToArray(), token)).Error, (await _volume.WriteAllAsync("file", "new"u8.ToArray(), token)).Error, (await _volume.WriteAsync("other", 0, "x"u8.ToArray(), token)).Error,
                (await _volume.CreateDirectoryAsync("directory", token)).Error, (await _volume.RenameAsync("file", "moved", cancellation: token)).Error, (await _volume.DeleteAsync("file", token)).Error,
                (await _volume.PutAsync("y"u8.ToArray(), TimeSpan.FromMinutes(1), token)).Error, (await _volume.PutAsync(stream, TimeSpan.FromMinutes(1), token)).Error,
                (await _volume.RenewAsync(put, TimeSpan.FromMinutes(9), token)).Error, (await _volume.LinkAsync(put, "linked", token)).Error, (await _volume.EndLeaseAsync(put, token)).Error,
                (await _volume.OpenAsync(put.Hash, token)).Error, (await _volume.GetAsync(put.Hash, cancellation: token)).Error, (await _volume.SyncAsync("file", token)).Error,
                (await _volume.CreateAppendOnlyAsync("log2", token)).Error, (await _volume.AppendAsync("log", "two"u8.ToArray(), true, token)).Error, (await _volume.PositionAsync(token)).Error,
            ],
            error => Assert.Equal(Errno.EINTR, error));

        // In the middle: of a stream that has given two MiB and gives no more, into one that takes nothing.
        using var enough = new CancellationTokenSource();
        await using var stuck = new StuckStream(2 << 20);
        var putting = _volume.PutAsync(stuck, TimeSpan.FromMinutes(5), enough.Token).AsTask();
        using var reader = (await _volume.OpenAsync(put.Hash, Cancellation)).Value;
        await using var full = new StuckStream(0);
        var copying = reader.CopyToAsync(full, cancellation: enough.Token).AsTask();
        var (following, follows) = Follow(enough.Token);
        var watching = WatchAsync(enough.Token);
        await Task.WhenAll(stuck.Waits, full.Waits, follows).WaitAsync(s_soon, Cancellation);
        await enough.CancelAsync();
        Assert.Equal(Errno.EINTR, (await putting.WaitAsync(s_soon, Cancellation)).Error);
        Assert.Equal(Errno.EINTR, (await copying.WaitAsync(s_soon, Cancellation)).Error);
        Assert.Equal(["one"], await following.WaitAsync(s_soon, Cancellation));
        Assert.Equal(Errno.None, await watching.WaitAsync(s_soon, Cancellation));

        Assert.Equal(["file", "log"], (await _volume.ListAsync("", Cancellation)).Value.Order());
        Assert.Equal("as it was"u8.ToArray(), (await _volume.ReadAllAsync("file", cancellation: Cancellation)).Value);
        Assert.Equal(["one"], await RecordsAsync(_volume));
        Assert.Equal("put"u8.ToArray(), (await _volume.GetAsync(put.Hash, cancellation: Cancellation)).Value);
        Assert.Equal(Errno.ENOENT, (await _volume.GetAsync(BlockHash.Of("y"u8), cancellation: Cancellation)).Error);
        // The inode that was being made is gone: of those without a name the lease's is the only one.
        await UntilOneOrphanAsync();
        Ok(await _volume.LinkAsync(put, "linked", Cancellation));
        _log.AssertQuiet();
    }

    /// <summary>A silo that is stopped breaks no connection, and answers nothing: neither a call nor its cancellation.</summary>
    [Fact]
    public async Task A_copy_that_is_silent_is_waited_for_until_patience_ends_or_the_caller_cancels()
    {
        var hasty = await ConnectAsync(TimeSpan.FromSeconds(1));
        byte[] content = RandomNumberGenerator.GetBytes(300_000);
        var put = (await _volume.PutAsync(content, TimeSpan.FromMinutes(5), Cancellation)).Value;
        using var reader = (await _volume.OpenAsync(put.Hash, Cancellation)).Value;
        Ok(await _volume.WriteAllAsync("file", content, Cancellation));
        Ok(await _volume.CreateAppendOnlyAsync("log", Cancellation));
        Assert.True((await _volume.AppendAsync("log", "before"u8.ToArray(), true, Cancellation)).IsOk);
        using var enough = new CancellationTokenSource();
        var (following, follows) = Follow(enough.Token);
        var watching = WatchAsync(enough.Token);
        await follows.WaitAsync(s_soon, Cancellation);

        await _silo.FreezeAsync();
        long began = Stopwatch.GetTimestamp();
        byte[] read = new byte[content.Length], hastily = new byte[content.Length];
        var given = new List<Task<Errno>>
        {
            ErrorOf(hasty.ListAsync("", Cancellation)), ErrorOf(hasty.ReadAsync("file", 0, hastily, Cancellation)), ErrorOf(hasty.PutAsync("p"u8.ToArray(), TimeSpan.FromMinutes(5), Cancellation)),
            ErrorOf(hasty.AppendAsync("log", "given up"u8.ToArray(), true, Cancellation)), ErrorOf(hasty.OpenAsync(put.Hash, Cancellation)), ErrorOf(hasty.PositionAsync(Cancellation)),
        };
        var reads = new List<Task<Errno>> { ErrorOf(reader.ReadAsync(0, read, enough.Token)), ErrorOf(_volume.OpenAsync(put.Hash, enough.Token)), ErrorOf(_volume.ListAsync("", enough.Token)) };
        var changes = new List<Task<Errno>>
        {
            ErrorOf(_volume.AppendAsync("log", "cancelled"u8.ToArray(), true, enough.Token)), ErrorOf(_volume.PutAsync(content.AsMemory(0, 1000), TimeSpan.FromMinutes(5), enough.Token)),
            Task.Run(async () => (await _volume.WriteAllAsync("new", content, enough.Token)).Error, Cancellation),
        };
        await enough.CancelAsync();
        // What changes nothing ends at once; what may have been done, when the copy is known to be silent.
        Assert.All(await Task.WhenAll(reads).WaitAsync(s_soon, Cancellation), e => Assert.Equal(Errno.EINTR, e));
        Assert.Equal(["before"], await following.WaitAsync(s_soon, Cancellation));
        Assert.Equal(Errno.None, await watching.WaitAsync(s_soon, Cancellation));
        TestContext.Current.SendDiagnosticMessage($"reads ended after {Stopwatch.GetElapsedTime(began).TotalMilliseconds:0} ms");
        Assert.All(await Task.WhenAll(changes).WaitAsync(s_soon, Cancellation), e => Assert.Equal(Errno.EINTR, e));
        TestContext.Current.SendDiagnosticMessage($"changes after {Stopwatch.GetElapsedTime(began).TotalMilliseconds:0} ms");
        Assert.All(await Task.WhenAll(given).WaitAsync(s_soon, Cancellation), e => Assert.Equal(Errno.EIO, e));
        TestContext.Current.SendDiagnosticMessage($"patience after {Stopwatch.GetElapsedTime(began).TotalMilliseconds:0} ms");

        await _silo.ThawAsync();
        Assert.True((await _volume.AppendAsync("log", "after"u8.ToArray(), true, Cancellation)).IsOk);
        Assert.Equal(content.Length, (await reader.ReadAsync(0, read, Cancellation)).Value);
        Assert.Equal(content, read);
        Assert.Equal(content, (await _volume.ReadAllAsync("file", cancellation: Cancellation)).Value);
        // Given up, a record is there once, or not at all; and whole.
        var records = await RecordsAsync(_volume);
        Assert.Equal(["before", "after"], records.Where(r => r is not ("given up" or "cancelled")));
        Assert.Equal(records.Distinct(), records);
        Assert.DoesNotContain("new", (await _volume.ListAsync("", Cancellation)).Value);
        await hasty.DisposeAsync();
        _log.AssertQuiet("cannot be reached", "answers again", "could not be reached", "was not told that the session ends");
    }

    /// <summary>What asks for a file waits for what was written to it, and no longer than its caller does.</summary>
    [Fact]
    public async Task Who_waits_for_gathered_writes_can_be_interrupted()
    {
        var options = new VolumeConnectionOptions { Cluster = GrainInterfaces.ClusterConnection.Parse($"sqlite:{_folder.Path}/cluster.db"), Loggers = _log.Factory };
        await using var connection = await VolumeConnection.ConnectAsync(options, Cancellation);
        await using var mount = await GrainVolumeAccess.AttachAsync(connection, CopyName.Parse("master"), new Holder(), new RemoteVolumeOptions { Client = "test", WriteBehind = true }, Cancellation);
        var file = (await mount.CreateAsync(InodeNumber.Root, "file"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation)).Value.Inode;
        await _silo.FreezeAsync();
        Assert.True((await mount.WriteAsync(file, 0, new byte[100], WriteFlags.None, Cancellation)).IsOk);
        var token = new CancellationToken(canceled: true);
        Task<Errno>[] interrupted =
        [
            ErrorOf(mount.GetAttributesAsync(file, token)), ErrorOf(mount.ReadAsync(file, 0, new byte[10], token)), ErrorOf(mount.SeekAsync(file, 0, SeekKind.Data, token)), Error(mount.SyncAsync(file, false, token)),
            Error(mount.ReadDirectoryAsync(InodeNumber.Root, 0, new Nobody(), withAttributes: true, token)), Error(mount.SetLockAsync(file, new FileLock { Kind = LockKind.Write, Owner = 1 }, false, token)),
            Error(mount.RenameAsync(InodeNumber.Root, "x"u8.ToArray(), InodeNumber.Root, "y"u8.ToArray(), RenameFlags.None, default, token)),
        ];
        Assert.All(await Task.WhenAll(interrupted).WaitAsync(s_soon, Cancellation), e => Assert.Equal(Errno.EINTR, e));
        await _silo.ThawAsync();
        Assert.Equal(100, (await mount.GetAttributesAsync(file, Cancellation)).Value.Size);

        static async Task<Errno> Error(ValueTask<FsResult> call) => (await call).Error;
    }

    /// <summary>Where the other end takes nothing, the calls behind one that is being sent would wait for that one, and not for their own time.</summary>
    [Fact]
    public async Task A_connection_on_which_nothing_goes_out_is_given_up_when_the_time_of_a_call_is_over()
    {
        var time = new ManualTime();
        var options = new VolumeConnectionOptions { Cluster = GrainInterfaces.ClusterConnection.Parse($"sqlite:{_folder.Path}/cluster.db"), Loggers = _log.Factory, Time = time };
        await using var connection = await VolumeConnection.ConnectAsync(options, Cancellation);
        var remote = new RemoteVolumeOptions { Client = "test", Patience = Timeout.InfiniteTimeSpan };
        await using var mount = await GrainVolumeAccess.AttachAsync(connection, CopyName.Parse("master"), new Holder(), remote, Cancellation);
        var file = (await mount.CreateAsync(InodeNumber.Root, "file"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation)).Value.Inode;
        DirectCaller? caller;
        while ((caller = connection.Direct.CallerOf(CopyName.Parse("master"))) is null)
            await Task.Delay(5, Cancellation);
        await _silo.FreezeAsync();
        // More than the buffers of both ends hold.
        var writes = Task.WhenAll(Enumerable.Range(0, 32).Select(i => mount.WriteAsync(file, (long)i << 20, new byte[1 << 20], WriteFlags.None, Cancellation).AsTask()));
        await PassAsync(caller.Ended);
        await _silo.ThawAsync();
        await PassAsync(writes);
        Assert.All(await writes, w => Assert.True(w.IsOk));

        async Task PassAsync(Task until)
        {
            for (long began = Stopwatch.GetTimestamp(); !until.IsCompleted; await Task.Delay(10, Cancellation))
            {
                Assert.True(Stopwatch.GetElapsedTime(began) < s_soon, "it does not come to its end");
                time.Advance(TimeSpan.FromMilliseconds(200));
            }
        }
    }

    private sealed class Nobody : IDirectorySink
    {
        public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes) => true;
    }

    private Task<VolumeClient> ConnectAsync(TimeSpan patience) => VolumeClient.ConnectAsync(
        $"sqlite:{_folder.Path}/cluster.db", new VolumeClientOptions { ConnectTimeout = TimeSpan.FromMinutes(1), Patience = patience, Loggers = _log.Factory }, Cancellation);

    /// <summary>Follows the log, and tells when it has had the first record.</summary>
    private (Task<List<string>> Seen, Task First) Follow(CancellationToken cancellation)
    {
        var first = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return (FollowAsync(), first.Task);

        async Task<List<string>> FollowAsync()
        {
            var seen = new List<string>();
            await foreach (var record in _volume.ReadRecordsAsync("log", follow: true, cancellation: cancellation))
            {
                seen.Add(Encoding.ASCII.GetString(record.Value.Data.Span));
                first.TrySetResult();
            }
            return seen;
        }
    }

    private async Task<Errno> WatchAsync(CancellationToken cancellation)
    {
        var last = Errno.None;
        await foreach (var change in _volume.WatchAsync("", cancellation: cancellation))
            last = change.Error;
        return last;
    }

    private static async Task<List<string>> RecordsAsync(VolumeClient volume)
    {
        var seen = new List<string>();
        await foreach (var record in volume.ReadRecordsAsync("log", cancellation: Cancellation))
            seen.Add(Encoding.ASCII.GetString(record.Value.Data.Span));
        return seen;
    }

    private async Task UntilOneOrphanAsync()
    {
        var options = new VolumeConnectionOptions { Cluster = GrainInterfaces.ClusterConnection.Parse($"sqlite:{_folder.Path}/cluster.db") };
        await using var connection = await VolumeConnection.ConnectAsync(options, Cancellation);
        await using var access = await GrainVolumeAccess.AttachAsync(connection, CopyName.Parse("master"), new Holder(), new RemoteVolumeOptions { Client = "status" }, Cancellation);
        while ((await access.GetStatusAsync(Cancellation)).Value.Orphans != 1)
            await Task.Delay(50, Cancellation);
    }

    private static async Task<Errno> ErrorOf<T>(ValueTask<FsResult<T>> call) => (await call).Error;

    private static void Ok(FsResult result) => Assert.Equal(Errno.None, result.Error);

    /// <summary>Gives so many bytes and no more, and takes nothing; both wait until they are cancelled.</summary>
    private sealed class StuckStream(int bytes) : Stream
    {
        private readonly TaskCompletionSource _waits = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _left = bytes;

        /// <summary>Completes when somebody waits.</summary>
        public Task Waits => _waits.Task;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            int n = Math.Min(_left, buffer.Length);
            if (n == 0)
                await StayAsync(cancellationToken);
            RandomNumberGenerator.Fill(buffer.Span[..n]);
            _left -= n;
            return n;
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => await StayAsync(cancellationToken);

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Flush()
        {
        }

        private async Task StayAsync(CancellationToken cancellation)
        {
            _waits.TrySetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, cancellation);
        }
    }
}
