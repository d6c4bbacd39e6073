using System.Text;
using Microsoft.Data.Sqlite;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>A silo that is killed and started again under clients at work: each change happens once, and nothing that was answered is lost.</summary>
public sealed class RestartTests : IDisposable
{
    /// <summary>Kills of one run: enough that some come between a commit and its answer; each costs the clients some three seconds.</summary>
    private const int Kills = 5;

    private readonly TestFolder _folder = new();
    private readonly TestLog _log = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private ClusterConnection Private => ClusterConnection.Sqlite(_folder["data/cluster.db"]);

    [Fact]
    public async Task Every_change_happens_once_however_often_the_silo_is_killed()
    {
        int seed = Environment.TickCount;
        TestContext.Current.SendDiagnosticMessage($"seed {seed}");
        var random = new Random(seed);
        var silo = await SiloProcess.StartAsync(_folder["data"]);
        await using var connection = await ConnectAsync();
        var workers = new List<NameWorker>();
        var mounts = new List<GrainVolumeAccess>();
        for (int i = 0; i < 4; i++)
        {
            var mount = await MountAsync(connection, gathers: i % 2 == 0);
            mounts.Add(mount);
            var home = await mount.CreateAsync(InodeNumber.Root, Encoding.UTF8.GetBytes($"home{i}"), new NewInode { Mode = Mode.S_IFDIR | 0x1ED }, default, Cancellation);
            workers.Add(new NameWorker(mount, home.Value.Inode, random.Next(), gathers: i % 2 == 0));
        }
        using var enough = new CancellationTokenSource();
        var work = workers.Select(w => Task.Run(async () =>
        {
            while (!enough.IsCancellationRequested)
                await w.StepAsync(Cancellation);
        })).ToArray();
        for (int kill = 0; kill < Kills; kill++)
        {
            // Work has gone on since the kill before, and is going on now.
            int more = random.Next(20, 400);
            int[] goals = [.. workers.Select(w => w.Done + more)];
            while (workers.Where((w, i) => w.Done < goals[i]).Any() && !work.Any(w => w.IsCompleted))
                await Task.Delay(1, Cancellation);
            await silo.KillAsync();
            silo = await SiloProcess.StartAsync(_folder["data"]);
        }
        await enough.CancelAsync();
        await Task.WhenAll(work);
        TestContext.Current.SendDiagnosticMessage($"{workers.Sum(w => w.Done)} changes in {Kills} runs of the silo");
        foreach (var mount in mounts)
            Assert.True((await mount.SyncAllAsync(Cancellation)).IsOk);
        // Once more, with nobody at work, and as another client sees it.
        await silo.KillAsync();
        silo = await SiloProcess.StartAsync(_folder["data"]);
        Assert.True((await mounts[0].GetAttributesAsync(InodeNumber.Root, Cancellation)).IsOk);
        var reader = await MountAsync(connection);
        foreach (var worker in workers)
            await worker.VerifyAsync(reader, Cancellation);
        foreach (var mount in mounts)
            await mount.DisposeAsync();
        await reader.DisposeAsync();
        _log.AssertQuiet("cannot be reached", "answers again");
        await silo.DisposeAsync();
    }

    [Theory]
    [InlineData("nothing")]
    [InlineData("the file")]
    [InlineData("everything")]
    public async Task An_unlinked_file_and_a_lock_are_still_there_after_a_restart(string synced)
    {
        var silo = await SiloProcess.StartAsync(_folder["data"]);
        await using var connection = await ConnectAsync();
        var holder = new Holder();
        await using var volume = await MountAsync(connection, holder);
        await using var other = await MountAsync(connection);
        var open = (await volume.CreateAsync(InodeNumber.Root, "open"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation)).Value.Inode;
        var closed = (await volume.CreateAsync(InodeNumber.Root, "closed"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation)).Value.Inode;
        holder.Know(open);
        Assert.True((await volume.WriteAsync(open, 0, "still here"u8.ToArray(), WriteFlags.None, Cancellation)).IsOk);
        var held = new FileLock { Kind = LockKind.Write, Start = 5, End = 9, Owner = 1, Pid = 1 };
        Assert.True((await volume.SetLockAsync(open, held, false, Cancellation)).IsOk);
        Assert.True((await volume.UnlinkAsync(InodeNumber.Root, "open"u8.ToArray(), Cancellation)).IsOk);
        Assert.True((await volume.UnlinkAsync(InodeNumber.Root, "closed"u8.ToArray(), Cancellation)).IsOk);
        // What was synced the client keeps no longer.
        if (synced == "the file")
            Assert.True((await volume.SyncAsync(open, false, Cancellation)).IsOk);
        else if (synced == "everything")
            Assert.True((await volume.SyncAllAsync(Cancellation)).IsOk);
        await silo.KillAsync();
        // Waits at the silo that is not there yet. It must not get the lock before the one who had it has claimed it.
        var greedy = other.SetLockAsync(open, held with { Owner = 2, Pid = 2 }, false, Cancellation).AsTask();
        silo = await SiloProcess.StartAsync(_folder["data"]);
        byte[] back = new byte[20];
        Assert.Equal(10, (await volume.ReadAsync(open, 0, back, Cancellation)).Value);
        Assert.Equal("still here", Encoding.UTF8.GetString(back.AsSpan(0, 10)));
        Assert.Equal(Errno.EAGAIN, (await greedy).Error);
        // What nobody has open goes, as it would have without the restart.
        while ((await volume.GetAttributesAsync(closed, Cancellation)).Error != Errno.ESTALE)
            await Task.Delay(50, Cancellation);
        holder.Lose(open);
        volume.Forget(open);
        while ((await volume.GetAttributesAsync(open, Cancellation)).Error != Errno.ESTALE)
            await Task.Delay(50, Cancellation);
        _log.AssertQuiet("cannot be reached", "answers again");
        await silo.DisposeAsync();
    }

