"""Tries the gate in a whole machine: `python -m tests.machine [SCENARIO...]`.

Boots a virtual machine with the package of dist/ in it, does to it what can happen above a door,
and writes a table of what the pins did as Markdown and JSON. SCENARIO: words of which one has to be
in the name; all unless given. Each scenario begins from the same snapshot: booted, people enrolled,
all at rest. The rows of scenarios that are not run stay as an earlier run has left them. Exit code
1 when one went wrong.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.machine import faults  # noqa: F401  # its scenarios
from tests.machine.bed import NAMES, Bed
from tests.machine.qemu import DISK, Refused, missing, started
from tests.machine.scenarios import SCENARIOS, Scenario

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BOOT_S = 400.0
MOST_CHANGES = 40
REST = "rested"
"""The snapshot from which each scenario begins."""
FIRST = SCENARIOS[0]
"""Boots and enrols; ends where the snapshot is taken."""


@dataclass(frozen=True)
class Result:
    """One row of the table. pins: seconds since the scenario's begin, pin, level.

    where: the kind of processor. day: ISO date of the run.
    """

    name: str
    how: str
    well: bool
    seen: str
    pins: list[tuple[float, str, int | None]]
    seconds: float
    where: str = ""
    day: str = ""


def tried(bed: Bed, scenario: Scenario) -> Result:
    """Do one scenario; whatever goes wrong in it is its result."""
    began, boot = time.monotonic(), bed.boot
    where = "KVM" if bed.machine.accelerated else "emulated"
    bed.began = bed.machine.now()
    try:
        seen, well = scenario.act(bed), True
    except Refused as error:
        seen, well = str(error), False
    seconds = time.monotonic() - began
    try:
        # a machine that was started anew has forgotten what its pins did before
        changes = bed.machine.pins(bed.began if bed.boot == boot else 0.0)
    except Refused:
        changes = []
    pins = [
        (round(at - (bed.began if bed.boot == boot else 0.0), 3), NAMES[pin], level)
        for at, pin, level in changes
    ]
    day = time.strftime("%Y-%m-%d")
    return Result(scenario.name, scenario.how, well, seen, pins, round(seconds, 1), where, day)


def merged(earlier: list[Result], later: list[Result]) -> list[Result]:
    """The rows of two runs, the later for the earlier, wrong ones first, then in their order."""
    order = {scenario.name: number for number, scenario in enumerate(SCENARIOS)}
    rows = {one.name: one for one in (*earlier, *later) if one.name in order}
    return sorted(rows.values(), key=lambda one: (one.well, order[one.name]))


def table(results: list[Result]) -> str:
    """The results as Markdown: a row for each, then what the pins did."""
    lines = ["| fault | how | what the gate did | measured |", "|---|---|---|---|"]
    for one in results:
        seen = one.seen if one.well else "WRONG: " + " ".join(one.seen.split()).replace("|", "/")
        lines.append(f"| {one.name} | {one.how} | {seen} | {one.day}, {one.where} |")
    lines += ["", "| fault | pins: seconds, pin, level |", "|---|---|"]
    for one in results:
        steps = [f"{at:.2f} {pin} {'gone' if up is None else up}" for at, pin, up in one.pins]
        more = ["..."] if len(steps) > MOST_CHANGES else []
        lines.append(f"| {one.name} | {' · '.join(steps[:MOST_CHANGES] + more)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Make the machine unless it is there, try everything, write the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine", description=__doc__)
    parser.add_argument("scenario", nargs="*")
    parser.add_argument("--folder", type=Path, help="keep the machine here, for the next time")
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="where the table goes")
    given = parser.parse_args()
    # the machine ends with its runner
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    packages = sorted(ROOT.glob("dist/gated_*.deb"), key=lambda file: file.stat().st_mtime)
    if why := missing() or ("" if packages else "there is no package in dist/: make deb"):
        print(f"machine: skipped: {why}")
        return 0
    folder = given.folder or Path(tempfile.mkdtemp(prefix="gated-machine-"))
    try:
        return _try_all(folder, packages[-1], given.scenario, given.into)
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def _try_all(folder: Path, package: Path, words: list[str], into: Path) -> int:
    disk = folder / DISK
    if not disk.exists() or disk.stat().st_mtime < package.stat().st_mtime:
        made = subprocess.run([HERE / "make_machine.sh", folder, package], check=False)
        if made.returncode != 0:
            print("machine: skipped: no machine can be made here")
            return 0
    chosen = [s for s in SCENARIOS if not words or any(word in s.name for word in words)]
    rested = folder / "rested"
    if FIRST in chosen or not rested.exists() or rested.stat().st_mtime < disk.stat().st_mtime:
        rested.unlink(missing_ok=True)
        chosen = [FIRST, *(scenario for scenario in chosen if scenario is not FIRST)]
    began = time.monotonic()
    machine, boot = started(folder, BOOT_S, REST if rested.exists() else "")
    results = []
    try:
        bed = Bed(machine, boot)
        kind = "KVM" if machine.accelerated else "an emulated processor"
        print(f"machine: up after {time.monotonic() - began:.0f} s, {kind}", flush=True)
        for scenario in chosen:
            if rested.exists():
                bed.go_back(REST)
            results.append(tried(bed, scenario))
            report(results[-1], into)
            if scenario is FIRST and results[-1].well:
                bed.rest()
                machine.save(REST)
                rested.touch()
    finally:
        machine.stop()
    wrong = [result.name for result in results if not result.well]
    print(
        f"machine: {len(results) - len(wrong)} of {len(results)} as it should be;"
        f" {into / 'machine.md'}"
    )
    return 1 if wrong else 0


def report(result: Result, into: Path) -> None:
    """Print a row, and put it into the table, in the place of what an earlier run has seen."""
    print(
        f"{'ok   ' if result.well else 'WRONG'} {result.seconds:5.0f} s"
        f"  {result.name}: {result.seen}",
        flush=True,
    )
    into.mkdir(exist_ok=True)
    kept = into / "machine.json"
    rows = json.loads(kept.read_text()) if kept.exists() else []
    results = merged([Result(**row) for row in rows], [result])
    kept.write_text(json.dumps([asdict(row) for row in results], indent=1))
    (into / "machine.md").write_text(table(results))


if __name__ == "__main__":
    sys.exit(main())
