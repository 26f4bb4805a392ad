#!/bin/sh
# Installs gated as a service on Raspberry Pi OS or Debian (Python 3.11 or later); run it again to
# update. Everything goes to /opt/gated, /etc/gated and /var/lib/gated.
set -eu

usage() {
    cat <<'TEXT'
Usage: systemd/install.sh [--hub] [--from DIR] [--dry-run]
       systemd/install.sh --uninstall [--purge] [--dry-run]

  --hub         install the hub (no camera, no door) instead of a gate
  --from DIR    take the model files from DIR (a stick, say) instead of the network
  --dry-run     print what would be done and change nothing
  --uninstall   stop and remove the program; configuration and data stay
  --purge       with --uninstall: remove configuration, photos, keys and the attendance log as well
TEXT
}

PREFIX=/opt/gated
CONFIG=/etc/gated
UNITS=/etc/systemd/system
MODELS=$PREFIX/share/gated/models
SOURCE=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

hub=no dry=no uninstall=no purge=no from=
while [ $# -gt 0 ]; do
    case $1 in
    --hub) hub=yes ;;
    --from) [ $# -gt 1 ] || { usage >&2; exit 2; }; from=$2; shift ;;
    --dry-run) dry=yes ;;
    --uninstall) uninstall=yes ;;
    --purge) purge=yes ;;
    -h | --help) usage; exit 0 ;;
    *) echo "install.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done
if [ "$hub" = yes ]; then name=gated-hub file=hub.yaml example=hub.yaml
else name=gated file=gate.yaml example=entry-picamera2.yaml; fi

say() { printf '%s\n' "$*"; }
fail() { say "install.sh: $*" >&2; exit 1; }

# every change of the system goes through here
run() {
    say "  + $*"
    [ "$dry" = yes ] || "$@"
}

check_machine() {
    [ "$dry" = yes ] || [ "$(id -u)" = 0 ] || fail "run it as root: sudo $0"
    [ "$dry" = yes ] || command -v systemctl >/dev/null || fail "this machine has no systemd"
    [ -n "$from" ] && [ ! -d "$from" ] && fail "$from: no such directory"
    command -v python3 >/dev/null || fail "python3 is missing"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$(python3 --version) is too old: 3.11 or later is needed (Debian 12 or later)"
}

on_raspberry_pi() { grep -qs 'Raspberry Pi' /proc/device-tree/model; }

install_packages() {
    say "Debian packages"
    packages=python3-venv
    if [ "$hub" = no ] && on_raspberry_pi; then
        packages="$packages python3-picamera2"
        ! grep -qs 'VERSION_CODENAME=bookworm' /etc/os-release ||
            say "  ! Debian 12 built picamera2 for numpy 1; beside numpy 2 it may not import: use 13"
    fi
    run apt-get update -q
    # shellcheck disable=SC2086  # a list of words
    run apt-get install -y -q --no-install-recommends $packages
}

install_program() {
    say "The program, in $PREFIX"
    # picamera2 comes from the system's own packages; the environment has to see them
    [ -x "$PREFIX/bin/python" ] || run python3 -m venv --system-site-packages "$PREFIX"
    # what was locked and hashed, nothing else; the program itself is built from this folder
    run "$PREFIX/bin/python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes -r "$SOURCE/requirements-gate.lock"
    run "$PREFIX/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --no-build-isolation --force-reinstall "$SOURCE"
}

install_models() {
    [ "$hub" = no ] || return 0
    say "Model files, in $MODELS"
    if [ -n "$from" ]; then set -- --from "$from"; else set --; fi
    run "$PREFIX/bin/gated" assets install default "$@" --into "$MODELS"
    run "$PREFIX/bin/gated" assets install pad "$@" --into "$MODELS" ||
        say "  ! no liveness models: faces open nothing until 'gated assets install pad' succeeds"
}

install_service() {
    say "The service $name"
    run install -D -m 0644 "$SOURCE/systemd/gated.sysusers.conf" /usr/lib/sysusers.d/gated.conf
    run install -D -m 0644 "$SOURCE/systemd/gated.tmpfiles.conf" /usr/lib/tmpfiles.d/gated.conf
    run install -D -m 0644 "$SOURCE/systemd/99-gated.rules" /etc/udev/rules.d/99-gated.rules
    run install -D -m 0644 "$SOURCE/systemd/$name.service" "$UNITS/$name.service"
    run systemd-sysusers gated.conf
    run install -d -o gated -g gated -m 0700 "/var/lib/$name"
    if [ -e "$CONFIG/$file" ]; then say "  = $CONFIG/$file stays as it is"
    else run install -D -m 0640 "$SOURCE/config/$example" "$CONFIG/$file"; fi
    run systemd-tmpfiles --create gated.conf
    # the rules hold from the next boot on at the latest
    run udevadm control --reload || say "  ! udev is not running"
    run udevadm trigger --subsystem-match=gpio --subsystem-match=video4linux || true
    # not when an image is being made: nothing is booted there
    run systemctl daemon-reload || say "  ! systemd is not running"
    run systemctl enable "$name"
}

tell_what_is_next() {
    as="sudo -u gated env GATED_STATE_DIR=/var/lib/$name $PREFIX/bin/gated"
    cat <<TEXT

Installed. What is left to do:
  1. edit the configuration:   sudoedit $CONFIG/$file
  2. look for mistakes:        $as doctor --config $CONFIG/$file
  3. make the first account:   $as user add NAME --role admin --config $CONFIG/$file
  4. start it:                 sudo systemctl restart $name
  5. watch it:                 journalctl -fu $name
TEXT
}

remove() {
    say "Removing $name"
    run systemctl disable --now "$name" || true
    run rm -f "$UNITS/$name.service"
    run systemctl daemon-reload || true
    other=gated-hub
    [ "$hub" = no ] || other=gated
    if [ -e "$UNITS/$other.service" ]; then
        say "  = $other is still installed: $PREFIX stays"
    else
        run rm -rf "$PREFIX"
        run rm -f /usr/lib/sysusers.d/gated.conf /usr/lib/tmpfiles.d/gated.conf \
            /etc/udev/rules.d/99-gated.rules
    fi
    if [ "$purge" = yes ]; then run rm -rf "/var/lib/$name" "$CONFIG/$file"
    else say "  = $CONFIG and /var/lib/$name stay (remove them with --purge)"; fi
}

check_machine
[ "$dry" = no ] || say "Dry run: nothing is changed."
if [ "$uninstall" = yes ]; then
    remove
else
    install_packages
    install_program
    install_models
    install_service
    tell_what_is_next
fi
