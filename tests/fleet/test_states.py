"""Whatever changes on the hub alone arrives at the gate as it is, and nothing else changes there.

The tests go by the columns of the tables and the fields of the states: one that is new and is
forgotten somewhere on the way fails here without a new test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.access import access_store, credential_keys, schedule_store, site_store
from gated.config import GateSettings, Settings, StorageSettings
from gated.database import change_feed, editor_store, tables
from gated.database import stored_settings as settings_store
from gated.database.tables import UtcDateTime
from gated.fleet.gate import assigned_config, edge_edit_store
from gated.fleet.gate.client import ClientCredentials, HubAddress, HubClient
from gated.fleet.gate.downlink import Downlink
from gated.fleet.hub import gate_store, scope
from gated.fleet.hub.feed import ChangesPage, Feed, Item, SnapshotPage
from gated.fleet.wire import person_states
from gated.fleet.wire.kinds import KINDS
from gated.fleet.wire.states import EditState, PersonState, State
from gated.workspace import Workspace
from tests.fleet.wire import JANUARY, KEYS, MODEL, furnish, hub_settings
from tests.workspaces import open_workspace


class Direct(HubClient):
    """A way to the hub without a network."""

    def __init__(self, hub: Workspace) -> None:
        super().__init__(HubAddress("https://hub"), ClientCredentials(KEYS, ""))
        self._hub = hub

    def get(self, path: str, timeout: float = 20.0) -> Any:
        asked = {k: v[0] for k, v in parse_qs(urlsplit(path).query).items()}
        limit = int(asked["limit"])
        with self._hub.database.read() as session:
            gate = gate_store.by_name(session, "north")
        page: ChangesPage | SnapshotPage
        if "since" in asked:
            page = Feed.of(self._hub).changes(gate, asked["since"], asked["model"], limit)
        else:
            after = asked.get("after", "")
            page = Feed.of(self._hub).snapshot(gate, after, asked["model"], limit)
        return {**_plain(page), "items": [_plain(item) for item in page.items]}


def _plain(page: ChangesPage | SnapshotPage | Item) -> dict[str, Any]:
    return {name: getattr(page, name) for name in type(page).__dataclass_fields__}


@dataclass
class Pair:
    """A hub that has one of everything, and a gate that is given it."""

    hub: Workspace
    gate: Workspace
    downlink: Downlink

    def pull(self) -> None:
        while self.downlink.pull():
            pass

    def change(
        self,
        change: Callable[[Session], object],
        kind: str,
        uid: str,
        table: sa.Table | None = None,
    ) -> None:
        """Let something change on the hub, and the gate hear of it."""
        with self.hub.database.write() as session:
            change(session)
            change_feed.note(session, kind, [uid])
        self.pull()

    def row(self, table: sa.Table, uid: str, *, at_hub: bool = False) -> dict[str, Any]:
        """One row as it stands in the database; of a person's access that of p1."""
        workspace = self.hub if at_hub else self.gate
        wanted = sa.select(table)
        if table is tables.person_access:
            wanted = wanted.join(tables.persons).where(tables.persons.c.uid == uid)
        else:
            wanted = wanted.where(table.c.uid == uid)
        with workspace.database.read() as session:
            return dict(session.execute(wanted).mappings().one())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("states")
    settings = Settings(
        gate=GateSettings(name="north", site="works"),
        storage=StorageSettings(state_dir=folder / "gate"),
    )
    with open_workspace(hub_settings(folder)) as hub, open_workspace(settings) as gate:
        furnish(hub)
        made = Pair(hub, gate, Downlink.of(gate, Direct(hub), MODEL))
        made.pull()
        yield made


# --- persons: by the columns of their tables ------------------------------------------------------

COUNTED = {"id", "uid", "person_id", "version", "created_at", "updated_at"}
"""Each machine counts these by itself, or knows things by them."""

