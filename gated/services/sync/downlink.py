"""What comes down from the hub, on a gate: one transaction a page, its cursor with it.

A page that was cut off is asked for again; one that comes twice says the same twice. Templates are
written before the transaction that names them, and removed when it fails.
"""

from __future__ import annotations

import base64
import json
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Self
from urllib.parse import urlencode

import numpy as np

from gated.core.model import Vector
from gated.devices.clock import SystemClock
from gated.errors import HubError, HubUnreachable, SealError, StorageError
from gated.ports import Clock
from gated.services.sync.client import TIMEOUT_S, HubClient
from gated.services.sync.feed import context
from gated.services.sync.kind import Taking
from gated.services.sync.kinds import KINDS
from gated.services.sync.rules_down import read_access, read_credential
from gated.services.sync.signing import Envelopes
from gated.services.workspace import Workspace
from gated.storage import changes, edge_edits, mirror, newcomers
from gated.storage import settings as settings_store
from gated.storage.carried import CarriedEnrollment
from gated.storage.journal import Entry
from gated.storage.mirror import MirroredPerson

log = logging.getLogger(__name__)

KEY = "sync_cursor"
PAGE = 500


@dataclass(frozen=True, slots=True)
class Place:
    """How far this gate is. snapshot: number of the present or last one.

    cursor: behind what is applied; None before the first snapshot is complete. next_cursor, after:
    where a snapshot that is not complete goes on, and what cursor it leads to. heard: when the hub
    was last heard of (RFC 3339).
    """

    cursor: str | None = None
    model: str = ""
    snapshot: int = 0
    next_cursor: str | None = None
    after: str = ""
    heard: str | None = None


@dataclass(frozen=True, slots=True)
class _Said:
    """One item of a page, opened; person, or value for another kind: what is put."""

    op: str
    kind: str
    uid: str
    person: MirroredPerson | None = None
    value: Any = None


