using OrleansFs.Model;

namespace OrleansFs.Mount;

/// <summary>The inodes of the folder <c>.orleansfs</c>: three directories, and files that come with a look-up and go when the kernel forgets them. Thread-safe.</summary>
/// <remarks>
/// Invariants:
/// 1. Their numbers begin with <see cref="InodeNumber.NoSite"/>, so that none is ever that of an inode of a volume, and none is given twice.
/// 2. Each answer to a look-up is counted before another thread can take it for forgotten: a file goes with the last count that the kernel gives back, under the same lock.
/// 3. Content has one number as long as the kernel knows it. A report has a new one with each look-up, so that its size and its text are of one moment, and nobody reads an older one out of the page cache.
/// </remarks>
internal sealed class FolderNodes
{
    public static readonly InodeNumber Folder = Number(1);
    public static readonly InodeNumber Blocks = Number(2);
    public static readonly InodeNumber Files = Number(3);

    private const ulong FirstFile = 16;

    private readonly Lock _lock = new();
    private readonly Dictionary<InodeNumber, Known> _files = [];
    private readonly Dictionary<ContentName, Known> _contents = [];

    /// <summary>Content, by when it was looked up first or taken last.</summary>
    private readonly LinkedList<FolderFile> _oldest = [];

    private ulong _next = FirstFile;

    public static bool IsDirectory(InodeNumber inode) => inode == Folder || inode == Blocks || inode == Files;

    /// <summary>The number that a listing shows for a report, which has none before it is looked up.</summary>
    public static InodeNumber Listed(int report) => Number(4 + (ulong)report);

    public FolderFile? Find(InodeNumber inode)
    {
        lock (_lock)
            return _files.GetValueOrDefault(inode)?.File;
    }

    /// <summary>A file that is known, counted once more.</summary>
    public FolderFile? FindAgain(InodeNumber inode)
    {
        lock (_lock)
            return _files.TryGetValue(inode, out var known) ? Counted(known) : null;
    }

    /// <summary>The file of content that is held, counted; null past <see cref="Limits.MostContents"/>.</summary>
    public FolderFile? Add(ContentName name, in ContentInfo content)
    {
        lock (_lock)
        {
            if (_contents.TryGetValue(name, out var known))
                return Counted(known);
            if (_contents.Count >= Limits.MostContents)
                return null;
            var file = new FolderFile(Number(_next++), name, content.Size, content.AllocatedBytes, null);
            known = new Known(file, _oldest.AddLast(file));
            _files.Add(file.Inode, known);
            _contents.Add(name, known);
            return Counted(known);
        }
    }

    /// <summary>A new file with a text, counted.</summary>
    public FolderFile Add(byte[] text)
    {
        lock (_lock)
        {
            var file = new FolderFile(Number(_next++), null, text.Length, text.Length, text);
            var known = new Known(file, null);
            _files.Add(file.Inode, known);
            return Counted(known);
        }
    }

    /// <summary>The kernel gives look-ups back; with the last it knows the file no more.</summary>
    /// <returns>What is to be let go; null for what is still known, or held nothing.</returns>
    public ContentName? Remove(InodeNumber inode, ulong lookups)
    {
        lock (_lock)
        {
            if (!_files.TryGetValue(inode, out var known))
                return null;
            known.Lookups -= Math.Min(lookups, known.Lookups);
            if (known.Lookups > 0)
                return null;
            _files.Remove(inode);
            if (known.Age is not { } age || known.File.Content is not { } name)
                return null;
            _oldest.Remove(age);
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
            while (taken.Count < Math.Min(Limits.PrunedContents, _contents.Count) && _oldest.First is { } age)
            {
                taken.Add(age.Value.Content!.Value);
                // Somebody may have it open: then it is asked about again.
                _oldest.RemoveFirst();
                _oldest.AddLast(age);
            }
            return taken;
        }
    }

    private static FolderFile Counted(Known known)
    {
        known.Lookups++;
        return known.File;
    }

    private static InodeNumber Number(ulong within) => new(((ulong)InodeNumber.NoSite << InodeNumber.SiteShift) | within);

    private sealed class Known(FolderFile file, LinkedListNode<FolderFile>? age)
    {
        public FolderFile File => file;

        public LinkedListNode<FolderFile>? Age => age;

        public ulong Lookups { get; set; }
    }
}

/// <summary>A file in the folder.</summary>
/// <param name="Inode">Its number.</param>
/// <param name="Content">Whose content it is; null for a report.</param>
/// <param name="Size">Bytes.</param>
/// <param name="AllocatedBytes">Bytes of its blocks, holes left out.</param>
/// <param name="Text">Of a report.</param>
internal sealed record FolderFile(InodeNumber Inode, ContentName? Content, long Size, long AllocatedBytes, byte[]? Text);
