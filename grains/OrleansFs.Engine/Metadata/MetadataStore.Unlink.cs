using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Removing names: unlink, rmdir.</content>
internal sealed partial class MetadataStore
{
    /// <summary>Removes a name that is no directory's. EISDIR for a directory and for "." and "..", EPERM by flags.</summary>
    /// <returns>The inode that lost its last name and is an orphan now; null where it has others.</returns>
    public FsResult<InodeNumber?> Unlink(InodeNumber directory, ReadOnlySpan<byte> name)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                if (!FindDirectory(directory).TryGet(out var parent, out error))
                    return error;
                if (IsDots(name))
                    return Errno.EISDIR;
                if (!FindChild(parent, name).TryGet(out var child, out error))
                    return error;
                if (CheckRemove(parent, child) is var refused and not Errno.None)
                    return refused;
                if (child.Current.IsDirectory)
                    return Errno.EISDIR;
                var now = Clock.Now();
                ExecuteDeleteDentry(directory, name);
                Relink(child, -1, now);
                ChangeEntries(parent, now, -1, 0);
                Done();
                _dentries.Put(directory, name, null);
                return child.Current.LinkCount == 0 ? child.Number : (InodeNumber?)null;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>Removes an empty directory. ENOTDIR, ENOTEMPTY (also for ".."), EINVAL for ".", EPERM by flags.</summary>
    /// <returns>The directory, an orphan now.</returns>
    public FsResult<InodeNumber?> RemoveDirectory(InodeNumber directory, ReadOnlySpan<byte> name)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                if (!FindDirectory(directory).TryGet(out var parent, out error))
                    return error;
                if (IsDots(name))
                    return name.Length == 1 ? Errno.EINVAL : Errno.ENOTEMPTY;
                if (!FindChild(parent, name).TryGet(out var child, out error))
                    return error;
                if (CheckRemove(parent, child) is var refused and not Errno.None)
                    return refused;
                if (!child.Current.IsDirectory)
                    return Errno.ENOTDIR;
                if (child.Current.Size > 0)
                    return Errno.ENOTEMPTY;
                var now = Clock.Now();
                ExecuteDeleteDentry(directory, name);
                BuryDirectory(child, now);
                ChangeEntries(parent, now, -1, -1);
                Done();
                return (InodeNumber?)child.Number;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    /// <summary>The inode of a name; the inode behind a name that has no row is a contradiction.</summary>
    private FsResult<Inode> FindChild(Inode parent, ReadOnlySpan<byte> name)
    {
        if (CheckName(name) is var bad and not Errno.None)
            return bad;
        if (FindDentry(parent.Number, name) is not { } dentry)
            return Errno.ENOENT;
        return Find(dentry.Inode) is { } child ? child : Contradiction($"directory {parent.Number} names inode {dentry.Inode}, which has no row");
    }

    /// <summary>Whether flags let an entry be removed, as may_delete of Linux' namei.c has it.</summary>
    private static Errno CheckRemove(Inode parent, Inode child)
    {
        const InodeFlags Protecting = InodeFlags.AppendOnly | InodeFlags.Immutable;
        return ((parent.Current.Flags | child.Current.Flags) & Protecting) != 0 ? Errno.EPERM : Errno.None;
    }

    /// <summary>An empty directory has lost its name: it stays for who has it open, and nothing can be made in it.</summary>
    private void BuryDirectory(Inode directory, Timestamp now)
    {
        Count(directory, -1);
        _counters.Orphans++;
        Change(directory, directory.Current with { LinkCount = 0, ChangeTime = now });
    }
}
