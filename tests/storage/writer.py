"""A program that writes as a gate does and says what it has acknowledged, until it is killed.

    python -m tests.storage.writer STATE ROUNDS

Each line of STATE/acknowledged is one promise, written once the call has returned.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from gated.config import Settings
from gated.core.messages import RecordDecision
from gated.core.values import PersonRef
from gated.database import stored_settings
from gated.live.recording import Recorder
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by
from tests.people.people import enroll, grant

PROMISES = "acknowledged"


def settings(state: Path) -> Settings:
    """The settings of the gate that is written to."""
    return Settings.model_validate({"storage": {"state_dir": state}})


class Writer:
    """Writes rows, people, templates and erasures, and promises each."""

    def __init__(self, workspace: Workspace, promises: int) -> None:
        self._workspace = workspace
        self._promises = promises
        self._people: list[tuple[int, PersonRef]] = []
        self._recorder = Recorder(workspace, workspace.settings)

    def promise(self, *words: object) -> None:
        os.write(self._promises, (" ".join(map(str, words)) + "\n").encode())

    def round(self, i: int) -> None:
        if i % 4 == 0:
            self.hire(i)
        if i % 9 == 8 and len(self._people) > 1:
            self.erase()
        who = self._people[i % len(self._people)][1] if i % 3 else None
        self._recorder.append([RecordDecision(grant(who))] * (1 + i % 3))
        with self._workspace.database.read() as session:
            for end in self._workspace.journal.sealed_ends(session).items():
                self.promise("rows", *end)
        if i % 13 == 12:
            self._workspace.database.checkpoint()

    def hire(self, i: int) -> None:
        workspace = self._workspace
        fields = {"first_name": f"Person {i}", "personnel_code": f"w-{os.getpid()}-{i}"}
        person = done_by("writer", People.of(workspace).create, fields)
        path = workspace.files.save_encoding(np.full(8, i, "f4"), "m1")
        with workspace.database.write() as session:
            enroll(session, person, face_encoding_path=path, face_image_path=None)
            stored_settings.touch_gallery(session)
        ref = person.ref
        self._people.append((i, ref))
        self.promise("person", person.uid, i, path)

    def erase(self) -> None:
        _, ref = self._people.pop(0)
        self.promise("erasing", ref.uid)
        done_by("writer", People.of(self._workspace).delete, ref.id, reason="x", override=True)
        self.promise("erased", ref.uid)


def main(state: Path, rounds: int) -> None:
    promises = os.open(state / PROMISES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with Workspace(settings(state)) as workspace:
        writer = Writer(workspace, promises)
        for i in range(rounds):
            writer.round(i)
    writer.promise("end")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
