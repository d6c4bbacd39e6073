using OrleansFs.Model;

namespace OrleansFs.MemoryVolume;

/// <summary>An inode.</summary>
internal sealed class Node(Attributes attributes)
{
    public Attributes Attributes { get; set; } = attributes;

    public SparseBytes Content { get; } = new();

    /// <summary>Of a directory: its names in cookie order.</summary>
    public SortedList<long, Dentry> Entries { get; } = [];

    /// <summary>Of a directory: the cookie of each name.</summary>
    public Dictionary<string, long> Cookies { get; } = [];

    public Dictionary<string, byte[]> Xattrs { get; } = [];

    public byte[] Target { get; init; } = [];

    /// <summary>Of a directory: where ".." leads.</summary>
    public Node? Parent { get; set; }

    /// <summary>Made without a name and never named since.</summary>
    public bool Linkable { get; set; }

    public InodeNumber Number => Attributes.Inode;

    public bool IsDirectory => Attributes.IsDirectory;

    public bool Has(InodeFlags flag) => (Attributes.Flags & flag) != 0;

    public Node? Find(string name) => Cookies.TryGetValue(name, out long cookie) ? Entries[cookie].Node : null;

    public void Add(string name, Node node, long cookie)
    {
        Entries.Add(cookie, new(name, node));
        Cookies.Add(name, cookie);
        Attributes = Attributes with { Size = Entries.Count };
    }

    public void Remove(string name)
    {
        Cookies.Remove(name, out long cookie);
        Entries.Remove(cookie);
        Attributes = Attributes with { Size = Entries.Count };
    }
}

/// <summary>A name of a directory. Names are bytes, each byte one character of the string (Latin-1).</summary>
internal sealed record Dentry(string Name, Node Node);