class Downlink:
    """Applies what the hub tells to a workspace; one thread at a time."""

    def __init__(self, workspace: Workspace, client: HubClient, clock: Clock, model: str) -> None:
        self._workspace = workspace
        self._client = client
        self._clock = clock
        self._model = model

    @classmethod
    def of(cls, workspace: Workspace, client: HubClient, model: str) -> Self:
        """The downlink of a workspace, for templates of a model, on the real clock."""
        return cls(workspace, client, SystemClock(), model)

    def place(self) -> Place:
        """How far this gate is."""
        with self._workspace.database.read() as session:
            return Place(**settings_store.get(session, KEY, {}))

    def pull(self, wait: float = 0) -> bool:
        """Apply one page; whether there may be another one at once. HubError, StorageError.

        wait: seconds for which the hub may hold back an answer that tells nothing.
        """
        place = self.place()
        if place.cursor is None or place.model != self._model:
            return self._snapshot(place)
        query = {"since": place.cursor, "model": self._model, "limit": PAGE, "wait": wait}
        try:
            told = self._get("/api/sync/changes", query, TIMEOUT_S + wait)
        except HubError as error:
            if error.told != "snapshot_needed":
                raise
            log.warning("the hub tells everything anew")
            return self._snapshot(replace(place, cursor=None, next_cursor=None, after=""))
        said, refused = self._opened(told)
        with _understood():
            place = replace(place, cursor=str(told["cursor"]))
            more = bool(told["more"])
        self._apply(said, place, refused)
        return more

    def _snapshot(self, place: Place) -> bool:
        if place.next_cursor is None or place.model != self._model:
            number = place.snapshot + 1
            place = replace(place, snapshot=number, model=self._model, next_cursor=None, after="")
        query = {"after": place.after, "model": self._model, "limit": PAGE}
        told = self._get("/api/sync/snapshot", query, TIMEOUT_S)
        said, refused = self._opened(told)
        with _understood():
            begun, after = place.next_cursor or str(told["cursor"]), told["after"]
        if after is not None:
            place = replace(place, cursor=None, next_cursor=begun, after=str(after))
        else:
            place = replace(place, cursor=begun, next_cursor=None, after="")
        self._apply(said, place, refused, last=after is None)
        return True

    def _get(self, path: str, query: Mapping[str, Any], timeout: float) -> Any:
        return self._client.get(f"{path}?{urlencode(query)}", timeout)

    # --- reading ------------------------------------------------------------------------------

    def _opened(self, told: Any) -> tuple[list[_Said], int]:
        """The items of a page, and how many make no sense: those must not keep the others away."""
        own = self._client.credentials
        assert own is not None  # noqa: S101
        with _understood():
            envelopes = own.keys.opener(str(told["ephemeral"]))
            items = list(told["items"])
        said, refused = [], 0
        for item in items:
            try:
                said.append(_read(item, envelopes, self._model))
            except (KeyError, TypeError, ValueError, AttributeError, SealError) as error:
                log.error("an item from the hub makes no sense: %s", error)
                refused += 1
        return said, refused

    # --- applying -----------------------------------------------------------------------------

    def _apply(self, said: Sequence[_Said], place: Place, refused: int, last: bool = False) -> None:
        """Everything or nothing; files that are needed no more go after the commit."""
        now = self._clock.now()
        heard = datetime.fromtimestamp(now.utc, UTC).isoformat()
        place = replace(place, heard=heard)
        written: list[str] = []
        try:
            people = self._written(said, written)
            with self._workspace.database.write() as session:
                taking = Taking(self._workspace, session, now, place.snapshot)
                done = self._write(taking, said, people, last)
                if refused:
                    done["refused"] = refused
                if done:
                    taking.entries.append(Entry(now, "sync_applied", dict(done)))
                self._workspace.journal.append(taking.entries, session)
                settings_store.set_(session, KEY, _told(place))
        except BaseException:
            self._workspace.files.delete(*written)
            raise
        self._workspace.files.delete(*taking.unneeded)
        if done.keys() & {"erased", "gone"}:
            self._workspace.forget_gallery()
        if done["erased"]:
            self._workspace.database.truncate_log()

    def _write(
        self,
        taking: Taking,
        said: Sequence[_Said],
        people: Mapping[str, MirroredPerson],
        last: bool,
    ) -> Counter[str]:
        """How much was done by its kind."""
        done: Counter[str] = Counter()
        session, snapshot = taking.session, taking.snapshot
        of_persons = all(s.op == "put" and s.kind == changes.PERSON for s in said)
        if last or not of_persons:  # the locks in their order: see `changes`
            settings_store.touch_gallery(session)
            settings_store.touch_rules(session)
        done.update(s.op for s in said)
        for s in said:
            if s.op == "put" and s.kind != changes.PERSON:
                KINDS[s.kind].put(taking, s.uid, s.value)
        if people:
            taking.unneeded += newcomers.put_all(session, list(people.values()), snapshot)
        for s in sorted(said, key=_order):
            if s.op == "erased":
                journal = self._workspace.journal
                taking.unneeded += mirror.erase(session, journal, taking.now, s.uid)
            elif s.op == "gone":
                _drop(taking, s.kind, s.uid)
        if last:
            edge_edits.send_again(session)
            behind = mirror.behind(session, snapshot)
            done["gone"] += len(behind)
            for kind, uid in sorted(behind, key=lambda thing: _DROPPED.index(thing[0])):
                _drop(taking, kind, uid)
        # a thing that is neither there nor gone must not count as one that was
        return +done

    def _written(self, said: Sequence[_Said], written: list[str]) -> dict[str, MirroredPerson]:
        """The persons to put, their templates and photos in files; `written` gets the new ones."""
        people = {s.uid: s.person for s in said if s.person is not None}
        with self._workspace.database.read() as session:
            there = mirror.enrolled(session, list(people))
        found = {uid: self._with_files(p, there, written) for uid, p in people.items()}
        if written:
            self._workspace.files.sync()
        return found

    def _with_files(
        self, person: MirroredPerson, there: Mapping[str, CarriedEnrollment], written: list[str]
    ) -> MirroredPerson:
        enrolled = []
        for e in person.enrollments:
            assert isinstance(e, _Enrollment)  # noqa: S101
            old = there.get(e.uid)
            encoding = self._encoding(e, old, written)
            image = self._image(e, old, written)
            enrolled.append(
                CarriedEnrollment(e.uid, e.model, e.confidence, e.is_active, encoding, image)
            )
        return replace(person, enrollments=tuple(enrolled))

    def _encoding(
        self, told: _Enrollment, old: CarriedEnrollment | None, written: list[str]
    ) -> str | None:
        """The file of a template: the present one while it says the same."""
        if told.vector is None:
            return None
        path = old.encoding_path if old else None
        if path is not None and self._same(path, told.vector):
            return path
        written.append(
            self._workspace.files.save_encoding(told.vector, str(told.model), durable=False)
        )
        return written[-1]

    def _same(self, path: str, vector: Vector) -> bool:
        try:
            present, model = self._workspace.files.load_encoding(path)
        except StorageError:
            return False
        return model == self._model and np.array_equal(present, vector)

    def _image(
        self, told: _Enrollment, old: CarriedEnrollment | None, written: list[str]
    ) -> str | None:
        if told.photo is None:
            return None
        path = old.image_path if old else None
        try:
            if path is not None and self._workspace.files.load_image(path) == told.photo:
                return path
        except StorageError:
            pass
        written.append(self._workspace.files.save_image(told.photo, durable=False))
        return written[-1]


