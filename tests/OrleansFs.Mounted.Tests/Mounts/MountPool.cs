using OrleansFs.Mounted.Tests.Mounts;
using Xunit;

[assembly: AssemblyFixture(typeof(MountPool))]

namespace OrleansFs.Mounted.Tests.Mounts;

/// <summary>The mounts of this run, each made when the first test wants it. At the end all are unmounted, and none may have kept an inode or written a warning.</summary>
public sealed class MountPool : IAsyncLifetime
{
    private readonly Dictionary<string, Task<ITestMount>> _mounts = [];
    private readonly Lock _gate = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("orleansfs-mounted-").FullName;
    private readonly RecordingLogger _log = new();
    private int _directories;

    /// <summary>A fresh folder on a plain local file system, deleted at the end.</summary>
    public string Scratch(string name)
    {
        string path = Path.Combine(_folder, $"{name}-{Interlocked.Increment(ref _directories)}");
        Directory.CreateDirectory(path);
        return path;
    }

    public ValueTask InitializeAsync()
    {
        // Other users go through it to the mounts.
        File.SetUnixFileMode(_folder, (UnixFileMode)0x1C9);
        return ValueTask.CompletedTask;
    }

    /// <summary>A fresh directory on a mount of the kind, its mode 777.</summary>
    public async Task<string> EnterAsync(string kind)
    {
        string root = MountKind.Named(kind).Volume == VolumeKind.Plain ? MountKind.PlainFolder! : (await MountAsync(kind)).Path;
        string path = Path.Combine(root, $"t{Environment.ProcessId}-{Interlocked.Increment(ref _directories)}");
        Directory.CreateDirectory(path);
        File.SetUnixFileMode(path, (UnixFileMode)0x1FF);
        return path;
    }

    public Task<ITestMount> MountAsync(string kind)
    {
        if (!File.Exists("/dev/fuse"))
            Assert.Skip("there is no /dev/fuse here");
        lock (_gate)
        {
            if (!_mounts.TryGetValue(kind, out var mount))
                _mounts.Add(kind, mount = StartAsync(MountKind.Named(kind)));
            return mount;
        }
    }

    private Task<ITestMount> StartAsync(MountKind kind) =>
        kind.Volume == VolumeKind.Command ? CommandMount.StartAsync(kind, Scratch) : TestMount.StartAsync(kind, Scratch, _log);

    public async ValueTask DisposeAsync()
    {
        var problems = new List<string>();
        foreach (var mount in _mounts.Values)
            problems.AddRange(await (await mount).StopAsync());
        problems.AddRange(_log.Unexpected);
        problems.AddRange(await CommandMount.EndLeftoversAsync(_folder));
        Directory.Delete(_folder, recursive: true);
        Assert.True(problems.Count == 0, string.Join('\n', problems));
    }
}
