using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Fuse.Tests.MemoryFs;

namespace OrleansFs.Fuse.Bench;

/// <summary>A mount in a process of its own, that a test may run as another user, or kill.</summary>
internal static class Serve
{
    internal static async Task<int> RunAsync(string directory, bool ioUring)
    {
        FuseOptions options = new() { IoUring = ioUring ? IoUringMode.Auto : IoUringMode.Off, Capabilities = FuseOptions.DefaultCapabilities | FuseCapabilities.HandleKillPrivV2 };
        try
        {
            await using FuseMount mount = await FuseMount.MountAsync(directory, new MemoryFileSystem(TimeProvider.System), options, NullLogger.Instance);
            await Console.Out.WriteLineAsync($"ready {mount.Statistics.Transport}");
            await Console.In.ReadToEndAsync();
            UnmountOutcome outcome = await mount.UnmountAsync();
            await Console.Out.WriteLineAsync($"{outcome}");
            return 0;
        }
        catch (FuseMountException exception)
        {
            await Console.Out.WriteLineAsync($"failed: {exception.Message}");
            return 1;
        }
    }
}
