"""What gates are told, on the hub: changes behind a cursor, or everything as a snapshot.

A cursor is `FEED.GIVEN.NUMBER`: the feed's name, how often what this gate is given began anew, and
the number of the last change that the gate has applied. Asking with a cursor says that all up to it
is done, which is what confirms an erasure.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Self

from sqlalchemy.orm import Session

from gated.core.chain import canonical
from gated.devices.clock import SystemClock
from gated.errors import SnapshotNeeded, StorageError
from gated.services.sync.cursors import Ahead, Cursors
from gated.services.sync.kind import Telling, Told
from gated.services.sync.kinds import KINDS
from gated.services.sync.restored import renew_feed
from gated.services.sync.signing import Envelopes
from gated.services.workspace import Workspace
from gated.storage import carried, changes, gates
from gated.storage.carried import CarriedEnrollment, CarriedPerson
from gated.storage.changes import Change, FeedHead
from gated.storage.gates import GateRow
from gated.storage.journal import Entry

log = logging.getLogger(__name__)

PAGE_BYTES = 4 * 1024 * 1024
"""A page with photos ends when it has so many."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing: `put` with its present state sealed for the gate, `gone`, or `erased`."""

    kind: str
    uid: str
    op: str
    sealed: str | None = None


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """Items in the hub's order. seq, cursor: after them; more: another page is ready."""

    seq: int
    cursor: str
    more: bool
    ephemeral: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class SnapshotPage:
    """Part of everything that a gate carries, by uid.

    cursor: where changes go on once all pages are applied, if this is the first one. after: names
    the next page; None behind the last one, when all that no page named must go.
    """

    cursor: str
    after: str | None
    ephemeral: str
    items: tuple[Item, ...]


