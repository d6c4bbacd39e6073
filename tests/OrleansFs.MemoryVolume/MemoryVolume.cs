using System.Text;
using OrleansFs.Model;

namespace OrleansFs.MemoryVolume;

/// <summary>
/// A volume in memory, written for plainness: the independent model that the engine is compared with, and something real to mount in the tests of the mount.
/// </summary>
/// <remarks>
/// Everything happens under one lock, and every call completes at once except a lock that has to be waited for. Nothing is shared with the engine.
/// </remarks>
public sealed partial class MemoryVolume
{
    private readonly Lock _gate = new();
    private readonly Dictionary<InodeNumber, Node> _nodes = [];
    private readonly List<IInodeHolder> _holders = [];
    private readonly TimeProvider _time;
    private readonly Node _root;
    private readonly int _blockSize;
    private ulong _lastInode;
    private long _lastCookie = FirstCookie;
    private Timestamp _now;
    private long _lsn;

    private const long CookieOfSelf = 1;
    private const long CookieOfParent = 2;
    private const long FirstCookie = 2;
    private const int MaxName = 255;
    private const int MaxXattr = 65536;

    /// <summary>What it claims to have: enough for any test, not enough to overflow.</summary>
    private const long Capacity = 1L << 40;
    private const long InodeCapacity = 1L << 32;

    /// <param name="time">The clock.</param>
    /// <param name="blockSize">S, bytes; it shows only in the status.</param>
    /// <param name="rootMode">Permission bits of the root.</param>
    public MemoryVolume(TimeProvider time, int blockSize = 128 * 1024, uint rootMode = 0x1ED)
    {
        _time = time;
        _blockSize = blockSize;
        _root = NewNode(Mode.S_IFDIR | rootMode, default, default);
        _root.Parent = _root;
        _root.Attributes = _root.Attributes with { LinkCount = 2 };
    }

    /// <summary>The volume as one more session sees it.</summary>
    public IVolumeAccess OpenSession(IInodeHolder holder)
    {
        lock (_gate)
            _holders.Add(holder);
        return new Session(this);
    }

    /// <summary>Inodes that have no name any more and live because somebody holds them.</summary>
    public int Orphans
    {
        get
        {
            lock (_gate)
                return _nodes.Values.Count(node => node.Attributes.LinkCount == 0);
        }
    }

    private static string Text(ReadOnlyMemory<byte> name) => Encoding.Latin1.GetString(name.Span);

    private Timestamp Now()
    {
        var now = Timestamp.From(_time.GetUtcNow());
        return _now = now > _now ? now : _now;
    }

    private Node NewNode(uint mode, NewInode request, Caller caller)
    {
        var now = Now();
        var number = new InodeNumber(++_lastInode);
        var node = new Node(new Attributes
        {
            Inode = number,
            Mode = mode,
            LinkCount = 1,
            Uid = caller.Uid,
            Gid = caller.Gid,
            Device = request.Device,
            Size = request.SymlinkTarget.Length,
            AccessTime = now,
            ModifyTime = now,
            ChangeTime = now,
            BirthTime = now,
        })
        {
            Target = request.SymlinkTarget.ToArray(),
        };
        _nodes.Add(number, node);
        _lsn++;
        return node;
    }

    private Errno Find(InodeNumber number, out Node node)
    {
        bool found = _nodes.TryGetValue(number, out var there);
        node = there!;
        return found ? Errno.None : Errno.ESTALE;
    }

    private Errno FindDirectory(InodeNumber number, out Node directory)
    {
        var error = Find(number, out directory);
        return error != Errno.None ? error : directory.IsDirectory ? Errno.None : Errno.ENOTDIR;
    }

    private Errno FindFile(InodeNumber number, out Node file)
    {
        var error = Find(number, out file);
        return error != Errno.None ? error : file.IsDirectory ? Errno.EISDIR : file.Attributes.IsRegular ? Errno.None : Errno.EINVAL;
    }

    private Errno FindChild(InodeNumber number, ReadOnlyMemory<byte> name, out Node directory, out string text, out Node child)
    {
        child = null!;
        text = Text(name);
        var error = FindDirectory(number, out directory);
        if (error != Errno.None)
            return error;
        if (name.Length > MaxName)
            return Errno.ENAMETOOLONG;
        child = text switch { "." => directory, ".." => directory.Parent!, _ => directory.Find(text)! };
        return child is null ? Errno.ENOENT : Errno.None;
    }

    /// <summary>Content or names changed now.</summary>
    private void Modified(Node node)
    {
        var now = Now();
        node.Attributes = node.Attributes with { ModifyTime = now, ChangeTime = now };
        _lsn++;
    }

    private void Changed(Node node)
    {
        node.Attributes = node.Attributes with { ChangeTime = Now() };
        _lsn++;
    }

    private static void AddLinks(Node node, int count) => node.Attributes = node.Attributes with { LinkCount = (uint)(node.Attributes.LinkCount + count) };

    /// <summary>Takes a name away from an inode, which goes with its last one unless somebody holds it.</summary>
    private void DropName(Node directory, string name, Node child)
    {
        directory.Remove(name);
        if (child.IsDirectory)
        {
            AddLinks(directory, -1);
            child.Attributes = child.Attributes with { LinkCount = 0 };
        }
        else
        {
            AddLinks(child, -1);
        }
        Modified(directory);
        Changed(child);
        if (child.Attributes.LinkCount == 0)
            DropIfUnused(child);
    }

    private void DropIfUnused(Node node)
    {
        if (node.Attributes.LinkCount == 0 && !_holders.Exists(holder => holder.Holds(node.Number)))
            _nodes.Remove(node.Number);
    }

    /// <summary>set-user-ID goes, and set-group-ID where the group may execute.</summary>
    private static uint WithoutPrivileges(uint mode) => mode & ~(Mode.S_ISUID | ((mode & Mode.S_IXGRP) != 0 ? Mode.S_ISGID : 0));

    private VolumeStatus Status() => new()
    {
        Volume = "memory",
        Uuid = Guid.Empty.ToString(),
        Copy = "memory",
        Role = "master",
        FormatVersion = 1,
        BlockSize = _blockSize,
        Files = _nodes.Values.LongCount(node => node.Attributes.IsRegular),
        Directories = _nodes.Values.LongCount(node => node.IsDirectory),
        OtherInodes = _nodes.Values.LongCount(node => !node.IsDirectory && !node.Attributes.IsRegular),
        LogicalBytes = _nodes.Values.Where(node => node.Attributes.IsRegular).Sum(node => node.Attributes.Size),
        ReferencedBytes = _nodes.Values.Sum(node => node.Content.Allocated),
        UniqueBytes = _nodes.Values.Sum(node => node.Content.Allocated),
        StoredBytes = _nodes.Values.Sum(node => node.Content.Allocated),
        Lsn = _lsn,
        Orphans = _nodes.Values.LongCount(node => node.Attributes.LinkCount == 0),
    };

    private SpaceReport Space()
    {
        long free = Capacity - _nodes.Values.Sum(node => node.Content.Allocated);
        return new()
        {
            BlockSize = _blockSize,
            TotalBytes = Capacity,
            FreeBytes = free,
            AvailableBytes = free,
            Inodes = _nodes.Count,
            FreeInodes = InodeCapacity - _nodes.Count,
        };
    }
}
