"""What is done to the gate in the machine, one after another, and what it has to do then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.machine.bed import (
    BOX,
    EXIT,
    FIRE,
    LEAF,
    OTHER_DOOR,
    PHOTO,
    SIREN,
    STRANGER,
    Bed,
)
from tests.machine.qemu import Refused

Act = Callable[[Bed], str]


@dataclass(frozen=True)
class Scenario:
    """name: of the fault. how: what injects it. act: does it, and says what the gate did."""

    name: str
    how: str
    act: Act


SCENARIOS: list[Scenario] = []


def scenario(name: str, how: str) -> Callable[[Act], Act]:
    """Add a scenario to the run, in the order of this file."""

    def add(act: Act) -> Act:
        SCENARIOS.append(Scenario(name, how, act))
        return act

    return add


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(otherwise)


# --- a gate at work ---------------------------------------------------------------------------


@scenario("from boot to a grant by a face", "switched on; a photo before the virtual camera")
def boots_and_grants(bed: Bed) -> str:
    bed.rest()
    up = bed.machine.now()
    if bed.count("SELECT count(*) FROM persons") == 0:
        for who in ("obama", "biden"):
            bed.machine.run(f"gated enroll E-{who} {PHOTO.format(who)} --first-name {who}", 600)
    before, since = bed.grants(), bed.machine.now()
    bed.show("obama2")
    opened = bed.opened(since, 60)
    locked = bed.locked(since + opened)
    bed.until("the row of the grant", lambda: bed.grants() > before)
    bed.leave()
    return (
        f"ready {up:.0f} s after the kernel's start; released {opened:.2f} s after the face "
        f"came, for {locked:.2f} s; one row"
    )


@scenario("somebody whom it does not know", "another photo before the camera")
def refuses_a_stranger(bed: Bed) -> str:
    bed.rest()
    before, since = bed.grants(), bed.machine.now()
    bed.show(STRANGER)
    denied = "SELECT count(*) FROM attendance_logs WHERE status = 'denied'"
    known = bed.count(denied)
    bed.until("the refusal", lambda: bed.count(denied) > known)
    bed.stays_locked(since, 2)
    expect(bed.grants() == before, "a stranger is let in")
    bed.leave()
    return "locked; the refusal is in the log"


@scenario("exit button", "GPIO 22 to ground for 0.2 s")
def exit_button(bed: Bed) -> str:
    bed.rest()
    since = bed.machine.pull(EXIT, 0)
    opened = bed.opened(since)
    bed.machine.pull(EXIT, 1)
    locked = bed.locked(since + opened)
    return f"released after {opened:.2f} s, for {locked:.2f} s"


@scenario("the leaf is shut again", "exit button, then GPIO 27 open and closed")
def contact(bed: Bed) -> str:
    bed.rest()
    since = bed.machine.pull(EXIT, 0)
    opened = bed.opened(since)
    bed.machine.pull(EXIT, 1)
    bed.machine.pull(LEAF, 1)
    time.sleep(0.3)
    shut = bed.machine.pull(LEAF, 0)
    relocked = bed.locked(shut)
    expect(relocked < 3.5, "it waits for the end of the release")
    expect(bed.recorded("door_forced", since) == 0, "a false alarm")
    return f"released after {opened:.2f} s, locked {relocked:.2f} s after the leaf was shut"


@scenario("forced open", "GPIO 27 open, nobody was let in")
def forced(bed: Bed) -> str:
    bed.rest()
    since = bed.machine.pull(LEAF, 1)
    sounded = bed.machine.wait(SIREN, 1, since, 20 * bed.slow)
    expect(sounded is not None, "no siren")
    bed.until("the alarm", lambda: bed.recorded("door_forced", since) == 1)
    bed.machine.pull(LEAF, 0)
    bed.stays_locked(since, 1)
    return f"siren after {(sounded or since) - since:.2f} s; `door_forced`; locked"


@scenario("held open", "exit button, leaf open for longer than `held_open_s`")
def held(bed: Bed) -> str:
    bed.rest()
    since = bed.machine.pull(EXIT, 0)
    bed.opened(since)
    bed.machine.pull(EXIT, 1)
    bed.machine.pull(LEAF, 1)
    bed.until("the warning", lambda: bed.recorded("door_held_warning", since) == 1)
    bed.until("the alarm", lambda: bed.recorded("door_held_open", since) == 1)
    locked = bed.locked(since + 0.5)
    bed.machine.pull(LEAF, 0)
    return (
        f"locked {locked + 0.5:.2f} s after the button; `door_held_warning`, then `door_held_open`"
    )


@scenario("box opened", "GPIO 24 open")
def tamper(bed: Bed) -> str:
    bed.rest()
    since = bed.machine.pull(BOX, 1)
    bed.until("the alarm", lambda: bed.recorded("door_tamper", since) == 1)
    bed.stays_locked(since, 1)
    bed.machine.pull(BOX, 0)
    return "`door_tamper`; locked"


@scenario("the mantrap's other door is open", "GPIO 25 open; a known face")
def interlock(bed: Bed) -> str:
    bed.rest()
    bed.machine.pull(OTHER_DOOR, 1)
    time.sleep(1)
    before, since = bed.grants(), bed.machine.now()
    bed.show("biden")
    bed.stays_locked(since, 6)
    expect(bed.grants() == before, "somebody is let in")
    pressed = bed.machine.pull(EXIT, 0)
    opened = bed.opened(pressed)
    bed.machine.pull(EXIT, 1)
    bed.locked(pressed + opened)
    bed.leave()
    bed.machine.pull(OTHER_DOOR, 0)
    return f"locked for the face; the exit button released after {opened:.2f} s"


@scenario("lockdown", "`gated door mode lockdown`; a known face, the exit button, a restart")
def lockdown(bed: Bed) -> str:
    bed.rest()
    bed.machine.run("gated door mode lockdown --reason trial")
    before, since = bed.grants(), bed.machine.now()
    bed.show("biden")
    bed.stays_locked(since, 6)
    bed.leave()
    pressed = bed.machine.pull(EXIT, 0)
    opened = bed.opened(pressed)
    bed.machine.pull(EXIT, 1)
    bed.locked(pressed + opened)
    bed.restart()
    again = bed.machine.now()
    bed.show("biden")
    bed.stays_locked(again, 6)
    bed.leave()
    expect(bed.grants() == before, "somebody is let in")
    bed.machine.run("gated door mode normal --reason trial")
    since = bed.machine.now()
    bed.show("biden")
    bed.opened(since, 60)
    bed.leave()
    return (
        f"locked for faces, also after a restart; the exit button released after {opened:.2f} "
        "s; normal again: released"
    )


@scenario("fire", "GPIO 23 open, closed, `gated door reset-fire`")
def fire(bed: Bed) -> str:
    bed.rest()
    since = bed.machine.pull(FIRE, 1)
    opened = bed.opened(since)
    time.sleep(6 * min(bed.slow, 3.0))
    expect(bed.relay() == 1, "the release ended by itself")
    bed.machine.pull(FIRE, 0)
    time.sleep(2)
    expect(bed.relay() == 1, "the release ended with the alarm")
    reset = bed.machine.now()
    bed.machine.run("gated door reset-fire --reason trial")
    locked = bed.locked(reset)
    return (
        f"released after {opened:.2f} s and held over the alarm's end; locked {locked:.2f} s "
        "after the reset"
    )
