using System.Text;
using OrleansFs.Model;

namespace OrleansFs.MemoryVolume;

/// <summary>Attributes and extended attributes.</summary>
public sealed partial class MemoryVolume
{
    private static readonly TimeSpan s_day = TimeSpan.FromDays(1);

    private FsResult<Attributes> GetAttributes(InodeNumber number)
    {
        var error = Find(number, out var node);
        return error != Errno.None ? error : node.Attributes;
    }

    private FsResult<Attributes> SetAttributes(InodeNumber number, AttributeChange change)
    {
        var error = Find(number, out var node);
        if (error != Errno.None)
            return error;
        // Modify and change time alone are the page cache's, which stamps what a program was allowed to write.
        const AttributeMask Stamps = AttributeMask.ModifyTime | AttributeMask.ChangeTime;
        const AttributeMask Present = AttributeMask.AccessTimeNow | AttributeMask.ModifyTimeNow | AttributeMask.ChangeTime;
        bool stamps = (change.Mask & AttributeMask.ChangeTime) != 0 && (change.Mask & ~Stamps) == 0;
        if (node.Has(InodeFlags.Immutable) && (change.Mask & ~AttributeMask.Flags) != 0 && !stamps)
            return Errno.EPERM;
        if (node.Has(InodeFlags.AppendOnly) && (change.Mask & ~(AttributeMask.Flags | Present)) != 0 && !stamps)
            return Errno.EPERM;
        if ((change.Mask & AttributeMask.Size) != 0)
        {
            error = Truncate(node, change.Size);
            if (error != Errno.None)
                return error;
        }
        var to = node.Attributes;
        var now = Now();
        if ((change.Mask & AttributeMask.Mode) != 0)
            to = to with { Mode = (to.Mode & Mode.S_IFMT) | (change.Mode & Mode.PermissionMask) };
        if ((change.Mask & AttributeMask.Uid) != 0)
            to = to with { Uid = change.Uid };
        if ((change.Mask & AttributeMask.Gid) != 0)
            to = to with { Gid = change.Gid };
        if ((change.Mask & AttributeMask.KillPrivileges) != 0)
            to = to with { Mode = WithoutPrivileges(to.Mode) };
        if ((change.Mask & AttributeMask.Flags) != 0)
            to = to with { Flags = change.Flags };
        if ((change.Mask & (AttributeMask.AccessTime | AttributeMask.AccessTimeNow)) != 0)
            to = to with { AccessTime = (change.Mask & AttributeMask.AccessTimeNow) != 0 ? now : change.AccessTime };
        if ((change.Mask & (AttributeMask.ModifyTime | AttributeMask.ModifyTimeNow)) != 0)
            to = to with { ModifyTime = (change.Mask & AttributeMask.ModifyTimeNow) != 0 ? now : change.ModifyTime };
        to = to with { ChangeTime = (change.Mask & AttributeMask.ChangeTime) != 0 ? change.ChangeTime : now };
        node.Attributes = to;
        if ((change.Mask & AttributeMask.Mode) != 0 && node.Xattrs.TryGetValue(AccessControl.AccessName, out byte[]? acl))
            node.Xattrs[AccessControl.AccessName] = AccessControl.Parse(acl)!.WithMode(to.Mode).ToBytes();
        _lsn++;
        return node.Attributes;
    }

    private Errno Truncate(Node node, long size)
    {
        if (!node.Attributes.IsRegular)
            return node.IsDirectory ? Errno.EISDIR : Errno.EINVAL;
        if (node.Has(InodeFlags.AppendOnly))
            return Errno.EPERM;
        if (size < 0)
            return Errno.EFBIG;
        if (size < node.Attributes.Size)
            node.Content.Punch(size, long.MaxValue);
        node.Attributes = node.Attributes with { Size = size, AllocatedBytes = node.Content.Allocated };
        Modified(node);
        return Errno.None;
    }

