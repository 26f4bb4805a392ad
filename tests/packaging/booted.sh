#!/bin/sh
# One step of boot_package.sh, inside a tree that is booted with systemd.
set -eu
export DEBIAN_FRONTEND=noninteractive
config=/etc/gated/gate.yaml state=/var/lib/gated place=/packages
began=$(date +%s)
fail() { echo "  WRONG: $*"; exit 1; }
ok() { echo "  $(($(date +%s) - began)) s: $*"; }
version() { dpkg-query -W -f '${Version}' "${1:-gated}"; }
as_postgres() { (cd / && setpriv --reuid=postgres --regid=postgres --init-groups psql -qtA -v ON_ERROR_STOP=1 "$@"); }
hub() { (set -a && . /etc/gated/hub.env && gated "$@" --config /etc/gated/hub.yaml); }
answers() {
    for _ in $(seq 120); do
        python3 - <<'ASK' 2>/dev/null && return
import ssl, urllib.request
for scheme in ("http", "https"):
    try:
        unchecked = ssl._create_unverified_context()
        urllib.request.urlopen(scheme + "://127.0.0.1:8000/health", timeout=5, context=unchecked).read()
        break
    except OSError:
        pass
else:
    raise SystemExit(1)
ASK
        sleep 1
    done
    journalctl --no-pager -u gated-hub -n 20
    fail "the hub does not answer"
}
ask() { # ask METHOD PATH [JSON]: prints the answer
    python3 - "$@" <<'ASK'
import json, ssl, sys, urllib.request
method, path, *body = sys.argv[1:]
request = urllib.request.Request("https://127.0.0.1:8000" + path, method=method,
    data=body[0].encode() if body else None, headers={"Content-Type": "application/json"})
trusting = ssl.create_default_context(cafile="/var/lib/gated/keys/tls.crt")
with urllib.request.urlopen(request, context=trusting, timeout=60) as answer:
    print(answer.read().decode())
ASK
}
value() { # value SQL: of the database, read only
    python3 -c 'import sqlite3, sys
print(sqlite3.connect("file:/var/lib/gated/attendance.db?mode=ro", uri=True).execute(sys.argv[1]).fetchone()[0])' "$1"
}
grants() { value "SELECT count(*) FROM attendance_logs WHERE status = 'granted'"; }
somebody_enters() {
    before=$(grants)
    for _ in $(seq 300); do
        [ "$(grants)" -gt "$before" ] && return
        sleep 1
    done
    journalctl --no-pager -u gated -n 30
    fail "nobody is let in"
}
both_run() {
    for _ in $(seq 300); do
        systemctl --quiet is-active gated && systemctl --quiet is-active gated-service && return
        sleep 1
    done
    fail "door and service do not run"
}

case $1 in
install)
    find / -xdev -not -path '/proc/*' -not -path '/packages/*' | sort >/var/tmp/before
    apt-get install -y $place/gated.deb >/var/tmp/install.log 2>&1 ||
        { cat /var/tmp/install.log; fail "it does not install"; }
    grep -q "https://$(hostname).local:8000" /var/tmp/install.log || fail "it does not say where its page is"
    grep -oE '([A-Z2-9]{4}-){3}[A-Z2-9]{4}' /var/tmp/install.log >/var/tmp/code ||
        { cat /var/tmp/install.log; fail "it shows no code"; }
    systemctl --quiet is-active gated-service || fail "the service does not run"
    ok "installed without a network by apt on $(python3 --version), service running, code shown"
    for _ in $(seq 30); do
        journalctl --no-pager -u avahi-daemon | grep -q "gated.service) successfully established" && break
        sleep 1
    done
    journalctl --no-pager -u avahi-daemon | grep -q "gated.service) successfully established" ||
        fail "nothing is announced in the local network"
    ok "announced by avahi"
    ;;
admin)
    ask POST /api/auth/setup "{\"code\": \"$(cat /var/tmp/code)\", \"username\": \"olga\", \"password\": \"seven green bottles\"}" |
        grep -q access_token || fail "no first administrator"
    gated user list | grep -q olga || fail "the account is not there"
    ok "the first administrator signed up with the code that the installation showed"
    ;;
enroll)
    cat >$config <<'YAML'
gate: {name: bed, site: bed, timezone: Europe/Berlin}
camera: {driver: replay, source: demo}
door: {driver: simulated}
liveness: {level: "off"}
recognition: {frames: 1, max_frame_age_s: 20, max_attempts: 60}
attendance: {direction: entry}
storage: {state_dir: /var/lib/gated}
api: {host: 0.0.0.0, port: 8000, tls_certificate: /var/lib/gated/keys/tls.crt, tls_key: /var/lib/gated/keys/tls.key}
YAML
    for photo in obama biden; do
        gated enroll "E-$photo" /usr/lib/gated/models/$photo.jpg --first-name $photo >/dev/null ||
            fail "$photo cannot be enrolled as root"
    done
    [ -z "$(find $state ! -user gated)" ] || fail "root left files: $(find $state ! -user gated)"
    systemctl restart gated gated-service
    both_run
    ok "enrolled as root, nothing belongs to the wrong user; started with a camera"
    somebody_enters
    ok "somebody was let in"
    ;;
