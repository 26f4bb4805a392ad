"""Looks for what must be nowhere: in rows, and in files as they lie there and unsealed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from gated.database.records import Person
from gated.database.tables import metadata
from gated.errors import SealError
from gated.workspace import Workspace


@dataclass(frozen=True)
class Gone:
    """Somebody who was erased: what is known of them, and was stored of their face."""

    person: Person
    template: bytes

    @property
    def words(self) -> tuple[str, ...]:
        return self.person.last_name, self.person.personnel_code

    def is_in(self, data: bytes) -> bool:
        return self.template in data or any(word.encode() in data for word in self.words)


def in_tables(workspace: Workspace, gone: Iterable[Gone]) -> Iterator[str]:
    """Which table holds whom."""
    with workspace.database.read() as session:
        content = {
            table.name: repr(session.execute(sa.select(table)).all())
            for table in metadata.sorted_tables
        }
    for one in gone:
        for name, rows in content.items():
            if any(word in rows for word in one.words):
                yield f"{one.person.last_name} in {name}"


def in_files(workspace: Workspace, folder: Path, gone: Iterable[Gone]) -> Iterator[str]:
    """Which file below a folder holds whom, byte by byte; what can be unsealed is."""
    people = list(gone)
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        data = _unsealed(workspace, file)
        for one in people:
            if one.is_in(data):
                yield f"{one.person.last_name} in {file.relative_to(folder)}"


def _unsealed(workspace: Workspace, file: Path) -> bytes:
    data = file.read_bytes()
    try:
        # what is sealed is bound to its folder and name
        return data + workspace.keys.sealer.unseal(data, f"{file.parent.name}/{file.name}")
    except SealError:
        return data
