"""Measures which photos are said to do harm: `python -m tests.bench.photo_doubts lfw/`.

From a folder with a sub-folder a person, all photos enrolled: how many are doubted as they are, and
how many of those that were put to another person, each by itself?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gated.core.gallery import Gallery, GalleryPerson, Template
from gated.core.photo_doubts import photo_doubts
from gated.core.policy import CHANCES
from gated.core.values import PersonRef
from gated.evaluation.recognition import SEED, PhotoFolder
from tests.bench.photo_folder import embedded

PROMISE = 0.001
MOVED = 300


def _gallery(people: PhotoFolder, owners: npt.NDArray[np.intp]) -> Gallery:
    members = [GalleryPerson(PersonRef(i, "", "", name)) for i, name in enumerate(people.names)]
    vectors = zip(owners, people.templates[0], strict=True)
    templates = [Template(n, int(owner), vector, "m") for n, (owner, vector) in enumerate(vectors)]
    return Gallery.build("m", "cosine", members, templates)


def main(arguments: Sequence[str] | None = None) -> None:
    kit, people = embedded(__doc__, arguments)
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
