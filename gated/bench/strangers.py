"""Measures decisions and memory under attacks over the network."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from gated.bench.running import Running, decision_growth, frame_to_decision, spread
from gated.bench.site import Progress, Site

KINDS = ("large bodies", "bodies that do not end", "silent connections")
"""Kinds of `gated.bench.attacker`."""


def measure_strangers(site: Site, phase_s: float, progress: Progress) -> list[dict[str, Any]]:
    """Measure decisions alone and under each kind of attack, and the peak memory, in one run."""
    rows = []
    with Running(site) as gate:
        gate.wait_ready()
        gate.weigh_as_installed()
        gate.collect(2.0)
        for kind in KINDS:
            progress(f"strangers: {kind}")
            alone = gate.collect(phase_s)
            memory = 0.0
            with _attacker(kind, site.address, phase_s):
                attacked = []
                for _ in range(10):
                    attacked += gate.collect(phase_s / 10)
                    memory = max(memory, gate.resident_mb)
            before, after = frame_to_decision(alone), frame_to_decision(attacked)
            rows.append(
                {
                    "kind": kind,
                    "decisions": [len(before), len(after)],
                    "alone_ms": spread(before),
                    "attacked_ms": spread(after),
                    "growth": decision_growth(before, after),
                    "resident_mb": memory,
                }
            )
            gate.collect(1.0)
        gate.end()
    return rows


@contextlib.contextmanager
def _attacker(kind: str, address: str, seconds: float) -> Iterator[None]:
    place = urlsplit(address)
    module = [sys.executable, "-m", "gated.bench.attacker"]
    who = [kind, str(place.hostname), str(place.port), str(seconds)]
    with subprocess.Popen([*module, *who]) as attacker:  # noqa: S603 - our own program
        try:
            yield
        finally:
            attacker.kill()
