using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>What other users may do: a table of calls, each as user 1000 of group 1000 in a directory of root's.</summary>
public sealed class PermissionTests(MountPool mounts)
{
    private const uint User = 1000;

    /// <summary>
    /// The directory has: "public" 777, "sticky" 1777 with root's file "f" and the user's "mine", "closed" 700, "listed" 744, "passed" 711 with a file "f" 644; files "secret" 600,
    /// "readable" 644, "mine" 400 of the user, "group" 640 of group 1000.
    /// </summary>
    private static readonly (string Name, Func<string, Errno> Act, Errno Expected)[] s_table =
    [
        ("read a secret", at => Open($"{at}/secret", Sys.O_RDONLY), Errno.EACCES),
        ("read what is readable", at => Open($"{at}/readable", Sys.O_RDONLY), Errno.None),
        ("write what is readable", at => Open($"{at}/readable", Sys.O_WRONLY), Errno.EACCES),
        ("truncate what is readable", at => Sys.Truncate($"{at}/readable", 0), Errno.EACCES),
        ("write one's own without the bit", at => Open($"{at}/mine", Sys.O_WRONLY), Errno.EACCES),
        ("give oneself the bit", at => Sys.Chmod($"{at}/mine", 0x180), Errno.None),
        ("read by group", at => Open($"{at}/group", Sys.O_RDONLY), Errno.None),
        ("write by group", at => Open($"{at}/group", Sys.O_WRONLY), Errno.EACCES),
        ("create where one may not", at => Sys.Create($"{at}/new"), Errno.EACCES),
        ("create where all may", at => Sys.Create($"{at}/public/new"), Errno.None),
        ("O_TMPFILE where one may not", at => Open(at, Sys.O_TMPFILE | Sys.O_RDWR), Errno.EACCES),
        ("remove where one may not", at => Sys.Unlink($"{at}/readable"), Errno.EACCES),
        ("enter what is closed", at => Sys.Stat($"{at}/closed/f", out _), Errno.EACCES),
        ("look into what is only listed", at => Sys.Stat($"{at}/listed/f", out _), Errno.EACCES),
        ("list what may only be passed", at => Open($"{at}/passed", Sys.O_RDONLY | Sys.O_DIRECTORY), Errno.EACCES),
        ("pass", at => Open($"{at}/passed/f", Sys.O_RDONLY), Errno.None),
        ("remove another's in a sticky directory", at => Sys.Unlink($"{at}/sticky/f"), Errno.EPERM),
        ("rename another's in a sticky directory", at => Sys.Rename($"{at}/sticky/f", $"{at}/sticky/g"), Errno.EPERM),
        ("rename over another's in a sticky directory", at => Sys.Rename($"{at}/sticky/mine", $"{at}/sticky/f"), Errno.EPERM),
        ("remove one's own in a sticky directory", at => Sys.Unlink($"{at}/sticky/mine"), Errno.None),
        ("chmod another's", at => Sys.Chmod($"{at}/readable", 0x1FF), Errno.EPERM),
        ("chown another's", at => Sys.Chown($"{at}/readable", User, User), Errno.EPERM),
        ("give one's own away", at => Sys.Chown($"{at}/mine", 1001, uint.MaxValue), Errno.EPERM),
        ("give one's own to a strange group", at => Sys.Chown($"{at}/mine", uint.MaxValue, 1002), Errno.EPERM),
        ("set another's times", at => Sys.SetTimes($"{at}/readable", Timestamp.From(1, 0), null), Errno.EPERM),
        ("touch another's that one may not write", at => Sys.SetTimesNow($"{at}/readable"), Errno.EACCES),
        ("set one's own times", at => Sys.SetTimes($"{at}/mine", Timestamp.From(1, 0), null), Errno.None),
        ("user attributes of another's", at => Sys.SetXattr($"{at}/readable", "user.a", "1"u8), Errno.EACCES),
        ("make a device", at => Sys.Mknod($"{at}/public/dev", Mode.S_IFCHR, (1 << 8) | 3), Errno.EPERM),
        ("make a fifo", at => Sys.Mknod($"{at}/public/fifo", Mode.S_IFIFO), Errno.None),
        ("move a directory one may not write", at => Sys.Rename($"{at}/public/root", $"{at}/sticky/root"), Errno.EACCES),
    ];

