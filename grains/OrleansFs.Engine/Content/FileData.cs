using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

/// <summary>
/// The content of files: writes land in in-flight blocks, blocks are sealed (hashed, deduplicated, stored), and a settling takes all that was sealed of a file into its manifest,
/// together with its size and times.
/// </summary>
/// <remarks>
/// <para>Locks, in the order in which they are taken: a file's settle gate (asynchronous; held over a settling), its gate, the metadata lock, the inode's own lock. The gate and
/// what comes after it are held for memory copies and SQLite statements only.</para>
/// <para>What a crash leaves: before the commit of a settling, the file as it was at the one before it; and what fsync has put into the redo log is written again
/// into memory when the volume is opened.</para>
/// <para>An inode with something in flight is pinned in memory, once, from its first change until it is clean.</para>
/// </remarks>
internal sealed partial class FileData : IDisposable
{
    private readonly MetadataStore _metadata;
    private readonly BlockStore _blocks;
    private readonly Sealer _sealer;
    private readonly Committer _committer;
    private readonly PagePool _pool;
    private readonly SpaceGuard _space;
    private readonly VolumeClock _clock;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly TroubleLog _unsettled;
    private readonly TroubleLog _unstored;
    private readonly int _blockSize;
    private readonly DirtyFiles _dirty = new();
    private readonly Channel<SealRequest> _complete;

    /// <summary>Told of the blocks that came into a manifest, in the order of their places, with the gate of the file held: must only take note.</summary>
    public Action<IReadOnlyList<ManifestBlock>>? Named { get; set; }

    public FileData(MetadataStore metadata, BlockStore blocks, Sealer sealer, Committer committer, PagePool pool, SpaceGuard space, TimeProvider time,
        int blockSize, ILogger logger)
    {
        _metadata = metadata;
        _blocks = blocks;
        _sealer = sealer;
        _committer = committer;
        _pool = pool;
        _space = space;
        _clock = metadata.Clock;
        _time = time;
        _logger = logger;
        _unsettled = new TroubleLog(logger, time);
        _unstored = new TroubleLog(logger, time);
        _blockSize = blockSize;
        _complete = Channel.CreateBounded<SealRequest>(new BoundedChannelOptions(Limits.SealQueue) { FullMode = BoundedChannelFullMode.DropWrite });
    }

    /// <summary>Where blocks are sealed.</summary>
    public DiskScheduler Sealing { get; } = new("seal", Limits.SealWorkers);

    /// <summary>Files with something in flight, the longest waiting first.</summary>
    public DirtyFiles Dirty => _dirty;

    /// <summary>Bytes of memory that in-flight content takes.</summary>
    public long InFlightBytes => _pool.BytesInUse;

    public long InFlightLimit => (long)_pool.Capacity * PagePool.PageSize;

    public void Dispose()
    {
        _complete.Writer.TryComplete();
        Sealing.Dispose();
    }

    private static FsResult<Inode> RequireRegular(Inode? inode)
    {
        if (inode is null)
            return Errno.ESTALE;
        uint mode = inode.Snapshot().Mode;
        if (Mode.IsRegular(mode))
            return inode;
        return Mode.IsDirectory(mode) ? Errno.EISDIR : Errno.EINVAL;
    }

    private long BlocksOf(long size) => size / _blockSize + (size % _blockSize == 0 ? 0 : 1);

    /// <summary>Bytes that a block has in a file of a size: S, fewer for the last, none past it.</summary>
    private int LengthOf(long index, long size) => (int)Math.Clamp(size - index * _blockSize, 0, _blockSize);

    /// <summary>The block as it is committed, as far as that still counts. Call with the gate held.</summary>
    private SealedBlock CommittedBase(Inode inode, long index)
    {
        if (inode.Content is { } content && !content.ManifestCounts(index))
            return SealedBlock.Hole;
        Span<BlockHash> hash = stackalloc BlockHash[1];
        _metadata.ReadManifest(inode.Number, index, hash);
        return hash[0].IsHole ? SealedBlock.Hole : new SealedBlock(hash[0], LengthOf(index, CommittedSize(inode)), 0, 0, 0);
    }

    private static long CommittedSize(Inode inode)
    {
        lock (inode)
            return inode.Committed.Size;
    }

    /// <summary>The slot of a block, made where it has none. Call with the gate held.</summary>
    private Slot SlotOf(Inode inode, FileContent content, long index) => content.Find(index) ?? content.Add(index, CommittedBase(inode, index));

    private FileContent ContentOf(Inode inode) => inode.Content ??= new FileContent(_pool, _blockSize);

    /// <summary>The file has something in flight from now on. Call with the gate held.</summary>
    private void MarkDirty(Inode inode, FileContent content)
    {
        if (!content.MarkDirty(_time.GetTimestamp()))
            return;
        if (!inode.TryPin())
            throw new InvalidOperationException($"inode {inode.Number} was written to after it was dropped from memory");
        _dirty.Add(inode);
    }

    /// <summary>Marks the file dirty for a change from outside. Call with the gate held, before the change.</summary>
    /// <param name="inode">The file.</param>
    /// <param name="content">Of it.</param>
    /// <param name="refused">EROFS where changes are refused by now. That is looked at when whoever settles everything finds the file: a change is settled with the rest, or is not made. ESTALE where it has been purged: nothing could settle it.</param>
    /// <returns>False where it is refused.</returns>
    private bool TryMarkDirty(Inode inode, FileContent content, out Errno refused)
    {
        refused = inode.IsGone ? Errno.ESTALE : Errno.None;
        if (refused != Errno.None)
            return false;
        bool isFirst = content.IsClean;
        MarkDirty(inode, content);
        if (_isReplaying || !RefusesChanges())
            return true;
        if (isFirst)
            MarkClean(inode);
        refused = Errno.EROFS;
        return false;
    }

    /// <summary>The file has nothing in flight any more. Call with the gate held.</summary>
    private void MarkClean(Inode inode)
    {
        inode.Content = null;
        _dirty.Remove(inode);
        inode.Unpin();
    }

    /// <summary>
    /// Sets what a change of content changes in stat(2). Call with the gate held. Each change has a time of its own, though the kernel's clock ticks in milliseconds: a kernel that keeps pages tells by size and modify time
    /// alone whether they are as they were (fs/fuse/inode.c, auto_inval_data). What comes out of the page cache of the kernel that sets these times itself has that kernel's.
    /// </summary>
    private void SetSize(Inode inode, long size, long allocatedDelta, bool isFromPageCache = false)
    {
        lock (inode)
        {
            var now = isFromPageCache ? _clock.Now() : _clock.NowAfter(inode.Current.ModifyTime);
            inode.Current = inode.Current with
            {
                Size = size,
                AllocatedBytes = Math.Max(0, inode.Current.AllocatedBytes + allocatedDelta),
                ModifyTime = now,
                ChangeTime = now,
            };
        }
    }

    private readonly record struct SealRequest(Inode Inode, FileContent Content, long Index, Slot Slot);
}
