using OrleansFs.Fuse;
using OrleansFs.Model;
using Errno = OrleansFs.Fuse.Errno;

namespace OrleansFs.Mount;

/// <summary>Names: find, make, link, remove, rename, list.</summary>
internal sealed partial class VolumeFileSystem
{
    public override ValueTask<FuseResult<EntryReply>> Lookup(FuseContext context, ReadOnlyMemory<byte> name)
    {
        var asked = Asking(context.Node);
        // A file handle of name_to_handle_at(2) is resolved by looking "." up in the inode itself, which may be no directory.
        var call = name.Span.SequenceEqual("."u8) && !Translate.Inode(context.Node).IsOfMount
            ? _volume.GetAttributesAsync(Translate.Inode(context.Node), Cancellation(context))
            : _volume.LookupAsync(Translate.Inode(context.Node), name, Cancellation(context));
        // What is not known by its hash may be in a moment: that it is not there is not kept.
        if (Translate.Inode(context.Node).IsOfMount)
            return Entry(asked, call);
        return call.IsCompletedSuccessfully ? new(Found(asked, call.Result)) : Wait(asked, call);

        async ValueTask<FuseResult<EntryReply>> Wait(Asked asked, ValueTask<FsResult<Attributes>> pending) => Found(asked, await pending);
    }

    /// <summary>That there is nothing of a name may be kept like any entry.</summary>
    private FuseResult<EntryReply> Found(Asked asked, FsResult<Attributes> result) =>
        result.Error == Model.Errno.ENOENT ? new EntryReply { Node = NodeId.None, EntryTimeout = NameHolds(asked) } : Entry(asked, result);

    public override ValueTask<FuseResult<EntryReply>> MkNod(FuseContext context, MkNodRequest request) =>
        Create(context, request.Name, new NewInode { Mode = request.Mode, Device = request.Device }, request.Umask);

    public override ValueTask<FuseResult<EntryReply>> MkDir(FuseContext context, MkDirRequest request) =>
        Create(context, request.Name, new NewInode { Mode = Mode.S_IFDIR | (request.Mode & Mode.PermissionMask) }, request.Umask);

    public override ValueTask<FuseResult<EntryReply>> Symlink(FuseContext context, SymlinkRequest request) =>
        Create(context, request.Name, new NewInode { Mode = Mode.S_IFLNK | 0x1FF, SymlinkTarget = request.Target }, umask: 0);

    private ValueTask<FuseResult<EntryReply>> Create(FuseContext context, ReadOnlyMemory<byte> name, NewInode inode, uint umask) =>
        Entry(Asking(context.Node), _volume.CreateAsync(Translate.Inode(context.Node), name, inode, CallerOf(context, umask), Cancellation(context)));

    public override ValueTask<FuseResult<EntryReply>> Link(FuseContext context, LinkRequest request) =>
        Entry(Asking(context.Node), _volume.LinkAsync(Translate.Inode(request.Source), Translate.Inode(context.Node), request.Name, Cancellation(context)));

    public override ValueTask<FuseResult> Unlink(FuseContext context, ReadOnlyMemory<byte> name) =>
        Done(_volume.UnlinkAsync(Translate.Inode(context.Node), name, Cancellation(context)));

    public override ValueTask<FuseResult> RmDir(FuseContext context, ReadOnlyMemory<byte> name) =>
        Done(_volume.RemoveDirectoryAsync(Translate.Inode(context.Node), name, Cancellation(context)));

    public override ValueTask<FuseResult> Rename(FuseContext context, RenameRequest request)
    {
        Moving(context.Node, request.NewParent);
        return Moved(context.Node, request.NewParent, Done(_volume.RenameAsync(
            Translate.Inode(context.Node), request.Name, Translate.Inode(request.NewParent), request.NewName, (Model.RenameFlags)request.Flags, CallerOf(context, umask: 0),
            Cancellation(context))));
    }

    public override ValueTask<FuseResult<int>> ReadLink(FuseContext context, Memory<byte> destination) =>
        Copy(_volume.ReadLinkAsync(Translate.Inode(context.Node), Cancellation(context)), destination);

    public override ValueTask<FuseResult<OpenReply>> OpenDir(FuseContext context, OpenRequest request) =>
        new(_policy.SilentDirectories ? Errno.ENOSYS : new OpenReply(default));

    public override ValueTask<FuseResult> ReleaseDir(FuseContext context, ReleaseRequest request) => new(FuseResult.Success);

    public override ValueTask<FuseResult> ReadDir(FuseContext context, ReadDirRequest request, DirectoryWriter writer) =>
        List(context, request, new PlainSink(writer), writer);

    public override ValueTask<FuseResult> ReadDirPlus(FuseContext context, ReadDirRequest request, DirectoryWriter writer) =>
        List(context, request, new PlusSink(this, Asking(context.Node), writer), writer);

    /// <summary>Nodes that are listed are counted. So what is listed is answered, whatever ends the listing: the kernel asks on behind it, and meets the error then.</summary>
    private ValueTask<FuseResult> List(FuseContext context, ReadDirRequest request, IDirectorySink sink, DirectoryWriter writer)
    {
        var call = _volume.ReadDirectoryAsync(Translate.Inode(context.Node), (long)request.Offset, sink, sink is PlusSink, Translate.ReadFlags(request.Flags), Cancellation(context));
        return call.IsCompletedSuccessfully ? new(Listed(call.Result, writer)) : Wait(call, writer);

        static FuseResult Listed(FsResult result, DirectoryWriter writer) => writer.Count > 0 ? FuseResult.Success : Done(result);
        static async ValueTask<FuseResult> Wait(ValueTask<FsResult> pending, DirectoryWriter writer)
        {
            try
            {
                return Listed(await pending, writer);
            }
            catch (OperationCanceledException) when (writer.Count > 0)
            {
                return FuseResult.Success;
            }
        }
    }

    private sealed class PlainSink(DirectoryWriter writer) : IDirectorySink
    {
        public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes) =>
            writer.TryAdd(name, inode.Value, (FileType)type, (ulong)cookie);
    }

    private sealed class PlusSink(VolumeFileSystem owner, Asked asked, DirectoryWriter writer) : IDirectorySink
    {
        public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes)
        {
            // The kernel takes no node of "." and "..", and would never forget it.
            if (attributes is not { } known || name.SequenceEqual("."u8) || name.SequenceEqual(".."u8))
                return writer.TryAdd(name, inode.Value, (FileType)type, (ulong)cookie);
            return writer.Fits(name.Length) && writer.TryAdd(name, owner.Entry(asked, known), (ulong)cookie);
        }
    }
}