@dataclass(frozen=True, slots=True, eq=False)
class _Enrollment(CarriedEnrollment):
    """An enrollment as it came, with what will be in its files."""

    vector: Vector | None = None
    photo: bytes | None = None


class _understood:  # noqa: N801
    """What the hub said outside of its items must make sense; HubUnreachable."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, KeyError | TypeError | ValueError | AttributeError):
            raise HubUnreachable("the hub's answer cannot be understood") from error


_DROPPED = (changes.PERSON, *reversed(list(KINDS)))
"""All kinds in the order in which they are dropped."""


def _order(said: _Said) -> tuple[bool, int]:
    """What goes comes last, after what still named it."""
    return said.op == "gone", _DROPPED.index(said.kind)


def _drop(taking: Taking, kind: str, uid: str) -> None:
    if kind == changes.PERSON:
        taking.unneeded += mirror.drop(taking.session, uid)
    else:
        KINDS[kind].drop(taking, uid)


def _read(item: Mapping[str, Any], envelopes: Envelopes, model: str) -> _Said:
    """ValueError, KeyError, TypeError, SealError for what is no item for this gate."""
    op, kind, uid = str(item["op"]), str(item["kind"]), str(item["uid"])
    if op not in ("put", "gone", "erased") or kind not in _DROPPED:
        raise ValueError(f"{op} {kind} is not known to this version")
    if op != "put":
        return _Said(op, kind, uid)
    told = json.loads(envelopes.open(item["sealed"], context(kind, uid)))
    if kind == changes.PERSON:
        return _Said(op, kind, uid, person=_person(uid, told, model))
    return _Said(op, kind, uid, value=KINDS[kind].read(told))


def _person(uid: str, told: Mapping[str, Any], model: str) -> MirroredPerson:
    return MirroredPerson(
        uid,
        int(told["version"]),
        str(told["first_name"]),
        str(told["last_name"]),
        str(told["personnel_code"]),
        _text(told["department"]),
        _text(told["position"]),
        bool(told["is_active"]),
        date.fromisoformat(told["leaves_on"]) if told["leaves_on"] else None,
        bool(told["extended_unlock"]),
        {str(g): str(name) for g, name in told["groups"]},
        tuple(_enrollment(e, model) for e in told["enrollments"]),
        read_access(told["access"]),
        tuple(read_credential(c) for c in told["credentials"]),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _enrollment(told: Mapping[str, Any], model: str) -> _Enrollment:
    vector = photo = None
    if told["template"] is not None:
        if told["model"] != model:
            raise ValueError("a template of another model")
        vector = np.frombuffer(base64.b64decode(told["template"], validate=True), "<f4")
        vector = vector.astype(np.float32)
        if not len(vector) or not np.isfinite(vector).all():
            raise ValueError("no template")
    if told["photo"] is not None:
        photo = base64.b64decode(told["photo"], validate=True)
    confidence = float(told["confidence"])
    if not math.isfinite(confidence):
        raise ValueError("no confidence")
    return _Enrollment(
        str(told["uid"]), _text(told["model"]), confidence, bool(told["is_active"]), None, None,
        vector, photo,
    )  # fmt: skip


def _told(place: Place) -> dict[str, Any]:
    return {name: getattr(place, name) for name in Place.__dataclass_fields__}
