"""Reads the whole database once a day: a page that went bad is told before somebody needs it."""

from __future__ import annotations

import logging

from gated.database.probe import damage_in
from gated.errors import StorageError
from gated.journal import alarm_store
from gated.journal.journal import Entry
from gated.link.status_board import StatusBoard
from gated.ports import Clock
from gated.workspace import Service, Workspace

log = logging.getLogger(__name__)

DAMAGED = "database_damaged"
"""Problem and alarm."""


class DamageWatch(Service):
    """Looks for pages of SQLite's file that cannot be what was written."""

    def __init__(self, workspace: Workspace, clock: Clock, board: StatusBoard) -> None:
        super().__init__(workspace, clock)
        self._board = board
        self._told = False

    def look(self) -> None:
        """Publish whether the file is sound, and raise an alarm when it is not."""
        found = damage_in(self._workspace.settings.storage.url)
        self._board.trouble(DAMAGED, None if found is None else found.says)
        if found is not None and not self._told:
            log.error("%s", found.says)
            self._raise(found.says)
        self._told = found is not None

    def _raise(self, says: str) -> None:
        """Raise the alarm, unless the damage itself forbids it: the problem stays."""
        try:
            with self._workspace.database.write() as session:
                if alarm_store.standing(session, DAMAGED) is not None:
                    return
                body = {
                    "gate": self._workspace.settings.gate.name,
                    "detail": says,
                    "severity": "alarm",
                }
                self._workspace.journal.append([Entry(self._clock.now(), DAMAGED, body)], session)
        except StorageError as error:
            log.error("the alarm cannot be recorded: %s", error)
