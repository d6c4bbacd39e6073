using System.Text.Json.Serialization;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Cli.Control;

/// <summary>What can be asked of the process that serves a volume.</summary>
internal enum ControlVerb
{
    Status,
    Unmount,
    Collect,
    Replicas,
    Drain,
    Verify,
}

/// <summary>A request: one line of JSON. The version is that of the protocol; a server answers a newer one with an error.</summary>
internal sealed record ControlRequest(int Version, ControlVerb Verb, bool DryRun = false, int Copies = 1, Lsn? Target = null, string? Copy = null, VerificationAction Verification = VerificationAction.Look)
{
    public const int CurrentVersion = 1;
}

/// <summary>An answer: a line of JSON, of which a request may get several. Exactly one property is set; the last line is not a <see cref="Progress"/> and not <see cref="Unmounted"/>.</summary>
internal sealed record ControlReply
{
    /// <summary>Why it was not done.</summary>
    public string? Error { get; init; }

    public StatusReport? Status { get; init; }

    /// <summary>How far long work is.</summary>
    public WorkProgress? Progress { get; init; }

    /// <summary>The collection is done.</summary>
    public CollectResult? Collected { get; init; }

    public MasterReport? Replicas { get; init; }

    /// <summary>How far a drain has come.</summary>
    public DrainStep? Drain { get; init; }

    /// <summary>How the verification of each copy stands.</summary>
    public IReadOnlyList<VerificationOfCopy>? Verifications { get; init; }

    /// <summary>The mount is gone; what was written is being committed.</summary>
    public bool? Unmounted { get; init; }

    /// <summary>Everything is committed and the folder is free.</summary>
    public bool? Committed { get; init; }
}

/// <summary>How the verification of a copy stands.</summary>
internal sealed record VerificationOfCopy(string Copy, VerificationReport Report);

/// <summary>How far long work is.</summary>
/// <param name="Step">What is being done, in a word or two.</param>
/// <param name="Done">Units done.</param>
/// <param name="Total">Units in all; null where that is not known.</param>
internal sealed record WorkProgress(string Step, long Done, long? Total);

/// <summary>What a collection freed, or would free.</summary>
/// <param name="Blocks">Blocks that nothing referred to.</param>
/// <param name="Strays">Files in the block folders that nothing knew.</param>
/// <param name="Bytes">What both took on disk.</param>
internal sealed record CollectResult(long Blocks, long Strays, long Bytes);

/// <summary>What status shows.</summary>
/// <param name="Volume">The volume.</param>
/// <param name="Mount">Who serves it; null for a folder at rest.</param>
internal sealed record StatusReport(VolumeStatus Volume, MountStatus? Mount);

/// <summary>The process that serves a volume and its mount.</summary>
internal sealed record MountStatus
{
    public required string MountPoint { get; init; }

    /// <summary>The folder of the copy; null where a silo elsewhere serves it.</summary>
    public string? DataFolder { get; init; }

    public required int ProcessId { get; init; }

    /// <summary>Version of the program.</summary>
    public required string Version { get; init; }

    /// <summary>"io_uring" or "device".</summary>
    public required string Transport { get; init; }

    public required bool ReadOnly { get; init; }

    public required DateTimeOffset Started { get; init; }

    /// <summary>FUSE requests served.</summary>
    public required long Requests { get; init; }

    /// <summary>Inodes that the kernel knows.</summary>
    public required long KnownInodes { get; init; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(StatusReport))]
[JsonSerializable(typeof(WorkProgress))]
[JsonSerializable(typeof(CollectResult))]
[JsonSerializable(typeof(MasterReport))]
[JsonSerializable(typeof(DrainStep))]
[JsonSerializable(typeof(IReadOnlyList<VerificationOfCopy>))]
[JsonSerializable(typeof(Lsn))]
internal sealed partial class ControlJson : JsonSerializerContext;

/// <summary>What <c>status --json</c> prints: every field always there, null where it does not apply.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, Converters = [typeof(Commands.ReplicaStateConverter)])]
[JsonSerializable(typeof(VolumeStatus))]
[JsonSerializable(typeof(MountStatus))]
internal sealed partial class StatusJson : JsonSerializerContext;
