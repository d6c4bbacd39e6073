using System.Buffers.Binary;
using OrleansFs.Fuse;
using OrleansFs.Model;
using Errno = OrleansFs.Fuse.Errno;

namespace OrleansFs.Mount;

/// <summary>Attributes, extended attributes, inode flags and the sizes of the volume.</summary>
internal sealed partial class VolumeFileSystem
{
    public override ValueTask<FuseResult<AttrReply>> GetAttr(FuseContext context, GetAttrRequest request) =>
        Attr(_volume.GetAttributesAsync(Translate.Inode(context.Node), Cancellation(context)));

    public override ValueTask<FuseResult<AttrReply>> SetAttr(FuseContext context, SetAttrRequest request) =>
        Attr(_volume.SetAttributesAsync(Translate.Inode(context.Node), Translate.Change(request), CallerOf(context, umask: 0), Cancellation(context)));

    public override ValueTask<FuseResult<StatXReply>> StatX(FuseContext context, StatXRequest request)
    {
        var call = _volume.GetAttributesAsync(Translate.Inode(context.Node), Cancellation(context));
        return call.IsCompletedSuccessfully ? new(Reply(call.Result)) : Wait(call);

        FuseResult<StatXReply> Reply(FsResult<Attributes> result)
        {
            if (!result.TryGet(out var attributes, out var error))
                return Translate.Error(error);
            NotePrivileges(attributes);
            return Translate.Extended(attributes, _preferredIO, AttributesHold(attributes.Inode, isFirst: false));
        }
        async ValueTask<FuseResult<StatXReply>> Wait(ValueTask<FsResult<Attributes>> pending) => Reply(await pending);
    }

    public override ValueTask<FuseResult<StatFsReply>> StatFs(FuseContext context)
    {
        var call = _volume.GetSpaceAsync(Cancellation(context));
        return call.IsCompletedSuccessfully ? new(Reply(call.Result)) : Wait(call);

        static FuseResult<StatFsReply> Reply(FsResult<SpaceReport> result) => result.TryGet(out var space, out var error)
            ? new StatFsReply
            {
                Blocks = (ulong)space.TotalBytes / Limits.SpaceUnit,
                BlocksFree = (ulong)space.FreeBytes / Limits.SpaceUnit,
                BlocksAvailable = (ulong)space.AvailableBytes / Limits.SpaceUnit,
                Files = (ulong)(space.Inodes + space.FreeInodes),
                FilesFree = (ulong)space.FreeInodes,
                BlockSize = Limits.SpaceUnit,
                FragmentSize = Limits.SpaceUnit,
                MaxNameLength = Limits.NameLength,
            }
            : Translate.Error(error);
        static async ValueTask<FuseResult<StatFsReply>> Wait(ValueTask<FsResult<SpaceReport>> pending) => Reply(await pending);
    }

    public override ValueTask<FuseResult<int>> GetXAttr(FuseContext context, ReadOnlyMemory<byte> name, Memory<byte> destination)
    {
        if (!IsKnownClass(name.Span))
            return new(Errno.EOPNOTSUPP);
        if (OwnXattr.Is(name.Span))
            return GetOwnXattr(context, name, destination);
        var call = Copy(_volume.GetXattrAsync(Translate.Inode(context.Node), name, Cancellation(context)), destination);
        return _policy.WritebackCache && destination.IsEmpty && name.Span.SequenceEqual("security.capability"u8) ? GuardImmutable(context, call) : call;
    }

    /// <summary>
    /// Nobody is asked whether an immutable file may be written by who had it open before, or where opens are silent: the page cache takes the write. But before the first write after the
    /// attributes were fetched the kernel asks how long the file capabilities are, in order to remove them (fs/inode.c, file_remove_privs). An immutable file says that it has some; that
    /// they cannot be removed, EPERM, is then the outcome of the write.
    /// </summary>
    private ValueTask<FuseResult<int>> GuardImmutable(FuseContext context, ValueTask<FuseResult<int>> call)
    {
        if (!call.IsCompletedSuccessfully)
            return Wait(call);
        var result = call.Result;
        if (result.Error != Errno.ENODATA)
            return new(result);
        var attributes = _volume.GetAttributesAsync(Translate.Inode(context.Node), Cancellation(context));
        return attributes.IsCompletedSuccessfully ? new(Guarded(attributes.Result)) : WaitForFlags(attributes);

        static FuseResult<int> Guarded(FsResult<Attributes> result) =>
            result.TryGet(out var attributes, out _) && (attributes.Flags & InodeFlags.Immutable) != 0 ? 1 : Errno.ENODATA;
        static async ValueTask<FuseResult<int>> WaitForFlags(ValueTask<FsResult<Attributes>> pending) => Guarded(await pending);
        async ValueTask<FuseResult<int>> Wait(ValueTask<FuseResult<int>> pending) => await GuardImmutable(context, new(await pending));
    }

    public override ValueTask<FuseResult<int>> ListXAttr(FuseContext context, Memory<byte> destination) =>
        Copy(_volume.ListXattrAsync(Translate.Inode(context.Node), Cancellation(context)), destination);

    public override ValueTask<FuseResult> SetXAttr(FuseContext context, SetXAttrRequest request)
    {
        if (!IsKnownClass(request.Name.Span))
            return new(FuseResult.Fail(Errno.EOPNOTSUPP));
        if (OwnXattr.Is(request.Name.Span) && context.Uid != 0)
            return SetOwnXattr(context, request);
        var flags = (XattrFlags)request.Flags | (request.AclKillSgid ? XattrFlags.KillSetGroupId : XattrFlags.None);
        return Done(_volume.SetXattrAsync(Translate.Inode(context.Node), request.Name, request.Value, flags, Cancellation(context)));
    }

