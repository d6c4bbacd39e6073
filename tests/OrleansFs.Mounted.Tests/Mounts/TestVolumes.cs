using Microsoft.Extensions.Logging;
using OrleansFs.Engine;
using OrleansFs.Model;
using OrleansFs.Mount;

namespace OrleansFs.Mounted.Tests.Mounts;

/// <summary>A volume to mount in a test.</summary>
internal interface ITestVolume
{
    IVolumeAccess OpenSession(ICacheHolder holder);

    /// <summary>Closes it after its mount is gone; gives what is not as it should be.</summary>
    Task<IReadOnlyList<string>> CloseAsync();
}

internal sealed class MemoryTestVolume : ITestVolume
{
    private readonly MemoryVolume.MemoryVolume _volume = new(KernelTime.Instance);

    public IVolumeAccess OpenSession(ICacheHolder holder) => _volume.OpenSession(holder);

    public Task<IReadOnlyList<string>> CloseAsync() => Task.FromResult<IReadOnlyList<string>>(_volume.Orphans == 0 ? [] : [$"{_volume.Orphans} orphans are left"]);
}

internal sealed class EngineTestVolume : ITestVolume
{
    private readonly VolumeCopy _copy;

    private EngineTestVolume(VolumeCopy copy) => _copy = copy;

    public static async Task<ITestVolume> OpenAsync(string folder, ILoggerFactory loggers)
    {
        // A small budget, so that writers meet it.
        var options = new VolumeOptions { DataFolder = folder, Memory = 32 << 20 };
        return new EngineTestVolume(await VolumeCopy.OpenAsync(options, loggers, KernelTime.Instance, CancellationToken.None));
    }

    public IVolumeAccess OpenSession(ICacheHolder holder) => _copy.OpenSession(holder);

    public async Task<IReadOnlyList<string>> CloseAsync()
    {
        await _copy.CloseAsync();
        return [];
    }
}