    /// <summary>A disk that is not mounted: the silo finds an empty folder, and makes another volume under the same name. What the mount keeps is not for that one.</summary>
    [Fact]
    public async Task A_mount_stays_away_from_another_volume_of_the_same_name()
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        string conn = $"sqlite:{cluster.File}";
        var silo = await SiloProcess.StartNamedAsync(_folder["disk"], "one", "--cluster", conn);
        await using var connection = await VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = cluster, Loggers = _log.Factory }, Cancellation);
        var options = new RemoteVolumeOptions { Client = "test", Patience = TimeSpan.FromSeconds(3), FollowsMaster = true };
        await using var volume = await GrainVolumeAccess.AttachAsync(connection, CopyName.Parse("one"), new Holder(), options, Cancellation);
        var file = (await volume.CreateAsync(InodeNumber.Root, "file"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation)).Value.Inode;
        Assert.True((await volume.SyncAllAsync(Cancellation)).IsOk);
        Assert.True((await volume.WriteAsync(file, 0, "the only copy"u8.ToArray(), WriteFlags.None, Cancellation)).IsOk);
        await silo.KillAsync();

        await using (var stranger = await RunningSilo.StartAsync(_folder["empty"], "one", cluster))
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
            patience.CancelAfter(TimeSpan.FromSeconds(30));
            while (!_log.Lines.Any(l => l.Contains("another volume", StringComparison.Ordinal)))
                await Task.Delay(50, patience.Token);
            Assert.Equal(Errno.EIO, (await volume.SyncAllAsync(Cancellation)).Error);
            Assert.Equal(Errno.EIO, (await volume.CreateAsync(InodeNumber.Root, "new"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation)).Error);
            using var there = stranger.Host.Volume.OpenSession(new Holder());
            Assert.Equal(Errno.ENOENT, (await there.LookupAsync(InodeNumber.Root, "new"u8.ToArray(), Cancellation)).Error);
            Assert.Single(_log.Lines, l => l.Contains($"another volume: '{stranger.Host.Volume.Name}' ({stranger.Host.Volume.Id})", StringComparison.Ordinal));
            stranger.Log.AssertQuiet();
        }
        using (var metadata = new SqliteConnection($"Data Source={_folder["empty/meta.db"]}"))
        {
            metadata.Open();
            using var count = metadata.CreateCommand();
            count.CommandText = "SELECT count(*) FROM session";
            Assert.Equal(0L, count.ExecuteScalar());
        }

        silo = await SiloProcess.StartNamedAsync(_folder["disk"], "one", "--cluster", conn);
        byte[] back = new byte[20];
        int read;
        while ((await volume.ReadAsync(file, 0, back, Cancellation)).TryGet(out read, out var error) is false)
            Assert.Equal(Errno.EIO, error);
        Assert.Equal(13, read);
        Assert.Equal("the only copy", Encoding.UTF8.GetString(back.AsSpan(0, 13)));
        _log.AssertQuiet("cannot be reached", "could not be reached", "answers again", "another volume");
        await silo.DisposeAsync();
    }

    public void Dispose()
    {
        _log.Dispose();
        _folder.Dispose();
    }

    private Task<VolumeConnection> ConnectAsync() => VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = Private, Loggers = _log.Factory }, Cancellation);

    private static Task<GrainVolumeAccess> MountAsync(VolumeConnection connection, Holder? holder = null, bool gathers = false) =>
        GrainVolumeAccess.AttachAsync(connection, CopyName.Parse("master"), holder ?? new Holder(), new RemoteVolumeOptions { Client = "test", WriteBehind = gathers }, Cancellation);
}
