#!/usr/bin/env bash
# Installs what the tests need (as root, from Debian's packages), builds everything and runs all tests. Ends with 'N passed, N failed, N skipped'.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

needed=(fuse3 attr acl sqlite3 rsync git gcc libc6-dev make tar e2fsprogs util-linux procps python3 iproute2 nftables postgresql)
missing=()
for package in "${needed[@]}"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "test.sh: run it as root, or install first: ${missing[*]}" >&2
        exit 1
    fi
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || exit 1
fi

report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
chmod 755 "$report"

# Most processes of the tests live for seconds: what the runtime learns of them pays no more, and what is hot is compiled anew once nothing new has been called for 100 ms (0x64, the runtime's own value), not at once: a mount that is
# made, used and taken away takes 1.9 s of a processor with the programs' own value, and 1.5 s so. Pages of code that are written and executed under one address spare another twentieth.
export DOTNET_TieredPGO=0 DOTNET_TC_CallCountingDelayMs=64 DOTNET_EnableWriteXorExecute=0

# One compiler for all projects: one for each, as some environments ask for, has to be compiled anew itself each time. It is in nobody's way once all is built.
build() {
    dotnet build OrleansFs.sln -c Release -v quiet --nologo -p:UseSharedCompilation=true
    local status=$?
    dotnet build-server shutdown --vbcscompiler >/dev/null 2>&1
    return $status
}
build || exit 1

# Each project is a program that runs its own tests; a hung one is ended, and counts as failed.
runs=()
TIMEFORMAT='%R s; %U s and %S s of a processor'
run() {
    local name=$1 project=$2
    shift 2
    echo "== $name"
    time timeout 1500 dotnet run -c Release --no-build --project "tests/$project" -- -noColor -noLogo -parallelMode none -result-xml "$report/$name.xml" "$@"
    echo $? >"$report/$name.status"
}

# The engine's tests need no program but their own, and wait for disks much of their time.
runs+=(OrleansFs.Engine.Tests)
run OrleansFs.Engine.Tests OrleansFs.Engine.Tests >"$report/Engine.log" 2>&1 &
engine=$!

# What users run is what is tested where a test runs the program: compiled ahead of time, it starts in half the time, too.
if ! deploy/install.sh "$report/installed" >"$report/install.log" 2>&1; then
    cat "$report/install.log"
    kill "$engine"
    exit 1
fi
export ORLEANSFS_PROGRAM=$report/installed/bin/orleansfs

# Where silos and mounts wait for each other more than they work: beside the rest, after the engine's.
runs+=(Replicas)
{
    tail --pid="$engine" -f /dev/null
    run Replicas OrleansFs.Mounted.Tests -class '*ReplicaCommandTests'
} >"$report/Replicas.log" 2>&1 &

# The fault tests wait for disks, networks and processes much of their time, so they run beside the others. Those with networks come first and by themselves: a network namespace of one holds the mounts of another fault test for
# as long as it is there. Both rows take about as long: so the kills of a cluster follow in the other one.
runs+=(Networks Faults Clusters)
{
    run Networks OrleansFs.Fault.Tests -namespace OrleansFs.Fault.Tests.Network
    run Faults OrleansFs.Fault.Tests -namespace- OrleansFs.Fault.Tests.Network -class- '*ClusterKillTests'
} >"$report/Faults.log" 2>&1 &
for project in tests/*.Tests; do
    project=$(basename "$project")
    case $project in OrleansFs.Fault.Tests | OrleansFs.Engine.Tests) continue ;; esac
    runs+=("$project")
    # A filter that meets nothing in the others.
    run "$project" "$project" -class- '*ReplicaCommandTests'
done
run Clusters OrleansFs.Fault.Tests -class '*ClusterKillTests'
wait
cat "$report/Engine.log" "$report/Replicas.log" "$report/Faults.log"

# What failed and the longest classes once more, at the end, where they are looked for.
python3 - "$report" <<'EOF'
import collections, pathlib, sys
import xml.etree.ElementTree as ET

times = collections.Counter()
failures = []
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.xml")):
    for test in ET.parse(path).iter("test"):
        times[f"{path.stem} {test.get('type')}"] += float(test.get("time", 0))
        if test.get("result") == "Fail":
            texts = [e.text or "" for e in test.iter() if e.tag in ("message", "stack-trace", "output")]
            failures.append((test.get("name"), "\n".join(t[-4000:] for t in texts)))
print("== longest classes, s")
for name, seconds in times.most_common(15):
    print(f"{seconds:8.1f}  {name}")
for name, text in failures:
    print(f"== failed: {name}\n{text}")
EOF

passed=0 failed=0 skipped=0 bad=0
for name in "${runs[@]}"; do
    status=$(cat "$report/$name.status")
    counts=$(grep -o '<assembly [^>]*>' "$report/$name.xml" 2>/dev/null | head -n 1)
    value() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$counts"; }
    p=$(value passed) f=$(value failed) s=$(value skipped) e=$(value errors)
    if [ -z "$p" ] || [ "$p" = 0 ]; then
        echo "test.sh: $name ran no test to its end (status $status)" >&2
        bad=$((bad + 1))
        continue
    fi
    passed=$((passed + p)) failed=$((failed + f + ${e:-0})) skipped=$((skipped + s))
    if [ "$status" -ne 0 ] && [ "$f" = 0 ] && [ "${e:-0}" = 0 ]; then
        echo "test.sh: $name ended with status $status" >&2
        bad=$((bad + 1))
    fi
done
echo "$passed passed, $((failed + bad)) failed, $skipped skipped"
[ $((failed + bad)) -eq 0 ] && [ "$passed" -gt 0 ]
