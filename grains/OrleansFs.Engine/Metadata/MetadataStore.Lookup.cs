using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Finding names.</content>
internal sealed partial class MetadataStore
{
    /// <summary>The first cookie of an entry of a directory; those before are for the start, "." and "..".</summary>
    private const long FirstCookie = 3;

    private readonly DentryCache _dentries = new();

    /// <summary>Finds a name. "." and ".." are known. ENOENT, ENAMETOOLONG, EINVAL for a byte that no name has, ESTALE, ENOTDIR.</summary>
    public FsResult<Attributes> Lookup(InodeNumber directory, ReadOnlySpan<byte> name)
    {
        if (LookUpCached(directory, name) is { } cached)
            return cached;
        lock (Lock)
        {
            try
            {
                if (!IsReady())
                    return Errno.EIO;
                Sweep();
                if (!FindDirectory(directory).TryGet(out var parent, out var error))
                    return error;
                if (name.SequenceEqual("."u8))
                    return parent.Snapshot();
                if (name.SequenceEqual(".."u8))
                    return Find(parent.Parent) is { } above ? above.Snapshot() : Errno.ENOENT;
                if (CheckName(name) is var bad and not Errno.None)
                    return bad;
                if (FindDentry(directory, name) is not { } dentry)
                    return Errno.ENOENT;
                return Find(dentry.Inode) is { } child ? child.Snapshot() : Contradiction($"directory {directory} names inode {dentry.Inode}, which has no row");
            }
            catch (MetadataException e)
            {
                return Failed(e);
            }
        }
    }

    /// <summary>Target of a symbolic link; EINVAL for anything else.</summary>
    public FsResult<ReadOnlyMemory<byte>> ReadLink(InodeNumber inode)
    {
        lock (Lock)
        {
            try
            {
                if (!IsReady())
                    return Errno.EIO;
                Sweep();
                if (Find(inode) is not { } link)
                    return Errno.ESTALE;
                if (!link.Current.IsSymlink)
                    return Errno.EINVAL;
                if (link.NewTarget is not null)
                    return new ReadOnlyMemory<byte>(link.NewTarget);
                var s = _sql.GetTarget.Bind(1, inode);
                if (!s.Step())
                    return Errno.ESTALE;
                byte[] target = s.Blob(0).ToArray();
                s.Reset();
                return new ReadOnlyMemory<byte>(target);
            }
            catch (MetadataException e)
            {
                return Failed(e);
            }
        }
    }

    private FsResult<Inode> FindDirectory(InodeNumber number)
    {
        if (Find(number) is not { } inode)
            return Errno.ESTALE;
        return inode.Current.IsDirectory ? inode : Errno.ENOTDIR;
    }

    /// <summary>The directory that an entry is to be made in: it has not been removed and may be changed.</summary>
    private FsResult<Inode> FindParent(InodeNumber number)
    {
        if (!FindDirectory(number).TryGet(out var inode, out var error))
            return error;
        return inode.Current.LinkCount == 0 ? Errno.ENOENT : inode;
    }

    /// <summary>What is in memory is found without the lock, which a commit holds for its milliseconds.</summary>
    private FsResult<Attributes>? LookUpCached(InodeNumber directory, ReadOnlySpan<byte> name)
    {
        if (Trouble is not null || !_dentries.TryFind(directory, name, out var dentry) || !_inodes.TryGetValue(directory.Value, out var parent) || parent.IsGone)
            return null;
        parent.Recent = true;
        if (dentry is not { } found)
            return Errno.ENOENT;
        if (!_inodes.TryGetValue(found.Inode.Value, out var child) || child.IsGone)
            return null;
        child.Recent = true;
        return child.Snapshot();
    }

    private Dentry? FindDentry(InodeNumber parent, ReadOnlySpan<byte> name)
    {
        if (_dentries.TryFind(parent, name, out var known))
            return known;
        var found = ReadDentry(parent, name);
        _dentries.Put(parent, name, found);
        return found;
    }

    /// <summary>As it is in the table, also in the middle of a change.</summary>
    private Dentry? ReadDentry(InodeNumber parent, ReadOnlySpan<byte> name)
    {
        var s = _sql.GetDentry.Bind(1, parent).Bind(2, name);
        if (!s.Step())
            return null;
        var dentry = new Dentry(s.Int64(0), s.Inode(1), (byte)s.Int64(2));
        s.Reset();
        return dentry;
    }

    private static Errno CheckName(ReadOnlySpan<byte> name)
    {
        if (name.IsEmpty)
            return Errno.ENOENT;
        if (name.Length > MetadataLimits.NameLength)
            return Errno.ENAMETOOLONG;
        return name.IndexOfAny((byte)'/', (byte)0) >= 0 ? Errno.EINVAL : Errno.None;
    }

    /// <summary>"." or "..": names that are always there and belong to nobody.</summary>
    private static bool IsDots(ReadOnlySpan<byte> name) => name is [(byte)'.'] or [(byte)'.', (byte)'.'];

    private Errno Contradiction(string what) => Failed(new MetadataException(Errno.EIO, 0, $"{what}: run fsck"));
}
