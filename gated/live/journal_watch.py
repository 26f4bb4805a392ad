"""Verifies the journal while the program runs, and reports problems with an alarm."""

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
"""The kind of row, used at a start, of which an older one would hide the loss of the newest."""


class LogWatch:
    """Checks the ends of the journal and new rows; for one thread."""

    def __init__(self, workspace: Workspace, board: StatusBoard, clock: Clock) -> None:
        self._workspace = workspace
        self._board = board
        self._clock = clock
        self._reported: JournalProblem | None = None
        self._begun = False
        self._behind_mark: JournalProblem | None = None

    def look(self) -> bool:
        """Publish whether the journal is intact; raise an alarm for a new problem.

        Raises: StorageError.
        """
        found = self._workspace.journal.look().found.first_problem or self._before_the_mark()
        self._board.publish(journal_problem="" if found is None else str(found))
        if found is not None and found != self._reported:
            log.error("the journal does not add up: %s", found)
            self._raise(found)
        self._reported = found
        return found is None

    def _before_the_mark(self) -> JournalProblem | None:
        """Verify the whole journal once, if rows after the door's mode seem to be missing.

        The problem stays until the alarm is acknowledged.
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
        """Raise the alarm, unless the journal raised it when it could not continue."""
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
