using System.Net;
using System.Net.Sockets;
using Microsoft.Data.Sqlite;
using OrleansFs.Client;
using OrleansFs.Client.Transport;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>A port on loopback can be reached by every user of the machine: only who can read the cluster's database gets anything from it.</summary>
public sealed class SecurityTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Fact]
    public async Task A_client_with_another_secret_is_refused()
    {
        await using var silo = await RunningSilo.StartAsync(_folder["data"]);
        // What a stranger could put together who knows the gateway's address: a database like the cluster's, with a secret of its own.
        var forged = ClusterConnection.Sqlite(_folder["forged.db"]);
        using (var source = new SqliteConnection(silo.Host.Cluster.ConnectionString))
        using (var target = new SqliteConnection(forged.ConnectionString))
        {
            source.Open();
            target.Open();
            source.BackupDatabase(target);
            using var change = target.CreateCommand();
            change.CommandText = "UPDATE OrleansFsSecret SET Secret = randomblob(32)";
            Assert.Equal(1, change.ExecuteNonQuery());
        }
        var options = new VolumeConnectionOptions { Cluster = forged, ConnectTimeout = TimeSpan.FromSeconds(3) };
        await Assert.ThrowsAsync<VolumeConnectionException>(() => VolumeConnection.ConnectAsync(options, RunningSilo.Cancellation));
        var connection = await silo.ConnectAsync();
        Assert.Single(await connection.ListCopiesAsync(RunningSilo.Cancellation));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Who_does_not_know_the_secret_is_greeted_and_hung_up_on(bool gateway)
    {
        await using var silo = await RunningSilo.StartAsync(_folder["data"]);
        var endpoint = IPEndPoint.Parse(gateway ? silo.Host.Silo!.Gateway : silo.Host.Silo!.Silo);
        using var client = new TcpClient();
        await client.ConnectAsync(endpoint, RunningSilo.Cancellation);
        var stream = client.GetStream();
        byte[] challenge = new byte[36];
        await stream.ReadExactlyAsync(challenge, RunningSilo.Cancellation);
        Assert.Equal("OFS1"u8.ToArray(), challenge[..4]);
        await stream.WriteAsync(new byte[64], RunningSilo.Cancellation);
        Assert.Equal(0, await ReadToEndAsync(stream));
    }

    /// <summary>A name in the abstract namespace is whose who takes it first. What is said to him he can hand on to the silo; only not so that both ends take him for each other.</summary>
    [Fact]
    public async Task Who_has_taken_the_name_of_a_silos_door_learns_nothing_by_handing_on_what_is_said()
    {
        using var free = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        free.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var gateway = (IPEndPoint)free.LocalEndPoint!;
        free.Dispose();
        using var relay = new Relay(gateway);

        await using var silo = await RunningSilo.StartAsync(_folder["data"], gatewayPort: gateway.Port);
        var connection = await silo.ConnectAsync();
        var volume = await silo.MountAsync(connection);
        long begun = TimeProvider.System.GetTimestamp();
        while (connection.Direct.CallerOf(silo.Copy) is null)
        {
            Assert.True(TimeProvider.System.GetElapsedTime(begun) < TimeSpan.FromSeconds(30), "there is no direct connection");
            await Task.Delay(5, RunningSilo.Cancellation);
        }
        Assert.True((await volume.CreateAsync(InodeNumber.Root, "file"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, RunningSilo.Cancellation)).IsOk);
        // A challenge, and the answer to it.
        Assert.Equal((36, 64), (relay.FromSilo, relay.ToSilo));
        Assert.Contains(silo.Log.Lines, l => l.Contains("has taken the local name", StringComparison.Ordinal));
    }

    /// <summary>Anybody on the machine can connect, and say nothing.</summary>
    [Fact]
    public async Task A_crowd_that_proves_nothing_takes_few_threads_and_keeps_nobody_out()
    {
        await using var silo = await SiloProcess.StartAsync(_folder["data"]);
        var gateway = SiloFile.Read(_folder["data"])!.GatewayEndpoint;
        int before = Threads();
        var crowd = new List<Socket>();
        try
        {
            for (int i = 0; i < 2000; i++)
            {
                crowd.Add(new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
                await crowd[^1].ConnectAsync(gateway, RunningSilo.Cancellation);
            }
            // The last one has been accepted, and so all before it.
            byte[] challenge = new byte[36];
            Assert.InRange(await crowd[^1].ReceiveAsync(challenge, RunningSilo.Cancellation), 1, challenge.Length);
            TestContext.Current.SendDiagnosticMessage($"{Threads() - before} threads more");
            Assert.InRange(Threads() - before, 0, 199);
            await using var connection = await VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = ClusterConnection.Sqlite(_folder["data/cluster.db"]) }, RunningSilo.Cancellation);
            await using var mount = await GrainVolumeAccess.AttachAsync(connection, CopyName.Parse("master"), new Holder(), new RemoteVolumeOptions { Client = "test" }, RunningSilo.Cancellation);
            Assert.True((await mount.GetAttributesAsync(InodeNumber.Root, RunningSilo.Cancellation)).IsOk);
        }
        finally
        {
            foreach (var socket in crowd)
                socket.Dispose();
        }

        int Threads() => Directory.GetDirectories($"/proc/{silo.Id}/task").Length;
    }

    [Fact]
    public async Task The_database_is_its_owners_alone_and_must_be()
    {
        var cluster = ClusterConnection.Sqlite(_folder["cluster.db"]);
        await using (var silo = await RunningSilo.StartAsync(_folder["data"], cluster: cluster))
        {
            foreach (string file in Directory.GetFiles(_folder.Path, "cluster.db*").Append(_folder["data"] + "/cluster.db").Where(File.Exists))
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        }
        File.SetUnixFileMode(cluster.File!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherRead);
        var refused = await Assert.ThrowsAsync<HostException>(() => RunningSilo.StartAsync(_folder["data"], cluster: cluster));
        Assert.Contains("chmod o=", refused.Message, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    /// <summary>Bytes until the other end closes, in whichever way it does.</summary>
    private static async Task<int> ReadToEndAsync(NetworkStream stream)
    {
        int total = 0;
        try
        {
            byte[] buffer = new byte[100];
            for (int read = 1; read > 0; total += read)
                read = await stream.ReadAsync(buffer, RunningSilo.Cancellation);
        }
        catch (IOException)
        {
            // Reset.
        }
        return total;
    }

    /// <summary>Has the name of a gateway's door, and hands on what comes there to its port.</summary>
    private sealed class Relay : IDisposable
    {
        private readonly Socket _door = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        private readonly IPEndPoint _gateway;
        private int _fromSilo;
        private int _toSilo;

        public Relay(IPEndPoint gateway)
        {
            _gateway = gateway;
            _door.Bind(LocalDoor.Of(gateway));
            _door.Listen();
            _ = Task.Run(AcceptAsync);
        }

        public int FromSilo => Volatile.Read(ref _fromSilo);

        public int ToSilo => Volatile.Read(ref _toSilo);

        public void Dispose() => _door.Dispose();

        private async Task AcceptAsync()
        {
            while (true)
            {
                var mount = await _door.AcceptAsync();
                var silo = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                await silo.ConnectAsync(_gateway);
                _ = HandOnAsync(mount, silo, n => Interlocked.Add(ref _toSilo, n));
                _ = HandOnAsync(silo, mount, n => Interlocked.Add(ref _fromSilo, n));
            }
        }

        private static async Task HandOnAsync(Socket from, Socket to, Action<int> count)
        {
            try
            {
                byte[] buffer = new byte[65536];
                for (int read; (read = await from.ReceiveAsync(buffer)) > 0;)
                {
                    count(read);
                    await to.SendAsync(buffer.AsMemory(0, read));
                }
            }
            catch (SocketException)
            {
                // Hung up on.
            }
            finally
            {
                from.Dispose();
                to.Dispose();
            }
        }
    }
}
