"""What happens to the program and to the machine: it is killed, stopped, starved, unplugged."""

from __future__ import annotations

import json
import re
import time

from tests.machine.bed import EXIT, PYTHON, RELAY, STATE, Bed
from tests.machine.qemu import Refused
from tests.machine.scenarios import expect, scenario

FILL = (
    f"cd {STATE}/..; fallocate -l $(df --output=avail -B1 . | tail -n 1) filler;"
    " dd if=/dev/zero of=filler2 bs=1k 2>/dev/null; sync"
)
FROZEN_S = 110
"""Longer than the watchdog waits for any loop, and for the end that it asks for."""


def released_by_button(bed: Bed) -> float:
    """Release the door by the exit button; when it was released."""
    since = bed.machine.pull(EXIT, 0)
    at = since + bed.opened(since)
    bed.machine.pull(EXIT, 1)
    return at


def releases(bed: Bed, since: float) -> int:
    """How often the relay was released since then."""
    return sum((pin, level) == (RELAY, 1) for _, pin, level in bed.machine.pins(since))


def problems(told: dict[str, object]) -> str:
    """What a health page names."""
    named = told.get("problems") or told.get("reasons") or told
    return ", ".join(f"`{name}`" for name in named) if isinstance(named, list) else str(named)


def presses(bed: Bed) -> bool:
    """Whether the exit button releases now."""
    try:
        since = bed.machine.pull(EXIT, 0)
    except Refused:
        return False
    came = bed.machine.wait(RELAY, 1, since, 2 * bed.slow)
    bed.machine.pull(EXIT, 1)
    return came is not None


# --- ends of the program ----------------------------------------------------------------------


@scenario("kill -9 with the door released", "`kill -9` of the door; the kernel keeps its outputs")
def killed(bed: Bed) -> str:
    bed.rest()
    since = bed.machine.pull(EXIT, 0)
    bed.opened(since)
    bed.machine.pull(EXIT, 1)
    began = bed.machine.now()
    bed.machine.run(f"kill -9 {bed.pid()}")
    locked = bed.locked(began)
    bed.ready()
    up = bed.machine.now() - began
    return f"locked by ExecStopPost {locked:.2f} s after it, ready again after {up:.0f} s"


@scenario("kill -9 during a grant by a face", "`kill -9` of the door while a face has released it")
def killed_in_a_grant(bed: Bed) -> str:
    bed.rest()
    before, came = bed.grants(), bed.machine.now()
    bed.show("biden")
    opened = came + bed.opened(came, 60)
    bed.machine.run(f"kill -9 {bed.pid()}")
    killed = bed.machine.now()
    bed.machine.put("/run/shown", b"")
    locked = bed.locked(opened)
    bed.ready()
    rows = bed.grants() - before
    expect(rows in {0, 1}, f"{rows} rows of one grant")
    verify = bed.machine.run("gated journal verify", 300, check=False)
    expect("journal" in verify and "BROKEN" not in verify.upper(), verify)
    return (
        f"killed {killed - opened:.2f} s after the release, locked {locked:.2f} s after it; "
        f"{rows} row of the grant, the log is sound"
    )


@scenario(
    "the door is killed while its disk cannot be written",
    "`kill -9` with the door released, the disk full, then read-only",
)
def killed_without_disk(bed: Bed) -> str:
    said = []
    mend = f"mount -o remount,rw /; rm -f {STATE}/../filler {STATE}/../filler2; sync"
    for name, fault in (("full", FILL), ("read-only", "echo u >/proc/sysrq-trigger; sleep 2")):
        bed.rest()
        bed.machine.run(fault, 600, check=False)
        try:
            released_by_button(bed)
            began = bed.machine.now()
            bed.machine.run(f"kill -9 {bed.pid()}")
            locked = bed.locked(began)
        finally:
            bed.machine.run(mend)
        bed.ready()
        said.append(f"{name}: locked by ExecStopPost {locked:.2f} s after it")
    return "; ".join(said) + "; ready again once the disk can be written"


