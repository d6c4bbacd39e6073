using System.Runtime.CompilerServices;
using Entry = OrleansFs.Fuse.Protocol.ProtocolEngine.Raw<OrleansFs.Fuse.EntryReply>;

namespace OrleansFs.Fuse.Protocol;

/// <summary>The rows' handlers: names and attributes.</summary>
internal static unsafe partial class Operations
{
    internal static bool Lookup(ProtocolEngine engine, Request request)
    {
        ArgumentReader reader = new(request);
        ReadOnlyMemory<byte> name = reader.Name();
        return reader.Failed
            ? engine.Refuse(request, reader.Error)
            : engine.Complete<EntryReply, Entry>(request, engine.FileSystem.Lookup(request.Context, name));
    }

    internal static bool GetAttr(ProtocolEngine engine, Request request)
    {
        GetAttrIn op = request.ReadOp<GetAttrIn>();
        GetAttrRequest arguments = new(HandleIf((op.getattr_flags & GetAttrIn.FUSE_GETATTR_FH) != 0, op.fh));
        return engine.Complete<AttrReply, ProtocolEngine.Raw<AttrReply>>(request, engine.FileSystem.GetAttr(request.Context, arguments));
    }

    internal static bool StatX(ProtocolEngine engine, Request request)
    {
        StatXIn op = request.ReadOp<StatXIn>();
        StatXRequest arguments = new(HandleIf((op.getattr_flags & GetAttrIn.FUSE_GETATTR_FH) != 0, op.fh), op.sx_flags, op.sx_mask);
        return engine.Complete<StatXReply, ProtocolEngine.Raw<StatXReply>>(request, engine.FileSystem.StatX(request.Context, arguments));
    }

    internal static bool SetAttr(ProtocolEngine engine, Request request)
    {
        SetAttrIn op = request.ReadOp<SetAttrIn>();
        SetAttrFields fields = (SetAttrFields)op.valid;
        if ((fields & SetAttrFields.Size) != 0 && op.size > long.MaxValue)
            return engine.Refuse(request, Errno.EFBIG);
        SetAttrRequest arguments = new()
        {
            Fields = fields,
            Handle = HandleIf((fields & SetAttrFields.Handle) != 0, op.fh),
            Size = (long)(op.size & long.MaxValue),
            LockOwner = (fields & SetAttrFields.LockOwner) != 0 ? op.lock_owner : null,
            AccessTime = new FuseTime(op.atime, op.atimensec),
            ModificationTime = new FuseTime(op.mtime, op.mtimensec),
            ChangeTime = new FuseTime(op.ctime, op.ctimensec),
            Mode = op.mode,
            Uid = op.uid,
            Gid = op.gid,
        };
        return engine.Complete<AttrReply, ProtocolEngine.Raw<AttrReply>>(request, engine.FileSystem.SetAttr(request.Context, arguments));
    }

    internal static bool ReadLink(ProtocolEngine engine, Request request)
    {
        const int PathMax = 4096;
        if (!request.TryWant(PathMax - 1)) // the kernel takes a page less the NUL that it adds
            return engine.Refuse(request, Errno.EPROTO);
        return engine.Complete<int, ProtocolEngine.InPlace>(
            request, engine.FileSystem.ReadLink(request.Context, request.ReplyMemory[..request.Wanted]));
    }

    internal static bool Symlink(ProtocolEngine engine, Request request)
    {
        ArgumentReader reader = new(request);
        SymlinkRequest arguments = new(reader.Name(), reader.Text());
        return reader.Failed
            ? engine.Refuse(request, reader.Error)
            : engine.Complete<EntryReply, Entry>(request, engine.FileSystem.Symlink(request.Context, arguments));
    }

    internal static bool MkNod(ProtocolEngine engine, Request request)
    {
        MkNodIn op = request.ReadOp<MkNodIn>();
        ArgumentReader reader = new(request);
        MkNodRequest arguments = new(reader.Name(), op.mode, op.rdev, op.umask);
        return reader.Failed
            ? engine.Refuse(request, reader.Error)
            : engine.Complete<EntryReply, Entry>(request, engine.FileSystem.MkNod(request.Context, arguments));
    }

    internal static bool MkDir(ProtocolEngine engine, Request request)
    {
        MkDirIn op = request.ReadOp<MkDirIn>();
        ArgumentReader reader = new(request);
        MkDirRequest arguments = new(reader.Name(), op.mode, op.umask);
        return reader.Failed
            ? engine.Refuse(request, reader.Error)
            : engine.Complete<EntryReply, Entry>(request, engine.FileSystem.MkDir(request.Context, arguments));
    }

