"""What the log and the terminal say of the door: whoever presses a button sees a line."""

from __future__ import annotations

import logging

import pytest

from gated.cli.screen import LogOnly, Terminal
from gated.config import Settings
from gated.core.messages import DoorEvent, RecordEvent
from gated.core.values import DoorEventKind
from tests.core.policies import policy_with
from tests.core.scenes import Scene


def records_of(kind: DoorEventKind) -> list[RecordEvent]:
    """What the gate records when its door posts this event."""
    scene = Scene(policy_with(contact=True))
    commands = scene.send(DoorEvent(kind, "the relay is stuck" if kind == "fault" else ""))
    return [command for command in commands if isinstance(command, RecordEvent)]


@pytest.mark.parametrize("kind", [k for k in DoorEventKind if k is not DoorEventKind.TRIGGER])
def test_every_input_of_the_door_leaves_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture, kind: DoorEventKind
) -> None:
    with caplog.at_level(logging.INFO, "gated"):
        for event in records_of(kind):
            LogOnly().event(event)
    lines = [r for r in caplog.records if r.name == "gated"]
    assert len(lines) == 1
    assert lines[0].getMessage().startswith("door: ")
    loud = {DoorEventKind.FIRE, DoorEventKind.TAMPER, DoorEventKind.CONTACT_OPEN}
    assert lines[0].levelno == logging.ERROR or kind not in loud


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (DoorEventKind.REX, "exit button"),
        (DoorEventKind.FIRE, "fire loop"),
        (DoorEventKind.CONTACT_CLOSED, "leaf was closed"),
        (DoorEventKind.TAMPER, "tamper"),
    ],
)
def test_the_terminal_shows_it_too(
    capsys: pytest.CaptureFixture[str], kind: DoorEventKind, words: str
) -> None:
    terminal = Terminal(Settings())
    for event in records_of(kind):
        terminal.event(event)
    assert words in capsys.readouterr().out


def test_nobody_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(policy_with(contact=True))
    (event,) = [c for c in scene.send(DoorEvent(DoorEventKind.REX)) if isinstance(c, RecordEvent)]
    with caplog.at_level(logging.INFO, "gated"):
        LogOnly().event(RecordEvent(event.at, "door_mode", {"mode": "lockdown"}, actor="eve: why"))
    assert "eve" not in caplog.text
