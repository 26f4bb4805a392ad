"""The board: snapshots that never change, decisions by number, subscribers in their own loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from gated.core.messages import Decision, Notice
from gated.core.values import Direction, Instant, Outcome, PersonRef, Reason
from gated.link.status_board import RecentEvent, StatusBoard, view_of

ANNA = PersonRef(1, "u", "E1", "Anna")


def decision(**more: object) -> Decision:
    granted = Decision(
        at=Instant(mono=101.5, utc=1_800_000_000.0),
        outcome=Outcome.GRANTED,
        reason=Reason.GRANTED,
        person=ANNA,
        confidence=0.8,
        direction=Direction.EXIT,
        frames=3,
        first_seen=101.0,
    )
    for name, value in more.items():
        object.__setattr__(granted, name, value)
    return granted


def test_what_is_published_is_in_the_next_snapshot_and_not_in_the_last() -> None:
    board = StatusBoard()
    before = board.snapshot()
    board.publish(camera="opened", people=3)
    board.count("frames")
    board.count("frames", 4)
    after = board.snapshot()
    assert (before.camera, before.people, dict(before.counters)) == (None, 0, {})
    assert (after.camera, after.people, dict(after.counters)) == ("opened", 3, {"frames": 5})
    with pytest.raises(TypeError):
        board.publish(camra="opened")
    with pytest.raises(TypeError):
        after.counters["frames"] = 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("published", "problems"),
    [
        ({}, ()),
        ({"camera": "lost"}, ("camera_lost",)),
        ({"rule_conflict": "anti-passback needs gates of one direction"}, ("rule_misfit",)),
        ({"camera": "frozen", "journal": "unavailable"}, ("camera_frozen", "log_unavailable")),
        ({"alarms": {"door_fault": "alarm"}}, ("door_fault",)),
        ({"liveness": "normal", "model": "m"}, ("liveness_models_missing",)),
        ({"liveness": "normal", "model": "m", "pad_model": "p"}, ()),
        ({"liveness": "off", "model": "m"}, ()),
    ],
)
def test_health_names_what_is_wrong(published: dict[str, Any], problems: tuple[str, ...]) -> None:
    board = StatusBoard()
    board.publish(**published)
    assert board.snapshot().problems == problems


def test_the_last_decisions_are_kept_newest_first_and_counted() -> None:
    board = StatusBoard(kept=3)
    for visit in range(5):
        board.add_decision(view_of(decision(visit=visit), None))
    board.add_decision(view_of(decision(outcome=Outcome.DENIED, visit=9), None))
    status = board.snapshot()
    assert [(d.number, d.visit) for d in status.decisions] == [(6, 9), (5, 4), (4, 3)]
    assert dict(status.counters) == {"decisions.granted": 5, "decisions.denied": 1}


def test_a_view_counts_from_first_sight() -> None:
    view = view_of(decision(), edge=101.75)
    assert (view.decided_after_ms, view.relay_after_ms) == (500.0, 750.0)
    assert view_of(decision(captured_at=101.4), None).frame_to_decision_ms == 100.0
    assert (view.at.isoformat(), view.direction) == ("2027-01-15T08:00:00+00:00", "exit")
    assert (view.person, view.reason) == (ANNA, "granted")
    assert view_of(decision(first_seen=None), edge=101.75).relay_after_ms is None
    assert view_of(decision(), edge=None).relay_after_ms is None
    assert view_of(decision(first_seen=None), edge=101.75).released
    assert not view_of(decision(), edge=None).released


def test_subscribers_are_called_in_their_loop_until_they_leave() -> None:
    board = StatusBoard()
    heard: list[tuple[int | str, int]] = []

    def hear(told: RecentEvent | Notice) -> None:
        what = told.code if isinstance(told, Notice) else told.number
        heard.append((what, threading.get_ident()))

    async def listen() -> None:
        loop = asyncio.get_running_loop()
        leave = board.subscribe(loop, hear)
        await asyncio.to_thread(board.add_decision, view_of(decision(), None))
        await asyncio.to_thread(board.add_notice, Notice(1, "turn_left"))
        await asyncio.sleep(0)
        leave()
        leave()
        await asyncio.to_thread(board.add_decision, view_of(decision(), None))
        await asyncio.sleep(0)
        board.subscribe(loop, hear)

    asyncio.run(listen())
    assert heard == [(1, threading.get_ident()), ("turn_left", threading.get_ident())]
    board.add_decision(view_of(decision(), None))
    assert board.snapshot().decisions[0].number == 3


def test_many_threads_lose_nothing() -> None:
    board = StatusBoard(kept=1000)

    def work() -> None:
        for _ in range(100):
            board.count("frames")
            board.add_decision(view_of(decision(), None))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    status = board.snapshot()
    assert status.counters["frames"] == 800
    assert [d.number for d in status.decisions] == list(range(800, 0, -1))
