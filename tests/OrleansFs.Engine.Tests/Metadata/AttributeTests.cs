using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class AttributeTests : IDisposable
{
    private const uint SetIds = Mode.S_ISUID | Mode.S_ISGID;
    private readonly TestVolume _volume = new();

    private static InodeNumber Root => InodeNumber.Root;

    private MetadataStore Store => _volume.Store;

    public void Dispose() => _volume.Dispose();

    [Fact]
    public void A_chmod_keeps_the_type_and_sets_the_change_time()
    {
        var file = Store.Create(Root, "a");
        var after = Store.Set(file.Inode, new AttributeChange { Mask = AttributeMask.Mode, Mode = Mode.S_IFDIR | 0x1C0 }).Value;
        Assert.Equal(Mode.S_IFREG | 0x1C0u, after.Mode);
        Assert.True(after.ChangeTime > file.ChangeTime);
        Assert.Equal((file.ModifyTime, file.AccessTime), (after.ModifyTime, after.AccessTime));
    }

    [Theory]
    [InlineData(0x1ED, 0x1EDu)]
    [InlineData(0x1E4, 0x1E4u | Mode.S_ISGID)]
    public void A_chown_clears_set_IDs_of_a_file_and_not_of_a_directory(int permissions, uint expected)
    {
        var file = Store.Create(Root, "a", Mode.S_IFREG).Inode;
        Store.Set(file, new AttributeChange { Mask = AttributeMask.Mode, Mode = SetIds | (uint)permissions });
        var after = Store.Set(file, new AttributeChange { Mask = AttributeMask.Gid, Gid = 7 }).Value;
        Assert.Equal((Mode.S_IFREG | expected, 0u, 7u), (after.Mode, after.Uid, after.Gid));
        var directory = Store.MakeDirectory(Root, "d", SetIds | (uint)permissions).Inode;
        Store.Set(directory, new AttributeChange { Mask = AttributeMask.Mode, Mode = SetIds | (uint)permissions });
        Assert.Equal(Mode.S_IFDIR | SetIds | (uint)permissions, Store.Set(directory, new AttributeChange { Mask = AttributeMask.Uid, Uid = 7 }).Value.Mode);
    }

    [Fact]
    public void Killing_privileges_changes_nothing_where_there_are_none()
    {
        var file = Store.Create(Root, "a");
        _volume.Commit();
        Assert.Equal(file, Store.Set(file.Inode, new AttributeChange { Mask = AttributeMask.KillPrivileges }).Value);
        Assert.False(Store.HasPending);
        Store.SetXattr(file.Inode, "security.capability"u8, [1, 2, 3], XattrFlags.None);
        Store.SetXattr(file.Inode, "user.kept"u8, [1], XattrFlags.None);
        Store.Set(file.Inode, new AttributeChange { Mask = AttributeMask.KillPrivileges });
        Assert.Equal(Errno.ENODATA, Store.GetXattr(file.Inode, "security.capability"u8).Error);
        Assert.True(Store.GetXattr(file.Inode, "user.kept"u8).IsOk);
    }

    [Fact]
    public void Times_are_set_as_asked()
    {
        var file = Store.Create(Root, "a");
        var set = Store.Set(file.Inode, new AttributeChange { Mask = AttributeMask.AccessTime | AttributeMask.ModifyTime, AccessTime = new(-5), ModifyTime = new(7) }).Value;
        Assert.Equal((new Timestamp(-5), new Timestamp(7)), (set.AccessTime, set.ModifyTime));
        Assert.True(set.ChangeTime > file.ChangeTime);
        var now = Store.Set(file.Inode, new AttributeChange { Mask = AttributeMask.ModifyTimeNow }).Value;
        Assert.Equal(new Timestamp(-5), now.AccessTime);
        Assert.Equal(now.ChangeTime, now.ModifyTime);
        _volume.Commit();
        _volume.Reopen();
        Assert.Equal(now, Store.Get(file.Inode));
    }

    [Fact]
    public void Immutable_and_append_only_protect()
    {
        var directory = Store.MakeDirectory(Root, "d").Inode;
        var file = Store.Create(directory, "f").Inode;
        Store.Set(file, new AttributeChange { Mask = AttributeMask.Flags, Flags = InodeFlags.AppendOnly });
        Assert.Equal(Errno.EPERM, Store.Unlink(directory, "f").Error);
        Assert.Equal(Errno.EPERM, Store.Rename(directory, "f", directory, "g").Error);
        Assert.Equal(Errno.EPERM, Store.Link(file, directory, "g").Error);
        Assert.Equal(Errno.EPERM, Store.Set(file, new AttributeChange { Mask = AttributeMask.Mode, Mode = 0 }).Error);
        Assert.Equal(Errno.EPERM, Store.Set(file, new AttributeChange { Mask = AttributeMask.ModifyTime }).Error);
        Assert.Equal(Errno.EPERM, Store.SetXattr(file, "user.a"u8, [1], XattrFlags.None).Error);
        Assert.Equal(Errno.EPERM, Store.Set(file, new AttributeChange { Mask = AttributeMask.ModifyTimeNow }).Error);
        Assert.Equal(Errno.EPERM, Store.Set(file, new AttributeChange { Mask = AttributeMask.AccessTimeNow }).Error);
        Assert.True(Store.Set(file, new AttributeChange { Mask = AttributeMask.AccessTimeNow | AttributeMask.ModifyTimeNow }).IsOk);
        Assert.True(Store.Set(file, new AttributeChange { Mask = AttributeMask.Flags }).IsOk);
        Store.Set(directory, new AttributeChange { Mask = AttributeMask.Flags, Flags = InodeFlags.AppendOnly });
        Assert.True(Store.Create(directory, "g").Inode.Value > 0);
        Assert.Equal(Errno.EPERM, Store.Unlink(directory, "g").Error);
        Store.Set(directory, new AttributeChange { Mask = AttributeMask.Flags, Flags = InodeFlags.Immutable });
        Assert.Equal(Errno.EPERM, Store.Create(directory, "h".Bytes(), new NewInode { Mode = Mode.S_IFREG }, TestVolume.Root).Error);
        Assert.Equal(Errno.EEXIST, Store.Create(directory, "g".Bytes(), new NewInode { Mode = Mode.S_IFREG }, TestVolume.Root).Error);
        Assert.Equal(Errno.EPERM, Store.Rename(Root, "d", Root, "e").Error);
        Assert.Equal(Errno.EPERM, Store.Set(directory, new AttributeChange { Mask = AttributeMask.ModifyTimeNow }).Error);
        Assert.Equal(Errno.EOPNOTSUPP, Store.Set(directory, new AttributeChange { Mask = AttributeMask.Flags, Flags = (InodeFlags)1 }).Error);
    }

    [Fact]
    public void Extended_attributes_have_their_bounds()
    {
        var file = Store.Create(Root, "a").Inode;
        Assert.Equal(Errno.ENODATA, Store.GetXattr(file, "user.x"u8).Error);
        Assert.Equal(Errno.ENODATA, Store.SetXattr(file, "user.x"u8, [1], XattrFlags.Replace).Error);
        Assert.True(Store.SetXattr(file, "user.x"u8, [1], XattrFlags.Create).IsOk);
        Assert.Equal(Errno.EEXIST, Store.SetXattr(file, "user.x"u8, [2], XattrFlags.Create).Error);
        Assert.True(Store.SetXattr(file, "user.empty"u8, [], XattrFlags.None).IsOk);
        Assert.Equal(Errno.E2BIG, Store.SetXattr(file, "user.y"u8, new byte[65537], XattrFlags.None).Error);
        Assert.Equal(Errno.ERANGE, Store.SetXattr(file, new byte[256], [1], XattrFlags.None).Error);
        for (int i = 0; i < 15; i++)
            Assert.True(Store.SetXattr(file, $"user.big{i}".Bytes(), new byte[65536], XattrFlags.None).IsOk);
        Assert.Equal(Errno.ENOSPC, Store.SetXattr(file, "user.more"u8, new byte[65536], XattrFlags.None).Error);
        Assert.Empty(Store.GetXattr(file, "user.empty"u8).Value.ToArray());
        _volume.Commit();
        _volume.Reopen();
        Assert.Equal(Errno.ENOSPC, Store.SetXattr(file, "user.more"u8, new byte[65536], XattrFlags.None).Error);
        for (int i = 0; i < 15; i++)
            Assert.True(Store.RemoveXattr(file, $"user.big{i}".Bytes()).IsOk);
        Assert.Equal("user.empty\0user.x\0".Bytes(), Store.ListXattr(file).Value.ToArray());
        Assert.Equal(Errno.ENODATA, Store.RemoveXattr(file, "user.more"u8).Error);
        Store.RemoveXattr(file, "user.empty"u8);
        Store.RemoveXattr(file, "user.x"u8);
        Assert.Equal(0, Store.Acquire(file)!.XattrBytes);
    }
}
