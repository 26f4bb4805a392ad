"""The first administrator, by a code that works once."""

from __future__ import annotations

import pytest

from gated.accounts.accounts import Accounts
from gated.accounts.setup import FREE_ATTEMPTS, LIFE_S, FirstAdmin
from gated.devices.clock import ManualClock
from gated.errors import BadCredentials, Conflict, Throttled, WeakPassword
from gated.workspace import Workspace

PASSWORD = "Correct-horse-battery-9"


def code_of(setup: FirstAdmin) -> str:
    code = setup.new_code()
    assert code is not None
    return code


def test_the_code_makes_one_administrator_and_no_second(workspace: Workspace) -> None:
    setup = FirstAdmin(workspace, ManualClock())
    code = code_of(setup)
    assert setup.create(code.lower().replace("-", " "), "anna", PASSWORD).role == "admin"
    with pytest.raises(Conflict):
        setup.create(code, "eve", PASSWORD)
    assert setup.new_code() is None
    assert [a.username for a in Accounts.of(workspace).list_()] == ["anna"]
    with workspace.database.read() as session:
        stored = session.connection().exec_driver_sql("SELECT key, value FROM settings").all()
    assert code not in str(stored)


def test_a_weak_password_does_not_use_the_code_up(workspace: Workspace) -> None:
    setup = FirstAdmin(workspace, ManualClock())
    code = code_of(setup)
    with pytest.raises(WeakPassword):
        setup.create(code, "anna", "short")
    assert setup.create(code, "anna", PASSWORD).username == "anna"


def test_codes_that_do_not_open(workspace: Workspace) -> None:
    clock = ManualClock()
    setup = FirstAdmin(workspace, clock)
    with pytest.raises(BadCredentials):
        setup.create("", "anna", PASSWORD)
    old = code_of(setup)
    code = code_of(setup)
    for wrong in (old, code[:-1]):
        with pytest.raises(BadCredentials):
            setup.create(wrong, "anna", PASSWORD)
    clock.advance(LIFE_S)
    with pytest.raises(BadCredentials):
        setup.create(code, "anna", PASSWORD)


@pytest.mark.parametrize("off_s", [400 * 86_400.0, -400 * 86_400.0])
def test_a_code_is_valid_for_a_day_also_when_the_clock_is_set_afterwards(
    workspace: Workspace, off_s: float
) -> None:
    clock = ManualClock()
    setup = FirstAdmin(workspace, clock)
    code = code_of(setup)
    clock.step_utc(off_s)
    clock.advance(LIFE_S)
    with pytest.raises(BadCredentials):
        setup.create(code, "anna", PASSWORD)
    code = code_of(setup)
    clock.advance(LIFE_S - 1)
    clock.step_utc(-off_s)
    assert setup.create(code, "anna", PASSWORD).username == "anna"


@pytest.mark.parametrize(("off_s", "works"), [(-1.0, False), (60.0, True), (LIFE_S, False)])
def test_after_a_restart_of_the_machine_the_time_of_day_counts(
    workspace: Workspace, off_s: float, works: bool
) -> None:
    code = code_of(FirstAdmin(workspace, ManualClock()))
    workspace.journal.boot = "another one"
    setup = FirstAdmin(workspace, ManualClock(mono=5.0, utc=ManualClock().utc + off_s))
    if works:
        assert setup.create(code, "anna", PASSWORD).username == "anna"
    else:
        with pytest.raises(BadCredentials):
            setup.create(code, "anna", PASSWORD)


def test_guessing_is_slowed_down(workspace: Workspace) -> None:
    setup = FirstAdmin(workspace, ManualClock())
    code_of(setup)
    for _ in range(FREE_ATTEMPTS):
        with pytest.raises(BadCredentials):
            setup.create("AAAA-AAAA-AAAA-AAAA", "anna", PASSWORD)
    with pytest.raises(Throttled):
        setup.create("AAAA-AAAA-AAAA-AAAA", "anna", PASSWORD)
    assert Accounts.of(workspace).list_() == []


def test_wrong_codes_of_strangers_do_not_block_the_right_one(workspace: Workspace) -> None:
    setup = FirstAdmin(workspace, ManualClock())
    code = code_of(setup)
    for n in range(40):
        with pytest.raises((BadCredentials, Throttled)):
            setup.create("AAAA-AAAA-AAAA-AAAA", "eve", PASSWORD, f"192.0.2.{n % 4}")
    assert setup.create(code, "anna", PASSWORD, "192.0.2.1").username == "anna"
