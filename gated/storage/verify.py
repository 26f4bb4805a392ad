"""Checks the journal from its first row on and names the first one that is wrong.

Four streams ordered by sequence run side by side: the rows, their private parts, the seals and the
attendance log. Memory does not grow with the journal, only with the number of redacted ranges and
of corrections and of grants that were not used.
Whoever can read the signing key can forge all of it, and who puts an old database back together
with the head file of that time is not found: only a copy elsewhere (the hub's) tells.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import (
    GENESIS,
    UNUSED_REACH,
    commitment,
    project,
    read_canonical,
    stored_row_hash,
    superseded,
    unused,
)
from gated.core.model import Reason
from gated.storage import settings
from gated.storage.cuts import Cut, Hole, holes, newest_cut, split
from gated.storage.engine import Database
from gated.storage.erasures import ErasureLedger, enrollments_back, persons_back
from gated.storage.heads import Head, holds, key_of, last_row, read_head
from gated.storage.journal import IDENTITY, NOT_USED
from gated.storage.tables import (
    attendance_logs,
    journal,
    journal_private,
    journal_seal,
    persons,
    sync_chains,
    sync_quarantine,
)

CHUNK = 500
FIELDS = ("chain", "seq", "at_utc", "boot_id", "mono_ns", "clock_ok", "kind")


@dataclass(frozen=True, slots=True)
class Problem:
    """The first thing that is wrong, and where."""

    chain: str
    seq: int
    what: str

    def __str__(self) -> str:
        return f"{self.chain} row {self.seq}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of it. rows: how many were found right; notes: what a person should know."""

    rows: int
    first_problem: Problem | None = None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.first_problem is None


class _Wrong(Exception):
    def __init__(self, chain: str, seq: int, what: str) -> None:
        super().__init__(what)
        self.problem = Problem(chain, seq, what)


def verify(
    db: Database,
    head_file: Path,
    public_key: str,
    ledger: ErasureLedger,
    identity_key: str = IDENTITY,
) -> Verification:
    """Check everything of one snapshot; StorageError when the database cannot be read."""
    # before the snapshot: what is committed later is then beyond the head, not missing behind it
    head = read_head(head_file)
    with db.read() as session:
        check = _Check(session)
        check.notes += _came_back(session, ledger.read())
        try:
            chains = _chains(session)
            for chain in chains:
                check.chain(chain)
            check.superseded.end(check.gone)
            _check_ends(session, chains, head, public_key, identity_key)
        except _Wrong as wrong:
            return Verification(check.rows, wrong.problem, tuple(check.notes))
    return Verification(check.rows, None, tuple(check.notes))


def _came_back(session: Session, erased: Collection[str]) -> Iterator[str]:
    """What was erased and is there again: an older database was put in place."""
    people, photos = persons_back(session, erased), enrollments_back(session, erased)
    if people or photos:
        yield (
            f"{len(people)} erased persons and {len(photos)} withdrawn photos are back from an "
            "older database: the next start of the gate erases them again"
        )


def _chains(session: Session) -> list[str]:
    """The names of all chains that any table knows, by gate and epoch."""
    tables = (journal, journal_private, journal_seal, attendance_logs)
    names = {n for t in tables for n in session.execute(sa.select(t.c.chain).distinct()).scalars()}

    def order(name: str) -> tuple[str, int, str]:
        gate, _, epoch = name.rpartition("/")
        return gate, int(epoch) if epoch.isdecimal() else -1, name

    return sorted(names, key=order)


def _check_ends(
    session: Session, chains: list[str], head: Head | None, public_key: str, identity_key: str
) -> None:
    """Nothing is missing behind the last row of the newest chain."""
    identity = settings.get(session, identity_key)
    if identity is None:
        # in a shared database the chains may all be those of others
        if chains and identity_key == IDENTITY:
            raise _Wrong(chains[0], 1, "the database has lost the identity of its journal")
        if head is not None and head.seq:
            raise _Wrong(head.chain, 1, _missing(1, head.seq, "the head file"))
        return
    newest = f"{identity['gate']}/{identity['epoch']}"
    if newest not in chains:
        raise _Wrong(newest, 1, "the newest chain is missing")
    if key_of(session, newest) != public_key:
        raise _Wrong(newest, 1, "the newest chain is sealed with another key than this gate's")
    tip = last_row(session, newest)
    if head is None or not head.is_signed_by(key_of(session, head.chain) or public_key):
        raise _Wrong(newest, tip.seq if tip else 1, "the head file is missing or damaged")
    if not holds(session, head):
        raise _cut(session, head, "the head file")


