"""Cards reach the gate, and a reader that was unplugged comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.config import CredentialSettings
from gated.core.messages import Condition, Event
from gated.devices.readers import SimulatedReader, swipe
from gated.errors import DeviceError
from gated.link.loop import end
from gated.runtime import card_reading
from gated.runtime.card_reading import CardReading
from tests.devices.waiting import eventually


def crashed(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


def test_a_reader_is_lost_once_comes_back_and_reads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_reading, "FIRST_DELAY_S", 0.01)
    path = tmp_path / "reader"
    path.write_bytes(b"")
    cards: list[str] = []
    told: list[Event] = []
    reader = SimulatedReader(CredentialSettings(reader="simulated", device=path))
    loop = CardReading(reader, cards.append, told.append, crashed)
    loop.start()
    try:
        assert eventually(lambda: len(told) == 1)
        path.unlink()
        assert eventually(lambda: len(told) == 2)
        swipe(path, "4711")
        assert eventually(lambda: cards == ["4711"])
    finally:
        end(loop)
    lost, found = told
    assert isinstance(lost, Condition)
    assert (lost.name, lost.present, found) == (
        "reader_lost",
        True,
        Condition("reader_lost", False),
    )


class Unplugged(SimulatedReader):
    """A reader that cannot be closed either when it fails, as libraries have them."""

    def close(self) -> None:
        super().close()
        raise DeviceError("closing failed, too")


def test_a_reader_that_cannot_be_closed_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "reader"
    path.write_bytes(b"")
    crashes: list[BaseException] = []
    told: list[Event] = []
    reader = Unplugged(CredentialSettings(reader="simulated", device=path))
    loop = CardReading(reader, lambda card: None, told.append, lambda _, e: crashes.append(e))
    loop.start()
    assert eventually(lambda: len(told) == 1)
    end(loop)
    assert crashes == []
