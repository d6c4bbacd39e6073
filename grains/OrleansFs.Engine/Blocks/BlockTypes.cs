using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>How the payload of a block file holds the content. Values are on disk and are never reused.</summary>
internal enum BlockCodec : byte
{
    /// <summary>The payload is the content.</summary>
    Raw = 0,

    /// <summary>The payload is one LZ4 block (lz4_Block_format.md of the LZ4 project), without frame.</summary>
    Lz4 = 1,
}

/// <summary>What became of a block that was written.</summary>
/// <param name="RawLength">Bytes of the content.</param>
/// <param name="StoredBytes">Bytes the file takes on disk: header and payload, rounded up to <see cref="BlockFormat.AllocationUnit"/>.</param>
/// <param name="Codec">How it is stored.</param>
/// <param name="WriteSequence">Position of this write among all writes of this <see cref="BlockFiles"/>: on disk once <see cref="BlockFiles.SyncedSequence"/> reaches it. From 1.</param>
internal readonly record struct StoredBlock(int RawLength, int StoredBytes, BlockCodec Codec, long WriteSequence);

/// <summary>The outcomes of reading a block.</summary>
internal enum BlockReadStatus
{
    Ok,

    /// <summary>There is no file of that name.</summary>
    Missing,

    /// <summary>There is a file, and it does not hold that block.</summary>
    Corrupt,

    /// <summary>The disk or the system did not let the file be read: an errno. The block may be good.</summary>
    Unreadable,
}

/// <summary>What reading a block gave.</summary>
/// <param name="Status">The outcome.</param>
/// <param name="Length">Bytes given when <see cref="BlockReadStatus.Ok"/>: of the whole block from <see cref="BlockFiles"/>, of the range asked from <see cref="BlockStore"/>. Otherwise 0.</param>
/// <param name="Reason">What is wrong, in words for a log; null when Ok.</param>
/// <param name="Error">The errno where it is <see cref="BlockReadStatus.Unreadable"/>.</param>
internal readonly record struct BlockReadResult(BlockReadStatus Status, int Length, string? Reason, Errno Error)
{
    public static BlockReadResult Missing { get; } = new(BlockReadStatus.Missing, 0, "there is no block file", Errno.None);

    public bool IsOk => Status == BlockReadStatus.Ok;

    public static BlockReadResult Ok(int length) => new(BlockReadStatus.Ok, length, null, Errno.None);

    public static BlockReadResult Corrupt(string reason) => new(BlockReadStatus.Corrupt, 0, reason, Errno.None);

    public static BlockReadResult Unreadable(Errno error) => new(BlockReadStatus.Unreadable, 0, $"the block file cannot be read: {error}", error);
}

/// <summary>What an entry in the block folders is.</summary>
internal enum BlockEntryKind
{
    /// <summary>A file whose name is a hash, in the folder where that hash belongs.</summary>
    Block,

    /// <summary>An unfinished file below <c>blocks/tmp</c>.</summary>
    Temporary,

    /// <summary>Anything else: a name that is no hash, a hash in the wrong folder, a folder or link where a file belongs.</summary>
    Stray,
}

/// <summary>An entry met while enumerating the block folders.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Hash">Of a <see cref="BlockEntryKind.Block"/>; otherwise null.</param>
/// <param name="Path">Path from the data folder, such as <c>blocks/ab/abcd…</c>.</param>
/// <param name="FileBytes">Length of the file: header and payload.</param>
/// <param name="ModifyTime">When it was written.</param>
internal readonly record struct BlockEntry(BlockEntryKind Kind, BlockHash? Hash, string Path, long FileBytes, Timestamp ModifyTime);

/// <summary>A block could not be stored, deleted or enumerated: the disk is full, over quota, or failing.</summary>
internal class BlockStoreException(Errno error, string message) : IOException($"{message}: {error}")
{
    /// <summary>ENOSPC, EDQUOT, EIO, EROFS, EMFILE …</summary>
    public Errno Error { get; } = error;
}

/// <summary>Blocks that were written could not be brought to disk. They must not be trusted until they have been written again.</summary>
internal sealed class BlockSyncException(Errno error, string message, IReadOnlyList<BlockHash> affected) : BlockStoreException(error, message)
{
    /// <summary>The blocks that are suspect now: <see cref="BlockFiles.IsSuspect"/> is true of each until a later write of it has been synced.</summary>
    public IReadOnlyList<BlockHash> Affected { get; } = affected;
}
