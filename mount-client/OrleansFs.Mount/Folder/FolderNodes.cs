using OrleansFs.Model;

namespace OrleansFs.Mount;

/// <summary>The inodes of the folder <c>.orleansfs</c>: three directories, and files that come with a look-up and go when the kernel forgets them. Thread-safe.</summary>
/// <remarks>
/// Invariants:
/// 1. Their numbers begin with <see cref="InodeNumber.NoSite"/>, so that none is ever that of an inode of a volume, and none is given twice.
/// 2. Content has one number as long as the kernel knows it. A report has a new one with each look-up, so that its size and its text are of one moment, and nobody reads an older one out of the page cache.
/// </remarks>
internal sealed class FolderNodes
{
    public static readonly InodeNumber Folder = Number(1);
    public static readonly InodeNumber Blocks = Number(2);
    public static readonly InodeNumber Files = Number(3);

    private const ulong FirstFile = 16;

    private readonly Lock _lock = new();
    private readonly Dictionary<InodeNumber, FolderFile> _files = [];
    private readonly Dictionary<ContentName, FolderFile> _contents = [];
    private readonly Queue<FolderFile> _oldest = new();
    private ulong _next = FirstFile;

    public static bool IsDirectory(InodeNumber inode) => inode == Folder || inode == Blocks || inode == Files;

    /// <summary>The number that a listing shows for a report, which has none before it is looked up.</summary>
    public static InodeNumber Listed(int report) => Number(4 + (ulong)report);

    public FolderFile? Find(InodeNumber inode)
    {
        lock (_lock)
            return _files.GetValueOrDefault(inode);
    }

    /// <summary>The file of content that is held; null past <see cref="Limits.MostContents"/>.</summary>
    public FolderFile? Add(ContentName name, in ContentInfo content)
    {
        lock (_lock)
        {
            if (_contents.TryGetValue(name, out var known))
                return known;
            if (_contents.Count >= Limits.MostContents)
                return null;
            var file = new FolderFile(Number(_next++), name, content.Size, content.AllocatedBytes, null);
            _files.Add(file.Inode, file);
            _contents.Add(name, file);
            _oldest.Enqueue(file);
            return file;
        }
    }

    public FolderFile Add(byte[] text)
    {
        lock (_lock)
        {
            var file = new FolderFile(Number(_next++), null, text.Length, text.Length, text);
            _files.Add(file.Inode, file);
            return file;
        }
    }

    /// <summary>The kernel knows it no more.</summary>
    /// <returns>What is to be let go; null for what held nothing.</returns>
    public ContentName? Remove(InodeNumber inode)
    {
        lock (_lock)
        {
            if (!_files.Remove(inode, out var file) || file.Content is not { } name)
                return null;
            _contents.Remove(name);
            return name;
        }
    }

    /// <summary>Content that the kernel has known for the longest time, where it knows more than <see cref="Limits.KnownContents"/>: the kernel keeps a name as long as it has memory, and each holds blocks.</summary>
    public IReadOnlyList<ContentName> TakeOldest()
    {
        lock (_lock)
        {
            if (_contents.Count <= Limits.KnownContents)
                return [];
            var taken = new List<ContentName>();
            for (int looks = _oldest.Count; looks > 0 && taken.Count < Limits.PrunedContents; looks--)
            {
                var file = _oldest.Dequeue();
                if (!_files.ContainsKey(file.Inode))
                    continue;
                taken.Add(file.Content!.Value);
                // Somebody may have it open: then it is asked about again.
                _oldest.Enqueue(file);
            }
            return taken;
        }
    }

    private static InodeNumber Number(ulong within) => new(((ulong)InodeNumber.NoSite << InodeNumber.SiteShift) | within);
}

/// <summary>A file in the folder.</summary>
/// <param name="Inode">Its number.</param>
/// <param name="Content">Whose content it is; null for a report.</param>
/// <param name="Size">Bytes.</param>
/// <param name="AllocatedBytes">Bytes of its blocks, holes left out.</param>
/// <param name="Text">Of a report.</param>
internal sealed record FolderFile(InodeNumber Inode, ContentName? Content, long Size, long AllocatedBytes, byte[]? Text);
