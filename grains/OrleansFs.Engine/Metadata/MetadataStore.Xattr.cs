using System.Buffers;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Extended attributes. Who may is decided by the caller (xattr_permission of Linux' xattr.c); what is too much, here.</content>
internal sealed partial class MetadataStore
{
    /// <summary>ENODATA where there is none, ERANGE for a name longer than 255 bytes.</summary>
    public FsResult<ReadOnlyMemory<byte>> GetXattr(InodeNumber inode, ReadOnlySpan<byte> name)
    {
        lock (Lock)
        {
            try
            {
                if (!IsReady())
                    return Errno.EIO;
                Sweep();
                if (Find(inode) is not { } found)
                    return Errno.ESTALE;
                if (CheckXattrName(name) is var bad and not Errno.None)
                    return bad;
                return ReadXattr(found, name) is { } value ? new ReadOnlyMemory<byte>(value) : Errno.ENODATA;
            }
            catch (MetadataException e)
            {
                return Failed(e);
            }
        }
    }

    /// <summary>All names, each ended by a NUL, as listxattr(2) has them.</summary>
    public FsResult<ReadOnlyMemory<byte>> ListXattr(InodeNumber inode)
    {
        lock (Lock)
        {
            try
            {
                if (!IsReady())
                    return Errno.EIO;
                Sweep();
                if (Find(inode) is not { } found)
                    return Errno.ESTALE;
                if (found.XattrBytes == 0)
                    return ReadOnlyMemory<byte>.Empty;
                var names = new ArrayBufferWriter<byte>();
                var s = _sql.ListXattrs.Bind(1, inode);
                while (s.Step())
                {
                    names.Write(s.Blob(0));
                    names.Write("\0"u8);
                }
                return names.WrittenMemory;
            }
            catch (MetadataException e)
            {
                return Failed(e);
            }
        }
    }

    /// <summary>EEXIST and ENODATA by flags; E2BIG past 64 KiB; ENOSPC past 1 MiB of all of an inode; ERANGE for a name longer than 255 bytes; EPERM by inode
    /// flags.
    /// An ACL is checked (EINVAL; EACCES for a default ACL of no directory) and takes effect on the mode.</summary>
    public FsResult SetXattr(InodeNumber inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, XattrFlags flags)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                if (!FindForXattr(inode, name).TryGet(out var found, out error))
                    return error;
                if (value.Length > MetadataLimits.XattrValue)
                    return Errno.E2BIG;
                long? old = SizeOfXattr(found, name);
                if (old is not null && (flags & XattrFlags.Create) != 0)
                    return Errno.EEXIST;
                if (old is null && (flags & XattrFlags.Replace) != 0)
                    return Errno.ENODATA;
                if (IsAcl(name))
                    return SetAcl(found, name, value, flags);
                long total = found.XattrBytes + value.Length + (old is null ? name.Length : -old.Value);
                if (total > MetadataLimits.XattrTotal)
                    return Errno.ENOSPC;
                ExecuteSetXattr(inode, name, value);
                XattrsChanged(found, (int)total, found.Current.Mode);
                return FsResult.Ok;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>ENODATA where there is none, except for an ACL, whose absence is what was asked for.</summary>
    public FsResult RemoveXattr(InodeNumber inode, ReadOnlySpan<byte> name)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                if (!FindForXattr(inode, name).TryGet(out var found, out error))
                    return error;
                int total = found.XattrBytes;
                if (!DropXattr(found, name, ref total))
                    return IsAcl(name) ? Errno.None : Errno.ENODATA;
                XattrsChanged(found, total, found.Current.Mode);
                return FsResult.Ok;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    private FsResult<Inode> FindForXattr(InodeNumber inode, ReadOnlySpan<byte> name)
    {
        if (Find(inode) is not { } found)
            return Errno.ESTALE;
        if (CheckXattrName(name) is var bad and not Errno.None)
            return bad;
        return (found.Current.Flags & (InodeFlags.Immutable | InodeFlags.AppendOnly)) != 0 ? Errno.EPERM : found;
    }

    private static Errno CheckXattrName(ReadOnlySpan<byte> name)
    {
        if (name.Length is 0 or > MetadataLimits.XattrName)
            return Errno.ERANGE;
        return name.Contains((byte)0) ? Errno.EINVAL : Errno.None;
    }

    private byte[]? ReadXattr(Inode inode, ReadOnlySpan<byte> name)
    {
        if (inode.XattrBytes == 0)
            return null;
        var s = _sql.GetXattr.Bind(1, inode.Number).Bind(2, name);
        if (!s.Step())
            return null;
        byte[] value = s.Blob(0).ToArray();
        s.Reset();
        return value;
    }

    private long? SizeOfXattr(Inode inode, ReadOnlySpan<byte> name)
    {
        if (inode.XattrBytes == 0)
            return null;
        var s = _sql.SizeXattr.Bind(1, inode.Number).Bind(2, name);
        if (!s.Step())
            return null;
        long size = s.Int64(0);
        s.Reset();
        return size;
    }

    /// <summary>Sets an attribute that the store keeps for itself, past the flags of a caller.</summary>
    private void StoreXattr(InodeNumber inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, long? oldSize, ref int total)
    {
        ExecuteSetXattr(inode, name, value);
        total += value.Length + (oldSize is { } old ? -(int)old : name.Length);
    }

    /// <returns>Whether there was one.</returns>
    private bool DropXattr(Inode inode, ReadOnlySpan<byte> name, ref int total)
    {
        if (SizeOfXattr(inode, name) is not { } size)
            return false;
        ExecuteDeleteXattr(inode.Number, name);
        total -= name.Length + (int)size;
        return true;
    }

    private void XattrsChanged(Inode inode, int total, uint mode)
    {
        inode.XattrBytes = total;
        Change(inode, inode.Snapshot() with { Mode = mode, ChangeTime = Clock.Now() });
        Done();
    }
}
