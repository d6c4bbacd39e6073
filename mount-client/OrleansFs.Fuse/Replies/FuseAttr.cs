using System.Runtime.InteropServices;

namespace OrleansFs.Fuse;

/// <summary>Attributes of a node. Laid out as the kernel's struct fuse_attr (88 bytes), so that an answer is one copy.</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct FuseAttr
{
    private ulong _ino;
    private ulong _size;
    private ulong _blocks;
    private long _atime;
    private long _mtime;
    private long _ctime;
    private uint _atimensec;
    private uint _mtimensec;
    private uint _ctimensec;
    private uint _mode;
    private uint _nlink;
    private uint _uid;
    private uint _gid;
    private uint _rdev;
    private uint _blksize;
    private uint _flags;

    /// <summary>The inode number that stat(2) shows.</summary>
    public ulong Ino { readonly get => _ino; set => _ino = value; }

    /// <summary>Length in bytes, 0 to 2^63-1.</summary>
    public ulong Size { readonly get => _size; set => _size = value; }

    /// <summary>Space taken, in units of 512 bytes.</summary>
    public ulong Blocks { readonly get => _blocks; set => _blocks = value; }

    /// <summary>When it was last read.</summary>
    public FuseTime AccessTime
    {
        readonly get => new(_atime, _atimensec);
        set => (_atime, _atimensec) = (value.Seconds, value.Nanoseconds);
    }

    /// <summary>When its content last changed.</summary>
    public FuseTime ModificationTime
    {
        readonly get => new(_mtime, _mtimensec);
        set => (_mtime, _mtimensec) = (value.Seconds, value.Nanoseconds);
    }

    /// <summary>When content or attributes last changed.</summary>
    public FuseTime ChangeTime
    {
        readonly get => new(_ctime, _ctimensec);
        set => (_ctime, _ctimensec) = (value.Seconds, value.Nanoseconds);
    }

    /// <summary>Type and permission bits (S_IFMT and below).</summary>
    public uint Mode { readonly get => _mode; set => _mode = value; }

    /// <summary>Hard links.</summary>
    public uint LinkCount { readonly get => _nlink; set => _nlink = value; }

    /// <summary>Owner.</summary>
    public uint Uid { readonly get => _uid; set => _uid = value; }

    /// <summary>Group.</summary>
    public uint Gid { readonly get => _gid; set => _gid = value; }

    /// <summary>For devices: the kernel's 32-bit encoding.</summary>
    public uint Device { readonly get => _rdev; set => _rdev = value; }

    /// <summary>The block size that stat(2) shows, in bytes; 0 is the page size.</summary>
    public uint BlockSize { readonly get => _blksize; set => _blksize = value; }

    /// <summary>FUSE_ATTR_SUBMOUNT (1), FUSE_ATTR_DAX (2); 0 on a plain file system.</summary>
    public uint Flags { readonly get => _flags; set => _flags = value; }
}