def _cut(session: Session, end: Head, who: str) -> _Wrong:
    """What is wrong with a chain whose end is known and not there."""
    last = last_row(session, end.chain)
    have = last.seq if last else 0
    if have < end.seq:
        return _Wrong(end.chain, have + 1, _missing(have + 1, end.seq, who))
    return _Wrong(end.chain, end.seq, f"it is not the row that {who} knows")


def _missing(first: int, last: int, who: str) -> str:
    rows = f"row {first} is" if first == last else f"rows {first} to {last} are"
    return f"{rows} missing at the end: {who} knows of row {last}"


class _Check:
    """Walks through chains, one row at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._redacted = _Redacted(session)
        self._collected = _Collected(session)
        self.gone = _Gone(session, self._collected)
        self.superseded = _Superseded(session)
        self._unused = _Unused(session)
        self.rows = 0
        self.notes: list[str] = []

    def chain(self, chain: str) -> None:
        """Check all rows of a chain and what hangs on them."""
        private = _Side(self._session, journal_private, chain, "a private part")
        seals = _Side(self._session, journal_seal, chain, "a seal")
        projected = _Side(self._session, attendance_logs, chain, "the attendance log")
        end = self.gone.beginning(chain)
        begun, sealed, key = end.seq, end.seq, key_of(self._session, chain)
        for row in _stream(self._session, journal, chain):
            end = self.gone.behind(end, row)
            fields = _fields(row, end)
            if row.seq == 1:
                self._first(fields)
            end = Head(chain, row.seq, row.hash)
            told = self._private(fields, private.at(row.seq))
            if seal := next(iter(seals.at(row.seq)), None):
                _seal(end, seal, key)
                sealed = row.seq
            by = self.superseded.take(chain, row.seq)
            found = projected.at(row.seq)
            if not self._collected.excuses(chain, row.seq, found):
                told = self._collected.as_here(chain, told, found)
                wanted = self._unused.adjusted(_wanted({**fields, "hash": row.hash}, told))
                _projection(fields, wanted, by, found)
            self.rows += 1
        for side in (private, seals, projected):
            side.end()
        if sealed < end.seq:
            raise _Wrong(chain, sealed + 1, "no seal covers it")
        if end.seq == begun:
            raise _Wrong(chain, begun + 1, "all rows of the chain are missing")
        self.notes += self.gone.told(chain)

    def _first(self, fields: Mapping[str, Any]) -> None:
        try:
            self._beginning(fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise _Wrong(fields["chain"], 1, "it does not say how the chain begins") from error

    def _beginning(self, fields: Mapping[str, Any]) -> None:
        """A chain begins by saying why, and the one before it ended where it says."""
        chain, body = fields["chain"], fields["body"]
        if fields["kind"] != "chain_started":
            raise _Wrong(chain, 1, "the chain does not begin with its first row")
        if body["cause"] != "first":
            self.notes.append(f"{chain} was begun anew: {body['cause']}")
        if before := body["previous"]:
            end = Head(before["chain"], before["seq"], before["hash"])
            # who was behind the hub has lost what the hub goes on to have
            whole = (
                holds(self._session, end)
                if body["cause"] == "behind_hub"
                else last_row(self._session, end.chain) == end
            )
            if not (whole or self.gone.excuses(end)):
                raise _cut(self._session, end, chain)

    def _private(self, fields: Mapping[str, Any], parts: list[Any]) -> dict[str, Any]:
        """The payloads of a row by role; every one committed to, and none missing."""
        chain, seq, commits = fields["chain"], fields["seq"], fields["commits"]
        told = {}
        for part in parts:
            if part.role not in commits:
                raise _Wrong(chain, seq, f"a private part ({part.role}) was added")
            payload = _parse(chain, seq, part.payload, "its private part")
            if commitment(part.salt, payload) != commits[part.role]:
                raise _Wrong(chain, seq, f"its private part ({part.role}) was altered")
            told[part.role] = payload
        for role in commits.keys() - told.keys():
            if not self._redacted.covers(chain, role, seq):
                raise _Wrong(chain, seq, f"its private part ({role}) is missing, never redacted")
        return told


class _Gone:
    """Which rows are not here, with a word: dropped on a gate, or before they came to a hub."""

    def __init__(self, session: Session, collected: _Collected) -> None:
        self._session = session
        self._collected = collected
        self._cuts: dict[str, Cut | None] = {}
        self._holes = {(hole.chain, hole.seq): hole for hole in holes(session)}

    def covers(self, chain: str, seq: int) -> bool:
        """Whether it is on record that a row is not here."""
        cut = self._cut(chain)
        there = cut is not None and cut.covers(chain, seq)
        lost = (h for h in self._holes.values() if h.chain == chain)
        return there or any(h.first <= seq <= h.seq for h in lost)

    def beginning(self, chain: str) -> Head:
        """What stands before the first row of a chain that is left."""
        cut = self._cut(chain)
        if cut is None or cut.chain != chain:
            return Head(chain, 0, GENESIS)
        return Head(chain, cut.seq, cut.hash)

    def behind(self, end: Head, row: Any) -> Head:
        """What stands before the row that comes next: `end`, or the end of a hole behind it."""
        hole = self._hole(Head(row.chain, row.seq - 1, row.prev), end)
        return end if hole is None else Head(hole.chain, hole.seq, hole.hash)

    def excuses(self, end: Head) -> bool:
        """Whether it is on record that the end of a chain is not here."""
        cut, last = self._cut(end.chain), last_row(self._session, end.chain)
        if cut is not None and cut.covers(end.chain, end.seq):
            return True
        return self._hole(end, last or Head(end.chain, 0, GENESIS)) is not None

    def _hole(self, to: Head, behind: Head) -> Hole | None:
        """The hole that ends with one row and begins behind another."""
        hole = self._holes.get((to.chain, to.seq))
        right = hole is not None and (hole.first, hole.hash) == (behind.seq + 1, to.hash)
        return hole if right else None

    def told(self, chain: str) -> Iterator[str]:
        """What a person should know of it."""
        cut = self._cut(chain)
        if cut is not None and cut.chain == chain:
            yield (
                f"{chain} begins behind row {cut.seq}: {cut.rows} rows were dropped last, of which "
                f"{cut.unacknowledged} had reached no hub"
            )
        for hole in self._holes.values():
            if hole.chain == chain:
                yield f"rows {hole.first} to {hole.seq} of {chain} were dropped before they came"

    def _cut(self, chain: str) -> Cut | None:
        gate = split(chain)[0]
        if gate not in self._cuts:
            # what a gate has dropped at home is here all the same
            own = not self._collected.knows(chain)
            self._cuts[gate] = newest_cut(self._session, gate) if own else None
        return self._cuts[gate]


class _Collected:
    """The chains that came from gates: what their private parts say of persons is the gates'."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._chains = set(session.execute(sa.select(sync_chains.c.chain)).scalars())
        flaw = sync_quarantine.c
        rows = sa.select(flaw.chain, flaw.seq).where(flaw.reason == "projection")
        self._unprojected = set(map(tuple, session.execute(rows)))

    def knows(self, chain: str) -> bool:
        """Whether the chain is that of a gate."""
        return chain in self._chains

    def excuses(self, chain: str, seq: int, found: list[Any]) -> bool:
        """Whether it is on record that no attendance row could be made of this row."""
        return not found and (chain, seq) in self._unprojected

    def as_here(self, chain: str, told: Mapping[str, Any], found: list[Any]) -> dict[str, Any]:
        """The private parts with the id that the person has on this hub, or had not yet."""
        subject = told.get("subject")
        if chain not in self._chains or subject is None:
            return dict(told)
        there = sa.select(persons.c.id).where(persons.c.uid == subject.get("uid"))
        id_ = self._session.execute(there).scalar()
        if found and found[0].person_id is None:
            id_ = None  # enrolled here after the passage, or not at all
        return {**told, "subject": {**subject, "person_id": id_}}


