"""On a hub: numbered configurations, how they are rolled out, and what each gate was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import rows
from gated.database.records import columns_of, record
from gated.database.tables import configurations, given_settings, journal_private, rollouts
from gated.errors import NotFound
from gated.journal.stored_object import object_in


@dataclass(frozen=True, slots=True)
class Configuration:
    """One revision, `id` its number; it never changes. settings: section -> key -> value."""

    id: int
    uid: str
    settings: Mapping[str, Mapping[str, Any]]
    note: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Rollout:
    """A configuration on its way to gates, stage by stage.

    state: running, halted, done or rolled_back. stages: of each the ids of gates, the names of
    sites, or everyone. stage: the present one, from 0.
    """

    id: int
    uid: str
    configuration_id: int
    stages: Sequence[Mapping[str, Any]]
    soak_s: float
    automatic: bool
    stage: int
    state: str
    reason: str | None
    chain: str | None
    seq: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class GivenTo:
    """Settings that a gate was given last, by which roll-out, and how that went so far.

    configuration_id, before_id: None is none, the gate's file alone. healthy_since: it runs them
    and is well. silent_since: when it was found that nothing is heard of the gate.
    """

    gate_id: int
    uid: str
    rollout_id: int
    stage: int
    configuration_id: int | None
    before_id: int | None
    troubles: Sequence[str]
    heard: bool
    healthy_since: datetime | None
    silent_since: datetime | None
    flaw: str | None


_CONFIGURATION = columns_of(Configuration, configurations)
_ROLLOUT = columns_of(Rollout, rollouts)
_GIVEN = columns_of(GivenTo, given_settings)


# --- configurations -------------------------------------------------------------------------------


def add_configuration(
    session: Session, values: Mapping[str, Any], note: str | None
) -> Configuration:
    """Add a revision; its number is the next one."""
    id_ = rows.insert(session, configurations, settings=dict(values), note=note)
    return configuration(session, id_)


def configuration(session: Session, id_: int) -> Configuration:
    """The revision of this number, or NotFound."""
    row = rows.one(session, configurations, _CONFIGURATION, id=id_)
    if row is None:
        raise NotFound(f"there is no configuration {id_}")
    return record(Configuration, row)


def list_configurations(
    session: Session, limit: int | None = None, offset: int = 0
) -> tuple[list[Configuration], int]:
    """Revisions, newest first, and how many there are."""
    statement = sa.select(*_CONFIGURATION).order_by(configurations.c.id.desc())
    found = session.execute(rows.page(statement, limit, offset))
    total = session.execute(sa.select(sa.func.count()).select_from(configurations))
    return [record(Configuration, r) for r in found], total.scalar_one()


# --- roll-outs ------------------------------------------------------------------------------------


def add(session: Session, **values: Any) -> Rollout:
    """Begin a roll-out."""
    return get(session, rows.insert(session, rollouts, **values))


def get(session: Session, id_: int) -> Rollout:
    """The roll-out with this id, or NotFound."""
    row = rows.one(session, rollouts, _ROLLOUT, id=id_)
    if row is None:
        raise NotFound(f"there is no roll-out {id_}")
    return record(Rollout, row)


def list_(session: Session, limit: int | None = None, offset: int = 0) -> tuple[list[Rollout], int]:
    """Roll-outs, newest first, and how many there are."""
    statement = sa.select(*_ROLLOUT).order_by(rollouts.c.id.desc())
    found = session.execute(rows.page(statement, limit, offset))
    total = session.execute(sa.select(sa.func.count()).select_from(rollouts)).scalar_one()
    return [record(Rollout, r) for r in found], total


def running(session: Session) -> Rollout | None:
    """The one that runs, if one does."""
    row = rows.one(session, rollouts, _ROLLOUT, state="running")
    return row and record(Rollout, row)


def update(session: Session, id_: int, **values: Any) -> Rollout:
    """Change the named columns."""
    rows.change(session, rollouts, id_, **values)
    return get(session, id_)


def begun_by(session: Session, rollout: Rollout) -> str | None:
    """The name of who began it; None when it was erased."""
    p = journal_private.c
    actors = sa.select(p.payload).where(p.chain == rollout.chain, p.seq == rollout.seq)
    payload = session.execute(actors.where(p.role == "actor")).scalar()
    return None if payload is None else object_in(payload).get("name")


# --- what gates were given ------------------------------------------------------------------------


def given_to(session: Session, gate_ids: Sequence[int]) -> dict[int, GivenTo]:
    """gate id -> what it was given last, of those that were given anything."""
    found = session.execute(sa.select(*_GIVEN).where(given_settings.c.gate_id.in_(gate_ids)))
    return {row.gate_id: record(GivenTo, row) for row in found}


def given_by(session: Session, rollout_id: int) -> list[GivenTo]:
    """Return what a roll-out gave, as far as nothing later came to those gates."""
    by = given_settings.c.rollout_id == rollout_id
    found = session.execute(sa.select(*_GIVEN).where(by).order_by(given_settings.c.gate_id))
    return [record(GivenTo, row) for row in found]


def give(session: Session, given: Iterable[GivenTo]) -> None:
    """Put these in the place of what the same gates were given before."""
    new = [{name: getattr(g, name) for name in GivenTo.__dataclass_fields__} for g in given]
    if new:
        ids = [g["gate_id"] for g in new]
        session.execute(sa.delete(given_settings).where(given_settings.c.gate_id.in_(ids)))
        session.execute(sa.insert(given_settings), new)
