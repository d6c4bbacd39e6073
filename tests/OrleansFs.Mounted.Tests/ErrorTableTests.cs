using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>A table of calls that fail, and with what (the ERRORS of their manual pages on Linux).</summary>
public sealed class ErrorTableTests(MountPool mounts)
{
    /// <summary>A line: what is done in a fresh directory that has a file "f", a full directory "d/x", an empty one "e", a symbolic link "l" to "f", and one "loop" to itself.</summary>
    private static readonly (string Name, Func<string, Errno> Act, Errno Expected)[] s_table =
    [
        ("open: no file", at => Open($"{at}/none", Sys.O_RDONLY), Errno.ENOENT),
        ("open: file as directory", at => Open($"{at}/f/x", Sys.O_RDONLY), Errno.ENOTDIR),
        ("open: O_DIRECTORY on a file", at => Open($"{at}/f", Sys.O_RDONLY | Sys.O_DIRECTORY), Errno.ENOTDIR),
        ("open: write a directory", at => Open($"{at}/d", Sys.O_WRONLY), Errno.EISDIR),
        ("open: create where a directory is", at => Open($"{at}/d", Sys.O_CREAT | Sys.O_RDWR), Errno.EISDIR),
        ("open: exclusive on a link", at => Open($"{at}/l", Sys.O_CREAT | Sys.O_EXCL | Sys.O_RDWR), Errno.EEXIST),
        ("open: O_NOFOLLOW on a link", at => Open($"{at}/l", Sys.O_RDONLY | Sys.O_NOFOLLOW), Errno.ELOOP),
        ("open: loop", at => Open($"{at}/loop", Sys.O_RDONLY), Errno.ELOOP),
        ("open: long name", at => Open($"{at}/{new string('n', 256)}", Sys.O_CREAT | Sys.O_RDWR), Errno.ENAMETOOLONG),
        ("open: create below nothing", at => Open($"{at}/none/f", Sys.O_CREAT | Sys.O_RDWR), Errno.ENOENT),
        ("open: O_TMPFILE in a file", at => Open($"{at}/f", Sys.O_TMPFILE | Sys.O_RDWR), Errno.ENOTDIR),
        ("open: O_TMPFILE read-only", at => Open(at, Sys.O_TMPFILE | Sys.O_RDONLY), Errno.EINVAL),
        ("open: fifo without a reader", at => Then(Sys.Mknod($"{at}/p", Mode.S_IFIFO | 0x1A4), () => Open($"{at}/p", Sys.O_WRONLY | Sys.O_NONBLOCK)), Errno.ENXIO),
        ("mkdir: exists", at => Sys.Mkdir($"{at}/d"), Errno.EEXIST),
        ("mkdir: a file is there", at => Sys.Mkdir($"{at}/f"), Errno.EEXIST),
        ("mkdir: a link to nothing is there", at => Sys.Mkdir($"{at}/loop"), Errno.EEXIST),
        ("mkdir: below a file", at => Sys.Mkdir($"{at}/f/x"), Errno.ENOTDIR),
        ("mkdir: long name", at => Sys.Mkdir($"{at}/{new string('n', 256)}"), Errno.ENAMETOOLONG),
        ("mknod: exists", at => Sys.Mknod($"{at}/f", Mode.S_IFIFO), Errno.EEXIST),
        ("mknod: a directory", at => Sys.Mknod($"{at}/x", Mode.S_IFDIR), Errno.EPERM),
        ("symlink: exists", at => Sys.Symlink("x", $"{at}/f"), Errno.EEXIST),
        ("symlink: empty target", at => Sys.Symlink("", $"{at}/x"), Errno.ENOENT),
        ("readlink: a file", at => Sys.ReadLink($"{at}/f", out _), Errno.EINVAL),
        ("link: exists", at => Sys.Link($"{at}/f", $"{at}/l"), Errno.EEXIST),
        ("link: a directory", at => Sys.Link($"{at}/d", $"{at}/x"), Errno.EPERM),
        ("link: nothing", at => Sys.Link($"{at}/none", $"{at}/x"), Errno.ENOENT),
        ("link: into a file", at => Sys.Link($"{at}/f", $"{at}/f/x"), Errno.ENOTDIR),
        ("unlink: a directory", at => Sys.Unlink($"{at}/e"), Errno.EISDIR),
        ("unlink: nothing", at => Sys.Unlink($"{at}/none"), Errno.ENOENT),
        ("rmdir: not empty", at => Sys.Rmdir($"{at}/d"), Errno.ENOTEMPTY),
        ("rmdir: a file", at => Sys.Rmdir($"{at}/f"), Errno.ENOTDIR),
        ("rmdir: a link", at => Sys.Rmdir($"{at}/l"), Errno.ENOTDIR),
        ("rmdir: .", at => Sys.Rmdir($"{at}/e/."), Errno.EINVAL),
        ("rmdir: ..", at => Sys.Rmdir($"{at}/d/x/.."), Errno.ENOTEMPTY),
        ("rename: nothing", at => Sys.Rename($"{at}/none", $"{at}/x"), Errno.ENOENT),
        ("rename: directory over file", at => Sys.Rename($"{at}/e", $"{at}/f"), Errno.ENOTDIR),
        ("rename: file over directory", at => Sys.Rename($"{at}/f", $"{at}/e"), Errno.EISDIR),
        ("rename: directory over full directory", at => Sys.Rename($"{at}/e", $"{at}/d"), Errno.ENOTEMPTY),
        ("rename: directory into itself", at => Sys.Rename($"{at}/d", $"{at}/d/x/y"), Errno.EINVAL),
        ("rename: directory over what is in it", at => Sys.Rename($"{at}/d", $"{at}/d/x"), Errno.EINVAL),
        ("rename: over an ancestor", at => Sys.Rename($"{at}/d/x", $"{at}/d"), Errno.ENOTEMPTY),
        ("rename: .", at => Sys.Rename($"{at}/d/.", $"{at}/x"), Errno.EBUSY),
        ("rename: long name", at => Sys.Rename($"{at}/f", $"{at}/{new string('n', 256)}"), Errno.ENAMETOOLONG),
        ("rename: exchange and keep", at => Sys.Rename($"{at}/f", $"{at}/e", RenameFlags.Exchange | RenameFlags.NoReplace), Errno.EINVAL),
        ("rename: exchange into itself", at => Sys.Rename($"{at}/d", $"{at}/d/x", RenameFlags.Exchange), Errno.EINVAL),
        ("rename: unknown flag", at => Sys.Rename($"{at}/f", $"{at}/x", (RenameFlags)64), Errno.EINVAL),
        ("truncate: a directory", at => Sys.Truncate($"{at}/d", 0), Errno.EISDIR),
        ("truncate: below 0", at => Sys.Truncate($"{at}/f", -1), Errno.EINVAL),
        ("truncate: nothing", at => Sys.Truncate($"{at}/none", 0), Errno.ENOENT),
        ("write: read-only descriptor", at => With($"{at}/f", Sys.O_RDONLY, fd => fd.Write(0, "x"u8)), Errno.EBADF),
        ("read: write-only descriptor", at => With($"{at}/f", Sys.O_WRONLY, fd => fd.Read(0, new byte[1], out _)), Errno.EBADF),
        ("read: a directory", at => With($"{at}/d", Sys.O_RDONLY, fd => fd.Read(0, new byte[1], out _)), Errno.EISDIR),
        ("write: past the largest offset", at => With($"{at}/f", Sys.O_WRONLY, fd => fd.Write(long.MaxValue, "x"u8)), Errno.EINVAL),
        ("fallocate: read-only descriptor", at => With($"{at}/f", Sys.O_RDONLY, fd => fd.Allocate(0, 0, 1)), Errno.EBADF),
        ("fallocate: nothing", at => With($"{at}/f", Sys.O_WRONLY, fd => fd.Allocate(0, 0, 0)), Errno.EINVAL),
        ("fallocate: before the start", at => With($"{at}/f", Sys.O_WRONLY, fd => fd.Allocate(0, -1, 1)), Errno.EINVAL),
        ("fallocate: past the largest offset", at => With($"{at}/f", Sys.O_WRONLY, fd => fd.Allocate(0, long.MaxValue, 1)), Errno.EFBIG),
        ("fallocate: punch without keep", at => With($"{at}/f", Sys.O_WRONLY, fd => fd.Allocate(Sys.FALLOC_FL_PUNCH_HOLE, 0, 1)), Errno.EOPNOTSUPP),
        ("lseek: data past the end", at => With($"{at}/f", Sys.O_RDONLY, fd => fd.Seek(100, Sys.SEEK_DATA, out _)), Errno.ENXIO),
        ("lseek: hole past the end", at => With($"{at}/f", Sys.O_RDONLY, fd => fd.Seek(100, Sys.SEEK_HOLE, out _)), Errno.ENXIO),
        ("copy_file_range: overlap", at => With($"{at}/f", Sys.O_RDWR, fd => Then(fd.Write(0, new byte[100]), () => fd.CopyTo(0, fd, 10, 50, out _))), Errno.EINVAL),
        ("getxattr: none", at => Sys.GetXattr($"{at}/f", "user.none", out _), Errno.ENODATA),
        ("getxattr: too little room", at => Then(Sys.SetXattr($"{at}/f", "user.a", "12345"u8), () => Sys.GetXattr($"{at}/f", "user.a", out _, room: 4)), Errno.ERANGE),
        ("setxattr: exists", at => Then(Sys.SetXattr($"{at}/f", "user.a", "1"u8), () => Sys.SetXattr($"{at}/f", "user.a", "2"u8, XattrFlags.Create)), Errno.EEXIST),
        ("setxattr: does not exist", at => Sys.SetXattr($"{at}/f", "user.a", "2"u8, XattrFlags.Replace), Errno.ENODATA),
        ("setxattr: user on a link", at => Sys.SetXattr($"{at}/l", "user.a", "2"u8), Errno.EPERM),
        ("setxattr: no such class", at => Sys.SetXattr($"{at}/f", "strange.a", "2"u8), Errno.EOPNOTSUPP),
        ("setxattr: too long a name", at => Sys.SetXattr($"{at}/f", "user." + new string('n', 251), "2"u8), Errno.ERANGE),
        ("setxattr: too long a value", at => Sys.SetXattr($"{at}/f", "user.a", new byte[65537]), Errno.E2BIG),
        ("removexattr: none", at => Sys.RemoveXattr($"{at}/f", "user.none"), Errno.ENODATA),
        ("setxattr: default ACL of a file", at => Sys.SetXattr($"{at}/f", "system.posix_acl_default", MinimalAcl), Errno.EACCES),
        ("setxattr: a broken ACL", at => Sys.SetXattr($"{at}/f", "system.posix_acl_access", "nonsense"u8), Errno.EOPNOTSUPP),
    ];

    private static ReadOnlySpan<byte> MinimalAcl => [2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 5, 0, 255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255];

    [Theory, OnEveryMount]
    public async Task A_call_that_fails_says_why(string kind)
    {
        var wrong = new List<string>();
        foreach (var (name, act, expected) in s_table)
        {
            string at = await mounts.EnterAsync(kind);
            Sys.Create($"{at}/f");
            Sys.Mkdir($"{at}/d");
            Sys.Mkdir($"{at}/d/x");
            Sys.Mkdir($"{at}/e");
            Sys.Symlink("f", $"{at}/l");
            Sys.Symlink("loop", $"{at}/loop");
            var error = act(at);
            if (error != expected)
                wrong.Add($"{name}: {error}, not {expected}");
        }
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    private static Errno Open(string path, int flags)
    {
        var error = Sys.Open(path, flags, 0x1A4, out var fd);
        fd.Dispose();
        return error;
    }

    private static Errno With(string path, int flags, Func<FileDescriptor, Errno> act)
    {
        using var fd = Sys.Open(path, flags);
        return act(fd);
    }

    private static Errno Then(Errno first, Func<Errno> second) => first == Errno.None ? second() : first;
}
