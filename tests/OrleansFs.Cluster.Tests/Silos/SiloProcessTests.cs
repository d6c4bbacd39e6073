using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Data.Sqlite;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Membership;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>The executable: killed and started again, several on one database, wrong arguments.</summary>
public sealed class SiloProcessTests : IDisposable
{
    private readonly TestFolder _folder = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private ClusterConnection Private => ClusterConnection.Sqlite(_folder["data/cluster.db"]);

    [Fact]
    public async Task After_a_kill_the_next_start_does_not_wait_and_finds_what_was_synced()
    {
        var fresh = await SiloProcess.StartAsync(_folder["data"]);
        await using (var connection = await ConnectAsync(Private))
        {
            await using var volume = await MountAsync(connection, "master");
            var made = await volume.CreateAsync(InodeNumber.Root, "kept"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation);
            Assert.True((await volume.WriteAsync(made.Value.Inode, 0, "twenty years"u8.ToArray(), WriteFlags.None, Cancellation)).IsOk);
            Assert.True((await volume.SyncAsync(made.Value.Inode, false, Cancellation)).IsOk);
            await fresh.KillAsync();
        }
        Assert.NotNull(SiloFile.Read(_folder["data"]));
        await using var again = await SiloProcess.StartAsync(_folder["data"]);
        TestContext.Current.SendDiagnosticMessage($"start of a new volume {fresh.StartTime.TotalMilliseconds:0} ms, after SIGKILL {again.StartTime.TotalMilliseconds:0} ms");
        // Far under the probes and votes that Orleans would want to find out by itself; far above a start on a busy machine.
        Assert.True(again.StartTime < fresh.StartTime + TimeSpan.FromSeconds(5), $"{again.StartTime} after {fresh.StartTime}");
        await using (var connection = await ConnectAsync(Private))
        {
            await using var volume = await MountAsync(connection, "master");
            var found = await volume.LookupAsync(InodeNumber.Root, "kept"u8.ToArray(), Cancellation);
            byte[] back = new byte[20];
            Assert.Equal(12, (await volume.ReadAsync(found.Value.Inode, 0, back, Cancellation)).Value);
            Assert.Equal("twenty years", Encoding.UTF8.GetString(back.AsSpan(0, 12)));
        }
        // The mount of before went while there was no silo that it could have told.
        await again.StopQuietlyAsync("1 sessions of before the restart have not come back");
        Assert.Null(SiloFile.Read(_folder["data"]));
    }

    /// <summary>The client that gathered it is gone, too: what it kept is of no help.</summary>
    [Fact]
    public async Task What_was_gathered_and_synced_is_on_disk()
    {
        var silo = await SiloProcess.StartAsync(_folder["data"]);
        var expected = new Dictionary<InodeNumber, byte[]>();
        await using (var connection = await ConnectAsync(Private))
        {
            await using var volume = await GrainVolumeAccess.AttachAsync(connection, CopyName.Parse("master"), new Holder(), new RemoteVolumeOptions { Client = "test", WriteBehind = true }, Cancellation);
            for (int i = 1; i <= 20; i++)
            {
                var file = (await volume.CreateAsync(InodeNumber.Root, Encoding.UTF8.GetBytes($"{i}"), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation)).Value.Inode;
                byte[] content = new byte[i * 30_000];
                new Random(i).NextBytes(content);
                for (int at = 0; at < content.Length; at += 7_000)
                    Assert.True((await volume.WriteAsync(file, at, content.AsMemory(at, Math.Min(7_000, content.Length - at)), WriteFlags.None, Cancellation)).IsOk);
                Assert.True((await volume.SyncAsync(file, false, Cancellation)).IsOk);
                expected.Add(file, content);
            }
            await silo.KillAsync();
        }
        await using var again = await SiloProcess.StartAsync(_folder["data"]);
        await using var reading = await ConnectAsync(Private);
        await using var after = await MountAsync(reading, "master");
        foreach (var (file, content) in expected)
        {
            byte[] back = new byte[content.Length + 1];
            Assert.Equal(content.Length, (await after.ReadAsync(file, 0, back, Cancellation)).Value);
            Assert.Equal(content, back[..^1]);
        }
    }

