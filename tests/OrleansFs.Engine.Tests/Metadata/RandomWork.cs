using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

/// <summary>
/// Random operations on a store and, side by side, on a tree in memory that knows nothing of it; outcomes and trees must agree. The rules of the tree are
/// written anew from the
/// manual pages, not taken from the store.
/// </summary>
internal sealed class RandomWork(int seed, MetadataStore store, bool content = false)
{
    private const int S = TestVolume.BlockSize;
    private readonly Random _random = new(seed);
    private readonly Node _root = new() { Kind = Mode.S_IFDIR, Number = InodeNumber.Root, Parent = null };
    private MetadataStore _store = store;

    /// <summary>Goes on with the store after it was opened again.</summary>
    public void GoOnWith(MetadataStore store) => _store = store;

    public void Steps(int count)
    {
        for (int i = 0; i < count; i++)
            Step();
    }

    /// <summary>The store's tree is the model's, name by name and inode by inode.</summary>
    public void Compare() => Compare(_root);

    private void Step()
    {
        var (directory, name) = (AnyDirectory(), AnyName());
        switch (_random.Next(content ? 11 : 10))
        {
            case 0 or 1:
                Make(directory, name, Mode.S_IFREG);
                break;
            case 2:
                Make(directory, name, Mode.S_IFDIR);
                break;
            case 3:
                Make(directory, name, Mode.S_IFLNK);
                break;
            case 4:
                Link(directory, name, AnyDirectory(), AnyName());
                break;
            case 5:
                Unlink(directory, name);
                break;
            case 6:
                RemoveDirectory(directory, name);
                break;
            case 7 or 8 or 9:
                Rename(directory, name, AnyDirectory(), AnyName());
                break;
            default:
                Write(directory, name);
                break;
        }
    }

    private void Make(Node directory, string name, uint kind)
    {
        var result = _store.Create(directory.Number, name.Bytes(), new NewInode { Mode = kind | 0x1ED, SymlinkTarget = kind == Mode.S_IFLNK ? name.Bytes() : default }, TestVolume.Root);
        Expect(directory.Entries.ContainsKey(name) ? Errno.EEXIST : Errno.None, result.Error, "create");
        if (!result.IsOk)
            return;
        directory.Entries[name] = new Node { Kind = kind, Number = result.Value.Inode, Parent = kind == Mode.S_IFDIR ? directory : null, Links = 1 };
    }

    private void Link(Node directory, string name, Node newDirectory, string newName)
    {
        if (!directory.Entries.TryGetValue(name, out var node))
            return;
        var expected = newDirectory.Entries.ContainsKey(newName) ? Errno.EEXIST : node.IsDirectory ? Errno.EPERM : Errno.None;
        Expect(expected, _store.Link(node.Number, newDirectory.Number, newName).Error, "link");
        if (expected != Errno.None)
            return;
        newDirectory.Entries[newName] = node;
        node.Links++;
    }

    private void Unlink(Node directory, string name)
    {
        var node = directory.Entries.GetValueOrDefault(name);
        var result = _store.Unlink(directory.Number, name);
        Expect(node is null ? Errno.ENOENT : node.IsDirectory ? Errno.EISDIR : Errno.None, result.Error, "unlink");
        if (!result.IsOk)
            return;
        directory.Entries.Remove(name);
        node!.Links--;
        Purge(result.Value, node.Links == 0 ? node : null);
    }

    private void RemoveDirectory(Node directory, string name)
    {
        var node = directory.Entries.GetValueOrDefault(name);
        var result = _store.RemoveDirectory(directory.Number, name);
        Expect(node is null ? Errno.ENOENT : !node.IsDirectory ? Errno.ENOTDIR : node.Entries.Count > 0 ? Errno.ENOTEMPTY : Errno.None, result.Error, "rmdir");
        if (!result.IsOk)
            return;
        directory.Entries.Remove(name);
        Purge(result.Value, node);
    }

    private void Rename(Node from, string name, Node to, string newName)
    {
        var flags = _random.Next(4) switch { 0 => RenameFlags.NoReplace, 1 => RenameFlags.Exchange, _ => RenameFlags.None };
        var source = from.Entries.GetValueOrDefault(name);
        var target = to.Entries.GetValueOrDefault(newName);
        var expected = ExpectedOfRename(from, source, to, target, flags);
        var result = _store.Rename(from.Number, name, to.Number, newName, flags);
        Expect(expected, result.Error, $"rename {flags}");
        if (expected != Errno.None || ReferenceEquals(source, target))
            return;
        to.Entries[newName] = source!;
        if (source!.IsDirectory)
            source.Parent = to;
        if (flags == RenameFlags.Exchange)
        {
            from.Entries[name] = target!;
            if (target!.IsDirectory)
                target.Parent = from;
            return;
        }
        from.Entries.Remove(name);
        if (target is not null && !target.IsDirectory)
            target.Links--;
        Purge(result.Value, target is null || target.Links > 0 && !target.IsDirectory ? null : target);
    }

