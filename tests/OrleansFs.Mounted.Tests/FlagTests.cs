using System.Diagnostics;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Command;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>chattr(1) +i and +a, as on ext4, at once and after the next mount.</summary>
public sealed class FlagTests(MountPool mounts)
{
    /// <summary>What names and writes answer.</summary>
    private const string AtOnce = """
        no() { ! "$@" 2> error || { echo "done: $*"; exit 1; }; grep -q 'not permitted' error || { cat error; exit 1; }; }
        write() { bash -c "$1"; }
        cd "$1"; echo fixed > file; echo line > log; mkdir closed grows; echo x > grows/old; echo y > other
        exec 7<> file
        chattr +i file closed; chattr +a log grows
        lsattr -d file | grep -q '^----i'; lsattr -d log | grep -q '^-----a'
        for f in file log; do
            no rm -f $f; no mv $f moved; no mv other $f; no ln $f link; no chmod 600 $f; no chown 1:1 $f; no truncate -s 1 $f; no setfattr -n user.a -v b $f; no touch -d 2001-01-01 $f
        done
        no write 'echo over > file'
        no write 'echo more >> file'
        no bash -c 'echo held >&7'              # open before it became immutable: ext4 refuses the write too
        test "$(cat file)" = fixed
        no touch closed/new; no mkdir closed/new; no mv other closed/
        touch grows/new; no rm -f grows/old; no mv grows/old grows/older
        no write 'echo over > log'
        bash -c 'echo more >> log'; test "$(tr '\n' ' ' < log)" = 'line more '
        """;

    /// <summary>What an open decides.</summary>
    private const string AtOpens = """
        python3 - <<'END'
        import errno, os
        for name, flags in ("file", os.O_WRONLY), ("file", os.O_RDWR | os.O_APPEND), ("log", os.O_WRONLY), ("log", os.O_RDWR), ("log", os.O_WRONLY | os.O_APPEND | os.O_TRUNC):
            try:
                os.open(name, flags)
            except PermissionError as e:
                assert e.errno == errno.EPERM, (name, flags, e)
            else:
                raise SystemExit(f"opened: {name} {flags:o}")
        os.open("log", os.O_RDWR | os.O_APPEND); os.open("log", os.O_RDONLY); os.open("file", os.O_RDONLY)
        END
        no dd if=/dev/zero of=log conv=notrunc bs=1 count=1 status=none
        echo again >> log; test "$(tr '\n' ' ' < log)" = 'line more again '
        """;

    private const string After = """
        chattr -i file closed; chattr -a log grows
        echo more >> file; echo over > log; touch closed/new; rm -r closed grows file log; test "$(ls)" = "$(printf 'error\nother')"
        """;

    /// <summary>A write by who may not keep set-user-ID bits is a change of the mode only where there is one.</summary>
    [Theory, OnEveryMount]
    public async Task A_user_appends_to_a_log_again_and_again(string kind)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/chattr"), "chattr is not installed");
        string at = await mounts.EnterAsync(kind);
        Sys.Create($"{at}/log");
        Sys.Chmod($"{at}/log", 0x1B6);
        await RunAsync("cd $1; chattr +a log", at);
        Assert.Equal(Errno.None, AsUser.Run(1000, 1000, () =>
        {
            using var fd = Sys.Open($"{at}/log", Sys.O_WRONLY | Sys.O_APPEND);
            return fd.Append("one "u8) is var first and not Errno.None ? first : fd.Append("two"u8);
        }));
        Assert.Equal("one two", await File.ReadAllTextAsync($"{at}/log", TestContext.Current.CancellationToken));
        await RunAsync("cd $1; chattr -a log", at);
    }

    [Theory, OnEveryMount]
    public async Task Flags_hold(string kind)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/chattr"), "chattr is not installed");
        await RunAsync($"{AtOnce}\n{AtOpens}\n{After}", await mounts.EnterAsync(kind));
    }

    [Theory]
    [InlineData("on")]
    [InlineData("off")]
    public async Task Flags_hold_after_the_next_mount(string ioUring)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/chattr"), "chattr is not installed");
        string data = mounts.Scratch("data"), mountPoint = mounts.Scratch("mnt");
        string[] mount = ["mount", "--data", data, mountPoint, "--background", "--io-uring", ioUring];
        await OrleansFsCommand.SucceedAsync(mount);
        await RunAsync(AtOnce, mountPoint);
        await OrleansFsCommand.SucceedAsync("umount", mountPoint);
        await OrleansFsCommand.SucceedAsync(mount);
        string functions = string.Join('\n', AtOnce.Split('\n')[..2]);
        await RunAsync($"{functions}\ncd \"$1\"\n{AtOpens}\n{After}", mountPoint);
        await OrleansFsCommand.SucceedAsync("umount", mountPoint);
        await OrleansFsCommand.SucceedAsync("fsck", "--data", data);
    }

    /// <summary>What chattr(1) changes is a change of the file (xfstests generic/277): a kernel that keeps times itself shows it when the close of chattr's own file is over.</summary>
    private const string ChangeTime = """
        tick() { touch tick; local now=$(stat -c %y tick); while touch tick; [ "$(stat -c %y tick)" = "$now" ]; do :; done; }
        later() { while [ "$(stat -c %z file)" = "$1" ]; do :; done; }
        cd "$1"; echo content > file
        for flag in +d -d +A -A; do
            before=$(stat -c %z file); tick; chattr $flag file; later "$before"
            [ "$(cat file)" = content ]
        done
        """;

    [Theory, OnEveryMount]
    public async Task The_change_time_after_chattr_is_shown(string kind)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/chattr"), "chattr is not installed");
        await RunAsync(ChangeTime, await mounts.EnterAsync(kind));
    }

    private static async Task RunAsync(string script, string folder)
    {
        var outcome = await OrleansFsCommand.RunAsync(new ProcessStartInfo("bash", ["-euc", script, "bash", folder]));
        Assert.True(outcome.ExitCode == 0, outcome.All);
    }
}
