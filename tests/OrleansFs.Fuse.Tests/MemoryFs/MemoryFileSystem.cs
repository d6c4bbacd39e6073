namespace OrleansFs.Fuse.Tests.MemoryFs;

/// <summary>
/// A small but whole file system in memory, to mount the library for real. One lock guards all; node ids are inode numbers. Everything completes at once, but
/// for lock waits and the files whose names ask for trouble (see <see cref="Open"/>).
/// </summary>
internal sealed partial class MemoryFileSystem : FuseFileSystem
{
    internal const ulong Capacity = 1UL << 34;

    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, MemoryNode> _nodes = [];
    private readonly TimeProvider _time;
    private TaskCompletionSource? _nothingKnown;
    private ulong _lastNumber = 1;

    internal MemoryFileSystem(TimeProvider time)
    {
        _time = time;
        MemoryNode root = new(1, MemoryNode.TypeDirectory | 0x1FF, 0, 0, Now());
        root.Parent = root;
        _nodes[1] = root;
    }

    /// <summary>How long the kernel may keep names and attributes.</summary>
    internal TimeSpan Timeout { get; init; }

    /// <summary>The kernel keeps no pages.</summary>
    internal bool DirectIO { get; init; }

    /// <summary>What the kernel knows.</summary>
    internal LookupCounts Lookups { get; } = new();

    /// <summary>Completes when the mount is gone.</summary>
    internal TaskCompletionSource Destroyed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal InitRequest? Initialised { get; private set; }

    internal int NodeCount
    {
        get
        {
            lock (_gate)
                return _nodes.Count;
        }
    }

    public override ValueTask<FuseResult<InitReply>> Init(InitRequest request)
    {
        Initialised = request;
        return base.Init(request);
    }

    public override ValueTask Destroy()
    {
        lock (_gate)
        {
            Lookups.Clear();
            foreach (MemoryNode node in _nodes.Values.ToArray())
            {
                node.Handles = 0;
                Collect(node);
            }
        }
        Destroyed.TrySetResult();
        return ValueTask.CompletedTask;
    }

    public override void Forget(ReadOnlySpan<NodeForget> forgets)
    {
        lock (_gate)
        {
            foreach (NodeForget forget in forgets)
            {
                if (Lookups.Forget(forget.Node, forget.Lookups) && _nodes.TryGetValue(forget.Node.Value, out MemoryNode? node))
                    Collect(node);
            }
            if (Lookups.Count == 0)
                _nothingKnown?.TrySetResult();
        }
    }

    /// <summary>Completes with the FORGET that makes the kernel know nothing any more but the root.</summary>
    internal Task WhenNothingIsKnown()
    {
        lock (_gate)
        {
            _nothingKnown = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _nothingKnown.Task;
        }
    }

    /// <summary>Changes a file of the root behind the kernel's back; answers its node.</summary>
    internal ulong Replace(string name, ReadOnlySpan<byte> content)
    {
        lock (_gate)
        {
            MemoryNode node = _nodes[1].Entries![name].Node;
            node.SetLength(0);
            node.Write(0, content);
            return node.Number;
        }
    }

    /// <summary>Takes a name out of the root behind the kernel's back.</summary>
    internal void Hide(string name)
    {
        lock (_gate)
            Detach(_nodes[1], name);
    }

    public override ValueTask<FuseResult<EntryReply>> Lookup(FuseContext context, ReadOnlyMemory<byte> name)
    {
        lock (_gate)
        {
            if (!TryDirectory(context.Node, out MemoryNode? parent, out Errno error))
                return FuseResult.Fail<EntryReply>(error);
            return parent.Entries!.TryGetValue(MemoryNode.Text(name.Span), out MemoryEntry entry)
                ? FuseResult.Ok(Known(entry.Node))
                : FuseResult.Fail<EntryReply>(Errno.ENOENT);
        }
    }

    public override ValueTask<FuseResult<AttrReply>> GetAttr(FuseContext context, GetAttrRequest request)
    {
        lock (_gate)
        {
            return _nodes.TryGetValue(context.Node.Value, out MemoryNode? node)
                ? FuseResult.Ok(new AttrReply { AttrTimeout = Timeout, Attr = node.Attr })
                : FuseResult.Fail<AttrReply>(Errno.ESTALE);
        }
    }

