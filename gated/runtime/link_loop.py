"""Runs the door's end of the socket, as a loop that no error of a service ends."""

from __future__ import annotations

import logging

from gated.link.loop import Loop, OnCrash
from gated.link.server import LinkServer

log = logging.getLogger(__name__)

TURN_S = 0.25
REST_S = 1.0
"""Seconds after an unexpected error, which must not fill the log."""


class LinkLoop(Loop):
    """Serves connections; an unexpected error cuts them off and never ends the door process."""

    def __init__(self, server: LinkServer, on_crash: OnCrash) -> None:
        super().__init__("link", on_crash)
        self._server = server

    def work(self) -> None:
        try:
            while not self.stopping.is_set():
                self.beat()
                self._turn()
        finally:
            self._server.close()

    def stop(self) -> None:
        super().stop()
        self._server.wake()

    def _turn(self) -> None:
        try:
            self._server.turn(TURN_S)
        except Exception:
            log.exception("the service is cut off")
            self._server.cut_off_all()
            self.stopping.wait(REST_S)
