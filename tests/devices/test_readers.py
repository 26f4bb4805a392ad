"""Card readers: the same contract over a kernel's keyboard and over a pipe of the same events."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.config import CredentialSettings
from gated.devices.contract import READER_CHECKS, ReaderBench
from gated.devices.readers import (
    EV_SYN,
    EVENT,
    KEYS,
    SYN_DROPPED,
    KeyboardReader,
    Keystrokes,
    SimulatedReader,
    keystrokes,
    open_reader,
    swipe,
)
from gated.errors import DeviceError
from gated.ports import CardReader

UINPUT = Path("/dev/uinput")

Swipe = Callable[[str], None]


def settings(path: Path) -> CredentialSettings:
    return CredentialSettings(reader="simulated", device=path, card_length=12)


class Keyboard:
    """A keyboard that the kernel makes of what is written to /dev/uinput."""

    UI_SET_EVBIT, UI_SET_KEYBIT = 0x40045564, 0x40045565
    UI_DEV_CREATE, UI_DEV_DESTROY = 0x5501, 0x5502
    UI_GET_SYSNAME = 0x8040552C

    def __init__(self) -> None:
        self.fd = os.open(UINPUT, os.O_WRONLY)
        fcntl.ioctl(self.fd, self.UI_SET_EVBIT, 1)
        for code in (*KEYS, 28):
            fcntl.ioctl(self.fd, self.UI_SET_KEYBIT, code)
        ids = struct.pack("80s4HI", b"gated test reader", 3, 1, 1, 1, 0)
        os.write(self.fd, ids + bytes(4 * 64 * 4))
        fcntl.ioctl(self.fd, self.UI_DEV_CREATE)
        name = fcntl.ioctl(self.fd, self.UI_GET_SYSNAME, bytes(64)).rstrip(b"\0").decode()
        folder = Path("/sys/devices/virtual/input", name)
        self.path = Path("/dev/input", next(folder.glob("event*")).name)
        while not self.path.exists():
            time.sleep(0.01)

    def swipe(self, number: str) -> None:
        os.write(self.fd, keystrokes(number))

    def close(self) -> None:
        with suppress(OSError):
            fcntl.ioctl(self.fd, self.UI_DEV_DESTROY)
        os.close(self.fd)


@pytest.mark.parametrize("check", READER_CHECKS.values(), ids=list(READER_CHECKS))
def test_it_does_what_every_reader_does(
    check: Callable[[Callable[[], ReaderBench]], None], tmp_path: Path
) -> None:
    path = tmp_path / "reader"
    check(lambda: ReaderBench(SimulatedReader(settings(path)), lambda number: swipe(path, number)))


@pytest.fixture(params=["simulated", "keyboard"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[CardReader, Swipe]]:
    """An open reader, and what holds a card to it."""
    if request.param == "keyboard":
        if not os.access(UINPUT, os.W_OK):
            pytest.skip("no /dev/uinput to make a keyboard with")
        keyboard = Keyboard()
        reader = KeyboardReader(settings(keyboard.path))
        reader.open()
        yield reader, keyboard.swipe
        reader.close()
        keyboard.close()
        return
    path = tmp_path / "reader"
    simulated = SimulatedReader(settings(path))
    simulated.open()
    yield simulated, lambda number: swipe(path, number)
    simulated.close()


def test_a_number_ends_with_enter_and_numbers_come_in_their_order(
    pair: tuple[CardReader, Swipe],
) -> None:
    reader, hold = pair
    hold("0012345678")
    hold("AB12F")
    assert reader.read(2.0) == "0012345678"
    assert reader.read(2.0) == "AB12F"
    assert reader.read(0.01) is None


def test_a_wait_ends_when_a_card_comes(pair: tuple[CardReader, Swipe]) -> None:
    reader, hold = pair
    timer = threading.Timer(0.05, hold, ["4711"])
    timer.start()
    try:
        assert reader.read(10.0) == "4711"
    finally:
        timer.join()


def test_too_long_and_too_short_are_no_numbers(pair: tuple[CardReader, Swipe]) -> None:
    reader, hold = pair
    for number in ("123", "1" * 13, "1" * 30, ""):
        hold(number)
    hold("1" * 12)
    assert reader.read(2.0) == "1" * 12
    assert reader.read(0.01) is None


def test_a_reader_can_be_opened_again_and_closed_twice(pair: tuple[CardReader, Swipe]) -> None:
    reader, hold = pair
    reader.close()
    reader.close()
    with pytest.raises(DeviceError, match="not open"):
        reader.read(0.01)
    reader.open()
    hold("4711")
    assert reader.read(2.0) == "4711"


def test_an_event_may_arrive_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "reader"
    reader = SimulatedReader(settings(path))
    reader.open()
    fd = os.open(path, os.O_WRONLY)
    data = keystrokes("4711")
    found = []
    for i in range(0, len(data), EVENT.size - 7):
        os.write(fd, data[i : i + EVENT.size - 7])
        found.append(reader.read(0.0005))
    found.append(reader.read(0.05))
    os.close(fd)
    reader.close()
    assert [number for number in found if number] == ["4711"]


def test_a_number_of_which_the_kernel_dropped_keys_is_none(tmp_path: Path) -> None:
    """What is left of it is the number of another card."""
    path = tmp_path / "reader"
    reader = SimulatedReader(settings(path))
    reader.open()
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, keystrokes("0012", at=10.0, enter=False))
    os.write(fd, EVENT.pack(10, 50_000, EV_SYN, SYN_DROPPED, 0))
    os.write(fd, keystrokes("345678", at=10.1))
    os.write(fd, keystrokes("4711", at=10.2))
    numbers = [reader.read(0.5), reader.read(0.01)]
    os.close(fd)
    reader.close()
    assert numbers == ["4711", None]


def test_what_cannot_be_taken_is_said(tmp_path: Path) -> None:
    absent = KeyboardReader(settings(tmp_path / "absent"))
    with pytest.raises(DeviceError, match="no such device"):
        absent.open()
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    for kind in (KeyboardReader, SimulatedReader):
        with pytest.raises(DeviceError):
            kind(settings(plain)).open()
    # a pipe is no keyboard: it could not be kept from a console
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DeviceError, match="no input device"):
        KeyboardReader(settings(tmp_path / "pipe")).open()


def test_drivers_are_named(tmp_path: Path) -> None:
    assert open_reader(CredentialSettings()) is None
    made = open_reader(CredentialSettings(reader="keyboard", device=tmp_path / "x"))
    assert type(made) is KeyboardReader


def typed(data: bytes, longest: int = 12, pause_s: float = 0.5) -> list[str]:
    """The numbers in a stream of input events."""
    strokes = Keystrokes(longest, pause_s)
    events = [e for e in EVENT.iter_unpack(data) if e[2] == 1 and e[4] == 1]
    found = [strokes.key(code, s + us / 1e6) for s, us, _, code, _ in events]
    return [number for number in found if number is not None]


def test_a_hand_types_no_number() -> None:
    assert typed(keystrokes("123456", gap_s=0.4)) == ["123456"]
    assert typed(keystrokes("123456", gap_s=0.6)) == []


def test_what_was_left_unfinished_does_not_spoil_the_next_number() -> None:
    unfinished = keystrokes("99", at=10.0, enter=False)
    assert typed(unfinished + keystrokes("4711", at=11.0)) == ["4711"]
    assert typed(unfinished + keystrokes("4711", at=10.1)) == ["994711"]
    assert typed(unfinished + keystrokes("4711", at=3.0)) == ["4711"], "the clock was set back"


@given(st.lists(st.tuples(st.integers(0, 255), st.floats(0, 1)), max_size=60))
def test_no_sequence_of_keys_gives_a_number_out_of_bounds(keys: list[tuple[int, float]]) -> None:
    strokes, now = Keystrokes(12, 0.5), 0.0
    for code, gap in keys:
        now += gap
        number = strokes.key(code, now)
        assert number is None or (4 <= len(number) <= 12 and number.isalnum())
