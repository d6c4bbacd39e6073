using OrleansFs.Fuse;
using OrleansFs.Model;

namespace OrleansFs.Mount;

/// <summary>Between the volume's words and the kernel's. The one place where an inode number becomes a node id.</summary>
internal static class Translate
{
    private const int DeviceMinorLow = 0xFF;
    private const int DeviceMinorHigh = 0xFFF00;
    private const long Sector = 512;

    /// <summary>Node id and inode number are the same: numbers are never reused, so the generation is always 0, and the root of both is 1.</summary>
    internal static NodeId Node(InodeNumber inode) => new(inode.Value);

    internal static InodeNumber Inode(NodeId node) => new(node.Value);

    /// <summary>Both enumerations have the values of Linux.</summary>
    internal static Fuse.Errno Error(Model.Errno error) => (Fuse.Errno)(int)error;

    /// <summary>How a file or directory that was opened with these flags is read.</summary>
    internal static ReadFlags ReadFlags(OpenFlags flags) => flags.NoAccessTime ? Model.ReadFlags.NoAccessTime : Model.ReadFlags.None;

    internal static FuseTime Time(Timestamp time) => new(time.Seconds, time.SubsecondNanoseconds);

    internal static Timestamp Time(FuseTime time) => Timestamp.From(time.Seconds, time.Nanoseconds);

    internal static FuseAttr Attributes(in Attributes from, uint preferredIO) => new()
    {
        Ino = from.Inode.Value,
        Size = (ulong)from.Size,
        Blocks = Sectors(from),
        AccessTime = Time(from.AccessTime),
        ModificationTime = Time(from.ModifyTime),
        ChangeTime = Time(from.ChangeTime),
        Mode = from.Mode,
        LinkCount = from.LinkCount,
        Uid = from.Uid,
        Gid = from.Gid,
        Device = from.Device,
        BlockSize = preferredIO,
    };

    internal static StatXReply Extended(in Attributes from, uint preferredIO, TimeSpan timeout) => new()
    {
        AttrTimeout = timeout,
        Mask = StatX.BasicStats | StatX.BirthTime,
        BlockSize = preferredIO,
        Attributes = StatX.From(from.Flags),
        AttributesMask = StatX.Immutable | StatX.AppendOnly | StatX.NoDump,
        LinkCount = from.LinkCount,
        Uid = from.Uid,
        Gid = from.Gid,
        Mode = (ushort)from.Mode,
        Ino = from.Inode.Value,
        Size = (ulong)from.Size,
        Blocks = Sectors(from),
        AccessTime = Time(from.AccessTime),
        BirthTime = Time(from.BirthTime),
        ChangeTime = Time(from.ChangeTime),
        ModificationTime = Time(from.ModifyTime),
        DeviceMajor = (from.Device >> 8) & 0xFFF,
        DeviceMinor = (from.Device & DeviceMinorLow) | ((from.Device >> 12) & DeviceMinorHigh),
    };

    internal static AttributeChange Change(SetAttrRequest request) => new()
    {
        Mask = Mask(request.Fields),
        Mode = request.Mode & Model.Mode.PermissionMask,
        Uid = request.Uid,
        Gid = request.Gid,
        Size = request.Size,
        AccessTime = Time(request.AccessTime),
        ModifyTime = Time(request.ModificationTime),
        ChangeTime = Time(request.ChangeTime),
    };

    /// <summary>The kernel sets the "now" bit beside the bit of the time itself; the volume knows one or the other.</summary>
    private static AttributeMask Mask(SetAttrFields fields)
    {
        AttributeMask mask = AttributeMask.None;
        Map(SetAttrFields.Mode, AttributeMask.Mode);
        Map(SetAttrFields.Uid, AttributeMask.Uid);
        Map(SetAttrFields.Gid, AttributeMask.Gid);
        Map(SetAttrFields.Size, AttributeMask.Size);
        Map(SetAttrFields.ChangeTime, AttributeMask.ChangeTime);
        Map(SetAttrFields.KillSuidGid, AttributeMask.KillPrivileges);
        if ((fields & SetAttrFields.AccessTimeNow) != 0)
            mask |= AttributeMask.AccessTimeNow;
        else
            Map(SetAttrFields.AccessTime, AttributeMask.AccessTime);
        if ((fields & SetAttrFields.ModificationTimeNow) != 0)
            mask |= AttributeMask.ModifyTimeNow;
        else
            Map(SetAttrFields.ModificationTime, AttributeMask.ModifyTime);
        return mask;

        void Map(SetAttrFields field, AttributeMask to) => mask |= (fields & field) != 0 ? to : AttributeMask.None;
    }

    private static ulong Sectors(in Attributes from) => (ulong)((from.AllocatedBytes + Sector - 1) / Sector);
}

/// <summary>Bits of statx(2) (include/uapi/linux/stat.h).</summary>
internal static class StatX
{
    internal const uint BasicStats = 0x7FF;
    internal const uint BirthTime = 0x800;
    internal const ulong Immutable = 0x10;
    internal const ulong AppendOnly = 0x20;
    internal const ulong NoDump = 0x40;

    /// <summary>STATX_ATTR_IMMUTABLE, _APPEND and _NODUMP have the values of the inode flags.</summary>
    internal static ulong From(InodeFlags flags) => (ulong)flags & (Immutable | AppendOnly | NoDump);
}
