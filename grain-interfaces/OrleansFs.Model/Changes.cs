using Orleans;

namespace OrleansFs.Model;

/// <summary>What has happened to a name or to what is behind it.</summary>
[GenerateSerializer, Alias("ofs.ChangeKind")]
public enum ChangeKind
{
    /// <summary>A name came for something new.</summary>
    Created = 1,

    /// <summary>A name came for something that was there, or leads to something else than before: a link, or one half of an exchange.</summary>
    Linked = 2,

    /// <summary>A name became another, which may have replaced one. Where one of the two is outside what is watched, the other is told all the same.</summary>
    Renamed = 3,

    Deleted = 4,

    /// <summary>A file has other content.</summary>
    Content = 5,

    /// <summary>Mode, owner, times (of a read too), links, flags or extended attributes are others.</summary>
    Attributes = 6,
}

/// <summary>One change out of the journal.</summary>
[GenerateSerializer, Immutable, Alias("ofs.VolumeChange")]
public readonly record struct VolumeChange
{
    /// <summary>Of the transaction that has it.</summary>
    [Id(0)] public required Lsn Lsn { get; init; }

    [Id(1)] public required ChangeKind Kind { get; init; }

    /// <summary>What the name leads to; null for one that was deleted.</summary>
    [Id(2)] public InodeNumber? Inode { get; init; }

    /// <summary>Where the name is. Of a file with several names that are watched, each is told.</summary>
    [Id(3)] public required InodeNumber Directory { get; init; }

    /// <summary>The name's bytes.</summary>
    [Id(4)] public required byte[] Name { get; init; }

    /// <summary>From the root of the volume, by the names that the directories have now; null where one of them is gone. What is no UTF-8 is replaced.</summary>
    [Id(5)] public string? Path { get; init; }

    /// <summary>The path before, of what was renamed; null for others, and where a directory of it is gone.</summary>
    [Id(6)] public string? OldPath { get; init; }

    /// <summary>Where to go on after this change. Of a transaction's changes only the last leads behind it: who stops in between is told the others again.</summary>
    [Id(7)] public required Lsn Resume { get; init; }
}

/// <summary>Changes in their order.</summary>
[GenerateSerializer, Immutable, Alias("ofs.ChangePage")]
public readonly record struct ChangePage
{
    [Id(0)] public required VolumeChange[] Changes { get; init; }

    /// <summary>Where to go on.</summary>
    [Id(1)] public required Lsn Next { get; init; }
}

/// <summary>What has changed in a volume, out of its journal.</summary>
public interface IChangeAccess
{
    /// <summary>
    /// Changes in a directory and all below it, committed after a position: whole transactions, so many changes or a few more; none where there are none yet. Null begins now. <c>ESTALE</c> where the journal does not
    /// go back so far, or the position is not one of this volume's: look at everything anew, and begin now.
    /// </summary>
    ValueTask<FsResult<ChangePage>> ReadChangesAsync(InodeNumber directory, Lsn? after, int max, CancellationToken cancellation);

    /// <summary>Completes when something was committed after a position, or the cancellation comes: <c>EINTR</c>.</summary>
    ValueTask<FsResult> WaitForChangeAsync(Lsn after, CancellationToken cancellation);
}

/// <summary>Content that no file has yet: it stays until its lease ends, or becomes a file.</summary>
[GenerateSerializer, Immutable, Alias("ofs.ContentLease")]
public readonly record struct ContentLease
{
    /// <summary>The content hash.</summary>
    [Id(0)] public required BlockHash Hash { get; init; }

    /// <summary>Bytes.</summary>
    [Id(1)] public required long Size { get; init; }

    /// <summary>What holds it: an inode without a name.</summary>
    [Id(2)] public required InodeNumber Holder { get; init; }

    /// <summary>When it goes, unless it is renewed, by the clock of the copy.</summary>
    [Id(3)] public required Timestamp Ends { get; init; }
}

/// <summary>Leases of content that no file has yet. They are in the volume: a restart or a promotion keeps them.</summary>
public interface ILeaseAccess
{
    /// <summary>
    /// Begins a lease of a file without a name that this session has made and written: on disk when it is answered. Or renews one. <c>EINVAL</c> for an inode that has a name or cannot get one, and for a time of
    /// zero or less or over <see cref="LeaseLimits.Longest"/>; <c>ESTALE</c> where it is gone.
    /// </summary>
    ValueTask<FsResult<ContentLease>> LeaseAsync(InodeNumber holder, TimeSpan time, CancellationToken cancellation);

    /// <summary>Ends a lease before its time. One that has ended, or become a file, is left as it is.</summary>
    ValueTask<FsResult> EndLeaseAsync(InodeNumber holder, CancellationToken cancellation);

    /// <summary>Blocks of a file, in order, the hole for one of zeros; fewer than asked at its end. Asked from the first on, what is in flight becomes blocks before.</summary>
    ValueTask<FsResult<BlockHash[]>> ListBlocksAsync(InodeNumber inode, long first, int max, CancellationToken cancellation);
}

/// <summary>The bounds of leases.</summary>
public static class LeaseLimits
{
    /// <summary>The longest time of a lease, which can be renewed: what is forgotten goes after it.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromDays(30);

    /// <summary>Blocks in one answer: 32 KiB.</summary>
    public const int MaxBlocks = 1024;
}
