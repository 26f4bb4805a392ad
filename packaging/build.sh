#!/usr/bin/env bash
# Builds the Debian packages gated and gated-hub, into dist/.
#
#   [ARCH=arm64] packaging/build.sh [VERSION]
#
# ARCH: amd64 or arm64; this machine's own unless given. Nothing is compiled, so either builds both.
# Each holds the program, the wheels of the lock for Python 3.11 to 3.13, the model files and the
# units: nothing is fetched when it is installed. Run it through `make deb`, which sets up .venv.
# UPDATE_KEYS=FILE puts public keys of minisign inside: gates then take only updates that these have
# signed. SIGN_WITH=FILE signs the packages with that secret key of minisign.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
version=${1:-$($bin/python -c 'from gated import __version__; print(__version__)')}
pythons="3.11 3.12 3.13"
arch=${ARCH:-$(dpkg --print-architecture)}
case $arch in
amd64) machine=x86_64 ;;
arm64) machine=aarch64 ;;
*) echo "there are no wheels for $arch: give ARCH=amd64 or ARCH=arm64" >&2; exit 2 ;;
esac
platforms=()
for glibc in 2_17 2_24 2_26 2_27 2_28 2_31 2_34; do
    platforms+=(--platform "manylinux_${glibc}_$machine")
done
platforms+=(--platform "manylinux2014_$machine" --platform any)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# kept for the next build with the same lock
wheels=build/wheels-$arch-$(sha256sum requirements-gate.lock | cut -c 1-12)
mkdir -p "$wheels" dist
# the lock serves all; which of its lines hold for a Python, uv knows
for python in $pythons; do
    $bin/uv pip compile --quiet --no-deps --generate-hashes --no-annotate --no-header \
        --no-emit-index-url --python-version "$python" \
        --python-platform "$machine-manylinux_2_34" \
        requirements-gate.lock --output-file "$work/lock-$python" >/dev/null
    $bin/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --implementation cp --python-version "$python" \
        --abi "cp${python/./}" --abi abi3 --abi none "${platforms[@]}" \
        --requirement "$work/lock-$python" --dest "$wheels"
done
$bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --wheel-dir "$work/own" .

$bin/python packaging/sbom.py requirements-gate.lock >"$work/sbom.cdx.json"

for name in gated gated-hub; do
    root=$work/$name lib=$work/$name/usr/lib/gated
    mkdir -p "$lib/wheels" "$lib/locks" "$root/DEBIAN" "$root/opt/gated"
    cp "$wheels"/*.whl "$work/own"/*.whl "$lib/wheels/"
    cp "$work"/lock-* "$lib/locks/"
    install -D -m 0755 packaging/common/gated "$root/usr/bin/gated"
    install -D -m 0755 packaging/common/install-program "$lib/install-program"
    install -D -m 0644 gated/update/updater.py "$lib/updater.py"
    install -D -m 0644 systemd/gated.sysusers.conf "$root/usr/lib/sysusers.d/gated.conf"
    install -D -m 0644 systemd/gated.tmpfiles.conf "$root/usr/lib/tmpfiles.d/gated.conf"
    units=$name
    # the door, and its API beside it; a hub is one process
    [ "$name" = gated-hub ] || units="gated gated-service"
    for unit in $units; do
        install -D -m 0644 "systemd/$unit.service" "$root/usr/lib/systemd/system/$unit.service"
    done
    install -D -m 0644 LICENSE "$root/usr/share/doc/$name/copyright"
    install -D -m 0644 "$work/sbom.cdx.json" "$root/usr/share/doc/$name/sbom.cdx.json"
    install -D -m 0644 config/gate.reference.yaml "$root/usr/share/doc/$name/gate.reference.yaml"
    if [ "$name" = gated ]; then
        config=gate.yaml
        $bin/gated assets install default demo --into "$lib/models" --quiet
        $bin/gated assets install pad mesh --into "$lib/models" --quiet ||
            echo "packaging: no liveness models here: gates need 'gated assets install pad mesh'"
        for file in .venv/share/gated/models/MiniFASNet*.onnx .venv/share/gated/models/*.tflite; do
            [ ! -e "$file" ] || cp -n "$file" "$lib/models/"
        done
        install -D -m 0644 systemd/network-camera.conf "$lib/network-camera.conf"
        install -D -m 0644 systemd/serial-device.conf "$lib/serial-device.conf"
        install -D -m 0644 systemd/watchdog.conf "$root/usr/lib/systemd/system.conf.d/50-gated.conf"
        install -D -m 0644 systemd/99-gated.rules "$root/usr/lib/udev/rules.d/60-gated.rules"
        install -D -m 0644 packaging/gated/avahi.service "$root/etc/avahi/services/gated.service"
        echo /etc/avahi/services/gated.service >"$root/DEBIAN/conffiles"
        depends="" suggests="python3-picamera2, python3-lgpio, python3-gpiozero, avahi-daemon"
        other=gated-hub about="daemon of a face-recognition gate"
    else
        config=hub.yaml
        mkdir -p "$lib/models"
        depends="" suggests="postgresql" other=gated about="hub of face-recognition gates"
    fi
    install -D -m 0644 "packaging/$name/$config" "$root/etc/gated/$config"
    echo "/etc/gated/$config" >>"$root/DEBIAN/conffiles"
    if [ -n "${UPDATE_KEYS:-}" ]; then
        install -D -m 0644 "$UPDATE_KEYS" "$root/etc/gated/update.keys"
        echo /etc/gated/update.keys >>"$root/DEBIAN/conffiles"
    fi
    for script in postinst prerm postrm; do
        sed "s/@NAME@/$name/g; s/@UNITS@/$units/g; s/@CONFIG@/$config/g; s/@VERSION@/$version/g" \
            "packaging/common/$script" >"$root/DEBIAN/$script"
        chmod 755 "$root/DEBIAN/$script"
    done
    printf '%s' "$version" >"$lib/version"
    cat >"$root/DEBIAN/control" <<CONTROL
Package: $name
Version: $version
Architecture: $arch
Maintainer: the gated project <gated@localhost>
Installed-Size: $(du -sk "$root" | cut -f1)
Depends: python3 (>= 3.11), python3 (<< 3.14), python3-venv, libc6 (>= 2.34), systemd | systemd-standalone-sysusers${depends:+, $depends}
Suggests: $suggests
Conflicts: $other
Section: admin
Priority: optional
Description: $about
 Recognises people, opens the door for those who may pass and keeps an attendance log in which no
 change goes unnoticed. Wheels and model files are inside: nothing is fetched when it is installed.
CONTROL
    package=dist/${name}_${version}_$arch.deb
    dpkg-deb --root-owner-group -Zzstd -z1 --build "$root" "$package"
    if [ -n "${SIGN_WITH:-}" ]; then
        minisign -S -s "$SIGN_WITH" -m "$package" -t "$name $version $arch"
    fi
done