@scenario("the door's process is stopped", "`kill -STOP` with the door released")
def stopped(bed: Bed) -> str:
    bed.rest()
    old = bed.pid()
    since = bed.machine.pull(EXIT, 0)
    bed.opened(since)
    bed.machine.pull(EXIT, 1)
    began = bed.machine.now()
    bed.machine.run(f"kill -STOP {old}")
    locked = bed.locked(began, 120)
    bed.until("another process", lambda: bed.pid() not in {0, old}, 120)
    bed.ready()
    up = bed.machine.now() - began
    return (
        f"the watchdog ended it and ExecStopPost locked, {locked:.1f} s after it; ready after "
        f"{up:.0f} s"
    )


def _people_pass(bed: Bed, times: int) -> None:
    """Let people come one after another, each until the door is locked again."""
    for turn in range(times):
        came = bed.machine.now()
        bed.show(("obama2", "biden")[turn % 2])
        bed.locked(came + bed.opened(came, 60))
        bed.leave()


def each_release_has_a_row(bed: Bed, before: int, since: float, people: int) -> tuple[int, int]:
    """Wait for the rows of all releases since then; how many releases and rows there are.

    Who is recognised again while the door is still released has a row, and no release.
    """
    time.sleep(4 * min(bed.slow, 3.0))  # a picture may be old where the processor is emulated
    released = releases(bed, since)
    bed.until("the rows", lambda: bed.grants() - before >= released, 90)
    rows = bed.grants() - before
    expect(rows >= released >= people, f"{people} people, {released} releases, {rows} rows")
    return released, rows


@scenario(
    "the service is killed, stopped, out of memory",
    "`kill -9`, `kill -STOP`, OOM of gated-service while people pass",
)
def service_faults(bed: Bed) -> str:
    bed.rest()
    before, since = bed.grants(), bed.machine.now()
    for fault in (
        "kill -9 {}",
        "kill -STOP {}",
        "echo 1000 >/proc/{}/oom_score_adj; echo f >/proc/sysrq-trigger",
    ):
        pid = bed.pid("gated-service")
        door = bed.pid()
        bed.machine.run(fault.format(pid))
        _people_pass(bed, 2)
        expect(bed.pid() == door, f"the door was restarted by: {fault}")
        bed.until("another service", lambda p=pid: bed.pid("gated-service") not in {0, p}, 120)  # type: ignore[misc]
        bed.ready()
    total, rows = each_release_has_a_row(bed, before, since, 6)
    return (
        f"6 people came, {total} releases, {rows} rows; the door went on, the service "
        "was started anew each time"
    )


# --- storage, devices, clock ------------------------------------------------------------------


@scenario("full disk", f"a file fills the disk of {STATE} while people pass")
def full_disk(bed: Bed) -> str:
    bed.rest()
    before, since = bed.grants(), bed.machine.now()
    bed.machine.run(FILL, 600, check=False)
    try:
        _people_pass(bed, 2)
        code, told = bed.health()
    finally:
        bed.machine.run(f"rm -f {STATE}/../filler {STATE}/../filler2; sync")
    released, rows = each_release_has_a_row(bed, before, since, 2)
    return (
        f"2 people came, {released} releases, `/health` {code} with {problems(told)}; {rows} rows "
        "once there is room"
    )


@scenario(
    "the disk is read-only for a while", "`echo u >/proc/sysrq-trigger`, people pass, mounted anew"
)
def read_only(bed: Bed) -> str:
    bed.rest()
    before, since = bed.grants(), bed.machine.now()
    bed.machine.run("echo u >/proc/sysrq-trigger; sleep 2")
    try:
        _people_pass(bed, 2)
        code, told = bed.health()
    finally:
        bed.machine.run("mount -o remount,rw /")
    released, rows = each_release_has_a_row(bed, before, since, 2)
    return (
        f"2 people came, {released} releases, `/health` {code} with {problems(told)}; {rows} rows "
        "once it is mounted anew"
    )


