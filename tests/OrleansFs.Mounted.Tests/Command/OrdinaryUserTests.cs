using System.Diagnostics;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>
/// A user without privileges mounts through fusermount3. The scripts run in a mount namespace of their own, with a /dev/fuse that everybody may open (as udev makes it, and bare
/// machines do not) and a /etc/fuse.conf of the test's: nothing of the machine is changed, and whatever is left mounted goes with the namespace.
/// </summary>
public sealed class OrdinaryUserTests(MountPool mounts)
{
    private const string Prepare = """
        mount --make-rprivate /
        mknod "$SCRATCH/fuse" c 10 229 && chmod 666 "$SCRATCH/fuse" && mount --bind "$SCRATCH/fuse" /dev/fuse
        echo "$CONF" > "$SCRATCH/fuse.conf" && chmod 644 "$SCRATCH/fuse.conf" && touch /etc/fuse.conf && mount --bind "$SCRATCH/fuse.conf" /etc/fuse.conf
        mkdir "$SCRATCH/home" && chown 65534:65534 "$SCRATCH/home" && cd "$SCRATCH/home"
        as() { local id=$1; shift; setpriv --reuid=$id --regid=$id --clear-groups env -u HOME "$@"; }
        """;

    [Theory]
    [InlineData("off", "/dev/fuse")]
    [InlineData("on", "io_uring")]
    public Task A_user_mounts_works_and_unmounts(string ioUring, string transport) => RunAsync("", ioUring, transport, """
        as 65534 mkdir mnt
        line=$(as 65534 "$ORLEANSFS" mount --data data mnt --background --io-uring "$RING" --log-file log)
        case $line in *"$TRANSPORT"*) ;; *) echo "SKIP $line"; exit 0 ;; esac
        test "$(as 65534 stat -c "%u:%g" mnt)" = 65534:65534
        grep -q " $PWD/mnt fuse.orleansfs rw,nosuid,nodev," /proc/mounts
        as 65534 bash -euc 'cd mnt; mkdir -p a/b; head -c 3000000 /dev/urandom > a/b/file; cp a/b/file copy; cmp a/b/file copy; ln copy link; chmod 600 copy; mv a moved; rm link; test ! -e a
            ! chown 0 copy 2> /dev/null; ! mknod device c 1 3 2> /dev/null; setfattr -n user.note -v x copy'
        as 65534 "$ORLEANSFS" status mnt | grep -q '^inodes .*2 files'
        ! ls mnt 2> /dev/null                  # not even root enters the mount of another
        ! as 65533 "$ORLEANSFS" status --data data 2> error; test "$(wc -l < error)" = 1
        as 65534 "$ORLEANSFS" umount mnt
        ! grep -q "$PWD/mnt" /proc/mounts
        as 65534 "$ORLEANSFS" fsck --data data --verify-data 2> /dev/null | grep -q '^clean'
        as 65534 "$ORLEANSFS" mount --data data mnt --background --io-uring "$RING" > /dev/null
        as 65534 cmp mnt/moved/b/file mnt/copy
        # A killed process leaves a dead mount; the next mount of its user takes it away.
        kill -9 "$(cat data/pid)"
        while as 65534 stat -f mnt > /dev/null 2>&1; do :; done
        as 65534 "$ORLEANSFS" mount --data data mnt --background --io-uring "$RING" > /dev/null
        as 65534 cmp mnt/moved/b/file mnt/copy
        as 65534 "$ORLEANSFS" umount mnt
        test ! -s log
        """);

    [Fact]
    public Task Others_are_let_in_only_where_the_machine_allows_it() => RunAsync("# nothing is allowed", "off", "/dev/fuse", """
        as 65534 mkdir mnt
        ! as 65534 "$ORLEANSFS" mount --data data mnt --background --allow-other 2> error
        test "$(wc -l < error)" = 1 && grep -q "^orleansfs: .*allow_other.*user_allow_other.*/etc/fuse.conf" error
        ! as 65534 "$ORLEANSFS" mount --data data mnt --allow-other 2> error
        test "$(wc -l < error)" = 1 && grep -q "^orleansfs: .*user_allow_other" error
        ! grep -q "$PWD/mnt" /proc/mounts
        echo user_allow_other > /etc/fuse.conf
        as 65534 "$ORLEANSFS" mount --data data mnt --background --allow-other --io-uring off > /dev/null
        as 65534 bash -euc 'echo open > mnt/open; echo closed > mnt/closed; chmod 600 mnt/closed'
        test "$(as 65533 cat mnt/open)" = open
        ! as 65533 cat mnt/closed 2> /dev/null; ! as 65533 touch mnt/new 2> /dev/null
        # By hash reads who mounted, and root, who may read everything; to others the folder is closed, whatever the file says.
        as 65534 sync mnt/open mnt/closed; byhash=mnt/.orleansfs/file/$(as 65534 sha256sum mnt/open | cut -d' ' -f1)
        test "$(as 65534 cat $byhash)" = open; test "$(cat $byhash)" = open; as 65534 test -s mnt/.orleansfs/status
        ! as 65533 cat $byhash 2> error; grep -q 'Permission denied' error; ! as 65533 ls mnt/.orleansfs 2> /dev/null
        as 65534 "$ORLEANSFS" umount mnt
        """);

    [Fact]
    public Task What_a_user_may_not_do_is_said_in_one_line() => RunAsync("", "off", "/dev/fuse", """
        refused() { local want=$1; shift; ! as 65534 "$ORLEANSFS" "$@" > output 2> error; test "$(wc -l < error)" = 1; test ! -s output; grep -q "^orleansfs: $want" error; }
        mkdir mine mnt roots && chmod 700 mine && chown 65534 mnt
        refused '.*/mine/data cannot be used' mount --data mine/data mnt
        refused 'only the owner of .*/mine/data and root may ask' status --data mine/data
        refused '.*/roots cannot be mounted: user has no write access' mount --data data roots --background
        "$ORLEANSFS" mount --data mine/data mnt --background --io-uring off > /dev/null
        as 65534 test -r mnt    # root's mounts are open to all, as far as modes say
        refused 'only the owner of .*/mine/data and root may ask' status mnt
        refused 'only the owner of .*/mine/data and root may ask' umount mnt
        "$ORLEANSFS" umount mnt
        """);

    private async Task RunAsync(string conf, string ioUring, string transport, string script)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root can become another user");
        Assert.SkipUnless(File.Exists("/dev/fuse"), "there is no /dev/fuse here");
        Assert.SkipUnless(File.Exists("/usr/bin/fusermount3") || File.Exists("/bin/fusermount3"), "fusermount3 is not installed");
        string scratch = mounts.Scratch("user");
        var start = new ProcessStartInfo("unshare", ["--mount", "bash", "-euc", $"{Prepare}\n{script}"]);
        start.Environment["SCRATCH"] = scratch;
        start.Environment["ORLEANSFS"] = PublicCommand.Path;
        start.Environment["CONF"] = conf;
        start.Environment["RING"] = ioUring;
        start.Environment["TRANSPORT"] = transport;
        var outcome = await OrleansFsCommand.RunAsync(start);
        Assert.True(outcome.ExitCode == 0, outcome.All);
        Assert.SkipWhen(outcome.Output.StartsWith("SKIP", StringComparison.Ordinal), outcome.Output);
    }
}
