"""Measures one frame through both pipelines, by stage.

One 640x480 frame with one face. Both pipelines alternate, so that other load affects both; the
figures are medians. Liveness is separate, as face_recognition has none.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from gated.bench.baseline import Baseline
from gated.bench.site import has_liveness
from gated.config import VisionSettings
from gated.core.values import Image
from gated.vision.assets import AssetStore
from gated.vision.decoding import decode
from gated.vision.factory import Models, build_models

Stages = dict[str, float]
Pipeline = Callable[[Image], Stages]


def measure_stages(assets: AssetStore, baseline: Baseline, repeats: int) -> dict[str, Any]:
    """Return {gated, face_recognition: ms by stage and total; ratio} by threads, "1" and "2"."""
    frame = sample_frame(assets)
    measured = {}
    for number in (1, 2):
        models = build_models(VisionSettings(threads=number), assets, pad=has_liveness(assets))
        measured[str(number)] = _side_by_side(
            gated_pipeline(models), baseline.stages, frame, repeats
        )
    return measured


def sample_frame(assets: AssetStore) -> Image:
    """Return (480, 640, 3) BGR with one demo portrait, as large as a person at the gate."""
    portrait = decode(assets.read("obama.jpg"))
    scale = 480 / portrait.shape[0]
    person = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame = np.full((480, 640, 3), 96, np.uint8)
    left = (640 - person.shape[1]) // 2
    frame[:, left : left + person.shape[1]] = person
    return frame


def gated_pipeline(models: Models) -> Pipeline:
    """Return a pipeline: detection, refined landmarks, alignment, embedding and liveness.

    The total is without liveness.
    """

    def run(frame: Image) -> Stages:
        start = time.perf_counter()
        (face, *_) = models.detector.detect(frame)
        detected = time.perf_counter()
        face = models.look_closer(frame, face)
        chip = models.embedder.align(frame, face)
        aligned = time.perf_counter()
        models.embedder.embed_chip(chip)
        embedded = time.perf_counter()
        found = _stages(start, detected, aligned, embedded)
        if models.pad is not None:
            models.pad.read(frame, face)
            found["liveness"] = (time.perf_counter() - embedded) * 1e3
        return found

    return run


def _stages(start: float, detected: float, aligned: float, embedded: float) -> Stages:
    return {
        "detect": (detected - start) * 1e3,
        "align": (aligned - detected) * 1e3,
        "embed": (embedded - aligned) * 1e3,
        "total": (embedded - start) * 1e3,
    }


def _side_by_side(ours: Pipeline, theirs: Pipeline, frame: Image, repeats: int) -> dict[str, Any]:
    ours(frame)
    theirs(frame)
    runs: dict[str, list[Stages]] = {"gated": [], "face_recognition": []}
    for _ in range(repeats):
        runs["gated"].append(ours(frame))
        runs["face_recognition"].append(theirs(frame))
    medians: dict[str, Any] = {
        name: {stage: statistics.median(s[stage] for s in found) for stage in found[0]}
        for name, found in runs.items()
    }
    return {**medians, "ratio": medians["face_recognition"]["total"] / medians["gated"]["total"]}
