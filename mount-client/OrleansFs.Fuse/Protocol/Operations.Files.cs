namespace OrleansFs.Fuse.Protocol;

/// <summary>The rows' handlers: open files and directories.</summary>
internal static unsafe partial class Operations
{
    internal static bool Open(ProtocolEngine engine, Request request) =>
        engine.Complete<OpenReply, ProtocolEngine.Raw<OpenReply>>(request, engine.FileSystem.Open(request.Context, ReadOpen(request)));

    internal static bool OpenDir(ProtocolEngine engine, Request request) =>
        engine.Complete<OpenReply, ProtocolEngine.Raw<OpenReply>>(request, engine.FileSystem.OpenDir(request.Context, ReadOpen(request)));

    internal static bool Create(ProtocolEngine engine, Request request)
    {
        ArgumentReader reader = new(request);
        CreateRequest arguments = ReadCreate(request, reader.Name());
        return reader.Failed
            ? engine.Refuse(request, reader.Error)
            : engine.Complete<CreateReply, ProtocolEngine.Raw<CreateReply>>(request, engine.FileSystem.Create(request.Context, arguments));
    }

    internal static bool TmpFile(ProtocolEngine engine, Request request)
    {
        ArgumentReader reader = new(request);
        CreateRequest arguments = ReadCreate(request, reader.Text());
        return reader.Failed
            ? engine.Refuse(request, reader.Error)
            : engine.Complete<CreateReply, ProtocolEngine.Raw<CreateReply>>(request, engine.FileSystem.TmpFile(request.Context, arguments));
    }

    internal static bool Read(ProtocolEngine engine, Request request)
    {
        ReadWriteIn op = request.ReadOp<ReadWriteIn>();
        if (!request.TryWant(op.size))
            return engine.Refuse(request, Errno.EPROTO);
        if (op.offset > long.MaxValue)
            return engine.Refuse(request, Errno.EINVAL);
        ReadRequest arguments = new(new FileHandle(op.fh), (long)op.offset, (int)op.size, new OpenFlags(op.flags), LockOwner(op));
        return engine.Complete<int, ProtocolEngine.InPlace>(
            request, engine.FileSystem.Read(request.Context, arguments, request.ReplyMemory[..request.Wanted]));
    }

    internal static bool Write(ProtocolEngine engine, Request request)
    {
        ReadWriteIn op = request.ReadOp<ReadWriteIn>();
        ArgumentReader reader = new(request);
        ReadOnlyMemory<byte> data = reader.Bytes(op.size);
        long offset = reader.Offset(op.offset);
        if (reader.Failed)
            return engine.Refuse(request, reader.Error);
        WriteRequest arguments = new(new FileHandle(op.fh), offset, data, (WriteFlags)op.rw_flags, new OpenFlags(op.flags), LockOwner(op));
        return engine.Complete<int, ProtocolEngine.Written>(request, engine.FileSystem.Write(request.Context, arguments));
    }

    internal static bool Flush(ProtocolEngine engine, Request request)
    {
        FlushIn op = request.ReadOp<FlushIn>();
        return engine.Complete(request, engine.FileSystem.Flush(request.Context, new FlushRequest(new FileHandle(op.fh), op.lock_owner)));
    }

    internal static bool Release(ProtocolEngine engine, Request request) =>
        engine.Complete(request, engine.FileSystem.Release(request.Context, ReadRelease(request)));

    internal static bool ReleaseDir(ProtocolEngine engine, Request request) =>
        engine.Complete(request, engine.FileSystem.ReleaseDir(request.Context, ReadRelease(request)));

    internal static bool FSync(ProtocolEngine engine, Request request) =>
        engine.Complete(request, engine.FileSystem.FSync(request.Context, ReadFSync(request)));

    internal static bool FSyncDir(ProtocolEngine engine, Request request) =>
        engine.Complete(request, engine.FileSystem.FSyncDir(request.Context, ReadFSync(request)));

