from __future__ import annotations

import numpy as np
import pytest

from gated.core.calibration import Calibration
from gated.core.gallery import Gallery, GalleryPerson, Template, unit
from gated.core.selftest import check
from gated.core.values import PersonRef, Vector

CALIBRATION = Calibration("m", "made", ((0.3, -3.0), (0.4, -4.0)))
THRESHOLD = 0.6


def member(number: int) -> GalleryPerson:
    return GalleryPerson(PersonRef(number, f"u{number}", f"P{number}", f"Person {number}"))


def axis(number: int) -> Vector:
    return np.asarray(np.eye(16)[number], np.float32)


def between(a: Vector, b: Vector, cosine: float) -> Vector:
    """A unit vector with that cosine to a, towards b (which stands at right angles to a)."""
    return np.asarray(cosine * a + np.sqrt(1 - cosine**2) * b, np.float32)


def gallery(people: dict[int, list[Vector]]) -> Gallery:
    templates = [
        Template(100 * person + i, person, vector, "m")
        for person, vectors in people.items()
        for i, vector in enumerate(vectors)
    ]
    return Gallery.build("m", "cosine", [member(p) for p in people], templates)


def test_people_who_are_known_by_each_of_their_photos() -> None:
    report = check(
        gallery({1: [axis(0), between(axis(0), axis(1), 0.9)], 2: [axis(2)]}),
        CALIBRATION,
        THRESHOLD,
    )
    assert (report.people, report.templates, report.single) == (2, 3, 1)
    assert report.missed is not None
    assert report.taken is not None
    assert (report.missed.value, report.missed.trials) == (0.0, 2)
    assert (report.taken.value, report.taken.trials) == (0.0, 3)
    assert report.missed.interval == pytest.approx((0.0, 0.8419), abs=1e-4)
    assert (report.too_alike, report.scattered, report.outliers) == ((), (), ())
    assert report.fmr == pytest.approx(1e-6)
    assert report.fpir == pytest.approx(3e-6, rel=1e-3)


def test_the_expected_rate_counts_templates_and_chances() -> None:
    known = gallery({1: [axis(0), axis(1)], 2: [axis(2)]})
    report = check(known, CALIBRATION, 0.4, chances=3)
    assert report.fpir == pytest.approx(1 - (1 - 1e-4) ** 9)


def test_the_closest_two_people_are_named_once() -> None:
    report = check(
        gallery({1: [axis(0)], 2: [between(axis(0), axis(1), 0.7)], 3: [axis(2)]}),
        CALIBRATION,
        THRESHOLD,
    )
    assert report.closest is not None
    assert {report.closest.first.person.id, report.closest.second.person.id} == {1, 2}
    assert report.closest.similarity == pytest.approx(0.7, abs=1e-3)
    assert report.closest.fmr == pytest.approx(1e-7, rel=0.05)
    assert report.too_alike == (report.closest,)
    assert report.taken is not None
    assert report.taken.value == pytest.approx(2 / 3)


def test_a_person_nearer_to_another_than_to_their_own_photo_is_missed() -> None:
    near = between(axis(0), axis(1), 0.65)
    report = check(
        gallery({1: [axis(0), near], 2: [between(axis(0), axis(2), 0.9)]}), CALIBRATION, THRESHOLD
    )
    assert report.missed is not None
    assert report.missed.value == 0.5


def test_an_odd_photo_among_agreeing_ones_is_shown_with_its_numbers() -> None:
    a, b = axis(0), axis(1)
    odd = between(a, axis(2), 0.1)
    report = check(gallery({1: [a, odd, between(a, b, 0.8)], 2: [axis(5)]}), CALIBRATION, THRESHOLD)
    (outlier,) = report.outliers
    assert (outlier.row, outlier.member.person.id) == (1, 1)
    assert outlier.similarity == pytest.approx(0.1, abs=1e-3)
    assert outlier.others == pytest.approx(0.8, abs=1e-3)
    assert report.scattered == ()


def test_of_two_photos_that_differ_neither_is_the_odd_one() -> None:
    report = check(gallery({1: [axis(0), axis(1)], 2: [axis(2)]}), CALIBRATION, THRESHOLD)
    assert [m.person.id for m in report.scattered] == [1]
    assert report.outliers == ()


@pytest.mark.parametrize("people", [{}, {1: [axis(0)]}])
def test_a_gallery_with_nobody_to_compare(people: dict[int, list[Vector]]) -> None:
    report = check(gallery(people), CALIBRATION, THRESHOLD)
    assert (report.taken, report.missed, report.closest) == (None, None, None)


def test_blocks_do_not_matter() -> None:
    random = np.random.default_rng(3)
    people = {
        p: [unit(random.normal(size=16).astype(np.float32)) for _ in range(3)] for p in range(400)
    }
    known = gallery(people)
    scores = known.vectors @ known.vectors.T
    same = known.owners[:, None] == known.owners[None, :]
    foreign = np.where(same, -1, scores).max(axis=1)
    report = check(known, CALIBRATION, 0.9)
    assert report.taken is not None
    assert report.taken.value == pytest.approx(float((foreign >= 0.9).mean()))
    assert report.closest is not None
    assert report.closest.similarity == pytest.approx(float(foreign.max()), abs=1e-5)
