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

dotnet build OrleansFs.sln -v quiet --nologo || exit 1

report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT

# Each project is a program that runs its own tests; a hung one is ended, and counts as failed.
run() {
    for project in "$@"; do
        echo "== $project"
        timeout 1650 dotnet run --no-build --project "tests/$project" -- -noColor -noLogo -parallelMode none -result-xml "$report/$project.xml"
        echo $? >"$report/$project.status"
    done
}

# The fault tests wait for disks, networks and processes most of their time, so the others run beside them.
projects=()
for project in tests/*.Tests; do
    project=$(basename "$project")
    [ "$project" = OrleansFs.Fault.Tests ] || projects+=("$project")
done
run OrleansFs.Fault.Tests >"$report/faults.log" 2>&1 &
run "${projects[@]}"
wait
cat "$report/faults.log"

passed=0 failed=0 skipped=0 bad=0
for project in OrleansFs.Fault.Tests "${projects[@]}"; do
    status=$(cat "$report/$project.status")
    counts=$(grep -o '<assembly [^>]*>' "$report/$project.xml" 2>/dev/null | head -n 1)
    value() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$counts"; }
    p=$(value passed) f=$(value failed) s=$(value skipped) e=$(value errors)
    if [ -z "$p" ] || [ "$p" = 0 ]; then
        echo "test.sh: $project ran no test to its end (status $status)" >&2
        bad=$((bad + 1))
        continue
    fi
    passed=$((passed + p)) failed=$((failed + f + ${e:-0})) skipped=$((skipped + s))
    if [ "$status" -ne 0 ] && [ "$f" = 0 ] && [ "${e:-0}" = 0 ]; then
        echo "test.sh: $project ended with status $status" >&2
        bad=$((bad + 1))
    fi
done
echo "$passed passed, $((failed + bad)) failed, $skipped skipped"
[ $((failed + bad)) -eq 0 ] && [ "$passed" -gt 0 ]