    [Fact]
    public async Task A_client_goes_on_when_the_silo_is_back()
    {
        await using var first = await SiloProcess.StartAsync(_folder["data"]);
        using var log = new TestLog();
        await using var connection = await VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = Private, Loggers = log.Factory }, Cancellation);
        await using var volume = await MountAsync(connection, "master");
        var file = (await volume.CreateAsync(InodeNumber.Root, "a"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation)).Value.Inode;
        var mine = new FileLock { Kind = LockKind.Write, Start = 0, End = long.MaxValue, Owner = 1, WholeFile = true };
        Assert.True((await volume.SetLockAsync(file, mine, false, Cancellation)).IsOk);
        Assert.True((await volume.SyncAllAsync(Cancellation)).IsOk);
        await first.KillAsync();
        var waiting = volume.GetAttributesAsync(file, Cancellation).AsTask();
        await using var second = await SiloProcess.StartAsync(_folder["data"]);
        Assert.Equal(file, (await waiting).Value.Inode);
        Assert.Equal(8L, (await volume.WriteAsync(file, 8, "written"u8.ToArray(), WriteFlags.None, Cancellation)).Value);
        // The lock was claimed again: another session is refused.
        await using var other = await MountAsync(connection, "master");
        Assert.Equal(Errno.EAGAIN, (await other.SetLockAsync(file, mine, false, Cancellation)).Error);
        log.AssertQuiet("cannot be reached", "answers again");
        // The silo ends before the sessions do: a session that has something unsynced waits for it.
        Assert.True((await volume.SyncAllAsync(Cancellation)).IsOk);
    }

    /// <summary>Names, sizes and content that a client was told of are all there after the silo was killed and started under it, though nothing was synced.</summary>
    [Fact]
    public async Task What_a_client_was_answered_survives_a_kill_of_the_silo()
    {
        int seed = Environment.TickCount;
        TestContext.Current.SendDiagnosticMessage($"seed {seed}");
        var random = new Random(seed);
        var silo = await SiloProcess.StartAsync(_folder["data"]);
        using var log = new TestLog();
        await using var connection = await VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = Private, Loggers = log.Factory }, Cancellation);
        await using var volume = await MountAsync(connection, "master");
        var expected = new Dictionary<InodeNumber, MemoryStream>();
        for (int round = 0; round < 3; round++)
        {
            var killed = Task.Run(async () =>
            {
                await Task.Yield();
                while (expected.Count < (round + 1) * 20)
                    await Task.Delay(1, Cancellation);
                await silo.KillAsync();
                silo = await SiloProcess.StartAsync(_folder["data"]);
            }, Cancellation);
            for (int i = 0; !killed.IsCompleted; i++)
            {
                var made = await volume.CreateAsync(InodeNumber.Root, Encoding.UTF8.GetBytes($"{round}-{i}"), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation);
                Assert.True(made.IsOk, made.ToString());
                var content = new MemoryStream();
                lock (expected)
                    expected.Add(made.Value.Inode, content);
                for (int step = random.Next(6); step >= 0; step--)
                    await ChangeAsync(volume, made.Value.Inode, content, random);
            }
            await killed;
        }
        foreach (var (inode, content) in expected)
        {
            byte[] back = new byte[content.Length + 1];
            Assert.Equal(content.Length, (await volume.ReadAsync(inode, 0, back, Cancellation)).Value);
            Assert.True(back.AsSpan(0, (int)content.Length).SequenceEqual(content.ToArray()), $"inode {inode}, seed {seed}");
        }
        log.AssertQuiet("cannot be reached", "answers again");
        Assert.True((await volume.SyncAllAsync(Cancellation)).IsOk);
        await silo.DisposeAsync();
    }

    [Fact]
    public async Task Two_processes_and_this_one_share_a_database()
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        string conn = $"sqlite:{_folder["shared.db"]}";
        await using var one = await SiloProcess.StartNamedAsync(_folder["one"], "one", "--cluster", conn);
        await using var two = await SiloProcess.StartNamedAsync(_folder["two"], "two", "--cluster", conn);
        // Writers in this process, of a cluster of their own in the same file, while both silos write their signs of life.
        var table = await MembershipTableSuite.OpenAsync(cluster, "busy");
        int inserted = 0;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(writer => Task.Run(async () =>
        {
            for (int i = 0; i < 25; i++)
            {
                while (!await table.InsertRowAsync(MembershipTableSuite.Silo((writer * 25) + i), await MembershipTableSuite.NextAsync(table), Cancellation))
                    Cancellation.ThrowIfCancellationRequested();
                Interlocked.Increment(ref inserted);
            }
        })));
        var data = await table.ReadAllAsync(Cancellation);
        Assert.Equal((100, 100, 100), (inserted, data.Members.Count, data.Version.Version));
        await using var connection = await ConnectAsync(cluster);
        Assert.Equal(["one", "two"], (await connection.ListCopiesAsync(Cancellation)).Select(c => c.Copy.Value).Order());
        // One is killed; the other is alone again as soon as the first is back.
        await one.KillAsync();
        await using var again = await SiloProcess.StartNamedAsync(_folder["one"], "one", "--cluster", conn);
        Assert.Equal("one", (await connection.FindCopyAsync(CopyName.Parse("one"), Cancellation)).Copy.Value);
        await again.StopQuietlyAsync();
        await two.StopQuietlyAsync("a new volume was made in");
    }

    /// <summary>sd_notify(3), over a socket in a folder and over one in none.</summary>
    [Fact]
    public async Task A_service_manager_is_told_when_it_serves_and_when_it_stops()
    {
        using var manager = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        manager.Bind(new UnixDomainSocketEndPoint(_folder["notify"]));
        await using (var silo = await SiloProcess.StartNotifyingAsync(_folder["data"], "master", _folder["notify"]))
        {
            Assert.StartsWith($"READY=1\nSTATUS=serving {_folder["data"]}, gateway 127.0.0.1:", await ReceiveAsync(manager), StringComparison.Ordinal);
            Assert.Equal((0, ""), await silo.StopAsync());
        }
        Assert.Equal("STOPPING=1\nSTATUS=committing what is in flight", await ReceiveAsync(manager));

        // Where it is not in its cluster that is said, too. It serves all the same: it was in it before.
        using var abstractly = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        string name = $"orleansfs-test-{Guid.NewGuid():N}";
        abstractly.Bind(new UnixDomainSocketEndPoint($"\0{name}"));
        await using (var silo = await SiloProcess.StartNotifyingAsync(_folder["data"], "master", $"@{name}", "--advertise", "192.0.2.7"))
        {
            string said = await ReceiveAsync(abstractly);
            Assert.StartsWith($"READY=1\nSTATUS=serving {_folder["data"]}, in no cluster yet; this machine has no address 192.0.2.7", said, StringComparison.Ordinal);
            var (code, error) = await silo.StopAsync();
            Assert.Equal(0, code);
            Assert.Contains("this machine has no address 192.0.2.7", error, StringComparison.Ordinal);
        }
        Assert.StartsWith("STOPPING=1", await ReceiveAsync(abstractly), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_signal_ends_a_start_that_waits_for_the_database()
    {
        using var deaf = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        deaf.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        deaf.Listen();
        int port = ((IPEndPoint)deaf.LocalEndPoint!).Port;
        await using var silo = SiloProcess.Begin("--data", _folder["data"], "--name", "a", "--role", "master", "--cluster", $"Host=127.0.0.1;Port={port};Database=x;Timeout=600");
        using var waiting = await deaf.AcceptAsync(Cancellation);
        Assert.Equal((0, ""), await silo.StopAsync().WaitAsync(TimeSpan.FromMinutes(1), Cancellation));
    }

    [Fact]
    public async Task A_folder_is_served_by_one_process()
    {
        await using var silo = await SiloProcess.StartAsync(_folder["data"]);
        var (code, error) = await SiloProcess.RunAsync("--data", _folder["data"], "--name", "master", "--role", "master");
        Assert.Equal(1, code);
        Assert.Contains("in use by another process", error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
        Assert.Equal(silo.Id, SiloFile.Read(_folder["data"])!.Pid);
    }

    [Theory]
    [InlineData(2, "'--data' is required", "--name", "a", "--role", "master")]
    [InlineData(2, "a name is", "--data", "D", "--name", "A B", "--role", "master")]
    [InlineData(2, "roles are", "--data", "D", "--name", "a", "--role", "king")]
    [InlineData(2, "needs --cluster", "--data", "D", "--name", "a", "--role", "replica")]
    [InlineData(2, "neither sqlite", "--data", "D", "--name", "a", "--role", "master", "--cluster", "nonsense")]
    [InlineData(2, "has no 'databse'", "--data", "D", "--name", "a", "--role", "master", "--cluster", "Host=127.0.0.1;Databse=x")]
    [InlineData(2, "a port is", "--data", "D", "--name", "a", "--role", "master", "--silo-port", "70000")]
    [InlineData(2, "a size is", "--data", "D", "--name", "a", "--role", "master", "--memory", "lots")]
    [InlineData(1, "hostname is a file", "--data", "/etc/hostname", "--name", "a", "--role", "replica", "--cluster", "sqlite:/nowhere/c.db")]
    [InlineData(1, "power of two", "--data", "D", "--name", "a", "--role", "master", "--block-size", "5000")]
    [InlineData(1, "no address 192.0.2.7", "--data", "D", "--name", "a", "--role", "master", "--advertise", "192.0.2.7")]
    [InlineData(1, "cannot be reached", "--data", "D", "--name", "a", "--role", "master", "--cluster", "Host=127.0.0.1;Port=1")]
    [InlineData(1, "cannot be used", "--data", "D", "--name", "a", "--role", "master", "--cluster", "Host=127.0.0.1;Minimum Pool Size=200")]
    public async Task What_is_wrong_is_said_in_one_line(int expected, string says, params string[] arguments)
    {
        var (code, error) = await SiloProcess.RunAsync([.. arguments.Select(a => a == "D" ? _folder["new"] : a)]);
        Assert.Single(error.TrimEnd().Split('\n'));
        Assert.Contains(says, error, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(expected, code);
    }

    /// <summary>A mistyped path: what is there belongs to another program, and is as it was.</summary>
    [Fact]
    public async Task Another_programs_database_is_refused_and_not_touched()
    {
        string file = _folder["photos.db"];
        using (var theirs = new SqliteConnection($"Data Source={file};Pooling=False"))
        {
            theirs.Open();
            using var make = theirs.CreateCommand();
            make.CommandText = "CREATE TABLE photo (name TEXT)";
            make.ExecuteNonQuery();
        }
        byte[] before = await File.ReadAllBytesAsync(file, Cancellation);
        var (code, error) = await SiloProcess.RunAsync("--data", _folder["data"], "--name", "a", "--role", "master", "--cluster", $"sqlite:{file}");
        Assert.Equal(1, code);
        Assert.Contains("not one of an OrleansFs cluster", error, StringComparison.Ordinal);
        Assert.Equal(before, await File.ReadAllBytesAsync(file, Cancellation));
        Assert.Equal([file], Directory.GetFiles(_folder.Path, "photos.db*"));
    }

    /// <summary>On a full disk, or killed at the wrong moment, a silo leaves a file behind under its temporary name.</summary>
    [Fact]
    public async Task A_folder_of_which_only_a_silos_files_are_there_is_an_empty_one()
    {
        Directory.CreateDirectory(_folder["data"]);
        foreach (string name in new[] { "silo.json.new", "cluster.json.new", "silo.json", "cluster.json" })
            await File.WriteAllTextAsync(_folder[$"data/{name}"], "{", Cancellation);
        await using var silo = await SiloProcess.StartAsync(_folder["data"]);
        Assert.NotNull(SiloFile.Read(_folder["data"]));
        Assert.Empty(Directory.GetFiles(_folder["data"], "*.json.new"));
    }

    [Theory]
    [InlineData("--silo-port")]
    [InlineData("--gateway-port")]
    public async Task A_port_that_is_taken_is_said_in_one_line(string option)
    {
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        taken.Listen();
        int port = ((IPEndPoint)taken.LocalEndPoint!).Port;
        var (code, error) = await SiloProcess.RunAsync("--data", _folder["data"], "--name", "a", "--role", "master", option, $"{port}");
        Assert.Contains($"{option} {port}: another process listens there", error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
        Assert.Equal(1, code);
        Assert.Null(SiloFile.Read(_folder["data"]));
    }

    public void Dispose() => _folder.Dispose();

    private static async Task<string> ReceiveAsync(Socket socket)
    {
        byte[] datagram = new byte[4096];
        return Encoding.UTF8.GetString(datagram, 0, await socket.ReceiveAsync(datagram, Cancellation));
    }

    /// <summary>A write, an append or a truncation, on the file and on what is expected of it.</summary>
    private static async Task ChangeAsync(GrainVolumeAccess volume, InodeNumber file, MemoryStream expected, Random random)
    {
        byte[] data = new byte[random.Next(1, 300_000)];
        random.NextBytes(data);
        switch (random.Next(3))
        {
            case 0:
                long size = random.Next(400_000);
                var change = new AttributeChange { Mask = AttributeMask.Size, Size = size };
                Assert.True((await volume.SetAttributesAsync(file, change, default, Cancellation)).IsOk);
                expected.SetLength(size);
                break;
            case 1:
                expected.Position = random.Next(400_000);
                Assert.Equal(expected.Position, (await volume.WriteAsync(file, expected.Position, data, WriteFlags.None, Cancellation)).Value);
                expected.Write(data);
                break;
            default:
                expected.Position = expected.Length;
                Assert.Equal(expected.Position, (await volume.WriteAsync(file, expected.Position, data, WriteFlags.None, Cancellation)).Value);
                expected.Write(data);
                break;
        }
    }

    private static Task<VolumeConnection> ConnectAsync(ClusterConnection cluster) => VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = cluster }, Cancellation);

    private static Task<GrainVolumeAccess> MountAsync(VolumeConnection connection, string copy) =>
        GrainVolumeAccess.AttachAsync(connection, CopyName.Parse(copy), new Holder(), new RemoteVolumeOptions { Client = "test" }, Cancellation);
}