class _Side:
    """Rows of a table beside the journal's, both by rising sequence."""

    def __init__(self, session: Session, table: sa.Table, chain: str, name: str) -> None:
        self._rows = _stream(session, table, chain)
        self._chain = chain
        self._name = name
        self._next = next(self._rows, None)

    def at(self, seq: int) -> list[Any]:
        """The rows of this sequence number; wrong when others stand before it."""
        found = []
        while self._next is not None and self._next.seq <= seq:
            if self._next.seq < seq:
                raise _Wrong(self._chain, self._next.seq, f"{self._name} without a journal row")
            found.append(self._next)
            self._next = next(self._rows, None)
        return found

    def end(self) -> None:
        """Wrong when anything stands behind the last row of the journal."""
        if self._next is not None:
            raise _Wrong(self._chain, self._next.seq, f"{self._name} without a journal row")


def _stream(session: Session, table: sa.Table, chain: str) -> Iterator[Any]:
    """The rows of a chain by sequence, some at a time; wrong when one cannot be read."""
    key = [c for c in table.primary_key if c.name in ("seq", "role")] or [table.c.seq]
    ordered = sa.select(table).where(table.c.chain == chain).order_by(*key)
    last: tuple[Any, ...] = (0, "")[: len(key)]
    size = CHUNK
    while True:
        after = sa.tuple_(*key) > sa.tuple_(*map(sa.literal, last, (c.type for c in key)))
        try:
            rows = session.execute(ordered.where(after).limit(size)).all()
        except (ValueError, TypeError) as e:
            if size == 1:
                where = f"{table.name} holds what cannot be read"
                raise _Wrong(chain, last[0] + 1, where) from e
            size = 1  # to find out which
            continue
        yield from rows
        if len(rows) < size:
            return
        last = tuple(getattr(rows[-1], c.name) for c in key)


