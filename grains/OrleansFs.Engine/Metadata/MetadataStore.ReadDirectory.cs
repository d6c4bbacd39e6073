using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>readdir.</content>
internal sealed partial class MetadataStore
{
    private const long DotCookie = 1;
    private const long DotDotCookie = 2;

    /// <summary>Gives entries after a cookie (0 is the start; "." and ".." come first) until the sink has no room or the directory ends. ENOENT for a removed
    /// directory.
    /// The sink is called under the metadata lock and must not call back.</summary>
    /// <remarks>Cookies only grow and a name keeps its cookie for as long as it stays, so an entry that stays is given exactly once. Inodes that are only
    /// listed are not taken
    /// into the cache: a walk through a large tree must not drive out what is in use.</remarks>
    public FsResult ReadDirectory(InodeNumber directory, long cookie, IDirectorySink sink, bool withAttributes)
    {
        lock (Lock)
        {
            try
            {
                if (!IsReady())
                    return Errno.EIO;
                Sweep();
                if (!FindParent(directory).TryGet(out var parent, out var error))
                    return error;
                if (cookie < DotCookie && !sink.TryAdd("."u8, directory, Mode.DirectoryEntryType(Mode.S_IFDIR), DotCookie, withAttributes ? parent.Snapshot() : null))
                    return FsResult.Ok;
                if (cookie < DotDotCookie && !AddDotDot(parent, sink, withAttributes))
                    return FsResult.Ok;
                return ReadEntries(directory, Math.Max(cookie, DotDotCookie), sink, withAttributes);
            }
            catch (MetadataException e)
            {
                return Failed(e);
            }
        }
    }

    private bool AddDotDot(Inode directory, IDirectorySink sink, bool withAttributes)
    {
        var above = Find(directory.Parent);
        return sink.TryAdd(".."u8, directory.Parent, Mode.DirectoryEntryType(Mode.S_IFDIR), DotDotCookie, withAttributes ? above?.Snapshot() : null);
    }

    private FsResult ReadEntries(InodeNumber directory, long cookie, IDirectorySink sink, bool withAttributes)
    {
        var s = _sql.ReadDentries.Bind(1, directory).Bind(2, cookie);
        try
        {
            while (s.Step())
            {
                var inode = s.Inode(2);
                var attributes = withAttributes ? Peek(inode) : null;
                if (withAttributes && attributes is null)
                    return Contradiction($"directory {directory} names inode {inode}, which has no row");
                if (!sink.TryAdd(s.Blob(1), inode, (byte)s.Int64(3), s.Int64(0), attributes))
                    break;
            }
            return FsResult.Ok;
        }
        finally
        {
            s.Reset();
        }
    }

    /// <summary>An inode's attributes without taking it into memory.</summary>
    private Attributes? Peek(InodeNumber number)
    {
        if (_inodes.TryGetValue(number.Value, out var known))
            return known.Snapshot();
        var s = _sql.GetInode.Bind(1, number);
        if (!s.Step())
            return null;
        var attributes = ReadRow(s).Attributes;
        s.Reset();
        return attributes;
    }
}
