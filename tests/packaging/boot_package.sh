#!/usr/bin/env bash
# Installs the packages of dist/ in trees of Debian that are booted with systemd, without a network:
# first start, first administrator, enrolment as root, a grant, an update, a broken update that comes
# back by itself, a power cut in the middle of one, going back, purge; then a hub on PostgreSQL with
# an update and a broken one. Prints how many seconds each took.
#
#   tests/packaging/boot_package.sh [SUITE...]      (default: bookworm trixie)
#
# GATED_TREES: a directory in which the trees are kept for the next time.
# Needs root, debootstrap and systemd-nspawn; says so and ends well where one is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/packaging

skip() { echo "boot_package: skipped: $*"; exit 0; }
fail() { echo "  WRONG: $*"; exit 1; }
[ "$(id -u)" = 0 ] || skip "needs root"
for program in debootstrap systemd-nspawn nsenter unshare; do
    command -v $program >/dev/null || skip "$program is missing (apt-get install debootstrap systemd-container)"
done
unshare --mount --pid --fork true 2>/dev/null || skip "this machine makes no namespaces"
arch=$(dpkg --print-architecture)
package=$(ls -t dist/gated_*_"$arch".deb 2>/dev/null | head -n 1)
hub=$(ls -t dist/gated-hub_*_"$arch".deb 2>/dev/null | head -n 1)
[ -n "$package" ] && [ -n "$hub" ] || skip "there are no packages in dist/: make deb"

trees=${GATED_TREES:-}
made=""
[ -n "$trees" ] || made=$(mktemp -d "${TMPDIR:-/var/tmp}/gated-trees.XXXXXX")
trees=${trees:-$made}
mkdir -p "$trees"
nspawn=""
cleanup() {
    [ -z "$nspawn" ] || kill -9 "$nspawn" "${leader:-$nspawn}" 2>/dev/null || true
    [ -z "$made" ] || rm -rf --one-file-system "$made"
}
trap cleanup EXIT

variant() { "$here/variant.sh" "$@"; }

# boot TREE: returns when its systemd has come up; leader: its first process
boot() {
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=$unified unshare --mount --propagation private sh -c '
        mount -t tmpfs tmpfs /run
        mkdir -p /run/systemd/system /run/lock
        exec systemd-nspawn --quiet --directory="$1" --machine=gate --private-network \
            --register=no --keep-unit --boot --console=pipe --link-journal=no
    ' sh "$1" >"$trees/console.log" 2>&1 </dev/null &
    nspawn=$!
    for _ in $(seq 120); do
        leader=$(pgrep -P "$nspawn" | head -n 1 || true)
        if [ -n "$leader" ] && inside systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; then
            return
        fi
        kill -0 "$nspawn" 2>/dev/null || { tail -n 5 "$trees/console.log"; skip "no tree can be booted here"; }
        sleep 1
    done
    tail -n 5 "$trees/console.log"
    fail "the tree does not come up"
}
inside() { nsenter --target "$leader" --all env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }
# as a power cut: nothing of it hears of it
cut() { kill -9 "$nspawn" "$leader" 2>/dev/null || true; wait "$nspawn" 2>/dev/null || true; nspawn=""; sleep 2; }

for suite in "${@:-bookworm trixie}"; do for name in $suite; do
    base=$trees/$name.boot tree=$trees/$name.booted
    if [ ! -e "$base/etc/debian_version" ] || [ ! -e "$base/usr/sbin/avahi-daemon" ] || [ ! -e "$base/usr/bin/pg_ctlcluster" ]; then
        rm -rf --one-file-system "$base"
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null | head -n 1 || true)
        debootstrap --variant=minbase \
            --include=python3,python3-venv,systemd,systemd-sysv,dbus,udev,util-linux,iproute2,avahi-daemon,postgresql \
            "$name" "$base" ${mirror:+"$mirror"} >"$base.log" 2>&1 ||
            { tail -n 3 "$base.log"; skip "no tree of Debian $name can be made here"; }
    fi
    rm -rf --one-file-system "$tree"
    cp -a "$base" "$tree"
    mkdir -p "$tree/packages"
    cp "$package" "$tree/packages/gated.deb"
    cp "$hub" "$tree/packages/gated-hub.deb"
    variant "$package" newer "$tree/packages/newer.deb"
    variant "$package" wrong "$tree/packages/wrong.deb" broken
    variant "$package" xtra "$tree/packages/cut.deb"
    variant "$hub" newer "$tree/packages/hub-newer.deb"
    variant "$hub" wrong "$tree/packages/hub-wrong.deb" broken
    if command -v minisign >/dev/null; then
        keys=$(mktemp -d)
        minisign -G -W -p "$keys/public" -s "$keys/secret" >/dev/null
        for signed in newer wrong; do
            minisign -S -s "$keys/secret" -m "$tree/packages/$signed.deb" -t "gated $signed" >/dev/null
        done
        cp "$keys/public" "$tree/packages/update.keys"
        rm -r "$keys"
    fi
    cp "$here/booted.sh" "$tree/packages/"
    # newer systemd boots with the unified hierarchy only
    unified=0
    [ "$name" = bookworm ] || unified=1
    echo "Debian $name, booted:"
    boot "$tree"
    for step in install admin enroll key unsigned newer back wrong; do
        inside sh /packages/booted.sh $step || { inside journalctl --no-pager -n 40; exit 1; }
    done
    inside systemd-run --quiet --unit=typed gated update --well-for 10 /packages/cut.deb
    inside sh /packages/booted.sh until-installing
    cut
    echo "  the power is cut"
    boot "$tree"
    for step in resumed purge hub hub-newer hub-wrong hub-purge; do
        inside sh /packages/booted.sh $step || { inside journalctl --no-pager -n 40; exit 1; }
    done
    cut
    rm -rf --one-file-system "$tree"
done; done
