using System.Reflection;
using OrleansFs.Fuse;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

namespace OrleansFs.Mounted.Tests.Mounts;

/// <summary>What is mounted, and over which transport.</summary>
/// <param name="Name">As a test shows it: "memory/device".</param>
/// <param name="Volume">Which implementation of the volume.</param>
/// <param name="IoUring">Which transport.</param>
/// <param name="Shared">The policy of a session among others.</param>
public sealed record MountKind(string Name, VolumeKind Volume, IoUringMode IoUring, bool Shared)
{
    /// <summary>Names a folder of a local file system on which the suites run too, to check the suites themselves.</summary>
    private const string PlainVariable = "ORLEANSFS_TEST_PLAIN";

    /// <summary>The folder of <see cref="VolumeKind.Plain"/>; null where none is named.</summary>
    public static string? PlainFolder { get; } = Environment.GetEnvironmentVariable(PlainVariable);

    /// <summary>Every kind that the suites run on.</summary>
    public static IReadOnlyList<MountKind> All { get; } =
    [
        .. PlainFolder is null ? Array.Empty<MountKind>() : [new("plain", VolumeKind.Plain, IoUringMode.Off, Shared: false)],
        new("engine/device", VolumeKind.Engine, IoUringMode.Off, Shared: false),
        new("engine/io_uring", VolumeKind.Engine, IoUringMode.On, Shared: false),
        new("memory/device", VolumeKind.Memory, IoUringMode.Off, Shared: false),
        new("memory/io_uring", VolumeKind.Memory, IoUringMode.On, Shared: false),
        new("memory shared/device", VolumeKind.Memory, IoUringMode.Off, Shared: true),
        new("remote shared/device", VolumeKind.Remote, IoUringMode.Off, Shared: true),
    ];

    /// <summary>What real programs run on: the program itself, and a mount over a silo's gateway.</summary>
    public static IReadOnlyList<MountKind> ForPrograms { get; } =
    [
        .. All.Where(kind => kind.Volume is VolumeKind.Plain or VolumeKind.Remote),
        new("orleansfs/device", VolumeKind.Command, IoUringMode.Off, Shared: false),
        new("orleansfs/io_uring", VolumeKind.Command, IoUringMode.On, Shared: false),
    ];

    public static MountKind Named(string name) => All.Concat(ForPrograms).First(kind => kind.Name == name);
}

/// <summary>Which implementation of the volume is mounted.</summary>
public enum VolumeKind
{
    /// <summary>The one in memory: a failure here is the mount's.</summary>
    Memory,

    /// <summary>The product's.</summary>
    Engine,

    /// <summary>The product's, in a silo, by grain calls through its gateway.</summary>
    Remote,

    /// <summary>The product's, in a process of its own: <c>orleansfs mount --background</c>.</summary>
    Command,

    /// <summary>No mount of ours at all.</summary>
    Plain,
}

/// <summary>A theory's data: the name of each kind of mount. In front of the data rows of other attributes there is none of it: use one or the other.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class OnEveryMountAttribute : DataAttribute
{
    public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(MethodInfo testMethod, DisposalTracker disposalTracker) =>
        new([.. MountKind.All.Select(kind => new TheoryDataRow<string>(kind.Name))]);

    public override bool SupportsDiscoveryEnumeration() => true;
}

/// <summary>As <see cref="OnEveryMountAttribute"/>, with the kinds on which real programs run.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class OnProgramMountsAttribute : DataAttribute
{
    public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(MethodInfo testMethod, DisposalTracker disposalTracker) =>
        new([.. MountKind.ForPrograms.Select(kind => new TheoryDataRow<string>(kind.Name))]);

    public override bool SupportsDiscoveryEnumeration() => true;
}
