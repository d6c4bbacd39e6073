using System.IO.Enumeration;
using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

internal sealed partial class BlockFiles
{
    /// <summary>Folder under the data folder for files that hold a block's name and not its content.</summary>
    public const string LostFolder = "lost+blocks";

    /// <summary>Everything in the block folders, in no order, as it is met: files that come or go meanwhile may be missed. Not what waits to be recycled, which is nobody's.</summary>
    /// <exception cref="IOException">A folder cannot be read.</exception>
    public IEnumerable<BlockEntry> Enumerate()
    {
        foreach (var first in List("blocks"))
        {
            if (first.IsFolder && first.Name == BlockNames.Temporary)
            {
                foreach (var entry in ListUnfinished())
                    yield return entry.As(BlockEntryKind.Temporary);
            }
            else if (first.IsFolder && first.Name == BlockNames.Free)
            {
                continue;
            }
            else if (first.IsFolder && BlockNames.TryParseFolder(first.Name, out byte firstByte))
            {
                foreach (var file in List(first.Path))
                {
                    bool belongs = file.IsFile && BlockNames.TryParseFile(file.Name, out var hash) && hash.FirstByte == firstByte;
                    yield return file.As(belongs ? BlockEntryKind.Block : BlockEntryKind.Stray);
                }
            }
            else
            {
                yield return first.As(BlockEntryKind.Stray);
            }
        }
    }

    /// <summary>Deletes unfinished files older than <paramref name="age"/>; gives their number. One that cannot be deleted is logged.</summary>
    public int DeleteTemporaries(TimeSpan age)
    {
        var before = Timestamp.From(_time.GetUtcNow() - age);
        int deleted = 0;
        foreach (var entry in ListUnfinished().ToList())
        {
            if (entry.ModifyTime <= before || age == TimeSpan.Zero)
                deleted += DeleteStray(entry.As(BlockEntryKind.Temporary)) ? 1 : 0;
        }
        return deleted;
    }

    /// <summary>Deletes an entry that is no block: a file or a link. A folder is never deleted, as nothing here makes one that is stray.</summary>
    /// <returns>False where it is a folder, is gone, or cannot be deleted; the log says why.</returns>
    public bool DeleteStray(BlockEntry entry)
    {
        if (entry.Kind == BlockEntryKind.Block)
            throw new ArgumentException("a block is deleted by its hash", nameof(entry));
        try
        {
            string path = Path.Combine(_dataFolder, entry.Path);
            if (Directory.Exists(path) && new FileInfo(path).LinkTarget is null)
                return false;
            File.Delete(path);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.LogWarning(e, "{Path} cannot be deleted", entry.Path);
            return false;
        }
    }

    /// <summary>Moves the file of a block out of the way, into <see cref="LostFolder"/>, so that the block counts as missing and nothing of it is lost. What is kept in memory for replicas stays: it may be the last that is whole. Called with the block's lock held, after a look at what the file is now. Gives the new path from the data folder; null where there is no file.</summary>
    /// <exception cref="IOException">It cannot be moved.</exception>
    public string? Quarantine(BlockHash hash)
    {
        var made = LinuxFile.MakeFolder(Path.Combine(_dataFolder, LostFolder));
        if (made != Errno.None)
            throw new BlockStoreException(made, $"{LostFolder} cannot be made");
        string text = hash.ToString();
        string from = Path.Combine(_dataFolder, "blocks", text[..2], text);
        long written = _sync.LastSequence;
        for (int n = 0; ; n++)
        {
            string name = $"{LostFolder}/{text}{(n == 0 ? "" : $".{n}")}";
            string to = Path.Combine(_dataFolder, name);
            if (Path.Exists(to))
                continue;
            try
            {
                File.Move(from, to);
            }
            catch (FileNotFoundException)
            {
                return null;
            }
            catch (DirectoryNotFoundException)
            {
                return null;
            }
            _open.Forget(hash);
            _sync.Forget(hash, written);
            return name;
        }
    }

    private IEnumerable<Listed> ListUnfinished()
    {
        foreach (var entry in List($"blocks/{BlockNames.Temporary}"))
        {
            if (!entry.IsFolder || !BlockNames.TryParseFolder(entry.Name, out _))
            {
                yield return entry;
                continue;
            }
            foreach (var file in List(entry.Path))
                yield return file;
        }
    }

    private void DeleteRecycled()
    {
        foreach (var entry in List($"blocks/{BlockNames.Free}").ToList())
            DeleteStray(entry.As(BlockEntryKind.Temporary));
    }

    private FileSystemEnumerable<Listed> List(string folder) =>
        new(Path.Combine(_dataFolder, folder), (ref FileSystemEntry entry) => Listed.From(ref entry, folder), new EnumerationOptions
        {
            AttributesToSkip = FileAttributes.None,
            IgnoreInaccessible = false,
            RecurseSubdirectories = false,
            ReturnSpecialDirectories = false,
        });

    /// <summary>An entry of a folder.</summary>
    private readonly record struct Listed(string Name, string Path, bool IsFolder, bool IsFile, long Bytes, Timestamp ModifyTime)
    {
        public static Listed From(ref FileSystemEntry entry, string folder)
        {
            string name = entry.FileName.ToString();
            bool link = (entry.Attributes & FileAttributes.ReparsePoint) != 0;
            bool isFolder = entry.IsDirectory && !link;
            return new Listed(name, $"{folder}/{name}", isFolder, !entry.IsDirectory && !link, isFolder ? 0 : entry.Length, Timestamp.From(entry.LastWriteTimeUtc));
        }

        public BlockEntry As(BlockEntryKind kind) =>
            new(kind, kind == BlockEntryKind.Block && BlockNames.TryParseFile(Name, out var hash) ? hash : null, Path, Bytes, ModifyTime);
    }
}
