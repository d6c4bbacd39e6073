using OrleansFs.Engine.Delta;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <summary>How a copy of a volume is opened.</summary>
public sealed record VolumeOptions
{
    /// <summary>The data folder: meta.db, blocks and what belongs to them.</summary>
    public required string DataFolder { get; init; }

    /// <summary>S for a volume that is made now, bytes: a power of two from 4 KiB to 4 MiB. 128 KiB by default. Ignored for one that exists.</summary>
    public int BlockSize { get; init; } = 128 << 10;

    /// <summary>Budget for in-flight content, bytes, 16 MiB or more. 256 MiB by default. Past it writers wait.</summary>
    public long Memory { get; init; } = 256L << 20;

    /// <summary>Block contents kept in memory for readers, bytes. 64 MiB by default.</summary>
    public long ReadCache { get; init; } = 64L << 20;

    /// <summary>Every mutation answers EROFS.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Name of a volume that is made now.</summary>
    public string VolumeName { get; init; } = "volume";

    /// <summary>The name of this copy, and of the silo that serves it: a folder that holds a copy of another name gets this one. Null: the name that it has; "master" for a volume that is made now.</summary>
    public CopyName? Copy { get; init; }

    /// <summary>How long a block that nothing refers to is kept. 10 minutes by default.</summary>
    public TimeSpan CollectGrace { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>What the copy is to be. A folder that holds something else is refused: only a promotion changes it.</summary>
    public VolumeRole Role { get; init; } = VolumeRole.Master;

    /// <summary>Bound on what block files may take here, bytes, as the disk counts them; null where the disk is the bound. What does not fit is evicted where enough replicas have it. 8 MiB or more.</summary>
    public long? CacheSize { get; init; }

    /// <summary>Replicas that must have a block before it is evicted here. 1 by default.</summary>
    public int Copies { get; init; } = 1;

    /// <summary>Replicas that fsync waits for. None by default.</summary>
    public int SyncCopies { get; init; }

    /// <summary>How long fsync waits for them, before ETIMEDOUT. 30 seconds by default.</summary>
    public TimeSpan SyncTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>When replicas are sent instructions to build blocks out of what they have, instead of the blocks. Where it can pay by default.</summary>
    public DeltaMode Delta { get; init; } = DeltaMode.Auto;

    /// <summary>New blocks of a master are kept as pieces of others where that saves at least half. Not by default.</summary>
    public bool Compose { get; init; }

    /// <summary>How long a reader waits for a block that no replica can give, before EIO. 30 seconds by default.</summary>
    public TimeSpan FetchTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a writer waits in a cache full of blocks that are not backed up, before ENOSPC. 30 seconds by default.</summary>
    public TimeSpan CacheFullTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How often all block files are read and their SHA-256 computed anew; null for never. 14 days by default.</summary>
    public TimeSpan? VerifyEvery { get; init; } = TimeSpan.FromDays(14);

    /// <summary>The volume of which a replica is made where the folder holds none.</summary>
    internal VolumeId? ReplicaOf { get; init; }

    /// <summary>False: fail where the folder holds no volume, instead of making one.</summary>
    public bool Create { get; init; } = true;
}

/// <summary>A volume cannot be opened: one line that says why and what to do.</summary>
public class VolumeException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A replica was asked for, and the copy has been promoted: the folder is the master's, and no other is known to have taken over.</summary>
public sealed class PromotedException(Epoch epoch, string message) : VolumeException(message)
{
    /// <summary>That of the promotion.</summary>
    public Epoch Epoch { get; } = epoch;
}

/// <summary>Another process has the folder open; <see cref="VolumeCopy.OwnerOf"/> tells which, and whether it is about to let it go.</summary>
public sealed class VolumeInUseException(string message, Exception inner) : VolumeException(message, inner);