STAYS: Mapping[str, set[str]] = {
    # a gate needs no address; keys follow from what they are made of
    "persons": {"email", "email_key", "phone", "search", "code_key", "first_name_key"}
    | {"last_name_key", "department_key"},
    # contents of files travel, and get names of their own; what a photo was like stays
    "enrollments": {"face_encoding_path", "face_image_path", "quality", "image_sha256"},
    "person_access": set(),
    # what a card is called stays, and wrong tries are counted where they are made
    "credentials": {"label", "from_hub", "failures"},
}
"""Columns that never leave the hub. Who adds a column either lets it travel, as a field of a state,
or says here why not."""

TRAVELS = [
    (tables.metadata.tables[name], column.name)
    for name, stays in STAYS.items()
    for column in tables.metadata.tables[name].c
    if column.name not in stays | COUNTED
]

OF = {
    "persons": ["p1"],
    "enrollments": ["e1"],
    "person_access": ["p1"],
    "credentials": ["c1", "c2"],
}


def another(column: sa.Column[Any], value: Any) -> Any:
    """A value that the column does not have, and no other one of the row has."""
    match column.type:
        case sa.Boolean():
            return not value
        case UtcDateTime():
            return (value or datetime(2029, 1, 1, tzinfo=UTC)) + timedelta(days=len(column.name))
        case sa.Date():
            return (value or date(2029, 1, 1)) + timedelta(days=1)
        case sa.Integer():
            return (value or 0) + 1
        case sa.Double():
            return 0.75
        case _:
            return f"another {column.name}"


@pytest.mark.parametrize(
    ("table", "name"), TRAVELS, ids=[f"{table.name}.{name}" for table, name in TRAVELS]
)
def test_a_column_that_changes_alone_arrives(pair: Pair, table: sa.Table, name: str) -> None:
    rows = {uid: pair.row(table, uid, at_hub=True) for uid in OF[table.name]}
    # of a card and a PIN the one that has such a value, as they have none of each other's
    uid = next((u for u, row in rows.items() if row[name] is not None), OF[table.name][0])
    wanted = another(table.c[name], rows[uid][name])
    before = pair.row(table, uid)
    change = sa.update(table).where(table.c.id == rows[uid]["id"]).values({name: wanted})
    pair.change(lambda session: session.execute(change), change_feed.PERSON, "p1")
    after = pair.row(table, uid)
    assert after[name] == wanted
    derived = {*COUNTED, *STAYS[table.name], name}
    assert {k: v for k, v in after.items() if k not in derived} == {
        k: v for k, v in before.items() if k not in derived
    }


def test_a_person_is_the_same_on_hub_and_gate(pair: Pair) -> None:
    with pair.hub.database.read() as session:
        gate = gate_store.by_name(session, "north")
        there = scope.of(session, gate, ["p1"])["p1"]
    with pair.gate.database.read() as session:
        (here,) = person_states.read(session, tables.persons.c.uid == "p1", from_hub=True)
    paths = {"encoding_path": None, "image_path": None}
    there, here = (
        p.model_copy(
            update={
                "version": 0,
                "enrollments": tuple(e.model_copy(update=paths) for e in p.enrollments),
            }
        )
        for p in (there, here)
    )
    assert here == there


def test_groups_of_a_person_arrive(pair: Pair) -> None:
    members = tables.group_members

    def leave(session: Session) -> None:
        session.execute(sa.delete(members))

    pair.change(leave, change_feed.PERSON, "p1")
    with pair.gate.database.read() as session:
        assert session.execute(sa.select(members)).all() == []


# --- other kinds: by the fields of their states ---------------------------------------------------


@dataclass(frozen=True)
class Field:
    """One field of a kind: what changes it on the hub, what it is at the gate, and is then.

    more: what is to be noted besides the thing itself.
    """

    change: Callable[[Session], object]
    at_gate: Callable[[Workspace, Session], Any]
    wanted: Any


def changed(table: sa.Table, **values: Any) -> Callable[[Session], object]:
    return lambda session: session.execute(sa.update(table).values(**values))


def column(table: sa.Table, name: str) -> Callable[[Workspace, Session], Any]:
    return lambda _, session: session.execute(sa.select(table.c[name])).scalar_one()


def _editor(session: Session) -> editor_store.Editor:
    (editor,) = editor_store.list_(session)
    return editor


