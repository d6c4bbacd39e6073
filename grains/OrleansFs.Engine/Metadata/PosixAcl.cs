using System.Buffers.Binary;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>
/// A POSIX access control list in the kernel's binary form (linux/posix_acl_xattr.h, version 2): a 4-byte version, then entries of tag (2 bytes), permissions
/// (2) and id (4),
/// little-endian. The rules are those of Linux' posix_acl.c.
/// </summary>
/// <remarks>The bytes are changed in place; whoever makes one of these owns them.</remarks>
internal readonly ref struct PosixAcl
{
    private const int HeaderBytes = 4;
    private const int EntryBytes = 8;
    private const uint Version = 2;

    private const int ACL_USER_OBJ = 0x01;
    private const int ACL_USER = 0x02;
    private const int ACL_GROUP_OBJ = 0x04;
    private const int ACL_GROUP = 0x08;
    private const int ACL_MASK = 0x10;
    private const int ACL_OTHER = 0x20;

    private readonly Span<byte> _bytes;

    private PosixAcl(Span<byte> bytes) => _bytes = bytes;

    public ReadOnlySpan<byte> Bytes => _bytes;

    public int Count => (_bytes.Length - HeaderBytes) / EntryBytes;

    /// <summary>Whether it says no more than permission bits can: no named user or group, and no mask.</summary>
    public bool IsMode
    {
        get
        {
            for (int i = 0; i < Count; i++)
            {
                if (Tag(i) is ACL_USER or ACL_GROUP or ACL_MASK)
                    return false;
            }
            return true;
        }
    }

    /// <summary>The permission bits (lowest nine) that it amounts to: the mask, where there is one, stands for the group.</summary>
    public uint ToMode()
    {
        uint mode = 0;
        bool masked = Find(ACL_MASK) is not null;
        for (int i = 0; i < Count; i++)
        {
            mode |= Tag(i) switch
            {
                ACL_USER_OBJ => Permissions(i) << 6,
                ACL_GROUP_OBJ when !masked => Permissions(i) << 3,
                ACL_MASK => Permissions(i) << 3,
                ACL_OTHER => Permissions(i),
                _ => 0,
            };
        }
        return mode;
    }

    /// <summary>Reads a value that comes from outside. EOPNOTSUPP for another version, EINVAL for anything that posix_acl_valid refuses. One without entries
    /// is valid: no ACL.</summary>
    public static Errno TryRead(Span<byte> value, out PosixAcl acl)
    {
        acl = default;
        if (value.Length < HeaderBytes)
            return Errno.EINVAL;
        if (BinaryPrimitives.ReadUInt32LittleEndian(value) != Version)
            return Errno.EOPNOTSUPP;
        if ((value.Length - HeaderBytes) % EntryBytes != 0)
            return Errno.EINVAL;
        acl = new PosixAcl(value);
        return acl.Count == 0 || acl.IsValid() ? Errno.None : Errno.EINVAL;
    }

    /// <summary>chmod(2): the entries of owner, others, and of the mask (or the group where there is no mask) follow the mode.</summary>
    public void ChangeMode(uint mode)
    {
        int group = Find(ACL_MASK) ?? Find(ACL_GROUP_OBJ)!.Value;
        SetPermissions(Find(ACL_USER_OBJ)!.Value, (mode >> 6) & 7);
        SetPermissions(group, (mode >> 3) & 7);
        SetPermissions(Find(ACL_OTHER)!.Value, mode & 7);
    }

    /// <summary>A new inode takes over a default ACL: entries and mode bits are cut down to what both have (posix_acl_create_masq).</summary>
    /// <returns>The mode with its lowest nine bits cut down.</returns>
    public uint Mask(uint mode)
    {
        int group = Find(ACL_MASK) ?? Find(ACL_GROUP_OBJ)!.Value;
        mode = MaskEntry(Find(ACL_USER_OBJ)!.Value, mode, 6);
        mode = MaskEntry(group, mode, 3);
        return MaskEntry(Find(ACL_OTHER)!.Value, mode, 0);
    }

    private uint MaskEntry(int index, uint mode, int shift)
    {
        uint both = Permissions(index) & (mode >> shift) & 7;
        SetPermissions(index, both);
        return mode & ~(7u << shift) | both << shift;
    }

    /// <summary>Owner, named users, group, named groups, mask, others, in this order; a mask where anybody is named.</summary>
    private bool IsValid()
    {
        int last = 0;
        bool named = false, masked = false, owner = false, group = false, other = false;
        for (int i = 0; i < Count; i++)
        {
            int tag = Tag(i);
            bool once = tag is ACL_USER_OBJ or ACL_GROUP_OBJ or ACL_MASK or ACL_OTHER;
            if (Permissions(i) > 7 || tag < last || once && tag == last || !once && tag is not (ACL_USER or ACL_GROUP))
                return false;
            named |= !once;
            masked |= tag == ACL_MASK;
            owner |= tag == ACL_USER_OBJ;
            group |= tag == ACL_GROUP_OBJ;
            other |= tag == ACL_OTHER;
            last = tag;
        }
        return owner && group && other && (masked || !named);
    }

    private int? Find(int tag)
    {
        for (int i = 0; i < Count; i++)
        {
            if (Tag(i) == tag)
                return i;
        }
        return null;
    }

    private int Tag(int index) => BinaryPrimitives.ReadUInt16LittleEndian(_bytes[(HeaderBytes + index * EntryBytes)..]);

    private uint Permissions(int index) => BinaryPrimitives.ReadUInt16LittleEndian(_bytes[(HeaderBytes + index * EntryBytes + 2)..]);

    private void SetPermissions(int index, uint permissions) => BinaryPrimitives.WriteUInt16LittleEndian(_bytes[(HeaderBytes + index * EntryBytes + 2)..], (ushort)permissions);
}
