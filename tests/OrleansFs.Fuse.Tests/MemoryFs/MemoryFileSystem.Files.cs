namespace OrleansFs.Fuse.Tests.MemoryFs;

/// <summary>Open files and directories.</summary>
internal sealed partial class MemoryFileSystem
{
    /// <summary>Reading a file of this name throws.</summary>
    internal const string ThrowingName = "throw";

    /// <summary>Reading a file of this name throws after it waited.</summary>
    internal const string ThrowingLaterName = "throw-later";

    /// <summary>Reading a file of this name waits for <see cref="Gate"/>, or for its cancellation.</summary>
    internal const string WaitingName = "wait";

    /// <summary>Reading a file of this name waits for the pool, and then answers.</summary>
    internal const string LaterName = "later";

    private readonly Dictionary<ulong, string> _special = [];

    /// <summary>Opened to let the waiting reads go.</summary>
    internal TaskCompletionSource Gate { get; set; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Counts a read that waits.</summary>
    internal SemaphoreSlim Waiting { get; } = new(0);

    /// <summary>Counts a read that was cancelled.</summary>
    internal SemaphoreSlim Cancelled { get; } = new(0);

    public override ValueTask<FuseResult<OpenReply>> Open(FuseContext context, OpenRequest request)
    {
        lock (_gate)
        {
            if (!_nodes.TryGetValue(context.Node.Value, out MemoryNode? node))
                return FuseResult.Fail<OpenReply>(Errno.ESTALE);
            if (request.Flags.Truncate)
                node.SetLength(0);
            node.Handles++;
            return FuseResult.Ok(Opened(node));
        }
    }

    public override ValueTask<FuseResult<CreateReply>> Create(FuseContext context, CreateRequest request)
    {
        lock (_gate)
        {
            if (!TryDirectory(context.Node, out MemoryNode? parent, out Errno error))
                return FuseResult.Fail<CreateReply>(error);
            string name = MemoryNode.Text(request.Name.Span);
            if (!parent.Entries!.TryGetValue(name, out MemoryEntry entry))
            {
                MemoryNode made = NewNode(request.Mode, context);
                if (name is ThrowingName or ThrowingLaterName or WaitingName or LaterName)
                    _special[made.Number] = name;
                TryAttach(parent, name, made);
                entry = new MemoryEntry(made, 0);
            }
            else if (request.Flags.Exclusive)
            {
                return FuseResult.Fail<CreateReply>(Errno.EEXIST);
            }
            entry.Node.Handles++;
            return FuseResult.Ok(new CreateReply(Known(entry.Node), Opened(entry.Node)));
        }
    }

    public override ValueTask<FuseResult<CreateReply>> TmpFile(FuseContext context, CreateRequest request)
    {
        lock (_gate)
        {
            MemoryNode node = NewNode(request.Mode, context);
            node.LinkCount = 0;
            node.Handles++;
            return FuseResult.Ok(new CreateReply(Known(node), Opened(node)));
        }
    }

    public override ValueTask<FuseResult<int>> Read(FuseContext context, ReadRequest request, Memory<byte> destination)
    {
        lock (_gate)
        {
            if (_special.Count > 0 && _special.TryGetValue(context.Node.Value, out string? name))
                return ReadSpecial(name, context, destination);
            return FuseResult.Ok(_nodes[context.Node.Value].Read(request.Offset, destination.Span));
        }
    }

    public override ValueTask<FuseResult<int>> Write(FuseContext context, WriteRequest request)
    {
        lock (_gate)
        {
            MemoryNode node = _nodes[context.Node.Value];
            node.Write(request.Offset, request.Data.Span);
            node.ModificationTime = node.ChangeTime = Now();
            return FuseResult.Ok(request.Data.Length);
        }
    }

    public override ValueTask<FuseResult> Flush(FuseContext context, FlushRequest request)
    {
        lock (_gate)
            Unlock(context.Node.Value, request.LockOwner, isFlock: false);
        return FuseResult.Success;
    }

    public override ValueTask<FuseResult> FSync(FuseContext context, FSyncRequest request) => FuseResult.Success;

    public override ValueTask<FuseResult> FSyncDir(FuseContext context, FSyncRequest request) => FuseResult.Success;

    public override ValueTask<FuseResult> SyncFs(FuseContext context) => FuseResult.Success;

    public override ValueTask<FuseResult> Release(FuseContext context, ReleaseRequest request)
    {
        lock (_gate)
        {
            if ((request.ReleaseFlags & ReleaseFlags.UnlockFlock) != 0)
                Unlock(context.Node.Value, request.LockOwner, isFlock: true);
            MemoryNode node = _nodes[context.Node.Value];
            node.Handles--;
            Collect(node);
        }
        return FuseResult.Success;
    }

    public override ValueTask<FuseResult<OpenReply>> OpenDir(FuseContext context, OpenRequest request)
    {
        lock (_gate)
        {
            if (!TryDirectory(context.Node, out MemoryNode? node, out Errno error))
                return FuseResult.Fail<OpenReply>(error);
            node.Handles++;
            return FuseResult.Ok(new OpenReply(new FileHandle(node.Number)));
        }
    }

    public override ValueTask<FuseResult> ReleaseDir(FuseContext context, ReleaseRequest request) => Release(context, request);

    public override ValueTask<FuseResult> ReadDir(FuseContext context, ReadDirRequest request, DirectoryWriter writer)
    {
        lock (_gate)
            List(_nodes[context.Node.Value], request.Offset, writer);
        return FuseResult.Success;
    }

    public override ValueTask<FuseResult> ReadDirPlus(FuseContext context, ReadDirRequest request, DirectoryWriter writer) =>
        ReadDir(context, request, writer);

    public override ValueTask<FuseResult> FAllocate(FuseContext context, FAllocateRequest request)
    {
        lock (_gate)
        {
            MemoryNode node = _nodes[context.Node.Value];
            if ((request.Mode & ~(FAllocateMode.KeepSize | FAllocateMode.PunchHole | FAllocateMode.ZeroRange)) != 0)
                return FuseResult.Fail(Errno.EOPNOTSUPP);
            if ((request.Mode & (FAllocateMode.PunchHole | FAllocateMode.ZeroRange)) != 0)
                node.Zero(request.Offset, request.Length);
            if ((request.Mode & FAllocateMode.KeepSize) == 0 && request.Offset + request.Length > node.Length)
                node.SetLength(request.Offset + request.Length);
            return FuseResult.Success;
        }
    }

    public override ValueTask<FuseResult<long>> LSeek(FuseContext context, LSeekRequest request)
    {
        lock (_gate)
        {
            return _nodes[context.Node.Value].Seek(request.Offset, request.Whence == SeekWhence.Data) is long found
                ? FuseResult.Ok(found)
                : FuseResult.Fail<long>(Errno.ENXIO);
        }
    }

    public override ValueTask<FuseResult<long>> CopyFileRange(FuseContext context, CopyFileRangeRequest request)
    {
        lock (_gate)
        {
            MemoryNode source = _nodes[context.Node.Value];
            byte[] bytes = new byte[Math.Clamp(source.Length - request.Offset, 0, request.Length)];
            source.Read(request.Offset, bytes);
            _nodes[request.TargetNode.Value].Write(request.TargetOffset, bytes);
            return FuseResult.Ok((long)bytes.Length);
        }
    }

    public override ValueTask<FuseResult<IoctlReply>> Ioctl(FuseContext context, IoctlRequest request, Memory<byte> destination)
    {
        // _IOWR('o', 1, 8 bytes): answers the input backwards.
        if (request.Command != 0xC0086F01 || request.Input.Length != 8)
            return FuseResult.Fail<IoctlReply>(Errno.ENOTTY);
        request.Input.CopyTo(destination);
        destination.Span[..8].Reverse();
        return FuseResult.Ok(new IoctlReply(0, 8));
    }

    public override ValueTask<FuseResult<uint>> Poll(FuseContext context, PollRequest request) => FuseResult.Ok(request.Events & 0x5);

    private OpenReply Opened(MemoryNode node)
    {
        bool direct = DirectIO || _special.ContainsKey(node.Number);
        return new OpenReply(new FileHandle(node.Number), direct ? OpenReplyFlags.DirectIO : OpenReplyFlags.KeepCache);
    }

    private async ValueTask<FuseResult<int>> ReadSpecial(string name, FuseContext context, Memory<byte> destination)
    {
        if (name == ThrowingName)
            throw new InvalidOperationException("this file throws");
        if (name == WaitingName)
        {
            CancellationToken token = context.CancellationToken;
            Waiting.Release();
            try
            {
                await Gate.Task.WaitAsync(token);
            }
            catch (OperationCanceledException)
            {
                Cancelled.Release();
                return Errno.EINTR;
            }
            return 0;
        }
        await Task.Yield();
        if (name == ThrowingLaterName)
            throw new InvalidOperationException("this file throws later");
        destination.Span.Fill((byte)'L');
        return Math.Min(destination.Length, 100);
    }

    private void List(MemoryNode node, ulong offset, DirectoryWriter writer)
    {
        if (offset < 1 && !writer.TryAdd("."u8, node.Number, FileType.Directory, 1))
            return;
        if (offset < 2 && !writer.TryAdd(".."u8, node.Parent!.Number, FileType.Directory, 2))
            return;
        IList<ulong> cookies = node.Order.Keys;
        for (int i = FirstAfter(cookies, offset); i < cookies.Count; i++)
        {
            string name = node.Order.Values[i];
            MemoryNode child = node.Entries![name].Node;
            byte[] bytes = System.Text.Encoding.Latin1.GetBytes(name);
            if (!writer.Fits(bytes.Length))
                return;
            if (writer.IsPlus)
                writer.TryAdd(bytes, Known(child), cookies[i]);
            else
                writer.TryAdd(bytes, child.Number, (FileType)(child.Mode >> 12), cookies[i]);
        }
    }

    private static int FirstAfter(IList<ulong> cookies, ulong offset)
    {
        (int low, int high) = (0, cookies.Count);
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = cookies[middle] <= offset ? (middle + 1, high) : (low, middle);
        }
        return low;
    }
}
