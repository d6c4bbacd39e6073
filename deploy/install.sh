#!/usr/bin/env bash
# Builds OrleansFs and installs it under PREFIX: bin/orleansfs and bin/orleansfs-silo, and the helpers of mount(8) and umount(8) in sbin. Needs the .NET SDK.
#   deploy/install.sh PREFIX
set -euo pipefail
if [ $# -ne 1 ]; then
    echo "usage: deploy/install.sh PREFIX   (for example /usr/local, or ~/.local)" >&2
    exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
case $(uname -m) in
    x86_64) rid=linux-x64 ;;
    aarch64) rid=linux-arm64 ;;
    *) echo "install.sh: no build for $(uname -m)" >&2; exit 1 ;;
esac
lib=$prefix/lib/orleansfs
# Into a folder of its own, which takes the place of the old one when all of it is there: what runs keeps the files that it has, and a build that fails leaves everything as it was.
rm -rf "$lib.new"
publish() {
    dotnet publish "$root/$1" -c Release -p:OrleansFsRuntime="$rid" -p:PublishReadyToRun="$2" -o "$lib.new" -v quiet --nologo
}
# ReadyToRun: compiled ahead of time, so that a command answers at once. It runs on the .NET runtime that the SDK brought. The silo's program is a few lines on what the other one has, too, and brings compiled.
publish silo/OrleansFs.Silo false
publish mount-client/OrleansFs.Cli true
rm -f "$lib.new"/*.pdb
for helper in mount.fuse.orleansfs umount.fuse.orleansfs; do
    install -m 755 "$root/deploy/$helper" "$lib.new/$helper"
done
rm -rf "$lib.old"
if [ -e "$lib" ]; then
    mv -T "$lib" "$lib.old"
fi
mv -T "$lib.new" "$lib"
rm -rf "$lib.old"
mkdir -p "$prefix/bin"
ln -sf ../lib/orleansfs/orleansfs "$prefix/bin/orleansfs"
ln -sf ../lib/orleansfs/orleansfs-silo "$prefix/bin/orleansfs-silo"
mkdir -p "$prefix/sbin"
for helper in mount.fuse.orleansfs umount.fuse.orleansfs; do
    ln -sf "../lib/orleansfs/$helper" "$prefix/sbin/$helper"
    # mount(8) looks for helpers in /sbin only. A prefix that is not the system's leaves the system alone.
    case $prefix in
        /usr | /usr/local) ln -sf "$prefix/lib/orleansfs/$helper" "/sbin/$helper" ;;
    esac
done
echo "installed $prefix/bin/orleansfs and $prefix/bin/orleansfs-silo"