@scenario(
    "the camera is unplugged and comes back under another number",
    "v4l2loopback unloaded, and loaded as video5 behind the same name",
)
def camera_unplugged(bed: Bed) -> str:
    bed.rest()
    run = bed.machine.run
    cut = bed.machine.now()
    run("systemctl stop machine-feed")
    # its last user closes it when it delivers no picture
    run("for turn in $(seq 300); do modprobe -r v4l2loopback && exit; sleep 0.2; done; exit 1", 90)
    bed.until("the lost camera", lambda: "lost" in bed.journal(cut), 60)
    lost = bed.machine.now() - cut
    code, told = bed.health()
    run("modprobe v4l2loopback video_nr=5 card_label=gate; ln -sfn video5 /dev/gate-camera")
    back = bed.machine.now()
    bed.show("biden")
    bed.until("the camera", lambda: "delivers" in bed.journal(back), 90)
    delivers = bed.machine.now() - back
    opened = bed.opened(back, 90)
    bed.leave()
    return (
        f"lost after {lost:.0f} s, `/health` {code} with {problems(told)}; it delivers "
        f"{delivers:.0f} s after it came back, and the face was let in after {opened:.0f} s, "
        "without a restart"
    )


@scenario("the GPIO chip is unplugged and comes back", "gpio-sim made dead and live again")
def chip_unplugged(bed: Bed) -> str:
    bed.rest()
    gone = bed.machine.now()
    bed.machine.run("echo 0 >/sys/kernel/config/gpio-sim/header/live")
    time.sleep(5)
    code, told = bed.health()
    bed.machine.run("/usr/local/sbin/header.sh")
    back = bed.machine.now()
    bed.until("an exit", lambda: presses(bed), 120)
    took = bed.machine.now() - back
    restarted = (
        "without a restart" if "Started" not in bed.journal(gone) else "after a restart by systemd"
    )
    return (
        f"`/health` {code} with {problems(told)}; the exit button released again {took:.0f} s "
        f"after the chip came back, {restarted}"
    )


@scenario(
    "clock leaps", "`date -s` forward by 400 days and back with the door released, then a face"
)
def clock_leaps(bed: Bed) -> str:
    bed.rest()
    run = bed.machine.run
    true, at = float(run("date +%s.%N")), bed.machine.now()
    lengths = []
    try:
        for leap in ("+400 days", "-800 days", "+400 days"):
            opened = released_by_button(bed)
            run(f"date -s '{leap}'")
            lengths.append(bed.locked(opened))
        before, came = bed.grants(), bed.machine.now()
        bed.show("biden")
        bed.opened(came, 60)
        bed.until("the row", lambda: bed.grants() > before)
        bed.leave()
    finally:
        run(f"date -s @{true + bed.machine.now() - at:.2f}")
    said = ", ".join(f"{length:.2f} s" for length in lengths)
    return f"released for {said}; a face was let in and logged"


# --- the whole machine ------------------------------------------------------------------------


@scenario(
    "the power fails in the middle of a grant", "QEMU's `system_reset` while the relay is energised"
)
def reboot(bed: Bed) -> str:
    bed.rest()
    before, came = bed.grants(), bed.machine.now()
    bed.show("obama2")
    bed.opened(came, 60)
    bed.machine.reset()
    bed.again(400)
    up = bed.machine.now()
    verify = bed.machine.run("gated journal verify", 300, check=False)
    high = [at for at, pin, level in bed.machine.pins(0) if (pin, level) == (RELAY, 1)]
    expect(not high, f"the relay was energised after {high[:1]} s")
    expect("journal" in verify and "BROKEN" not in verify.upper(), verify)
    rows = bed.grants() - before
    return (
        f"ready by itself {up:.0f} s after the kernel's start, the relay locked all the time, "
        f"the log sound; {rows} row of the grant"
    )


@scenario("the kernel hangs", "`echo c >/proc/sysrq-trigger` with panic=0; the watchdog i6300esb")
def kernel_hangs(bed: Bed) -> str:
    bed.rest()
    told = bed.machine.run(
        "systemctl show -p RuntimeWatchdogUSec --value; cat /sys/class/watchdog/watchdog0/identity"
    )
    resets, began = len(bed.machine.resets), time.monotonic()
    bed.machine.run("(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &")
    while "WATCHDOG" not in bed.machine.resets[resets:]:
        expect(time.monotonic() - began < 60 * bed.slow, "the watchdog does not bite")
        time.sleep(0.5)
    bit = time.monotonic() - began
    bed.again(400)
    up = time.monotonic() - began
    high = [at for at, pin, level in bed.machine.pins(0) if (pin, level) == (RELAY, 1)]
    expect(not high, "the relay was energised")
    return (
        f"{' '.join(told.split())}: it bit after {bit:.0f} s; ready by itself after {up:.0f} "
        "s, locked"
    )


