"""Converts records of the running gate into entries of the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gated.config import Settings
from gated.core.messages import RecordDecision, RecordEvent
from gated.database.tables import new_uid
from gated.journal.journal import Entry, decision_entry, subject_of
from gated.workspace import Workspace

Record = RecordDecision | RecordEvent


class Recorder:
    """Appends batches of records to the journal of one gate."""

    def __init__(self, workspace: Workspace, settings: Settings) -> None:
        self._journal = workspace.journal
        self._gate = settings.gate.name
        self._camera = settings.camera.name
        self._site = settings.gate.site
        self._run = new_uid()

    def append(self, records: Sequence[Record]) -> None:
        """Write the batch in one durable transaction. Raises: StorageError."""
        self._journal.append([self._entry(r) for r in records])

    def _entry(self, record: Record) -> Entry:
        if isinstance(record, RecordDecision):
            decision = record.decision
            visit_uid = self.visit_uid(decision.visit)
            return decision_entry(decision, self._gate, self._camera, self._site, visit_uid)
        body = {**record.body, "severity": record.severity, "gate": self._gate}
        if "visit" in body:
            body["visit_uid"] = self.visit_uid(body["visit"])
        private: dict[str, Mapping[str, Any]] = {}
        why = {"cause": record.cause} if record.cause else {}
        if record.subject:
            private["subject"] = {**subject_of(record.subject), **why}
        if record.actor:
            private["actor"] = {"name": record.actor, **({} if record.subject else why)}
        return Entry(record.at, record.kind, body, private)

    def visit_uid(self, visit: int) -> str:
        """Return a unique id of a visit, as numbers begin anew at each start of the program."""
        return f"{self._run}-{visit}"