    /// <summary>relatime: the access time moves when it is not younger than the others, or a day old (mount(8)).</summary>
    private void Touch(Node node)
    {
        var at = node.Attributes;
        var now = Now();
        if (at.AccessTime <= at.ModifyTime || at.AccessTime <= at.ChangeTime || now.Nanoseconds - at.AccessTime.Nanoseconds >= s_day.Ticks * 100)
            node.Attributes = at with { AccessTime = now };
    }

    private FsResult<ReadOnlyMemory<byte>> ReadLink(InodeNumber number)
    {
        var error = Find(number, out var node);
        if (error != Errno.None)
            return error;
        if (!node.Attributes.IsSymlink)
            return Errno.EINVAL;
        Touch(node);
        return new ReadOnlyMemory<byte>(node.Target);
    }

    private FsResult<ReadOnlyMemory<byte>> GetXattr(InodeNumber number, ReadOnlyMemory<byte> name)
    {
        var error = Find(number, out var node);
        if (error != Errno.None)
            return error;
        return node.Xattrs.TryGetValue(Text(name), out byte[]? value) ? new ReadOnlyMemory<byte>(value) : Errno.ENODATA;
    }

    private FsResult SetXattr(InodeNumber number, ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value, XattrFlags flags)
    {
        var error = Find(number, out var node);
        if (error != Errno.None)
            return error;
        string text = Text(name);
        if (node.Has(InodeFlags.Immutable) || node.Has(InodeFlags.AppendOnly))
            return Errno.EPERM;
        if (value.Length > MaxXattr)
            return Errno.E2BIG;
        if ((flags & XattrFlags.Create) != 0 && node.Xattrs.ContainsKey(text))
            return Errno.EEXIST;
        if ((flags & XattrFlags.Replace) != 0 && !node.Xattrs.ContainsKey(text))
            return Errno.ENODATA;
        if (text is AccessControl.AccessName or AccessControl.DefaultName)
            return SetAcl(node, text, value.Span, (flags & XattrFlags.KillSetGroupId) != 0);
        node.Xattrs[text] = value.ToArray();
        Changed(node);
        return FsResult.Ok;
    }

    private FsResult SetAcl(Node node, string name, ReadOnlySpan<byte> value, bool killSetGroupId)
    {
        if (AccessControl.Parse(value) is not { } acl)
            return Errno.EINVAL;
        if (name == AccessControl.DefaultName)
        {
            if (!node.IsDirectory)
                return Errno.EACCES;
            node.Xattrs[name] = acl.ToBytes();
        }
        else
        {
            uint mode = (node.Attributes.Mode & ~0x1FFu) | acl.ToMode();
            node.Attributes = node.Attributes with { Mode = killSetGroupId ? mode & ~Mode.S_ISGID : mode };
            if (acl.IsExtended)
                node.Xattrs[name] = acl.ToBytes();
            else
                node.Xattrs.Remove(name);
        }
        Changed(node);
        return FsResult.Ok;
    }

    private FsResult<ReadOnlyMemory<byte>> ListXattr(InodeNumber number)
    {
        var error = Find(number, out var node);
        return error != Errno.None ? error : new ReadOnlyMemory<byte>(Encoding.Latin1.GetBytes(string.Concat(node.Xattrs.Keys.Select(name => name + "\0"))));
    }

    private FsResult RemoveXattr(InodeNumber number, ReadOnlyMemory<byte> name)
    {
        var error = Find(number, out var node);
        if (error != Errno.None)
            return error;
        if (node.Has(InodeFlags.Immutable) || node.Has(InodeFlags.AppendOnly))
            return Errno.EPERM;
        string text = Text(name);
        // An ACL that is not there is removed with success (fs/posix_acl.c, vfs_remove_acl).
        if (!node.Xattrs.Remove(text) && text is not (AccessControl.AccessName or AccessControl.DefaultName))
            return Errno.ENODATA;
        Changed(node);
        return FsResult.Ok;
    }
}
