"""OSDP in both roles, with the library in the other one at the far end of a pseudo-terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gated.config import CardOutputSettings, CredentialSettings, DoorSettings
from gated.core.messages import Condition
from gated.core.values import DoorEventKind
from gated.core.wiegand import encode
from gated.devices.bus_door import BusDoor
from gated.devices.card_output import open_card_output
from gated.devices.clock import SystemClock
from gated.devices.contract import (
    DOOR_CHECKS,
    READER_CHECKS,
    Bench,
    Letters,
    ReaderBench,
)
from gated.devices.doors import open_door
from gated.devices.drivers import DoorHardware
from gated.devices.readers import open_reader
from gated.errors import ConfigError, DeviceError
from gated.osdp.library import read_key
from gated.osdp.reader import Keypad
from gated.ports import CardBits, CardReader, KeyedPin
from tests.osdp.partner import DEFAULT, KEY, Controller, Peripheral, Wire, osdp

RELAY = 1
LONG_S = 20.0
"""For what takes the library seconds."""


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return key_in(tmp_path / "key", KEY)


def key_in(file: Path, key: bytes) -> Path:
    file.write_text(key.hex() + "\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def closing() -> Iterator[list[Callable[[], None]]]:
    ends: list[Callable[[], None]] = []
    yield ends
    for end in reversed(ends):
        end()


Closing = list[Callable[[], None]]


class Line:
    """A wire with a device of somebody else at its far end."""

    def __init__(self, folder: Path, closing: Closing, key_file: Path) -> None:
        self._folder, self._closing, self._key_file = folder, closing, key_file
        self._count = 0

    def wire(self) -> Wire:
        self._count += 1
        return Wire(self._folder / f"port{self._count}")

    def peripheral(self, **more: Any) -> Peripheral:
        made = Peripheral(self.wire(), **more)
        self._closing.append(made.stop)
        return made

    def controller(self, **more: Any) -> Controller:
        made = Controller(self.wire(), **more)
        self._closing.append(made.stop)
        return made

    def options(self, partner: Peripheral | Controller, **more: Any) -> dict[str, Any]:
        line = {"device": partner.wire.path, "baud": 115200, "key_file": self._key_file}
        return {**line, **more}

    def reader(self, partner: Peripheral, **more: Any) -> CardReader:
        settings = CredentialSettings(reader="osdp", options=self.options(partner, **more))
        reader = open_reader(settings)
        assert reader is not None
        self._closing.append(reader.close)
        return reader

    def door(self, partner: Peripheral, letters: Letters, note: Any, **changes: Any) -> BusDoor:
        settings = DoorSettings(
            driver="osdp", options=self.options(partner), relay_pin=RELAY, **changes
        )
        hardware = DoorHardware(note=note)
        door = open_door(settings, letters.post, SystemClock(), hardware=hardware)
        assert isinstance(door, BusDoor)
        self._closing.append(door.close)
        assert soon(lambda: door.problem is None)
        return door


@pytest.fixture
def line(tmp_path: Path, closing: Closing, key_file: Path) -> Line:
    return Line(tmp_path, closing, key_file)


def soon(condition: Callable[[], Any]) -> bool:
    until = time.monotonic() + LONG_S
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def nobody(condition: Condition) -> None:
    """Nobody listens."""


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", [DEFAULT, b"\0" * 16, b"\xff" * 16, bytes(range(1, 17)), b"\x0f" * 15]
)
def test_a_key_that_anybody_tries_is_refused(tmp_path: Path, key: bytes) -> None:
    with pytest.raises(ConfigError, match="openssl rand -hex 16") as refused:
        read_key(key_in(tmp_path / "key", key))
    assert key.hex() not in str(refused.value)


def test_a_key_is_for_nobody_else_to_read(key_file: Path) -> None:
    assert read_key(key_file) == KEY
    key_file.chmod(0o644)
    with pytest.raises(ConfigError, match="may be read by everybody"):
        read_key(key_file)


# --- control panel: a reader ----------------------------------------------------------------------


@pytest.mark.parametrize("check", READER_CHECKS.values(), ids=list(READER_CHECKS))
def test_it_is_a_card_reader(
    line: Line, check: Callable[[Callable[[], ReaderBench]], None]
) -> None:
    def bench() -> ReaderBench:
        partner = line.peripheral()
        reader = line.reader(partner, card="hex")
        return ReaderBench(reader, lambda number: partner.card(f"{int(number, 16):032b}"))

    check(bench)


def test_cards_and_pins_are_read_behind_a_secure_channel(line: Line) -> None:
    partner = line.peripheral()
    reader = line.reader(partner)
    reader.open()
    partner.card(encode("26", 12, 3456))
    assert reader.read(LONG_S) == "12-3456"
    partner.card(encode("37", 0, 34_000_000_000))
    assert reader.read(LONG_S) == "34000000000"
    partner.keys(b"117\x0d")
    partner.keys(b"2580\x0d")
    assert reader.read(LONG_S) == KeyedPin("117", "2580")
    assert "2580" not in repr(KeyedPin("117", "2580"))
    number = f"{int(encode('26', 12, 3456), 2):032b}"
    assert not any(int(number, 2).to_bytes(4, "big") in piece for piece in partner.wire.said)


def test_a_card_of_a_wrong_parity_or_length_is_none(line: Line) -> None:
    partner = line.peripheral()
    reader = line.reader(partner)
    reader.open()
    right = encode("26", 12, 3456)
    partner.card(("1" if right[0] == "0" else "0") + right[1:])
    partner.card("0" * 32)
    partner.card(right)
    assert reader.read(LONG_S) == "12-3456"
    assert reader.read(0.1) is None


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(None, id="none", marks=pytest.mark.long),
        pytest.param(DEFAULT, id="default"),
        pytest.param(bytes(16), id="another", marks=pytest.mark.long),
    ],
)
def test_a_reader_without_our_key_is_lost(line: Line, key: bytes | None) -> None:
    reader = line.reader(line.peripheral(key=key))
    with pytest.raises(DeviceError, match=r"no secure channel|does not answer"):
        reader.open()


def test_a_reader_that_is_away_comes_back(line: Line) -> None:
    partner = line.peripheral()
    reader = line.reader(partner)
    reader.open()
    partner.mute = True

    def lost() -> bool:
        try:
            reader.read(0.1)
        except DeviceError as error:
            return "does not answer" in str(error)
        return False

    assert soon(lost)
    partner.restart()
    partner.mute = False

    def found() -> bool:
        try:
            reader.open()
        except DeviceError:
            return False
        return True

    assert soon(found)
    partner.card(encode("26", 1, 2))
    assert reader.read(LONG_S) == "1-2"


def test_a_reader_that_was_opened_is_not_believed(line: Line) -> None:
    partner = line.peripheral()
    reader = line.reader(partner)
    reader.open()
    partner.tamper(True)

    def refused() -> bool:
        try:
            reader.read(0.1)
        except DeviceError as error:
            return "tamper" in str(error)
        return False

    assert soon(refused)


def test_what_was_recorded_and_is_played_again_is_not_believed(line: Line) -> None:
    partner = line.peripheral()
    reader = line.reader(partner)
    reader.open()
    partner.card(encode("26", 12, 3456))
    assert reader.read(LONG_S) == "12-3456"
    longest = max(partner.wire.said, key=len)
    partner.wire.mangle = lambda data: longest
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        try:
            assert reader.read(0.1) is None
        except DeviceError:
            break


def test_a_wrong_mac_is_not_believed(line: Line) -> None:
    partner = line.peripheral()
    reader = line.reader(partner)
    reader.open()
    partner.wire.mangle = lambda data: data[:-5] + bytes((data[-5] ^ 1,)) + data[-4:]
    partner.card(encode("26", 12, 3456))
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        try:
            assert reader.read(0.1) is None
        except DeviceError:
            break


def test_a_keypad_takes_codes_with_pins_alone() -> None:
    keypad = Keypad()
    assert keypad.press(b"1234#", 0.0) is None
    assert keypad.press(b"*1234##", 1.0) is None
    assert keypad.press(b"12#34#", 2.0) == KeyedPin("12", "34")
    assert keypad.press(b"12#3", 3.0) is None
    assert keypad.press(b"4#", 14.0) is None, "too slow"
    assert Keypad().press(b"1" * 500 + b"#1#", 0.0) is None


# --- control panel: an output module --------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("check", DOOR_CHECKS.values(), ids=list(DOOR_CHECKS))
def test_it_does_what_every_door_does(
    line: Line, check: Callable[[Callable[[], Bench]], None]
) -> None:
    def bench() -> Bench:
        letters = Letters()
        return Bench(line.door(line.peripheral(), letters, nobody, unlock_s=0.2), letters)

    check(bench)


def test_a_module_on_the_secure_side_releases_for_a_time(line: Line) -> None:
    partner, letters = line.peripheral(), Letters()
    door = line.door(partner, letters, nobody)
    assert partner.outputs[RELAY] is False
    door.unlock(0.5)
    assert soon(lambda: partner.outputs[RELAY])
    assert letters.heard(DoorEventKind.RELOCKED)
    assert soon(lambda: not partner.outputs[RELAY])
    released = [order for order in partner.orders if order["control_code"] == 5]
    assert released
    assert all(0 < order["timer_count"] <= 20 for order in released)


def test_a_module_locks_by_itself_and_nothing_is_done_late(line: Line) -> None:
    partner, letters = line.peripheral(), Letters()
    conditions: list[Condition] = []
    door = line.door(partner, letters, conditions.append)
    door.unlock(0.5)
    assert soon(lambda: partner.outputs[RELAY])
    partner.wire.mangle = lambda data: b""
    assert soon(lambda: not partner.outputs[RELAY]), "its own timer"
    assert soon(lambda: any(c.present for c in conditions))
    began = time.monotonic()
    with pytest.raises(DeviceError):
        door.unlock(5.0)
    assert time.monotonic() - began < 1.0
    seen = len(partner.orders)
    partner.wire.mangle = lambda data: data
    assert soon(lambda: not conditions[-1].present)
    assert soon(lambda: len(partner.orders) > seen)
    assert {order["control_code"] for order in partner.orders[seen:]} == {1}
    door.unlock(0.5)
    assert soon(lambda: partner.outputs[RELAY])


def test_a_reader_and_a_module_share_one_line(line: Line) -> None:
    # the module stands for a reader of its own: one device with both is what it is on the wire
    partner = line.peripheral()
    line.door(partner, Letters(), nobody)
    with pytest.raises(DeviceError, match="has two drivers"):
        line.reader(partner).open()


# --- peripheral -----------------------------------------------------------------------------------


def reporter(
    line: Line, partner: Controller, closing: Closing, note: Any = nobody, **more: Any
) -> Any:
    settings = CardOutputSettings(driver="osdp", options=line.options(partner), **more)
    made = open_card_output(settings, note)
    assert made is not None
    closing.append(made.close)
    return made


def cards(partner: Controller) -> list[tuple[int, bytes]]:
    return [
        (event["length"], bytes(event["data"]))
        for event in partner.events
        if event["event"] == osdp.EVENT_CARDREAD
    ]


def test_a_controller_gets_the_card_of_who_is_let_in(line: Line, closing: Closing) -> None:
    partner = line.controller()
    output = reporter(line, partner, closing)._output
    assert soon(lambda: partner.secure)
    bits = encode("26", 12, 3456)
    output.send(CardBits(bits))
    assert soon(lambda: cards(partner))
    assert cards(partner) == [(26, int(bits.ljust(32, "0"), 2).to_bytes(4, "big"))]


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(None, id="default"),
        pytest.param(bytes(16), id="another", marks=pytest.mark.long),
    ],
)
def test_a_controller_without_our_key_gets_nothing(
    line: Line, closing: Closing, key: bytes | None
) -> None:
    partner = line.controller(key=key)
    output = reporter(line, partner, closing)._output
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        output.send(CardBits(encode("26", 12, 3456)))
        time.sleep(0.05)
    assert not partner.secure
    assert cards(partner) == []


def test_a_controller_changes_neither_key_nor_address(line: Line, closing: Closing) -> None:
    partner = line.controller()
    output = reporter(line, partner, closing)._output
    assert soon(lambda: partner.secure)
    assert partner.order({"command": osdp.CMD_KEYSET, "type": 1, "data": bytes(range(16))})
    time.sleep(0.3)
    partner.restart()
    assert soon(lambda: partner.secure), "the key is what it was"
    output.send(CardBits(encode("26", 1, 2)))
    assert soon(lambda: cards(partner))
