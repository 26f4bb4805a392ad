"""Measures decisions and the relay while operators work with the pages and the API.

Two references are measured in the same run: another program that hashes at the lowest priority,
and two of them. The gate does nothing for these, so that what they cost is the machine's doing:
cores, caches and memory that are shared.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from gated.bench.running import (
    Line,
    Running,
    decision_growth,
    frame_to_decision,
    relay_delays,
    spread,
)
from gated.bench.site import Progress, Site

PASSAGES = 1_000_000
KINDS = {
    "export": f"an export of {PASSAGES:,} rows",
    "sign_ins": "twenty sign-ins at once",
    "watch": "three who watch the camera",
    "import": "an import of 500 photos",
    "beside": "another program that hashes",
    "beside_twice": "two other programs that hash",
}
"""Kinds of `gated.bench.colleague`."""

REFERENCES = frozenset({"beside", "beside_twice"})
"""Work in which the gate has no part."""

TURNS = 2
"""Alternations between alone and loaded, so that other load on the machine affects both."""


def measure_colleagues(site: Site, phase_s: float, progress: Progress) -> list[dict[str, Any]]:
    """Measure decisions and relay alone and during each kind of work, in one run; in ms."""
    progress(f"{PASSAGES:,} passages are written")
    site.add_passages(PASSAGES)
    rows = []
    with Running(site) as gate:
        gate.wait_ready()
        gate.weigh_as_installed()
        gate.collect(2.0)
        for kind, words in KINDS.items():
            alone: list[Line] = []
            busy: list[Line] = []
            for _ in range(TURNS):
                progress(f"walk-ups alone, then during {words}")
                alone += gate.collect(phase_s / TURNS)
                with _colleague(kind, site, phase_s / TURNS):
                    busy += gate.collect(phase_s / TURNS)
                gate.collect(1.0)
            rows.append({"kind": kind, "words": words, **_compared(alone, busy)})
        gate.end()
    return rows


def _compared(alone: Sequence[Line], busy: Sequence[Line]) -> dict[str, Any]:
    before, after = frame_to_decision(alone), frame_to_decision(busy)
    relay_before, relay_after = relay_delays(alone), relay_delays(busy)
    return {
        "decisions": [len(before), len(after)],
        "alone_ms": spread(before),
        "busy_ms": spread(after),
        "growth": decision_growth(before, after),
        "grants": [relay_before["grants"], relay_after["grants"]],
        "relay_alone_ms": relay_before["third_usable_ms"],
        "relay_busy_ms": relay_after["third_usable_ms"],
    }


@contextlib.contextmanager
def _colleague(kind: str, site: Site, seconds: float) -> Iterator[None]:
    module = [sys.executable, "-m", "gated.bench.colleague", kind, str(site.config), str(seconds)]
    with subprocess.Popen(module, stdin=subprocess.PIPE, text=True) as working:  # noqa: S603
        assert working.stdin is not None  # noqa: S101
        working.stdin.write(json.dumps(site.accounts) + "\n")
        working.stdin.close()
        try:
            yield
            if working.poll():
                raise RuntimeError(f"the simulated operator failed: {KINDS[kind]}")
        finally:
            working.kill()
