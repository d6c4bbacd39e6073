using System.Runtime.InteropServices;

namespace OrleansFs.Fuse;

/// <summary>The answer to STATX. Laid out as the kernel's struct fuse_statx_out (288 bytes) around struct fuse_statx (256 bytes).</summary>
[StructLayout(LayoutKind.Sequential, Size = 288)]
public record struct StatXReply
{
    private ulong _attrValid;
    private uint _attrValidNsec;
    private readonly uint _flags;
    private readonly ulong _spare0;
    private readonly ulong _spare1;
    private uint _mask;
    private uint _blksize;
    private ulong _attributes;
    private uint _nlink;
    private uint _uid;
    private uint _gid;
    private ushort _mode;
    private readonly ushort _spare2;
    private ulong _ino;
    private ulong _size;
    private ulong _blocks;
    private ulong _attributesMask;
    private StatXTime _atime;
    private StatXTime _btime;
    private StatXTime _ctime;
    private StatXTime _mtime;
    private uint _rdevMajor;
    private uint _rdevMinor;
    private readonly uint _devMajor;
    private readonly uint _devMinor;

    [StructLayout(LayoutKind.Sequential)]
    private record struct StatXTime(long Seconds, uint Nanoseconds, int Reserved)
    {
        public readonly FuseTime Time => new(Seconds, Nanoseconds);

        public static StatXTime From(FuseTime time) => new(time.Seconds, time.Nanoseconds, 0);
    }

    /// <summary>How long the kernel may keep it. Zero or more.</summary>
    public TimeSpan AttrTimeout
    {
        readonly get => KernelDuration.ToTimeSpan(_attrValid, _attrValidNsec);
        set => KernelDuration.Split(value, out _attrValid, out _attrValidNsec);
    }

    /// <summary>Which fields are filled (STATX_*).</summary>
    public uint Mask { readonly get => _mask; set => _mask = value; }

    /// <summary>Preferred block size in bytes.</summary>
    public uint BlockSize { readonly get => _blksize; set => _blksize = value; }

    /// <summary>STATX_ATTR_* that are set.</summary>
    public ulong Attributes { readonly get => _attributes; set => _attributes = value; }

    /// <summary>STATX_ATTR_* that the file system knows.</summary>
    public ulong AttributesMask { readonly get => _attributesMask; set => _attributesMask = value; }

    /// <summary>Hard links.</summary>
    public uint LinkCount { readonly get => _nlink; set => _nlink = value; }

    /// <summary>Owner.</summary>
    public uint Uid { readonly get => _uid; set => _uid = value; }

    /// <summary>Group.</summary>
    public uint Gid { readonly get => _gid; set => _gid = value; }

    /// <summary>Type and permission bits.</summary>
    public ushort Mode { readonly get => _mode; set => _mode = value; }

    /// <summary>Inode number.</summary>
    public ulong Ino { readonly get => _ino; set => _ino = value; }

    /// <summary>Length in bytes.</summary>
    public ulong Size { readonly get => _size; set => _size = value; }

    /// <summary>Space taken, in units of 512 bytes.</summary>
    public ulong Blocks { readonly get => _blocks; set => _blocks = value; }

    /// <summary>When it was last read.</summary>
    public FuseTime AccessTime { readonly get => _atime.Time; set => _atime = StatXTime.From(value); }

    /// <summary>When it was made.</summary>
    public FuseTime BirthTime { readonly get => _btime.Time; set => _btime = StatXTime.From(value); }

    /// <summary>When content or attributes last changed.</summary>
    public FuseTime ChangeTime { readonly get => _ctime.Time; set => _ctime = StatXTime.From(value); }

    /// <summary>When its content last changed.</summary>
    public FuseTime ModificationTime { readonly get => _mtime.Time; set => _mtime = StatXTime.From(value); }

    /// <summary>For devices: the major number.</summary>
    public uint DeviceMajor { readonly get => _rdevMajor; set => _rdevMajor = value; }

    /// <summary>For devices: the minor number.</summary>
    public uint DeviceMinor { readonly get => _rdevMinor; set => _rdevMinor = value; }
}
