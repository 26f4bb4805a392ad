"""The controller's letter box at and below its bound."""

import time

from gated.core.messages import DoorEvent, Event, Observation, Tick
from gated.core.values import DoorEventKind
from gated.runtime.inbox import BoundedInbox


def seen(number: int, lost: tuple[int, ...] = ()) -> Observation:
    return Observation(number, float(number), 640, 480, lost=lost)


def drain(inbox: BoundedInbox) -> list[object]:
    events: list[object] = []
    while (event := inbox.get(0)) is not None:
        events.append(event)
    return events


def test_events_come_out_in_order() -> None:
    inbox = BoundedInbox()
    events: list[Event] = [seen(1), Tick(), DoorEvent(DoorEventKind.REX)]
    for event in events:
        inbox.post(event)
    assert drain(inbox) == events


def test_full_box_gives_up_observations_but_not_the_news_of_lost_tracks() -> None:
    inbox = BoundedInbox(capacity=4)
    rex = DoorEvent(DoorEventKind.REX)
    for event in (seen(1, lost=(5,)), rex, seen(2, lost=(6,)), seen(3), seen(4, lost=(7,))):
        inbox.post(event)
    events = drain(inbox)
    assert events[0] == rex
    assert [e.lost for e in events[1:] if isinstance(e, Observation)] == [(5, 6), (7,)]
    assert inbox.stripped == 3
    assert inbox.dropped == 0


def test_what_finds_no_place_at_all_is_counted() -> None:
    inbox = BoundedInbox(capacity=2)
    for _ in range(3):
        inbox.post(DoorEvent(DoorEventKind.REX))
    assert inbox.dropped == 1
    assert len(drain(inbox)) == 2


def test_empty_box_times_out() -> None:
    assert BoundedInbox().get(0.01) is None


def test_the_longest_wait_counts_what_waits_still_and_is_told_once() -> None:
    inbox = BoundedInbox()
    assert inbox.longest_wait_s() == 0
    inbox.post(Tick())
    time.sleep(0.05)
    assert inbox.longest_wait_s() >= 0.05
    assert inbox.get(0) is not None
    assert inbox.longest_wait_s() >= 0.05
    assert inbox.longest_wait_s() == 0
