using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>One copy's <c>meta.db</c>.</summary>
internal sealed partial class MetadataStore : IDisposable
{
    /// <summary>Opens meta.db; where there is none and <paramref name="create"/> is given, makes the volume.</summary>
    /// <exception cref="NewerFormatException"/>
    /// <exception cref="NotAVolumeException"/>
    public static MetadataStore Open(string path, NewVolume? create, TimeProvider time, ILogger logger) => throw new NotImplementedException();

    /// <summary>The metadata lock (Monitor, re-entrant). Taken after a file's gate, before an inode's own lock. Held for SQLite statements only.</summary>
    public object Lock { get; } = new();

    public VolumeClock Clock => throw new NotImplementedException();

    public VolumeInfo Volume => throw new NotImplementedException();

    /// <summary>Why every mutation answers EIO, in one line; null while the store works.</summary>
    public string? Poison => throw new NotImplementedException();

    public Counters Counters => throw new NotImplementedException();

    /// <summary>Newest mutation, committed or not.</summary>
    public Lsn Tail => throw new NotImplementedException();

    /// <summary>Newest mutation that survives a kill of the process.</summary>
    public Lsn Committed => throw new NotImplementedException();

    /// <summary>Newest mutation that survives a loss of power.</summary>
    public Lsn Durable => throw new NotImplementedException();

    /// <summary>When the newest transaction was committed; null before the first.</summary>
    public DateTimeOffset? LastCommit => throw new NotImplementedException();

    /// <summary>Bytes of meta.db and its WAL.</summary>
    public long FileBytes => throw new NotImplementedException();

    public void Dispose() => throw new NotImplementedException();

    // ---- Inodes

    /// <summary>The inode, pinned; null where there is none. Give it back with <see cref="Release"/>.</summary>
    public Inode? Acquire(InodeNumber number) => throw new NotImplementedException();

    public void Release(Inode inode) => throw new NotImplementedException();

    /// <summary>The row is written with the next commit. Call after changing <see cref="Inode.Current"/>, without holding the inode's own lock.</summary>
    public void MarkDirty(Inode inode) => throw new NotImplementedException();

    // ---- Names

    public FsResult<Attributes> GetAttributes(InodeNumber inode) => throw new NotImplementedException();

    public FsResult<Attributes> Lookup(InodeNumber directory, ReadOnlySpan<byte> name) => throw new NotImplementedException();

    public FsResult<ReadOnlyMemory<byte>> ReadLink(InodeNumber inode) => throw new NotImplementedException();

    public FsResult<Attributes> Create(InodeNumber directory, ReadOnlySpan<byte> name, in NewInode wanted, in Caller caller) => throw new NotImplementedException();

    public FsResult<Attributes> CreateUnnamed(InodeNumber directory, in NewInode wanted, in Caller caller) => throw new NotImplementedException();

    public FsResult<Attributes> Link(InodeNumber inode, InodeNumber directory, ReadOnlySpan<byte> name) => throw new NotImplementedException();

    /// <returns>The inode that lost its last name and is an orphan now; null where it has others.</returns>
    public FsResult<InodeNumber?> Unlink(InodeNumber directory, ReadOnlySpan<byte> name) => throw new NotImplementedException();

    /// <returns>The directory, an orphan now.</returns>
    public FsResult<InodeNumber?> RemoveDirectory(InodeNumber directory, ReadOnlySpan<byte> name) => throw new NotImplementedException();

    /// <returns>The inode that was replaced and lost its last name by that; null where there is none.</returns>
    public FsResult<InodeNumber?> Rename(InodeNumber directory, ReadOnlySpan<byte> name, InodeNumber newDirectory, ReadOnlySpan<byte> newName, RenameFlags flags, in Caller caller) =>
        throw new NotImplementedException();

    /// <summary>Gives entries after a cookie. The sink is called under the metadata lock.</summary>
    public FsResult ReadDirectory(InodeNumber directory, long cookie, IDirectorySink sink, bool withAttributes) => throw new NotImplementedException();

    /// <summary>Everything of a setattr but the size. KillPrivileges alone, where there is nothing to kill, takes no lock.</summary>
    public FsResult<Attributes> ApplyAttributes(Inode inode, in AttributeChange change, in Caller caller) => throw new NotImplementedException();

    public FsResult<ReadOnlyMemory<byte>> GetXattr(InodeNumber inode, ReadOnlySpan<byte> name) => throw new NotImplementedException();

    public FsResult SetXattr(InodeNumber inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, XattrFlags flags) => throw new NotImplementedException();

    public FsResult<ReadOnlyMemory<byte>> ListXattr(InodeNumber inode) => throw new NotImplementedException();

    public FsResult RemoveXattr(InodeNumber inode, ReadOnlySpan<byte> name) => throw new NotImplementedException();

