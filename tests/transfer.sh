#!/usr/bin/env bash
# Bytes on the wire for changes of real files: OrleansFs with and without differences, and rsync. Needs root, rsync, sqlite3, jq, and orleansfs on PATH (deploy/install.sh).
#   [CASES="1-byte 4-sqlite"] tests/transfer.sh SCRATCH OLD.tar NEW.tar [MODE...]      two consecutive versions of a large tar; modes: off auto rsync (all of them); plain composed: two versions kept beside each other
# A master that is mounted and a replica run as two processes in a network namespace of their own, so that what goes over its loopback is all theirs. Of each case four numbers: the bytes of blocks and
# instructions that the replica was sent (replicas --json), all bytes on the loopback (headers, offers, journal, and what the cluster says to itself), the processor time of the two processes, and what of it the search for
# differences took.
# plain and composed: the bytes that a second version takes beside the first, how many blocks are composed then, and how fast the second version is read, with nothing in any cache and again.
set -euo pipefail
if [ "${TRANSFER_INSIDE:-}" = "" ]; then
    TRANSFER_INSIDE=1 exec unshare --net --mount --propagation slave -- "$0" "$@"
fi
ip link set lo up
scratch=$1 old=$2 new=$3
shift 3
modes=("$@")
[ $# -gt 0 ] || modes=(off auto rsync)
MiB=$((1 << 20))
mkdir -p "$scratch"
scratch=$(cd "$scratch" && pwd)

# Which cases: all, or those in CASES.
read -ra cases <<< "${CASES:-1-byte 2-front 3-tar 4-sqlite 5-log 6-random}"
wants() { [[ " ${cases[*]} " == *" $1 "* ]]; }

# The same bytes in each run: a cipher's key stream.
random() { openssl enc -aes-128-ctr -nosalt -K "$(printf %032x "$1")" -iv 00 -in /dev/zero 2>/dev/null | head -c "$2" || true; }

make_base() {
    ! wants 1-byte || random 1 $((256 * MiB)) > "$1/byte"
    ! wants 2-front || random 2 $((256 * MiB)) > "$1/front"
    ! wants 3-tar || cp "$old" "$1/tree.tar"
    ! wants 4-sqlite || sqlite3 "$1/data.db" "PRAGMA page_size=4096; PRAGMA journal_mode=OFF; CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, body BLOB);
        WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 200000) INSERT INTO t SELECT i, i, zeroblob(0) || printf('%0900d', abs(i * 7919 % 1000003)) FROM c;" > "$scratch/sqlite.log"
    ! wants 5-log || awk 'BEGIN { srand(5); for (i = 0; i < 1000000; i++) printf "2026-11-%02d %02d:%02d:%02d host service[%d]: request %d from 10.%d.%d.%d took %d us\n", 1 + i / 40000, i / 1700 % 24, i / 28 % 60, i % 60, 1000 + rand() * 50, i, rand() * 255, rand() * 255, rand() * 255, rand() * 1e6 }' \
        | head -c $((100 * MiB)) > "$1/log" || true
}

change() {
    case $1 in
        1-byte) printf 'x' | dd of="$2/byte" bs=1 seek=$((128 * MiB + 12345)) conv=notrunc status=none ;;
        2-front) { random 9 100; cat "$2/front"; } > "$2/front.new"; mv "$2/front.new" "$2/front" ;;
        3-tar) cp "$new" "$2/tree.tar.new"; mv "$2/tree.tar.new" "$2/tree.tar" ;;
        4-sqlite) awk 'BEGIN { srand(7); print "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"; for (i = 0; i < 1000; i++) printf "UPDATE t SET n = %d WHERE id = %d;\n", rand() * 1e9, 1 + int(rand() * 200000) }' | sqlite3 "$2/data.db" > "$scratch/sqlite.log" ;;
        5-log) tail -c +$((MiB + 1)) "$2/log" | tail -n +2 > "$2/log.new"; mv "$2/log.new" "$2/log" ;;
        6-random) random 11 $((256 * MiB)) > "$2/random" ;;
    esac
}

run_rsync() {
    local source=$scratch/rsync-source target=$scratch/rsync-target
    mkdir -p "$source" "$target"
    make_base "$source"
    rsync -a "$source/" "$target/"
    for case in "${cases[@]}"; do
        change "$case" "$source"
        rsync -a --no-whole-file --stats "$source/" "$target/" | awk -v c="$case" '/Total bytes sent|Total bytes received/ { gsub(",", "", $4); n += $4 } END { printf "%-9s rsync  %12d\n", c, n }'
    done
    rm -rf "$source" "$target"
}

