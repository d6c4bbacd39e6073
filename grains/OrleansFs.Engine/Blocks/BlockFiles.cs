using System.Buffers;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>The block files of one copy: <c>blocks/ab/&lt;64 hex&gt;</c> under the data folder. Thread-safe.</summary>
/// <remarks>
/// Invariants:
/// 1. A name that is a hash never holds a torn block while this machine keeps its power: a file gets its name by rename(2) when it is complete. After a loss of power it may hold one that was not synced;
///    nothing durable refers to that, and its checksum finds it.
/// 2. A file is never changed while it has its name; it is replaced or removed. One that was removed may be written over (<see cref="RecycledFiles"/>): who opened it before finds that its checksum does not match, and
/// looks the name up again before he believes that a block is corrupt.
/// 3. Every descriptor opened here is closed on every path; besides the one of the folder and those of calls under way, <see cref="BlockLimits.SyncEach"/> and <see cref="BlockLimits.OpenBlocks"/> at most are open.
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
    private readonly RecycledFiles _recycled;
    private readonly FreshBlocks _fresh;
    private ulong _unfinished;
    private int _disposed;

    /// <summary>Not allowed to keep access times alone: files of another owner. Found out by the first refusal.</summary>
    private volatile bool _noNoAtime;

    /// <summary>The file system writes through its page cache only. Found out by the first refusal.</summary>
    private volatile bool _noDirect;

    private BlockFiles(string dataFolder, int root, BlockDisk disk, TimeProvider time, ILogger logger)
    {
        _dataFolder = dataFolder;
        _root = root;
        _time = time;
        _logger = logger;
        _disk = disk;
        _sync = new BlockSync(disk, Rewrite, logger);
        _recycled = new RecycledFiles(root, time);
        _fresh = new FreshBlocks(time);
    }

    /// <summary>Blocks that can be read here although they have no file; null where there can be none.</summary>
    public IComposedBlocks? Composed { get; set; }

    /// <summary>Whether blocks that are written are read again soon, and more than once, as who composes them does; null where nobody does.</summary>
    public Func<bool>? KeepsPages { get; set; }

    /// <summary>How many will take each block that is written (<see cref="TakeFresh"/>), within a second or two; null where nobody does.</summary>
    public Func<int>? Readers { get; set; }

    /// <summary>What the files of deleted blocks may take on the disk now, bytes; null where nobody else has a claim on it.</summary>
    public Func<long>? RecycledRoom
    {
        get => _recycled.Room;
        set => _recycled.Room = value;
    }

    /// <summary>What the files of deleted blocks take on the disk, bytes: it is there for whoever asks <see cref="DropRecycled"/>.</summary>
    public long RecycledBytes => _recycled.Bytes;

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
            BlockFolders.Make(blocks, root, logger);
            var files = new BlockFiles(dataFolder, root, disk?.Invoke(root) ?? new BlockDisk(root), time, logger);
            root = -1;
            files.DeleteRecycled();
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
        var error = LinuxFile.Stat(_root, BlockNames.File(hash, stackalloc byte[BlockNames.MaxPath]), out var file);
        return error switch
        {
            Errno.None => file.DiskBytes,
            Errno.ENOENT => null,
            _ => throw new BlockStoreException(error, $"block {hash} cannot be looked up"),
        };
    }

    /// <summary>Removes the file. False where there was none. Its folder stays.</summary>
    public bool Delete(BlockHash hash)
    {
        long written = _sync.LastSequence;
        var name = BlockNames.File(hash, stackalloc byte[BlockNames.MaxPath]);
        var error = _recycled.TryKeep(name) ? Errno.None : LinuxFile.Unlink(_root, name);
        if (error is not (Errno.None or Errno.ENOENT))
            throw new BlockStoreException(error, $"block {hash} cannot be deleted");
        _open.Forget(hash);
        _fresh.Forget(hash);
        _sync.Forget(hash, written);
        return error == Errno.None;
    }

    /// <summary>Holds the files of deleted blocks within <see cref="RecycledRoom"/>, which blocks that came meanwhile have lessened.</summary>
    public void TrimRecycled() => _recycled.Trim();

    /// <summary>Lets go of contents that <see cref="Readers"/> have not come for.</summary>
    public void TrimFresh() => _fresh.Expire();

    /// <summary>Gives the disk back what the files of deleted blocks take on it.</summary>
    public void DropRecycled() => _recycled.Clear();

    /// <summary>Closes all descriptors. Does not sync. Nothing else may be called at the same time or after.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        _sync.Dispose();
        _disk.Dispose();
        _recycled.Dispose();
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

    private StoredBlock Put(BlockHash hash, BlockCodec codec, int length, ReadOnlySpan<byte> payload)
    {
        var error = TryPut(hash, codec, length, payload, out var stored);
        if (error is Errno.ENOSPC or Errno.EDQUOT)
        {
            _recycled.Clear();
            error = TryPut(hash, codec, length, payload, out stored);
        }
        return error == Errno.None ? stored : throw new BlockStoreException(error, $"block {hash} cannot be stored");
    }

    private Errno TryPut(BlockHash hash, BlockCodec codec, int length, ReadOnlySpan<byte> payload, out StoredBlock block)
    {
        if (IsForDirect(codec, length, payload))
        {
            var error = TryPut(hash, codec, length, payload, isDirect: true, out block);
            if (error != Errno.EINVAL)
                return error;
            // The collector may have moved it; else it is the file system that asks for more.
            _noDirect |= DirectBuffer.IsAligned(payload);
        }
        return TryPut(hash, codec, length, payload, isDirect: false, out block);
    }

    /// <summary>Whether a block goes to the disk from where it lies, past the page cache: large ones that nobody reads soon. The cache would copy it, and its pages be dropped in the end.</summary>
    private bool IsForDirect(BlockCodec codec, int length, ReadOnlySpan<byte> payload) => DirectBuffer.IsAligned(payload) && IsForDirect(codec, length);

    /// <summary>The same of one that may lie anywhere.</summary>
    private bool IsForDirect(BlockCodec codec, int length) =>
        !_noDirect && length >= BlockLimits.EarlyWriteBack && length % DirectBuffer.Alignment == 0 && codec == BlockCodec.Raw && BlockFormat.VersionOf(codec, length) == BlockFormat.PiecedVersion && KeepsPages?.Invoke() != true;

    [SkipLocalsInit]
    private Errno TryPut(BlockHash hash, BlockCodec codec, int length, ReadOnlySpan<byte> payload, bool isDirect, out StoredBlock block)
    {
        block = default;
        var head = BlockFormat.HeadOf(hash, codec, length, payload, DirectBuffer.Align(stackalloc byte[BlockFormat.HeadBytes + DirectBuffer.Alignment]));
        Span<byte> path = stackalloc byte[BlockNames.MaxPath];
        int flags = LinuxFile.O_WRONLY | (isDirect ? LinuxFile.O_DIRECT : 0);
        int fd = _recycled.TryTake(head.Length + payload.Length, flags, path, out var unnamed);
        if (fd < 0)
            fd = OpenUnfinished(hash, flags, path, out unnamed);
        if (fd < 0)
            return LinuxFile.LastError;
        var error = LinuxFile.WriteAll(fd, head, payload);
        if (error == Errno.None)
            error = GiveName(hash, unnamed);
        _open.Forget(hash);
        if (error != Errno.None)
        {
            LinuxFile.Close(fd);
            _ = LinuxFile.Unlink(_root, unnamed);
            return error;
        }
        bool isCached = !isDirect || _noDirect;
        if (!isCached)
            _fresh.Add(hash, payload, Readers?.Invoke() ?? 0);
        if (isCached && payload.Length >= BlockLimits.EarlyWriteBack)
            LinuxFile.BeginWriteBack(fd);
        int stored = BlockFormat.DiskBytes(head.Length + payload.Length);
        block = new StoredBlock(length, stored, codec, _sync.Add(hash, stored, isCached ? payload.Length : 0, BlockNames.UnnamedFolderOf(unnamed), fd));
        return Errno.None;
    }

    private int OpenUnfinished(BlockHash hash, int flags, Span<byte> path, out ReadOnlySpan<byte> name)
    {
        flags |= LinuxFile.O_CREAT | LinuxFile.O_EXCL;
        ulong number = Interlocked.Increment(ref _unfinished);
        name = BlockNames.Unfinished(hash, number, path);
        int fd = LinuxFile.Open(_root, name, flags, 0x180 /* 0600 */);
        if (fd < 0 && LinuxFile.LastError == Errno.EINVAL)
        {
            // It was made before the flags were refused.
            _ = LinuxFile.Unlink(_root, name);
            _noDirect |= (flags & LinuxFile.O_DIRECT) != 0;
            return LinuxFile.Open(_root, name, flags & ~LinuxFile.O_DIRECT, 0x180 /* 0600 */);
        }
        if (fd >= 0 || LinuxFile.LastError != Errno.ENOENT)
            return fd;
        BlockFolders.Restore(_root);
        return LinuxFile.Open(_root, name, flags, 0x180 /* 0600 */);
    }

    /// <summary>Renames an unfinished file to its hash. Somebody may have deleted an empty folder.</summary>
    private Errno GiveName(BlockHash hash, ReadOnlySpan<byte> unnamed)
    {
        var name = BlockNames.File(hash, stackalloc byte[BlockNames.MaxPath]);
        // A rename from folder to folder has Linux hold the one lock that all such renames on the disk take, also while it reads what it needs of the folder. So that is read before: as many at a time as blocks are stored.
        _ = LinuxFile.Stat(_root, name, out _);
        var error = LinuxFile.Rename(_root, unnamed, name);
        if (error != Errno.ENOENT)
            return error;
        BlockFolders.Restore(_root);
        // After the folder was made and before the block is there to be synced: no sync of it does without the folder.
        _sync.RequireWhole();
        return LinuxFile.Rename(_root, unnamed, name);
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