def _given(session: Session) -> assigned_config.AssignedConfig:
    given = assigned_config.load(session).pending
    assert given is not None
    return given


def _rules(session: Session) -> list[Any]:
    (rules,) = access_store.rules_of_groups(session).values()
    return rules


def _begin(session: Session) -> None:
    """Note who began the roll-out."""
    whose = {"chain": "hub/1", "seq": 1}
    private = {"role": "actor", "salt": "00", "payload": '{"name": "olga"}'}
    session.execute(sa.insert(tables.journal_private).values(**whose, **private))
    session.execute(sa.update(tables.rollouts).values(**whose))


def again(change: Callable[[Session], object], uid: str) -> Callable[[Session], object]:
    """A change of settings, which are given again: a gate takes each giving once."""

    def both(session: Session) -> None:
        change(session)
        session.execute(sa.update(tables.given_settings).values(uid=uid))

    return both


WEEK = [["07:00-08:00"]] * 7
FIRST = date(2026, 1, 1)
S, R = tables.schedules, tables.group_rules

FIELDS: Mapping[tuple[str, str], Field] = {
    ("schedule", "name"): Field(changed(S, name="Bureau"), column(S, "name"), "Bureau"),
    ("schedule", "week"): Field(changed(S, week=WEEK), column(S, "week"), WEEK),
    ("schedule", "holiday"): Field(changed(S, holiday=None), column(S, "holiday"), None),
    ("schedule", "exceptions"): Field(
        changed(tables.schedule_exceptions, day=FIRST, hours=[]),
        lambda _, session: schedule_store.list_(session)[0].exceptions,
        {FIRST: []},
    ),
    ("group", "name"): Field(
        changed(tables.groups, name="Crew", name_key="crew"), column(tables.groups, "name"), "Crew"
    ),
    ("group", "planned_hours"): Field(
        changed(tables.groups, planned_hours=38.5), column(tables.groups, "planned_hours"), 38.5
    ),
    ("group", "late_after"): Field(
        changed(tables.groups, late_after="08:15"), column(tables.groups, "late_after"), "08:15"
    ),
    ("group", "here"): Field(
        lambda session: session.execute(sa.delete(R).where(R.c.gate.is_(None))),
        lambda _, session: [r.schedule_id is None for r in _rules(session) if r.gate is None],
        [False],
    ),
    ("group", "elsewhere"): Field(
        lambda session: session.execute(sa.delete(R).where(R.c.gate == "south")),
        lambda _, session: [r for r in _rules(session) if r.gate == access_store.ELSEWHERE],
        [],
    ),
    ("site", "rules"): Field(
        changed(tables.sites, rules={"occupancy": 8}),
        column(tables.sites, "rules"),
        {"occupancy": 8},
    ),
    ("site", "holidays"): Field(
        changed(tables.holidays, day=FIRST, name="New year"),
        lambda _, session: {h.day: h.name for h in site_store.list_holidays(session)},
        {FIRST: "New year"},
    ),
    ("site", "timezone"): Field(
        changed(tables.sites, timezone="Asia/Tokyo"), column(tables.sites, "timezone"), "Asia/Tokyo"
    ),
    ("operator", "salt"): Field(
        changed(tables.editors, salt="12" * 16), column(tables.editors, "salt"), "12" * 16
    ),
    ("operator", "public_key"): Field(
        changed(tables.editors, public_key="34" * 32),
        column(tables.editors, "public_key"),
        "34" * 32,
    ),
    ("operator", "groups"): Field(
        changed(tables.groups, name="Team", name_key="team"),
        lambda _, session: dict(_editor(session).groups),
        {"g1": "Team"},
    ),
    ("operator", "everyone"): Field(
        changed(tables.editors, everyone=True), column(tables.editors, "everyone"), True
    ),
    ("operator", "at_once"): Field(
        changed(tables.gates, edits="pending"), column(tables.editors, "at_once"), False
    ),
    ("edit", "state"): Field(
        changed(tables.fleet_edits, state="accepted"),
        column(tables.edge_edits, "state"),
        "accepted",
    ),
    ("edit", "reason"): Field(
        changed(tables.fleet_edits, reason="no such card"),
        column(tables.edge_edits, "reason"),
        "no such card",
    ),
    ("settings", "given"): Field(
        changed(tables.given_settings, uid="v2"), lambda _, session: _given(session).uid, "v2"
    ),
    ("settings", "settings"): Field(
        again(changed(tables.configurations, settings={"access": {"cooldown_s": 9.0}}), "v3"),
        lambda _, session: _given(session).values,
        {"access": {"cooldown_s": 9.0}},
    ),
    ("settings", "by"): Field(again(_begin, "v4"), lambda _, session: _given(session).by, "olga"),
    ("settings", "revision"): Field(
        again(changed(tables.given_settings, configuration_id=None), "v5"),
        lambda _, session: _given(session).revision,
        0,
    ),
    ("credential_keys", "keys"): Field(
        lambda session: settings_store.set_(session, credential_keys.COUNT, 2),
        lambda gate, session: len(credential_keys.of_hub(gate, session)),
        2,
    ),
}

