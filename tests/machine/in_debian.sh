#!/usr/bin/env bash
# Sets gated up in a new Debian tree as a newcomer would, starts the demo until it lets somebody in,
# and runs the chosen tests there, on that Debian's own Python.
#
#   tests/machine/in_debian.sh [SUITE] [TREE] [ARCH]
#
# SUITE: trixie (Python 3.13) unless given. TREE: kept and used again if given, else thrown away.
# ARCH: amd64 or arm64; another one than this machine's is emulated (qemu-user-static), which takes
# an hour or more. Needs root, debootstrap and this machine's access to Debian packages and PyPI;
# says so and ends well where one of them is missing. Everything that it starts lives in a PID
# namespace of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
suite=${1:-trixie} tree=${2:-} arch=${3:-$(dpkg --print-architecture)}

skip() { echo "in_debian: skipped: $*"; exit 0; }
[ "$(id -u)" = 0 ] || skip "needs root"
command -v debootstrap >/dev/null || skip "debootstrap is missing (apt-get install debootstrap)"
unshare --mount --pid --fork true 2>/dev/null || skip "this machine makes no namespaces"
. tests/machine/emulation.sh
emulate "$arch"

if [ -z "$tree" ]; then
    tree=$(mktemp -d "${TMPDIR:-/tmp}/gated-$suite.XXXXXX")
    trap 'rm -rf --one-file-system "$tree"' EXIT
fi
chmod 755 "$tree"
if [ ! -e "$tree/etc/debian_version" ] || [ -e "$tree/debootstrap" ]; then
    # debootstrap removes its own folder when it is done; one that was stopped begins anew. It
    # asks Debian itself, or the mirror of this machine
    find "$tree" -xdev -mindepth 1 -delete
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null | head -n 1 || true)
    debootstrap --arch="$arch" --variant=minbase --include=python3,python3-venv,make,git,ca-certificates \
        "$suite" "$tree" ${mirror:+"$mirror"} >"$tree.log" 2>&1 ||
        { tail -n 3 "$tree.log"; skip "no tree of Debian $suite can be made here"; }
    rm -f "$tree.log"
fi
# how this machine reaches the package registry
mkdir -p "$tree/usr/local/share/ca-certificates"
cp -L /etc/resolv.conf /etc/hosts "$tree/etc/"
for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    [ ! -e "$file" ] || install -D -m 0644 "$file" "$tree$file"
done
mkdir -p "$tree/src"
git -c safe.directory='*' ls-files -z | xargs -0 --no-run-if-empty sh -c 'for f; do [ -e "$f" ] && printf "%s\0" "$f"; done' sh |
    tar --null --files-from=- --create | tar --extract --directory="$tree/src"

cat >"$tree/src/.try" <<'TRY'
set -eu
cd /src
export PYTHONUNBUFFERED=1 LC_ALL=C.UTF-8 PIP_CERT=/etc/ssl/certs/ca-certificates.crt
export SSL_CERT_FILE=$PIP_CERT
echo "$(python3 --version), $(uname -m)"
make --no-print-directory setup
.venv/bin/gated doctor --config gate.yaml || true
setsid make --no-print-directory run >demo.log 2>&1 &
demo=$!
until=GRANTED
# an emulated processor takes seconds for a frame with a face: whoever walks up there has gone by then
[ "${1:-1}" = 1 ] || until="Ctrl-C ends"
for _ in $(seq $((90 * ${1:-1}))); do
    ! grep -q "$until" demo.log || break
    kill -0 $demo || break
    sleep 1
done
kill -TERM "-$demo" 2>/dev/null || true
wait $demo || true
if [ "$until" != GRANTED ]; then
    grep -q "$until" demo.log || { cat demo.log; echo "the demo does not start"; exit 1; }
    # refused where the demo got so far as to enrol the same person
    .venv/bin/gated enroll E1 .venv/share/gated/models/obama.jpg --first-name Demo --last-name Person \
        --config gate.yaml || true
    .venv/bin/python -m tests.machine.demo_film demo.avi
    .venv/bin/gated replay demo.avi --config gate.yaml >demo.log
fi
grep --ignore-case --max-count=1 granted demo.log || { cat demo.log; echo "the demo let nobody in"; exit 1; }
xargs .venv/bin/python -m pytest -q --numprocesses 2 --dist loadfile <tests/machine/chosen.txt
TRY
unshare --mount --pid --fork --kill-child --mount-proc="$tree/proc" sh -ec '
    mount --rbind /dev "$1/dev"
    mount -t tmpfs tmpfs "$1/tmp"
    exec env -i "$3" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root chroot "$1" sh /src/.try "$2"
' sh "$tree" "$slower" "$processor"