    [Theory, OnEveryMount]
    public async Task Another_user_may_do_what_modes_say(string kind)
    {
        var wrong = new List<string>();
        foreach (var (name, act, expected) in s_table)
        {
            string at = await mounts.EnterAsync(kind);
            Fill(at);
            var error = AsUser.Run(User, User, () => act(at));
            if (error != expected)
                wrong.Add($"{name}: {error}, not {expected}");
        }
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    /// <summary>As for write(2): else who may write to a program of root's would have its rights.</summary>
    [Theory, OnEveryMount]
    public async Task A_change_of_the_content_by_another_user_takes_set_user_and_group_ID(string kind)
    {
        const int Block = 128 << 10;
        string at = await mounts.EnterAsync(kind);
        await File.WriteAllBytesAsync($"{at}/from", new byte[2 * Block], TestContext.Current.CancellationToken);
        Sys.Chmod($"{at}/from", 0x1B6);
        foreach (var (name, change) in new (string, Func<FileDescriptor, FileDescriptor, Errno>)[]
        {
            ("write", (from, to) => to.Write(0, new byte[10])),
            ("allocate", (from, to) => to.Allocate(0, 0, 3 * Block)),
            ("copy a block", (from, to) => from.CopyTo(0, to, Block, Block, out _)),
            ("copy bytes", (from, to) => from.CopyTo(100, to, 1, 1000, out _)),
        })
        {
            string path = $"{at}/{name}";
            await File.WriteAllBytesAsync(path, new byte[2 * Block], TestContext.Current.CancellationToken);
            Sys.Chmod(path, 0xDFF);
            using var from = Sys.Open($"{at}/from", Sys.O_RDWR);
            using var to = AsUser.Run(User, User, () => Sys.Open(path, Sys.O_RDWR));
            Assert.Equal(Mode.S_ISUID | Mode.S_ISGID, Sys.Stat(path).Mode & (Mode.S_ISUID | Mode.S_ISGID));
            Assert.Equal(Errno.None, AsUser.Run(User, User, () => change(from, to)));
            Assert.Equal((name, 0u), (name, Sys.Stat(path).Mode & (Mode.S_ISUID | Mode.S_ISGID)));
        }
    }

    private static void Fill(string at)
    {
        foreach (var (name, mode) in new (string, uint)[] { ("public", 0x1FF), ("sticky", 0x3FF), ("closed", 0x1C0), ("listed", 0x1E4), ("passed", 0x1C9), ("public/root", 0x1ED) })
        {
            Sys.Mkdir($"{at}/{name}");
            Sys.Chmod($"{at}/{name}", mode);
        }
        foreach (var (name, mode, uid, gid) in new (string, uint, uint, uint)[]
        {
            ("secret", 0x180, 0, 0), ("readable", 0x1A4, 0, 0), ("mine", 0x100, User, User), ("group", 0x1A0, 0, User),
            ("closed/f", 0x1A4, 0, 0), ("listed/f", 0x1A4, 0, 0), ("passed/f", 0x1A4, 0, 0), ("sticky/f", 0x1B6, 0, 0), ("sticky/mine", 0x1B6, User, User),
        })
        {
            Sys.Create($"{at}/{name}");
            Sys.Chown($"{at}/{name}", uid, gid);
            Sys.Chmod($"{at}/{name}", mode);
        }
        Sys.Chmod(at, 0x1ED);
    }

    private static Errno Open(string path, int flags)
    {
        var error = Sys.Open(path, flags, 0x1A4, out var fd);
        fd.Dispose();
        return error;
    }
}
