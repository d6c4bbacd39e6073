using System.Buffers;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>The block files of one copy: <c>blocks/ab/cd/&lt;64 hex&gt;</c> under the data folder. Thread-safe.</summary>
/// <remarks>
/// Invariants:
/// 1. A name that is a hash never holds a torn block while this machine keeps its power: a file gets its name by rename(2) when it is complete. After a loss of power it may hold one that was not synced;
///    nothing durable refers to that, and its checksum finds it.
/// 2. A file is never changed once it has its name; it is replaced or removed.
/// 3. Every descriptor opened here is closed on every path; besides the one of the folder and those of calls under way, <see cref="BlockLimits.SyncOneByOne"/> and <see cref="BlockLimits.OpenBlocks"/> are open.
/// 4. Who writes and deletes the same hash at the same time must keep them apart himself (<see cref="BlockLocks"/>); readers need nothing: they see a whole file or none.
/// </remarks>
internal sealed partial class BlockFiles : IDisposable
{
    private readonly string _dataFolder;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly int _root;
    private readonly BlockDisk _disk;
    private readonly BlockSync _sync;
    private ulong _unfinished;
    private int _disposed;

    /// <summary>Not allowed to keep access times alone: files of another owner. Found out by the first refusal.</summary>
    private volatile bool _noNoAtime;

    private BlockFiles(string dataFolder, int root, BlockDisk disk, TimeProvider time, ILogger logger)
    {
        _dataFolder = dataFolder;
        _root = root;
        _time = time;
        _logger = logger;
        _disk = disk;
        _sync = new BlockSync(disk, Rewrite, logger);
    }

    /// <summary>Blocks that can be read here although they have no file; null where there can be none.</summary>
    public IComposedBlocks? Composed { get; set; }

    /// <summary>Sequence of the newest write. Waiting for it covers everything written so far, also what others wrote. 0 before the first write of this run.</summary>
    public long LastSequence => _sync.LastSequence;

    /// <summary>Every write up to and including this one is on disk, names included, or was deleted since.</summary>
    public long SyncedSequence => _sync.SyncedSequence;

    /// <summary>Opens the block folders under <paramref name="dataFolder"/>, making them where they are missing: nobody else may have it open.</summary>
    /// <param name="dataFolder">The data folder of the copy.</param>
    /// <param name="time">For the age of files.</param>
    /// <param name="logger">Told of what is unexpected.</param>
    /// <param name="keepTemporaries">Leave what an earlier run did not finish; otherwise it is deleted.</param>
    /// <param name="disk">The calls that make files durable, where they are not to be the system's own.</param>
    /// <exception cref="BlockStoreException">The folders cannot be made or opened.</exception>
    public static BlockFiles Open(string dataFolder, TimeProvider time, ILogger logger, bool keepTemporaries = false, Func<int, BlockDisk>? disk = null)
    {
        if (!BitConverter.IsLittleEndian)
            throw new PlatformNotSupportedException("block files are read and written by little-endian machines only");
        string blocks = Path.Combine(dataFolder, "blocks");
        Directory.CreateDirectory(dataFolder);
        var made = LinuxFile.MakeFolder(blocks);
        if (made != Errno.None)
            throw new BlockStoreException(made, $"{blocks} cannot be made");
        int root = LinuxFile.OpenFolder(blocks);
        if (root < 0)
            throw new BlockStoreException(LinuxFile.LastError, $"{blocks} cannot be opened");
        try
        {
            made = LinuxFile.MakeFolder(root, "tmp\0"u8);
            if (made is not (Errno.None or Errno.EEXIST))
                throw new BlockStoreException(made, $"{blocks}/tmp cannot be made");
            var files = new BlockFiles(dataFolder, root, disk?.Invoke(root) ?? new BlockDisk(root), time, logger);
            root = -1;
            int left = keepTemporaries ? 0 : files.DeleteTemporaries(TimeSpan.Zero);
            if (left > 0)
                logger.LogInformation("deleted {Count} unfinished block files of an earlier run", left);
            return files;
        }
        finally
        {
            if (root >= 0)
                LinuxFile.Close(root);
        }
    }

    /// <summary>
    /// Stores a block, replacing a file of that name: a complete file takes the name at once or not at all. Not on disk until synced. Synchronous; waits for the disk only while very much is
    /// unsynced (<see cref="BlockLimits.MaxUnsyncedBlocks"/>).
    /// </summary>
    /// <param name="hash">SHA-256 of the content: the caller has just computed it, and it is not computed again.</param>
    /// <param name="content">1 byte to 4 MiB.</param>
    /// <exception cref="BlockStoreException">ENOSPC, EDQUOT, EIO …: the name is as it was before, nothing is left behind.</exception>
    public StoredBlock Write(BlockHash hash, ReadOnlySpan<byte> content)
    {
        _sync.Admit();
        return Put(hash, content);
    }

    /// <summary>Completes when every write up to <paramref name="sequence"/> is on disk, names included. All who wait share the syncs.</summary>
    /// <exception cref="BlockSyncException">
    /// The sync failed, and those it lists are not known to be on disk. A later call tries to mend it: reads them back, and where their content is whole writes them anew and syncs
    /// that. It goes on failing for as long as one of them can neither be read back nor has been written again by <see cref="Write"/> nor deleted.
    /// </exception>
    public ValueTask SyncAsync(long sequence, CancellationToken cancellation) => _sync.WaitAsync(sequence, cancellation);

