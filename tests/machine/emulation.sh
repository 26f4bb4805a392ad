# Sourced by scripts that work in a Debian tree of another architecture than this machine's.

# emulate ARCH: let the kernel run its programs by qemu, unless they are this machine's own. Sets
# `slower`, by which everything there takes longer. Where it is not possible: says why by `skip`.
emulate() {
    slower=1
    [ "$1" != "$(dpkg --print-architecture)" ] || return 0
    slower=20
    local machine formats=/proc/sys/fs/binfmt_misc
    case $1 in arm64) machine=aarch64 ;; amd64) machine=x86_64 ;; *) skip "no emulator for $1" ;; esac
    [ -e $formats/register ] || mount -t binfmt_misc none $formats 2>/dev/null ||
        skip "this kernel runs no foreign programs"
    if [ ! -e $formats/qemu-$machine ]; then
        [ -e /usr/lib/binfmt.d/qemu-$machine.conf ] || skip "qemu is missing (apt-get install qemu-user-static)"
        cat /usr/lib/binfmt.d/qemu-$machine.conf >$formats/register
    fi
}
