"""Measures which photos are said to do harm: `python -m tests.bench.photo_doubts lfw/`.

From a folder with a sub-folder a person, all photos enrolled: how many are doubted as they are, and
how many of those that were put to another person, each by itself?
"""

from __future__ import annotations

import argparse
import pickle
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gated.config import Settings, VisionSettings
from gated.core.gallery import Gallery, GalleryPerson, Template
from gated.core.photo_doubts import photo_doubts
from gated.core.policy import CHANCES
from gated.core.values import PersonRef
from gated.enrollment.models import INSTALLED, VisionKit
from gated.evaluation.recognition import SEED, PhotoFolder, embed_people

PROMISE = 0.001
MOVED = 300


def _gallery(people: PhotoFolder, owners: npt.NDArray[np.intp]) -> Gallery:
    members = [GalleryPerson(PersonRef(i, "", "", name)) for i, name in enumerate(people.names)]
    vectors = zip(owners, people.templates[0], strict=True)
    templates = [Template(n, int(owner), vector, "m") for n, (owner, vector) in enumerate(vectors)]
    return Gallery.build("m", "cosine", members, templates)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kept", type=Path, help="Keep the embeddings in this file meanwhile.")
    given = parser.parse_args(arguments)
    kit = VisionKit(Settings(vision=VisionSettings(assets_dir=INSTALLED, threads=1)))
    if given.kept and given.kept.exists():
        people = pickle.loads(given.kept.read_bytes())  # noqa: S301 - one's own
    else:
        people = embed_people([kit], given.folder, lambda what, done, total: None)
        if given.kept:
            given.kept.write_bytes(pickle.dumps(people))
    owners, calibration = np.array(people.owners), kit.calibration
    threshold = calibration.threshold(PROMISE, len(owners), CHANCES)
    gallery = _gallery(people, owners)
    as_they_are = Counter(
        doubt.reason
        for i in range(len(people.names))
        for doubt in photo_doubts(gallery, calibration, threshold, i)
    )
    print(f"{len(owners)} photos of {len(people.names)} people as they are: {dict(as_they_are)}")
    rng = np.random.default_rng(SEED)
    counts = np.bincount(owners)
    for least, most in ((1, 1), (2, 99)):
        hosts = np.flatnonzero((counts >= least) & (counts <= most))
        found: Counter[str] = Counter()
        for row in rng.permutation(len(owners))[:MOVED]:
            host = int(rng.choice(hosts[hosts != owners[row]]))
            moved = owners.copy()
            moved[row] = host
            place = int((np.flatnonzero(moved == host) < row).sum())
            doubts = photo_doubts(_gallery(people, moved), calibration, threshold, host)
            found[next((d.reason for d in doubts if d.place == place), "none")] += 1
        print(f"{MOVED} put to somebody with {least} to {most} photos: {dict(found)}")


if __name__ == "__main__":
    main()