    public override ValueTask<FuseResult<StatXReply>> StatX(FuseContext context, StatXRequest request)
    {
        const uint BasicAndBirth = 0xFFF;
        lock (_gate)
        {
            if (!_nodes.TryGetValue(context.Node.Value, out MemoryNode? node))
                return FuseResult.Fail<StatXReply>(Errno.ESTALE);
            FuseAttr attr = node.Attr;
            return FuseResult.Ok(new StatXReply
            {
                Mask = BasicAndBirth,
                Ino = attr.Ino,
                Size = attr.Size,
                Blocks = attr.Blocks,
                Mode = (ushort)attr.Mode,
                LinkCount = attr.LinkCount,
                Uid = attr.Uid,
                Gid = attr.Gid,
                BlockSize = attr.BlockSize,
                AccessTime = attr.AccessTime,
                ModificationTime = attr.ModificationTime,
                ChangeTime = attr.ChangeTime,
                BirthTime = new FuseTime(1, 2),
            });
        }
    }

    public override ValueTask<FuseResult<AttrReply>> SetAttr(FuseContext context, SetAttrRequest request)
    {
        lock (_gate)
        {
            if (!_nodes.TryGetValue(context.Node.Value, out MemoryNode? node))
                return FuseResult.Fail<AttrReply>(Errno.ESTALE);
            FuseTime now = Now();
            if ((request.Fields & SetAttrFields.Mode) != 0)
                node.Mode = request.Mode;
            if ((request.Fields & SetAttrFields.Uid) != 0)
                node.Uid = request.Uid;
            if ((request.Fields & SetAttrFields.Gid) != 0)
                node.Gid = request.Gid;
            if ((request.Fields & SetAttrFields.Size) != 0)
            {
                node.SetLength(request.Size);
                node.ModificationTime = now;
            }
            if ((request.Fields & SetAttrFields.AccessTime) != 0)
                node.AccessTime = (request.Fields & SetAttrFields.AccessTimeNow) != 0 ? now : request.AccessTime;
            if ((request.Fields & SetAttrFields.ModificationTime) != 0)
                node.ModificationTime = (request.Fields & SetAttrFields.ModificationTimeNow) != 0 ? now : request.ModificationTime;
            node.ChangeTime = now;
            return FuseResult.Ok(new AttrReply { AttrTimeout = Timeout, Attr = node.Attr });
        }
    }

    public override ValueTask<FuseResult<int>> ReadLink(FuseContext context, Memory<byte> destination)
    {
        lock (_gate)
        {
            MemoryNode node = _nodes[context.Node.Value];
            node.Target.CopyTo(destination);
            return FuseResult.Ok(node.Target.Length);
        }
    }

    public override ValueTask<FuseResult<EntryReply>> Symlink(FuseContext context, SymlinkRequest request) =>
        Make(context, request.Name, MemoryNode.TypeLink | 0x1FF, node => node.Target = request.Target.ToArray());

    public override ValueTask<FuseResult<EntryReply>> MkNod(FuseContext context, MkNodRequest request) =>
        Make(context, request.Name, request.Mode, node => node.Device = request.Device);

    public override ValueTask<FuseResult<EntryReply>> MkDir(FuseContext context, MkDirRequest request) =>
        Make(context, request.Name, MemoryNode.TypeDirectory | (request.Mode & 0xFFF), null);

    public override ValueTask<FuseResult> Unlink(FuseContext context, ReadOnlyMemory<byte> name) => Remove(context, name, directory: false);

    public override ValueTask<FuseResult> RmDir(FuseContext context, ReadOnlyMemory<byte> name) => Remove(context, name, directory: true);

    public override ValueTask<FuseResult<EntryReply>> Link(FuseContext context, LinkRequest request)
    {
        lock (_gate)
        {
            if (!TryDirectory(context.Node, out MemoryNode? parent, out Errno error))
                return FuseResult.Fail<EntryReply>(error);
            MemoryNode node = _nodes[request.Source.Value];
            if (!TryAttach(parent, MemoryNode.Text(request.Name.Span), node))
                return FuseResult.Fail<EntryReply>(Errno.EEXIST);
            node.LinkCount++;
            node.ChangeTime = Now();
            return FuseResult.Ok(Known(node));
        }
    }

    public override ValueTask<FuseResult> Rename(FuseContext context, RenameRequest request)
    {
        lock (_gate)
            return FuseResult.Fail(RenameUnderLock(context.Node, request));
    }

    public override ValueTask<FuseResult<StatFsReply>> StatFs(FuseContext context) => FuseResult.Ok(new StatFsReply
    {
        Blocks = Capacity / 4096,
        BlocksFree = Capacity / 8192,
        BlocksAvailable = Capacity / 8192,
        Files = 1_000_000,
        FilesFree = 500_000,
        BlockSize = 4096,
        FragmentSize = 4096,
        MaxNameLength = 255,
    });

