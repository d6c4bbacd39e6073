using Microsoft.Extensions.Logging;
using OrleansFs.Engine;
using OrleansFs.Model;
using OrleansFs.Mount;

namespace OrleansFs.Cli.Commands;

/// <summary>A volume served by this process.</summary>
internal sealed class EmbeddedVolume : IAsyncDisposable
{
    private readonly VolumeCopy _copy;
    private readonly LocalSession _own;

    private EmbeddedVolume(VolumeCopy copy)
    {
        _copy = copy;
        _own = copy.OpenSession(new HoldsNothing());
    }

    public string Name => _copy.Name;

    /// <summary>Opens the volume of a folder; makes one only where the options say so.</summary>
    public static async Task<EmbeddedVolume> OpenAsync(VolumeOptions options, ILoggerFactory loggers, CancellationToken cancellation) =>
        new(await VolumeCopy.OpenAsync(options, loggers, KernelTime.Instance, cancellation));

    /// <summary>The volume for one mount.</summary>
    public IVolumeAccess OpenSession(IInodeHolder holder) => _copy.OpenSession(holder);

    public ValueTask<FsResult<VolumeStatus>> StatusAsync(CancellationToken cancellation) => _own.GetStatusAsync(cancellation);

    /// <summary>Commits everything and lets the folder go.</summary>
    public async ValueTask DisposeAsync() => await _copy.CloseAsync();

    /// <summary>A session that asks about the volume and never about an inode.</summary>
    private sealed class HoldsNothing : IInodeHolder
    {
        public bool Holds(InodeNumber inode) => false;
    }
}