# --- updates, the sandbox, single threads -----------------------------------------------------


def version(bed: Bed) -> str:
    return bed.machine.run("dpkg-query -W -f '${Version}' gated").strip()


def updated(bed: Bed, package: str) -> tuple[str, float]:
    """What `gated update` says, and how long the exit button did not answer meanwhile."""
    command = f"gated update --well-for 10 /packages/{package}.deb"
    unit = f"update-{package}"
    bed.machine.run(f"systemd-run --quiet --unit={unit} --remain-after-exit {command}")
    deaf, silent = 0.0, bed.machine.now()
    done = f"systemctl show -p SubState --value {unit}"
    while bed.machine.run(done).strip() == "running":
        if presses(bed):
            deaf, silent = max(deaf, bed.machine.now() - silent), bed.machine.now()
        time.sleep(1)
        expect(bed.machine.now() - silent < 300 * bed.slow, "the door does not come back")
    return bed.journal(0, unit), deaf


@scenario(
    "an update, then one that does not run",
    "`gated update` with both packages; the exit button all the while",
)
def update(bed: Bed) -> str:
    bed.rest()
    old = version(bed)
    said, deaf = updated(bed, "newer")
    expect(version(bed).endswith("+newer"), f"{version(bed)} is in place: {said[-600:]}")
    bed.ready()
    new, rows = version(bed), bed.count("SELECT count(*) FROM persons")
    said, longest = updated(bed, "wrong")
    expect("is in place again" in said, said[-600:])
    expect(version(bed) == new, f"{version(bed)} is in place")
    bed.ready()
    expect(bed.count("SELECT count(*) FROM persons") == rows, "people are missing")
    before, came = bed.grants(), bed.machine.now()
    bed.show("biden")
    bed.opened(came, 60)
    bed.leave()
    bed.until("the row", lambda: bed.grants() > before)
    return (
        f"{old} to {new}, then the broken build, which came back by itself; the exit button "
        f"answered all along, but for {deaf:.0f} s and {longest:.0f} s at most; a face was "
        "let in"
    )


@scenario(
    "the power fails right after an update",
    "`dpkg -i`, and QEMU's `system_reset` once the new program is in place",
)
def power_after_update(bed: Bed) -> str:
    bed.rest()
    began = bed.machine.now()
    bed.machine.run("systemd-run --quiet --unit=installing dpkg -i /packages/newer.deb")
    place = "readlink /opt/gated/bin"
    bed.until("the new program", lambda: "+newer" in bed.machine.run(place), 240)
    took = bed.machine.now() - began
    bed.machine.reset()
    bed.again(400)
    at = bed.machine.run(place).split("/")[1]
    return f"cut {took:.0f} s after its begin; ready by itself with the program {at}, locked"


PROBE = "/usr/local/sbin/probe.py"
SANDBOXED = {
    "gated": {"device camera", "device GPIO", "write to its state"},
    "gated-service": {"IPv4 socket", "IPv6 socket", "write to its state"},
}
"""What a process of each unit can do, of what guest/probe.py tries."""
MOST_EXPOSED = {"gated": 1.5, "gated-service": 2.0}


