"""Nothing that happens at the socket ends the door process."""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.core.messages import Event, OperatorUnlock
from gated.link.client import GateLink
from gated.link.loop import end
from gated.link.messages import Report
from gated.link.remote_board import RemoteBoard
from gated.link.server import LinkServer
from gated.runtime.link_loop import LinkLoop
from tests.devices.waiting import eventually
from tests.link.seams import DoorSide, connecting


def test_a_mistake_cuts_the_service_off_and_it_comes_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    door, crashes = DoorSide(), list[str]()

    def stumble(event: Event) -> None:
        raise ZeroDivisionError

    door.refuse = stumble
    server = LinkServer(tmp_path, door.board, door.tap, door.act)
    server.open()
    loop = LinkLoop(server, lambda name, error: crashes.append(name))
    loop.start()
    board = RemoteBoard()
    link = GateLink(tmp_path, board, 8, Report)
    with connecting(link):
        assert eventually(lambda: board.there)
        with pytest.raises(Exception, match="does not answer"):
            link.ask(OperatorUnlock("olga", "a visitor"))
        assert eventually(lambda: board.there)
        door.refuse = lambda event: None
        link.ask(OperatorUnlock("olga", "a visitor"))
    end(loop)
    assert len(door.taken) == 1
    assert crashes == []
    assert "the service is cut off" in caplog.text
