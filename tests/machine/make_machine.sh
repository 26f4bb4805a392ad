#!/usr/bin/env bash
# Makes the disk of a whole machine: Debian 12 with systemd and its own kernel, a simulated GPIO header
# of a Raspberry Pi, a virtual camera, and gated installed from its Debian package.
#
#   tests/machine/make_machine.sh DIR PACKAGE
#
# Writes DIR/disk.img, DIR/vmlinuz and DIR/initrd.img. DIR/tree is kept: the next disk takes a minute.
# Needs root, debootstrap and this machine's access to Debian packages.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(readlink -f "$1") package=$(readlink -f "$2")
tree=$dir/tree root=$dir/root

inside() { # inside TREE COMMAND...: with the file systems that a build expects
    local place=$1
    shift
    unshare --mount --pid --fork --kill-child sh -ec '
        mount --rbind /dev "$1/dev"
        mount -t proc proc "$1/proc"
        mount -t tmpfs tmpfs "$1/tmp"
        place=$1
        shift
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 chroot "$place" "$@"
    ' sh "$place" "$@"
}

if [ ! -e "$tree/.made" ]; then
    if [ ! -e "$tree/.unpacked" ]; then
        rm -rf --one-file-system "$tree"
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null | head -n 1 || true)
        packages=systemd,systemd-sysv,udev,dbus,util-linux,iproute2,kmod,procps,initramfs-tools
        packages=$packages,linux-image-amd64,linux-headers-amd64,gcc,make,python3,python3-venv,ca-certificates
        packages=$packages,v4l-utils,v4l2loopback-dkms
        debootstrap --variant=minbase --include=$packages bookworm "$tree" ${mirror:+"$mirror"} >"$dir/tree.log" 2>&1 ||
            { tail -n 5 "$dir/tree.log"; exit 1; }
        touch "$tree/.unpacked"
    fi
    kernel=$(ls "$tree/lib/modules")

    # Debian builds no gpio-sim: it is made here from Debian's own kernel source, with three changes
    build=$tree/usr/src/gpio-sim
    mkdir -p "$build"
    (cd "$dir" && apt-get download -q linux-source-6.1 >/dev/null)
    # tar stops at the last file wanted, and who feeds it complains
    { dpkg-deb --fsys-tarfile "$dir"/linux-source-6.1_*.deb | tar -xO ./usr/src/linux-source-6.1.tar.xz |
        xz -dc | tar -x --occurrence=1 --strip-components=1 -C "$build" linux-source-6.1/drivers/gpio/gpio-sim.c \
        linux-source-6.1/kernel/irq/irq_sim.c linux-source-6.1/drivers/gpio/gpiolib.h; } 2>/dev/null || true
    mv "$build"/drivers/gpio/* "$build"/kernel/irq/* "$build/"
    rm -f "$dir"/linux-source-6.1_*.deb
    printf 'obj-m := gpio_sim.o\ngpio_sim-y := gpio-sim.o irq_sim.o\n' >"$build/Makefile"
    # not every function of the kernel is there for modules; this one does the same
    sed -i 's/handle_simple_irq(irq_to_desc(\(.*\)));/generic_handle_irq(\1);/' "$build/irq_sim.c"
    # what is wired to ground stays low, whichever pull resistor a program asks for
    sed -i '/case PIN_CONFIG_BIAS_PULL_UP:/{n;s/.*/\t\treturn 0;/}' "$build/gpio-sim.c"
    # as a Raspberry Pi's kernel does: an output that its program let go of stays driven
    sed -i -e 's/^static void gpio_sim_free(/static bool persist_gpio_outputs;\nmodule_param(persist_gpio_outputs, bool, 0644);\n\n&/' \
        -e '/^static void gpio_sim_free(/,/^}/s/__assign_bit(/if (!persist_gpio_outputs)\n\t\t&/' "$build/gpio-sim.c"
    inside "$tree" make -C "/lib/modules/$kernel/build" M=/usr/src/gpio-sim modules >"$dir/modules.log" 2>&1 ||
        { tail -n 20 "$dir/modules.log"; exit 1; }
    install -D "$build/gpio_sim.ko" "$tree/lib/modules/$kernel/extra/gpio-sim.ko"
    inside "$tree" dkms autoinstall -k "$kernel" >>"$dir/modules.log" 2>&1 || true
    find "$tree/lib/modules/$kernel" -name 'v4l2loopback.ko*' | grep -q . || { tail "$dir/modules.log"; exit 1; }
    inside "$tree" depmod "$kernel"
    rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/usr/src/linux-headers* "$tree"/usr/lib/gcc
    touch "$tree/.made"
fi

rm -rf --one-file-system "$root"
cp -a "$tree" "$root"
# --- the package, as an image builder would install it ---
mkdir -p "$root/packages"
cp "$package" "$root/packages/gated.deb"
"$here/../packaging/variant.sh" "$package" newer "$root/packages/newer.deb"
"$here/../packaging/variant.sh" "$package" wrong "$root/packages/wrong.deb" broken
inside "$root" env DEBIAN_FRONTEND=noninteractive dpkg -i /packages/gated.deb >"$dir/install.log" 2>&1 ||
    { cat "$dir/install.log"; exit 1; }

# --- the machine around it ---
echo gate >"$root/etc/hostname"
echo '127.0.0.1 localhost gate' >"$root/etc/hosts"
echo '/dev/vda / ext4 noatime 0 1' >"$root/etc/fstab"
install -m 0755 "$here"/guest/*.py "$here"/guest/*.sh "$root/usr/local/sbin/"
install -m 0644 "$here"/guest/*.service "$root/etc/systemd/system/"
install -m 0640 "$here"/guest/gate.yaml "$root/etc/gated/gate.yaml"
inside "$root" chown root:gated /etc/gated/gate.yaml
# Debian lists the drivers of watchdogs as not to be loaded by themselves
echo i6300esb >"$root/etc/modules-load.d/watchdog.conf"
# gpiozero asks for the board
printf 'processor\t: 0\n\nRevision\t: c03114\nSerial\t\t: 1000000000000000\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n' \
    >"$root/etc/cpuinfo-pi"
install -d "$root/etc/systemd/system/gated.service.d"
# a start takes minutes where the processor is emulated on a busy machine
install -d "$root/etc/systemd/system/gated-service.service.d"
printf '[Service]\nTimeoutStartSec=1200\n' >"$root/etc/systemd/system/gated-service.service.d/slow.conf"
printf '[Service]\nTimeoutStartSec=1200\nBindReadOnlyPaths=/etc/cpuinfo-pi:/proc/cpuinfo\n' >"$root/etc/systemd/system/gated.service.d/board.conf"
inside "$root" systemctl --quiet enable machine-header machine-agent machine-feed
inside "$root" systemctl --quiet mask systemd-networkd-wait-online apt-daily.timer apt-daily-upgrade.timer
cp "$root"/boot/vmlinuz-* "$dir/vmlinuz"
cp "$root"/boot/initrd.img-* "$dir/initrd.img"
truncate -s 0 "$dir/disk.img"
mke2fs -q -F -t ext4 -d "$root" "$dir/disk.img" 5G
rm -rf --one-file-system "$root"
