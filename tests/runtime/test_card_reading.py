"""Cards reach the gate, and a reader that was unplugged comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.config import CredentialSettings
from gated.core.messages import Condition, Event
from gated.devices.readers import SimulatedReader, swipe
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