class _Redacted:
    """Which private parts were erased with a word in the journal: ranges by chain and role."""

    def __init__(self, session: Session) -> None:
        found: dict[tuple[str, str], list[list[int]]] = {}
        told = sa.select(journal.c.body).where(journal.c.kind == "redacted")
        for text in session.execute(told).scalars():
            try:
                body = json.loads(text)
                ranges = [[int(first), int(last)] for first, last in body["seqs"]]
                found.setdefault((body["chain"], body["role"]), []).extend(ranges)
            except (ValueError, KeyError, TypeError):
                continue  # the walk through the chain will name it
        self._ranges = {key: _merged(ranges) for key, ranges in found.items()}

    def covers(self, chain: str, role: str, seq: int) -> bool:
        """Whether a redaction tells of this part."""
        ranges = self._ranges.get((chain, role), [])
        at = bisect_right(ranges, seq, key=lambda r: r[0]) - 1
        return at >= 0 and ranges[at][0] <= seq <= ranges[at][1]


class _Superseded:
    """Which rows of the attendance log have another one in their place, as the journal says."""

    def __init__(self, session: Session) -> None:
        self._by: dict[tuple[str, int], tuple[int, str, int]] = {}
        self._twice: list[tuple[str, int]] = []
        made = sa.and_(
            attendance_logs.c.chain == journal.c.chain, attendance_logs.c.seq == journal.c.seq
        )
        rows = session.execute(
            sa.select(journal.c.chain, journal.c.seq, journal.c.body, attendance_logs.c.id)
            .join(attendance_logs, made)
            .where(journal.c.kind == "corrected")
            .order_by(journal.c.chain, journal.c.seq)
        )
        for row in rows:
            try:
                old = superseded({"kind": "corrected", "body": json.loads(row.body)})
                assert old is not None  # noqa: S101
                first = self._by.setdefault(old, (row.id, row.chain, row.seq))
            except (ValueError, KeyError, TypeError):
                continue  # the walk through the chain will name it
            if first[0] != row.id:
                self._twice.append((row.chain, row.seq))

    def take(self, chain: str, seq: int) -> int | None:
        """The id of the row in the place of this one; ask once for each."""
        by = self._by.pop((chain, seq), None)
        return by and by[0]

    def end(self, gone: _Gone) -> None:
        """Wrong when a correction speaks of a row that is not there or was corrected before."""
        for chain, seq in self._twice:
            raise _Wrong(chain, seq, "it corrects a row that was corrected before")
        for old, (_, chain, seq) in self._by.items():
            if not gone.covers(*old):
                raise _Wrong(chain, seq, "it corrects a row that is not there")


