using OrleansFs.Model;

namespace OrleansFs.MemoryVolume;

/// <summary>Names.</summary>
public sealed partial class MemoryVolume
{
    private FsResult<Attributes> Lookup(InodeNumber directory, ReadOnlyMemory<byte> name)
    {
        var error = FindChild(directory, name, out _, out _, out var child);
        return error != Errno.None ? error : child.Attributes;
    }

    private Errno FindFree(InodeNumber number, ReadOnlyMemory<byte> name, out Node directory, out string text)
    {
        var error = FindChild(number, name, out directory, out text, out _);
        if (error == Errno.None)
            return Errno.EEXIST;
        if (error != Errno.ENOENT)
            return error;
        return directory.Attributes.LinkCount == 0 ? Errno.ENOENT : directory.Has(InodeFlags.Immutable) ? Errno.EPERM : Errno.None;
    }

    private FsResult<Attributes> Create(InodeNumber number, ReadOnlyMemory<byte> name, NewInode request, Caller caller)
    {
        var error = FindFree(number, name, out var directory, out string text);
        if (error != Errno.None)
            return error;
        var node = NewNode(request.Mode, request, caller);
        Inherit(directory, node, caller);
        directory.Add(text, node, ++_lastCookie);
        if (node.IsDirectory)
        {
            node.Parent = directory;
            AddLinks(node, 1);
            AddLinks(directory, 1);
        }
        Modified(directory);
        return node.Attributes;
    }

    private FsResult<Attributes> CreateUnnamed(InodeNumber number, NewInode request, Caller caller)
    {
        var error = FindDirectory(number, out var directory);
        if (error != Errno.None)
            return error;
        if (directory.Attributes.LinkCount == 0)
            return Errno.ENOENT;
        var node = NewNode(Mode.S_IFREG | (request.Mode & Mode.PermissionMask), request, caller);
        Inherit(directory, node, caller);
        AddLinks(node, -1);
        node.Linkable = true;
        return node.Attributes;
    }

    /// <summary>Group and set-group-ID of a set-group-ID directory; permissions by its default ACL, or by the umask where it has none.</summary>
    private static void Inherit(Node directory, Node node, Caller caller)
    {
        uint mode = node.Attributes.Mode;
        uint gid = node.Attributes.Gid;
        if ((directory.Attributes.Mode & Mode.S_ISGID) != 0)
        {
            gid = directory.Attributes.Gid;
            if (node.IsDirectory)
                mode |= Mode.S_ISGID;
        }
        if (!node.Attributes.IsSymlink)
        {
            if (directory.Xattrs.TryGetValue(AccessControl.DefaultName, out byte[]? inherited))
            {
                var access = AccessControl.Parse(inherited)!.Inherited(mode);
                mode = (mode & ~0x1FFu) | access.ToMode();
                if (access.IsExtended)
                    node.Xattrs[AccessControl.AccessName] = access.ToBytes();
                if (node.IsDirectory)
                    node.Xattrs[AccessControl.DefaultName] = inherited;
            }
            else
            {
                mode &= ~(caller.Umask & 0x1FF);
            }
        }
        node.Attributes = node.Attributes with { Mode = mode, Gid = gid };
    }

    private FsResult<Attributes> Link(InodeNumber number, InodeNumber target, ReadOnlyMemory<byte> name)
    {
        var error = Find(number, out var node);
        if (error == Errno.None)
            error = FindFree(target, name, out _, out _);
        if (error != Errno.None)
            return error;
        if (node.IsDirectory || node.Has(InodeFlags.Immutable) || node.Has(InodeFlags.AppendOnly))
            return Errno.EPERM;
        if (node.Attributes.LinkCount == 0 && !node.Linkable)
            return Errno.ENOENT;
        var directory = _nodes[target];
        directory.Add(Text(name), node, ++_lastCookie);
        node.Linkable = false;
        AddLinks(node, 1);
        Modified(directory);
        Changed(node);
        return node.Attributes;
    }

    private FsResult Unlink(InodeNumber number, ReadOnlyMemory<byte> name)
    {
        var error = FindChild(number, name, out var directory, out string text, out var child);
        if (error != Errno.None)
            return error;
        if (child.IsDirectory)
            return Errno.EISDIR;
        if (IsFixed(directory, child))
            return Errno.EPERM;
        DropName(directory, text, child);
        return FsResult.Ok;
    }

    private FsResult RemoveDirectory(InodeNumber number, ReadOnlyMemory<byte> name)
    {
        var error = FindChild(number, name, out var directory, out string text, out var child);
        if (error != Errno.None)
            return error;
        if (!child.IsDirectory)
            return Errno.ENOTDIR;
        if (text is "." or "..")
            return text == "." ? Errno.EINVAL : Errno.ENOTEMPTY;
        if (child.Entries.Count > 0)
            return Errno.ENOTEMPTY;
        if (IsFixed(directory, child))
            return Errno.EPERM;
        DropName(directory, text, child);
        return FsResult.Ok;
    }

