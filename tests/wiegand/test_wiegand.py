"""Wiegand: the bits of cards, a reader on two lines, and the gate as such a reader."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.config import CardOutputSettings, CredentialSettings, Settings
from gated.core.messages import Decision
from gated.core.values import Instant, Outcome, PersonRef, Reason
from gated.core.wiegand import LAYOUTS, FormatName, decode, encode
from gated.devices.card_output import CardReporter, open_card_output, read_numbers
from gated.devices.contract import PATIENCE_S, READER_CHECKS, ReaderBench, eventually
from gated.devices.drivers import DoorHardware
from gated.devices.readers import open_reader
from gated.devices.simulated import SimulatedGpio
from gated.errors import CardRefused, ConfigError, DeviceError
from gated.ports import CardBits, CardReader
from gated.wiegand.pulses import END_NS, PulseTrain

D0, D1, OUT0, OUT1 = 5, 6, 20, 21
MS = 1_000_000

# --- bits -----------------------------------------------------------------------------------------


def test_known_cards() -> None:
    # facility 1, number 1 and facility 255, number 65535 as every calculator of H10301 has them
    assert encode("26", 1, 1) == "1" + "00000001" + "0000000000000001" + "0"
    assert encode("26", 255, 65535) == "0" + "1" * 24 + "1"
    assert decode(encode("34", 4660, 22136)) == "4660-22136"
    assert decode(encode("37", 0, 12_345_678_901)) == "12345678901"
    assert decode(encode("37-facility", 99, 500_000), facility_of_37=True) == "99-500000"


@given(st.sampled_from(list(LAYOUTS)), st.data())
def test_every_card_is_read_as_it_was_written(name: FormatName, data: st.DataObject) -> None:
    layout = LAYOUTS[name]
    facility = data.draw(st.integers(0, (1 << layout.facility) - 1))
    number = data.draw(st.integers(0, (1 << layout.number) - 1))
    bits = encode(name, facility, number)
    assert len(bits) == layout.length
    said = decode(bits, facility_of_37=name == "37-facility")
    assert said == (f"{facility}-{number}" if layout.facility else str(number))
    turned = data.draw(st.integers(0, layout.length - 1))
    wrong = bits[:turned] + str(1 - int(bits[turned])) + bits[turned + 1 :]
    with_parity = turned in {0, layout.length - 1} or layout.length != 37 or turned != 18
    if with_parity:
        with pytest.raises(CardRefused, match="parity"):
            decode(wrong, facility_of_37=name == "37-facility")


@pytest.mark.parametrize("length", [0, 1, 2, 24, 25, 27, 32, 33, 35, 36, 38, 64])
def test_other_lengths_are_refused(length: int) -> None:
    with pytest.raises(CardRefused, match="none of 26, 34 or 37"):
        decode("0" * length)


@pytest.mark.parametrize(("facility", "number"), [(256, 1), (-1, 1), (1, 65536), (1, -1)])
def test_what_does_not_fit_is_refused(facility: int, number: int) -> None:
    with pytest.raises(CardRefused, match="26 bits hold no"):
        encode("26", facility, number)


# --- pulses ---------------------------------------------------------------------------------------


def pulses(train: PulseTrain, bits: str, at: int, gap: int = 2 * MS) -> int:
    """Bits as a reader sends them; the stamp of the last one."""
    for i, bit in enumerate(bits):
        train.pulse(int(bit), at + i * gap, at + i * gap)
    return at + (len(bits) - 1) * gap


def test_a_frame_is_over_after_a_pause() -> None:
    train = PulseTrain()
    last = pulses(train, "0110", 1_000)
    assert train.frame(last + END_NS - 1) is None
    assert train.frame(last + END_NS) == "0110"
    assert not train.pending
    assert train.frame(last + 2 * END_NS) is None


def test_edges_that_are_heard_late_and_out_of_order_are_put_in_order() -> None:
    train, heard = PulseTrain(), 10**12
    stamps = [(i * 2 * MS, int(bit)) for i, bit in enumerate("0101100")]
    stamps += [(10**9 + i * 2 * MS, int(bit)) for i, bit in enumerate("111")]
    for stamp, bit in sorted(stamps, key=lambda s: s[1]):
        train.pulse(bit, stamp, heard)
    assert train.frame(heard + END_NS) == "0101100"
    assert train.frame(heard + END_NS) == "111"


def test_noise_is_no_frame_and_is_not_kept() -> None:
    train = PulseTrain()
    last = pulses(train, "01" * 13, 1_000, gap=50_000)
    assert train.frame(last + END_NS) is None, "two pulses are too near"
    last = pulses(train, "0" * 65, last + 2 * END_NS)
    assert train.frame(last + END_NS) is None, "too many bits"
    last = pulses(train, "1" * 100_000, last + 2 * END_NS)
    assert train.frame(last + END_NS) is None
    last = pulses(train, "10", last + 2 * END_NS)
    assert train.frame(last + END_NS) == "10"


# --- a reader and the gate as one, on the lines of one chip ---------------------------------------


class Chip:
    """A chip with outputs whose transistors pull its own inputs down."""

    def __init__(self, folder: Path) -> None:
        self.gpio = SimulatedGpio({0: "pinctrl-bcm2711"}, {D0: 1, D1: 1})
        self.gpio.wires = {OUT0: D0, OUT1: D1}
        (folder / "gpiochip0").touch()
        self.hardware = DoorHardware(lgpio=self.gpio, dev=folder)

    def reader(self, **options: Any) -> CardReader:
        settings = CredentialSettings(
            reader="wiegand", options={"d0_pin": D0, "d1_pin": D1, **options}
        )
        reader = open_reader(settings, self.hardware)
        assert reader is not None
        return reader

    def send(self, bits: str) -> None:
        stamp = time.monotonic_ns()
        for bit in bits:
            for level in (0, 1):
                self.gpio.turn((D0, D1)[int(bit)], level, stamp)
            stamp += 2 * MS


@pytest.fixture
def chip(tmp_path: Path) -> Chip:
    return Chip(tmp_path)


def test_a_card_is_read_once_and_a_wrong_one_never(chip: Chip) -> None:
    reader = chip.reader()
    reader.open()
    right = encode("26", 12, 3456)
    chip.send(("1" if right[0] == "0" else "0") + right[1:])
    assert reader.read(0.1) is None
    chip.send(right)
    assert reader.read(PATIENCE_S) == "12-3456"
    assert reader.read(0.05) is None
    reader.close()
    reader.close()
    reader.open()
    chip.send(encode("34", 1, 2))
    assert reader.read(PATIENCE_S) == "1-2"
    reader.close()


def test_it_keeps_its_time(chip: Chip) -> None:
    READER_CHECKS["keeps_its_time"](lambda: ReaderBench(chip.reader(), lambda number: None))


def test_lines_that_are_taken_are_a_failed_reader(chip: Chip) -> None:
    chip.gpio.busy = {D1}
    with pytest.raises(DeviceError, match="busy"):
        chip.reader().open()


def granted(code: str, outcome: Outcome = Outcome.GRANTED) -> Decision:
    person = PersonRef(7, "uid", code, "Somebody")
    return Decision(Instant(0.0, 0.0), outcome, Reason.GRANTED, person)


@pytest.fixture
def reporter(chip: Chip) -> Iterator[CardReporter]:
    settings = CardOutputSettings(
        driver="wiegand", options={"d0_pin": OUT0, "d1_pin": OUT1}, facility=12
    )
    made = open_card_output(settings, lambda condition: None, chip.hardware)
    assert made is not None
    yield made
    made.close()


def test_who_is_let_in_is_a_card_to_the_controller(chip: Chip, reporter: CardReporter) -> None:
    reader = chip.reader()
    reader.open()
    reporter.decided(granted("3456", Outcome.DENIED))
    reporter.decided(granted("E17"))
    reporter.decided(granted("99999"))
    reporter.decided(granted("3456"))
    assert reader.read(PATIENCE_S) == "12-3456", "and none of a refusal, or of what is no number"
    assert reader.read(0.4) is None
    reader.close()


class Faulty:
    """An output from outside whose library fails."""

    def send(self, card: CardBits) -> None:
        raise OSError("gone")

    def close(self) -> None:
        """Nothing to close."""


def test_an_output_that_raises_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    CardReporter(CardOutputSettings(facility=12), Faulty(), None).decided(granted("3456"))
    assert "the card of person 7 is not sent" in caplog.text


def test_its_lines_are_idle_before_and_after(chip: Chip, reporter: CardReporter) -> None:
    assert chip.gpio.written == [(OUT0, 0), (OUT1, 0)]
    reporter._output.send(CardBits(encode("26", 1, 1)))
    assert eventually(lambda: len(chip.gpio.written) > 2 + 26)
    reporter.close()
    assert chip.gpio.levels[OUT0] == chip.gpio.levels[OUT1] == 0


def test_a_chip_that_never_finishes_holds_nobody(chip: Chip) -> None:
    """Neither the cards after it, nor the end of the program."""
    chip.gpio.sends_for_ever = True
    settings = CardOutputSettings(
        driver="wiegand", options={"d0_pin": OUT0, "d1_pin": OUT1}, facility=12
    )
    reporter = open_card_output(settings, lambda condition: None, chip.hardware)
    assert reporter is not None
    for _ in range(20):
        reporter._output.send(CardBits(encode("26", 1, 1)))
    ended = threading.Event()

    def close() -> None:
        reporter.close()
        ended.set()

    threading.Thread(target=close, daemon=True).start()
    assert ended.wait(20)


# --- numbers of people ----------------------------------------------------------------------------


def test_numbers_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text("E17,12-3456\n\nä9,77\n", encoding="utf-8")
    assert read_numbers(file) == {"e17": (12, 3456), "ä9": (0, 77)}


UNCLOSED = 'E17,12-3456\n"' + "E18,7\n" * 30_000
"""A quotation mark that nobody closes makes one field of the rest, longer than any may be."""


@pytest.mark.parametrize("text", ["E17\n", "E17,1-2-3\n", "E17,x\n", "E17,1,2\n", UNCLOSED])
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match="no personnel code and card number"):
        read_numbers(file)


def test_a_facility_code_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="facility codes to 255"):
        CardOutputSettings(facility=256)


def test_nothing_is_loaded_when_it_is_off() -> None:
    assert open_card_output(Settings().card_output, lambda condition: None) is None
