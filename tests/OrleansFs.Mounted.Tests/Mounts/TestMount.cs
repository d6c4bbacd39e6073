using OrleansFs.Fuse;
using OrleansFs.Mount;
using Xunit;

namespace OrleansFs.Mounted.Tests.Mounts;

/// <summary>A mount that tests share.</summary>
public interface ITestMount
{
    string Path { get; }

    /// <summary>Unmounts in order; gives what is not as it should be.</summary>
    Task<IReadOnlyList<string>> StopAsync();
}

/// <summary>A mount of this process.</summary>
public sealed class TestMount : ITestMount
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly MountedVolume _mounted;
    private readonly ITestVolume _volume;
    private readonly MountKind _kind;

    private TestMount(MountKind kind, MountedVolume mounted, ITestVolume volume)
    {
        _kind = kind;
        _mounted = mounted;
        _volume = volume;
    }

    public string Path => _mounted.MountPoint;

    /// <param name="kind">What to mount.</param>
    /// <param name="scratch">Gives an empty folder for a purpose.</param>
    /// <param name="log">Where warnings and errors go.</param>
    internal static async Task<ITestMount> StartAsync(MountKind kind, Func<string, string> scratch, RecordingLogger log)
    {
        ITestVolume volume = kind.Volume switch
        {
            VolumeKind.Memory => new MemoryTestVolume(),
            VolumeKind.Remote => await RemoteTestVolume.OpenAsync(scratch("data"), log),
            _ => await EngineTestVolume.OpenAsync(scratch("data"), log),
        };
        var options = new VolumeMountOptions { Policy = !kind.Shared ? MountPolicy.Alone : kind.Volume == VolumeKind.Remote ? MountPolicy.Leased : MountPolicy.SharedSession, AllowOther = true, IoUring = kind.IoUring };
        var mounted = await MountedVolume.MountAsync(scratch("mnt"), volume.OpenSession, options, log.CreateLogger("Mount"));
        var wanted = kind.IoUring == IoUringMode.On ? FuseTransport.IoUring : FuseTransport.Device;
        if (mounted.Statistics.Transport != wanted)
        {
            string? reason = mounted.Statistics.IoUringUnavailable;
            await mounted.DisposeAsync();
            await volume.CloseAsync();
            Assert.Skip($"no {wanted} here: {reason}");
        }
        return new TestMount(kind, mounted, volume);
    }

    public async Task<IReadOnlyList<string>> StopAsync()
    {
        var problems = new List<string>();
        var outcome = await _mounted.UnmountAsync(UnmountMode.Orderly);
        // A test's own mount namespace may have a copy of it a moment longer.
        if (outcome == UnmountOutcome.Detached)
            await Task.WhenAny(_mounted.Completion, Task.Delay(s_patience));
        if (!_mounted.Completion.IsCompleted)
        {
            problems.Add($"the unmount ended {outcome}");
            await _mounted.DisposeAsync();
        }
        var statistics = _mounted.Statistics;
        if (_mounted.KnownNodes != 0)
            problems.Add($"{_mounted.KnownNodes} inodes are still held");
        if (statistics.InFlight != 0 || statistics.BytesInFlight != 0)
            problems.Add($"{statistics.InFlight} requests and {statistics.BytesInFlight} bytes are still in flight");
        if (statistics.HandlerExceptions != 0 || statistics.MalformedRequests != 0)
            problems.Add($"{statistics.HandlerExceptions} handlers threw, {statistics.MalformedRequests} requests were malformed");
        problems.AddRange(await _volume.CloseAsync());
        return [.. problems.Select(problem => $"{_kind.Name}: {problem}")];
    }
}
