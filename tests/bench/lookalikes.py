"""Measures whom strangers are said to resemble: `python -m tests.bench.lookalikes lfw/`.

From a folder with a sub-folder a person. Half of the people are enrolled with one photo, in random
galleries. Of another photo of theirs that the threshold refuses: how often is the right person
offered? Of the other people: how often is anybody?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gated.core.calibration import Calibration
from gated.core.gallery import Gallery, GalleryPerson, Template
from gated.core.lookalikes import lookalikes
from gated.core.policy import CHANCES
from gated.core.values import PersonRef
from gated.evaluation.recognition import SEED, PhotoFolder
from tests.bench.photo_folder import embedded

PROMISE = 0.001
SIZES = (30, 300, 600)
GALLERIES = 20


def rates(people: PhotoFolder, calibration: Calibration, size: int) -> Iterator[str]:
    """Yield what galleries of so many people offer."""
    rng = np.random.default_rng(SEED)
    of_person = [np.flatnonzero(people.owners == i) for i in range(len(people.names))]
    threshold = calibration.threshold(PROMISE, size, CHANCES)
    counts = dict.fromkeys(("visits", "refused", "first", "among", "strong", "wrong"), 0)
    strangers = dict.fromkeys(("all", "some", "strong"), 0)
    for _ in range(GALLERIES):
        chosen = rng.permutation(len(of_person))
        gallery = _gallery(people, [int(i) for i in chosen[:size]], of_person)
        for i in chosen[:size]:
            for row in of_person[i][1:]:
                probe = people.templates[0][row : row + 1]
                counts["visits"] += 1
                own = float(gallery.only(int(i)).similarities(probe).max())
                if own >= threshold:
                    continue
                counts["refused"] += 1
                found = lookalikes(gallery, calibration, probe)
                ids = [one.member.person.id for one in found]
                counts["first"] += ids[:1] == [i]
                counts["among"] += i in ids
                counts["strong"] += any(
                    one.member.person.id == i and one.likeness == "strong" for one in found
                )
                counts["wrong"] += bool(ids) and ids[0] != i
        for i in chosen[size : size + 600]:
            found = lookalikes(gallery, calibration, people.templates[0][of_person[i][:1]])
            strangers["all"] += 1
            strangers["some"] += bool(found)
            strangers["strong"] += any(one.likeness == "strong" for one in found)
    yield (
        f"{size} people: of {counts['refused']} refused of {counts['visits']}: offered first "
        f"{_of(counts, 'first', 'refused')}, among {_of(counts, 'among', 'refused')}, as strong "
        f"{_of(counts, 'strong', 'refused')}, another first {_of(counts, 'wrong', 'refused')}; of "
        f"{strangers['all']} strangers: anybody {_of(strangers, 'some', 'all')}, strong "
        f"{_of(strangers, 'strong', 'all')}"
    )


def _gallery(people: PhotoFolder, chosen: Sequence[int], of_person: Sequence[object]) -> Gallery:
    members = [GalleryPerson(PersonRef(i, str(i), str(i), people.names[i])) for i in chosen]
    vectors = [people.templates[0][np.asarray(of_person[i])[0]] for i in chosen]
    templates = [Template(i, i, v, "m") for i, v in zip(chosen, vectors, strict=True)]
    return Gallery.build("m", "cosine", members, templates)


def _of(counts: dict[str, int], part: str, whole: str) -> str:
    return f"{100 * counts[part] / max(1, counts[whole]):.1f} %"


def main(arguments: Sequence[str] | None = None) -> None:
    kit, people = embedded(__doc__, arguments)
    for size in SIZES:
        for row in rates(people, kit.calibration, size):
            print(row)


if __name__ == "__main__":
    main()