unsigned)
    [ -e $place/update.keys ] || exit 0
    install -m 0644 $place/update.keys /etc/gated/update.keys
    old=$(version)
    ! gated update $place/cut.deb >/var/tmp/update.log 2>&1 || fail "an unsigned package is installed"
    grep -q "cut.deb.minisig" /var/tmp/update.log || { cat /var/tmp/update.log; fail "it does not say what is missing"; }
    ! gated update $place/cut.deb --signature $place/newer.deb.minisig >/var/tmp/update.log 2>&1 ||
        fail "the signature of another package is taken"
    [ "$(version)" = "$old" ] || fail "something was changed"
    ok "packages without the signature of their maker are refused"
    ;;
key)
    # no TPM here: the key is bound to a file of this system that only root reads
    gated key protect --with host >/var/tmp/key.log 2>&1 || { cat /var/tmp/key.log; fail "no credential"; }
    ! gated key protect --remove-file --yes >/var/tmp/key.log 2>&1 || fail "removed before anything runs with it"
    grep -q "runs without the credential" /var/tmp/key.log || { cat /var/tmp/key.log; fail "it does not say why"; }
    systemctl restart gated gated-service
    both_run
    gated key protect --remove-file --yes >/var/tmp/key.log 2>&1 || { cat /var/tmp/key.log; fail "the file stays"; }
    [ ! -e $state/keys/seal.key ] || fail "the key is in the state directory"
    [ -z "$(find $state ! -user gated)" ] || fail "root left files: $(find $state ! -user gated)"
    systemctl restart gated gated-service
    both_run
    somebody_enters
    gated persons list >/dev/null || fail "root has not got the key"
    ! setpriv --reuid=gated --regid=gated --init-groups /opt/gated/bin/gated persons list --config $config \
        >/var/tmp/key.log 2>&1 || fail "somebody works without the key"
    grep -q "was not given" /var/tmp/key.log || { cat /var/tmp/key.log; fail "it does not say why"; }
    [ ! -e $state/keys/seal.key ] || fail "another key was made"
    ok "the sealing key is a credential of systemd; somebody was let in"
    ;;
newer)
    old=$(version)
    sum=$(sha256sum $place/newer.deb | cut -d ' ' -f 1)
    ! gated update $place/newer.deb --sha256 "$(echo "$sum" | tr '0-9' '1-90')" >/var/tmp/update.log 2>&1 ||
        fail "a file with another SHA-256 is installed"
    [ "$(version)" = "$old" ] || fail "something was changed"
    gated update --well-for 20 $place/newer.deb --sha256 "$sum" >/var/tmp/update.log 2>&1 ||
        { cat /var/tmp/update.log; fail "it does not update"; }
    case $(version) in *+newer) ;; *) fail "it is $(version)" ;; esac
    [ ! -e /etc/gated/update.keys ] || grep -q "^signed by .*: gated newer" /var/tmp/update.log || fail "signed by whom?"
    ls /opt/gated/releases | grep -q newer || fail "the old program is in place"
    [ ! -e /etc/systemd/system/gated-update-resume.service ] || fail "it did not tidy up"
    ! gated update $place/newer.deb >/dev/null 2>&1 || fail "the same version is taken for a newer one"
    ok "updated to $(version)"
    somebody_enters
    ok "somebody was let in"
    ;;
wrong)
    revision=$(value "SELECT version_num FROM alembic_version")
    here=$(version)
    ! gated update --well-for 20 $place/wrong.deb >/var/tmp/update.log 2>&1 ||
        { cat /var/tmp/update.log; fail "a broken build counts as well"; }
    sed 's/^/      /' /var/tmp/update.log
    rm -f /etc/gated/update.keys
    grep -q "is in place again with its data" /var/tmp/update.log || fail "it does not say what it did"
    [ "$(version)" = "$here" ] || fail "it is $(version)"
    [ "$(value "SELECT version_num FROM alembic_version")" = "$revision" ] || fail "the database stays changed"
    both_run
    gated journal verify >/var/tmp/verify.log 2>&1 || { cat /var/tmp/verify.log; fail "a false alarm"; }
    [ "$(value "SELECT count(*) FROM alarms WHERE kind = 'journal_broken'")" = 0 ] || fail "a false alarm"
    [ "$(value "SELECT count(*) FROM persons")" = 2 ] || fail "people are missing"
    [ -z "$(find $state ! -user gated)" ] || fail "root left files: $(find $state ! -user gated)"
    ok "a build that changes the database and does not run came back by itself, with its data"
    somebody_enters
    ok "somebody was let in"
    ;;
