using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>The folders under <c>blocks</c>: 256 for blocks, <c>00</c> to <c>ff</c>; as many for unfinished files, in <c>tmp</c>; and <c>free</c>.</summary>
/// <remarks>All are made at once, <c>free</c> the last: where that is there all is as it should be. Volumes of the formats before 15 have a second level of folders, which goes then.</remarks>
internal static class BlockFolders
{
    /// <summary>Makes what is missing, on disk when it returns.</summary>
    /// <exception cref="BlockStoreException">They cannot be made.</exception>
    public static void Make(string blocks, int root, ILogger logger)
    {
        Span<byte> path = stackalloc byte[BlockNames.MaxPath];
        var free = BlockNames.Top(BlockNames.Free, path);
        if (LinuxFile.Stat(root, free, out _) == Errno.None)
            return;
        long moved = LeaveSecondLevel(blocks);
        if (moved > 0)
            logger.LogInformation("moved {Count} block files from the second level of folders to the first", moved);
        var error = Restore(root);
        if (error == Errno.None)
            error = LinuxFile.SyncFileSystem(root);
        if (error == Errno.None)
            error = LinuxFile.MakeFolder(root, BlockNames.Top(BlockNames.Free, path));
        if (error == Errno.None)
            error = LinuxFile.Sync(root);
        if (error is not (Errno.None or Errno.EEXIST))
            throw new BlockStoreException(error, $"the folders in {blocks} cannot be made");
    }

    /// <summary>Makes the folders of blocks and of unfinished files that are missing. Not on disk before a sync of the file system.</summary>
    /// <returns>The first failure that is one.</returns>
    public static Errno Restore(int root)
    {
        Span<byte> path = stackalloc byte[BlockNames.MaxPath];
        var failure = Errno.None;
        void Note(Errno error) => failure = failure == Errno.None && error != Errno.EEXIST ? error : failure;
        Note(LinuxFile.MakeFolder(root, BlockNames.Top(BlockNames.Temporary, path)));
        // A file keeps the place that it was made in.
        LinuxFile.SpreadFolders(root, BlockNames.Top(BlockNames.Temporary, path));
        for (int folder = 0; folder < BlockNames.Folders; folder++)
        {
            Note(LinuxFile.MakeFolder(root, BlockNames.Folder(folder, path)));
            Note(LinuxFile.MakeFolder(root, BlockNames.UnfinishedFolder((byte)folder, path)));
        }
        return failure;
    }

    /// <summary>Moves <c>ab/cd/&lt;hash&gt;</c> to <c>ab/&lt;hash&gt;</c>. Interrupted, it goes on the next time.</summary>
    private static long LeaveSecondLevel(string blocks)
    {
        long moved = 0;
        try
        {
            foreach (string first in Directory.EnumerateDirectories(blocks).Where(f => BlockNames.TryParseFolder(Path.GetFileName(f), out _)).ToList())
            {
                foreach (string second in Directory.EnumerateDirectories(first).Where(f => BlockNames.TryParseFolder(Path.GetFileName(f), out _)).ToList())
                {
                    foreach (string file in Directory.EnumerateFiles(second).Where(f => BlockNames.TryParseFile(Path.GetFileName(f), out _)).ToList())
                    {
                        // A loss of power may have left both names: of one file, which a rename leaves as it is, or of two, of which each has the content or is found out by its checksum.
                        File.Move(file, Path.Combine(first, Path.GetFileName(file)), overwrite: true);
                        File.Delete(file);
                        moved++;
                    }
                    if (!Directory.EnumerateFileSystemEntries(second).Any())
                        Directory.Delete(second);
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BlockStoreException(Errno.EIO, $"the block files in {blocks} cannot be moved out of the second level of folders: {e.Message}");
        }
        return moved;
    }
}
