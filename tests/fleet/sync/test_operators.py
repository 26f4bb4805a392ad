"""Who may work at which gate: known there by a key that follows from the password, until not."""

from __future__ import annotations

import json

import pytest

from gated.accounts.accounts import Accounts
from gated.accounts.operator_keys import OperatorKey, SigningKeys
from gated.core.values import Instant
from gated.database import account_store, editor_store
from gated.errors import BadCredentials, BelongsToHub, Conflict, NotFound, NotSignedIn
from gated.people.groups import Groups
from tests.changes import done_by
from tests.fleet.sync.test_down import hire, pull_all
from tests.fleet.sync.world import ACTOR, World

PASSWORD = "Correct-horse-battery-9"
OTHER = "Another-long-password-7"


@pytest.fixture
def engine() -> str:
    return "sqlite"


def olga(world: World, *groups: str) -> None:
    """An operator of the hub who has signed in there since she was allowed to edit."""
    hub = world.hub.services
    hub.accounts.create("olga", "operator", PASSWORD, actor=ACTOR)
    hub.operators.allow("olga", groups, everyone=not groups, actor=ACTOR)
    hub.accounts.sign_in("olga", PASSWORD, "desk")


def known_at(world: World, **wanted: object) -> set[str]:
    gate = world.gate(f"gate-{json.dumps(wanted)}", **wanted)
    pull_all(gate)
    with gate.workspace.database.read() as session:
        return {e.username for e in editor_store.list_(session) if e.from_hub}


def test_an_operator_signs_in_at_a_gate_with_the_hubs_password(world: World) -> None:
    olga(world)
    gate = world.gate("north", everyone=True, edits="at_once")
    pull_all(gate)
    here = Accounts.of(gate.workspace)
    with pytest.raises(BadCredentials):
        here.sign_in("olga", OTHER, "desk")
    token, _ = here.sign_in("olga", PASSWORD, "desk")
    principal = here.verify_token(token)
    assert (principal.username, principal.role) == ("olga", "operator")
    with gate.workspace.database.read() as session:
        account = account_store.by_username(session, "olga")
        rows = repr(session.connection().exec_driver_sql("SELECT * FROM accounts").all())
    assert account is not None
    assert "argon2" not in rows  # no hash of the password has come here
    key = here.signing.get(principal.session)
    assert key is not None
    with gate.workspace.database.read() as session:
        editor = editor_store.find(session, account.id)
    assert editor is not None
    assert editor.public_key == key.public_key
    here.sign_out(token, principal)
    assert here.signing.get(principal.session) is None


@pytest.mark.long
def test_gates_know_those_who_may_work_there_and_nobody_else(world: World) -> None:
    hire(world.hub.workspace, "staff"), hire(world.hub.workspace, "guests")
    olga(world, "staff")
    hub = world.hub.services
    hub.accounts.create("new", "operator", PASSWORD, actor=ACTOR)
    hub.operators.allow("new", ["staff"], everyone=False, actor=ACTOR)  # and never signed in
    assert known_at(world, groups=["staff"], edits="at_once") == {"olga"}
    assert known_at(world, groups=["guests"], edits="at_once") == set()
    assert known_at(world, everyone=True, edits="pending") == {"olga"}
    assert known_at(world, everyone=True) == set()


def test_whatever_ends_a_right_ends_it_at_the_gates(world: World) -> None:
    person = hire(world.hub.workspace, "staff")
    hub = world.hub.services
    hub.accounts.create("olga", "operator", PASSWORD, actor=ACTOR, person_id=person.id)
    hub.operators.allow("olga", ["staff"], everyone=False, actor=ACTOR)
    hub.accounts.sign_in("olga", PASSWORD, "desk")
    gate = world.gate("north", groups=["staff"], edits="at_once")
    here = Accounts.of(gate.workspace)

    def out() -> bool:
        pull_all(gate)
        try:
            here.verify_token(token)
        except NotSignedIn:
            return True
        return False

    def signed_in(password: str = PASSWORD) -> str:
        pull_all(gate)
        return here.sign_in("olga", password, "desk")[0]

    token = signed_in()
    assert not out()
    hub.accounts.set_password("olga", OTHER, actor=ACTOR)
    assert out()
    with pytest.raises(BadCredentials):
        here.sign_in("olga", PASSWORD, "desk")
    token = signed_in(OTHER)
    done_by(ACTOR, hub.accounts.disable, "olga")
    assert out()
    done_by(ACTOR, hub.accounts.enable, "olga")
    token = signed_in(OTHER)
    done_by(ACTOR, hub.people.set_active, person.id, False)
    assert out()
    done_by(ACTOR, hub.people.set_active, person.id, True)
    token = signed_in(OTHER)
    (group,) = Groups.of(world.hub.workspace).list_()
    done_by(ACTOR, Groups.of(world.hub.workspace).delete, group.id)
    assert out()


@pytest.mark.long
def test_what_the_hub_gave_is_not_changed_here_and_own_accounts_stay(world: World) -> None:
    olga(world)
    gate = world.gate("north", everyone=True, edits="at_once")
    here = Accounts.of(gate.workspace)
    here.create("olga", "admin", OTHER, actor=ACTOR)
    pull_all(gate)
    assert here.verify_token(here.sign_in("olga", OTHER, "desk")[0]).role == "admin"
    hers, _ = here.sign_in("olga@hub", PASSWORD, "desk")
    assert here.verify_token(hers).role == "operator"
    for act in (
        lambda: here.set_password("olga@hub", OTHER, actor=ACTOR),
        lambda: done_by(ACTOR, here.disable, "olga@hub"),
        lambda: done_by(ACTOR, here.set_role, "olga@hub", "admin"),
        lambda: done_by(ACTOR, here.delete, "olga@hub"),
    ):
        with pytest.raises(BelongsToHub):
            act()
    world.hub.services.operators.forbid("olga", actor=ACTOR)
    pull_all(gate)
    assert [a.username for a in here.list_()] == ["olga"]


def test_only_accounts_of_people_who_see_people_work_at_gates(world: World) -> None:
    hub = world.hub.services
    hub.accounts.create("nobody", "auditor", PASSWORD, actor=ACTOR)
    with pytest.raises(Conflict):
        hub.operators.allow("nobody", (), everyone=True, actor=ACTOR)
    for name in ("nobody", "who"):
        with pytest.raises(NotFound):
            hub.operators.forbid(name, actor=ACTOR)


def test_a_key_follows_from_password_and_salt_alone() -> None:
    salt = "00" * 16
    first = OperatorKey("Stra\u00dfe-und-Br\u00fccke", salt)
    # typed on another keyboard: the umlaut in two characters
    assert OperatorKey("Stra\u00dfe-und-Bru\u0308cke", salt).public_key == first.public_key
    assert OperatorKey("Strasse-und-Br\u00fccke", salt).public_key != first.public_key
    assert OperatorKey("Stra\u00dfe-und-Br\u00fccke", "11" * 16).public_key != first.public_key


def test_keys_are_bounded_and_end_with_their_sessions() -> None:
    now = Instant(mono=0.0, utc=1000.0)
    times = [now.utc]
    keys, key = SigningKeys(lambda: times[0]), OperatorKey(PASSWORD, "00" * 16)
    for n in range(70):
        keys.keep(f"s{n}", key, until=2000.0)
    assert [keys.get("s0"), keys.get("s69")] == [None, key]
    times[0] = 2000.0
    assert keys.get("s69") is None
