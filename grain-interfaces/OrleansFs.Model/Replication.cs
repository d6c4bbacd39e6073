using Orleans;

namespace OrleansFs.Model;

/// <summary>The beginning of an epoch.</summary>
/// <param name="Epoch">The epoch.</param>
/// <param name="Start">Mutations that there were before it.</param>
[GenerateSerializer, Immutable, Alias("ofs.EpochBeginning")]
public readonly record struct EpochBeginning([property: Id(0)] Epoch Epoch, [property: Id(1)] Lsn Start)
{
    /// <summary>Where the first epoch after one's own began.</summary>
    /// <param name="epochs">Epochs, oldest first.</param>
    /// <param name="own">One's own.</param>
    /// <returns>Null where there is none.</returns>
    public static Lsn? After(ReadOnlySpan<EpochBeginning> epochs, Epoch own)
    {
        foreach (var epoch in epochs)
        {
            if (epoch.Epoch.Value > own.Value)
                return epoch.Start;
        }
        return null;
    }
}

/// <summary>How a master introduces itself to a replica.</summary>
[GenerateSerializer, Immutable, Alias("ofs.MasterHello")]
public readonly record struct MasterHello
{
    [Id(0)] public required VolumeId Volume { get; init; }

    [Id(1)] public required string VolumeName { get; init; }

    /// <summary>S, bytes.</summary>
    [Id(2)] public required int BlockSize { get; init; }

    /// <summary>The copy that is the master.</summary>
    [Id(3)] public required CopyName Master { get; init; }

    [Id(4)] public required Epoch Epoch { get; init; }

    /// <summary>All epochs up to that one, oldest first: a former master finds in them where the first began that it has not got.</summary>
    [Id(5)] public required EpochBeginning[] Epochs { get; init; }

    /// <summary>What the replica is sent as instructions it is to keep as pieces of other blocks, where that saves at least half.</summary>
    [Id(6)] public bool Composes { get; init; }

    /// <summary>What the master's silo understands; 0 where it is older than this. The replica refuses one that is not its own.</summary>
    [Id(7)] public ulong Contract { get; init; }
}

/// <summary>What a replica says to whatever it is asked.</summary>
[GenerateSerializer, Alias("ofs.ReplicaOutcome")]
public enum ReplicaOutcome
{
    /// <summary>Done.</summary>
    Ok = 0,

    /// <summary>It knows of a newer epoch than the caller's: <see cref="ReplicaReply.Epoch"/>. The caller is no master any more.</summary>
    Fenced = 1,

    /// <summary>The rows do not follow its position: say hello again.</summary>
    Gap = 2,

    /// <summary>Blocks are not there that the rows name: <see cref="ReplicaReply.Hashes"/>.</summary>
    Lacking = 3,

    /// <summary>Its disk is full or fails: <see cref="ReplicaReply.Trouble"/>.</summary>
    Unable = 4,

    /// <summary>It is no replica of that volume, or what it was told makes no sense: <see cref="ReplicaReply.Trouble"/>.</summary>
    Refused = 5,
}

/// <summary>The answer of a replica.</summary>
[GenerateSerializer, Immutable, Alias("ofs.ReplicaReply")]
public readonly record struct ReplicaReply
{
    [Id(0)] public required ReplicaOutcome Outcome { get; init; }

    /// <summary>The epoch of its newest mutation; of the newest master that it knows where the outcome is <see cref="ReplicaOutcome.Fenced"/>. 0 where it has never held anything.</summary>
    [Id(1)] public Epoch Epoch { get; init; }

    /// <summary>Where the first epoch began that came after the caller's: what the caller has past it was never replicated.</summary>
    [Id(2)] public Lsn EpochStart { get; init; }

    /// <summary>Everything up to here is on its disk.</summary>
    [Id(3)] public Lsn Position { get; init; }

    /// <summary>Hashes that it lacks, of those it was asked about.</summary>
    [Id(4)] public required BlockHash[] Hashes { get; init; }

    /// <summary>Blocks that it should have and has not, or not whole, at most 256: to be sent again. Until then it does not have them.</summary>
    [Id(5)] public required BlockHash[] Damaged { get; init; }

    /// <summary>Changes with each start of the replica: what it was known to have before, without having acknowledged it, has to be offered again.</summary>
    [Id(6)] public Guid Run { get; init; }

    /// <summary>Blocks it holds.</summary>
    [Id(7)] public long Blocks { get; init; }

    /// <summary>What they take on its disk, bytes.</summary>
    [Id(8)] public long StoredBytes { get; init; }

    /// <summary>When it last verified all of its blocks; null where it never has.</summary>
    [Id(9)] public DateTimeOffset? LastVerification { get; init; }

    /// <summary>How far a full copy has come, bytes of the database; or the last hash looked at has been passed where <see cref="IsLast"/> is false.</summary>
    [Id(10)] public long Bytes { get; init; }

    /// <summary>There is nothing to ask for after this.</summary>
    [Id(11)] public bool IsLast { get; init; }

    /// <summary>Where to go on asking.</summary>
    [Id(12)] public BlockHash Next { get; init; }

    /// <summary>What is wrong, in one line; null when all is well.</summary>
    [Id(13)] public string? Trouble { get; init; }

    /// <summary>Bytes that its disk can still take.</summary>
    [Id(14)] public long FreeBytes { get; init; }

    /// <summary>The newest form of instructions that it can build blocks by; 0 where it cannot.</summary>
    [Id(15)] public int BuildVersion { get; init; }

    /// <summary>How the verification of its block files stands.</summary>
    [Id(16)] public VerificationReport? Verification { get; init; }

    /// <summary>Of the blocks that it was told to build those that it could not, by their place in the message; null where there are none.</summary>
    [Id(17)] public int[]? Unbuilt { get; init; }

    /// <summary>Of an answer to a <see cref="MasterHello"/>: what the replica's silo understands; 0 where it is older than this. The master leaves one alone that is not its own.</summary>
    [Id(18)] public ulong Contract { get; init; }

    /// <summary>Of an answer to a <see cref="MasterHello"/>: the branch of the history that its newest mutation is in; null where that was made when there were none.</summary>
    [Id(19)] public Guid? Branch { get; init; }
}

