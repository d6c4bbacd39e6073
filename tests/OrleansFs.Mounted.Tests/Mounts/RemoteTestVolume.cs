using Microsoft.Extensions.Logging;
using OrleansFs.Client;
using OrleansFs.Engine;
using OrleansFs.Hosting;
using OrleansFs.Model;
using OrleansFs.Mount;

namespace OrleansFs.Mounted.Tests.Mounts;

/// <summary>A copy in a silo, and a connection to its gateway, as a mount in a process of its own has it.</summary>
internal sealed class RemoteTestVolume : ITestVolume
{
    private readonly ILoggerFactory _loggers;
    private readonly OrleansFsHost _silo;
    private readonly VolumeConnection _connection;
    private GrainVolumeAccess? _session;

    private RemoteTestVolume(ILoggerFactory loggers, OrleansFsHost silo, VolumeConnection connection)
    {
        _loggers = loggers;
        _silo = silo;
        _connection = connection;
    }

    public static async Task<ITestVolume> OpenAsync(string folder, ILoggerFactory log)
    {
        // What a user would see of the log, which is to be nothing.
        var loggers = LoggerFactory.Create(logging => HostLogging.Configure(logging, verbose: false).AddProvider(new Forward(log)));
        var volume = new VolumeOptions { DataFolder = folder, Memory = 32 << 20 };
        var silo = await OrleansFsHost.StartAsync(new OrleansFsHostOptions { Volume = volume, Loggers = loggers, Time = KernelTime.Instance }, CancellationToken.None);
        var options = new VolumeConnectionOptions { Cluster = silo.Cluster, Loggers = loggers };
        return new RemoteTestVolume(loggers, silo, await VolumeConnection.ConnectAsync(options, CancellationToken.None));
    }

    public IVolumeAccess OpenSession(ICacheHolder holder)
    {
        var attached = GrainVolumeAccess.AttachAsync(_connection, _silo.Volume.Copy, holder, new RemoteVolumeOptions { Client = "test", WriteBehind = true }, CancellationToken.None);
        return _session = attached.GetAwaiter().GetResult();
    }

    public async Task<IReadOnlyList<string>> CloseAsync()
    {
        if (_session is not null)
            await _session.DisposeAsync();
        await _connection.DisposeAsync();
        await _silo.StopAsync();
        _loggers.Dispose();
        return [];
    }

    private sealed class Forward(ILoggerFactory log) : ILoggerProvider
    {
        public ILogger CreateLogger(string categoryName) => log.CreateLogger(categoryName);

        public void Dispose()
        {
        }
    }
}