@scenario(
    "what each unit's process can do",
    "guest/probe.py as the units' program; `systemd-analyze security`",
)
def sandbox(bed: Bed) -> str:
    bed.rest()
    run, said = bed.machine.run, []
    for unit, allowed in SANDBOXED.items():
        run(
            f"sed -e 's|^ExecStart=.*|ExecStart={PYTHON} {PROBE} {STATE}/probe.json|'"
            " -e 's|^Type=.*|Type=oneshot|' -e '/^ExecStopPost/d;/^Restart=/d;/^WatchdogSec/d'"
            f" /usr/lib/systemd/system/{unit}.service >/run/systemd/system/probe.service;"
            " systemctl daemon-reload; systemctl start probe"
        )
        found = json.loads(run(f"cat {STATE}/probe.json; rm {STATE}/probe.json"))
        can = {what for what, how in found.items() if how == "can"}
        expect(can == allowed, f"{unit} can {sorted(can)}")
        held = {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
        status = run(f"cat /proc/{bed.pid(unit)}/status")
        for key, value in held.items():
            expect(f"{key}:\t{value}" in status, f"{unit}: {key} is not {value}")
        rated = run(f"systemd-analyze security --no-pager {unit}", check=False)
        figure = re.search(r"exposure level for .*: ([0-9.]+)", rated)
        expect(figure is not None, rated[-300:])
        assert figure is not None
        expect(float(figure[1]) <= MOST_EXPOSED[unit], f"{unit}: {figure[1]}")
        said.append(
            f"{unit}: {', '.join(sorted(allowed))} and nothing else of {len(found) - len(held)}"
            f" tries, exposure {figure[1]}"
        )
    door = run(f"ls -l /proc/{bed.pid()}/fd; ss -tunlp", check=False)
    expect(f"pid={bed.pid()}," not in door, "the door has a socket of the network")
    files = run(f"ls -l /proc/{bed.pid('gated-service')}/fd")
    devices = set(re.findall(r"-> (/dev/\S+)", files)) - {"/dev/null", "/dev/urandom"}
    expect(not devices, f"the service holds {devices}")
    return "; ".join(said)


def tasks(bed: Bed) -> dict[str, int]:
    """The threads of the door by the names that they have given themselves; `main` among them."""
    pid = bed.pid()
    listed = bed.machine.run(f"cd /proc/{pid}/task && head -qn 1 */comm && ls").split()
    half = len(listed) // 2
    found: dict[str, int] = {"main": pid}
    for name, task in sorted(
        zip(listed[:half], listed[half:], strict=True), key=lambda at: int(at[1])
    ):
        if int(task) != pid:
            found.setdefault(name, int(task))
    return found


NEEDED = ("main", "controller", "inference", "journal")


def hung(bed: Bed, name: str) -> tuple[float, float] | None:
    """Release the door and stop one of its threads.

    Seconds until the process was ended, and from the release to the lock; None when it was not
    ended.
    """
    bed.rest()
    pid = bed.pid()
    freeze = f"python3 /usr/local/sbin/freeze.py {tasks(bed)[name]} {FROZEN_S}"
    bed.machine.run(f"rm -f /run/freezes; systemd-run --quiet --collect {freeze}")
    bed.until(
        "who stops it",
        lambda: bed.machine.run("cd /run; ls freezes", check=False) == "freezes\n",
        20,
    )
    began = opened = released_by_button(bed)
    locked = bed.locked(opened, 120)
    while bed.pid() == pid and bed.machine.now() < began + FROZEN_S + 10:
        time.sleep(1)
    return None if bed.pid() == pid else (bed.machine.now() - began, locked)


@scenario(
    "the thread that ends each release hangs", "guest/freeze.py (ptrace), with the door released"
)
def releasing_thread(bed: Bed) -> str:
    found = hung(bed, "door")
    expect(found is not None, "the process goes on without the thread")
    assert found is not None
    return (
        f"the watchdog ended the process after {found[0]:.0f} s; locked {found[1]:.1f} s after the "
        "release"
    )


@scenario(
    "a single thread of the door hangs",
    "the same with each thread that has a name; emulated, with those that each passage needs",
)
def threads(bed: Bed) -> str:
    bed.rest()
    bites: list[str] = []
    harmless: list[str] = []
    for name in tasks(bed) if bed.machine.accelerated else NEEDED:
        if (found := hung(bed, name)) is None:
            harmless.append(name)
        else:
            bites.append(f"{name}: {found[0]:.0f} s, locked {found[1]:.1f} s after the release")
    spared = f"; not for {', '.join(harmless)}, within {FROZEN_S} s" if harmless else ""
    return f"the watchdog ended the process for {'; '.join(bites)}{spared}"
