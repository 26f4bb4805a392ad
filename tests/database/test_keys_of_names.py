"""Codes and names are compared, whatever way they are typed; what was there before stays."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.orm import Session

from gated.access import schedule_store, site_store
from gated.config import GateSettings, Settings, StorageSettings
from gated.database import account_store, migrate, rows, spellings
from gated.database.engine import Database
from gated.database.records import Person
from gated.database.tables import gates as gates_table
from gated.database.tables import utcnow
from gated.errors import Conflict, TextRefused
from gated.fleet.hub import gate_store
from gated.fleet.hub.fleet import Fleet
from gated.people import group_store, person_store
from tests.workspaces import open_workspace

SPELLINGS = ("K01", "k01", "Ｋ０１", "\u212a01", "K０1", " k01 ")


def _add(session: Session, code: str, **more: Any) -> Person:
    return person_store.add(
        session, first_name="Anna", last_name="Berg", personnel_code=code, **more
    )


@pytest.mark.parametrize("spelling", SPELLINGS[1:])
def test_one_code_is_one_person_however_it_is_typed(db: Database, spelling: str) -> None:
    with db.write() as session:
        anna = _add(session, "K01")
        with pytest.raises(Conflict, match=f"already belongs to person {anna.id}"):
            _add(session, spelling)
        found = person_store.by_code(session, spelling)
    assert found is not None
    assert (found.id, found.personnel_code) == (anna.id, "K01")


def test_a_code_may_be_spelt_anew_but_not_as_somebody_elses(db: Database) -> None:
    with db.write() as session:
        anna, carl = _add(session, "e17"), _add(session, "e18")
        assert person_store.update(session, anna.id, personnel_code="E17").personnel_code == "E17"
        with pytest.raises(Conflict):
            person_store.update(session, carl.id, personnel_code="ｅ17")


def test_names_are_stored_composed_and_without_what_is_hidden(db: Database) -> None:
    with db.write() as session:
        jose = _add(session, "1", department="  Cafe\u0301 ")
        changed = person_store.update(session, jose.id, first_name="Jose\u0301")
        assert (changed.first_name, changed.department) == ("José", "Café")
        hidden = {"first_name": "A\u202e", "department": "\u200bX", "email": "a\u200d@b.c"}
        for name, value in hidden.items():
            wanted: dict[str, Any] = {name: value}
            with pytest.raises(TextRefused, match=name):
                person_store.update(session, jose.id, **wanted)
        with pytest.raises(TextRefused, match="personnel_code"):
            _add(session, "K\ufeff01")
        for add in (
            lambda: group_store.add(session, "no\u200brth"),
            lambda: schedule_store.add(session, "no\u200brth", [()] * 7),
            lambda: gate_store.add(session, "no\u200brth", "s", status={}, feed=1, cursor=0),
            lambda: gate_store.add(session, "north", "\u2066s", status={}, feed=1, cursor=0),
            lambda: account_store.add(session, "no\u200brth", "admin", "x"),
        ):
            with pytest.raises(TextRefused):
                add()


def test_people_are_found_without_accents_and_sorted_as_in_a_dictionary(db: Database) -> None:
    with db.write() as session:
        for number, name in enumerate(["Zola", "Ärger", "adam", "Łuk", "Lund", "Émile"]):
            _add(session, str(number), department=name)
        found, _ = person_store.list_(session, sort="department")
        assert [p.department for p in found] == ["adam", "Ärger", "Émile", "Łuk", "Lund", "Zola"]
        back, _ = person_store.list_(session, sort="-department")
        assert back == found[::-1]
        assert [p.department for p in person_store.list_(session, q="LUK")[0]] == ["Łuk"]
        assert [p.department for p in person_store.list_(session, q="emile")[0]] == ["Émile"]
        assert person_store.list_(session, department="ÉMILE")[1] == 1


def test_names_of_groups_schedules_gates_and_accounts_are_compared_alike(db: Database) -> None:
    with db.write() as session:
        group = group_store.add(session, "Büro")
        schedule = schedule_store.add(session, "Tag", [()] * 7)
        gate = gate_store.add(session, "gate1 ", "Berlin ", status={}, feed=1, cursor=0)
        account_store.add(session, "Anna", "admin", "x")
        assert (gate.name, gate.site) == ("gate1", "Berlin")
        for add in (
            lambda: group_store.add(session, "BU\u0308RO"),
            lambda: schedule_store.add(session, "ＴＡＧ", [()] * 7),
            lambda: gate_store.add(session, "Gate１", "x", status={}, feed=1, cursor=0),
            lambda: account_store.add(session, "ＡNNA", "admin", "x"),
        ):
            with pytest.raises(Conflict, match="already"):
                add()
        assert group_store.ids(session, ["büro"]) == [group.id]
        assert group_store.update(session, group.id, name="BÜRO").name == "BÜRO"
        assert schedule_store.update(session, schedule.id, name="TAG").name == "TAG"
        assert gate_store.by_name(session, " GATE1").id == gate.id
        other = gate_store.add(session, "gate2", "BERLIN", status={}, feed=1, cursor=0)
        assert other.site == "Berlin"


def test_the_rules_of_a_site_hold_however_its_name_is_typed(db: Database) -> None:
    with db.write() as session:
        site_store.set_rules(session, "Berlin", {"limit": 3})
        site_store.set_rules(session, "ｂerlin", {"limit": 4})
        assert site_store.rules(session, " BERLIN").values == {"limit": 4}


# --- what was there before ---


@contextlib.contextmanager
def _before(db: Database, revision: str = "0002") -> Any:
    """An older schema, by default that from before there were keys."""
    with db.engine.begin() as connection:
        if db.sqlite:
            connection.exec_driver_sql("PRAGMA query_only = OFF")
        command.downgrade(migrate.configuration(connection), revision)
        yield connection
    db.upgrade()


_OLD_PERSON = """
INSERT INTO persons (uid, first_name, last_name, personnel_code, department, email, email_key,
                     is_active, search, extended_unlock, version, created_at, updated_at)
