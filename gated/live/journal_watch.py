"""Looks after the journal while the program runs: what is wrong is a problem and an alarm."""

from __future__ import annotations

import logging

from gated.journal import alarm_store
from gated.journal.journal import BROKEN, Entry
from gated.journal.verify import JournalProblem
from gated.link.status_board import StatusBoard
from gated.ports import Clock
from gated.workspace import Workspace

log = logging.getLogger(__name__)

DOOR_MODE = "door_mode"
"""Of the rows on which a start acts, the one whose loss an older one would hide."""


class LogWatch:
    """Checks the ends of the journal and what came since the last look; one thread may ask."""

    def __init__(self, workspace: Workspace, board: StatusBoard, clock: Clock) -> None:
        self._workspace = workspace
        self._board = board
        self._clock = clock
        self._told: JournalProblem | None = None
        self._begun = False
        self._behind_mark: JournalProblem | None = None

    def look(self) -> bool:
        """Publish whether the journal is whole; raise an alarm for what is new. StorageError."""
        found = self._workspace.journal.look().found.first_problem or self._before_the_mark()
        self._board.publish(journal_problem="" if found is None else str(found))
        if found is not None and found != self._told:
            log.error("the journal does not add up: %s", found)
            self._raise(found)
        self._told = found
        return found is None

    def _before_the_mark(self) -> JournalProblem | None:
        """Find what is wrong where looks do not go, once rows behind the door's mode seem missing.

        It stays a problem until somebody has acknowledged the alarm.
        """
        journal = self._workspace.journal
        with self._workspace.database.read() as session:
            lost = not self._begun and not journal.is_newest(session, DOOR_MODE)
            standing = alarm_store.standing(session, BROKEN) is not None
        if lost:
            self._behind_mark = journal.verify().first_problem
        elif self._begun and not standing:
            self._behind_mark = None
        self._begun = True
        return self._behind_mark

    def _raise(self, found: JournalProblem) -> None:
        """Raise the alarm, unless the journal has by itself when it could not go on."""
        with self._workspace.change("journal", self._clock) as change:
            if alarm_store.standing(change.session, BROKEN) is not None:
                return
            body = {
                "gate": self._workspace.settings.gate.name,
                "cause": "verify",
                "chain": found.chain,
                "row": found.seq,
                "severity": "alarm",
            }
            change.append(Entry(change.at, BROKEN, body))
