using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using Xunit;

namespace OrleansFs.Cluster.Tests.Membership;

/// <summary>Where a suite finds databases for clusters.</summary>
public interface IClusterDatabase
{
    /// <summary>A database without any table.</summary>
    ClusterConnection New();
}

/// <summary>SQLite: a file each.</summary>
public sealed class SqliteDatabase : IClusterDatabase, IDisposable
{
    private readonly TestFolder _folder = new();
    private int _count;

    public ClusterConnection New() => ClusterConnection.Sqlite(_folder[$"cluster {Interlocked.Increment(ref _count)}.db"]);

    public void Dispose()
    {
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        _folder.Dispose();
    }
}

/// <summary>PostgreSQL from Debian's packages, in a private folder and on a private port. Where it is not installed its tests are skipped, and say so.</summary>
public sealed class PostgreSqlDatabase : IClusterDatabase, IAsyncLifetime
{
    private readonly TestFolder _folder = new();
    private Process? _server;
    private int _port;
    private int _count;

    public ClusterConnection New()
    {
        Assert.SkipWhen(_server is null, "PostgreSQL is not installed (apt-get install postgresql)");
        string name = $"cluster{Interlocked.Increment(ref _count)}";
        using var connection = new Npgsql.NpgsqlConnection(Text("postgres"));
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = $"CREATE DATABASE {name}";
        command.ExecuteNonQuery();
        return ClusterConnection.Parse(Text(name));
    }

    public async ValueTask InitializeAsync()
    {
        string? programs = Directory.Exists("/usr/lib/postgresql") ? Directory.GetDirectories("/usr/lib/postgresql").Order().LastOrDefault() : null;
        if (programs is null)
            return;
        using (var socket = new Socket(SocketType.Stream, ProtocolType.Tcp))
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            _port = ((IPEndPoint)socket.LocalEndPoint!).Port;
        }
        // The server refuses to run as root.
        if (Environment.IsPrivilegedProcess)
            await RunAsync("chown", "postgres", _folder.Path);
        await RunAsync($"{programs}/bin/initdb", "-D", _folder["data"], "-A", "trust", "-U", "postgres", "--no-sync");
        _server = Start($"{programs}/bin/postgres", "-D", _folder["data"], "-p", $"{_port}", "-k", "", "-h", "127.0.0.1", "-c", "fsync=off");
        for (string? line = await _server.StandardError.ReadLineAsync(); ; line = await _server.StandardError.ReadLineAsync())
        {
            Assert.NotNull(line);
            if (line.Contains("ready to accept connections", StringComparison.Ordinal))
                break;
        }
        _ = _server.StandardError.ReadToEndAsync(); // so that it never waits for a reader
    }

    public async ValueTask DisposeAsync()
    {
        Npgsql.NpgsqlConnection.ClearAllPools();
        if (_server is not null)
        {
            await RunAsync("kill", "-INT", $"{_server.Id}");
            await _server.WaitForExitAsync();
            _server.Dispose();
        }
        _folder.Dispose();
    }

    private string Text(string database) => $"Host=127.0.0.1;Port={_port};Username=postgres;Database={database}";

    private static Process Start(string program, params string[] arguments)
    {
        bool asPostgres = Environment.IsPrivilegedProcess && program.StartsWith("/usr/lib/postgresql", StringComparison.Ordinal);
        var start = new ProcessStartInfo(asPostgres ? "setpriv" : program) { RedirectStandardError = true, RedirectStandardOutput = true };
        // setpriv replaces itself by the program, so that the process we know is the server.
        foreach (string argument in asPostgres ? ["--reuid=postgres", "--regid=postgres", "--clear-groups", program, .. arguments] : arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Start(program, arguments);
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program}: {await output} {await error}");
    }
}
