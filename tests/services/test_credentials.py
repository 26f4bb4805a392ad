"""Cards, badges and PINs: whose they are, when they count, and how guessing is slowed down."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from gated.config import Settings, StorageSettings
from gated.core.model import Event, Noticed
from gated.devices.clock import ManualClock
from gated.errors import Conflict, Throttled, WeakPassword
from gated.services.credentials import Credentials, require_good_pin
from gated.services.people import People
from gated.services.pins import ALARM_EVERY, FREE_TRIES, GATE_TRIES, PinDesk
from gated.services.references import References
from gated.services.workspace import Workspace
from gated.storage import tables

ADA = {"first_name": "Ada", "last_name": "Byron", "personnel_code": "A1"}
BOB = {"first_name": "Bob", "last_name": "Babbage", "personnel_code": "B1"}
PIN = "2580"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(Settings(storage=StorageSettings(state_dir=tmp_path))) as workspace:
        yield workspace


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def given(workspace: Workspace, clock: ManualClock) -> Credentials:
    return Credentials(workspace, clock)


@pytest.fixture
def ada(workspace: Workspace, clock: ManualClock) -> int:
    return People(workspace, clock).create(ADA, actor="eve").id


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def desk(workspace: Workspace, clock: ManualClock, told: list[Event]) -> PinDesk:
    return PinDesk(workspace, clock, told.append)


def test_a_card_is_known_however_its_number_is_written(given: Credentials, ada: int) -> None:
    given.add(ada, "card", "0012 345A", {"label": "blue"}, actor="eve")
    assert given.whose("card", "0012345a") == ada
    assert given.whose("card", "12-34-5A") == ada
    assert given.whose("card", "12345B") is None
    assert given.whose("qr", "0012 345A") is None


def test_a_badge_shows_its_content_once_and_is_random(given: Credentials, ada: int) -> None:
    first, content = given.add(ada, "qr", None, {}, actor="eve")
    _, other = given.add(ada, "qr", None, {}, actor="eve")
    assert content is not None
    assert content != other
    assert given.whose("qr", content) == ada
    given.update(first.id, {"is_active": False}, actor="eve")
    assert given.whose("qr", content) is None


def test_secrets_lie_nowhere_in_the_database(
    given: Credentials, ada: int, workspace: Workspace
) -> None:
    given.add(ada, "card", "9876543210", {}, actor="eve")
    given.add(ada, "pin", "739146", {}, actor="eve")
    _, content = given.add(ada, "qr", None, {}, actor="eve")
    workspace.database.truncate_log()
    stored = (workspace.settings.storage.state_dir / "attendance.db").read_bytes()
    assert content is not None
    for secret in ("9876543210", "739146", content):
        assert secret.encode() not in stored


def test_the_digest_needs_the_gate_s_key(
    given: Credentials, clock: ManualClock, ada: int, workspace: Workspace, tmp_path: Path
) -> None:
    other = Settings(storage=StorageSettings(state_dir=tmp_path / "other"))
    with Workspace(other) as elsewhere:
        bob = People(elsewhere, clock).create(BOB, actor="eve").id
        Credentials(elsewhere, clock).add(bob, "card", "1234", {}, actor="eve")
        given.add(ada, "card", "1234", {}, actor="eve")
        assert _digests(elsewhere) != _digests(workspace)


def _digests(workspace: Workspace) -> list[str]:
    with workspace.database.read() as session:
        return list(session.execute(sa.select(tables.credentials.c.digest)).scalars())


def test_a_credential_counts_between_its_dates(
    given: Credentials, ada: int, clock: ManualClock
) -> None:
    now = datetime.fromtimestamp(clock.now().utc, UTC)
    dates = {"valid_from": now + timedelta(hours=1), "valid_until": now + timedelta(hours=2)}
    given.add(ada, "card", "4711", dates, actor="eve")
    answers = []
    for _ in range(5):
        answers.append(given.whose("card", "4711"))
        clock.advance(1800)
    assert answers == [None, None, ada, ada, None]


def test_dates_do_not_count_while_nobody_has_set_the_clock(
    workspace: Workspace, given: Credentials, ada: int
) -> None:
    until = datetime(2100, 1, 1, tzinfo=UTC)
    given.add(ada, "card", "4711", {"valid_until": until}, actor="eve")
    given.add(ada, "card", "4712", {}, actor="eve")
    unset = Credentials(workspace, ManualClock(clock_ok=False))
    assert given.whose("card", "4711") == ada
    assert unset.whose("card", "4711") is None
    assert unset.whose("card", "4712") == ada


@pytest.mark.parametrize("pin", ["123", "1111", "1234", "9876", "8901", "7373", "12a4", "", "٠٩٨٧"])
def test_pins_that_are_tried_first_are_refused(pin: str) -> None:
    with pytest.raises(WeakPassword):
        require_good_pin(pin, 4, "A1")


def test_a_pin_is_not_the_personnel_code_and_long_enough() -> None:
    require_good_pin("4826", 4, "A1")
    with pytest.raises(WeakPassword):
        require_good_pin("4826", 4, "4826")
    with pytest.raises(WeakPassword, match="6 to 12"):
        require_good_pin("4826", 6, "A1")


def test_a_pin_counts_for_its_person_only(
    given: Credentials, desk: PinDesk, ada: int, workspace: Workspace, clock: ManualClock
) -> None:
    bob = People(workspace, clock).create(BOB, actor="eve").id
    given.add(ada, "pin", PIN, {}, actor="eve")
    given.add(bob, "pin", "4826", {}, actor="eve")
    with pytest.raises(Conflict):
        given.add(ada, "pin", "4826", {}, actor="eve")
    assert desk.present("A1", PIN) == ada
    assert desk.present("A1", "4826") is None
    assert desk.present("B1", "4826") == bob
    assert desk.present("nobody", PIN) is None


def wrong(desk: PinDesk, clock: ManualClock, times: int) -> None:
    """So many wrong PINs, each after its waiting time."""
    for _ in range(times):
        while True:
            try:
                assert desk.present("A1", "0007") is None
                break
            except Throttled as error:
                clock.advance(error.retry_after)


def test_wrong_pins_cost_more_and_more_time_whatever_comes_between(
    given: Credentials,
    desk: PinDesk,
    ada: int,
    workspace: Workspace,
    clock: ManualClock,
    told: list[Event],
) -> None:
    given.add(ada, "pin", PIN, {}, actor="eve")
    wrong(desk, clock, FREE_TRIES + 4)
    with pytest.raises(Throttled) as refused:
        desk.present("A1", PIN)
    assert refused.value.retry_after == pytest.approx(16)
    # a restart forgives neither the tries nor the time
    clock.advance(1)
    again = PinDesk(workspace, clock, told.append)
    with pytest.raises(Throttled) as refused:
        again.present("A1", PIN)
    assert refused.value.retry_after == pytest.approx(16)
    clock.advance(16)
    assert again.present("A1", PIN) == ada
    assert again.present("A1", "0007") is None
    assert again.present("A1", PIN) == ada


def test_the_gate_has_a_limit_for_all_codes_together(desk: PinDesk) -> None:
    for n in range(GATE_TRIES):
        assert desk.present(f"X{n}", PIN) is None
    with pytest.raises(Throttled):
        desk.present("X", PIN)


def test_wrong_pins_one_after_the_other_are_an_alarm(
    given: Credentials, desk: PinDesk, ada: int, clock: ManualClock, told: list[Event]
) -> None:
    given.add(ada, "pin", PIN, {}, actor="eve")
    wrong(desk, clock, ALARM_EVERY - 1)
    assert told == []
    wrong(desk, clock, 1)
    (alarm,) = told
    assert isinstance(alarm, Noticed)
    assert (alarm.kind, alarm.severity) == ("pin_attempts", "alarm")
    wrong(desk, clock, ALARM_EVERY)
    assert len(told) == 2


def test_who_withdraws_biometrics_keeps_the_card_and_who_is_erased_does_not(
    given: Credentials, ada: int, workspace: Workspace, clock: ManualClock
) -> None:
    given.add(ada, "card", "4711", {}, actor="eve")
    References(workspace, clock).withdraw_biometrics(ada, actor="eve")
    assert given.whose("card", "4711") == ada
    receipt = People(workspace, clock).delete(ada, actor="eve")
    assert receipt.credentials == 1
    assert given.whose("card", "4711") is None
    assert workspace.journal.verify().ok
