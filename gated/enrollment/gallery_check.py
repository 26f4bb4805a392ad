"""The gallery's self-test: does it work, and who or which photo would make it fail?"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from gated.config import Settings
from gated.core.gallery import Gallery, GalleryPerson
from gated.core.policy import CHANCES, criteria_for
from gated.core.selftest import Proportion, Resemblance, check
from gated.core.values import Instant
from gated.enrollment import enrollment_store
from gated.enrollment.enrollments import Enrollments
from gated.enrollment.gallery_cache import open_gallery
from gated.enrollment.models import VisionKit, policy_of
from gated.enrollment.strangers import expected_wrong_openings, stranger_visits_per_year
from gated.errors import BelongsToHub
from gated.workspace import Workspace

SHOWN = 20
"""Pairs of people too alike that are listed at most; all are counted."""


def check_gallery(
    workspace: Workspace, settings: Settings, kit: VisionKit, now: Instant
) -> dict[str, Any]:
    """Return the report of `core.selftest` as plain values, with the ids of the API.

    kit: only its model's name and calibration are used. Takes seconds for tens of thousands of
    templates. StorageError.
    """
    gallery = open_gallery(workspace, kit.model, kit.metric).load()
    policy = policy_of(settings, kit.calibration)
    threshold = criteria_for(policy, gallery, kit.calibration).threshold
    found = check(gallery, kit.calibration, threshold, CHANCES)
    ids = _enrollment_ids(workspace, gallery)
    visits = stranger_visits_per_year(workspace, settings.gate.name, now)
    return {
        "model": kit.model,
        "people": found.people,
        "templates": found.templates,
        "people_with_one_template": found.single,
        "threshold": round(threshold, 4),
        "fmr": found.fmr,
        "fpir_wanted": settings.recognition.fpir,
        "fpir_expected": found.fpir,
        "stranger_visits_per_year": visits,
        "wrong_openings_per_year": expected_wrong_openings(found.fmr, found.templates, visits),
        "fnir": _rate(found.missed),
        "fpir": _rate(found.taken),
        "closest": found.closest and _resemblance(found.closest),
        "too_alike_count": len(found.too_alike),
        "too_alike": [_resemblance(r) for r in found.too_alike[:SHOWN]],
        "scattered": [_person(m) for m in found.scattered],
        "outliers": [
            {
                "enrollment_id": ids.get(o.row),
                "person": _person(o.member),
                "similarity": round(o.similarity, 4),
                "others": round(o.others, 4),
            }
            for o in found.outliers
        ],
    }


def set_outliers_aside(workspace: Workspace, report: dict[str, Any], actor: str) -> list[int]:
    """Switch off the enrollments that the report calls outliers; they can be switched on again.

    Those of the hub's people are left to the hub.
    """
    references = Enrollments.of(workspace)
    aside = []
    for enrollment_id in (o["enrollment_id"] for o in report["outliers"]):
        with suppress(BelongsToHub):
            if enrollment_id is not None:
                with references.change(actor) as change:
                    references.set_active(change, enrollment_id, False)
                aside.append(enrollment_id)
    return aside


def _enrollment_ids(workspace: Workspace, gallery: Gallery) -> dict[int, int]:
    """Return row of the gallery -> enrollment, but for people some of whose templates are gone.

    Both are sorted by person and enrollment.
    """
    with workspace.database.read() as session:
        rows = enrollment_store.gallery_rows(session, gallery.model)
    of_person: dict[int, list[int]] = {}
    for row in rows:
        of_person.setdefault(row.person_id, []).append(row.enrollment_id)
    ids: dict[int, int] = {}
    places: dict[int, list[int]] = {}
    for place, owner in enumerate(gallery.owners):
        places.setdefault(gallery.members[int(owner)].person.id, []).append(place)
    for person_id, where in places.items():
        known = of_person.get(person_id, [])
        if len(known) == len(where):
            ids.update(zip(where, known, strict=True))
    return ids


def _person(member: GalleryPerson) -> dict[str, Any]:
    person = member.person
    return {"id": person.id, "personnel_code": person.personnel_code, "name": person.name}


def _resemblance(pair: Resemblance) -> dict[str, Any]:
    people = [_person(pair.first), _person(pair.second)]
    return {"people": people, "similarity": round(pair.similarity, 4), "fmr": pair.fmr}


def _rate(rate: Proportion | None) -> dict[str, Any] | None:
    if rate is None:
        return None
    low, high = rate.interval
    return {"value": rate.value, "interval": [low, high], "trials": rate.trials}
