using System.Buffers.Binary;

namespace OrleansFs.MemoryVolume;

/// <summary>A POSIX ACL in the form of its xattr: version 2, then entries of tag, permissions and id (include/uapi/linux/posix_acl_xattr.h). Semantics as acl(5).</summary>
internal sealed class AccessControl
{
    public const string AccessName = "system.posix_acl_access";
    public const string DefaultName = "system.posix_acl_default";

    private const int HeaderSize = 4;
    private const int EntrySize = 8;
    private const uint Version = 2;
    private readonly List<Entry> _entries;

    private AccessControl(List<Entry> entries) => _entries = entries;

    private enum Tag : ushort
    {
        UserObject = 1,
        User = 2,
        GroupObject = 4,
        Group = 8,
        Mask = 16,
        Other = 32,
    }

    private sealed record Entry(Tag Tag, ushort Permissions, uint Id);

    /// <summary>Whether it says more than nine permission bits can.</summary>
    public bool IsExtended => _entries.Count > 3;

    public static AccessControl? Parse(ReadOnlySpan<byte> value)
    {
        if (value.Length < HeaderSize || (value.Length - HeaderSize) % EntrySize != 0 || BinaryPrimitives.ReadUInt32LittleEndian(value) != Version)
            return null;
        var entries = new List<Entry>();
        for (var rest = value[HeaderSize..]; !rest.IsEmpty; rest = rest[EntrySize..])
        {
            entries.Add(new(
                (Tag)BinaryPrimitives.ReadUInt16LittleEndian(rest), BinaryPrimitives.ReadUInt16LittleEndian(rest[2..]), BinaryPrimitives.ReadUInt32LittleEndian(rest[4..])));
        }
        var acl = new AccessControl(entries);
        return acl.IsValid() ? acl : null;
    }

    public byte[] ToBytes()
    {
        byte[] bytes = new byte[HeaderSize + (EntrySize * _entries.Count)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Version);
        for (int i = 0; i < _entries.Count; i++)
        {
            var at = bytes.AsSpan(HeaderSize + (EntrySize * i));
            BinaryPrimitives.WriteUInt16LittleEndian(at, (ushort)_entries[i].Tag);
            BinaryPrimitives.WriteUInt16LittleEndian(at[2..], _entries[i].Permissions);
            BinaryPrimitives.WriteUInt32LittleEndian(at[4..], _entries[i].Id);
        }
        return bytes;
    }

    /// <summary>The permission bits that an inode with this ACL shows.</summary>
    public uint ToMode() => (uint)((Find(Tag.UserObject) << 6) | (Find(GroupClass) << 3) | Find(Tag.Other));

    /// <summary>chmod: owner, group class and others take the permission bits.</summary>
    public AccessControl WithMode(uint mode) => new([.. _entries.Select(entry => entry with
    {
        Permissions = entry.Tag == Tag.UserObject ? (ushort)((mode >> 6) & 7) : entry.Tag == GroupClass ? (ushort)((mode >> 3) & 7)
            : entry.Tag == Tag.Other ? (ushort)(mode & 7) : entry.Permissions,
    })]);

    /// <summary>What a new inode inherits of a default ACL when it asks for a mode: never more than the mode.</summary>
    public AccessControl Inherited(uint mode) => WithMode(ToMode() & mode);

    private Tag GroupClass => _entries.Exists(entry => entry.Tag == Tag.Mask) ? Tag.Mask : Tag.GroupObject;

    private int Find(Tag tag) => _entries.Find(entry => entry.Tag == tag)!.Permissions;

    private bool IsValid()
    {
        bool ordered = _entries.Zip(_entries.Skip(1)).All(pair => pair.First.Tag <= pair.Second.Tag);
        bool named = _entries.Exists(entry => entry.Tag is Tag.User or Tag.Group);
        int masks = _entries.Count(entry => entry.Tag == Tag.Mask);
        return ordered && _entries.TrueForAll(entry => entry.Permissions <= 7 && Enum.IsDefined(entry.Tag))
            && _entries.Count(entry => entry.Tag == Tag.UserObject) == 1 && _entries.Count(entry => entry.Tag == Tag.GroupObject) == 1
            && _entries.Count(entry => entry.Tag == Tag.Other) == 1 && (masks == 1 || (masks == 0 && !named));
    }
}
