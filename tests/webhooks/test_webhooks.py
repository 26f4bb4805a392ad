"""Web hooks: in order, at least once, signed, to nobody else, and nothing of those who are gone."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gated.config import GateSettings, Settings, StorageSettings, WebhookSettings, WebhookTarget
from gated.core.values import Direction, PersonRef
from gated.database.tables import journal, journal_private
from gated.delivery.deliveries import FAILING_AFTER_S, LONGEST_PAUSE_S, REFUSALS
from gated.delivery.stream_store import AT_ONCE
from gated.devices.clock import ManualClock
from gated.journal.journal import Entry
from gated.link.status_board import StatusBoard
from gated.webhooks.sending import Destination, HookFailed, post
from gated.webhooks.webhooks import FAILING, Webhooks
from gated.workspace import Workspace
from tests.fixtures.dripping import TLS, dripping
from tests.people.people import add_person, entry
from tests.webhooks.receiver import Receiver, receiving
from tests.workspaces import open_workspace

SECRET = "a-secret-of-thirty-two-characters"


@dataclass
class World:
    """A gate with one target, that listens."""

    workspace: Workspace
    clock: ManualClock
    hooks: Webhooks
    receiver: Receiver
    anna: PersonRef

    def happens(self, *entries: Entry) -> None:
        self.workspace.journal.append(entries)

    def deliver(self) -> int:
        return self.hooks.deliver("payroll")

    def later(self, seconds: float = 2 * LONGEST_PAUSE_S) -> None:
        self.clock.advance(seconds)

    def again(self) -> None:
        """Start the program again."""
        self.hooks = Webhooks(self.workspace, self.clock)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def target(receiver: Receiver, folder: Path, **more: Any) -> WebhookTarget:
    (folder / "secret").write_text(SECRET + "\n")
    told = {"name": "payroll", "url": f"{receiver.url}/hook?a=1", "private_network": True, **more}
    return WebhookTarget(secret_file=folder / "secret", **told)


def world_of(folder: Path, receiver: Receiver, **more: Any) -> World:
    settings = Settings(
        gate=GateSettings(name="north", site="works"),
        storage=StorageSettings(state_dir=folder / "state"),
        webhooks=WebhookSettings(targets=(target(receiver, folder, **more),)),
    )
    workspace, clock = open_workspace(settings), ManualClock()
    with workspace.database.write() as session:
        anna = add_person(session, first_name="Anna", last_name="Example", personnel_code="E17")
    who = PersonRef(anna.id, anna.uid, "E17", "Anna Example")
    made = World(workspace, clock, Webhooks(workspace, clock), receiver, who)
    made.deliver()
    return made


@pytest.fixture
def world(tmp_path: Path, receiver: Receiver) -> Iterator[World]:
    made = world_of(tmp_path, receiver)
    yield made
    made.workspace.close()


def passage(
    world: World, *, known: bool = True, direction: Direction = Direction.ENTRY, **body: Any
) -> Entry:
    made = entry(world.anna if known else None, world.clock.now(), direction=direction)
    return replace(made, body={**made.body, **body})


def test_a_passage_is_told_once_with_its_time_and_whose_it_is(world: World) -> None:
    world.happens(passage(world))
    assert world.deliver() == 1
    assert world.deliver() == 0
    (event,) = world.receiver.events
    assert event["type"] == "passage"
    assert event["person"] == {"uid": world.anna.uid, "personnel_code": "E17"}
    assert event["time"].endswith("+00:00") or event["time"][-6] in "+-"
    assert event["data"]["direction"] in ("entry", "exit")
    assert world.receiver.headers[0]["Gated-Delivery"] == event["id"]


def test_a_body_is_signed_with_the_time(world: World) -> None:
    world.happens(passage(world))
    world.deliver()
    at, _, digest = (
        world.receiver.headers[0]["Gated-Signature"].removeprefix("t=").partition(",v1=")
    )
    signed = at.encode() + b"." + world.receiver.bodies[0]
    assert int(at) == int(world.clock.now().utc)
    assert digest == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()


def test_what_was_before_a_target_is_not_told(tmp_path: Path, receiver: Receiver) -> None:
    settings = Settings(storage=StorageSettings(state_dir=tmp_path / "state"))
    with open_workspace(settings) as workspace:
        workspace.journal.append([entry()])
    world = world_of(tmp_path, receiver)
    with world.workspace:
        assert world.deliver() == 0
        world.happens(passage(world))
        assert world.deliver() == 1


def test_events_wait_for_a_target_that_is_away_and_come_in_their_order(world: World) -> None:
    world.receiver.answers = [503, 401, 500]
    for gate in ("first", "second", "third"):
        world.happens(passage(world, gate=gate))
        assert world.deliver() == 0
        world.later()
    assert world.deliver() == 3
    gates = [event["gate"] for event in world.receiver.events]
    assert gates == ["first"] * 4 + ["second", "third"]
    assert len({event["id"] for event in world.receiver.events}) == 3


def test_pauses_grow_and_end(world: World) -> None:
    world.receiver.answers = [500] * 40
    world.happens(passage(world))
    tries, waited = [], 0.0
    while len(world.receiver.bodies) < 20:
        before = len(world.receiver.bodies)
        world.deliver()
        if len(world.receiver.bodies) > before:
            tries.append(waited)
        world.clock.advance(0.25 if waited < 60 else 200)
        waited += 0.25 if waited < 60 else 200
    pauses = [b - a for a, b in pairwise(tries)]
    assert pauses[0] <= 1.25
    assert max(pauses) <= LONGEST_PAUSE_S + 200
    assert max(pauses) > 600


def test_a_restart_forgets_no_event_and_sends_none_twice(world: World) -> None:
    world.happens(passage(world))
    assert world.deliver() == 1
    world.receiver.answers = [500]
    world.happens(passage(world))
    world.deliver()
    world.again()
    assert world.deliver() == 1
    assert len({event["id"] for event in world.receiver.events}) == 2


def test_what_a_target_refuses_again_and_again_is_passed_over_and_counted(world: World) -> None:
    world.receiver.answers = [422] * REFUSALS
    world.happens(passage(world), passage(world))
    taken = 0
    for _ in range(REFUSALS):
        taken += world.deliver()
        world.later()
    assert taken == 1
    (told,) = world.hooks.list_()
    assert (told["delivered"], told["passed_over"]) == (1, 1)
    assert [(e["result"], e["tries"]) for e in told["log"]] == [("delivered", 1), ("refused", 10)]


def test_what_is_too_old_is_passed_over(world: World) -> None:
    world.receiver.answers = [503]
    world.happens(passage(world))
    world.deliver()
    world.later(8 * 86_400)
    world.happens(passage(world))
    assert world.deliver() == 1
    (told,) = world.hooks.list_()
    assert (told["delivered"], told["passed_over"]) == (1, 1)


def test_health_names_a_target_that_goes_on_failing(world: World) -> None:
    board = StatusBoard()
    world.receiver.answers = [503, 503]
    world.happens(passage(world))
    world.deliver()
    world.hooks.publish(board)
    assert FAILING not in board.snapshot().troubles
    world.later(FAILING_AFTER_S + 1)
    world.deliver()
    world.hooks.publish(board)
    assert "payroll (answered 503)" in board.snapshot().troubles[FAILING]
    world.later()
    world.deliver()
    world.hooks.publish(board)
    assert FAILING not in board.snapshot().troubles


def test_rows_that_somebody_has_put_into_the_database_are_told_to_nobody(world: World) -> None:
    world.happens(passage(world))
    with world.workspace.database.write() as session:
        row = session.execute(sa.select(journal).order_by(journal.c.seq.desc())).mappings().first()
        assert row is not None
        session.execute(sa.insert(journal).values({**row, "seq": row["seq"] + 1}))
    assert world.deliver() == 1
    assert world.deliver() == 0


def test_an_altered_row_is_told_to_nobody(world: World) -> None:
    world.happens(passage(world))
    with world.workspace.database.write() as session:
        session.execute(sa.update(journal).values(body=journal.c.body.op("||")(sa.literal(" "))))
    assert world.deliver() == 0


def test_somebody_erased_meanwhile_has_no_name(world: World) -> None:
    world.receiver.answers = [503]
    world.happens(passage(world))
    world.deliver()
    with world.workspace.database.write() as session:
        session.execute(sa.delete(journal_private))
    world.later()
    assert world.deliver() == 1
    assert world.receiver.events[-1]["person"] is None


@pytest.mark.parametrize(
    ("people", "told"),
    [
        ("none", None),
        ("code", {"personnel_code": "E17"}),
        ("name", {"personnel_code": "E17", "name": "Anna Example"}),
    ],
)
def test_a_target_knows_of_people_what_it_may(
    tmp_path: Path, receiver: Receiver, people: str, told: Any
) -> None:
    world = world_of(tmp_path, receiver, person=people)
    with world.workspace:
        world.happens(passage(world))
        world.deliver()
    assert receiver.events[0]["person"] == (told and {"uid": world.anna.uid, **told})


def test_only_what_was_asked_for_is_told(tmp_path: Path, receiver: Receiver) -> None:
    world = world_of(tmp_path, receiver, events=("alarm", "refusal"))
    with world.workspace:
        alarm = Entry(world.clock.now(), "door_forced", {"severity": "alarm", "gate": "north"})
        noise = Entry(world.clock.now(), "door_contact", {"severity": "info", "gate": "north"})
        denied = passage(world, known=False)
        world.happens(passage(world), alarm, noise, denied)
        assert world.deliver() == 2
    assert [(e["type"], e["kind"]) for e in receiver.events] == [
        ("alarm", "door_forced"),
        ("refusal", "decision"),
    ]


def test_rows_that_are_no_events_are_looked_through_once(world: World) -> None:
    world.happens(*(Entry(world.clock.now(), "signed_in", {"n": n}) for n in range(5)))
    asked = itertools.count()
    assert world.hooks.deliver("payroll", lambda: next(asked) < 50) == 0
    assert next(asked) < 5
    world.happens(passage(world))
    assert world.deliver() == 1


def test_what_was_appended_together_is_told_whatever_its_length(world: World) -> None:
    """Only the last row of what is appended at once has a seal."""
    noise = [Entry(world.clock.now(), "signed_in", {"n": n}) for n in range(2 * AT_ONCE)]
    world.happens(*noise, passage(world))
    assert world.deliver() == 1
    assert world.hooks.list_()[0]["rows_behind"] == 0


def test_a_body_can_be_another_program_s(tmp_path: Path, receiver: Receiver) -> None:
    body = {
        "employee_field_value": "{personnel_code}",
        "timestamp": "{local_time}",
        "log_type": "{in_out}",
        "nested": [{"device": "{gate}"}, 7, None],
    }
    (tmp_path / "authorization").write_text("token key-of-many-letters:secret\n")
    authorization = tmp_path / "authorization"
    world = world_of(tmp_path, receiver, body=body, authorization_file=authorization)
    with world.workspace:
        world.happens(passage(world, direction=Direction.EXIT, gate="north {kind}"))
        assert world.deliver() == 1
    (told,) = receiver.events
    assert (told["employee_field_value"], told["log_type"]) == ("E17", "OUT")
    assert told["nested"] == [{"device": "north {kind}"}, 7, None]
    assert len(told["timestamp"]) == 19
    assert receiver.headers[0]["Authorization"] == "token key-of-many-letters:secret"


def test_a_private_address_is_asked_only_where_that_is_allowed(receiver: Receiver) -> None:
    with pytest.raises(HookFailed, match="private_network"):
        post(Destination(receiver.url), b"{}", {})
    assert receiver.bodies == []
    assert post(Destination(receiver.url, private=True), b"{}", {}) == 204


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "224.0.0.1"])  # noqa: S104
def test_addresses_that_are_nobody_s_are_never_asked(host: str) -> None:
    with pytest.raises(HookFailed, match="private network"):
        post(Destination(f"http://{host}:9/", private=True), b"{}", {})


def test_a_target_that_answers_byte_by_byte_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def drip() -> int:
            sent = 0
            taken, _ = server.accept()
            with taken, suppress(OSError):
                while sent < 200:  # each within any time-out of one reading
                    taken.sendall(b"x")
                    time.sleep(0.05)
                    sent += 1
            return sent

        dripped = pool.submit(drip)
        to = Destination(f"http://127.0.0.1:{server.getsockname()[1]}/", private=True)
        with pytest.raises(HookFailed, match="no answer in time"):
            post(to, b"{}", {}, within_s=0.3)
        assert dripped.result(20) < 150


def test_a_target_whose_handshake_comes_byte_by_byte_is_cut_off() -> None:
    with dripping(TLS) as port:
        to = Destination(f"https://127.0.0.1:{port}/", private=True)
        with pytest.raises(HookFailed, match="no answer in time"):
            post(to, b"{}", {}, within_s=0.3)


def test_no_redirect_is_followed(receiver: Receiver) -> None:
    receiver.answers = [302]
    assert post(Destination(receiver.url, private=True), b"{}", {}) == 302
    assert len(receiver.bodies) == 1


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"url": "ftp://payroll.example.org"}, "no address"),
        ({"url": "http://payroll.example.org/"}, "use https"),
        ({"body": {"a": "{who}"}}, r"\{who\} is not known"),
        ({"body": {"a": ["{gate.__class__}"]}}, "is not known"),
        ({"body": {"a": "{gate!r}"}}, "is not known"),
        ({"body": {"a": "{gate"}}, "is not known"),
    ],
)
def test_a_target_that_cannot_work_is_refused_at_once(told: dict[str, Any], says: str) -> None:
    given = {"name": "a", "url": "https://payroll.example.org/", "secret_file": "/x", **told}
    with pytest.raises(ValueError, match=says):
        WebhookTarget.model_validate(given)


def test_a_test_is_sent_once_and_recorded(world: World) -> None:
    world.receiver.answers = [503]
    assert world.hooks.test("payroll", actor="olga").says == "answered 503"
    assert world.hooks.test("payroll", actor="olga").result == "delivered"
    assert [event["type"] for event in world.receiver.events] == ["test", "test"]
    with world.workspace.database.read() as session:
        kinds = session.execute(sa.select(journal.c.kind).order_by(journal.c.seq)).scalars().all()
    assert kinds[-2:] == ["webhook_tested", "webhook_tested"]


def test_a_secret_that_is_none_sends_nothing(world: World, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("short\n")
    world.happens(passage(world))
    assert world.deliver() == 0
    assert world.receiver.bodies == []
    (told,) = world.hooks.list_()
    assert "openssl rand" in told["log"][0]["says"]
    assert SECRET not in str(told)


def test_times_are_those_of_the_row(world: World) -> None:
    world.happens(passage(world, timezone="Asia/Kathmandu"))
    world.deliver()
    time = world.receiver.events[0]["time"]
    assert time.endswith("+05:45")
    assert datetime.fromisoformat(time).timestamp() == pytest.approx(
        world.clock.now().utc, abs=0.01
    )
