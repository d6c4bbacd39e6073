using Xunit;

namespace OrleansFs.Fault.Tests.Product;

/// <summary>How to run <c>orleansfs mount</c>.</summary>
internal sealed record MountOptions
{
    /// <summary>The data folder of the volume; null for a mount of what a silo serves.</summary>
    public string? Data { get; init; }

    /// <summary>CONN; null for a mount that is alone.</summary>
    public string? Cluster { get; init; }

    /// <summary>The name of the copy that it serves.</summary>
    public string? Name { get; init; }

    /// <summary>The copy to mount; null for the master's.</summary>
    public string? Copy { get; init; }

    /// <summary>What has no property here.</summary>
    public IReadOnlyList<string> More { get; init; } = [];

    public required string MountPoint { get; init; }

    /// <summary>Budget for what is in flight. Small by default, so that it fills and blocks are sealed all the time.</summary>
    public string Memory { get; init; } = "32MiB";

    /// <summary>S of a new volume. Small by default: more blocks, more to go wrong.</summary>
    public string BlockSize { get; init; } = "32KiB";

    /// <summary>As the mount's option. On turns the kernel's parameter on; where the kernel has no io_uring for FUSE it is served without.</summary>
    public string IoUring { get; init; } = "on";

    public bool ReadOnly { get; init; }

    public IEnumerable<string> Arguments =>
    [
        "mount", MountPoint, "--memory", Memory, "--block-size", BlockSize, "--io-uring", IoUring, .. ReadOnly ? ["--read-only"] : Array.Empty<string>(),
        .. Named("--data", Data), .. Named("--cluster", Cluster), .. Named("--name", Name), .. Named("--copy", Copy), .. More,
    ];

    private static string[] Named(string option, string? value) => value is null ? [] : [option, value];
}

/// <summary>A process of <c>orleansfs mount</c>, from the moment at which the mount is usable.</summary>
internal sealed class MountProcess : IAsyncDisposable
{
    private static readonly string[] s_ours =
    [
        "VolumeCopy", "FileData", "Committer", "MetadataStore", "BlockStore", "Orphanage", "GarbageCollector", "Mount", "Control",
    ];

    private readonly Child _child;

    private MountProcess(Child child, string line)
    {
        _child = child;
        UsesIoUring = line.EndsWith("(io_uring)", StringComparison.Ordinal);
    }

    /// <summary>Served over io_uring; over reads and writes of /dev/fuse otherwise.</summary>
    public bool UsesIoUring { get; }

    public int ProcessId => _child.Id;

    public bool HasExited => _child.HasExited;

    /// <summary>What it logged and printed.</summary>
    public IReadOnlyList<string> Lines => _child.Lines;

    /// <summary>What it logged that nobody should have to read.</summary>
    public IEnumerable<string> Troubles => Lines.Where(IsTrouble);

    public static async Task<MountProcess> StartAsync(MountOptions options)
    {
        var child = Start(options, out var ready);
        try
        {
            return new MountProcess(child, await ready);
        }
        catch
        {
            await child.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts it and kills it a moment later, in the middle of opening the volume more often than not.</summary>
    /// <returns>Whether the mount was not usable yet.</returns>
    public static async Task<bool> StartAndKillAsync(MountOptions options, TimeSpan after)
    {
        await using var child = Start(options, out var ready);
        await Task.WhenAny(ready, Task.Delay(after));
        bool early = !ready.IsCompleted;
        await child.KillAsync();
        await ready.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        return early;
    }

    public Task KillAsync() => _child.KillAsync();

    /// <summary>SIGTERM: everything is committed, then it ends.</summary>
    public Task<int> StopAsync() => _child.TerminateAsync(Limits.MountEnd);

    /// <summary>The same, and it says that all is well.</summary>
    public async Task StopWellAsync()
    {
        int code = await StopAsync();
        Assert.True(code == 0, $"exit code {code}:\n{string.Join('\n', Lines)}");
    }

    /// <summary>Waits until it has ended by itself.</summary>
    public Task<int> EndAsync() => _child.ExitAsync(Limits.MountEnd);

    public ValueTask DisposeAsync() => _child.DisposeAsync();

    private static Child Start(MountOptions options, out Task<string> ready)
    {
        var child = Child.Start(Programs.OrleansFs, options.Arguments);
        ready = child.LineAsync(line => line.StartsWith("mounted ", StringComparison.Ordinal), Limits.MountReady);
        return child;
    }

    /// <summary>A warning of the volume or the mount, an error of anyone, or what the runtime says of an exception. What Orleans has to say of the machine is nobody's trouble.</summary>
    public static bool IsTrouble(string line) =>
        (line.Contains(" warn  ", StringComparison.Ordinal) && s_ours.Any(category => line.Contains($" warn  {category}: ", StringComparison.Ordinal)))
        || line.Contains(" ERROR ", StringComparison.Ordinal) || line.Contains(" FATAL ", StringComparison.Ordinal) || line.Contains("nhandled exception", StringComparison.Ordinal);
}