FIXED = {
    ("operator", "username"): "an account never has another name",
    ("operator", "derivation"): "there is one",
}

UIDS = {
    "schedule": "s1",
    "group": "g1",
    "site": "w1",
    "operator": "o1",
    "edit": "x1",
    "settings": "settings",
    "credential_keys": "all",
}


def test_every_field_of_every_kind_is_looked_at() -> None:
    others = [kind for kind in KINDS.values() if kind.name != change_feed.PERSON]
    fields = {(kind.name, field) for kind in others for field in kind.state.model_fields}
    assert fields == FIELDS.keys() | FIXED.keys()
    hanging = {"groups", "enrollments", "access", "credentials"}
    assert PersonState.model_fields.keys() == {*person_states.OWN, *hanging, "uid", "version"}


@pytest.mark.parametrize(("kind", "name"), list(FIELDS))
def test_a_field_that_changes_alone_arrives(pair: Pair, kind: str, name: str) -> None:
    field = FIELDS[kind, name]

    def at_gate() -> Any:
        with pair.gate.database.read() as session:
            return field.at_gate(pair.gate, session)

    if kind == change_feed.EDIT:
        with pair.gate.database.write() as session:
            session.execute(sa.delete(tables.edge_edits))
            edge_edit_store.add(
                session, uid="x1", kind="change", person="p1", operator="olga", made_at=JANUARY,
                effect={}, at_once=False, wire={},
            )  # fmt: skip
    assert at_gate() != field.wanted
    pair.change(field.change, kind, UIDS[kind])
    assert at_gate() == field.wanted


# --- states by themselves -------------------------------------------------------------------------


def states() -> Iterator[type[State]]:
    """Every class of states that nobody derives from."""
    left: list[type[State]] = [State]
    while left:
        cls = left.pop()
        if derived := cls.__subclasses__():
            left += derived
        elif not cls.__pydantic_generic_metadata__["parameters"]:
            yield cls


@pytest.mark.parametrize("cls", list(states()), ids=lambda cls: cls.__name__)
def test_states_that_differ_in_one_field_are_different(cls: type[State]) -> None:
    made = cls.of(**dict.fromkeys(cls.model_fields, 1))
    assert made == cls.of(**dict.fromkeys(cls.model_fields, 1))
    for name in cls.model_fields:
        assert made != made.model_copy(update={name: 2}), name


def test_a_state_needs_every_field_and_no_other() -> None:
    with pytest.raises(TypeError, match="reason"):
        EditState.of(state="refused")
    with pytest.raises(TypeError, match="because"):
        EditState.of(state="refused", reason=None, because="x")


def test_what_makes_no_sense_is_named_without_the_value() -> None:
    with pytest.raises(ValueError, match=r"^state: ") as refused:
        EditState.from_wire(b'{"state": "secret", "reason": null}', MODEL)
    assert "secret" not in str(refused.value)
    # a newer hub may say more than this gate knows
    assert EditState.from_wire(
        b'{"state": "refused", "reason": null, "more": 1}', MODEL
    ) == EditState(state="refused", reason=None)
