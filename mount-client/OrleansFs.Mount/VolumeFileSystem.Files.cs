using System.Collections.Concurrent;
using OrleansFs.Fuse;
using OrleansFs.Model;
using Errno = OrleansFs.Fuse.Errno;

namespace OrleansFs.Mount;

/// <summary>Content: open, read, write, allocate, copy, sync. The node says all, but who appends records, and whose locks go with an open file.</summary>
internal sealed partial class VolumeFileSystem
{
    private const FAllocateMode KnownAllocation = FAllocateMode.KeepSize | FAllocateMode.PunchHole | FAllocateMode.ZeroRange;

    /// <summary>Content by its hash stays what it is.</summary>
    private static readonly OpenReply s_kept = new(default, OpenReplyFlags.KeepCache);

    /// <summary>Who appends to an append-only file: each write comes as the program made it, past the page cache, which would cut writes at pages and join them.</summary>
    private static readonly OpenReply s_records = new(new FileHandle(RecordsHandle), OpenReplyFlags.DirectIO);

    /// <summary>The bit of a handle that says so.</summary>
    private const ulong RecordsHandle = 1;

    /// <summary>Files of which the kernel has been shown a set-user-ID or set-group-ID bit. What it knows is noted, not what the volume knows: to ask that may take a message for each write.</summary>
    private readonly ConcurrentDictionary<NodeId, byte> _privileged = new();

    /// <summary>What the kernel decides at an open from the flags of an inode in its own file systems (fs/namei.c, may_open and inode_permission) is decided here: a FUSE inode has no flags.</summary>
    public override ValueTask<FuseResult<OpenReply>> Open(FuseContext context, OpenRequest request)
    {
        if (!request.Flags.CanWrite)
            return OpenForReading(context, request.Flags);
        var call = _volume.GetAttributesAsync(Translate.Inode(context.Node), Cancellation(context));
        return call.IsCompletedSuccessfully ? new(Allowed(call.Result, request.Flags, context.Node)) : Wait(call, request.Flags, context.Node);

        FuseResult<OpenReply> Allowed(FsResult<Attributes> result, OpenFlags flags, NodeId node) =>
            !result.TryGet(out var attributes, out var error) ? Translate.Error(error)
            : (attributes.Flags & InodeFlags.Immutable) != 0 || ((attributes.Flags & InodeFlags.AppendOnly) != 0 && !flags.Append) ? Errno.EPERM
            : (attributes.Flags & InodeFlags.AppendOnly) != 0 && attributes.IsRegular ? Numbered(s_records)
            : _policy.IsTold ? OpenTold(node)
            : Numbered(_opened);
        async ValueTask<FuseResult<OpenReply>> Wait(ValueTask<FsResult<Attributes>> pending, OpenFlags flags, NodeId node) => Allowed(await pending, flags, node);
    }

    public override ValueTask<FuseResult> Release(FuseContext context, ReleaseRequest request)
    {
        if (_outdated.ContainsKey(context.Node))
            _ = PruneClosedAsync(context.Node);
        return _policy.KernelLocks ? new(FuseResult.Success) : ReleaseLocks(context.Node, request);
    }

    /// <summary>Asks the kernel to forget a file once it is closed. RELEASE is sent while the program that closes it still holds the name, by which a request that comes at once is in vain: it is made again until FORGET shows that it was not.</summary>
    private async Task PruneClosedAsync(NodeId node)
    {
        for (var wait = Limits.FirstPruneAgain; wait <= Limits.LastPruneAgain && _outdated.ContainsKey(node) && Notifier?.TryPrune(node) == true; wait *= 2)
            await Task.Delay(wait, TimeProvider.System);
    }

    public override ValueTask<FuseResult<int>> Read(FuseContext context, ReadRequest request, Memory<byte> destination)
    {
        NotePages(context.Node);
        return Value(_volume.ReadAsync(Translate.Inode(context.Node), request.Offset, destination, Translate.ReadFlags(request.Flags), Cancellation(context)));
    }

