"""A hub with one thing of each kind, and a gate of its own without a network between them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.config import GateSettings, Settings, StorageSettings
from gated.database import change_feed, tables
from gated.database.records import GateRow
from gated.fleet.hub import gate_store
from gated.fleet.hub.feed import Feed, Item, context
from gated.fleet.wire.signing import GateKeys
from gated.workspace import Workspace
from tests.fixtures.server import HUB_DEVICES

MODEL = "m1"
KEYS = GateKeys(bytes(32))
JANUARY = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JUNE = datetime(2026, 6, 7, 8, 9, 10, 123456, tzinfo=UTC)


def hub_settings(folder: Path) -> Settings:
    """Of a hub with known keys."""
    key = folder / "seal.key"
    key.write_text("42" * 32)
    key.chmod(0o600)
    return Settings(
        gate=GateSettings(name="hub", role="hub"),
        storage=StorageSettings(state_dir=folder / "hub", key_file=key),
        **HUB_DEVICES,
    )


def insert(session: Session, table: sa.Table, **values: Any) -> int:
    """Add a row as it is; gives the id where the table has one."""
    session.execute(sa.insert(table).values(**values))
    if "id" not in table.c:
        return 0
    return int(session.execute(sa.select(sa.func.max(table.c.id))).scalar_one())


def furnish(hub: Workspace) -> GateRow:
    """Put one of everything on the hub, and a gate that is given all of it."""
    vector = np.arange(4, dtype=np.float32)
    template = hub.files.save_encoding(vector, MODEL)
    photo = hub.files.save_image(b"\xff\xd8 a photo")
    with hub.database.write() as session:
        gate = gate_store.add(
            session, "north", "works", everyone=True, photos=True, edits="at_once",
            seal_key=KEYS.seal_key, sign_key=KEYS.sign_key, joined_at=JANUARY,
        )  # fmt: skip
        person = insert(
            session, tables.persons, uid="p1", first_name="Zoë", last_name="Example",
            personnel_code="z-1", department="Dépôt", position="Clerk", email="z@example.org",
            phone="+49 1", is_active=True, search="", leaves_on=date(2031, 2, 3),
            extended_unlock=True,
        )  # fmt: skip
        insert(
            session, tables.persons, uid="p2", first_name="Bo", last_name="", personnel_code="b",
            is_active=False, search="", extended_unlock=False,
        )  # fmt: skip
        for _ in range(7):
            change_feed.note(session, change_feed.PERSON, ["p1"])
        enrolled: dict[str, Any] = {"person_id": person, "model": MODEL, "quality": {}}
        insert(
            session, tables.enrollments, uid="e1", face_encoding_path=template,
            face_image_path=photo, confidence_score=0.5, is_active=True, **enrolled,
        )  # fmt: skip
        insert(
            session, tables.enrollments, uid="e2", face_image_path=photo, confidence_score=0.25,
            is_active=False, **{**enrolled, "model": None},
        )  # fmt: skip
        insert(
            session, tables.person_access, person_id=person, valid_from=JANUARY, valid_until=JUNE,
            visitor=True, face=False, two_factors=True, needs_escort=False, may_escort=True,
            exempt=False,
        )  # fmt: skip
        insert(
            session, tables.credentials, uid="c1", person_id=person, kind="card", label="blue",
            from_hub=False, key_count=2, digest="d" * 64, failures=3, is_active=True,
            valid_from=JANUARY, valid_until=None,
        )  # fmt: skip
        insert(
            session, tables.credentials, uid="c2", person_id=person, kind="pin", from_hub=False,
            key_count=1, pin_hash="$argon2id$x", failures=0, is_active=False,
        )  # fmt: skip
        _furnish_rules(session, person)
        _furnish_operator(session)
        _furnish_settings(session, gate.id)
        insert(
            session, tables.fleet_edits, uid="x1", gate_id=gate.id, kind="change", person="p1",
            base=3, operator="o1", made_at=JANUARY, digest="0" * 64,
            received_at=datetime.now(UTC), state="refused", reason="no such photo",
            decided_at=datetime.now(UTC),
        )  # fmt: skip
        return gate_store.get(session, gate.id)


def _furnish_rules(session: Session, person: int) -> None:
    group = insert(session, tables.groups, uid="g1", name="Staff", name_key="staff")
    insert(session, tables.group_members, group_id=group, person_id=person)
    office = insert(
        session, tables.schedules, uid="s1", name="Office", name_key="office",
        week=[["08:00-17:00"]] * 5 + [["09:00-10:00", "11:00-12:00"], []], holiday=["10:00-11:00"],
    )  # fmt: skip
    insert(
        session, tables.schedule_exceptions, schedule_id=office, day=date(2026, 12, 24),
        hours=["08:00-12:00"],
    )  # fmt: skip
    for rule in ({"gate": "NORTH", "schedule_id": office}, {"gate": None}, {"gate": "south"}):
        insert(session, tables.group_rules, group_id=group, **rule)
    rules = {"occupancy": 7, "first_in": office, "ungrouped": False}
    site = insert(session, tables.sites, uid="w1", name="", rules=rules, timezone="Europe/Berlin")
    insert(session, tables.holidays, site_id=site, day=date(2026, 12, 25), name="Noël")


def _furnish_operator(session: Session) -> None:
    account = insert(
        session, tables.accounts, uid="o1", username="olga", username_key="olga", role="operator",
        password_hash="!", is_active=True,
    )  # fmt: skip
    insert(
        session, tables.editors, account_id=account, everyone=False, salt="ab" * 16,
        public_key="cd" * 32, from_hub=False, at_once=False,
    )  # fmt: skip
    group = session.execute(sa.select(tables.groups.c.id)).scalar_one()
    insert(session, tables.editor_groups, account_id=account, group_id=group)


def _furnish_settings(session: Session, gate_id: int) -> None:
    values = {"recognition": {"frames": 4, "margin": 0.06}, "access": {"cooldown_s": 2.5}}
    revision = insert(session, tables.configurations, uid="r1", settings=values)
    rollout = insert(
        session, tables.rollouts, uid="l1", configuration_id=revision, stages=[], soak_s=1.0,
        automatic=False, stage=0, state="running",
    )  # fmt: skip
    insert(
        session, tables.given_settings, gate_id=gate_id, uid="v1", rollout_id=rollout, stage=0,
        configuration_id=revision, troubles=[], heard=True,
    )  # fmt: skip


def sent(hub: Workspace, gate: GateRow) -> Mapping[tuple[str, str], bytes]:
    """Everything that the gate is sent: (kind, uid) -> the plain bytes."""
    page = Feed.of(hub).snapshot(gate, "", MODEL, 100)
    return opened(page.ephemeral, page.items)


def opened(ephemeral: str, items: tuple[Item, ...]) -> dict[tuple[str, str], bytes]:
    """What is in the envelopes of a page."""
    envelopes = KEYS.opener(ephemeral)
    return {
        (i.kind, i.uid): envelopes.open(i.sealed, context(i.kind, i.uid)) for i in items if i.sealed
    }