VALUES (:uid, :first, 'Berg', :code, 'Cafe\u0301', :email, :email, true, '', false, 1,
        '2026-01-01 00:00:00', '2026-01-01 00:00:00')
"""
_OLD_NAMED = """
INSERT INTO {table} (uid, {name}, {name}_key, {more}, version, created_at, updated_at)
VALUES (:uid, :name, :key, {values}, 1, '2026-01-01 00:00:00', '2026-01-01 00:00:00')
"""


def _old_person(connection: sa.Connection, code: str, first: str, email: str | None = None) -> None:
    told = {"uid": f"u-{code}", "code": code, "first": first, "email": email}
    connection.execute(sa.text(_OLD_PERSON), told)


def test_people_whose_codes_are_alike_now_both_stay(db: Database) -> None:
    codes = ("K01", "k01", "K\u200b01", "Ｋ０１", "K02")
    with _before(db) as connection:
        for code in codes:
            _old_person(connection, code, "Jose\u0301\u200b", f"{code[-1]}{code}@x.org")
    with db.write() as session:
        found, total = person_store.list_(session)
        assert total == len(codes)
        assert {p.first_name for p in found} == {"José"}
        assert {p.department for p in found} == {"Café"}
        assert [p.personnel_code for p in found] == list(codes)
        for person in found:
            known = person_store.by_code(session, person.personnel_code)
            assert known is not None
            assert known.id == person.id
        assert {own for own, _ in person_store.alike(session)} == set(codes[1:4])
        assert {other for _, other in person_store.alike(session)} == {"K01"}
        # each can be changed, and one that is given a code of its own is like no other any more
        for person in found:
            person_store.update(session, person.id, phone="1", email=person.email)
        person_store.update(session, found[1].id, personnel_code="K03")
        assert len(person_store.alike(session)) == 2
        with pytest.raises(Conflict):
            _add(session, "K01")


def test_accounts_and_gates_whose_names_are_alike_now_both_stay(db: Database) -> None:
    with _before(db) as connection:
        for n, name in enumerate(("anna", "ａnna")):
            told = {"uid": f"a{n}", "name": name, "key": name}
            more = {"more": "role, password_hash, is_active", "values": "'admin', 'x', true"}
            statement = _OLD_NAMED.format(table="accounts", name="username", **more)
            connection.execute(sa.text(statement), told)
        for n, name in enumerate(("gate1", "gate1 ", "Gäte\u0300 9")):
            told = {"uid": f"g{n}", "name": name, "key": name.casefold()}
            columns = "site, everyone, photos, edits, status, troubled, feed, cursor"
            values = "'s', false, false, 'none', '{}', false, 1, 0"
            statement = _OLD_NAMED.format(table="gates", name="name", more=columns, values=values)
            connection.execute(sa.text(statement), told)
    with db.write() as session:
        assert [a.username for a in account_store.list_(session)] == ["anna", "ａnna"]
        assert len(gate_store.list_(session)) == 3
        found, _ = gate_store.page(
            session, gate_store.Wanted(q="gate 9", silent_before=utcnow()), "name", None, 0
        )
        assert [g.name for g in found] == ["Gäte\u0300 9".replace("e\u0300", "è")]
        for gate in gate_store.list_(session):
            gate_store.update(session, gate.id, everyone=True)
        first = rows.one(session, gates_table, [gates_table.c.name_key], uid="g0")
        assert first == ("gate1",)


def test_gates_of_a_site_in_two_spellings_stand_at_one(db: Database, tmp_path: Path) -> None:
    with _before(db, "0003") as connection:
        for n, site in enumerate(("Works", "works ", "WORKS", "office")):
            columns = "search, site, everyone, photos, edits, status, troubled, feed, cursor"
            values = f"'', '{site}', false, false, 'none', '{{}}', false, 1, 0"
            statement = _OLD_NAMED.format(table="gates", name="name", more=columns, values=values)
            told = {"uid": f"g{n}", "name": f"gate{n}", "key": f"gate{n}"}
            connection.execute(sa.text(statement), told)
    with db.read() as session:
        assert [g.site for g in gate_store.list_(session)] == ["Works", "Works", "Works", "office"]
    url = db.engine.url.render_as_string(hide_password=False)
    settings = Settings(
        gate=GateSettings(site="wOrks"),
        storage=StorageSettings(state_dir=tmp_path / "state", database_url=url),
    )
    # a hub that is a gate of this site itself is where the others are
    with open_workspace(settings) as workspace:
        assert workspace.settings.gate.site == "Works"
        invited, _ = Fleet.of(workspace).invite("gate9", "ＷＯＲＫＳ", {}, actor="test")
        assert invited.gate.site == "Works"
    with db.read() as session:
        assert spellings.site_of_gates(session, "elsewhere") == "elsewhere"


def test_whatever_differs_in_spelling_alone_is_found(db: Database) -> None:
    with _before(db) as connection:
        for n, name in enumerate(("Works", "works")):
            told = {"uid": f"s{n}", "name": name}
            connection.execute(
                sa.text(
                    "INSERT INTO sites (uid, name, rules, version, created_at, updated_at) VALUES "
                    "(:uid, :name, '{}', 1, '2026-01-01 00:00:00', '2026-01-01 00:00:00')"
                ),
                told,
            )
    with db.read() as session:
        assert spellings.alike(session) == [("site", "works", "Works")]
