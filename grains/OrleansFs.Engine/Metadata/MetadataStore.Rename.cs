using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>renameat2(2). Order of the checks and which times change are those of Linux: do_renameat2 and vfs_rename in namei.c, ext4_rename and
/// ext4_cross_rename.</content>
internal sealed partial class MetadataStore
{
    /// <summary>Moves, replaces or exchanges a name. EINVAL for a directory into itself; EISDIR, ENOTDIR, ENOTEMPTY, EEXIST, EBUSY for "." and "..", EPERM by
    /// flags, EMLINK.
    /// A name that is replaced or exchanged keeps its cookie, and so does an entry that is only named anew in its directory; any other gets a new cookie.</summary>
    /// <returns>The inode that was replaced and lost its last name by that; null where there is none.</returns>
    public FsResult<InodeNumber?> Rename(InodeNumber directory, ReadOnlySpan<byte> name, InodeNumber newDirectory, ReadOnlySpan<byte> newName, RenameFlags flags, in Caller caller)
    {
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            try
            {
                if (!Resolve(directory, name, newDirectory, newName, flags).TryGet(out var move, out error))
                    return error;
                if (CheckMove(move) is var refused and not Errno.None)
                    return refused;
                if (ReferenceEquals(move.Source, move.Target))
                    return (InodeNumber?)null;
                var now = Clock.Now();
                Dentry? placed = null;
                if ((flags & RenameFlags.Exchange) != 0)
                    Exchange(move, name, newName, now);
                else if (Move(move, name, newName, caller, now, out placed) is var failed and not Errno.None)
                    return failed;
                Done();
                if (placed is not null)
                    _dentries.Put(newDirectory, newName, placed);
                if ((flags & (RenameFlags.Exchange | RenameFlags.Whiteout)) == 0)
                    _dentries.Put(directory, name, null);
                return move.Target is { Current.LinkCount: 0 } ? move.Target.Number : (InodeNumber?)null;
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    private FsResult<Moving> Resolve(InodeNumber directory, ReadOnlySpan<byte> name, InodeNumber newDirectory, ReadOnlySpan<byte> newName, RenameFlags flags)
    {
        const RenameFlags Known = RenameFlags.NoReplace | RenameFlags.Exchange | RenameFlags.Whiteout;
        bool exchange = (flags & RenameFlags.Exchange) != 0;
        if ((flags & ~Known) != 0 || exchange && flags != RenameFlags.Exchange)
            return Errno.EINVAL;
        if (!FindDirectory(directory).TryGet(out var from, out var error))
            return error;
        if (!FindDirectory(newDirectory).TryGet(out var to, out error))
            return error;
        if (IsDots(name))
            return Errno.EBUSY;
        if (IsDots(newName))
            return (flags & RenameFlags.NoReplace) != 0 ? Errno.EEXIST : Errno.EBUSY;
        if (!FindChild(from, name).TryGet(out var source, out error))
            return error;
        Inode? target = null;
        if (FindChild(to, newName).TryGet(out var found, out error))
            target = found;
        else if (error != Errno.ENOENT || newName.IsEmpty)
            return error;
        if (target is not null && (flags & RenameFlags.NoReplace) != 0)
            return Errno.EEXIST;
        if (target is null && exchange)
            return Errno.ENOENT;
        return new Moving(from, to, source, target, flags);
    }

    private Errno CheckMove(in Moving move)
    {
        bool exchange = (move.Flags & RenameFlags.Exchange) != 0;
        bool isDirectory = move.Source.Current.IsDirectory;
        if (isDirectory && IsWithin(move.To, move.Source))
            return Errno.EINVAL;
        if (move.Target is { Current.IsDirectory: true } && IsWithin(move.From, move.Target))
            return exchange ? Errno.EINVAL : Errno.ENOTEMPTY;
        if (ReferenceEquals(move.Source, move.Target))
            return Errno.None;
        if (CheckRemove(move.From, move.Source) is var refused and not Errno.None)
            return refused;
        if (move.Target is null)
        {
            if (move.To.Current.LinkCount == 0)
                return Errno.ENOENT;
            if ((move.To.Current.Flags & InodeFlags.Immutable) != 0)
                return Errno.EPERM;
        }
        else
        {
            if (CheckRemove(move.To, move.Target) is var kept and not Errno.None)
                return kept;
            bool targetIsDirectory = move.Target.Current.IsDirectory;
            if (!exchange && isDirectory && !targetIsDirectory)
                return Errno.ENOTDIR;
            if (!exchange && !isDirectory && targetIsDirectory)
                return Errno.EISDIR;
            if (!exchange && targetIsDirectory && move.Target.Current.Size > 0)
                return Errno.ENOTEMPTY;
        }
        return CheckSubdirectories(move, exchange);
    }

    /// <summary>Whether the parents can have the sub-directories that they get.</summary>
    private static Errno CheckSubdirectories(in Moving move, bool exchange)
    {
        if (ReferenceEquals(move.From, move.To))
            return Errno.None;
        bool goes = move.Source.Current.IsDirectory;
        bool comes = move.Target is { Current.IsDirectory: true };
        bool toFull = goes && !comes && move.To.Current.LinkCount >= MetadataLimits.LinkCount;
        bool fromFull = exchange && comes && !goes && move.From.Current.LinkCount >= MetadataLimits.LinkCount;
        return toFull || fromFull ? Errno.EMLINK : Errno.None;
    }

    /// <summary>Whether a directory is another or lies below it. Goes up by the parents: a tree has as many steps as it is deep.</summary>
    private bool IsWithin(Inode directory, Inode above)
    {
        for (var at = directory; ;)
        {
            if (ReferenceEquals(at, above))
                return true;
            if (at.Number == InodeNumber.Root || at.Parent == at.Number || Find(at.Parent) is not { } parent)
                return false;
            at = parent;
        }
    }

    /// <param name="move">What moves.</param>
    /// <param name="name">Its name.</param>
    /// <param name="newName">Its new name.</param>
    /// <param name="caller">Owner of a whiteout.</param>
    /// <param name="now">The change time.</param>
    /// <param name="placed">The new entry; null where it took the place of another, whose cookie it keeps.</param>
    private Errno Move(in Moving move, ReadOnlySpan<byte> name, ReadOnlySpan<byte> newName, in Caller caller, Timestamp now, out Dentry? placed)
    {
        placed = null;
        var (from, to, source, target, flags) = move;
        bool isDirectory = source.Current.IsDirectory;
        Inode? whiteout = null;
        if ((flags & RenameFlags.Whiteout) != 0)
        {
            // As vfs_whiteout: a character device 0:0 without permissions, in the place of the old name.
            if (!MakeInode(from, new NewInode { Mode = Mode.S_IFCHR }, caller, 1, now).TryGet(out whiteout, out var error))
                return error;
        }
        var type = Mode.DirectoryEntryType(source.Current.Mode);
        // An entry that stays in its directory stays in its place: a reader that renames what it reads would otherwise meet it again and again, and never come to an end.
        bool keepsPlace = ReferenceEquals(from, to) && target is null && whiteout is null;
        long cookie = keepsPlace ? FindDentry(from.Number, name)!.Value.Cookie : _nextCookie;
        if (whiteout is null)
        {
            _effects.Rename();
            ExecuteDeleteDentry(from.Number, name);
        }
        Execute(new PutDentry { Parent = to.Number, Name = newName, Cookie = cookie, Inode = source.Number, Type = type }, exists: target is not null);
        if (target is null)
            placed = new Dentry(cookie, source.Number, type);
        if (target is null && !keepsPlace)
            _nextCookie++;
        if (whiteout is not null)
        {
            Execute(new PutDentry { Parent = from.Number, Name = name, Cookie = 0, Inode = whiteout.Number, Type = Mode.DirectoryEntryType(Mode.S_IFCHR) }, exists: true);
            TakeIn(whiteout);
            Count(whiteout, 1);
        }
        if (target is { Current.IsDirectory: true })
            BuryDirectory(target, now);
        else if (target is not null)
            Relink(target, -1, now);
        ChangeEntries(to, now, target is null ? 1 : 0, (isDirectory ? 1 : 0) - (target is { Current.IsDirectory: true } ? 1 : 0));
        ChangeEntries(from, now, whiteout is null ? -1 : 0, isDirectory ? -1 : 0);
        if (isDirectory)
        {
            source.Parent = to.Number;
            Volatile.Write(ref _moved, _tail + 1);
        }
        Change(source, source.Current with { ChangeTime = now });
        return Errno.None;
    }

    private void Exchange(in Moving move, ReadOnlySpan<byte> name, ReadOnlySpan<byte> newName, Timestamp now)
    {
        var (from, to, source, target, _) = move;
        Execute(new PutDentry { Parent = to.Number, Name = newName, Cookie = 0, Inode = source.Number, Type = Mode.DirectoryEntryType(source.Current.Mode) }, exists: true);
        Execute(new PutDentry { Parent = from.Number, Name = name, Cookie = 0, Inode = target!.Number, Type = Mode.DirectoryEntryType(target.Current.Mode) }, exists: true);
        int balance = (source.Current.IsDirectory ? 1 : 0) - (target.Current.IsDirectory ? 1 : 0);
        ChangeEntries(to, now, 0, balance);
        ChangeEntries(from, now, 0, -balance);
        Volatile.Write(ref _moved, _tail + 1);
        if (source.Current.IsDirectory)
            source.Parent = to.Number;
        if (target.Current.IsDirectory)
            target.Parent = from.Number;
        Change(source, source.Current with { ChangeTime = now });
        Change(target, target.Current with { ChangeTime = now });
    }

    private readonly record struct Moving(Inode From, Inode To, Inode Source, Inode? Target, RenameFlags Flags);
}
