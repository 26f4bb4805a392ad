"""What rules of many people and the search for badges cost: python -m tests.bench.credentials"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import sqlalchemy as sa

from gated.access.access_plan import load_plan
from gated.access.rules import Access, GroupRule
from gated.config import Settings, StorageSettings
from gated.core.values import Image
from gated.database.tables import credentials, group_members, new_uid, persons, utcnow
from gated.people import group_store
from gated.vision import badges
from gated.workspace import Workspace
from tests.changes import done_by

PEOPLE = (1_000, 100_000)
SIZES = ((640, 480), (1280, 720))
SEARCHES = 40


def fill(workspace: Workspace, people: int) -> None:
    """So many people, each in a group with a schedule and with a card."""
    now = utcnow()
    times = {"version": 1, "created_at": now, "updated_at": now}
    with workspace.database.write() as session:
        staff = group_store.add(session, "Staff")
        rows = [
            {
                "uid": new_uid(),
                "first_name": "Ada",
                "last_name": f"Number {n}",
                "personnel_code": f"C{n}",
                "search": "",
                **times,
            }
            for n in range(people)
        ]
        session.execute(sa.insert(persons), rows)
        ids = session.execute(sa.select(persons.c.id)).scalars().all()
        session.execute(
            sa.insert(group_members), [{"group_id": staff.id, "person_id": id_} for id_ in ids]
        )
        cards = [
            {"uid": new_uid(), "person_id": id_, "kind": "card", "digest": f"d{id_}", **times}
            for id_ in ids
        ]
        session.execute(sa.insert(credentials), cards)
    access = Access.of(workspace)
    office = done_by(
        "bench", access.add_schedule, {"name": "Office", "week": [["08:00-17:00"]] * 7}
    )
    done_by("bench", access.set_rules_of_group, staff.id, [GroupRule(None, office.id)])


def plan_cpu_s(people: int) -> float:
    """Seconds of processor time for the plan of so many people."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(storage=StorageSettings(state_dir=Path(folder)))
        with Workspace(settings) as workspace:
            fill(workspace, people)
            began = time.process_time()
            plan = load_plan(workspace)
            took = time.process_time() - began
            if len(plan.people) != people:
                raise RuntimeError(f"the plan has {len(plan.people)} people, not {people}")
            return took


def scene(rng: np.random.Generator, width: int, height: int) -> Image:
    """A picture with coarse and fine structure and no code in it."""
    coarse = rng.integers(0, 255, (height // 40, width // 40, 3), np.uint8)
    large = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(large + rng.normal(0, 8, large.shape), 0, 255), np.uint8)


def search_cpu_ms(width: int, height: int) -> list[float]:
    """Milliseconds of processor time of each of a number of searches."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(1)
    took = []
    for _ in range(SEARCHES):
        picture = scene(rng, width, height)
        began = time.process_time()
        badges.read(picture)
        took.append((time.process_time() - began) * 1000)
    return took


def main() -> int:
    for people in PEOPLE:
        print(f"plan of {people:,} people: {plan_cpu_s(people):.2f} s of processor time")
    for width, height in SIZES:
        took = search_cpu_ms(width, height)
        print(
            f"search for a badge in {width}x{height}: median {statistics.median(took):.1f} ms, "
            f"longest {max(took):.1f} ms of processor time"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