until-installing)
    for _ in $(seq 600); do
        grep -q '"phase": "installing"' /var/lib/gated-update/state.json 2>/dev/null && break
        sleep 0.5
    done
    grep -q '"phase": "installing"' /var/lib/gated-update/state.json || fail "it does not begin to install"
    sleep 4 # dpkg is at it
    ;;
resumed)
    for _ in $(seq 900); do
        grep -qE '"phase": "(came_back|updated)"' /var/lib/gated-update/state.json && break
        sleep 1
    done
    grep -qE '"phase": "(came_back|updated)"' /var/lib/gated-update/state.json ||
        { cat /var/lib/gated-update/state.json; fail "the update was not ended after the power cut"; }
    both_run
    dpkg --audit | grep -q gated && fail "the package is half installed"
    ok "after the power cut it went on by itself: $(version)"
    somebody_enters
    ok "somebody was let in"
    ;;
back)
    here=$(version)
    before=$(python3 -c 'import json; print(json.load(open("/var/lib/gated-update/old/state.json"))["old"])')
    gated update --back --well-for 10 >/var/tmp/update.log 2>&1 || { cat /var/tmp/update.log; fail "it does not go back"; }
    [ "$(version)" = "$before" ] && [ "$here" != "$before" ] || fail "it is $(version), not $before"
    both_run
    ok "went back from $here to $(version) by hand"
    ;;
purge)
    apt-get purge -y gated >/var/tmp/purge.log 2>&1 || { cat /var/tmp/purge.log; fail "it cannot be purged"; }
    find / -xdev -not -path '/proc/*' -not -path '/packages/*' | sort >/var/tmp/after
    left=$(comm -13 /var/tmp/before /var/tmp/after | grep -vE '^/(tmp|run|sys|dev|root|var/tmp|var/lib/(dpkg|apt|systemd)|var/log|var/cache)(/|$)|/__pycache__(/|$)|^/etc/(passwd|group|shadow|gshadow|subuid|subgid|\.pwd\.lock|machine-id|mtab|hostname|resolv.conf)-?$' || true)
    [ -z "$left" ] || fail "left behind: $left"
    ok "purged; nothing is left but the user"
    ;;
hub)
    apt-get install -y $place/gated-hub.deb >/var/tmp/hub.log 2>&1 || { cat /var/tmp/hub.log; fail "the hub does not install"; }
    grep -q "systemctl start gated-hub" /var/tmp/hub.log || fail "it does not say how to begin"
    systemctl start postgresql
    as_postgres -c "CREATE ROLE gated LOGIN PASSWORD 'seven-green-bottles'" -c "CREATE DATABASE gated OWNER gated"
    printf 'DATABASE_URL=postgresql://gated:seven-green-bottles@127.0.0.1/gated\n' >/etc/gated/hub.env
    systemctl start gated-hub || { journalctl --no-pager -u gated-hub -n 20; fail "the hub does not start"; }
    answers
    hub persons add E1 --first-name Ada --last-name Berg >/dev/null || fail "the hub takes nobody"
    ok "gated-hub likewise: installed, started on PostgreSQL"
    ;;
hub-newer)
    gated update --well-for 10 $place/hub-newer.deb >/var/tmp/update.log 2>&1 ||
        { cat /var/tmp/update.log; fail "the hub does not update"; }
    case $(version gated-hub) in *+newer) ;; *) fail "it is $(version gated-hub)" ;; esac
    answers
    ok "the hub updated to $(version gated-hub)"
    ;;
hub-wrong)
    revision=$(as_postgres gated -c "SELECT version_num FROM alembic_version")
    ! gated update --well-for 10 $place/hub-wrong.deb >/var/tmp/update.log 2>&1 ||
        { cat /var/tmp/update.log; fail "a broken hub counts as well"; }
    sed 's/^/      /' /var/tmp/update.log
    case $(version gated-hub) in *+newer) ;; *) fail "it is $(version gated-hub)" ;; esac
    [ "$(as_postgres gated -c "SELECT version_num FROM alembic_version")" = "$revision" ] ||
        fail "the database stays changed"
    answers
    hub persons show E1 >/dev/null || fail "people are missing"
    hub journal verify >/var/tmp/verify.log 2>&1 || { cat /var/tmp/verify.log; fail "a false alarm"; }
    ok "a hub that changes PostgreSQL and does not run came back by itself, with its data"
    ;;
hub-purge)
    apt-get purge -y gated-hub >/var/tmp/purge.log 2>&1 || fail "the hub cannot be purged"
    ok "the hub purged"
    ;;
*) fail "no step $1" ;;
esac
