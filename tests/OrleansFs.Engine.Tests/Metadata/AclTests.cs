using System.Buffers.Binary;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class AclTests : IDisposable
{
    private const ushort UserObj = 1, User = 2, GroupObj = 4, Group = 8, Mask = 16, Other = 32;
    private readonly TestVolume _volume = new();

    private static InodeNumber Root => InodeNumber.Root;

    private static ReadOnlySpan<byte> Access => "system.posix_acl_access"u8;

    private static ReadOnlySpan<byte> Default => "system.posix_acl_default"u8;

    private MetadataStore Store => _volume.Store;

    public void Dispose() => _volume.Dispose();

    [Fact]
    public void An_ACL_that_says_no_more_than_a_mode_becomes_one()
    {
        var file = Store.Create(Root, "a", Mode.S_IFREG | 0x1FF).Inode;
        Assert.True(Store.SetXattr(file, Access, Acl((UserObj, 6, 0), (GroupObj, 4, 0), (Other, 0, 0)), XattrFlags.None).IsOk);
        Assert.Equal(Mode.S_IFREG | 0x1A0u, Store.Get(file).Mode);
        Assert.Equal(Errno.ENODATA, Store.GetXattr(file, Access).Error);
    }

    [Fact]
    public void The_mask_is_the_group_of_the_mode_and_follows_a_chmod()
    {
        var file = Store.Create(Root, "a").Inode;
        byte[] acl = Acl((UserObj, 7, 0), (User, 6, 1000), (GroupObj, 4, 0), (Mask, 6, 0), (Other, 1, 0));
        Store.Set(file, new AttributeChange { Mask = AttributeMask.Mode, Mode = Mode.S_ISGID | 0x1FF });
        Assert.True(Store.SetXattr(file, Access, acl, XattrFlags.KillSetGroupId).IsOk);
        Assert.Equal(Mode.S_IFREG | 0x1F1u, Store.Get(file).Mode);
        Assert.Equal(acl, Store.GetXattr(file, Access).Value.ToArray());
        Store.Set(file, new AttributeChange { Mask = AttributeMask.Mode, Mode = 0x158 });
        Assert.Equal(Acl((UserObj, 5, 0), (User, 6, 1000), (GroupObj, 4, 0), (Mask, 3, 0), (Other, 0, 0)), Store.GetXattr(file, Access).Value.ToArray());
        Assert.True(Store.RemoveXattr(file, Access).IsOk);
        Assert.True(Store.RemoveXattr(file, Access).IsOk);
        Assert.Equal(Mode.S_IFREG | 0x158u, Store.Get(file).Mode);
    }

    [Fact]
    public void Bad_ACLs_are_refused()
    {
        var file = Store.Create(Root, "a").Inode;
        byte[][] bad =
        [
            [],
            [2, 0, 0, 0, 1],
            Acl((UserObj, 7, 0), (GroupObj, 4, 0)),
            Acl((UserObj, 8, 0), (GroupObj, 4, 0), (Other, 0, 0)),
            Acl((UserObj, 7, 0), (User, 4, 5), (GroupObj, 4, 0), (Other, 0, 0)),
            Acl((GroupObj, 7, 0), (UserObj, 4, 0), (Other, 0, 0)),
            Acl((UserObj, 7, 0), (UserObj, 7, 0), (GroupObj, 4, 0), (Other, 0, 0)),
            Acl((UserObj, 7, 0), (64, 7, 0), (GroupObj, 4, 0), (Other, 0, 0)),
        ];
        foreach (byte[] acl in bad)
            Assert.Equal(Errno.EINVAL, Store.SetXattr(file, Access, acl, XattrFlags.None).Error);
        Assert.Equal(Errno.EOPNOTSUPP, Store.SetXattr(file, Access, [3, 0, 0, 0], XattrFlags.None).Error);
        Assert.Equal(Errno.EACCES, Store.SetXattr(file, Default, Acl((UserObj, 7, 0), (GroupObj, 4, 0), (Other, 0, 0)), XattrFlags.None).Error);
    }

    [Fact]
    public void A_default_ACL_is_inherited_and_the_umask_is_not_applied()
    {
        var directory = Store.MakeDirectory(Root, "d").Inode;
        byte[] acl = Acl((UserObj, 7, 0), (GroupObj, 5, 0), (Group, 7, 50), (Mask, 7, 0), (Other, 0, 0));
        var before = Store.Get(directory).Mode;
        Assert.True(Store.SetXattr(directory, Default, acl, XattrFlags.None).IsOk);
        Assert.Equal(before, Store.Get(directory).Mode);
        var file = Store.Create(directory, "f", Mode.S_IFREG | 0x1B6);
        Assert.Equal(Mode.S_IFREG | 0x1B0u, file.Mode);
        Assert.Equal(Acl((UserObj, 6, 0), (GroupObj, 5, 0), (Group, 7, 50), (Mask, 6, 0), (Other, 0, 0)), Store.GetXattr(file.Inode, Access).Value.ToArray());
        Assert.Equal(Errno.ENODATA, Store.GetXattr(file.Inode, Default).Error);
        var inner = Store.MakeDirectory(directory, "e");
        Assert.Equal(Mode.S_IFDIR | 0x1F8u, inner.Mode);
        Assert.Equal(acl, Store.GetXattr(inner.Inode, Default).Value.ToArray());
        Assert.True(Store.GetXattr(inner.Inode, Access).IsOk);
        var link = Store.Create(directory, "l".Bytes(), new NewInode { Mode = Mode.S_IFLNK, SymlinkTarget = "x".Bytes() }, TestVolume.Root).Value;
        Assert.Equal(Errno.ENODATA, Store.GetXattr(link.Inode, Access).Error);
        // A plain default ACL leaves no access ACL behind.
        Store.SetXattr(directory, Default, Acl((UserObj, 7, 0), (GroupObj, 7, 0), (Other, 7, 0)), XattrFlags.None);
        var plain = Store.Create(directory, "p", Mode.S_IFREG | 0x1B6);
        Assert.Equal(Mode.S_IFREG | 0x1B6u, plain.Mode);
        Assert.Equal(Errno.ENODATA, Store.GetXattr(plain.Inode, Access).Error);
    }

    private static byte[] Acl(params (ushort Tag, ushort Permissions, uint Id)[] entries)
    {
        byte[] value = new byte[4 + 8 * entries.Length];
        value[0] = 2;
        for (int i = 0; i < entries.Length; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(value.AsSpan(4 + 8 * i), entries[i].Tag);
            BinaryPrimitives.WriteUInt16LittleEndian(value.AsSpan(6 + 8 * i), entries[i].Permissions);
            BinaryPrimitives.WriteUInt32LittleEndian(value.AsSpan(8 + 8 * i), entries[i].Id);
        }
        return value;
    }
}
