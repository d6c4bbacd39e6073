using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>POSIX ACLs: kept as the extended attributes by which Linux knows them, with their effect on modes. acl(5).</content>
internal sealed partial class MetadataStore
{
    private static ReadOnlySpan<byte> AccessAcl => "system.posix_acl_access"u8;

    private static ReadOnlySpan<byte> DefaultAcl => "system.posix_acl_default"u8;

    private static bool IsAcl(ReadOnlySpan<byte> name) => name.SequenceEqual(AccessAcl) || name.SequenceEqual(DefaultAcl);

    private FsResult SetAcl(Inode inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, XattrFlags flags)
    {
        if (inode.Current.IsSymlink)
            return Errno.EOPNOTSUPP;
        if (PosixAcl.TryRead(value.ToArray(), out var acl) is var bad and not Errno.None)
            return bad;
        bool isDefault = name.SequenceEqual(DefaultAcl);
        if (isDefault && !inode.Current.IsDirectory)
            return acl.Count == 0 ? Errno.None : Errno.EACCES;
        int total = inode.XattrBytes;
        uint mode = inode.Current.Mode;
        bool needless = acl.Count == 0;
        if (!isDefault && acl.Count > 0)
        {
            mode = mode & ~0x1FFu | acl.ToMode();
            if ((flags & XattrFlags.KillSetGroupId) != 0)
                mode &= ~Mode.S_ISGID;
            needless = acl.IsMode;
        }
        if (!needless && total + name.Length + value.Length > MetadataLimits.XattrTotal)
            return Errno.ENOSPC;
        if (needless)
            DropXattr(inode, name, ref total);
        else
            StoreXattr(inode.Number, name, acl.Bytes, SizeOfXattr(inode, name), ref total);
        XattrsChanged(inode, total, mode);
        return FsResult.Ok;
    }

    /// <summary>chmod(2) of an inode with an access ACL changes the ACL too.</summary>
    private void ChangeAclMode(Inode inode, uint mode, ref int xattrBytes)
    {
        if (ReadXattr(inode, AccessAcl) is not { } value)
            return;
        if (PosixAcl.TryRead(value, out var acl) == Errno.None && acl.Count > 0)
        {
            acl.ChangeMode(mode);
            StoreXattr(inode.Number, AccessAcl, acl.Bytes, value.Length, ref xattrBytes);
        }
    }

    /// <summary>What a new inode gets from its directory: with a default ACL its own access ACL, for a directory the default ACL too, and a mode cut down by
    /// it; without one the
    /// umask takes effect.</summary>
    /// <returns>The permission bits.</returns>
    private uint Inherit(Inode parent, InodeNumber number, uint type, uint permissions, uint umask, ref int xattrBytes)
    {
        byte[]? inherited = ReadXattr(parent, DefaultAcl);
        if (inherited is null || PosixAcl.TryRead(inherited, out _) != Errno.None)
            return permissions & ~(umask & 0x1FF);
        if (type == Mode.S_IFDIR)
            StoreXattr(number, DefaultAcl, inherited, null, ref xattrBytes);
        PosixAcl.TryRead(inherited, out var acl);
        permissions = acl.Mask(permissions);
        if (!acl.IsMode)
            StoreXattr(number, AccessAcl, acl.Bytes, null, ref xattrBytes);
        return permissions;
    }
}
