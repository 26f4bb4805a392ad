#!/bin/sh
# From a clone on the machine itself: builds the Debian package and installs it. All that an
# installation is, is in the package (packaging/); run it again to update.
set -eu

usage() {
    cat <<'TEXT'
Usage: systemd/install.sh [--hub] [--dry-run]
       systemd/install.sh --uninstall [--hub] [--purge] [--dry-run]

  --hub         the hub (no camera, no door) instead of a gate
  --dry-run     print what would be done and change nothing
  --uninstall   remove the program; configuration and data stay
  --purge       with --uninstall: remove configuration, photos, keys and the attendance log as well
TEXT
}

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
name=gated dry=no action=install
while [ $# -gt 0 ]; do
    case $1 in
    --hub) name=gated-hub ;;
    --dry-run) dry=yes ;;
    --uninstall) [ "$action" = purge ] || action=remove ;;
    --purge) action=purge ;;
    -h | --help) usage; exit 0 ;;
    *) echo "install.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

# every change of the system goes through here
run() {
    echo "  + $*"
    [ "$dry" = yes ] || "$@"
}

[ "$dry" = no ] || echo "Dry run: nothing is changed."
[ "$dry" = yes ] || [ "$(id -u)" = 0 ] || { echo "install.sh: run it as root: sudo $0" >&2; exit 1; }
if [ "$action" = install ]; then
    run apt-get install -y -q --no-install-recommends python3-venv make
    # the clone belongs to somebody: so does what is built in it
    owner=$(stat -c %U "$root")
    run setpriv --reuid="$owner" --regid="$(id -g "$owner")" --init-groups --reset-env \
        make --no-print-directory -C "$root" deb
    package=$(ls -t "$root/dist/${name}"_*.deb 2>/dev/null | head -n 1)
    run apt-get install -y -q "${package:-$root/dist/${name}_VERSION.deb}"
else
    run apt-get "$action" -y -q "$name"
fi
