"""The one-frame slot."""

import threading

import numpy as np

from gated.ports import Frame
from gated.runtime.slot import FrameSlot


def frame(number: int) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), float(number), number)


def test_newest_frame_wins_and_the_old_one_is_counted() -> None:
    slot = FrameSlot()
    slot.put(frame(1))
    slot.put(frame(2))
    taken = slot.take(0)
    assert taken is not None
    assert taken.number == 2
    assert slot.dropped == 1


def test_a_frame_is_taken_once() -> None:
    slot = FrameSlot()
    slot.put(frame(1))
    assert slot.take(0) is not None
    assert slot.take(0.01) is None
    assert slot.dropped == 0


def test_take_waits_for_a_frame_of_another_thread() -> None:
    slot = FrameSlot()
    threading.Timer(0.05, slot.put, [frame(7)]).start()
    taken = slot.take(5)
    assert taken is not None
    assert taken.number == 7
