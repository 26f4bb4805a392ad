"""Measures this machine: the gate beside face_recognition, and the whole daemon, in one run.

`gated bench` or `make bench`; about nine minutes. Other load on the machine affects the figures.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2

from gated.bench.baseline import Baseline
from gated.bench.colleagues import measure_colleagues
from gated.bench.crowd import PEOPLE, measure_crowd
from gated.bench.identify import measure_identification
from gated.bench.lane import LANES, lane, measure_lane, queue_of
from gated.bench.log import measure_log
from gated.bench.machine import describe_machine
from gated.bench.report import print_markdown, print_report, targets_of
from gated.bench.running import (
    measure_limited,
    measure_relay_and_load,
    measure_start,
    measure_still,
    measure_throughput,
)
from gated.bench.site import Progress, Site, brisk_walk_ups, film, has_liveness, nobody
from gated.bench.stages import measure_stages
from gated.bench.strangers import measure_strangers
from gated.bench.walkups import measure_walkups, walker_kit
from gated.enrollment.models import VisionKit
from gated.vision.assets import AssetStore

__all__ = ["measure_daemon", "measure_vision", "print_markdown", "print_report", "run_bench"]

TEMPLATES = 10_000
FRACTIONS = (1 / 3, 1 / 9)
"""Shares of one core of the machine in the documentation, about as fast as one core of a Raspberry
Pi 5 and of a Pi 4 (docs/speed.md)."""


def run_bench(progress: Progress = lambda _: None) -> dict[str, Any]:
    """Measure everything with the assets of this installation; times in ms.

    ratio_one_thread, ratio_two_threads: time of face_recognition on every frame, divided by that of
    the mean frame of the walk-ups. targets: the targets, and whether they are met. Without the set
    pad liveness is left out, and `liveness` is false. Raises: AssetError without the sets default,
    demo, dlib or the module dlib.
    """
    assets = AssetStore([Path(sys.prefix) / "share" / "gated" / "models"])
    vision = measure_vision(assets, progress)
    liveness = has_liveness(assets)
    result = {
        "machine": describe_machine(),
        "liveness": liveness,
        **vision,
        "log": measure_log(progress),
        **measure_daemon(assets, progress),
    }
    return {**result, "targets": targets_of(result)}


def measure_vision(
    assets: AssetStore, progress: Progress, repeats: int = 15, stride: int = 2
) -> dict[str, Any]:
    """Measure stages, walk-ups and 1:N. Restores OpenCV's number of threads."""
    before = cv2.getNumThreads()
    try:
        baseline = Baseline(assets)
        progress("one frame, stage by stage")
        stages = measure_stages(assets, baseline, repeats)
        walkups = measure_walkups(assets, baseline, progress, stride)
        progress("one face against many")
        identification = measure_identification(repeats)
    finally:
        cv2.setNumThreads(before)
    return {
        "ratio_one_thread": walkups["1"]["ratio"],
        "ratio_two_threads": walkups["2"]["ratio"],
        "stages": stages,
        "walkups": walkups,
        "identification": identification,
    }


def measure_daemon(
    assets: AssetStore,
    progress: Progress,
    phase_s: float = 18.0,
    phases: int = 2,
    people: int = PEOPLE,
) -> dict[str, Any]:
    """Measure start, memory, relay, API load, throughput, a still scene, and smaller machines."""
    with TemporaryDirectory() as name, walker_kit(assets, 2) as kit:
        folder = Path(name)
        walking = {"source": str(film(brisk_walk_ups(kit), folder / "walk.avi"))}
        empty = {"source": str(film(nobody(kit), folder / "nobody.avi"))}
        crowd = Site(folder / "crowd", assets, walking)
        crowd.add_templates(kit, TEMPLATES)
        few = Site(folder / "few", assets, walking)
        few.enroll_walkers(kit)
        few.add_people(200)
        slow = Site(folder / "slow", assets, walking, threads=1)
        slow.enroll_walkers(kit)
        progress(f"start with {TEMPLATES} templates")
        start = measure_start(crowd, 2)
        measured = measure_relay_and_load(few, phase_s, phases, progress)
        strangers = measure_strangers(few, phase_s, progress)
        colleagues = measure_colleagues(few, phase_s, progress)
        progress(f"{people} people inside and out")
        (folder / "people").mkdir()
        crowded = measure_crowd(folder / "people", people)
        progress("as many frames a second as it can")
        rush = film(brisk_walk_ups(kit), folder / "rush.avi", fps=150)
        fast = Site(folder / "fast", assets, {"source": str(rush)})
        throughput = measure_throughput(fast, 5.0)
        progress("nothing moves")
        still = measure_still(Site(folder / "still", assets, empty), 8.0)
        less = []
        for fraction in FRACTIONS:
            progress(f"with {fraction:.0%} of one core")
            less.append(measure_limited(slow, fraction, 15.0))
        lanes = measure_lanes(assets, kit, folder, progress)
    return {
        "start": start,
        **measured,
        "strangers": strangers,
        "colleagues": colleagues,
        "crowd": crowded,
        "frames_per_second": throughput,
        "still_cpu": still,
        "less_machine": less,
        "lanes": lanes,
    }


def measure_lanes(
    assets: AssetStore, kit: VisionKit, folder: Path, progress: Progress, seconds: float = 30.0
) -> list[dict[str, Any]]:
    """Measure shift changes, each at its pace and on its machine."""
    portraits, vectors = queue_of(kit, assets)
    rows = []
    for number, wanted in enumerate(LANES):
        progress(f"{wanted.per_minute} people a minute, {wanted.fraction:.0%} of one core")
        source = film(lane(portraits, wanted.pace), folder / f"lane-{number}.avi")
        site = Site(folder / f"lane-{number}", assets, {"source": str(source)}, threads=1)
        site.add_vectors(kit, vectors)
        rows.append(measure_lane(site, wanted, len(portraits), seconds))
    return rows
