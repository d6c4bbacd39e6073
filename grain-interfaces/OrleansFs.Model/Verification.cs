using Orleans;

namespace OrleansFs.Model;

/// <summary>How the verification of a copy's block files stands: each is read from disk and its SHA-256 computed anew, in passes.</summary>
[GenerateSerializer, Immutable, Alias("ofs.VerificationReport")]
public readonly record struct VerificationReport
{
    /// <summary>When the last whole pass ended; null where there was none.</summary>
    [Id(0)] public DateTimeOffset? Last { get; init; }

    /// <summary>Damaged or missing blocks that it found.</summary>
    [Id(1)] public long LastDamaged { get; init; }

    /// <summary>When the pass under way began; null where there is none.</summary>
    [Id(2)] public DateTimeOffset? Began { get; init; }

    /// <summary>Blocks verified in it.</summary>
    [Id(3)] public long Blocks { get; init; }

    /// <summary>Blocks there are, more or less: some come and go meanwhile.</summary>
    [Id(4)] public long TotalBlocks { get; init; }

    /// <summary>Damaged or missing blocks that it has found so far.</summary>
    [Id(5)] public long Damaged { get; init; }

    /// <summary>Blocks that are damaged or missing here now: not had from another copy yet.</summary>
    [Id(6)] public long Unrepaired { get; init; }

    /// <summary>Blocks that the last whole pass verified: on a master those that were there.</summary>
    [Id(7)] public long LastBlocks { get; init; }

    /// <summary>A pass is under way.</summary>
    public bool IsRunning => Began is not null;
}

/// <summary>What is to be done about the verification of a copy.</summary>
[GenerateSerializer, Alias("ofs.VerificationAction")]
public enum VerificationAction
{
    /// <summary>Nothing: tell how it stands.</summary>
    Look = 0,

    /// <summary>Begin a pass now, or go on with the one under way, as fast as the disk is idle.</summary>
    Start = 1,

    /// <summary>End the pass under way.</summary>
    Stop = 2,
}
