"""Tries the gate in a whole machine: `python -m tests.machine [SCENARIO...]`.

Boots a virtual machine with the package of dist/ in it, does to it what can happen above a door,
and writes a table of what the pins did as Markdown and JSON. SCENARIO: words of which one has to be
in the name; all unless given. Exit code 1 when one went wrong.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.machine import faults  # noqa: F401  # its scenarios
from tests.machine.bed import NAMES, Bed
from tests.machine.qemu import Refused, missing, started
from tests.machine.scenarios import SCENARIOS, Scenario

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BOOT_S = 400.0
MOST_CHANGES = 40


@dataclass(frozen=True)
class Result:
    """One row of the table. pins: seconds since the scenario's begin, pin, level."""

    name: str
    how: str
    well: bool
    seen: str
    pins: list[tuple[float, str, int | None]]
    seconds: float


def tried(bed: Bed, scenario: Scenario) -> Result:
    """Do one scenario; whatever goes wrong in it is its result."""
    began, boot = time.monotonic(), bed.boot
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
    return Result(scenario.name, scenario.how, well, seen, pins, round(seconds, 1))


def table(results: list[Result], machine: str) -> str:
    """The results as Markdown: a row for each, then what the pins did."""
    lines = [f"Measured in {machine}.", "", "| fault | how | what the gate did |", "|---|---|---|"]
    for one in results:
        seen = one.seen if one.well else "WRONG: " + " ".join(one.seen.split())
        lines.append(f"| {one.name} | {one.how} | {seen} |")
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
    disk = folder / "disk.img"
    if not disk.exists() or disk.stat().st_mtime < package.stat().st_mtime:
        made = subprocess.run([HERE / "make_machine.sh", folder, package], check=False)
        if made.returncode != 0:
            print("machine: skipped: no machine can be made here")
            return 0
    began = time.monotonic()
    machine, boot = started(folder, BOOT_S)
    results = []
    try:
        bed = Bed(machine, boot)
        kind = "KVM" if machine.accelerated else "an emulated processor"
        print(f"machine: up after {time.monotonic() - began:.0f} s, {kind}", flush=True)
        for scenario in SCENARIOS:
            if words and not any(word in scenario.name for word in words):
                continue
            result = tried(bed, scenario)
            results.append(result)
            print(
                f"{'ok   ' if result.well else 'WRONG'} {result.seconds:5.0f} s"
                f"  {result.name}: {result.seen}",
                flush=True,
            )
    finally:
        machine.stop()
        into.mkdir(exist_ok=True)
        about = f"a virtual machine ({kind}), {time.strftime('%Y-%m-%d')}"
        (into / "machine.md").write_text(table(results, about))
        (into / "machine.json").write_text(json.dumps([asdict(r) for r in results], indent=1))
    wrong = [result.name for result in results if not result.well]
    print(
        f"machine: {len(results) - len(wrong)} of {len(results)} as it should be;"
        f" {into / 'machine.md'}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
