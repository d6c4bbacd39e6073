using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>New inodes and new names: create, mkdir, symlink, mknod, O_TMPFILE, link.</content>
internal sealed partial class MetadataStore
{
    /// <summary>Flags that an inode takes over from its directory, as ext4 has it.</summary>
    private const InodeFlags InheritedFlags = InodeFlags.NoDump | InodeFlags.NoAccessTime;

    /// <summary>Makes a file, directory, symbolic link, fifo, socket or device. Group and set-group-ID come from a set-group-ID directory; mode and ACLs from
    /// a default ACL, and
    /// only without one the umask takes effect. EEXIST; ENOENT in a removed directory; EPERM in an immutable one; EMLINK.</summary>
    public FsResult<Attributes> Create(InodeNumber directory, ReadOnlySpan<byte> name, in NewInode wanted, in Caller caller)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                if (!FindParent(directory).TryGet(out var parent, out error))
                    return error;
                if (CheckNew(parent, name) is var bad and not Errno.None)
                    return bad;
                bool isDirectory = Mode.IsDirectory(wanted.Mode);
                if (isDirectory && parent.Current.LinkCount >= MetadataLimits.LinkCount)
                    return Errno.EMLINK;
                var now = Clock.Now();
                if (!MakeInode(parent, wanted, caller, isDirectory ? 2u : 1u, now).TryGet(out var inode, out error))
                    return error;
                long cookie = _nextCookie;
                Execute(new PutDentry { Parent = directory, Name = name, Cookie = cookie, Inode = inode.Number, Type = Mode.DirectoryEntryType(inode.Current.Mode) }, exists: false);
                _nextCookie++;
                TakeIn(inode);
                Count(inode, 1);
                ChangeEntries(parent, now, 1, isDirectory ? 1 : 0);
                Done();
                _dentries.Put(directory, name, new Dentry(cookie, inode.Number, Mode.DirectoryEntryType(inode.Current.Mode)));
                return inode.Current;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>Makes a regular file with no name (<c>O_TMPFILE</c>): an orphan that may be linked.</summary>
    public FsResult<Attributes> CreateUnnamed(InodeNumber directory, in NewInode wanted, in Caller caller)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                if (!FindParent(directory).TryGet(out var parent, out error))
                    return error;
                if ((wanted.Mode & Mode.S_IFMT) is not (0 or Mode.S_IFREG))
                    return Errno.EINVAL;
                if (!MakeInode(parent, wanted, caller, 0, Clock.Now()).TryGet(out var inode, out error))
                    return error;
                inode.Linkable = true;
                TakeIn(inode);
                _counters.Orphans++;
                Done();
                return inode.Current;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>Gives an inode another name. EEXIST; EPERM for a directory or by flags; EMLINK; ENOENT for an unlinked inode that was not made
    /// unnamed.</summary>
    public FsResult<Attributes> Link(InodeNumber inode, InodeNumber directory, ReadOnlySpan<byte> name)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                if (Find(inode) is not { } target)
                    return Errno.ESTALE;
                if (!FindParent(directory).TryGet(out var parent, out error))
                    return error;
                if (CheckNew(parent, name) is var bad and not Errno.None)
                    return bad;
                var a = target.Current;
                if (a.IsDirectory || (a.Flags & (InodeFlags.AppendOnly | InodeFlags.Immutable)) != 0)
                    return Errno.EPERM;
                if (a.LinkCount == 0 && !target.Linkable)
                    return Errno.ENOENT;
                if (a.LinkCount >= MetadataLimits.LinkCount)
                    return Errno.EMLINK;
                var now = Clock.Now();
                Execute(new PutDentry { Parent = directory, Name = name, Cookie = _nextCookie, Inode = inode, Type = Mode.DirectoryEntryType(a.Mode) }, exists: false);
                _nextCookie++;
                Relink(target, 1, now);
                ChangeEntries(parent, now, 1, 0);
                Done();
                return target.Current;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>Whether a name may be made in a directory.</summary>
    private Errno CheckNew(Inode parent, ReadOnlySpan<byte> name)
    {
        if (IsDots(name))
            return Errno.EEXIST;
        if (CheckName(name) is var bad and not Errno.None)
            return bad;
        if (FindDentry(parent.Number, name) is not null)
            return Errno.EEXIST;
        return (parent.Current.Flags & InodeFlags.Immutable) != 0 ? Errno.EPERM : Errno.None;
    }