    private Errno RenameUnderLock(NodeId from, RenameRequest request)
    {
        if (!TryDirectory(from, out MemoryNode? source, out Errno error) || !TryDirectory(request.NewParent, out MemoryNode? target, out error))
            return error;
        string oldName = MemoryNode.Text(request.Name.Span);
        string newName = MemoryNode.Text(request.NewName.Span);
        if (!source.Entries!.TryGetValue(oldName, out MemoryEntry moved))
            return Errno.ENOENT;
        bool exists = target.Entries!.TryGetValue(newName, out MemoryEntry there);
        if (exists && (request.Flags & RenameFlags.NoReplace) != 0)
            return Errno.EEXIST;
        if ((request.Flags & RenameFlags.Exchange) != 0)
        {
            if (!exists)
                return Errno.ENOENT;
            source.Entries[oldName] = moved with { Node = there.Node };
            target.Entries[newName] = there with { Node = moved.Node };
            return Errno.None;
        }
        if (exists && ReferenceEquals(there.Node, moved.Node))
            return Errno.None;
        if (exists && there.Node.IsDirectory && there.Node.Entries!.Count > 0)
            return Errno.ENOTEMPTY;
        if (exists)
            Detach(target, newName);
        Take(source, oldName);
        TryAttach(target, newName, moved.Node);
        if (moved.Node.IsDirectory && !ReferenceEquals(source, target))
        {
            source.LinkCount--;
            target.LinkCount++;
            moved.Node.Parent = target;
        }
        return Errno.None;
    }

    private FuseResult<EntryReply> Make(FuseContext context, ReadOnlyMemory<byte> name, uint mode, Action<MemoryNode>? finish)
    {
        lock (_gate)
        {
            if (!TryDirectory(context.Node, out MemoryNode? parent, out Errno error))
                return error;
            MemoryNode node = NewNode(mode, context);
            finish?.Invoke(node);
            if (!TryAttach(parent, MemoryNode.Text(name.Span), node))
            {
                _nodes.Remove(node.Number);
                return Errno.EEXIST;
            }
            if (node.IsDirectory)
            {
                parent.LinkCount++;
                node.Parent = parent;
            }
            return Known(node);
        }
    }

    private FuseResult Remove(FuseContext context, ReadOnlyMemory<byte> name, bool directory)
    {
        lock (_gate)
        {
            if (!TryDirectory(context.Node, out MemoryNode? parent, out Errno error))
                return error;
            string text = MemoryNode.Text(name.Span);
            if (!parent.Entries!.TryGetValue(text, out MemoryEntry entry))
                return Errno.ENOENT;
            if (entry.Node.IsDirectory != directory)
                return directory ? Errno.ENOTDIR : Errno.EISDIR;
            if (directory && entry.Node.Entries!.Count > 0)
                return Errno.ENOTEMPTY;
            Detach(parent, text);
            return FuseResult.Success;
        }
    }

    private MemoryNode NewNode(uint mode, FuseContext context)
    {
        MemoryNode node = new(++_lastNumber, mode, context.Uid, context.Gid, Now());
        _nodes[node.Number] = node;
        return node;
    }

    private static bool TryAttach(MemoryNode parent, string name, MemoryNode node)
    {
        ulong cookie = parent.NextCookie;
        if (!parent.Entries!.TryAdd(name, new MemoryEntry(node, cookie)))
            return false;
        parent.Order.Add(cookie, name);
        parent.NextCookie++;
        return true;
    }

    private static void Take(MemoryNode parent, string name)
    {
        parent.Entries!.Remove(name, out MemoryEntry entry);
        parent.Order.Remove(entry.Cookie);
    }

    private void Detach(MemoryNode parent, string name)
    {
        MemoryNode node = parent.Entries![name].Node;
        Take(parent, name);
        node.LinkCount -= node.IsDirectory ? 2u : 1u;
        if (node.IsDirectory)
            parent.LinkCount--;
        node.ChangeTime = parent.ModificationTime = parent.ChangeTime = Now();
        Collect(node);
    }

    /// <summary>Drops a node that has no name, no handle and no lookup.</summary>
    private void Collect(MemoryNode node)
    {
        if (node.LinkCount == 0 && node.Handles == 0 && !Lookups.Contains(new NodeId(node.Number)))
            _nodes.Remove(node.Number);
    }

    private EntryReply Known(MemoryNode node)
    {
        Lookups.Add(new NodeId(node.Number));
        return new EntryReply { Node = new NodeId(node.Number), Generation = 1, EntryTimeout = Timeout, AttrTimeout = Timeout, Attr = node.Attr };
    }

    private bool TryDirectory(NodeId id, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out MemoryNode? node, out Errno error)
    {
        error = !_nodes.TryGetValue(id.Value, out node) ? Errno.ESTALE : node.IsDirectory ? Errno.None : Errno.ENOTDIR;
        return error == Errno.None;
    }

    private FuseTime Now()
    {
        long ticks = (_time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks;
        return new FuseTime(ticks / TimeSpan.TicksPerSecond, (uint)(ticks % TimeSpan.TicksPerSecond) * 100);
    }
}
