"""A gate in a virtual machine: what can be done to it, and what can be seen of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

from tests.machine.qemu import SLOWER, Machine, Refused

EXIT, FIRE, BOX, OTHER_DOOR, LEAF = 22, 23, 24, 25, 27
RELAY, SIREN = 17, 5
NAMES = {
    EXIT: "exit button",
    FIRE: "fire loop",
    BOX: "box",
    OTHER_DOOR: "other door",
    LEAF: "leaf",
    RELAY: "RELAY",
    SIREN: "siren",
}
PHOTO = "/usr/lib/gated/models/{}.jpg"
STRANGER = PHOTO.format("t1") + " 15 205 195 250"
"""One of the six people in that photo."""
STATE = "/var/lib/gated"
PYTHON = "/usr/bin/python3"
SQL = (
    "import json, sqlite3, sys\n"
    f"db = sqlite3.connect('file:{STATE}/attendance.db?mode=ro', uri=True, timeout=20)\n"
    "print(json.dumps(db.execute(sys.argv[1]).fetchall()))\n"
)
ASK = (
    "import json, ssl, sys, urllib.error, urllib.request\n"
    f"trusting = ssl.create_default_context(cafile='{STATE}/keys/tls.crt')\n"
    "try:\n"
    "    address = 'https://127.0.0.1:8000' + sys.argv[1]\n"
    "    with urllib.request.urlopen(address, context=trusting, timeout=20) as answer:\n"
    "        print(answer.status, answer.read().decode())\n"
    "except urllib.error.HTTPError as error:\n"
    "    print(error.code, error.read().decode())\n"
    "except OSError as error:\n"
    "    print(0, json.dumps(str(error)))\n"
)


class Bed:
    """The gate in the machine."""

    def __init__(self, machine: Machine, boot: str) -> None:
        self.machine = machine
        self.boot = boot
        self.slow = 1.0 if machine.accelerated else float(SLOWER)
        """Emulated, everything takes so many times longer."""
        self.began = 0.0
        """When the scenario found all at rest, on the machine's clock."""
        self._put_helpers()

    # --- what can be done ---------------------------------------------------------------------

    def show(self, who: str) -> None:
        """Let somebody stand before the camera; empty: nobody."""
        self.machine.put("/run/shown", (PHOTO.format(who) if who.isalnum() else who).encode())
        self.machine.run("systemctl start machine-feed")

    def leave(self) -> None:
        """Let nobody stand before the camera, long enough for the visit to end."""
        self.machine.put("/run/shown", b"")
        time.sleep(4 * min(self.slow, 3.0))

    def rest(self) -> None:
        """Put every input to rest, and wait for a locked door of a gate that is ready."""
        m = self.machine
        m.put("/run/shown", b"")
        m.pull(EXIT, 1)
        for pin in (FIRE, BOX, OTHER_DOOR, LEAF):
            m.pull(pin, 0)
        self.ready()
        self.until("the relay at rest", lambda: self.relay() == 0)
        self.began = self.machine.now()

    def ready(self, *units: str, timeout: float = 120.0) -> None:
        """Wait until these units are up; the door unless given."""
        units = units or ("gated",)
        up = f"systemctl is-active {' '.join(units)} | sort -u"
        self.until(
            " and ".join(units), lambda: self.machine.run(up, check=False) == "active\n", timeout
        )

    def again(self, timeout: float) -> None:
        """Wait for the machine after it was started anew, and for a gate that is ready."""
        self.boot = self.machine.wait_up(timeout, self.boot)
        self._put_helpers()
        self.rest()

    def go_back(self, snapshot: str) -> None:
        """Let the machine be as it was when the snapshot was taken."""
        self.boot = self.machine.load(snapshot)
        self._put_helpers()

    def _put_helpers(self) -> None:
        for name, text in (("sql", SQL), ("ask", ASK)):
            self.machine.put(f"/run/{name}.py", text.encode())

    def restart(self) -> None:
        """Start the door anew, as an operator does."""
        self.machine.run("systemctl restart gated", 240)
        self.ready()

    # --- what can be seen ---------------------------------------------------------------------

    def relay(self) -> int | None:
        """The level of the relay's pin now; 1 energises the strike: unlocked."""
        return self._level(RELAY)

    def siren(self) -> int | None:
        return self._level(SIREN)

    def _level(self, pin: int) -> int | None:
        text = self.machine.run(f"cat /run/header/sim_gpio{pin}/value", check=False).strip()
        return int(text) if text.isdigit() else None

    def opened(self, since: float, timeout: float = 30.0) -> float:
        """Seconds from `since` to the relay's release; Refused when it stays locked."""
        at = self.machine.wait(RELAY, 1, since, timeout * self.slow)
        if at is None:
            raise Refused("the relay stays locked")
        return at - since

    def locked(self, since: float, timeout: float = 30.0) -> float:
        """Seconds from `since` to the relay's lock; Refused when it stays released."""
        at = self.machine.wait(RELAY, 0, since, timeout * self.slow)
        if at is None:
            raise Refused("the relay stays released")
        return at - since

    def stays_locked(self, since: float, seconds: float) -> None:
        """Refused when the relay moves within so long."""
        if self.machine.wait(RELAY, 1, since, seconds * self.slow) is not None:
            raise Refused("the relay was released")

    def sql(self, query: str) -> list[list[Any]]:
        """Rows of the gate's database, read only."""
        said = self.machine.run(f"python3 /run/sql.py {_quoted(query)}")
        rows: list[list[Any]] = json.loads(said)
        return rows

    def count(self, query: str) -> int:
        return int(self.sql(query)[0][0])

    def grants(self) -> int:
        """Passages that were granted so far, used or not."""
        return self.count("SELECT count(*) FROM attendance_logs WHERE status LIKE 'granted%'")

    def recorded(self, kind: str, since: float) -> int:
        """How many rows of that kind the log has since then (of this boot)."""
        return self.count(
            "SELECT count(*) FROM journal WHERE"  # noqa: S608
            f" kind = '{kind}' AND mono_ns >= {int(since * 1e9)} AND boot_id = '{self.boot}'"
        )

    def health(self, path: str = "/health") -> tuple[int, dict[str, Any]]:
        """The code and the answer of the gate's health page."""
        code, _, body = self.machine.run(f"python3 /run/ask.py {path}").partition(" ")
        told = json.loads(body)
        return int(code), told if isinstance(told, dict) else {"error": told}

    def journal(self, since: float, unit: str = "gated") -> str:
        """What a unit has logged since then."""
        command = f"journalctl --no-pager --boot --output short-monotonic --lines 300 --unit {unit}"
        lines = self.machine.run(command, check=False).splitlines()
        stamped = [(re.match(r"\[ *([0-9.]+)\]", line), line) for line in lines]
        return "\n".join(line for at, line in stamped if at and float(at[1]) >= since)

    def pid(self, unit: str = "gated") -> int:
        return int(self.machine.run(f"systemctl show -p MainPID --value {unit}"))

    def until(self, what: str, holds: Callable[[], bool], timeout: float = 60.0) -> float:
        """Wait until it holds; how many seconds that took outside. Refused when it does not."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > timeout * self.slow:
                raise Refused(f"not within {timeout * self.slow:.0f} s: {what}")
            time.sleep(0.2)
        return time.monotonic() - began


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
