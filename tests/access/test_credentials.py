"""Cards, badges and PINs: whose they are, when they count, and how guessing is slowed down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from gated.access.credentials import Credentials, require_good_pin
from gated.access.pins import ALARM_EVERY, FREE_TRIES, GATE_EVERY_S, GATE_TRIES, PinCheck
from gated.config import AuthSettings, CredentialSettings, Settings, StorageSettings
from gated.core.messages import Event, Noticed
from gated.database import tables
from gated.devices.clock import ManualClock
from gated.devices.readers import EVENT, Keystrokes, keystrokes
from gated.enrollment.enrollments import Enrollments
from gated.errors import CardRefused, Conflict, Throttled, WeakPassword
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by
from tests.enrollment.offices import kinds
from tests.fixtures.server import QUICK_HASHES
from tests.workspaces import open_workspace

ADA = {"first_name": "Ada", "last_name": "Byron", "personnel_code": "A1"}
BOB = {"first_name": "Bob", "last_name": "Babbage", "personnel_code": "B1"}
PIN = "2580"
QUICK = AuthSettings(**QUICK_HASHES)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(storage=StorageSettings(state_dir=tmp_path), auth=QUICK)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def given(workspace: Workspace, clock: ManualClock) -> Credentials:
    return Credentials(workspace, clock)


@pytest.fixture
def ada(workspace: Workspace, clock: ManualClock) -> int:
    return done_by("eve", People(workspace, clock).create, ADA).id


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def desk(workspace: Workspace, clock: ManualClock, told: list[Event]) -> PinCheck:
    return PinCheck(workspace, clock, told.append)


def test_a_card_is_known_however_its_number_is_written(given: Credentials, ada: int) -> None:
    given.add(ada, "card", "0012345A", {"label": "blue"}, actor="eve")
    assert given.whose("card", "0012345a") == ada
    assert given.whose("card", "12345A") == ada
    assert given.whose("card", "12345B") is None
    assert given.whose("qr", "0012345A") is None


def given_with(workspace: Workspace, clock: ManualClock, **settings: object) -> Credentials:
    """Cards of a gate whose settings have changed."""
    workspace.settings = workspace.settings.model_copy(
        update={"credentials": CredentialSettings.model_validate(settings)}
    )
    return Credentials(workspace, clock)


def test_separators_are_part_of_a_number(
    given: Credentials, ada: int, workspace: Workspace, clock: ManualClock
) -> None:
    bob = done_by("eve", People(workspace, clock).create, BOB).id
    given.add(ada, "card", "1-23456", {}, actor="eve")
    given.add(bob, "card", "12-3456", {}, actor="eve")
    assert (given.whose("card", "001:23456"), given.whose("card", "12-3456")) == (ada, bob)
    assert given.whose("card", "123456") is None


def test_a_facility_code_is_told_from_the_number_by_the_format(
    given: Credentials, ada: int, workspace: Workspace, clock: ManualClock
) -> None:
    bob = done_by("eve", People(workspace, clock).create, BOB).id
    given.add(ada, "card", "0012345678", {}, actor="eve")
    digits = given_with(workspace, clock, card_format="facility_digits")
    assert digits.whose("card", "0012345678") == ada, "given before the format was set"
    digits.add(bob, "card", "1-23456", {}, actor="eve")
    assert digits.whose("card", "00123456") == bob
    bits = given_with(workspace, clock, card_format="facility_bits")
    with pytest.raises(Conflict):
        bits.add(bob, "card", "0012345678", {}, actor="eve")
    bits.add(bob, "card", "188,24911", {}, actor="eve")
    assert bits.whose("card", "0012345679") == bob


@pytest.mark.parametrize("longest", [8, 12, 32])
def test_what_is_given_is_what_a_reader_takes(
    ada: int, workspace: Workspace, clock: ManualClock, longest: int
) -> None:
    given = given_with(workspace, clock, card_length=longest)
    for length in (*range(1, 6), longest, longest + 1):
        number = ("9070605040302010" * 3)[:length]
        strokes = Keystrokes(longest, 1.0)
        read = [
            told
            for seconds, micros, kind, code, value in EVENT.iter_unpack(keystrokes(number))
            if kind == 1 and value == 1 and (told := strokes.key(code, seconds + micros / 1e6))
        ]
        try:
            given.add(ada, "card", number, {}, actor="eve")
        except CardRefused:
            assert read == []
        else:
            assert read == [number]


def test_a_reader_that_types_separators_is_understood() -> None:
    strokes = Keystrokes(32, 1.0)
    events = EVENT.iter_unpack(keystrokes("188,24910"))
    keys = [(s + m / 1e6, code) for s, m, kind, code, value in events if (kind, value) == (1, 1)]
    assert [strokes.key(code, at) for at, code in keys][-1] == "188,24910"


@pytest.mark.parametrize("number", ["0000", "00000000", "1111", "FFFF", "1234", "98765", "0-000"])
def test_numbers_that_anybody_would_try_are_refused(
    given: Credentials, ada: int, number: str
) -> None:
    with pytest.raises(CardRefused, match="easy to guess"):
        given.add(ada, "card", number, {}, actor="eve")
    assert given.list_(ada) == []


def test_the_owner_of_a_card_is_looked_up_and_that_is_journaled(
    given: Credentials, ada: int, workspace: Workspace
) -> None:
    card, _ = given.add(ada, "card", "4711", {"label": "blue"}, actor="eve")
    done_by("eve", given.update, card.id, {"is_active": False})
    known = done_by("mallory", given.owner, "004711")
    assert known is not None
    person, found = known
    assert (person.id, found.label, found.is_active) == (ada, "blue", False)
    assert done_by("mallory", given.owner, "4712") is None
    assert kinds(workspace)[-2:] == ["card_looked_up", "card_looked_up"]


def test_a_badge_shows_its_content_once_and_is_random(given: Credentials, ada: int) -> None:
    first, content = given.add(ada, "qr", None, {}, actor="eve")
    _, other = given.add(ada, "qr", None, {}, actor="eve")
    assert content is not None
    assert content != other
    assert given.whose("qr", content) == ada
    done_by("eve", given.update, first.id, {"is_active": False})
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
    with open_workspace(other) as elsewhere:
        bob = done_by("eve", People(elsewhere, clock).create, BOB).id
        Credentials(elsewhere, clock).add(bob, "card", "8150", {}, actor="eve")
        given.add(ada, "card", "8150", {}, actor="eve")
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
    given: Credentials, desk: PinCheck, ada: int, workspace: Workspace, clock: ManualClock
) -> None:
    bob = done_by("eve", People(workspace, clock).create, BOB).id
    given.add(ada, "pin", PIN, {}, actor="eve")
    given.add(bob, "pin", "4826", {}, actor="eve")
    with pytest.raises(Conflict):
        given.add(ada, "pin", "4826", {}, actor="eve")
    assert desk.present("A1", PIN) == ada
    assert desk.present("A1", "4826") is None
    assert desk.present("B1", "4826") == bob
    assert desk.present("nobody", PIN) is None


def wrong(desk: PinCheck, clock: ManualClock, times: int) -> None:
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
    desk: PinCheck,
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
    again = PinCheck(workspace, clock, told.append)
    with pytest.raises(Throttled) as refused:
        again.present("A1", PIN)
    assert refused.value.retry_after == pytest.approx(16)
    clock.advance(16)
    assert again.present("A1", PIN) == ada
    assert again.present("A1", "0007") is None
    assert again.present("A1", PIN) == ada


def test_the_gate_has_a_limit_for_all_people_together(
    given: Credentials, desk: PinCheck, workspace: Workspace, clock: ManualClock
) -> None:
    people = [
        done_by("eve", People(workspace, clock).create, {"personnel_code": f"P{n}"}).id
        for n in range(GATE_TRIES // 2 + 1)
    ]
    for id_ in people:
        given.add(id_, "pin", PIN, {}, actor="eve")
    for n in range(GATE_TRIES):
        assert desk.present(f"P{n // 2}", "0007") is None
    with pytest.raises(Throttled) as refused:
        desk.present(f"P{len(people) - 1}", PIN)
    assert refused.value.retry_after <= GATE_EVERY_S
    clock.advance(refused.value.retry_after)
    assert desk.present(f"P{len(people) - 1}", PIN) == people[-1]


def test_pins_of_nobody_do_not_block_the_keypad(
    given: Credentials, desk: PinCheck, ada: int
) -> None:
    given.add(ada, "pin", PIN, {}, actor="eve")
    for n in range(3 * GATE_TRIES):
        assert desk.present(f"X{n}", PIN) is None
    assert desk.present("A1", PIN) == ada


def test_a_code_without_a_pin_waits_like_one_that_has_one(desk: PinCheck) -> None:
    for code in ("X1", "x1", " X1"):
        assert desk.present(code, PIN) is None
    with pytest.raises(Throttled):
        desk.present("X1", PIN)


def test_wrong_pins_one_after_the_other_are_an_alarm(
    given: Credentials, desk: PinCheck, ada: int, clock: ManualClock, told: list[Event]
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
    done_by("eve", Enrollments(workspace, clock).withdraw_biometrics, ada)
    assert given.whose("card", "4711") == ada
    receipt = done_by("eve", People(workspace, clock).delete, ada)
    assert receipt.credentials == 1
    assert given.whose("card", "4711") is None
    assert workspace.journal.verify().ok
