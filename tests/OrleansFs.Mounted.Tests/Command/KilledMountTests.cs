using System.Diagnostics;
using OrleansFs.Mounted.Tests.Mounts;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>A master that is mounted, a replica, and mounts over the network, some of which are killed.</summary>
public sealed class KilledMountTests(MountPool mounts)
{
    private const string Prelude = """
        cd "$1"; C=sqlite:$1/cluster.db; ofs=$2; records=$3; mkdir home two three copy answered
        serve() { $ofs mount --data master --name laptop --cluster $C --cache-size 64MiB home --background 8<&-; }
        join() { until_ $ofs mount --cluster $C "$@" --background; }
        process() { $ofs status $1 --json | sed -n 's/.*"processId": \([0-9]*\).*/\1/p'; }
        until_() { until "$@"; do sleep 0.1; done; }
        # Mounts first: those of a copy that is gone wait for it.
        away() { ! mountpoint -q $1 || $ofs umount $1 || true; }
        end() { local pids=$(jobs -p); away copy; away three; away two; test -z "$pids" || kill $pids || true; wait || true; away home; }
        trap end EXIT
        serve
        $ofs silo --data nas --name nas --role replica --cluster $C > nas.out 2> nas.err & until_ grep -q serving nas.out
        join two

        """;

    /// <summary>Programs append to one append-only file on each mount, and a reader follows it on the replica.</summary>
    [Fact]
    public Task Records_outlive_kills_of_the_silo_and_of_mounts() => RunAsync("""
        has() { test "$(wc -l < answered/$1)" -ge $2; }
        writer() { python3 "$records" append $2/log $1 30 done > answered/$1 2>> writers.err & writers+=($!); }
        touch home/log; chattr +a home/log; join three
        $ofs drain home --copies 1 --wait 120s; join --copy nas --read-only copy
        tail -c +1 -f copy/log > followed & follower=$!
        writer killed home; writer b two; writer c two; writer d three
        for w in killed b c d; do until_ has $w 5; done
        kill -9 $(process home)
        serve; writer e home; until_ has e 5; until_ has b 20
        kill -9 $(process three); join three; writer f three; until_ has f 5
        touch done; for writer in ${writers[@]}; do wait $writer; done
        for m in home two three; do python3 "$records" check $m/log answered/*; done
        test "$(cat answered/* | wc -l)" -ge 150; grep -q '^killed: ' writers.err; test -z "$(grep '^[bcef]: ' writers.err)"
        until_ cmp -s followed home/log; kill $follower
        """);

    /// <summary>Through a mount over the network: while the file changes, when it is evicted, over a kill of the silo, when it is deleted and collected.</summary>
    [Fact]
    public Task Content_by_its_hash_outlives_changes_evictions_and_kills() => RunAsync("""
        hash() { getfattr -n user.orleansfs.hash --only-values $1; }
        purged() { $ofs status home --json | grep -q '"orphans": 0,'; }
        head -c 3M /dev/urandom > first; head -c 3M /dev/urandom > second; cp first home/photo; cp second home/other; sync home/photo home/other
        h=$(hash two/photo); h2=$(hash two/other)
        exec 8< two/.orleansfs/file/$h; dd bs=500K count=1 status=none <&8 > read
        printf changed | dd of=home/photo bs=1 seek=2000000 conv=notrunc status=none; sync home/photo
        $ofs drain home --copies 1 --wait 120s; $ofs evict home/photo home/other > /dev/null; test "$(getfattr -n user.orleansfs.local --only-values two/other)" = 0
        cat <&8 >> read; cmp first read; exec 8<&-
        test ! -e home/.orleansfs/file/$h; cmp home/photo two/.orleansfs/file/$(hash two/photo)
        exec 8< two/.orleansfs/file/$h2; dd bs=500K count=1 status=none <&8 > read
        kill -9 $(process home); serve
        dd bs=500K count=1 status=none <&8 >> read
        # The other mount looked it up, and nobody has it open there. A kernel before 6.18 lets go of it when it looks again.
        rm home/other; printf '6.18\n%s\n' "$(uname -r)" | sort -VC || ls two/other 2> /dev/null || true
        until_ purged; $ofs gc home > /dev/null; test ! -e home/.orleansfs/file/$h2
        cat <&8 >> read; cmp second read; exec 8<&-
        """);

    private async Task RunAsync(string script)
    {
        Assert.SkipWhen(!File.Exists("/dev/fuse"), "there is no /dev/fuse here");
        string program = Path.Combine(AppContext.BaseDirectory, "Programs", "records.py");
        var outcome = await OrleansFsCommand.RunAsync(new ProcessStartInfo("bash", ["-euc", Prelude + script, "bash", mounts.Scratch("killed"), OrleansFsCommand.Path, program]));
        Assert.True(outcome.ExitCode == 0, outcome.All);
    }
}