    public override ValueTask<FuseResult> RemoveXAttr(FuseContext context, ReadOnlyMemory<byte> name) =>
        IsKnownClass(name.Span)
            ? Done(_volume.RemoveXattrAsync(Translate.Inode(context.Node), name, Cancellation(context)))
            : new(FuseResult.Fail(Errno.EOPNOTSUPP));

    /// <summary>The classes of xattr(7). In a file system of the kernel the VFS refuses others; for FUSE it takes them all and leaves this to us.</summary>
    private static bool IsKnownClass(ReadOnlySpan<byte> name) =>
        name.StartsWith("user."u8) || name.StartsWith("security."u8) || name.StartsWith("trusted."u8) || name.StartsWith("system.posix_acl_"u8);

    /// <summary>lsattr(1) and chattr(1), and the form of them that XFS began: the kernel opens the inode and sends these (fs/fuse/ioctl.c, fuse_fileattr_get).</summary>
    public override ValueTask<FuseResult<IoctlReply>> Ioctl(FuseContext context, IoctlRequest request, Memory<byte> destination) => request.Command switch
    {
        InodeFlagsIoctl.GetFlags or InodeFlagsIoctl.GetExtended => ReadFlags(context, request.Command, destination),
        InodeFlagsIoctl.SetFlags or InodeFlagsIoctl.SetExtended => WriteFlagsTo(context, request.Command, request.Input),
        ResidencyIoctl.Why => Why(context, destination),
        ResidencyIoctl.Change => ChangeResidency(context, request.Input, destination),
        _ => new(Errno.ENOTTY),
    };

    private async ValueTask<FuseResult<IoctlReply>> ReadFlags(FuseContext context, uint command, Memory<byte> destination)
    {
        var result = await _volume.GetAttributesAsync(Translate.Inode(context.Node), Cancellation(context));
        if (!result.TryGet(out var attributes, out var error))
            return Translate.Error(error);
        return InodeFlagsIoctl.TryWrite(command, attributes.Flags, destination.Span, out int written) ? new IoctlReply(0, written) : Errno.EINVAL;
    }

    private async ValueTask<FuseResult<IoctlReply>> WriteFlagsTo(FuseContext context, uint command, ReadOnlyMemory<byte> input)
    {
        if (!InodeFlagsIoctl.TryRead(command, input.Span, out var flags))
            return Errno.EOPNOTSUPP;
        var change = new AttributeChange { Mask = AttributeMask.Flags, Flags = flags };
        var result = await _volume.SetAttributesAsync(Translate.Inode(context.Node), change, CallerOf(context, umask: 0), Cancellation(context));
        if (!result.TryGet(out var changed, out var error))
            return Translate.Error(error);
        if (_policy.WritebackCache && changed.IsRegular)
            _outdated[context.Node] = 0;
        // What the kernel remembers of the file's capabilities goes with its attributes: see GuardImmutable.
        Notifier?.TryInvalidateInode(context.Node, offset: -1);
        return new IoctlReply(0, 0);
    }
}

/// <summary>The two forms in which inode flags travel: <c>FS_IOC_GETFLAGS</c> and <c>FS_IOC_FSGETXATTR</c> (include/uapi/linux/fs.h).</summary>
internal static class InodeFlagsIoctl
{
    internal const uint GetFlags = 0x80086601;
    internal const uint SetFlags = 0x40086602;
    internal const uint GetExtended = 0x801C581F;
    internal const uint SetExtended = 0x401C5820;

    // struct fsxattr: xflags 4 + extsize 4 + nextents 4 + projid 4 + cowextsize 4 + padding 8
    private const int ExtendedSize = 28;
    private const InodeFlags Known = InodeFlags.Immutable | InodeFlags.AppendOnly | InodeFlags.NoDump | InodeFlags.NoAccessTime;

    private static readonly (InodeFlags Flag, uint Extended)[] s_extended =
    [
        (InodeFlags.Immutable, 0x8), (InodeFlags.AppendOnly, 0x10), (InodeFlags.NoAccessTime, 0x40), (InodeFlags.NoDump, 0x80),
    ];

    internal static bool TryWrite(uint command, InodeFlags flags, Span<byte> destination, out int written)
    {
        written = command == GetFlags ? sizeof(uint) : ExtendedSize;
        if (destination.Length < written)
            return false;
        destination[..written].Clear();
        uint value = (uint)(flags & Known);
        if (command == GetExtended)
        {
            value = 0;
            foreach (var (flag, extended) in s_extended)
                value |= (flags & flag) != 0 ? extended : 0;
        }
        BinaryPrimitives.WriteUInt32LittleEndian(destination, value);
        return true;
    }

    /// <summary>False for a flag that the volume does not know: refused, as other file systems do, rather than lost.</summary>
    internal static bool TryRead(uint command, ReadOnlySpan<byte> input, out InodeFlags flags)
    {
        flags = InodeFlags.None;
        if (input.Length < sizeof(uint))
            return false;
        uint value = BinaryPrimitives.ReadUInt32LittleEndian(input);
        if (command == SetFlags)
        {
            flags = (InodeFlags)value;
            return (value & ~(uint)Known) == 0;
        }
        foreach (var (flag, extended) in s_extended)
        {
            if ((value & extended) != 0)
                flags |= flag;
            value &= ~extended;
        }
        return value == 0;
    }
}