sent() { orleansfs replicas "$mount" --json | jq .replicas[0].sentBytes; }
searched() { orleansfs replicas "$mount" --json | jq '.replicas[0].buildSeconds * 1000 | floor'; }
wire() { awk '/ lo:|^lo:/ { print $2 }' /proc/net/dev; }
processor() { awk '{ n += $14 + $15 } END { print n * 10 }' "/proc/$master/stat" "/proc/$replica/stat"; }
settle() { orleansfs drain "$mount" --wait 230s > "$scratch/drain.log"; }

run_product() {
    local mode=$1 work=$scratch/$1
    mount=$work/mount
    mkdir -p "$mount"
    local cluster=sqlite:$work/cluster.db
    orleansfs mount --data "$work/master" --name laptop --cluster "$cluster" --delta "$mode" "$mount" --background
    master=$(orleansfs status "$mount" --json | jq .mount.processId)
    orleansfs silo --data "$work/replica" --name nas --role replica --cluster "$cluster" > "$work/silo.log" 2>&1 &
    replica=$!
    trap 'orleansfs umount "$mount"; kill $replica' EXIT
    settle
    make_base "$mount"
    settle
    for case in "${cases[@]}"; do
        local s w p d
        s=$(sent) w=$(wire) p=$(processor) d=$(searched)
        change "$case" "$mount"
        settle
        printf '%-9s %-6s %12d %14d %9d ms %6d ms\n' "$case" "$mode" $(($(sent) - s)) $(($(wire) - w)) $(($(processor) - p)) $(($(searched) - d))
    done
    orleansfs replicas "$mount" | sed 's/^/# /'
    (cd "$mount" && sha256sum -- *) > "$work/master.sums"
    mkdir -p "$work/copy"
    orleansfs mount --cluster "$cluster" --copy nas --read-only "$work/copy" --background
    (cd "$work/copy" && sha256sum -- *) > "$work/replica.sums"
    orleansfs umount "$work/copy"
    orleansfs umount "$mount"
    kill "$replica"
    wait "$replica" || true
    trap - EXIT
    cmp "$work/master.sums" "$work/replica.sums"
    rm -rf "$work"
}

# A second version beside the first, in one volume: what that takes on its disk, and how fast it is read when nothing is in any cache, once and again.
run_stored() {
    local mode=$1 work=$scratch/$1 compose=off
    [ "$mode" = plain ] || compose=auto
    mount=$work/mount
    mkdir -p "$mount"
    orleansfs mount --data "$work/data" --compose "$compose" "$mount" --background
    trap 'orleansfs umount "$mount"' EXIT
    make_base "$mount"
    orleansfs umount "$mount"
    orleansfs mount --data "$work/data" --compose "$compose" "$mount" --background
    for case in 2-front:front 3-tar:tree.tar 4-sqlite:data.db 5-log:log; do
        local file=${case#*:} before first again composed=-1
        case=${case%:*}
        wants "$case" || continue
        before=$(stored)
        cp "$mount/$file" "$mount/$file.first"
        change "$case" "$mount"
        sync "$mount/$file"
        # Composing follows a second behind.
        while [ "$mode" = composed ] && [ "$composed" != "$(orleansfs status "$mount" --json | jq .composedBlocks)" ]; do
            composed=$(orleansfs status "$mount" --json | jq .composedBlocks)
            sleep 8
        done
        orleansfs umount "$mount"
        orleansfs mount --data "$work/data" --compose "$compose" "$mount" --background
        sync
        echo 3 > /proc/sys/vm/drop_caches
        first=$(speed "$mount/$file")
        again=$(speed "$mount/$file")
        printf '%-9s %-9s %12d bytes more %6d blocks composed %6d MB/s %6d MB/s\n' "$case" "$mode" $(($(stored) - before)) "$(orleansfs status "$mount" --json | jq .composedBlocks)" "$first" "$again"
    done
    orleansfs umount "$mount"
    trap - EXIT
    orleansfs fsck --data "$work/data" --verify-data
    rm -rf "$work"
}

stored() { orleansfs status "$mount" --json | jq .storedBytes; }
speed() {
    local began bytes
    bytes=$(stat -c %s "$1") began=$(date +%s%N)
    dd if="$1" of=/dev/null bs=1M iflag=nocache status=none
    echo $((bytes * 1000 / ($(date +%s%N) - began)))
}

for mode in "${modes[@]}"; do
    case $mode in
        rsync) run_rsync ;;
        plain | composed) run_stored "$mode" ;;
        *) run_product "$mode" ;;
    esac
done
