#!/usr/bin/env bash
# Installs the Debian packages in new trees of Debian without any network, runs the program, updates
# it, removes it and purges it; ends with 1 at the first thing that is not as it should be.
#
#   make deb && [ARCH=arm64] tests/packaging/try_package.sh [SUITE]...
#
# SUITE: bookworm and trixie unless given. ARCH: another one than this machine's is emulated
# (qemu-user-static), which takes an hour or more. GATED_TREES: a folder in which the trees are kept
# for the next time. Needs root, debootstrap and this machine's access to Debian packages; says so
# and ends well where one of them is missing. systemd is in the trees and not started.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() { echo "try_package: skipped: $*"; exit 0; }
[ "$(id -u)" = 0 ] || skip "needs root"
command -v debootstrap >/dev/null || skip "debootstrap is missing (apt-get install debootstrap)"
unshare --mount --net --pid --fork true 2>/dev/null || skip "this machine makes no namespaces"
arch=${ARCH:-$(dpkg --print-architecture)}
. tests/machine/emulation.sh
emulate "$arch"
package=$(ls -t dist/gated_*_"$arch".deb 2>/dev/null | head -n 1)
hub=$(ls -t dist/gated-hub_*_"$arch".deb 2>/dev/null | head -n 1)
[ -n "$package" ] && [ -n "$hub" ] || skip "there are no packages in dist/: make deb"

trees=${GATED_TREES:-}
if [ -z "$trees" ]; then
    trees=$(mktemp -d "${TMPDIR:-/tmp}/gated-trees.XXXXXX")
    trap 'rm -rf --one-file-system "$trees"' EXIT
fi
mkdir -p "$trees"

# the same package under a later version: what an update does
later() {
    local folder
    folder=$(mktemp -d)
    dpkg-deb --raw-extract "$1" "$folder/root"
    sed -i 's/^Version: .*/&+later/' "$folder/root/DEBIAN/control"
    printf '+later' >>"$folder/root/usr/lib/gated/version"
    echo "# a later version explains more" >>"$folder/root/etc/gated/gate.yaml"
    dpkg-deb --root-owner-group -Znone --build "$folder/root" "$2" >/dev/null
    rm -rf "$folder"
}

for suite in "${@:-bookworm trixie}"; do for name in $suite; do
    base=$trees/$name-$arch tree=$trees/$name-$arch.used
    if [ ! -e "$base/etc/debian_version" ] || [ -e "$base/debootstrap" ]; then
        rm -rf --one-file-system "$base"  # one that was left half made
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null | head -n 1 || true)
        debootstrap --arch="$arch" --variant=minbase --include=python3,python3-venv,systemd,util-linux \
            "$name" "$base" ${mirror:+"$mirror"} >"$base.log" 2>&1 ||
            { tail -n 3 "$base.log"; skip "no tree of Debian $name can be made here"; }
    fi
    rm -rf --one-file-system "$tree"
    cp -a "$base" "$tree"
    mkdir "$tree/packages"
    cp "$package" "$tree/packages/gated.deb"
    cp "$hub" "$tree/packages/gated-hub.deb"
    later "$package" "$tree/packages/later.deb"
    cp tests/packaging/in_tree.sh "$tree/packages/"
    echo "Debian $name, $arch:"
    unshare --mount --net --pid --fork --kill-child --mount-proc="$tree/proc" sh -ec '
        ip link set lo up 2>/dev/null || true
        for node in null zero random urandom; do touch "$1/dev/$node"; mount --bind "/dev/$node" "$1/dev/$node"; done
        mount -t tmpfs tmpfs "$1/tmp"
        exec env -i "$3" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 chroot "$1" sh /packages/in_tree.sh "$2"
    ' sh "$tree" "$slower" "$processor"
    rm -rf --one-file-system "$tree"
done; done
