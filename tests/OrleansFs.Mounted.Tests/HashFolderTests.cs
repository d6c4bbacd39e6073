using System.Diagnostics;
using System.Security.Cryptography;
using OrleansFs.Mounted.Tests.Command;
using OrleansFs.Mounted.Tests.Mounts;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>The folder <c>.orleansfs</c> and the extended attributes, through the kernel, on mounts of the engine in this process and over a gateway.</summary>
public sealed class HashFolderTests(MountPool mounts)
{
    public static TheoryData<string> Kinds => ["engine/device", "engine/io_uring", "remote shared/device"];

    [Theory, MemberData(nameof(Kinds))]
    public async Task Content_is_read_by_its_hash(string kind)
    {
        await RunAsync(kind, """
            cd "$1"; head -c 300000 /dev/urandom > three; head -c 1000 three > one; printf '' > none
            hash() { getfattr -n user.orleansfs.hash --only-values "$1"; }
            # What was synced is there by its hash, also where nobody has asked for the hash.
            for i in 1 2; do echo "synced $i" > synced$i; sync synced$i; done
            sha() { sha256sum < "$1" | cut -d' ' -f1; }; cmp synced1 "$2/.orleansfs/file/$(sha synced1)"; echo more >> synced2; sync synced2; cmp synced2 "$2/.orleansfs/block/$(sha synced2)"
            test "$(hash one)" = "$(sha256sum < one | cut -d' ' -f1)"
            cmp one "$2/.orleansfs/block/$(hash one)"; cmp one "$2/.orleansfs/file/$(hash one)"
            cmp three "$2/.orleansfs/file/$(hash three)"; cmp none "$2/.orleansfs/file/$(hash none)"
            test "$(stat -c '%s %h %a' "$2/.orleansfs/file/$(hash three)")" = '300000 1 400'
            first=$(head -c 131072 three | sha256sum | cut -d' ' -f1)
            test "$(stat -c %s "$2/.orleansfs/block/$first")" = 131072
            head -c 131072 three | cmp - "$2/.orleansfs/block/$first"
            python3 - "$2/.orleansfs/file/$(hash three)" three <<'P'
            import mmap, sys
            with open(sys.argv[1], "rb") as f, open(sys.argv[2], "rb") as g:
                assert mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:] == g.read()
            P
            upper=$(hash one | tr a-f A-F); cmp one "$2/.orleansfs/block/$upper"
            cp "$2/.orleansfs/file/$(hash three)" copy; cmp three copy; chmod 600 copy; echo changed > copy
            """);
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task It_is_found_by_name_only_and_nothing_in_it_changes(string kind)
    {
        await RunAsync(kind, """
            cd "$2"; no() { local want=$1; shift; ! "$@" 2> /tmp/.ofs-error.$$ || { echo "done: $*"; exit 1; }; grep -q "$want" /tmp/.ofs-error.$$ || { echo "$*:"; cat /tmp/.ofs-error.$$; exit 1; }; }
            test -z "$(ls -a | grep orleansfs)"; test -z "$(find . -maxdepth 1 -name .orleansfs)"
            test "$(ls .orleansfs | tr '\n' ' ')" = 'block file replicas stats status '
            test "$(stat -c '%a %U' .orleansfs)" = "500 $(id -un)"
            no 'Permission denied' ls .orleansfs/block; no 'Permission denied' ls .orleansfs/file
            no 'No such file' stat .orleansfs/block/$(head -c 32 /dev/urandom | sha256sum | cut -d' ' -f1)
            no 'No such file' stat .orleansfs/file/$(head -c 32 /dev/urandom | sha256sum | cut -d' ' -f1)
            no 'Invalid argument' stat .orleansfs/block/abc; no 'Invalid argument' stat .orleansfs/file/$(printf '%064d' 0 | tr 0 g)
            no 'No such file' stat .orleansfs/other
            no 'File exists' mkdir .orleansfs; no 'Is a directory' bash -c 'echo x > .orleansfs'; no 'File exists' ln -sT /tmp .orleansfs
            no 'busy' rmdir .orleansfs; no 'busy' mv -T .orleansfs other; mkdir "$1/sub"; no 'busy\|exists\|not permitted' mv -T "$1/sub" .orleansfs
            no 'not permitted' touch .orleansfs/new; no 'not permitted' mkdir .orleansfs/sub; no 'not permitted' rm -f .orleansfs/status
            printf hello > "$1/f"; h=$(getfattr -n user.orleansfs.hash --only-values "$1/f")
            no 'not permitted' python3 -c 'import os, sys; f = os.open(sys.argv[1], os.O_RDWR); os.write(f, b"x")' .orleansfs/block/$h
            no 'not permitted' truncate -s 0 .orleansfs/block/$h; no 'not permitted' chmod 777 .orleansfs/block/$h; no 'not permitted' rm -f .orleansfs/block/$h
            test "$(cat .orleansfs/block/$h)" = hello
            chmod 644 "$1/f"; for what in .orleansfs/block/$h .orleansfs/block .orleansfs/status; do no 'Permission denied' setpriv --reuid 12345 --regid 12345 --clear-groups stat $what; done
            grep -q '^requests [0-9]' .orleansfs/stats; test -s .orleansfs/status; test -s .orleansfs/replicas
            rm -f /tmp/.ofs-error.$$
            """);
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task Attributes_tell_of_a_file(string kind)
    {
        await RunAsync(kind, """
            cd "$1"; not() { if "$@" 2> /dev/null; then echo "done: $*"; exit 1; fi; }; get() { getfattr -n user.orleansfs.$1 --only-values "$2"; }
            head -c 300000 /dev/urandom > f; truncate -s 1M f
            test "$(get blocks f)" = 3; test "$(get local f)" = 393216; test "$(get copies f)" = 0; test "$(get pinned f)" = 0; test "$(get append_only f)" = 0
            test -z "$(getfattr -d f)"; not getfattr -n user.orleansfs.other f
            cp --preserve=all f g; test -z "$(getfattr -d g)"
            not setfattr -n user.orleansfs.hash -v x f; not setfattr -n user.orleansfs.append_only -v 2 f
            setfattr -n user.orleansfs.append_only -v 1 f; test "$(get append_only f)" = 1; lsattr f | grep -q '^-----a'
            not rm -f f; setfattr -n user.orleansfs.append_only -v 0 f; rm f
            """);
    }

    /// <summary>Each write(2) is one record: whatever its length up to the bound, from several processes at once; a longer one is refused as a whole.</summary>
    [Fact]
    public async Task Writes_to_an_append_only_file_are_records()
    {
        await RunAsync("remote shared/device", """
            cd "$1"; touch log; chattr +a log
            cat > ../append.py <<'P'
            import os, sys, random, hashlib
            fd, me = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND), int(sys.argv[2])
            r = random.Random(me)
            for i in range(12):
                body = r.randbytes(r.choice([1, 100, 5000, 200000, 1044400]))
                head = hashlib.sha256(body).digest() + len(body).to_bytes(4, "big")
                assert os.write(fd, head + body) == len(head) + len(body)
            try:
                os.write(fd, bytes(1044481)); sys.exit("a write that is too long was taken")
            except OSError as e:
                assert e.errno == 90, e
            P
            writers=(); for i in 1 2 3; do python3 ../append.py log $i & writers+=($!); done; for writer in ${writers[@]}; do wait $writer; done
            python3 - log <<'P'
            import hashlib, sys
            data, count = open(sys.argv[1], "rb").read(), 0
            while data:
                size = int.from_bytes(data[32:36], "big"); body = data[36:36 + size]
                assert len(body) == size and hashlib.sha256(body).digest() == data[:32]
                data, count = data[36 + size:], count + 1
            assert count == 36, count
            P
            chattr -a log; rm log ../append.py
            """);
    }

    /// <summary>Who has it open goes on reading when the last file is gone and what nothing refers to is collected, and only until then.</summary>
    [Theory]
    [InlineData("on")]
    [InlineData("off")]
    public async Task What_is_open_outlives_its_files(string ioUring)
    {
        string data = mounts.Scratch("data"), mountPoint = mounts.Scratch("mnt");
        await OrleansFsCommand.SucceedAsync("mount", "--data", data, mountPoint, "--background", "--io-uring", ioUring);
        byte[] content = RandomNumberGenerator.GetBytes(700_000);
        string path = Path.Combine(mountPoint, "f");
        await File.WriteAllBytesAsync(path, content, TestContext.Current.CancellationToken);
        string hash = (await OrleansFsCommand.SucceedAsync("hash", path)).Split(' ')[0].Trim();
        Assert.True((await OrleansFsCommand.RunAsync(new ProcessStartInfo("sync", [path]))).ExitCode == 0);
        string byHash = Path.Combine(mountPoint, ".orleansfs/file", hash);
        await using (var held = File.OpenRead(byHash))
        {
            File.Delete(path);
            await OrleansFsCommand.SucceedAsync("gc", mountPoint);
            byte[] read = new byte[content.Length];
            await held.ReadExactlyAsync(read, TestContext.Current.CancellationToken);
            Assert.Equal(content, read);
            Assert.True(Directory.EnumerateFiles(Path.Combine(data, "blocks"), "*", SearchOption.AllDirectories).Count() >= 6);
        }
        await OrleansFsCommand.SucceedAsync("umount", mountPoint);
        await OrleansFsCommand.SucceedAsync("gc", "--data", data);
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(data, "blocks"), "*", SearchOption.AllDirectories));
        await OrleansFsCommand.SucceedAsync("fsck", "--data", data, "--verify-data");
    }

    private async Task RunAsync(string kind, string script)
    {
        string folder = await mounts.EnterAsync(kind);
        var outcome = await OrleansFsCommand.RunAsync(new ProcessStartInfo("bash", ["-euc", script, "bash", folder, Path.GetDirectoryName(folder)!]));
        Assert.True(outcome.ExitCode == 0, outcome.All);
    }
}
