"""The feed of a hub: changes behind a cursor, or everything as a snapshot.

A cursor (`wire.cursors`) holds the number of the last change that the gate has applied. Asking with
one says that all up to it is done, which is what confirms an erasure.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from sqlalchemy.orm import Session

from gated.change import FEED
from gated.core.chain import canonical
from gated.database import change_feed as changes
from gated.database.change_feed import FeedChange, FeedHead
from gated.database.records import GateRow
from gated.errors import SnapshotNeeded, StorageError
from gated.fleet.hub import gate_store, scope
from gated.fleet.hub.restored import renew_feed
from gated.fleet.hub.watched import is_forked
from gated.fleet.wire.cursors import Ahead, Cursors
from gated.fleet.wire.kind import OutboundPage
from gated.fleet.wire.kinds import KINDS
from gated.fleet.wire.signing import Envelopes
from gated.fleet.wire.states import (
    SentEnrollment,
    SentPerson,
    State,
    StoredEnrollment,
    StoredPerson,
)
from gated.workspace import Workspace

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
    """Answers the gates of a workspace that is their hub."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._cursors = Cursors(workspace.keys)
        self._sharing = threading.Lock()
        self._shared: tuple[tuple[str, int, int, int], _Found] | None = None

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """Return the feed of a workspace."""
        return cls(workspace)

    def renew(self, *, actor: str) -> None:
        """Make all cursors void: every gate begins with a snapshot."""
        with self._workspace.change(actor) as change:
            changes.renew(change.session)
            change.record("feed_renewed", {})

    def changes(
        self, gate: GateRow, cursor: str, model: str, limit: int, erasing: bool = False
    ) -> ChangesPage:
        """Return the changes behind a cursor, and confirm the erasures up to it.

        Templates are of the gate's model only. A cursor that is ahead of this hub makes all void.
        erasing: the gate still has erased data, and confirms nothing. Raises: SnapshotNeeded.
        """
        try:
            return self._changes(gate, cursor, model, limit, erasing)
        except Ahead:
            self._renew_if_ahead(gate.id, cursor)
            raise

    def _renew_if_ahead(self, gate_id: int, cursor: str) -> None:
        with self._workspace.change("sync") as change:
            change.touches(FEED)
            session = change.session
            try:
                self._cursors.read(changes.head(session), gate_store.get(session, gate_id), cursor)
            except Ahead:
                renew_feed(change)
            except SnapshotNeeded:
                return  # another process was faster

    def _changes(
        self, gate: GateRow, cursor: str, model: str, limit: int, erasing: bool
    ) -> ChangesPage:
        with self._workspace.database.read() as session:
            end = changes.head(session)
            seq = self._cursors.read(end, gate, cursor)
            found, present = self._found(session, gate, end, seq, limit)
        # of two units that are one gate, neither speaks for the other
        if seq > gate.cursor and not erasing and not is_forked(gate.status):
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
            gate_store.heard(session, gate.id, cursor=seq)
            changes.confirm(session, gate.id, seq)

    def _found(
        self, session: Session, gate: GateRow, end: FeedHead, seq: int, limit: int
    ) -> _Found:
        """Return the changes behind a number, with the present states.

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
            # each gate has states of its own of things of other kinds
            self._shared = (key, found) if found[1].states.keys() <= {changes.PERSON} else None
        return found

    def _read(self, session: Session, gate: GateRow, seq: int, limit: int) -> _Found:
        found = changes.since(session, seq, limit)
        return found, self._present(session, gate, found)

    def _present(self, session: Session, gate: GateRow, found: Sequence[FeedChange]) -> _Present:
        if not found:
            return _Present()
        uids: dict[str, list[str]] = defaultdict(list)
        for change in found:
            uids[change.kind].append(change.uid)
        page = OutboundPage(self._workspace, session, gate)
        return _Present(
            {kind: KINDS[kind].collect(page, some) for kind, some in uids.items()},
            changes.erased(session, uids[changes.PERSON]),
        )

    def snapshot(self, gate: GateRow, after: str, model: str, limit: int) -> SnapshotPage:
        """Return everything that a gate carries behind a uid; what it has to erase comes first."""
        writer = _Writer(self._workspace, gate, model)
        items: list[Item] = []
        if not after:
            with self._workspace.database.write() as session:
                changes.begin(session)
        with self._workspace.database.read() as session:
            end = changes.head(session)
            if not after:
                items += self._first(session, gate, writer)
            people = scope.behind(session, gate, after, limit)
        more = len(people) == limit
        for n, person in enumerate(people):
            # one at least, however much the first page holds besides: it names the next one
            if n and writer.bytes > PAGE_BYTES:
                people, more = people[:n], True
                break
            items.append(writer.item(changes.PERSON, person.uid, person))
        following = people[-1].uid if more else None
        return SnapshotPage(
            self._cursors.write(end, gate, end.seq), following, writer.ephemeral, tuple(items)
        )

    def _first(self, session: Session, gate: GateRow, writer: _Writer) -> Iterable[Item]:
        for uid in changes.unconfirmed(session, gate.id, gate.joined_at):
            yield Item(changes.PERSON, uid, "erased")
        page = OutboundPage(self._workspace, session, gate)
        for kind in KINDS.values():
            if kind.name != changes.PERSON:
                for uid, state in kind.collect(page, None).items():
                    yield writer.item(kind.name, uid, state)


@dataclass(frozen=True, slots=True)
class _Present:
    """Things that changed, as far as a gate carries them. states: kind -> uid -> state."""

    states: Mapping[str, Mapping[str, State]] = field(default_factory=dict)
    erased: Collection[str] = ()

    def item(self, change: FeedChange, writer: _Writer) -> Item:
        if (state := self.states.get(change.kind, {}).get(change.uid)) is not None:
            return writer.item(change.kind, change.uid, state)
        return Item(change.kind, change.uid, "erased" if change.uid in self.erased else "gone")


_Found = tuple[list[FeedChange], _Present]


class _Writer:
    """Seals the items of one page for one gate."""

    def __init__(self, workspace: Workspace, gate: GateRow, model: str) -> None:
        assert gate.seal_key is not None  # noqa: S101
        self._envelopes = Envelopes.to(gate.seal_key)
        self._files = workspace.files
        self._gate = gate
        self._model = model
        self.ephemeral = self._envelopes.ephemeral
        self.bytes = 0

    def item(self, kind: str, uid: str, state: State) -> Item:
        sent = self._person(state) if isinstance(state, StoredPerson) else state
        sealed = self._envelopes.seal(sent.to_wire(), context(kind, uid))
        self.bytes += len(sealed)
        return Item(kind, uid, "put", sealed)

    def _person(self, person: StoredPerson) -> SentPerson:
        enrollments = tuple(self._enrollment(e) for e in person.enrollments)
        return SentPerson.of(**{**person.fields(), "enrollments": enrollments})

    def _enrollment(self, enrollment: StoredEnrollment) -> SentEnrollment:
        """Read the template where the gate can use it, else the photo where it may have it."""
        fields = enrollment.fields()
        encoding, image = fields.pop("encoding_path"), fields.pop("image_path")
        template = photo = None
        try:
            if encoding and enrollment.model == self._model:
                template = self._files.load_encoding(encoding)[0].tobytes()
            elif image and self._gate.photos:
                photo = self._files.load_image(image)
        except StorageError as error:
            log.error("enrollment %s cannot be sent: %s", enrollment.uid, error)
        return SentEnrollment.of(**fields, template=template, photo=photo)


def context(kind: str, uid: str) -> str:
    """Return the context that an envelope is bound to."""
    return canonical(["gated sync", kind, uid]).decode()