    internal static bool ReadDir(ProtocolEngine engine, Request request)
    {
        ReadWriteIn op = request.ReadOp<ReadWriteIn>();
        if (!request.TryWant(op.size))
            return engine.Refuse(request, Errno.EPROTO);
        ReadDirRequest arguments = new(new FileHandle(op.fh), op.offset, new OpenFlags(op.flags));
        return engine.Complete(request, engine.FileSystem.ReadDir(request.Context, arguments, request.DirectoryWriterFor(isPlus: false)));
    }

    internal static bool ReadDirPlus(ProtocolEngine engine, Request request)
    {
        ReadWriteIn op = request.ReadOp<ReadWriteIn>();
        if (!request.TryWant(op.size))
            return engine.Refuse(request, Errno.EPROTO);
        ReadDirRequest arguments = new(new FileHandle(op.fh), op.offset, new OpenFlags(op.flags));
        return engine.Complete(request, engine.FileSystem.ReadDirPlus(request.Context, arguments, request.DirectoryWriterFor(isPlus: true)));
    }

    internal static bool GetLk(ProtocolEngine engine, Request request) =>
        engine.Complete<FileLock, ProtocolEngine.Raw<FileLock>>(request, engine.FileSystem.GetLk(request.Context, ReadLock(request, wait: false)));

    internal static bool SetLk(ProtocolEngine engine, Request request) =>
        engine.Complete(request, engine.FileSystem.SetLk(request.Context, ReadLock(request, wait: false)));

    /// <summary>Also flock(LOCK_UN), which waits for nothing.</summary>
    internal static bool SetLkW(ProtocolEngine engine, Request request)
    {
        LockRequest asked = ReadLock(request, wait: true);
        return asked.Lock.Type != LockType.Unlock && !request.MayWaitForLock
            ? engine.Refuse(request, Errno.ENOLCK)
            : engine.Complete(request, engine.FileSystem.SetLk(request.Context, asked));
    }

    internal static bool Ioctl(ProtocolEngine engine, Request request)
    {
        IoctlIn op = request.ReadOp<IoctlIn>();
        if ((op.flags & IoctlIn.FUSE_IOCTL_UNRESTRICTED) != 0)
            return engine.Refuse(request, Errno.ENOTTY); // only character devices in user space get to say which memory they want
        ArgumentReader reader = new(request);
        ReadOnlyMemory<byte> input = reader.Bytes(op.in_size);
        if (!request.TryWant(op.out_size) || request.ReplyMemory.Length - IoctlOut.Size < op.out_size)
            reader.Fail(Errno.EPROTO);
        if (reader.Failed)
            return engine.Refuse(request, reader.Error);
        IoctlRequest arguments = new(
            new FileHandle(op.fh), op.cmd, op.arg, request.Preserve(input), (op.flags & IoctlIn.FUSE_IOCTL_DIR) != 0,
            (op.flags & (IoctlIn.FUSE_IOCTL_COMPAT | IoctlIn.FUSE_IOCTL_32BIT)) != 0);
        return engine.Complete<IoctlReply, ProtocolEngine.IoctlDone>(
            request, engine.FileSystem.Ioctl(request.Context, arguments, request.ReplyMemory.Slice(IoctlOut.Size, request.Wanted)));
    }

    internal static bool Poll(ProtocolEngine engine, Request request)
    {
        PollIn op = request.ReadOp<PollIn>();
        PollRequest arguments = new(new FileHandle(op.fh), op.kh, op.events, (op.flags & PollIn.FUSE_POLL_SCHEDULE_NOTIFY) != 0);
        return engine.Complete<uint, ProtocolEngine.Polled>(request, engine.FileSystem.Poll(request.Context, arguments));
    }

