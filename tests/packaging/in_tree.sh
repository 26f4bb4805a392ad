#!/bin/sh
# What try_package.sh does inside a tree: install, run, update, remove, purge.
#
#   in_tree.sh [SLOWER]      SLOWER: so many times longer may a start take (an emulated processor)
set -eu
slower=${1:-1}
export DEBIAN_FRONTEND=noninteractive
config=/etc/gated/gate.yaml state=/var/lib/gated
fail() { echo "  WRONG: $*"; exit 1; }
ok() { echo "  $(($(date +%s) - began)) s: $*"; }
owner() { stat -c %U:%G:%a "$1"; }
began=$(date +%s)
find / -xdev -not -path '/proc/*' -not -path '/packages/*' | sort >/tmp/before

dpkg -i /packages/gated.deb >/tmp/install.log 2>&1 || { cat /tmp/install.log; fail "it does not install"; }
grep -q "setup-code" /tmp/install.log || fail "it does not say how to begin"
grep -q "https://" /tmp/install.log || fail "it does not say where its page is"
id gated >/dev/null || fail "no user"
[ "$(owner $state)" = gated:gated:700 ] || fail "$state is $(owner $state)"
[ "$(owner $config)" = root:gated:640 ] || fail "$config is $(owner $config)"
[ -e $state/keys/tls.crt ] || fail "no certificate"
for file in /usr/lib/systemd/system/gated.service /usr/lib/systemd/system/gated-service.service \
    /usr/lib/udev/rules.d/60-gated.rules \
    /usr/lib/gated/models/face_recognition_sface_2021dec_int8bq.onnx; do
    [ -e "$file" ] || fail "$file is missing"
done
for unit in gated gated-service; do
    [ -e /etc/systemd/system/multi-user.target.wants/$unit.service ] || fail "$unit is not enabled"
done
ok "installed on $(python3 --version) without a network"

gated --version >/dev/null
gated check-config $config >/dev/null || fail "its configuration is wrong"
code=$(gated user setup-code)
printf '%s' "$code" | grep -Eq '^([A-Z2-9]{4}-){3}[A-Z2-9]{4}$' || fail "no code: $code"
gated doctor >/tmp/doctor.log || true
grep -q "ok .*set default: present" /tmp/doctor.log || { cat /tmp/doctor.log; fail "no models"; }
[ -z "$(find $state ! -user gated)" ] || fail "root left files: $(find $state ! -user gated)"
ok "the commands work as root and leave nothing of root's"

setpriv --reuid=gated --regid=gated --init-groups env GATED_STATE_DIR=$state \
    /opt/gated/bin/gated run --config $config --exit-after $((30 * slower)) >/tmp/run.log 2>&1 &
gate=$!
cp $state/keys/tls.crt /tmp/
python3 - $((100 * slower)) <<'ASK' || { cat /tmp/run.log; fail "the page does not answer"; }
import json, ssl, sys, time, urllib.error, urllib.request
trusting = ssl.create_default_context(cafile="/tmp/tls.crt")
end = time.monotonic() + float(sys.argv[1])
while True:
    try:
        with urllib.request.urlopen("https://127.0.0.1:8000/health", context=trusting, timeout=5) as answer:
            print("  health:", json.load(answer)["status"])
            break
    except urllib.error.HTTPError as error:
        # no camera here: it says so
        print("  health:", error.code)
        break
    except OSError:
        if time.monotonic() > end:
            raise
        time.sleep(0.5)
ASK
wait $gate || { cat /tmp/run.log; fail "the gate ends with $?"; }
ok "the gate ran, and its page was reached over its own certificate"

echo "# mine" >>$config
dpkg -i --force-confold /packages/later.deb >/tmp/update.log 2>&1 || { cat /tmp/update.log; fail "no update"; }
grep -q "# mine" $config || fail "the update took the configuration"
[ "$(owner $config)" = root:gated:640 ] || fail "$config is $(owner $config) after the update"
readlink /opt/gated/bin | grep -q later || fail "the old program is still in place"
[ "$(ls /opt/gated/releases | wc -l)" = 1 ] || fail "old programs stay"
gated user list >/dev/null
ok "updated, the configuration kept"

dpkg -r gated >/dev/null 2>&1 || fail "it cannot be removed"
[ -e $config ] && [ -e $state/keys/tls.crt ] || fail "removing takes configuration or data"
[ ! -e /opt/gated/bin ] || fail "the program stays"
dpkg -P gated >/tmp/purge.log 2>&1 || { cat /tmp/purge.log; fail "it cannot be purged"; }
grep -q "user gated stays" /tmp/purge.log || fail "it does not say what stays"
find / -xdev -not -path '/proc/*' -not -path '/packages/*' | sort >/tmp/after
left=$(comm -13 /tmp/before /tmp/after | grep -vE '^/(tmp|run|var/lib/dpkg|var/log|var/cache)(/|$)|/__pycache__(/|$)|^/etc/(passwd|group|shadow|gshadow|subuid|subgid|\.pwd\.lock)-?$' || true)
[ -z "$left" ] || fail "left behind: $left"
ok "removed and purged; nothing is left but the user"

dpkg -i /packages/gated-hub.deb >/tmp/hub.log 2>&1 || { cat /tmp/hub.log; fail "the hub does not install"; }
gated check-config /etc/gated/hub.yaml >/dev/null || fail "the hub's configuration is wrong"
[ "$(owner /var/lib/gated-hub)" = gated:gated:700 ] || fail "the hub's state"
dpkg -P gated-hub >/dev/null 2>&1 || fail "the hub cannot be purged"
ok "gated-hub likewise"
