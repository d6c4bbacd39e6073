using System.Buffers.Binary;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>Extended attributes and POSIX ACLs.</summary>
public sealed class XattrTests(MountPool mounts)
{
    private const string Access = "system.posix_acl_access";
    private const string Default = "system.posix_acl_default";
    private const ushort UserObject = 1;
    private const ushort NamedUser = 2;
    private const ushort GroupObject = 4;
    private const ushort Mask = 16;
    private const ushort Other = 32;

    [Theory, OnEveryMount]
    public async Task Attributes_are_set_listed_and_removed(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Create($"{at}/f");
        Assert.Equal(Errno.None, Sys.SetXattr($"{at}/f", "user.one", "1"u8));
        Assert.Equal(Errno.None, Sys.SetXattr($"{at}/f", "user.empty", []));
        Assert.Equal(Errno.None, Sys.SetXattr($"{at}/f", "trusted.two", "22"u8));
        Assert.Equal(Errno.None, Sys.SetXattr($"{at}/f", "user.\xff", [0, 1, 2]));
        Assert.Equal(Errno.None, Sys.ListXattr($"{at}/f", out string[] names));
        Assert.Equal(["trusted.two", "user.empty", "user.one", "user.\xff"], names.Where(name => !name.StartsWith("security.", StringComparison.Ordinal)));
        Assert.Equal(Errno.None, Sys.GetXattr($"{at}/f", "user.\xff", out byte[] value));
        Assert.Equal([0, 1, 2], value);
        Assert.Equal(Errno.None, Sys.GetXattr($"{at}/f", "user.empty", out byte[] empty));
        Assert.Empty(empty);
        Assert.Equal(Errno.None, Sys.SetXattr($"{at}/f", "user.one", "new"u8, XattrFlags.Replace));
        Assert.Equal(Errno.None, Sys.GetXattr($"{at}/f", "user.one", out byte[] replaced));
        Assert.Equal("new"u8, replaced);
        Assert.Equal(Errno.None, Sys.RemoveXattr($"{at}/f", "user.one"));
        Assert.Equal(Errno.ENODATA, Sys.GetXattr($"{at}/f", "user.one", out _));
        Sys.Mkdir($"{at}/d");
        Assert.Equal(Errno.None, Sys.SetXattr($"{at}/d", "user.of-a-directory", "1"u8));
    }

    [Theory, OnEveryMount]
    public async Task A_value_may_have_64_KiB(string kind)
    {
        if (MountKind.Named(kind).Volume == VolumeKind.Plain)
            Assert.Skip("ext4 has less");
        string at = await mounts.EnterAsync(kind);
        Sys.Create($"{at}/f");
        byte[] value = new byte[65536];
        new Random(3).NextBytes(value);
        Assert.Equal(Errno.None, Sys.SetXattr($"{at}/f", "user.big", value));
        Assert.Equal(Errno.None, Sys.GetXattr($"{at}/f", "user.big", out byte[] seen));
        Assert.Equal(value, seen);
    }

    [Theory, OnEveryMount]
    public async Task An_access_ACL_decides_and_shows_in_the_mode(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Create($"{at}/f", 0x180);
        byte[] acl = Acl((UserObject, 6, null), (NamedUser, 6, 1000), (GroupObject, 0, null), (Mask, 6, null), (Other, 0, null));
        Assert.Equal(Errno.None, Sys.SetXattr($"{at}/f", Access, acl));
        Assert.Equal(Mode.S_IFREG | 0x1B0, Sys.Stat($"{at}/f").Mode);
        Assert.Equal(Errno.None, AsUser.Run(1000, 1000, () => Open($"{at}/f", Sys.O_RDWR)));
        Assert.Equal(Errno.EACCES, AsUser.Run(1001, 1001, () => Open($"{at}/f", Sys.O_RDONLY)));
        // chmod of the group bits is chmod of the mask.
        Assert.Equal(Errno.None, Sys.Chmod($"{at}/f", 0x1A0));
        Assert.Equal(Errno.EACCES, AsUser.Run(1000, 1000, () => Open($"{at}/f", Sys.O_RDWR)));
        Assert.Equal(Errno.None, AsUser.Run(1000, 1000, () => Open($"{at}/f", Sys.O_RDONLY)));
        Assert.Equal(Errno.None, Sys.GetXattr($"{at}/f", Access, out byte[] masked));
        Assert.Equal(Acl((UserObject, 6, null), (NamedUser, 6, 1000), (GroupObject, 0, null), (Mask, 4, null), (Other, 0, null)), masked);
        // An ACL that says no more than the mode is the mode.
        Assert.Equal(Errno.None, Sys.SetXattr($"{at}/f", Access, Acl((UserObject, 7, null), (GroupObject, 5, null), (Other, 1, null))));
        Assert.Equal(Mode.S_IFREG | 0x1E9, Sys.Stat($"{at}/f").Mode);
        Assert.Equal(Errno.ENODATA, Sys.GetXattr($"{at}/f", Access, out _));
    }

    [Theory, OnEveryMount]
    public async Task A_default_ACL_is_inherited(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Mkdir($"{at}/d");
        byte[] acl = Acl((UserObject, 7, null), (NamedUser, 7, 1000), (GroupObject, 5, null), (Mask, 7, null), (Other, 0, null));
        Assert.Equal(Errno.None, Sys.SetXattr($"{at}/d", Default, acl));
        Sys.Mkdir($"{at}/d/sub", 0x1FF);
        Sys.Create($"{at}/d/f", 0x1B6);
        // The umask has no say where there is a default ACL.
        Assert.Equal(Mode.S_IFREG | 0x1B0, Sys.Stat($"{at}/d/f").Mode);
        Assert.Equal(Mode.S_IFDIR | 0x1F8, Sys.Stat($"{at}/d/sub").Mode);
        Assert.Equal(Errno.None, Sys.GetXattr($"{at}/d/f", Access, out byte[] inherited));
        Assert.Equal(Acl((UserObject, 6, null), (NamedUser, 7, 1000), (GroupObject, 5, null), (Mask, 6, null), (Other, 0, null)), inherited);
        Assert.Equal(Errno.ENODATA, Sys.GetXattr($"{at}/d/f", Default, out _));
        Assert.Equal(Errno.None, Sys.GetXattr($"{at}/d/sub", Default, out byte[] passed));
        Assert.Equal(acl, passed);
        Assert.Equal(Errno.None, AsUser.Run(1000, 1000, () => Open($"{at}/d/f", Sys.O_RDWR)));
        Assert.Equal(Errno.None, Sys.RemoveXattr($"{at}/d", Default));
        Sys.Create($"{at}/d/g", 0x180);
        Assert.Equal(Errno.ENODATA, Sys.GetXattr($"{at}/d/g", Access, out _));
    }

    private static byte[] Acl(params (ushort Tag, ushort Permissions, uint? Id)[] entries)
    {
        byte[] bytes = new byte[4 + (8 * entries.Length)];
        bytes[0] = 2;
        for (int i = 0; i < entries.Length; i++)
        {
            var at = bytes.AsSpan(4 + (8 * i));
            BinaryPrimitives.WriteUInt16LittleEndian(at, entries[i].Tag);
            BinaryPrimitives.WriteUInt16LittleEndian(at[2..], entries[i].Permissions);
            BinaryPrimitives.WriteUInt32LittleEndian(at[4..], entries[i].Id ?? uint.MaxValue);
        }
        return bytes;
    }

    private static Errno Open(string path, int flags)
    {
        var error = Sys.Open(path, flags, 0, out var fd);
        fd.Dispose();
        return error;
    }
}