/// <summary>A block on its way: the payload as it is stored, so that what is compressed on disk is so on the wire.</summary>
[GenerateSerializer, Immutable, Alias("ofs.ShippedBlock")]
public readonly record struct ShippedBlock
{
    [Id(0)] public required BlockHash Hash { get; init; }

    /// <summary>Bytes of content, 1 to S.</summary>
    [Id(1)] public required int Length { get; init; }

    /// <summary>The payload is one LZ4 block; otherwise it is the content.</summary>
    [Id(2)] public required bool IsCompressed { get; init; }

    [Id(3)] public required ReadOnlyMemory<byte> Payload { get; init; }
}

/// <summary>A transaction of the journal on its way.</summary>
[GenerateSerializer, Immutable, Alias("ofs.JournalEntry")]
public readonly record struct JournalEntry
{
    /// <summary>Of its last mutation.</summary>
    [Id(0)] public required Lsn Lsn { get; init; }

    /// <summary>Mutations in it.</summary>
    [Id(1)] public required int Count { get; init; }

    [Id(2)] public required Timestamp Time { get; init; }

    /// <summary>Version byte and records, as the engine defines them.</summary>
    [Id(3)] public required ReadOnlyMemory<byte> Effects { get; init; }
}

/// <summary>Transactions to be applied, in order.</summary>
[GenerateSerializer, Immutable, Alias("ofs.JournalShipment")]
public readonly record struct JournalShipment
{
    [Id(0)] public required Epoch Epoch { get; init; }

    [Id(1)] public required JournalEntry[] Entries { get; init; }

    /// <summary>Blocks that the entries name and that nobody has any more: collected since, or lost.</summary>
    [Id(2)] public required BlockHash[] Gone { get; init; }

    /// <summary>The journal after this position is needed by some replica.</summary>
    [Id(3)] public required Lsn Needed { get; init; }
}

/// <summary>Transactions that a copy was asked for.</summary>
[GenerateSerializer, Immutable, Alias("ofs.JournalReply")]
public readonly record struct JournalReply
{
    /// <summary><see cref="ReplicaOutcome.Gap"/> where the asker's position is none of this copy's, or lies before its journal.</summary>
    [Id(0)] public required ReplicaOutcome Outcome { get; init; }

    /// <summary>In order, from the position that was named; none where there is nothing after it.</summary>
    [Id(1)] public required JournalEntry[] Entries { get; init; }

    /// <summary>What is wrong, in one line; null when all is well.</summary>
    [Id(2)] public string? Trouble { get; init; }
}

/// <summary>A full copy of the metadata that is on its way.</summary>
[GenerateSerializer, Immutable, Alias("ofs.CopyOffer")]
public readonly record struct CopyOffer
{
    /// <summary>Names this copy.</summary>
    [Id(0)] public required Guid Copy { get; init; }

    [Id(1)] public required Epoch Epoch { get; init; }

    /// <summary>Bytes of the database.</summary>
    [Id(2)] public required long Bytes { get; init; }

    /// <summary>SHA-256 of the database.</summary>
    [Id(3)] public required BlockHash Sha256 { get; init; }

    /// <summary>Newest mutation in it.</summary>
    [Id(4)] public required Lsn Lsn { get; init; }

    /// <summary>What the replica has and the master has not is given up.</summary>
    [Id(5)] public bool Discard { get; init; }
}