    // ---- Orphans

    /// <summary>Inodes without a name, as of the last commit before opening: call once, after opening.</summary>
    public IReadOnlyList<InodeNumber> Orphans() => throw new NotImplementedException();

    /// <summary>Deletes an orphan at once where that is short. EAGAIN where it is long: call <see cref="PurgeStep"/> until it answers true. EBUSY where the inode has a name.</summary>
    public FsResult PurgeOrphan(InodeNumber inode) => throw new NotImplementedException();

    /// <summary>Deletes part of an orphan, at most so many segments of its manifest. True when the orphan is gone (or was never there).</summary>
    public bool PurgeStep(InodeNumber inode, int maxSegments) => throw new NotImplementedException();

    /// <summary>Orphans that the store made itself, out of large truncations and punches: give each to <see cref="PurgeStep"/>.</summary>
    public IReadOnlyList<InodeNumber> TakeDetached() => throw new NotImplementedException();

    // ---- Content

    /// <summary>The block hashes from a block on; <see cref="BlockHash.Hole"/> where there is none.</summary>
    public void ReadManifest(InodeNumber inode, long firstBlock, Span<BlockHash> hashes) => throw new NotImplementedException();

    /// <summary>The first block at or after one that is no hole; null where all that follow are.</summary>
    public long? NextMapped(InodeNumber inode, long fromBlock) => throw new NotImplementedException();

    /// <summary>The first block at or after one that is a hole. There always is one.</summary>
    public long NextUnmapped(InodeNumber inode, long fromBlock) => throw new NotImplementedException();

    /// <summary>Changes manifest, reference counts, size and modify time together. <see cref="Inode.Committed"/> becomes what the commit says.</summary>
    public FsResult CommitContent(Inode inode, ContentCommit commit) => throw new NotImplementedException();

    /// <summary>The highest <see cref="ManifestBlock.WriteSequence"/> that the open transaction refers to. Read with <see cref="Lock"/> held.</summary>
    public long RequiredBlockSequence => throw new NotImplementedException();

    public FsResult AppendRedo(Inode inode, long offset, ReadOnlySpan<byte> data) => throw new NotImplementedException();

    public long RedoBytes(InodeNumber inode) => throw new NotImplementedException();

    public IReadOnlyList<RedoFile> LoadRedo() => throw new NotImplementedException();

    // ---- Blocks

    public bool TryGetBlock(BlockHash hash, out BlockRow row) => throw new NotImplementedException();

    /// <summary>Blocks that nothing refers to, not used since a time, in hash order after a hash.</summary>
    public IReadOnlyList<BlockHash> DeadBlocks(Timestamp before, int max, BlockHash after) => throw new NotImplementedException();

    /// <summary>Deletes the row of a block that nothing refers to; false where something does again, or there is none.</summary>
    public bool DeleteDeadBlock(BlockHash hash) => throw new NotImplementedException();

    /// <summary>Notes that blocks were used now. At most <see cref="MetadataLimits.TouchBatch"/> at a time.</summary>
    public FsResult Touch(ReadOnlySpan<BlockHash> hashes) => throw new NotImplementedException();

    /// <summary>All block rows in hash order, a page at a time.</summary>
    public IEnumerable<BlockRow> EnumerateBlocks() => throw new NotImplementedException();

    // ---- Transactions

    /// <summary>Mutations in the open transaction, dirty attributes counted one each.</summary>
    public long PendingMutations => throw new NotImplementedException();

    /// <summary>Bytes that the open transaction holds in memory.</summary>
    public long PendingBytes => throw new NotImplementedException();

    /// <summary>Called when the open transaction gets its first mutation, under the metadata lock: must only signal.</summary>
    public Action? Pending { get; set; }

    /// <summary>Ends the open transaction and begins the next. ENOSPC: nothing is lost, all of it is still in the open transaction.</summary>
    public FsResult Commit() => throw new NotImplementedException();

    /// <summary>Completes when all that was committed before the call survives a loss of power. Waiters share the syncs. Fails with <see cref="MetadataException"/> when the disk does.</summary>
    public Task DurableAsync(CancellationToken cancellation) => throw new NotImplementedException();

    /// <summary>Moves the WAL into the database where it is long enough to be worth it. Off the request path, except a short end of it.</summary>
    public Task CheckpointAsync() => throw new NotImplementedException();

    // ---- Check

    public IEnumerable<MetadataFault> Check(IProgress<CheckProgress>? progress, CancellationToken cancellation) => throw new NotImplementedException();

    /// <summary>Repairs what <see cref="Check"/> finds, in bounded transactions; gives what it did.</summary>
    public IEnumerable<MetadataFault> Repair(IProgress<CheckProgress>? progress, CancellationToken cancellation) => throw new NotImplementedException();
}