class _Unused:
    """Which grants were not used, as later rows of the journal tell."""

    def __init__(self, session: Session) -> None:
        self._told: dict[tuple[str, str], list[int]] = {}
        rows = sa.select(journal.c.chain, journal.c.seq, journal.c.body)
        for row in session.execute(rows.where(journal.c.kind == "not_used")):
            try:
                visit = unused({"kind": "not_used", "body": json.loads(row.body)})
            except (ValueError, AttributeError):
                continue  # the walk through the chain will name it
            if isinstance(visit, str):
                self._told.setdefault((row.chain, visit), []).append(row.seq)

    def adjusted(self, wanted: dict[str, Any] | None) -> dict[str, Any] | None:
        """What the attendance log must hold once later rows have spoken."""
        if wanted is None or wanted["reason"] != str(Reason.GRANTED):
            return wanted
        told = self._told.get((wanted["chain"], wanted["visit_uid"]), [])
        seq = wanted["seq"]
        if any(seq < later <= seq + UNUSED_REACH for later in told):
            return {**wanted, "status": NOT_USED}
        return wanted


def _merged(ranges: list[list[int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _fields(row: Any, end: Head) -> dict[str, Any]:
    """The hashed fields of a row that follows `end`; wrong when it does not or was altered."""
    if row.seq <= end.seq:
        raise _Wrong(row.chain, row.seq, "it was dropped, and is there again")
    if row.seq != end.seq + 1:
        raise _Wrong(row.chain, end.seq + 1, "it is missing")
    if row.prev != end.hash:
        raise _Wrong(row.chain, row.seq, "it does not follow the row before it")
    fields = {name: getattr(row, name) for name in FIELDS}
    body = _parse(row.chain, row.seq, row.body, "its body")
    commits = _parse(row.chain, row.seq, row.commits, "its commitments")
    stored = {**fields, "body": row.body, "commits": row.commits}
    if stored_row_hash(end.hash, stored) != row.hash:
        raise _Wrong(row.chain, row.seq, "it was altered: the hash does not fit")
    return {**fields, "body": body, "commits": commits}


def _parse(chain: str, seq: int, text: Any, what: str) -> dict[str, Any]:
    """Canonical JSON; wrong when it could be written in another way, too."""
    try:
        return read_canonical(text)
    except (ValueError, TypeError, RecursionError):
        raise _Wrong(chain, seq, f"{what} was altered: it is no canonical JSON") from None


def _seal(end: Head, seal: Any, key: str) -> None:
    if seal.hash != end.hash:
        raise _Wrong(end.chain, end.seq, "its seal is that of another row")
    if not Head(end.chain, end.seq, end.hash, seal.signature).is_signed_by(key):
        raise _Wrong(end.chain, end.seq, "its seal was not made with the key of the chain")


def _wanted(fields: dict[str, Any], told: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return project(fields, told)
    except (KeyError, ValueError, TypeError, OverflowError):
        where = fields["chain"], fields["seq"]
        raise _Wrong(*where, "no attendance row can be made of it") from None


def _projection(
    fields: dict[str, Any],
    wanted: dict[str, Any] | None,
    superseded_by: int | None,
    found: list[Any],
) -> None:
    """The attendance log says what follows from the row, and nothing else."""
    chain, seq = fields["chain"], fields["seq"]
    if wanted is None:
        if superseded_by:
            raise _Wrong(chain, seq, "a correction replaces it, and it makes no attendance row")
        if found:
            raise _Wrong(chain, seq, "the attendance log has a row that does not follow from it")
        return
    if not found:
        raise _Wrong(chain, seq, "its row of the attendance log is missing")
    wanted["superseded_by"] = superseded_by
    lies = [name for name, value in wanted.items() if getattr(found[0], name) != value]
    if lies:
        raise _Wrong(chain, seq, f"the attendance log says otherwise: {', '.join(sorted(lies))}")