    private static Errno ExpectedOfRename(Node from, Node? source, Node to, Node? target, RenameFlags flags)
    {
        bool exchange = flags == RenameFlags.Exchange;
        if (source is null)
            return Errno.ENOENT;
        if (target is not null && flags == RenameFlags.NoReplace)
            return Errno.EEXIST;
        if (target is null && exchange)
            return Errno.ENOENT;
        if (to.IsIn(source))
            return Errno.EINVAL;
        if (target is not null && from.IsIn(target))
            return exchange ? Errno.EINVAL : Errno.ENOTEMPTY;
        if (exchange || target is null || ReferenceEquals(source, target))
            return Errno.None;
        if (source.IsDirectory && !target.IsDirectory)
            return Errno.ENOTDIR;
        if (!source.IsDirectory && target.IsDirectory)
            return Errno.EISDIR;
        return target.Entries.Count > 0 ? Errno.ENOTEMPTY : Errno.None;
    }

    private void Write(Node directory, string name)
    {
        if (!directory.Entries.TryGetValue(name, out var node) || node.Kind != Mode.S_IFREG)
            return;
        var inode = _store.Acquire(node.Number)!;
        int first = _random.Next(600);
        var blocks = Enumerable.Range(first, _random.Next(1, 20))
            .Select(i => new ManifestBlock(i, _random.Next(9) == 0 ? BlockHash.Hole : BlockHash.Of([(byte)_random.Next(100)]), S, 5, 100, 0));
        var commit = new ContentCommit
        {
            Size = 700L * S,
            ModifyTime = _store.Clock.Now(),
            TruncateToBlocks = _random.Next(4) == 0 ? _random.Next(600) : null,
            Punched = _random.Next(4) == 0 ? [(_random.Next(600), _random.Next(400))] : [],
            Blocks = [.. blocks],
        };
        Expect(Errno.None, _store.CommitContent(inode, commit).Error, "commit");
        _store.Release(inode);
    }

    private void Purge(InodeNumber? orphan, Node? expected)
    {
        Assert.True(orphan == expected?.Number, $"seed {seed}: orphan {orphan}, expected {expected?.Number}");
        if (orphan is { } number && _random.Next(5) > 0)
            Expect(Errno.None, _store.PurgeOrphan(number).Error, "purge");
    }

    private Node AnyDirectory()
    {
        var node = _root;
        while (_random.Next(4) > 0)
        {
            var inner = node.Entries.Values.Where(n => n.IsDirectory).ToList();
            if (inner.Count == 0)
                break;
            node = inner[_random.Next(inner.Count)];
        }
        return node;
    }

    private string AnyName() => $"n{_random.Next(9)}";

    private void Expect(Errno expected, Errno actual, string what) => Assert.True(expected == actual, $"seed {seed}: {what} gave {actual}, expected {expected}");

    private void Compare(Node node)
    {
        var attributes = _store.Get(node.Number);
        var expectedLinks = node.IsDirectory ? 2 + node.Entries.Values.Count(n => n.IsDirectory) : node.Links;
        Assert.True(attributes.LinkCount == expectedLinks, $"seed {seed}: inode {node.Number} has {attributes.LinkCount} links, expected {expectedLinks}");
        Assert.Equal(node.Kind, attributes.Mode & Mode.S_IFMT);
        if (!node.IsDirectory)
            return;
        Assert.Equal(node.Entries.Count, attributes.Size);
        Assert.Equal((node.Parent ?? node).Number, _store.Lookup(node.Number, "..").Value.Inode);
        Assert.Equal(node.Entries.Keys.Order(StringComparer.Ordinal), _store.List(node.Number, _random.Next(1, 9)).Order(StringComparer.Ordinal));
        foreach (var (name, child) in node.Entries)
        {
            Assert.Equal(child.Number, _store.Lookup(node.Number, name).Value.Inode);
            Compare(child);
        }
    }

    private sealed class Node
    {
        public required uint Kind { get; init; }

        public required InodeNumber Number { get; init; }

        public Node? Parent { get; set; }

        public int Links { get; set; }

        public Dictionary<string, Node> Entries { get; } = [];

        public bool IsDirectory => Kind == Mode.S_IFDIR;

        public bool IsIn(Node above) => ReferenceEquals(this, above) || Parent is not null && Parent.IsIn(above);
    }
}
