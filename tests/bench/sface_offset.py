"""Measures the part that all SFace embeddings share: `python -m tests.bench.sface_offset lfw/`.

From a folder with a sub-folder a person: the mean over people of their mean unit embeddings, in
thousandths, as `gated/vision/sface_offset.py` holds it. Then what taking it away is worth: the mean
of one half of the people, and of a few of them, tried on the other half, against the same
embeddings as the network gives them; the chip alone on both sides.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gated.config import Settings, VisionSettings
from gated.core.gallery import unit
from gated.enrollment.models import INSTALLED, VisionKit
from gated.evaluation.recognition import SEED, embed_people
from gated.vision.sface_offset import OFFSET

Vectors = npt.NDArray[np.float32]

DRAWS = 20
FEW = (5, 20, 100)
RATES = (1e-3, 1e-4, 1e-5)


def offset_of(embeddings: Vectors, owners: npt.NDArray[np.integer]) -> Vectors:
    """Return the mean over people of their mean unit embeddings."""
    means = [embeddings[owners == owner].mean(axis=0) for owner in np.unique(owners)]
    return np.asarray(np.mean(means, axis=0), np.float32)


def rates(embeddings: Vectors, owners: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Return the true match rate at each false match rate of `RATES`, of all pairs."""
    similar, same = embeddings @ embeddings.T, owners[:, None] == owners[None, :]
    above = np.triu(np.ones_like(same), 1)
    strangers = np.quantile(similar[above & ~same], [1.0 - rate for rate in RATES])
    return np.array([(similar[above & same] > least).mean() for least in strangers])


def tried(embeddings: Vectors, owners: npt.NDArray[np.integer]) -> Iterator[str]:
    """Yield a row for the network's own embeddings, and for each offset taken away."""
    rng, people = np.random.default_rng(SEED), int(owners.max()) + 1
    found: dict[str, list[npt.NDArray[np.float64]]] = {}
    for _ in range(DRAWS):
        half = rng.permutation(people)[: people // 2]
        here = ~np.isin(owners, half)
        offsets = {"nothing": np.zeros_like(OFFSET)}
        for name, some in [("of half", half), *((f"of {n} people", half[:n]) for n in FEW)]:
            theirs = np.isin(owners, some)
            offsets[name] = offset_of(embeddings[theirs], owners[theirs])
        for name, offset in offsets.items():
            found.setdefault(name, []).append(rates(unit(embeddings[here] - offset), owners[here]))
    for name, several in found.items():
        gain = 100 * (np.array(several) - found["nothing"])
        shown = (
            f"{100 * mean:8.2f} {more:+6.2f} ({low:+.2f} to {high:+.2f})"
            for mean, more, low, high in zip(
                np.mean(several, axis=0), gain.mean(axis=0), gain.min(axis=0), gain.max(axis=0),
                strict=True,
            )
        )  # fmt: skip
        yield f"{name:14} {' '.join(shown)}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    kit = VisionKit(Settings(vision=VisionSettings(assets_dir=INSTALLED, threads=1)))
    people = embed_people(
        [kit], folder, lambda what, done, total: print(f"\r{done}/{total}", end="", file=sys.stderr)
    )
    embeddings = np.asarray(people.probes[0] + OFFSET, np.float32)
    offset = offset_of(embeddings, people.owners)
    print(f"\n{np.linalg.norm(offset):.3f} long")
    print(*np.round(1000 * offset).astype(int))
    print(f"taken away    TMR in % at an FMR of {', '.join(f'{rate:.0e}' for rate in RATES)}, gain")
    for row in tried(embeddings, people.owners):
        print(row)


if __name__ == "__main__":
    main()