    internal static bool Unlink(ProtocolEngine engine, Request request)
    {
        ArgumentReader reader = new(request);
        ReadOnlyMemory<byte> name = reader.Name();
        return reader.Failed ? engine.Refuse(request, reader.Error) : engine.Complete(request, engine.FileSystem.Unlink(request.Context, name));
    }

    internal static bool RmDir(ProtocolEngine engine, Request request)
    {
        ArgumentReader reader = new(request);
        ReadOnlyMemory<byte> name = reader.Name();
        return reader.Failed ? engine.Refuse(request, reader.Error) : engine.Complete(request, engine.FileSystem.RmDir(request.Context, name));
    }

    internal static bool Rename(ProtocolEngine engine, Request request) =>
        Rename(engine, request, request.ReadOp<RenameIn>().newdir, RenameFlags.None);

    internal static bool Rename2(ProtocolEngine engine, Request request)
    {
        Rename2In op = request.ReadOp<Rename2In>();
        return Rename(engine, request, op.newdir, (RenameFlags)op.flags);
    }

    internal static bool Link(ProtocolEngine engine, Request request)
    {
        LinkIn op = request.ReadOp<LinkIn>();
        ArgumentReader reader = new(request);
        LinkRequest arguments = new(new NodeId(op.oldnodeid), reader.Name());
        return reader.Failed
            ? engine.Refuse(request, reader.Error)
            : engine.Complete<EntryReply, Entry>(request, engine.FileSystem.Link(request.Context, arguments));
    }

    internal static bool Access(ProtocolEngine engine, Request request) =>
        engine.Complete(request, engine.FileSystem.Access(request.Context, (AccessMask)request.ReadOp<AccessIn>().mask));

    internal static bool StatFs(ProtocolEngine engine, Request request) =>
        engine.Complete<StatFsReply, ProtocolEngine.Raw<StatFsReply>>(request, engine.FileSystem.StatFs(request.Context));

    internal static bool SyncFs(ProtocolEngine engine, Request request) => engine.Complete(request, engine.FileSystem.SyncFs(request.Context));

    internal static bool SetXAttr(ProtocolEngine engine, Request request)
    {
        // The extended form has one more flag; in the short one those bytes are the name's.
        bool extended = (engine.Capabilities & FuseCapabilities.SetXAttrExtended) != 0;
        SetXAttrIn op = default;
        Unsafe.CopyBlockUnaligned(&op, request.Op, extended ? (uint)sizeof(SetXAttrIn) : SetXAttrIn.CompatSize);
        bool killSgid = (op.setxattr_flags & SetXAttrIn.FUSE_SETXATTR_ACL_KILL_SGID) != 0;
        ArgumentReader reader = new(request);
        SetXAttrRequest arguments = new(reader.Name(), reader.Bytes(op.size), (XAttrFlags)op.flags, killSgid);
        return reader.Failed ? engine.Refuse(request, reader.Error) : engine.Complete(request, engine.FileSystem.SetXAttr(request.Context, arguments));
    }

    internal static bool GetXAttr(ProtocolEngine engine, Request request)
    {
        ArgumentReader reader = new(request);
        ReadOnlyMemory<byte> name = reader.Name();
        if (!request.TryWant(request.ReadOp<GetXAttrInOut>().size))
            reader.Fail(Errno.EPROTO);
        return reader.Failed
            ? engine.Refuse(request, reader.Error)
            : engine.Complete<int, ProtocolEngine.XAttr>(
                request, engine.FileSystem.GetXAttr(request.Context, request.Preserve(name), request.ReplyMemory[..request.Wanted]));
    }

    internal static bool ListXAttr(ProtocolEngine engine, Request request)
    {
        if (!request.TryWant(request.ReadOp<GetXAttrInOut>().size))
            return engine.Refuse(request, Errno.EPROTO);
        return engine.Complete<int, ProtocolEngine.XAttr>(
            request, engine.FileSystem.ListXAttr(request.Context, request.ReplyMemory[..request.Wanted]));
    }

    internal static bool RemoveXAttr(ProtocolEngine engine, Request request)
    {
        ArgumentReader reader = new(request);
        ReadOnlyMemory<byte> name = reader.Name();
        return reader.Failed ? engine.Refuse(request, reader.Error) : engine.Complete(request, engine.FileSystem.RemoveXAttr(request.Context, name));
    }

    private static bool Rename(ProtocolEngine engine, Request request, ulong newParent, RenameFlags flags)
    {
        ArgumentReader reader = new(request);
        RenameRequest arguments = new(reader.Name(), new NodeId(newParent), reader.Name(), flags);
        return reader.Failed ? engine.Refuse(request, reader.Error) : engine.Complete(request, engine.FileSystem.Rename(request.Context, arguments));
    }

    private static FileHandle? HandleIf(bool valid, ulong handle) => valid ? new FileHandle(handle) : null;
}