    internal static bool FAllocate(ProtocolEngine engine, Request request)
    {
        FAllocateIn op = request.ReadOp<FAllocateIn>();
        ArgumentReader reader = new(request);
        FAllocateRequest arguments = new(new FileHandle(op.fh), reader.Offset(op.offset), reader.Offset(op.length), (FAllocateMode)op.mode);
        return reader.Failed ? engine.Refuse(request, reader.Error) : engine.Complete(request, engine.FileSystem.FAllocate(request.Context, arguments));
    }

    internal static bool LSeek(ProtocolEngine engine, Request request)
    {
        LSeekIn op = request.ReadOp<LSeekIn>();
        LSeekRequest arguments = new(new FileHandle(op.fh), (long)op.offset, (SeekWhence)op.whence);
        return engine.Complete<long, ProtocolEngine.Raw<long>>(request, engine.FileSystem.LSeek(request.Context, arguments));
    }

    internal static bool CopyFileRange(ProtocolEngine engine, Request request)
    {
        const ulong Longest = uint.MaxValue & ~4095u; // what the 32-bit answer can say, in whole pages
        ArgumentReader reader = new(request);
        CopyFileRangeRequest arguments = ReadCopy(request, ref reader, Longest);
        return reader.Failed
            ? engine.Refuse(request, reader.Error)
            : engine.Complete<long, ProtocolEngine.Copied32>(request, engine.FileSystem.CopyFileRange(request.Context, arguments));
    }

    internal static bool CopyFileRange64(ProtocolEngine engine, Request request)
    {
        ArgumentReader reader = new(request);
        CopyFileRangeRequest arguments = ReadCopy(request, ref reader, long.MaxValue);
        return reader.Failed
            ? engine.Refuse(request, reader.Error)
            : engine.Complete<long, ProtocolEngine.Raw<long>>(request, engine.FileSystem.CopyFileRange(request.Context, arguments));
    }

    private static OpenRequest ReadOpen(Request request)
    {
        OpenIn op = request.ReadOp<OpenIn>();
        return new OpenRequest(new OpenFlags(op.flags), (op.open_flags & OpenIn.FUSE_OPEN_KILL_SUIDGID) != 0);
    }

    private static CreateRequest ReadCreate(Request request, ReadOnlyMemory<byte> name)
    {
        CreateIn op = request.ReadOp<CreateIn>();
        return new CreateRequest(name, new OpenFlags(op.flags), op.mode, op.umask, (op.open_flags & OpenIn.FUSE_OPEN_KILL_SUIDGID) != 0);
    }

    private static ReleaseRequest ReadRelease(Request request)
    {
        ReleaseIn op = request.ReadOp<ReleaseIn>();
        return new ReleaseRequest(new FileHandle(op.fh), new OpenFlags(op.flags), (ReleaseFlags)op.release_flags, op.lock_owner);
    }

    private static FSyncRequest ReadFSync(Request request)
    {
        FSyncIn op = request.ReadOp<FSyncIn>();
        return new FSyncRequest(new FileHandle(op.fh), (op.fsync_flags & FSyncIn.FUSE_FSYNC_FDATASYNC) != 0);
    }

    private static LockRequest ReadLock(Request request, bool wait)
    {
        LkIn op = request.ReadOp<LkIn>();
        return new LockRequest(new FileHandle(op.fh), op.owner, op.lk, (op.lk_flags & LkIn.FUSE_LK_FLOCK) != 0, wait);
    }

    private static CopyFileRangeRequest ReadCopy(Request request, ref ArgumentReader reader, ulong longest)
    {
        CopyFileRangeIn op = request.ReadOp<CopyFileRangeIn>();
        return new CopyFileRangeRequest(
            new FileHandle(op.fh_in), reader.Offset(op.off_in), new NodeId(op.nodeid_out), new FileHandle(op.fh_out), reader.Offset(op.off_out),
            (long)Math.Min(op.len, longest), op.flags);
    }

    private static ulong? LockOwner(in ReadWriteIn op) => (op.rw_flags & ReadWriteIn.LockOwnerValid) != 0 ? op.lock_owner : null;
}
