"""The fast path of verification: recognises rows that are certainly right, in microseconds each.

Nearly all rows of a journal are. A row that is not recognised here is not wrong yet: `verify`
checks it in full and names the problem. So a row with a problem must never be recognised; a right
row that is not (a corrected one, an unknown role) only takes longer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import PROJECTED, row_uid, utc
from gated.core.values import Reason
from gated.database.tables import attendance_logs, journal, persons

PRIVATE = ("seq", "role", "salt", "payload", "uid")
SEAL = ("seq", "hash", "signature")
ATTENDANCE = (
    *("seq", "uid", "person_id"),
    *("gate_name", "camera_name", "site", "direction", "status", "reason", "method"),
    *("confidence_score", "rule", "score", "threshold", "margin", "frames", "pad", "visit"),
    *("visit_uid", "sight_to_decision_ms", "usable_to_decision_ms", "timezone"),
    *("superseded_by", "flags", "created_at", "recorded_at"),
)
_COLUMNS = itemgetter(
    "gate", "camera", "site", "direction", "status", "reason", "method", "confidence"
)
"""The fields of a body that an attendance row needs, in the order of ATTENDANCE."""

MOST_PERSONS = 50_000
"""The most persons of a hub whose id is cached by uid."""

_ROLES = frozenset({"subject", "actor"})
_SURE = (0, 1)
_NO_PERSON: Mapping[str, Any] = {}
_NAIVE = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_STRANGE = (ValueError, TypeError, KeyError, AttributeError, StopIteration)
_STRANGER = (RecursionError, OverflowError)

_decoder: Any = json.JSONDecoder()
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once
_as_json = json.JSONEncoder().encode


def attendance_columns(session: Session) -> Sequence[sa.ColumnElement[Any]]:
    """Return the columns of the attendance log to compare; on SQLite as the stored texts."""
    columns: list[sa.ColumnElement[Any]] = [attendance_logs.c[name] for name in ATTENDANCE]
    if not _is_sqlite(session):
        return columns
    texts = [sa.type_coerce(c, sa.String).label(c.name) for c in columns[-3:]]
    return [*columns[:-3], *texts]


def journal_columns(session: Session) -> Sequence[sa.ColumnElement[Any]]:
    """Return the columns of the journal; on SQLite without converting `clock_ok` to a boolean."""
    columns: list[sa.ColumnElement[Any]] = list(journal.c)
    if not _is_sqlite(session):
        return columns
    return [
        sa.type_coerce(c, sa.Integer).label(c.name) if c.name == "clock_ok" else c for c in columns
    ]


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


@dataclass(frozen=True, slots=True)
class Exceptions:
    """Differences of a chain's rows that other rows explain.

    superseded: (chain, number) of superseded rows. unused: (chain, visit) of grants that were not
    used. redacted: returns whether the erasure of a private part (role, number) is on record.
    collected: the chain came from a gate, which has other ids of persons.
    """

    superseded: Collection[tuple[str, int]]
    unused: Collection[tuple[str, str]]
    redacted: Callable[[str, int], bool]
    collected: bool


class SoundRows:
    """Recognises the rows of one chain that are certainly right."""

    def __init__(self, session: Session, chain: str, exceptions: Exceptions) -> None:
        self._session = session
        self._exceptions = exceptions
        self._chain = f'"chain":{_as_json(chain)},"clock_ok":'
        self._as_text = _is_sqlite(session)
        self._boots: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        self._persons: dict[str, int | None] = {}

    def holds(
        self, row: Sequence[Any], prev: str, parts: Sequence[Any], found: Sequence[Any]
    ) -> bool:
        """Return whether a row that follows the hash `prev` is certainly right, with its other
        rows.

        row: all columns of the journal. parts: its private rows, columns PRIVATE. found: its rows
        in the attendance log, columns ATTENDANCE.
        """
        try:
            return self._holds(row, prev, parts, found)
        except (*_STRANGE, *_STRANGER):
            return False

    def _holds(
        self, row: Sequence[Any], prev: str, parts: Sequence[Any], found: Sequence[Any]
    ) -> bool:
        chain, seq, at, boot, mono, sure, kind, body, commits, before, hash_ = row
        if before != prev or type(at) is not int or type(mono) is not int or sure not in _SURE:
            return False
        text = (
            f'{prev}{{"at_utc":{at},"body":{body},"boot_id":{self._boot(boot)},'
            f'{self._chain}{"true" if sure else "false"},"commits":{commits},'
            f'"kind":{self._kind(kind)},"mono_ns":{mono},"seq":{seq}}}'
        )
        if sha256(text.encode("ascii")).hexdigest() != hash_:
            return False
        fields, end = _scan(body, 0)
        if end != len(body) or type(fields) is not dict:
            return False
        subject = self._private(seq, commits, parts)
        if subject is None:
            return False
        if kind not in PROJECTED:
            return not found
        place = chain, seq, at, hash_
        return len(found) == 1 and self._projected(place, fields, subject, found[0])

    def _boot(self, boot: str) -> str:
        return self._boots.get(boot) or _remembered(self._boots, boot)

    def _kind(self, kind: str) -> str:
        return self._kinds.get(kind) or _remembered(self._kinds, kind)

    def _private(self, seq: int, commits: str, parts: Sequence[Any]) -> Mapping[str, Any] | None:
        """Return the subject in the private parts; None when anything about them is unusual."""
        if not parts and commits == "{}":
            return _NO_PERSON
        subject, known = _NO_PERSON, {}
        for _, role, salt, payload, uid in parts:
            known[role] = sha256(f"{salt}{payload}".encode("ascii")).hexdigest()
            parsed, end = _scan(payload, 0)
            if role not in _ROLES or end != len(payload) or parsed.get("uid") != uid:
                return None
            if role == "subject":
                subject = parsed
        if len(parts) == 1 and commits == f'{{"{role}":"{known[role]}"}}':
            return subject
        wanted, end = _scan(commits, 0)
        if end != len(commits) or type(wanted) is not dict:
            return None
        if any(wanted.get(role) != made for role, made in known.items()):
            return None
        redacted = self._exceptions.redacted
        return subject if all(redacted(r, seq) for r in wanted if r not in known) else None

    def _projected(
        self,
        place: tuple[str, int, int, str],
        fields: Mapping[str, Any],
        subject: Mapping[str, Any],
        found: Sequence[Any],
    ) -> bool:
        """Return whether the row in the attendance log is what `core.chain.project` makes.

        place: chain, number, time (microseconds) and hash of the journal row.
        """
        (chain, seq, at, hash_), get = place, fields.get
        if (chain, seq) in self._exceptions.superseded:
            return False
        if (
            fields["reason"] == Reason.GRANTED
            and (chain, get("visit_uid")) in self._exceptions.unused
        ):
            return False
        return self._is_moment(found[-1]) and bool(
            found[1:-1]
            == (
                row_uid(at, hash_),
                self._person(subject, found[2]),
                *_COLUMNS(fields),
                get("rule"),
                get("score"),
                get("threshold"),
                get("margin"),
                get("frames", 0),
                get("pad"),
                get("visit"),
                get("visit_uid"),
                get("sight_to_decision_ms"),
                get("usable_to_decision_ms"),
                get("timezone"),
                None,
                self._flags(get("flags", ())),
                self._created(get("passed_at_utc", at)),
            )
        )

    def _person(self, subject: Mapping[str, Any], here: int | None) -> int | None:
        """Return the person id that the row must have: on a hub its own id, None for an unknown
        uid."""
        if not self._exceptions.collected or not subject:
            own: int | None = subject.get("person_id")
            return own
        return None if here is None else self._known(subject["uid"])

    def _known(self, uid: str) -> int | None:
        if uid not in self._persons:
            if len(self._persons) >= MOST_PERSONS:
                self._persons.clear()
            there = sa.select(persons.c.id).where(persons.c.uid == uid)
            self._persons[uid] = self._session.execute(there).scalar()
        return self._persons[uid]

    def _flags(self, flags: Sequence[Any]) -> Any:
        if self._as_text:
            return json.dumps(flags) if flags else "[]"
        return list(flags)

    def _is_moment(self, recorded: Any) -> bool:
        """Return whether the time can be read; its value does not follow from the journal."""
        return not self._as_text or datetime.fromisoformat(recorded) is not None

    def _created(self, microseconds: int) -> Any:
        if not self._as_text:
            return utc(microseconds)
        return (_NAIVE + timedelta(microseconds=microseconds)).isoformat(" ", "microseconds")


def _remembered(known: dict[str, str], value: str) -> str:
    """Return the value as JSON, from a cache; there are few different ones in a genuine journal."""
    if len(known) > 1000:
        known.clear()
    return known.setdefault(value, _as_json(value))
