using System.Diagnostics;
using System.Reflection;
using OrleansFs.Mounted.Tests.Command;
using OrleansFs.Mounted.Tests.Mounts;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>The example deploy/examples/photo-edits: two mounts whose users edit at once, the API, and a replica that shows the same library.</summary>
public sealed class PhotoEditsTests(MountPool mounts)
{
    private static readonly string s_program = Path.Combine(
        typeof(PhotoEditsTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "PhotoEditsFolder").Value!, "photo-edits");

    [Fact]
    public async Task Two_mounts_edit_at_once_and_a_replica_renders_the_same()
    {
        string scratch = mounts.Scratch("photos"), first = mounts.Scratch("mnt"), second = mounts.Scratch("mnt");
        const string Script = """
            cd "$1"; C=sqlite:$1/cluster.db; ofs=$4
            $ofs mount --data master --name laptop --cluster $C "$2" --background
            $ofs mount --cluster $C "$3" --background
            $ofs silo --data copy --name nas --role replica --cluster $C > nas.log 2>&1 & nas=$!
            trap 'kill $nas; wait $nas || true; $ofs umount "$3"; $ofs umount "$2"' EXIT
            python3 -c 'import sys; sys.stdout.buffer.write(b"P6\n20 10\n255\n" + bytes(i % 251 for i in range(600)))' > beach.ppm
            h=$("$5" $C add beach.ppm); test "$("$5" $C add beach.ppm)" = $h
            cmp beach.ppm "$2/.orleansfs/file/$h"
            test "$("$5" $C edit ann $h brighten 20)" = 0; test "$("$5" $C edit bob $h rotate 90 0)" = 1
            write() { for i in $(seq 25); do echo "{\"original\":\"$h\",\"operation\":\"mirror\",\"value\":$i,\"author\":\"$1\"}" >> "$2/photos/edits"; done; }
            tail -n +1 -f "$3/photos/edits" > followed & tail=$!
            write cy "$2" & cy=$!; write dee "$3" & dee=$!; for i in 1 2 3 4 5; do "$5" $C edit eve $h brighten $i > /dev/null; done; wait $cy; wait $dee
            test "$(wc -l < "$3/photos/edits")" = 57
            until cmp -s followed "$2/photos/edits"; do sleep 0.1; done; kill $tail; wait $tail || true
            "$5" $C render view > names; test "$(wc -l < names)" = 57
            test "$(sed -n 2p names)" = 'beach, brighten 1 by eve'; grep -q '^beach, brighten 20 by ann, rotate 90 by bob$' names
            test "$(head -c 9 'view/beach, brighten 20 by ann, rotate 90 by bob.ppm' | tr '\n' ' ')" = 'P6 10 20 '
            $ofs drain "$2" --copies 1 --wait 120s
            "$5" $C --copy nas render view-of-nas > names-of-nas; cmp names names-of-nas; diff -r view view-of-nas
            """;
        var outcome = await OrleansFsCommand.RunAsync(new ProcessStartInfo("bash", ["-euc", Script, "bash", scratch, first, second, OrleansFsCommand.Path, s_program]));
        Assert.True(outcome.ExitCode == 0, outcome.All);
    }
}
