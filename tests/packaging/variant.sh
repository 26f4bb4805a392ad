#!/usr/bin/env bash
# Makes the same package under a later version: VERSION+ENDING.
#
#   tests/packaging/variant.sh PACKAGE ENDING TARGET [broken]
#
# broken: it changes the database and its door does not run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d "$(dirname "$3")/variant.XXXXXX")
trap 'rm -rf "$folder"' EXIT
dpkg-deb --raw-extract "$1" "$folder/root"
sed -i "s/^Version: .*/&+$2/" "$folder/root/DEBIAN/control"
printf '+%s' "$2" >>"$folder/root/usr/lib/gated/version"
[ -z "${4:-}" ] || python3 "$here/break_wheel.py" "$folder"/root/usr/lib/gated/wheels/gated-*.whl
dpkg-deb --root-owner-group -Znone --build "$folder/root" "$3" >/dev/null
