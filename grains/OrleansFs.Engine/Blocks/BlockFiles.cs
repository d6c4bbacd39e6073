using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>The block files of one copy: <c>blocks/ab/cd/&lt;64 hex&gt;</c> under the data folder. Thread-safe.</summary>
internal sealed class BlockFiles : IDisposable
{
    private BlockFiles() => throw new NotImplementedException();

    /// <summary>Sequence of the newest write. Waiting for it covers everything written so far, also what others wrote.</summary>
    public long LastSequence => throw new NotImplementedException();

    /// <summary>Every write up to and including this one is on disk, names included.</summary>
    public long SyncedSequence => throw new NotImplementedException();

    /// <summary>Opens the block folders under <paramref name="dataFolder"/>, making them where they are missing, and deletes temporaries of an earlier run.</summary>
    public static BlockFiles Open(string dataFolder, TimeProvider time, ILogger logger) => throw new NotImplementedException();

    /// <summary>Stores a block, replacing a file of that name: a complete file takes the name at once or not at all. Not on disk until synced. Synchronous.</summary>
    /// <exception cref="BlockStoreException">ENOSPC, EDQUOT, EIO …: the name is as it was before, nothing is left behind.</exception>
    public StoredBlock Write(BlockHash hash, ReadOnlySpan<byte> content) => throw new NotImplementedException();

    /// <summary>Completes when every write up to <paramref name="sequence"/> is on disk. All who wait share the syncs.</summary>
    /// <exception cref="BlockSyncException">Some of them are not, and never will be by waiting.</exception>
    public ValueTask SyncAsync(long sequence, CancellationToken cancellation) => throw new NotImplementedException();

    /// <summary>A sync failed after this block was written, and it has not been written and synced since. Store it anew instead of deduplicating against it.</summary>
    public bool IsSuspect(BlockHash hash) => throw new NotImplementedException();

    /// <summary>Reads a whole block. <paramref name="destination"/> has room for the length the block is known to have, at least; a longer block is Corrupt.</summary>
    public BlockReadResult Read(BlockHash hash, Span<byte> destination) => throw new NotImplementedException();

    /// <summary>Reads the block and computes its SHA-256 again. Length is that of the content.</summary>
    public BlockReadResult Verify(BlockHash hash) => throw new NotImplementedException();

    /// <summary>A file of that name exists; whether it is whole is not looked at.</summary>
    public bool Exists(BlockHash hash) => throw new NotImplementedException();

    /// <summary>Bytes the file takes, as the disk counts them (st_blocks); null where there is none.</summary>
    public long? DiskBytes(BlockHash hash) => throw new NotImplementedException();

    /// <summary>Removes the file. False where there was none.</summary>
    public bool Delete(BlockHash hash) => throw new NotImplementedException();

    /// <summary>Everything in the block folders, in no order, as it is met: files that come or go meanwhile may be missed.</summary>
    public IEnumerable<BlockEntry> Enumerate() => throw new NotImplementedException();

    /// <summary>Deletes unfinished files older than <paramref name="age"/>; gives their number.</summary>
    public int DeleteTemporaries(TimeSpan age) => throw new NotImplementedException();

    /// <summary>Closes all descriptors. Does not sync.</summary>
    public void Dispose() => throw new NotImplementedException();
}