/// <summary>Blocks that were asked for.</summary>
[GenerateSerializer, Immutable, Alias("ofs.FetchReply")]
public readonly record struct FetchReply
{
    /// <summary>Those that are there and whole.</summary>
    [Id(0)] public required ShippedBlock[] Blocks { get; init; }
}

/// <summary>How a replica stands, as its master sees it.</summary>
[GenerateSerializer, Alias("ofs.ReplicaState")]
public enum ReplicaState
{
    /// <summary>It does not answer.</summary>
    Away = 0,

    /// <summary>It has answered, and it is being found out what it lacks.</summary>
    Joining = 1,

    /// <summary>It is being given a full copy.</summary>
    Copying = 2,

    /// <summary>It is behind, and the journal goes to it.</summary>
    CatchingUp = 3,

    /// <summary>It has everything but the newest moments.</summary>
    Following = 4,

    /// <summary>It has what this master has not: it is left alone.</summary>
    Ahead = 5,

    /// <summary>It knows a newer master than this one.</summary>
    Fenced = 6,

    /// <summary>It is there, and no master is.</summary>
    Waiting = 7,

    /// <summary>It answers and can be read, and takes nothing: its disk is full, or fails.</summary>
    Unable = 8,
}

/// <summary>A replica, as <c>orleansfs replicas</c> shows it.</summary>
[GenerateSerializer, Immutable, Alias("ofs.ReplicaReport")]
public readonly record struct ReplicaReport
{
    [Id(0)] public required string Name { get; init; }

    [Id(1)] public required ReplicaState State { get; init; }

    /// <summary>Everything up to here is on its disk.</summary>
    [Id(2)] public required long Lsn { get; init; }

    /// <summary>Mutations that it lacks.</summary>
    [Id(3)] public required long LagMutations { get; init; }

    /// <summary>Bytes of blocks that it may lack, as they are stored; null where that was not looked at.</summary>
    [Id(4)] public long? LagBytes { get; init; }

    /// <summary>For how long the oldest mutation that it lacks has been committed here; 0 where it lacks none, null where that is not known any more.</summary>
    [Id(5)] public double? LagSeconds { get; init; }

    [Id(6)] public long Blocks { get; init; }

    [Id(7)] public long StoredBytes { get; init; }

    [Id(8)] public DateTimeOffset? LastContact { get; init; }

    [Id(9)] public DateTimeOffset? LastVerification { get; init; }

    /// <summary>Blocks that it has reported as damaged and that have not been repaired yet.</summary>
    [Id(10)] public long DamagedBlocks { get; init; }

    /// <summary>Bytes of blocks sent to it since it was attached.</summary>
    [Id(11)] public long SentBytes { get; init; }

    /// <summary>What is wrong, in one line; null when all is well.</summary>
    [Id(12)] public string? Trouble { get; init; }

    /// <summary>It lacks more than <see cref="LagBytes"/>: not all of the journal that it lacks was looked at.</summary>
    [Id(13)] public bool LagBytesIsLeast { get; init; }

    /// <summary>Blocks that were sent to it as instructions to build them out of others, since it was attached.</summary>
    [Id(14)] public long BuiltBlocks { get; init; }

    /// <summary>Bytes of those instructions; they are in <see cref="SentBytes"/>.</summary>
    [Id(15)] public long BuildBytes { get; init; }

    /// <summary>By how much less that was than the blocks whole, bytes.</summary>
    [Id(16)] public long BuildSavedBytes { get; init; }

    /// <summary>Blocks that it could not build and was sent whole.</summary>
    [Id(17)] public long BuildFailures { get; init; }

    /// <summary>Time of a processor that the search for what blocks have in common took on the master, seconds.</summary>
    [Id(18)] public double BuildSeconds { get; init; }

    /// <summary>How the verification of its block files stands, as it last said; null where it did not.</summary>
    [Id(19)] public VerificationReport? Verification { get; init; }

    /// <summary>It has rows of blocks that it has not got, or not whole: it is not counted among those that have everything. Of one that has not answered since its master was started, as the master knew it then.</summary>
    [Id(20)] public bool LacksBlocks { get; init; }
}

/// <summary>A master and its replicas, as <c>orleansfs replicas</c> shows them.</summary>
[GenerateSerializer, Immutable, Alias("ofs.MasterReport")]
public readonly record struct MasterReport
{
    /// <summary>Name of the volume.</summary>
    [Id(0)] public required string Volume { get; init; }

    [Id(1)] public required string Uuid { get; init; }

    /// <summary>The copy that is the master; null where none is there.</summary>
    [Id(2)] public required string? Master { get; init; }

    [Id(3)] public required long Epoch { get; init; }

    /// <summary>Newest position of its journal.</summary>
    [Id(4)] public required long Lsn { get; init; }

    [Id(5)] public required ReplicaReport[] Replicas { get; init; }
}
