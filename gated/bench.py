"""The recognition pipeline beside face_recognition's, in one run on this machine.

One 640x480 frame with one face. Both pipelines take turns, so that a busy machine slows both; the
figures are medians. Liveness is left out: face_recognition has none. Run with
`python -m gated.bench` or `make bench`.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from gated.config import VisionSettings, Zone
from gated.core.model import Attention, Image
from gated.core.tracking import Tracker
from gated.errors import AssetError
from gated.ports import Frame
from gated.vision import manifest
from gated.vision.analyzer import Analyzer
from gated.vision.assets import AssetStore
from gated.vision.decoding import decode
from gated.vision.factory import Models, build_models

REQUIRED_RATIO = 6.0
"""So many times faster than face_recognition with one thread, or the benchmark fails."""

EMBEDDED_FRAMES = 5
"""Of one visit, in the figure for the whole daemon."""

VISIT_FRAMES = 30
EMPTY_FRAMES = 30

Stages = dict[str, float]
Pipeline = Callable[[Image], Stages]


def run_bench(assets: AssetStore | None = None, repeats: int = 15) -> dict[str, Any]:
    """Measure both pipelines with one and with two threads; times in ms, medians of `repeats`.

    Keys: `threads` -> "1" | "2" -> {gated, face_recognition: stages and total; ratio; daemon_ms},
    and ratio_one_thread, ratio_two_threads, ratio_daemon. AssetError without the assets (sets
    default, demo, dlib; of this installation unless given) or the module dlib. Leaves OpenCV's
    number of threads as it was.
    """
    assets = assets or AssetStore([Path(sys.prefix) / "share" / "gated" / "models"])
    frame = sample_frame(assets)
    theirs = face_recognition_pipeline(assets)
    before = cv2.getNumThreads()
    threads = {}
    try:
        for number in (1, 2):
            models = build_models(VisionSettings(threads=number), assets)
            threads[str(number)] = _side_by_side(models, theirs, frame, repeats)
    finally:
        cv2.setNumThreads(before)
    return {
        "opencv": cv2.__version__,
        "repeats": repeats,
        "threads": threads,
        "ratio_one_thread": threads["1"]["ratio"],
        "ratio_two_threads": threads["2"]["ratio"],
        "ratio_daemon": threads["1"]["face_recognition"]["total"] / threads["1"]["daemon_ms"],
    }


def sample_frame(assets: AssetStore) -> Image:
    """(480, 640, 3) BGR: one demo portrait, as large as somebody at the gate."""
    portrait = decode(assets.read("obama.jpg"))
    scale = 480 / portrait.shape[0]
    person = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame = np.full((480, 640, 3), 96, np.uint8)
    left = (640 - person.shape[1]) // 2
    frame[:, left : left + person.shape[1]] = person
    return frame


def gated_pipeline(models: Models) -> Pipeline:
    """Detection, alignment (with its closer look) and embedding of the frame's best face."""

    def run(frame: Image) -> Stages:
        start = time.perf_counter()
        (face, *_) = models.detector.detect(frame)
        detected = time.perf_counter()
        chip = models.embedder.align(frame, models.look_closer(frame, face))
        aligned = time.perf_counter()
        models.embedder.embed_chip(chip)
        return _stages(start, detected, aligned, time.perf_counter())

    return run


def face_recognition_pipeline(assets: AssetStore) -> Pipeline:
    """What face_recognition 1.3 does in its examples: HOG with one upsampling, 5-point, ResNet."""
    try:
        import dlib
    except ImportError:
        raise AssetError("the benchmark needs the module dlib: install the extra `dlib`") from None
    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(str(assets.path(manifest.DLIB_LANDMARKS)))
    network = dlib.face_recognition_model_v1(str(assets.path(manifest.DLIB_RESNET)))

    def run(frame: Image) -> Stages:
        rgb = np.ascontiguousarray(frame[:, :, ::-1])
        start = time.perf_counter()
        (box, *_) = detector(rgb, 1)
        detected = time.perf_counter()
        landmarks = predictor(rgb, box)
        aligned = time.perf_counter()
        network.compute_face_descriptor(rgb, landmarks)
        return _stages(start, detected, aligned, time.perf_counter())

    return run


def print_report(result: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the figures as a table."""
    console = console or Console()
    table = Table(title="one known face, 640x480, medians in ms")
    for name in ("threads", "pipeline", "detect", "align", "embed", "total", "ratio"):
        table.add_column(name, justify="left" if name == "pipeline" else "right")
    for number, row in result["threads"].items():
        for name in ("face_recognition", "gated"):
            times = [f"{row[name][s]:.1f}" for s in ("detect", "align", "embed", "total")]
            ratio = f"{row['ratio']:.1f}x" if name == "gated" else ""
            table.add_row(number, name, *times, ratio)
        mean = f"{row['daemon_ms']:.1f}"
        ratio = row["face_recognition"]["total"] / row["daemon_ms"]
        table.add_row(number, "gated, mean of a visit", "", "", "", mean, f"{ratio:.1f}x")
    console.print(table)
    console.print(
        f"The last line: {EMPTY_FRAMES} frames of a still scene, {VISIT_FRAMES} with a face, "
        f"{EMBEDDED_FRAMES} of them embedded. OpenCV {result['opencv']}; liveness left out."
    )


def _side_by_side(models: Models, theirs: Pipeline, frame: Image, repeats: int) -> dict[str, Any]:
    ours = gated_pipeline(models)
    ours(frame)
    theirs(frame)
    runs: dict[str, list[Stages]] = {"gated": [], "face_recognition": []}
    for _ in range(repeats):
        runs["gated"].append(ours(frame))
        runs["face_recognition"].append(theirs(frame))
    medians: dict[str, Any] = {
        name: {stage: statistics.median(s[stage] for s in stages) for stage in stages[0]}
        for name, stages in runs.items()
    }
    ratio = medians["face_recognition"]["total"] / medians["gated"]["total"]
    return {**medians, "ratio": ratio, "daemon_ms": _daemon_ms(models, frame)}


def _daemon_ms(models: Models, frame: Image) -> float:
    """Mean time of a frame of a whole visit at 15 frames a second."""
    analyzer = Analyzer(models, Tracker(), VisionSettings(), Zone())
    empty = np.full_like(frame, 96)
    spent = 0.0
    for number in range(EMPTY_FRAMES + VISIT_FRAMES):
        there = number - EMPTY_FRAMES
        attention = Attention(settled=frozenset({1}) if there >= EMBEDDED_FRAMES else frozenset())
        picture = Frame(empty if there < 0 else frame, number / 15, number)
        start = time.perf_counter()
        analyzer.analyse(picture, attention)
        spent += time.perf_counter() - start
    return spent * 1e3 / (EMPTY_FRAMES + VISIT_FRAMES)


def _stages(start: float, detected: float, aligned: float, embedded: float) -> Stages:
    return {
        "detect": (detected - start) * 1e3,
        "align": (aligned - detected) * 1e3,
        "embed": (embedded - aligned) * 1e3,
        "total": (embedded - start) * 1e3,
    }


def main() -> int:
    """Measure with the installed assets; 1 when the required ratio is missed."""
    result = run_bench()
    print_report(result)
    return int(result["ratio_one_thread"] < REQUIRED_RATIO)


if __name__ == "__main__":
    sys.exit(main())
