from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.gallery import METRICS, Gallery, GalleryPerson, Template, unit
from gated.core.values import Vector
from tests.core.scenes import ANN, BOB, MODEL, gallery, like, person


def similarity(metric: str, a: Vector, b: Vector) -> float:
    """The definition, in double precision."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    if metric == "euclidean":
        return -float(np.linalg.norm(x - y))
    length = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / length if length else 0.0


@st.composite
def crowds(draw: st.DrawFn) -> tuple[str, list[Template], Vector]:
    seed = draw(st.integers(0, 2**32 - 1))
    counts = draw(st.lists(st.integers(1, 4), max_size=6))
    rng = np.random.default_rng(seed)
    owners = [pid for pid, n in enumerate(counts, start=10) for _ in range(n)]
    order = rng.permutation(len(owners))
    vectors = rng.normal(size=(len(owners), 8)).astype(np.float32)
    templates = [
        Template(e, owners[i], vectors[i], MODEL) for e, i in enumerate(order.tolist(), start=100)
    ]
    probe = rng.normal(size=8).astype(np.float32)
    enrolled = draw(st.booleans())
    if templates and enrolled:
        probe = templates[0].vector * np.float32(2.5)
    return draw(st.sampled_from(METRICS)), templates, probe


@given(crowds())
def test_the_match_is_what_a_loop_over_all_people_finds(
    crowd: tuple[str, list[Template], Vector],
) -> None:
    metric, templates, probe = crowd
    members = [GalleryPerson(person(n)) for n in range(9, 18)]
    match = Gallery.build(MODEL, metric, members, templates).match(probe)
    best: dict[int, float] = {}
    for t in templates:
        score = similarity(metric, probe, t.vector)
        best[t.person_id] = max(best.get(t.person_id, -np.inf), score)
    ranked = sorted(((s, pid) for pid, s in best.items()), reverse=True)
    if not ranked:
        assert match is None
        return
    assert match is not None
    assert match.member.person.id == ranked[0][1]
    assert match.similarity == pytest.approx(ranked[0][0], abs=1e-5)
    if len(ranked) == 1:
        assert match.runner_up is None
        assert match.runner_up_similarity == -np.inf
    else:
        assert match.runner_up is not None
        assert match.runner_up.person.id == ranked[1][1]
        assert match.runner_up_similarity == pytest.approx(ranked[1][0], abs=1e-5)


@given(crowds())
def test_many_probes_at_once_are_matched_as_one_by_one(
    crowd: tuple[str, list[Template], Vector],
) -> None:
    metric, templates, probe = crowd
    built = Gallery.build(
        MODEL, metric, [GalleryPerson(person(n)) for n in range(9, 18)], templates
    )
    probes = [probe, *(t.vector for t in templates), np.full(8, np.nan, np.float32)]
    for one, many in zip(map(built.match, probes), built.match_all(probes), strict=True):
        assert (one is None) == (many is None)
        if one is not None and many is not None:
            assert many.member is one.member
            assert many.runner_up is one.runner_up
            assert many.similarity == pytest.approx(one.similarity, abs=1e-5)
            assert many.runner_up_similarity == pytest.approx(one.runner_up_similarity, abs=1e-5)
    assert built.match_all([]) == []


@pytest.mark.parametrize("metric", METRICS)
def test_two_photos_of_one_person_are_no_runner_up(metric: str) -> None:
    templates = [
        Template(1, ANN, like({ANN: 0.9}), MODEL),
        Template(2, BOB, like({BOB: 0.9}), MODEL),
        Template(3, ANN, like({ANN: 0.8}), MODEL),
    ]
    members = [GalleryPerson(person(ANN)), GalleryPerson(person(BOB))]
    match = Gallery.build(MODEL, metric, members, templates).match(like({ANN: 0.9}))
    assert match is not None
    assert match.runner_up is not None
    assert (match.member.person.id, match.runner_up.person.id) == (ANN, BOB)


def test_two_people_with_the_same_template_have_no_margin() -> None:
    templates = [Template(n, n, like({ANN: 1.0}), MODEL) for n in (ANN, BOB)]
    members = [GalleryPerson(person(ANN)), GalleryPerson(person(BOB))]
    match = Gallery.build(MODEL, "cosine", members, templates).match(like({ANN: 0.9}))
    assert match is not None
    assert match.runner_up is not None
    assert match.runner_up.person.id != match.member.person.id
    assert match.similarity == match.runner_up_similarity


def test_only_people_with_a_template_count() -> None:
    members = [GalleryPerson(person(n)) for n in (ANN, BOB)]
    templates = [Template(1, ANN, like({ANN: 1.0}), MODEL), Template(2, 99, like({3: 1.0}), MODEL)]
    built = Gallery.build(MODEL, "cosine", members, templates)
    assert (len(built), built.people) == (1, 1)
    assert built.match(like({3: 1.0})) == built.match(like({3: 1.0}, scale=7.0))
    assert gallery(()).match(like({ANN: 1.0})) is None


def test_inactive_people_are_known() -> None:
    match = gallery(inactive=[BOB]).match(like({BOB: 0.8}))
    assert match is not None
    assert (match.member.person.id, match.member.active) == (BOB, False)


def test_models_are_never_mixed() -> None:
    templates = [Template(1, ANN, like({ANN: 1.0}), "another")]
    with pytest.raises(ValueError, match="mixes models"):
        Gallery.build(MODEL, "cosine", [GalleryPerson(person(ANN))], templates)


@pytest.mark.parametrize("metric", METRICS)
def test_a_broken_vector_hides_nobody_else(metric: str) -> None:
    broken = np.full(len(like({})), np.nan, np.float32)
    templates = [Template(1, ANN, like({ANN: 1.0}), MODEL), Template(2, BOB, broken, MODEL)]
    members = [GalleryPerson(person(n)) for n in (ANN, BOB)]
    built = Gallery.build(MODEL, metric, members, templates)
    match = built.match(like({ANN: 0.9}))
    assert match is not None
    assert match.member.person.id == ANN
    assert built.match(broken) is None


def test_unit_keeps_zero() -> None:
    rows = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    assert unit(rows).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0]]


def test_the_digest_tells_who_is_known_by_which_templates_in_any_order() -> None:
    def digest(*templates: Template, active: bool = True) -> str:
        members = [GalleryPerson(person(ANN), active), GalleryPerson(person(BOB))]
        return Gallery.build(MODEL, "cosine", members, templates).digest()

    ann = Template(1, ANN, like({ANN: 0.9}), MODEL)
    bob = Template(2, BOB, like({BOB: 0.9}), MODEL)
    again = Template(9, ANN, ann.vector, MODEL)
    assert digest(ann, bob) == digest(bob, again)
    others = {digest(ann), digest(bob), digest(ann, bob), digest(ann, bob, active=False)}
    assert len(others) == 4
