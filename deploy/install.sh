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
for program in mount-client/OrleansFs.Cli silo/OrleansFs.Silo; do
    # ReadyToRun: compiled ahead of time, so that a command answers at once. It runs on the .NET runtime that the SDK brought.
    dotnet publish "$root/$program" -c Release -r "$rid" --self-contained false -p:PublishReadyToRun=true -p:DebugType=none \
        -o "$prefix/lib/orleansfs" -v quiet --nologo
done
mkdir -p "$prefix/bin"
ln -sf ../lib/orleansfs/orleansfs "$prefix/bin/orleansfs"
ln -sf ../lib/orleansfs/orleansfs-silo "$prefix/bin/orleansfs-silo"
mkdir -p "$prefix/sbin"
for helper in mount.fuse.orleansfs umount.fuse.orleansfs; do
    install -m 755 "$root/deploy/$helper" "$prefix/lib/orleansfs/$helper"
    ln -sf "../lib/orleansfs/$helper" "$prefix/sbin/$helper"
    # mount(8) looks for helpers in /sbin only. A prefix that is not the system's leaves the system alone.
    case $prefix in
        /usr | /usr/local) ln -sf "$prefix/lib/orleansfs/$helper" "/sbin/$helper" ;;
    esac
done
echo "installed $prefix/bin/orleansfs and $prefix/bin/orleansfs-silo"