    public override ValueTask<FuseResult<int>> Write(FuseContext context, WriteRequest request)
    {
        NotePages(context.Node);
        var call = WriteToVolume(context, request);
        bool direct = request.Flags.Direct && (request.WriteFlags & Fuse.WriteFlags.Cache) == 0;
        return direct && Notifier is { } notifier ? PastTheCache(notifier, context.Node, request.Offset, request.Data.Length) : call;

        // The kernel drops the pages that a direct write made stale, but not those of an asynchronous one (io_submit(2)), and does not tell the two apart: a reader would see what was there before.
        async ValueTask<FuseResult<int>> PastTheCache(FuseNotifier notifier, NodeId node, long offset, int length)
        {
            var result = await call;
            if (result.IsSuccess && notifier.TryInvalidateInode(node, offset, length))
                await notifier.FlushAsync(CancellationToken.None);
            return result;
        }
    }

    private ValueTask<FuseResult<int>> WriteToVolume(FuseContext context, WriteRequest request)
    {
        if ((request.WriteFlags & Fuse.WriteFlags.KillSuidGid) != 0 && _privileged.ContainsKey(context.Node))
            return WriteWithout(context, request);
        var call = _volume.WriteAsync(Translate.Inode(context.Node), request.Offset, request.Data, HowToWrite(request), Cancellation(context));
        return call.IsCompletedSuccessfully ? new(Written(call.Result, request.Data.Length)) : Wait(call, request.Data.Length);

        static async ValueTask<FuseResult<int>> Wait(ValueTask<FsResult<long>> pending, int length) => Written(await pending, length);
    }

    private static FuseResult<int> Written(FsResult<long> result, int length) => result.IsOk ? length : Translate.Error(result.Error);

    private async ValueTask<FuseResult<int>> WriteWithout(FuseContext context, WriteRequest request)
    {
        var error = await GiveUpPrivilegesAsync(context, context.Node);
        return error != Errno.None
            ? error
            : Written(await _volume.WriteAsync(Translate.Inode(context.Node), request.Offset, request.Data, HowToWrite(request), Cancellation(context)), request.Data.Length);
    }

    /// <summary>The kernel is told that a file has a set-user-ID or set-group-ID bit.</summary>
    private void NotePrivileges(in Attributes attributes)
    {
        if ((attributes.Mode & (Mode.S_ISUID | Mode.S_ISGID)) != 0 && !attributes.IsDirectory)
            _privileged[Translate.Node(attributes.Inode)] = 0;
    }

    /// <summary>
    /// Clears what a change by an ordinary user must clear, and tells the kernel, which under FUSE_HANDLE_KILLPRIV_V2 leaves it to us and keeps showing the old mode. A write does it by itself in the volume, together with the write: it is only for
    /// what the kernel has been shown.
    /// </summary>
    private async ValueTask<Errno> GiveUpPrivilegesAsync(FuseContext context, NodeId node)
    {
        _privileged.TryRemove(node, out _);
        var known = await _volume.GetAttributesAsync(Translate.Inode(node), Cancellation(context));
        if (!known.TryGet(out var attributes, out var unknown))
            return Translate.Error(unknown);
        if (attributes.IsDirectory || (attributes.Mode & (Mode.S_ISUID | Mode.S_ISGID)) == 0)
            return Errno.None;
        var change = new AttributeChange { Mask = AttributeMask.KillPrivileges };
        // As setattr_should_drop_sgid of the kernel: the volume, which does not know the caller's groups, leaves the bit where the group may not execute. Of them only the first is told: one who is in the file's group by another loses the bit too.
        if ((attributes.Mode & (Mode.S_ISGID | Mode.S_IXGRP)) == Mode.S_ISGID && context.Gid != attributes.Gid)
            change = new AttributeChange { Mask = AttributeMask.KillPrivileges | AttributeMask.Mode, Mode = attributes.Mode & ~(Mode.S_ISUID | Mode.S_ISGID) };
        var result = await _volume.SetAttributesAsync(Translate.Inode(node), change, CallerOf(context, 0), Cancellation(context));
        if (!result.IsOk)
            return Translate.Error(result.Error);
        Notifier?.InvalidateAttributes(node);
        return Errno.None;
    }