    /// <summary>A sync failed after this block was written, and it has not been written and synced since. Store it anew instead of deduplicating against it.</summary>
    public bool IsSuspect(BlockHash hash) => _sync.IsSuspect(hash);

    /// <summary>A file of that name exists, or the block is composed and those of its sources do; whether they are whole is not looked at.</summary>
    public bool Exists(BlockHash hash) => DiskBytes(hash) is not null || Composed?.IsReliable(hash) == true;

    /// <summary>Bytes the file takes, as the disk counts them (st_blocks); null where there is none.</summary>
    public long? DiskBytes(BlockHash hash)
    {
        var error = LinuxFile.Stat(_root, BlockNames.File(hash, stackalloc byte[BlockNames.MaxPath]), out _, out long bytes);
        return error switch
        {
            Errno.None => bytes,
            Errno.ENOENT => null,
            _ => throw new BlockStoreException(error, $"block {hash} cannot be looked up"),
        };
    }

    /// <summary>Removes the file. False where there was none. Its folder stays.</summary>
    public bool Delete(BlockHash hash)
    {
        var error = LinuxFile.Unlink(_root, BlockNames.File(hash, stackalloc byte[BlockNames.MaxPath]));
        if (error is not (Errno.None or Errno.ENOENT))
            throw new BlockStoreException(error, $"block {hash} cannot be deleted");
        _open.Forget(hash);
        _sync.Forget(hash);
        return error == Errno.None;
    }

    /// <summary>Closes all descriptors. Does not sync. Nothing else may be called at the same time or after.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        _sync.Dispose();
        _open.Clear();
        LinuxFile.Close(_root);
    }

    private StoredBlock Put(BlockHash hash, ReadOnlySpan<byte> content)
    {
        ArgumentOutOfRangeException.ThrowIfZero(content.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(content.Length, BlockLimits.MaxContent);
        var codec = BlockCompressor.Encode(content, out var payload);
        return Put(hash, codec, content.Length, payload);
    }

    [SkipLocalsInit]
    private StoredBlock Put(BlockHash hash, BlockCodec codec, int length, ReadOnlySpan<byte> payload)
    {
        var head = BlockFormat.HeadOf(hash, codec, length, payload, stackalloc byte[BlockFormat.HeadBytes]);
        var temporary = BlockNames.Unfinished(hash, Interlocked.Increment(ref _unfinished), stackalloc byte[BlockNames.MaxPath]);
        int fd = LinuxFile.Open(_root, temporary, LinuxFile.O_WRONLY | LinuxFile.O_CREAT | LinuxFile.O_EXCL, 0x180 /* 0600 */);
        if (fd < 0)
            throw new BlockStoreException(LinuxFile.LastError, $"block {hash} cannot be stored");
        var error = LinuxFile.WriteAll(fd, head, payload);
        if (error == Errno.None)
            error = GiveName(hash, temporary);
        _open.Forget(hash);
        if (error != Errno.None)
        {
            LinuxFile.Close(fd);
            _ = LinuxFile.Unlink(_root, temporary);
            throw new BlockStoreException(error, $"block {hash} cannot be stored");
        }
        if (payload.Length >= BlockLimits.EarlyWriteBack)
            LinuxFile.BeginWriteBack(fd);
        int stored = BlockFormat.DiskBytes(head.Length + payload.Length);
        return new StoredBlock(length, stored, codec, _sync.Add(hash, payload.Length, fd));
    }

    /// <summary>Renames an unfinished file to its hash. The folders are made when the name finds none: that costs nothing where they are there, and needs no memory of which are.</summary>
    private Errno GiveName(BlockHash hash, ReadOnlySpan<byte> temporary)
    {
        var name = BlockNames.File(hash, stackalloc byte[BlockNames.MaxPath]);
        var error = LinuxFile.Rename(_root, temporary, name);
        if (error != Errno.ENOENT)
            return error;
        int second = BlockNames.FolderOf(hash);
        error = MakeFolder(second);
        if (error == Errno.ENOENT)
        {
            error = MakeFolder(BlockNames.Parent(second));
            if (error == Errno.None)
                error = MakeFolder(second);
        }
        return error == Errno.None ? LinuxFile.Rename(_root, temporary, name) : error;
    }

    private Errno MakeFolder(int folder)
    {
        _disk.NoteNewFolder(folder);
        var error = LinuxFile.MakeFolder(_root, BlockNames.Folder(folder, stackalloc byte[BlockNames.MaxPath]));
        return error == Errno.EEXIST ? Errno.None : error;
    }

    /// <summary>Stores a suspect block again with the content that can still be read of it.</summary>
    private bool Rewrite(BlockHash hash)
    {
        var inspected = Inspect(hash);
        if (!inspected.IsOk)
            return false;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(inspected.Length);
        try
        {
            var read = Read(hash, buffer.AsSpan(0, inspected.Length));
            if (!read.IsOk || BlockHash.Of(buffer.AsSpan(0, read.Length)) != hash)
                return false;
            Put(hash, buffer.AsSpan(0, read.Length));
            return true;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