class Feed:
    """Tells the gates of a workspace that is their hub."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._cursors = Cursors(workspace.keys)
        self._sharing = threading.Lock()
        self._shared: tuple[tuple[str, int, int, int], _Found] | None = None

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """The feed of a workspace."""
        return cls(workspace)

    def renew(self, *, actor: str) -> None:
        """Make all cursors void: every gate begins with a snapshot."""
        now = SystemClock().now()
        with self._workspace.database.write() as session:
            changes.renew(session)
            entry = Entry(now, "feed_renewed", {}, {"actor": {"name": actor}})
            self._workspace.journal.append([entry], session)

    def changes(self, gate: GateRow, cursor: str, model: str, limit: int) -> ChangesPage:
        """What changed behind a cursor, and confirm the erasures up to it; SnapshotNeeded.

        Templates are of the gate's model only. A cursor that is ahead of this hub makes all void.
        """
        try:
            return self._changes(gate, cursor, model, limit)
        except Ahead:
            self._renew_if_ahead(gate.id, cursor)
            raise

    def _renew_if_ahead(self, gate_id: int, cursor: str) -> None:
        now = SystemClock().now()
        with self._workspace.database.write() as session:
            changes.begin(session)
            try:
                self._cursors.read(changes.head(session), gates.get(session, gate_id), cursor)
            except Ahead:
                renew_feed(session, self._workspace.journal, now)
            except SnapshotNeeded:
                return  # another process was faster

    def _changes(self, gate: GateRow, cursor: str, model: str, limit: int) -> ChangesPage:
        with self._workspace.database.read() as session:
            end = changes.head(session)
            seq = self._cursors.read(end, gate, cursor)
            found, present = self._found(session, gate, end, seq, limit)
        if seq > gate.cursor:
            self._confirm(gate, seq)
        writer, items = _Writer(self._workspace, gate, model), []
        for n, change in enumerate(found):
            if writer.bytes > PAGE_BYTES:
                found = found[:n]
                break
            items.append(present.item(change, writer))
        last = found[-1].seq if found else end.seq
        following = self._cursors.write(end, gate, last)
        return ChangesPage(last, following, last < end.seq, writer.ephemeral, tuple(items))

    def _confirm(self, gate: GateRow, seq: int) -> None:
        with self._workspace.database.write() as session:
            gates.heard(session, gate.id, cursor=seq)
            changes.confirm(session, gate.id, seq)

    def _found(
        self, session: Session, gate: GateRow, end: FeedHead, seq: int, limit: int
    ) -> _Found:
        """What changed behind a number, as it is now.

        Gates that carry everybody ask for the same at the same moment: it is read once for all of
        them. What is carried cannot differ while the number of the last change is the same.
        """
        if not gate.everyone:
            return self._read(session, gate, seq, limit)
        key = (end.feed, end.seq, seq, limit)
        with self._sharing:
            if self._shared is not None and self._shared[0] == key:
                return self._shared[1]
            found = self._read(session, gate, seq, limit)
            # things of other kinds are told to each gate in its own way
            self._shared = None if found[1].things else (key, found)
        return found

    def _read(self, session: Session, gate: GateRow, seq: int, limit: int) -> _Found:
        found = changes.since(session, seq, limit)
        return found, self._present(session, gate, found)

    def _present(self, session: Session, gate: GateRow, found: Sequence[Change]) -> _Present:
        if not found:
            return _Present()
        uids: dict[str, list[str]] = defaultdict(list)
        for change in found:
            uids[change.kind].append(change.uid)
        people = uids.pop(changes.PERSON, [])
        telling = Telling(self._workspace, session, gate)
        return _Present(
            carried.of(session, gate, people),
            {k: KINDS[k].tell(telling, some) for k, some in uids.items()},
            changes.erased(session, people),
        )

    def snapshot(self, gate: GateRow, after: str, model: str, limit: int) -> SnapshotPage:
        """Everything that a gate carries behind a uid; what it has to erase comes first."""
        writer = _Writer(self._workspace, gate, model)
        items: list[Item] = []
        if not after:
            with self._workspace.database.write() as session:
                changes.begin(session)
        with self._workspace.database.read() as session:
            end = changes.head(session)
            if not after:
                items += self._first(session, gate, writer)
            people = carried.behind(session, gate, after, limit)
        more = len(people) == limit
        for n, person in enumerate(people):
            if writer.bytes > PAGE_BYTES:
                people, more = people[:n], True
                break
            items.append(writer.person(person))
        following = people[-1].uid if more else None
        return SnapshotPage(
            self._cursors.write(end, gate, end.seq), following, writer.ephemeral, tuple(items)
        )

    def _first(self, session: Session, gate: GateRow, writer: _Writer) -> Iterable[Item]:
        for uid in changes.unconfirmed(session, gate.id, gate.joined_at):
            yield Item(changes.PERSON, uid, "erased")
        telling = Telling(self._workspace, session, gate)
        for kind in KINDS.values():
            for uid, told in kind.tell(telling, None).items():
                yield writer.item(kind.name, uid, told)


@dataclass(frozen=True, slots=True)
class _Present:
    """What a gate carries of the things that changed. things: kind -> uid -> state."""

    people: Mapping[str, CarriedPerson] = field(default_factory=dict)
    things: Mapping[str, Mapping[str, Told]] = field(default_factory=dict)
    erased: Collection[str] = ()

    def item(self, change: Change, writer: _Writer) -> Item:
        if (person := self.people.get(change.uid)) is not None:
            return writer.person(person)
        if (told := self.things.get(change.kind, {}).get(change.uid)) is not None:
            return writer.item(change.kind, change.uid, told)
        return Item(change.kind, change.uid, "erased" if change.uid in self.erased else "gone")


_Found = tuple[list[Change], _Present]


class _Writer:
    """Seals what one page tells one gate."""

    def __init__(self, workspace: Workspace, gate: GateRow, model: str) -> None:
        assert gate.seal_key is not None  # noqa: S101
        self._envelopes = Envelopes.to(gate.seal_key)
        self._files = workspace.files
        self._gate = gate
        self._model = model
        self.ephemeral = self._envelopes.ephemeral
        self.bytes = 0

    def person(self, person: CarriedPerson) -> Item:
        told = asdict(person)
        told["enrollments"] = [self._enrollment(e) for e in person.enrollments]
        return self.item(changes.PERSON, person.uid, told)

    def item(self, kind: str, uid: str, told: Mapping[str, Any]) -> Item:
        sealed = self._envelopes.seal(json.dumps(told, default=_text).encode(), context(kind, uid))
        self.bytes += len(sealed)
        return Item(kind, uid, "put", sealed)

    def _enrollment(self, enrollment: CarriedEnrollment) -> dict[str, Any]:
        """The template where the gate can use it, else the photo where the gate may have it."""
        told: dict[str, Any] = {
            "uid": enrollment.uid,
            "model": enrollment.model,
            "confidence": enrollment.confidence,
            "is_active": enrollment.is_active,
            "template": None,
            "photo": None,
        }
        try:
            if enrollment.encoding_path and enrollment.model == self._model:
                vector, _ = self._files.load_encoding(enrollment.encoding_path)
                told["template"] = base64.b64encode(vector.tobytes()).decode()
            elif enrollment.image_path and self._gate.photos:
                photo = self._files.load_image(enrollment.image_path)
                told["photo"] = base64.b64encode(photo).decode()
        except StorageError as error:
            log.error("enrollment %s cannot be sent: %s", enrollment.uid, error)
        return told


def _text(at: date) -> str:
    return at.isoformat()


def context(kind: str, uid: str) -> str:
    """What an envelope is bound to."""
    return canonical(["gated sync", kind, uid]).decode()