    private Model.WriteFlags HowToWrite(WriteRequest request)
    {
        var flags = Model.WriteFlags.None;
        bool cached = (request.WriteFlags & Fuse.WriteFlags.Cache) != 0;
        if (cached)
            flags |= Model.WriteFlags.FromPageCache;
        if ((request.WriteFlags & Fuse.WriteFlags.KillSuidGid) != 0)
            flags |= Model.WriteFlags.KillPrivileges;
        // Alone, the kernel knows the end of the file and gives the right offset. Among others only the volume does.
        bool isRecord = (request.Handle.Value & RecordsHandle) != 0 && !cached;
        if (isRecord || (request.Flags.Append && !cached && !_policy.WritebackCache))
            flags |= Model.WriteFlags.Append;
        if (isRecord)
            flags |= Model.WriteFlags.Record;
        return flags;
    }

    public override ValueTask<FuseResult> FSync(FuseContext context, FSyncRequest request) =>
        Done(_volume.SyncAsync(Translate.Inode(context.Node), request.DataOnly, Cancellation(context)));

    public override ValueTask<FuseResult> FSyncDir(FuseContext context, FSyncRequest request) =>
        Done(_volume.SyncAsync(Translate.Inode(context.Node), request.DataOnly, Cancellation(context)));

    public override ValueTask<FuseResult> SyncFs(FuseContext context) => Done(_volume.SyncAllAsync(Cancellation(context)));

    public override ValueTask<FuseResult> FAllocate(FuseContext context, FAllocateRequest request) =>
        (request.Mode & ~KnownAllocation) != 0
            ? new(FuseResult.Fail(Errno.EOPNOTSUPP))
            : context.Uid != 0
                ? AllocateWithout(context, request)
                : Done(_volume.AllocateAsync(Translate.Inode(context.Node), (AllocateMode)request.Mode, request.Offset, request.Length, Cancellation(context)));

    private async ValueTask<FuseResult> AllocateWithout(FuseContext context, FAllocateRequest request)
    {
        var error = await GiveUpPrivilegesAsync(context, context.Node);
        return error != Errno.None
            ? FuseResult.Fail(error)
            : await Done(_volume.AllocateAsync(Translate.Inode(context.Node), (AllocateMode)request.Mode, request.Offset, request.Length, Cancellation(context)));
    }

    /// <remarks>
    /// The kernel asks without first sending the dirty pages that it collects (fs/fuse/file.c, fuse_lseek): the volume would call a hole what a program has just written,
    /// and a copy would lose it. Invalidating the pages makes the kernel write them; the inode lock that it holds meanwhile is not needed for that.
    /// </remarks>
    public override ValueTask<FuseResult<long>> LSeek(FuseContext context, LSeekRequest request)
    {
        if (request.Whence is not (SeekWhence.Data or SeekWhence.Hole))
            return new(Errno.EINVAL);
        var inode = Translate.Inode(context.Node);
        var cancellation = Cancellation(context);
        return _policy.WritebackCache && Notifier?.TryInvalidateInode(context.Node, request.Offset) == true
            ? SeekWritten(Notifier)
            : Value(_volume.SeekAsync(inode, request.Offset, (SeekKind)request.Whence, cancellation));

        async ValueTask<FuseResult<long>> SeekWritten(FuseNotifier notifier)
        {
            await notifier.FlushAsync(cancellation);
            return Value(await _volume.SeekAsync(inode, request.Offset, (SeekKind)request.Whence, cancellation));
        }
    }

    public override ValueTask<FuseResult<long>> CopyFileRange(FuseContext context, CopyFileRangeRequest request) =>
        request.Flags != 0 ? new(Errno.EINVAL)
        : context.Uid != 0 ? CopyWithout(context, request)
        : Value(Copy(context, request));

    private ValueTask<FsResult<long>> Copy(FuseContext context, CopyFileRangeRequest request) =>
        _volume.CopyRangeAsync(Translate.Inode(context.Node), request.Offset, Translate.Inode(request.TargetNode), request.TargetOffset, request.Length, Cancellation(context));

    private async ValueTask<FuseResult<long>> CopyWithout(FuseContext context, CopyFileRangeRequest request)
    {
        var error = await GiveUpPrivilegesAsync(context, request.TargetNode);
        return error != Errno.None ? error : await Value(Copy(context, request));
    }
}
