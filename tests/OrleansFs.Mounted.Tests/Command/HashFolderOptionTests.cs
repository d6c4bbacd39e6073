using System.Diagnostics;
using OrleansFs.Mounted.Tests.Mounts;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>The options of a mount that are about the folder .orleansfs and the attributes user.orleansfs.*.</summary>
public sealed class HashFolderOptionTests(MountPool mounts)
{
    [Fact]
    public async Task Attributes_are_listed_and_the_folder_is_left_out_where_that_is_asked_for()
    {
        Assert.SkipWhen(!File.Exists("/dev/fuse"), "there is no /dev/fuse here");
        const string Script = """
            cd "$1"; ofs=$2; trap '! mountpoint -q m || $ofs umount m' EXIT; mkdir m
            serve() { $ofs mount --data v m --background "$@"; }
            serve --list-xattrs
            printf hello > m/f; setfattr -n user.own -v x m/f; mkdir m/xorleansfs; echo mine > m/xorleansfs/file
            test "$(getfattr --only-values -n user.orleansfs.blocks m/f)" = 1
            test "$(getfattr -m - m/f | grep -c '^user.orleansfs.')" = 6; getfattr -m - m/f | grep -q '^user.own$'
            $ofs umount m
            # As a volume has it from before there was such a folder.
            python3 -c 'import sqlite3; d = sqlite3.connect("v/meta.db"); d.execute("UPDATE dentry SET name = ? WHERE name = ?", (b".orleansfs", b"xorleansfs")); d.commit(); d.close()'
            serve --log-file said; grep -q 'has a .orleansfs of its own in its root' said
            test "$(ls m/.orleansfs | head -1)" = block; test -z "$(ls -a m | grep '^\.orleansfs$')"; test "$(getfattr -m - m/f | grep -c '^user')" = 1
            $ofs umount m
            serve --no-hash-folder; test "$(cat m/.orleansfs/file)" = mine; test "$(getfattr --only-values -n user.orleansfs.blocks m/f)" = 1
            mv m/.orleansfs m/mine; test "$(cat m/mine/file)" = mine; test ! -e m/.orleansfs
            """;
        var outcome = await OrleansFsCommand.RunAsync(new ProcessStartInfo("bash", ["-euc", Script, "bash", mounts.Scratch("options"), OrleansFsCommand.Path]));
        Assert.True(outcome.ExitCode == 0, outcome.All);
    }
}