    private static bool IsFixed(Node directory, Node child) =>
        directory.Has(InodeFlags.Immutable) || directory.Has(InodeFlags.AppendOnly) || child.Has(InodeFlags.Immutable) || child.Has(InodeFlags.AppendOnly);

    private FsResult Rename(InodeNumber from, ReadOnlyMemory<byte> name, InodeNumber to, ReadOnlyMemory<byte> newName, RenameFlags flags, Caller caller)
    {
        var error = FindChild(from, name, out var source, out string oldText, out var moved);
        if (error != Errno.None)
            return error;
        error = FindChild(to, newName, out var target, out string newText, out var replaced);
        if (error is not (Errno.None or Errno.ENOENT))
            return error;
        bool exchange = (flags & RenameFlags.Exchange) != 0;
        if (exchange && (flags & ~RenameFlags.Exchange) != 0)
            return Errno.EINVAL;
        if (exchange && error == Errno.ENOENT)
            return Errno.ENOENT;
        if ((flags & RenameFlags.NoReplace) != 0 && error == Errno.None)
            return Errno.EEXIST;
        if (target.Attributes.LinkCount == 0)
            return Errno.ENOENT;
        if (IsFixed(source, moved) || target.Has(InodeFlags.Immutable) || (replaced is not null && IsFixed(target, replaced)))
            return Errno.EPERM;
        if (moved == replaced)
            return FsResult.Ok;
        if (IsWithin(target, moved) || (exchange && IsWithin(source, replaced!)))
            return Errno.EINVAL;
        return exchange ? Exchange(source, oldText, moved, target, newText, replaced!) : Move(source, oldText, moved, target, newText, replaced, flags, caller);
    }

    private FsResult Exchange(Node source, string oldText, Node moved, Node target, string newText, Node other)
    {
        source.Remove(oldText);
        target.Remove(newText);
        source.Add(oldText, other, ++_lastCookie);
        target.Add(newText, moved, ++_lastCookie);
        Adopt(source, target, moved);
        Adopt(target, source, other);
        Modified(source);
        Modified(target);
        Changed(moved);
        Changed(other);
        return FsResult.Ok;
    }

    private FsResult Move(Node source, string oldText, Node moved, Node target, string newText, Node? replaced, RenameFlags flags, Caller caller)
    {
        if (replaced is not null)
        {
            if (moved.IsDirectory && !replaced.IsDirectory)
                return Errno.ENOTDIR;
            if (!moved.IsDirectory && replaced.IsDirectory)
                return Errno.EISDIR;
            if (replaced.Entries.Count > 0)
                return Errno.ENOTEMPTY;
            DropName(target, newText, replaced);
        }
        source.Remove(oldText);
        target.Add(newText, moved, ++_lastCookie);
        Adopt(source, target, moved);
        if ((flags & RenameFlags.Whiteout) != 0)
            source.Add(oldText, NewNode(Mode.S_IFCHR, default, caller), ++_lastCookie);
        Modified(source);
        Modified(target);
        Changed(moved);
        return FsResult.Ok;
    }

    /// <summary>A directory that moved has another "..".</summary>
    private static void Adopt(Node from, Node to, Node moved)
    {
        if (!moved.IsDirectory)
            return;
        moved.Parent = to;
        AddLinks(from, -1);
        AddLinks(to, 1);
    }

    private static bool IsWithin(Node directory, Node ancestor)
    {
        for (var at = directory; ; at = at.Parent!)
        {
            if (at == ancestor)
                return true;
            if (at.Parent == at)
                return false;
        }
    }

    private FsResult ReadDirectory(InodeNumber number, long cookie, IDirectorySink sink, bool withAttributes)
    {
        var error = FindDirectory(number, out var directory);
        if (error != Errno.None)
            return error;
        if (cookie < CookieOfSelf && !Give("."u8, directory, CookieOfSelf))
            return FsResult.Ok;
        if (cookie < CookieOfParent && !Give(".."u8, directory.Parent!, CookieOfParent))
            return FsResult.Ok;
        for (int i = FirstAfter(directory.Entries.Keys, cookie); i < directory.Entries.Count; i++)
        {
            var (name, node) = directory.Entries.GetValueAtIndex(i);
            if (!Give(System.Text.Encoding.Latin1.GetBytes(name), node, directory.Entries.GetKeyAtIndex(i)))
                break;
        }
        Touch(directory);
        return FsResult.Ok;

        bool Give(ReadOnlySpan<byte> name, Node node, long at) =>
            sink.TryAdd(name, node.Number, Mode.DirectoryEntryType(node.Attributes.Mode), at, withAttributes ? node.Attributes : null);
    }

    private static int FirstAfter(IList<long> sorted, long value)
    {
        int low = 0;
        int high = sorted.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (sorted[middle] <= value)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }
}