    /// <summary>An inode that is not known to anybody yet; its ACLs are in the table. <see cref="TakeIn"/> makes it known.</summary>
    private FsResult<Inode> MakeInode(Inode parent, in NewInode wanted, in Caller caller, uint links, Timestamp now)
    {
        uint type = wanted.Mode & Mode.S_IFMT;
        if (type is not (0 or Mode.S_IFREG or Mode.S_IFDIR or Mode.S_IFLNK or Mode.S_IFIFO or Mode.S_IFSOCK or Mode.S_IFCHR or Mode.S_IFBLK))
            return Errno.EINVAL;
        if (type == 0)
            type = Mode.S_IFREG;
        bool isLink = type == Mode.S_IFLNK;
        if (isLink && wanted.SymlinkTarget.IsEmpty)
            return Errno.ENOENT;
        if (wanted.SymlinkTarget.Length > MetadataLimits.TargetLength)
            return Errno.ENAMETOOLONG;
        uint permissions = isLink ? 0x1FF : wanted.Mode & Mode.PermissionMask;
        bool groupOfParent = (parent.Current.Mode & Mode.S_ISGID) != 0;
        if (groupOfParent && type == Mode.S_IFDIR)
            permissions |= Mode.S_ISGID;
        var number = new InodeNumber(_nextInode++);
        int xattrBytes = 0;
        if (!isLink)
            permissions = Inherit(parent, number, type, permissions, caller.Umask, ref xattrBytes);
        var attributes = new Attributes
        {
            Inode = number,
            Mode = type | permissions,
            LinkCount = links,
            Uid = caller.Uid,
            Gid = groupOfParent ? parent.Current.Gid : caller.Gid,
            Size = isLink ? wanted.SymlinkTarget.Length : 0,
            AccessTime = now,
            ModifyTime = now,
            ChangeTime = now,
            BirthTime = now,
            Device = type is Mode.S_IFCHR or Mode.S_IFBLK ? wanted.Device : 0,
            Flags = isLink ? InodeFlags.None : parent.Current.Flags & InheritedFlags,
        };
        return new Inode(attributes)
        {
            IsNew = true,
            XattrBytes = xattrBytes,
            NewTarget = isLink ? wanted.SymlinkTarget.ToArray() : null,
            Parent = type == Mode.S_IFDIR ? parent.Number : default,
        };
    }

    private void TakeIn(Inode inode)
    {
        Keep(inode);
        SetDirty(inode);
    }

    /// <summary>A directory got or lost entries.</summary>
    private void ChangeEntries(Inode directory, Timestamp now, int entries, int subdirectories)
    {
        var a = directory.Current;
        Change(directory, a with { Size = a.Size + entries, LinkCount = (uint)(a.LinkCount + subdirectories), ModifyTime = now, ChangeTime = now });
    }

    /// <summary>A non-directory got or lost a name. At none it becomes an orphan.</summary>
    private void Relink(Inode inode, int links, Timestamp now)
    {
        var a = inode.Current;
        uint count = (uint)(a.LinkCount + links);
        Change(inode, a with { LinkCount = count, ChangeTime = now });
        if (count == 0)
        {
            Count(inode, -1);
            _counters.Orphans++;
        }
        else if (a.LinkCount == 0)
        {
            inode.Linkable = false;
            _counters.Orphans--;
            Count(inode, 1);
        }
    }

    private void Count(Inode inode, int one)
    {
        switch (inode.Current.Mode & Mode.S_IFMT)
        {
            case Mode.S_IFREG:
                _counters.Files += one;
                _counters.LogicalBytes += one * inode.Committed.Size;
                break;
            case Mode.S_IFDIR:
                _counters.Directories += one;
                break;
            default:
                _counters.Others += one;
                break;
        }
    }
}
