using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>The calls that make block files durable, and the seam where tests let them fail.</summary>
/// <param name="root">Descriptor of the folder <c>blocks</c>, open for as long as this lives: syncfs(2) reports through it whatever failed since it was opened (Linux 5.8).</param>
/// <remarks>Syncs are made by one thread at a time.</remarks>
internal class BlockDisk(int root)
{
    /// <summary>Brings a round's files and names to disk.</summary>
    public SyncResult Sync(BlockSync.Round round) => round.WholeFileSystem ? new SyncResult(SyncFileSystem(), "syncfs") : SyncOneByOne(round);

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
            int fd = LinuxFile.Open(root, BlockNames.File(block.Hash, path), LinuxFile.O_RDONLY);
            if (fd < 0)
                continue;
            LinuxFile.DropPages(fd);
            LinuxFile.Close(fd);
        }
    }

    protected virtual Errno SyncData(int descriptor) => LinuxFile.SyncData(descriptor);

    protected virtual Errno SyncFileSystem() => LinuxFile.SyncFileSystem(root);

    protected virtual Errno SyncFolder(int folder)
    {
        Span<byte> path = stackalloc byte[BlockNames.MaxPath];
        int fd = LinuxFile.Open(root, BlockNames.Folder(folder, path), LinuxFile.O_RDONLY | LinuxFile.O_DIRECTORY);
        if (fd < 0)
            return LinuxFile.LastError;
        var error = LinuxFile.Sync(fd);
        LinuxFile.Close(fd);
        return error;
    }

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
}
