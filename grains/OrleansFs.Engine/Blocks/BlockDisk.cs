using OrleansFs.Engine.Native;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>The calls that make block files durable, and the seam where tests let them fail.</summary>
/// <remarks>
/// Syncs are asked for by one thread at a time. A round of few blocks syncs each of them and its folder; one of many the file system, which is the quickest where nobody else writes to it. Where others do, syncfs(2) waits for all that
/// they have written, gigabytes maybe: then many blocks are synced by themselves, too, by many threads. That is for large ones, which went past the page cache: of small ones the system writes many at a time. And for ext4 and XFS, where
/// syncs that are asked for together share one commit of the journal; on btrfs, for one, each is dear.
/// </remarks>
internal class BlockDisk : IDisposable
{
    private const long Ext4 = 0xEF53;
    private const long Xfs = 0x58465342;

    private readonly int _root;
    private readonly DiskScheduler _threads = new("block-fsync", BlockLimits.SyncThreads);

    /// <param name="root">Descriptor of the folder <c>blocks</c>, open for as long as this lives: syncfs(2) reports through it whatever failed since it was opened (Linux 5.8).</param>
    public BlockDisk(int root)
    {
        _root = root;
        long descriptors = (LinuxFile.DescriptorLimit() ?? 0) / BlockLimits.OpenBlocksShare / 2;
        SyncEach = LinuxFile.FileSystemType(root) is Ext4 or Xfs ? (int)Math.Clamp(descriptors, BlockLimits.SyncOneByOne, BlockLimits.SyncEach) : BlockLimits.SyncOneByOne;
    }

    /// <summary>Blocks of a round that can be synced by themselves.</summary>
    public int SyncEach { get; }

    /// <summary>Descriptors that are of use to a round: few where it has so many blocks in the page cache, for then it is the file system that is synced. Each keeps the space of its block, were that deleted before.</summary>
    public int Kept(int cached) => cached > BlockLimits.SyncOneByOne ? BlockLimits.SyncOneByOne : SyncEach;

    /// <summary>Brings a round's files and names to disk.</summary>
    public SyncResult Sync(BlockSync.Round round)
    {
        if (round.WholeFileSystem)
            return SyncWhole();
        if (round.Blocks.Count <= BlockLimits.SyncOneByOne)
            return SyncOneByOne(round);
        return round.Blocks.Count(b => b.CachedBytes > 0) <= BlockLimits.SyncOneByOne && Unwritten() >= BlockLimits.OthersUnwritten ? SyncTogether(round) : SyncWhole();
    }

    /// <summary>Gives back the pages of large blocks that are on disk now, for as long as there is nothing better to do. A file that has gone meanwhile is none to care for.</summary>
    public void DropPages(BlockSync.Round round, Func<bool> isIdle)
    {
        Span<byte> path = stackalloc byte[BlockNames.MaxPath];
        foreach (var block in round.Blocks)
        {
            if (block.CachedBytes < BlockLimits.DropAfterSync)
                continue;
            if (!isIdle())
                return;
            int fd = LinuxFile.Open(_root, BlockNames.File(block.Hash, path), LinuxFile.O_RDONLY);
            if (fd < 0)
                continue;
            LinuxFile.DropPages(fd);
            LinuxFile.Close(fd);
        }
    }

    public void Dispose()
    {
        _threads.Dispose();
        GC.SuppressFinalize(this);
    }

    protected virtual Errno SyncData(int descriptor) => LinuxFile.SyncData(descriptor);

    protected virtual Errno SyncFileSystem() => LinuxFile.SyncFileSystem(_root);

    protected virtual Errno SyncFolder(int folder) => SyncFolder(BlockNames.Folder(folder, stackalloc byte[BlockNames.MaxPath]));

    /// <summary>A folder that files were in before they were named.</summary>
    protected virtual Errno SyncUnnamedFolder(int folder) => SyncFolder(BlockNames.UnnamedFolder(folder, stackalloc byte[BlockNames.MaxPath]));

    /// <summary>What the system has to bring to its disks, bytes: of all programs, on all disks.</summary>
    protected virtual long Unwritten() => MemoryInfo.Unwritten();

    private Errno SyncFolder(ReadOnlySpan<byte> name)
    {
        int fd = LinuxFile.Open(_root, name, LinuxFile.O_RDONLY | LinuxFile.O_DIRECTORY);
        if (fd < 0)
            return LinuxFile.LastError;
        var error = LinuxFile.Sync(fd);
        LinuxFile.Close(fd);
        return error;
    }

    private SyncResult SyncWhole() => new(SyncFileSystem(), "syncfs");

    private SyncResult SyncOneByOne(BlockSync.Round round)
    {
        foreach (int descriptor in round.Descriptors)
            LinuxFile.BeginWriteBack(descriptor);
        foreach (int descriptor in round.Descriptors)
        {
            var error = SyncData(descriptor);
            if (error != Errno.None)
                return new SyncResult(error, "fdatasync");
        }
        foreach (int folder in round.Blocks.Select(b => BlockNames.FolderOf(b.Hash)).Distinct())
        {
            var error = SyncFolder(folder);
            if (error != Errno.None)
                return new SyncResult(error, "fsync of a folder");
        }
        return SyncResult.Ok;
    }

    /// <summary>The same of many, and of the folders that they come from: a file system without a journal would have them there, too, after a loss of power.</summary>
    private SyncResult SyncTogether(BlockSync.Round round)
    {
        var error = Each(round.Descriptors, SyncData);
        if (error != Errno.None)
            return new SyncResult(error, "fdatasync");
        error = Each([.. round.Blocks.Select(b => BlockNames.FolderOf(b.Hash)).Distinct()], SyncFolder);
        if (error == Errno.None)
            error = Each([.. round.Blocks.Select(b => b.UnnamedFolder).Distinct()], SyncUnnamedFolder);
        return new SyncResult(error, "fsync of a folder");
    }

    /// <returns>The first failure; the others are synced all the same.</returns>
    private Errno Each(IReadOnlyList<int> all, Func<int, Errno> sync)
    {
        int failure = 0;
        Parallel.For(0, all.Count, new ParallelOptions { MaxDegreeOfParallelism = BlockLimits.SyncThreads, TaskScheduler = _threads }, i =>
        {
            var error = sync(all[i]);
            if (error != Errno.None)
                Interlocked.CompareExchange(ref failure, (int)error, 0);
        });
        return (Errno)failure;
    }
}
