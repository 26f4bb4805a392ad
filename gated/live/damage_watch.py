"""Reads the whole database once a day, to find damaged pages before they are needed."""

from __future__ import annotations

import logging

from gated.database.probe import damage_in
from gated.errors import StorageError
from gated.link.status_board import StatusBoard
from gated.live.standing_alarm import raise_once
from gated.ports import Clock
from gated.workspace import Service, Workspace

log = logging.getLogger(__name__)

DAMAGED = "database_damaged"
"""Problem and alarm."""


class DamageWatch(Service):
    """Looks for damaged pages in SQLite's file."""

    def __init__(self, workspace: Workspace, clock: Clock, board: StatusBoard) -> None:
        super().__init__(workspace, clock)
        self._board = board
        self._reported = False

    def look(self) -> None:
        """Publish whether the file is intact, and raise an alarm when it is not."""
        found = damage_in(self._workspace.settings.storage.url)
        self._board.trouble(DAMAGED, None if found is None else found.says)
        if found is not None and not self._reported:
            log.error("%s", found.says)
            self._raise(found.says)
        self._reported = found is not None

    def _raise(self, detail: str) -> None:
        """Raise the alarm, unless the damage prevents that; the problem stays on the board."""
        body = {"severity": "alarm", "detail": detail}
        try:
            raise_once(self._workspace, self._clock, DAMAGED, body)
        except StorageError as error:
            log.error("the alarm cannot be recorded: %s", error)
