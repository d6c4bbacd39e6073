using System.Net.Sockets;
using Microsoft.Data.Sqlite;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting;
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
        var endpoint = System.Net.IPEndPoint.Parse(gateway ? silo.Host.Silo!.Gateway : silo.Host.Silo!.Silo);
        using var client = new TcpClient();
        await client.ConnectAsync(endpoint, RunningSilo.Cancellation);
        var stream = client.GetStream();
        byte[] challenge = new byte[36];
        await stream.ReadExactlyAsync(challenge, RunningSilo.Cancellation);
        Assert.Equal("OFS1"u8.ToArray(), challenge[..4]);
        await stream.WriteAsync(new byte[64], RunningSilo.Cancellation);
        Assert.Equal(0, await ReadToEndAsync(stream));
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
}
