using System.Security.Cryptography;
using System.Text;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>The API for programs, and nothing else, against a silo in a process of its own.</summary>
public sealed class VolumeClientTests : IAsyncLifetime
{
    private readonly TestFolder _folder = new();
    private SiloProcess _silo = null!;
    private VolumeClient _volume = null!;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private string Cluster => $"sqlite:{_folder.Path}/cluster.db";

    public async ValueTask InitializeAsync()
    {
        await StartAsync();
        _volume = await VolumeClient.ConnectAsync(Cluster, new VolumeClientOptions { ConnectTimeout = TimeSpan.FromMinutes(1) }, Cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        await _volume.DisposeAsync();
        await _silo.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task Files_are_made_read_replaced_renamed_and_deleted_by_path()
    {
        Assert.Equal(Errno.ENOENT, (await _volume.StatAsync("a/b", Cancellation)).Error);
        Ok(await _volume.CreateDirectoryAsync("/a", Cancellation));
        Assert.Equal(Errno.EEXIST, (await _volume.CreateDirectoryAsync("a", Cancellation)).Error);
        byte[] content = RandomNumberGenerator.GetBytes(400_000);
        Ok(await _volume.WriteAllAsync("a/b", content, Cancellation));
        Ok(await _volume.WriteAsync("a/b", 100, "changed"u8.ToArray(), Cancellation));
        "changed"u8.CopyTo(content.AsSpan(100));
        Ok(await _volume.SyncAsync("a/b", Cancellation));
        Assert.Equal(content, (await _volume.ReadAllAsync("a/b", cancellation: Cancellation)).Value);
        byte[] part = new byte[10];
        Assert.Equal(10, (await _volume.ReadAsync("a/b", 98, part, Cancellation)).Value);
        Assert.Equal(content[98..108], part);
        Assert.Equal(Errno.EFBIG, (await _volume.ReadAllAsync("a/b", 1000, Cancellation)).Error);
        var blocks = (await _volume.ListBlocksAsync("a/b", Cancellation)).Value;
        Assert.Equal(4, blocks.Length);
        Assert.Equal(BlockHash.Of(content.AsSpan(0, 128 << 10)), blocks[0]);
        Ok(await _volume.RenameAsync("a/b", "a/c", cancellation: Cancellation));
        Assert.Equal(["c"], (await _volume.ListAsync("a", Cancellation)).Value);
        Assert.Equal(Errno.ENOTEMPTY, (await _volume.DeleteAsync("a", Cancellation)).Error);
        Assert.Equal(Errno.ENOTDIR, (await _volume.StatAsync("a/c/d", Cancellation)).Error);
        Assert.Equal(Errno.EINVAL, (await _volume.StatAsync("a/../a", Cancellation)).Error);
        Ok(await _volume.DeleteAsync("a/c", Cancellation));
        Ok(await _volume.DeleteAsync("a", Cancellation));
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        Assert.Equal(Errno.EINTR, (await _volume.StatAsync("/", cancelled.Token)).Error);
    }

    [Fact]
    public async Task Content_is_put_under_a_lease_read_by_its_hash_and_becomes_a_file()
    {
        byte[] content = RandomNumberGenerator.GetBytes(3_000_000);
        using var stream = new MemoryStream(content);
        var lease = (await _volume.PutAsync(stream, TimeSpan.FromMinutes(5), Cancellation)).Value;
        Assert.Equal(content.Length, lease.Size);
        Assert.Equal(content, (await _volume.GetAsync(lease.Hash, cancellation: Cancellation)).Value);
        var small = (await _volume.PutAsync("hello\n"u8.ToArray(), TimeSpan.FromMinutes(5), Cancellation)).Value;
        Assert.Equal("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", small.Hash.ToString());
        Assert.Equal(Errno.EINVAL, (await _volume.PutAsync("x"u8.ToArray(), TimeSpan.Zero, Cancellation)).Error);

        // What was synced is there by its hash, also where it is in the redo log only and nobody has asked for the hash.
        foreach (string text in (string[])["synced", "SYNCED"])
        {
            byte[] synced = Encoding.ASCII.GetBytes(text);
            Ok(await _volume.WriteAsync("small", 0, synced, Cancellation));
            Ok(await _volume.SyncAsync("small", Cancellation));
            using var found = (await _volume.OpenAsync(new ContentName(text == "synced" ? ContentKind.File : ContentKind.Block, BlockHash.Of(synced)), Cancellation)).Value;
            Assert.Equal(6, found.Size);
        }

        // A lease survives a kill of the silo, and so do what reads it.
        using var reader = (await _volume.OpenAsync(lease.Hash, Cancellation)).Value;
        await _silo.KillAsync();
        await _silo.DisposeAsync();
        await StartAsync();
        using var copy = new MemoryStream();
        Ok(await reader.CopyToAsync(copy, 1_000_000, 500_000, Cancellation));
        Assert.Equal(content[1_000_000..1_500_000], copy.ToArray());
        var renewed = (await _volume.RenewAsync(lease, TimeSpan.FromMinutes(10), Cancellation)).Value;
        Assert.True(renewed.Ends > lease.Ends);

        Ok(await _volume.LinkAsync(lease, "film", Cancellation));
        Assert.Equal(lease.Hash, (await _volume.HashAsync("film", Cancellation)).Value);
        Assert.Equal(Errno.EINVAL, (await _volume.RenewAsync(lease, TimeSpan.FromMinutes(1), Cancellation)).Error);
        Assert.Equal(Errno.EEXIST, (await _volume.LinkAsync(small, "film", Cancellation)).Error);
        Ok(await _volume.EndLeaseAsync(small, Cancellation));
        await EventuallyAsync(async () => (await _volume.GetAsync(small.Hash, cancellation: Cancellation)).Error == Errno.ENOENT);
        Assert.Equal(Errno.ESTALE, (await _volume.LinkAsync(small, "gone", Cancellation)).Error);
        var brief = (await _volume.PutAsync("brief"u8.ToArray(), TimeSpan.FromMilliseconds(1), Cancellation)).Value;
        await EventuallyAsync(async () => (await _volume.GetAsync(brief.Hash, cancellation: Cancellation)).Error == Errno.ENOENT);
    }

    [Fact]
    public async Task Records_are_appended_and_followed_from_any_of_them()
    {
        Ok(await _volume.CreateAppendOnlyAsync("log", Cancellation));
        for (int i = 0; i < 5; i++)
            Assert.True((await _volume.AppendAsync("log", Encoding.ASCII.GetBytes($"record {i}"), durable: false, Cancellation)).IsOk);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        var seen = new List<string>();
        var following = Task.Run(async () =>
        {
            await foreach (var record in _volume.ReadRecordsAsync("log", 2, follow: true, enough.Token))
            {
                seen.Add(Encoding.ASCII.GetString(record.Value.Data.Span));
                if (seen.Count == 4)
                    await enough.CancelAsync();
            }
        }, Cancellation);
        Assert.True((await _volume.AppendAsync("log", "the last"u8.ToArray(), cancellation: Cancellation)).IsOk);
        await following.WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
        Assert.Equal(["record 2", "record 3", "record 4", "the last"], seen);
    }

    [Fact]
    public async Task Changes_are_watched_from_any_position_that_the_journal_still_has()
    {
        Ok(await _volume.CreateDirectoryAsync("in", Cancellation));
        Ok(await _volume.CreateDirectoryAsync("in/deep", Cancellation));
        Ok(await _volume.CreateDirectoryAsync("out", Cancellation));
        var start = (await _volume.PositionAsync(Cancellation)).Value;
        Ok(await _volume.WriteAllAsync("out/x", "outside"u8.ToArray(), Cancellation));
        Ok(await _volume.WriteAllAsync("in/deep/a", "first"u8.ToArray(), Cancellation));
        Ok(await _volume.WriteAsync("in/deep/a", 0, "second"u8.ToArray(), Cancellation));
        Ok(await _volume.SyncAsync("in/deep/a", Cancellation));
        Ok(await _volume.RenameAsync("in/deep/a", "in/b", cancellation: Cancellation));
        Ok(await _volume.RenameAsync("in/b", "out/b", cancellation: Cancellation));
        Ok(await _volume.DeleteAsync("out/b", Cancellation));
        Ok(await _volume.CreateDirectoryAsync("in/gone", Cancellation));
        Ok(await _volume.DeleteAsync("in/gone", Cancellation));
        Ok(await _volume.CreateDirectoryAsync("in/end", Cancellation));
        var changes = await UntilAsync("/in/end", start);
        Assert.DoesNotContain(changes, c => c.Path is "/out/x");
        Assert.Contains(changes, c => c is { Kind: ChangeKind.Renamed, Path: "/in/deep/a" });
        Assert.Contains(changes, c => c is { Kind: ChangeKind.Renamed, Path: "/in/b" });
        Assert.Contains(changes, c => c is { Kind: ChangeKind.Renamed, Path: "/out/b", OldPath: "/in/b" });
        Assert.Contains(changes, c => c is { Kind: ChangeKind.Deleted, Path: "/in/gone" });
        Assert.Contains(changes, c => c is { Kind: ChangeKind.Created, Path: "/in/end", Inode: not null });
        Assert.Equal(changes.Select(c => c.Lsn), changes.Select(c => c.Lsn).Order());

        // From the middle on: the same, without what was before.
        var middle = changes[changes.Count / 2];
        var rest = await UntilAsync("/in/end", middle.Resume);
        Assert.Equal(changes.Where(c => c.Lsn > middle.Resume).Select(c => (c.Lsn, c.Kind, c.Path)), rest.Select(c => (c.Lsn, c.Kind, c.Path)));
        await foreach (var change in _volume.WatchAsync("in", new Lsn(long.MaxValue / 2), Cancellation))
            Assert.Equal(Errno.ESTALE, change.Error);
    }

    private async Task<List<VolumeChange>> UntilAsync(string last, Lsn from)
    {
        var changes = new List<VolumeChange>();
        await foreach (var change in _volume.WatchAsync("in", from, Cancellation))
        {
            changes.Add(change.Value);
            if (change.Value.Path == last)
                break;
        }
        return changes;
    }

    private async Task StartAsync() => _silo = await SiloProcess.StartAsync($"{_folder.Path}/data", "--cluster", Cluster);

    private static void Ok(FsResult result) => Assert.Equal(Errno.None, result.Error);

    private static async Task EventuallyAsync(Func<Task<bool>> condition)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        while (!await condition())
            await Task.Delay(100, limit.Token);
    }
}
