"""Measures 1:N identification: one probe against all templates, as for every usable frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gated.bench.baseline import face_distance
from gated.core.gallery import Gallery, GalleryPerson, unit
from gated.core.values import PersonRef

SIZES = (1_000, 10_000, 100_000)
DIMENSION = 128


def measure_identification(repeats: int = 15) -> list[dict[str, float]]:
    """Measure ms of `Gallery.match`, of face_distance, and of reading the matrix once, by size.

    passes: time of the match divided by that of one reading at the measured memory bandwidth.
    """
    return [_measure(size, repeats) for size in SIZES]


def _measure(size: int, repeats: int) -> dict[str, float]:
    random = np.random.default_rng(size)
    vectors = unit(random.normal(size=(size, DIMENSION)).astype(np.float32))
    members = tuple(GalleryPerson(PersonRef(i, str(i), str(i), "")) for i in range(size))
    gallery = Gallery("bench", "cosine", vectors, np.arange(size, dtype=np.int32), members)
    encodings = vectors.astype(np.float64)
    probe = vectors[size // 2]
    double = probe.astype(np.float64)
    flat = vectors.reshape(-1)
    found = _interleaved(
        repeats,
        gated_ms=lambda: gallery.match(probe),
        face_distance_ms=lambda: face_distance(encodings, double),
        # two ways to read every byte once; the faster one counts as the memory bandwidth
        dot_ms=lambda: flat @ flat,
        max_ms=lambda: flat.max(),
    )
    one_pass = min(found.pop("dot_ms"), found.pop("max_ms"))
    return {
        "templates": size,
        **found,
        "one_pass_ms": one_pass,
        "passes": found["gated_ms"] / one_pass,
        "ratio": found["face_distance_ms"] / found["gated_ms"],
        "bandwidth_gb_s": vectors.nbytes / one_pass / 1e6,
    }


def _interleaved(repeats: int, **works: Callable[[], Any]) -> dict[str, float]:
    """Return the best ms of each, which other load on the memory affects least."""
    took: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            took[name].append((time.perf_counter() - start) * 1e3)
    return {name: min(times) for name, times in took.items()}
