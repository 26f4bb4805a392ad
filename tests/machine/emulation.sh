# Sourced by scripts that work in a Debian tree of another architecture than this machine's.

# emulate ARCH: let the kernel run its programs by qemu, unless they are this machine's own. Sets
# `slower`, by which everything there takes longer, and `processor`, a word for the environment there.
# Where it is not possible: says why by `skip`.
emulate() {
    slower=1 processor=EMULATED=no
    [ "$1" != "$(dpkg --print-architecture)" ] || return 0
    slower=20
    local machine formats=/proc/sys/fs/binfmt_misc
    # a Raspberry Pi 4's: under qemu's own choice, with vectors of a length that no board has, the BLAS
    # of NumPy multiplies small matrices wrongly
    case $1 in arm64) machine=aarch64 processor=QEMU_CPU=cortex-a72 ;; amd64) machine=x86_64 ;; *) skip "no emulator for $1" ;; esac
    [ -e $formats/register ] || mount -t binfmt_misc none $formats 2>/dev/null ||
        skip "this kernel runs no foreign programs"
    if [ ! -e $formats/qemu-$machine ]; then
        [ -e /usr/lib/binfmt.d/qemu-$machine.conf ] || skip "qemu is missing (apt-get install qemu-user-static)"
        cat /usr/lib/binfmt.d/qemu-$machine.conf >$formats/register
    fi
}
