"""Verifies the journal and reports what is wrong, in the order of rows.

Theory of operation: four streams in the order of row numbers are read side by side: the rows, their
private parts, the seals and the attendance log. Memory does not grow with the journal, only with
the numbers of redacted ranges, of corrections and of unused grants. `sound_rows` recognises rows
that are certainly right; all others are checked in full.

A seal covers all rows before it that lead to it by their hashes. So one good signature, the newest,
is enough for a whole stretch. Where the hash chain breaks, a stretch ends, and its own newest seal
is checked; if that is not good, each seal of the stretch is. Of older seals only the first
SIGNATURES are checked: an altered signature there changes nothing, no more than a deleted one.

Only rows under a seal of this gate's own key count, and only for their own journal: redactions,
corrections and pruning of somebody else excuse nothing. The key is that of the key files, never one
that the database names. A break of the chain, and rows without such a seal, are failures until a
sealed row acknowledges them as they are.

Limits: an attacker who can read the signing key can forge everything. An old database that is put
back together with its head file is not detected here, only by another copy (the hub's).
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import (
    GENESIS,
    UNUSED_REACH,
    canonical,
    commitment,
    project,
    read_canonical,
    stored_row_hash,
    superseded,
    unused,
)
from gated.core.values import Reason
from gated.database.engine import Database
from gated.database.tables import (
    attendance_logs,
    journal,
    journal_private,
    journal_seal,
    persons,
    sync_chains,
    sync_quarantine,
)
from gated.errors import Unreadable
from gated.journal.chain_tip import LAST, Head, identity_of, key_of, last_row, read_head
from gated.journal.erasure_ledger import ErasureLedger, enrollments_back, persons_back
from gated.journal.key_rotation import eras, key_at
from gated.journal.kinds import (
    ACKNOWLEDGED,
    FIRST,
    FOREIGN,
    IDENTITY,
    NOT_USED,
    RESTORED,
    ROTATED,
    Progress,
)
from gated.journal.misplaced import chains_of, misplaced
from gated.journal.pruned_ranges import DROPPED, PRUNED, ExplainedGap, PrunedRange, read, split
from gated.journal.sound_rows import (
    PRIVATE,
    SEAL,
    Exceptions,
    SoundRows,
    attendance_columns,
    journal_columns,
)
from gated.journal.stored_object import object_in

CHUNK = 1000
SIGNATURES = 2000
"""The number of redundant signatures that are checked; each takes 0.1 ms."""

FIELDS = ("chain", "seq", "at_utc", "boot_id", "mono_ns", "clock_ok", "kind")
_BEFORE_ALL = -LAST
_AFTER_ALL = 1 << 63

MOST_PROBLEMS = 1000
"""The most problems of one chain; one with more is reported as wrong as a whole."""

_EVIDENCE = (
    (journal, (*FIELDS, "body", "commits", "prev", "hash")),
    (journal_seal, ("seq", "hash", "signature")),
    (attendance_logs, ("seq", "uid", "gate_name", "direction", "method", "reason")),
)
"""The columns whose digest an acknowledgement holds; none changes when a person is erased."""


@dataclass(frozen=True, slots=True)
class JournalProblem:
    """A problem with rows `seq` to `last` of a chain. what: one sentence."""

    chain: str
    seq: int
    what: str
    last: int = 0

    @property
    def end(self) -> int:
        return max(self.seq, self.last)

    def __str__(self) -> str:
        return f"{self.chain} row {self.seq}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verification:
    """The result. rows: the number that was checked. notes: sentences for the reader.

    problems: those that are not acknowledged, in the order of chains and rows.
    """

    rows: int
    first_problem: JournalProblem | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[JournalProblem, ...] = ()

    @property
    def ok(self) -> bool:
        return self.first_problem is None


@dataclass(frozen=True, slots=True)
class JournalEvidence:
    """A journal, and the evidence about it outside the database."""

    db: Database
    head_file: Path
    public_key: str
    ledger: ErasureLedger
    rotations: Path
    identity_key: str = IDENTITY
    shared: bool = False


@dataclass(frozen=True, slots=True)
class VerificationBounds:
    """The rows that a verification checks; the ends of chains are always checked.

    since: by chain, the end of the rows verified before (mark). limit: the most rows of a chain.
    signatures: the number of redundant signatures that are checked. closely: check every row in
    full.
    """

    since: Mapping[str, Head]
    limit: int
    signatures: int = SIGNATURES
    closely: bool = False


ALL = 1 << 62


@dataclass(frozen=True, slots=True)
class IncrementalResult:
    """The result of a verification. marks: the verified end of each chain. whole: all was
    checked."""

    found: Verification
    marks: Mapping[str, Head]
    whole: bool


def verify(what: JournalEvidence, progress: Progress, *, closely: bool = False) -> Verification:
    """Verify everything in one snapshot. Raises: StorageError.

    closely: check every row in full, and every signature; it takes long.
    """
    reach = (
        VerificationBounds({}, ALL, ALL, closely=True) if closely else VerificationBounds({}, ALL)
    )
    return look(what, progress, reach).found


def look(what: JournalEvidence, progress: Progress, reach: VerificationBounds) -> IncrementalResult:
    """Verify the ends of all chains, and rows within bounds, in one snapshot. Raises:
    StorageError."""
    # before the snapshot: rows that are committed later lie after the head, none is missing
    head = read_head(what.head_file)
    try:
        with what.db.read() as session:
            return _looked(session, what, head, progress, reach)
    except Unreadable:
        with what.db.read_any_text() as session:
            return _looked(session, what, head, progress, reach)


def _looked(
    session: Session,
    what: JournalEvidence,
    head: Head | None,
    progress: Progress,
    reach: VerificationBounds,
) -> IncrementalResult:
    trust = Trust(session, what, head)
    check = _Check(session, trust, progress, reach)
    check.notes += _came_back(session, what.ledger.read())
    for chain in trust.chains:
        check.chain(chain)
    check.superseded.end(check.gone, check.wrong, check.walked)
    _check_ends(session, trust, check.gone, check.wrong)
    _check_collected(session, check.gone, check.wrong)
    for problem in misplaced(session, trust.chains):
        check.wrong.add(problem.chain, problem.seq, problem.what)
    problems, notes = _without_acknowledged(session, trust, check.wrong.sorted(trust.chains))
    first = problems[0] if problems else None
    found = Verification(check.rows, first, (*check.notes, *notes), tuple(problems))
    return IncrementalResult(found, check.marks(), check.whole)


def acknowledgement(session: Session, found: Verification) -> dict[str, Any]:
    """Return the body of the row that acknowledges these problems in their present state."""
    ranges = [
        {"chain": p.chain, "first": p.seq, "last": p.end, "what": p.what, "is": _digest(session, p)}
        for p in found.problems
    ]
    return {"ranges": ranges}


def _digest(session: Session, problem: JournalProblem) -> str:
    """Return the SHA-256 of the rows of a problem."""
    digest = hashlib.sha256()
    for table, columns in _EVIDENCE:
        c = table.c
        rows = sa.select(*(c[name] for name in columns)).where(
            c.chain == problem.chain, c.seq.between(problem.seq, problem.end)
        )
        for row in session.execute(rows.order_by(c.seq)):
            digest.update(canonical([str(value) for value in row]))
    if not problem.seq:  # a misplaced row, which has no number
        digest.update(str(problem).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def _without_acknowledged(
    session: Session, trust: Trust, problems: Sequence[JournalProblem]
) -> tuple[list[JournalProblem], list[str]]:
    """Return the problems that are not acknowledged in their present state, and notes on the
    others."""
    known = {}
    for row in trust.rows_of_kind(session, ACKNOWLEDGED):
        try:
            for one in trust.body(row)["ranges"]:
                known[one["chain"], one["first"], one["last"], one["is"]] = row.seq
        except (KeyError, TypeError):
            continue  # malformed: reported by the walk through its chain
    left, notes = [], []
    for p in problems:
        if known and (p.chain, p.seq, p.end, _digest(session, p)) in known:
            notes.append(f"{p} (acknowledged)")
        else:
            left.append(p)
    return left, notes


def _came_back(session: Session, erased: Collection[str]) -> Iterator[str]:
    """Yield a note on erased data that came back with an older database."""
    people, photos = persons_back(session, erased), enrollments_back(session, erased)
    if people or photos:
        yield (
            f"{len(people)} erased persons and {len(photos)} withdrawn photos are back from an "
            "older database: the next start of the gate erases them again"
        )


class _Problems:
    """Collects problems; adjacent rows with the same one are merged."""

    def __init__(self) -> None:
        self._found: dict[str, list[JournalProblem]] = {}

    def add(self, chain: str, seq: int, what: str, last: int = 0) -> None:
        found = self._found.setdefault(chain, [])
        new = JournalProblem(chain, seq, what, last)
        if found and found[-1].end + 1 == seq and found[-1].what == what:
            found[-1] = replace(found[-1], last=new.end)
        elif not self.too_many(chain):
            found.append(new)

    def first(self, chain: str) -> int | None:
        """Return the first row of a chain with a problem; None without one."""
        return min((p.seq for p in self._found.get(chain, ())), default=None)

    def too_many(self, chain: str) -> bool:
        """Return whether a chain has `MOST_PROBLEMS`: its check ends then."""
        return len(self._found.get(chain, ())) >= MOST_PROBLEMS

    def all_of(self, chain: str, last: int) -> None:
        """Replace the problems of a chain by one that names the first."""
        first = min(self._found[chain], key=lambda p: p.seq)
        what = f"{first.what}; so many rows are wrong that the rest of the chain counts as wrong"
        self._found[chain] = [JournalProblem(chain, first.seq, what, last)]

    def sorted(self, chains: Sequence[str]) -> list[JournalProblem]:
        """Return the problems by chain and row, those of unknown chains first."""
        order = {chain: i for i, chain in enumerate(sorted(chains, key=_place))}
        found = [p for some in self._found.values() for p in some]
        return sorted(found, key=lambda p: (order.get(p.chain, -1), _place(p.chain), p.seq))


def _place(name: str) -> tuple[str, int, str]:
    gate, epoch = split(name)
    return gate, epoch, name


class Trust:
    """Knows the owner of each chain, the key that may seal it, and its last sealed row.

    own: a chain of this gate, or of a process of this hub. collected: of a gate that reports here.
    """

    def __init__(self, session: Session, what: JournalEvidence, head: Head | None) -> None:
        self._session = session
        self.shared = what.shared
        self.public_key = what.public_key
        self.head = head if head and head.is_signed_by(what.public_key) else None
        self.identity = identity_of(session, what.identity_key)
        self.collected = set(session.execute(sa.select(sync_chains.c.chain)).scalars())
        self.chains = self._chains()
        self.gate = self._gate()
        self._eras = eras(session, self.gate, what.public_key, what.rotations)
        self._keys: dict[str, str] = {}
        self._sealed = {chain: self._sealed_end(chain) for chain in self.chains}

    def _chains(self) -> list[str]:
        """Return the names of all chains in any table, by gate and epoch."""
        tables = (journal, journal_private, journal_seal, attendance_logs)
        names = {name for table in tables for name in chains_of(self._session, table)}
        return sorted((name for name in names if isinstance(name, str)), key=_place)

    def _gate(self) -> str:
        if self.head is not None:
            return self.head.gate
        return str(self.identity.get("gate", "")) if self.identity else ""

    def is_own(self, chain: str) -> bool:
        """Return whether the chain belongs to this gate, or to a process of this hub."""
        if split(chain)[0] == self.gate:
            return True
        return self.shared and chain not in self.collected

    def may_speak_of(self, writer: str, chain: str) -> bool:
        """Return whether a row of one chain about another counts: of the same gate, or of this
        hub."""
        if split(writer)[0] == split(chain)[0]:
            return True
        return self.is_own(writer) and (self.is_own(chain) or chain in self.collected)

    def sealed_end(self, chain: str) -> int:
        """Return the last row under a seal of the chain's owner; 0 for none."""
        return self._sealed.get(chain, 0)

    def counts(self, chain: str, seq: int) -> bool:
        """Return whether the owner of the chain has sealed a row."""
        return seq <= self.sealed_end(chain)

    def accepts(self, seal: Head) -> bool:
        """Return whether a seal was made with a key that counts for its chain."""
        return seal.is_signed_by(self.key_of(seal.chain))

    def key_of(self, chain: str) -> str:
        """Return the key (public, hex) that may seal a chain; empty where none may."""
        if split(chain)[0] == self.gate:
            return key_at(self._eras, chain)
        if chain not in self._keys:
            known = self.shared or chain in self.collected
            self._keys[chain] = key_of(self._session, chain) if known else ""
        return self._keys[chain]

    def _sealed_end(self, chain: str) -> int:
        seal, row = journal_seal.c, journal.c
        there = sa.and_(row.chain == seal.chain, row.seq == seal.seq, row.hash == seal.hash)
        found = sa.select(seal.chain, seal.seq, seal.hash, seal.signature).join(journal, there)
        before = LAST
        while True:
            last = found.where(seal.chain == chain, seal.seq < before).order_by(seal.seq.desc())
            end = self._session.execute(last.limit(1)).first()
            if end is None:
                return 0
            if self.accepts(Head(*end)):
                return int(end.seq)
            before = end.seq

    def rows_of_kind(self, session: Session, kind: str, *, own: bool = True) -> Iterator[Any]:
        """Yield sealed rows of a kind: chain, seq and body. own: only rows of own chains."""
        row = journal.c
        found = sa.select(row.chain, row.seq, row.body).where(row.kind == kind)
        for one in session.execute(found.order_by(row.chain, row.seq)):
            if self.counts(one.chain, one.seq) and (not own or self.is_own(one.chain)):
                yield one

    @staticmethod
    def body(row: Any) -> dict[str, Any]:
        """Return the body of a row; empty where it is malformed, which the walk reports."""
        return object_in(row.body)


def _check_ends(session: Session, trust: Trust, gone: _RecordedGaps, wrong: _Problems) -> None:
    """Check the identity, the head file and the newest chain: no end was cut off."""
    own = [chain for chain in trust.chains if split(chain)[0] == trust.gate]
    identity, head = trust.identity, trust.head
    if head is not None and not (own and gone.covers(head.chain, head.seq)):
        # on a full disk the head file may lag after rows that were pruned on record
        _check_head(session, head, bool(own), wrong)
    if identity is None:
        known = head.chain if head is not None and (head.seq or own) else ""
        if not known and trust.chains and not trust.shared:
            known = trust.chains[0]
        if known:
            wrong.add(known, 1, "the database has lost the identity of its journal")
        return
    newest = f"{identity.get('gate')}/{identity.get('epoch')}"
    if head is None:
        if (identity.get("epoch"), own, trust.chains) == (1, [], []):
            return  # the gate has a uid, and has written nothing yet
        tip = last_row(session, newest)
        if tip is not None and key_of(session, newest) != trust.key_of(newest):
            what = "the newest chain is sealed with another key than this gate's"
            wrong.add(newest, 1, what, tip.seq)
        else:
            wrong.add(newest, tip.seq if tip else 1, "the head file is missing or damaged")
        return
    if head.gate != identity.get("gate"):
        wrong.add(newest, 1, "the database has another identity than the head file")
    elif newest not in own and (head.seq or own):
        wrong.add(newest, 1, "the newest chain is missing")


def _check_collected(session: Session, gone: _RecordedGaps, wrong: _Problems) -> None:
    """Check that the rows acknowledged to gates are here or quarantined: no end was cut off."""
    acked, flaw = sync_chains.c, sync_quarantine.c
    ends = sa.select(acked.chain, acked.seq, acked.hash).where(acked.seq > 0).order_by(acked.chain)
    for end in session.execute(ends).all():
        last = last_row(session, end.chain)
        have = last.seq if last else 0
        if have >= end.seq or gone.covers(end.chain, end.seq):
            continue
        apart = sa.select(sa.func.count(flaw.seq.distinct())).where(
            flaw.chain == end.chain, flaw.seq > have, flaw.seq <= end.seq
        )
        if session.execute(apart).scalar_one() < end.seq - have:
            _report_cut(session, Head(*end), "this hub's own note", wrong)


def _check_head(session: Session, head: Head, begun: bool, wrong: _Problems) -> None:
    """Check that the database has the row in the head file; row 0 precedes the first."""
    if not head.seq:
        if begun and last_row(session, head.chain) is None:
            wrong.add(head.chain, 1, "it is missing: the head file knows of the chain")
        return
    there = sa.select(journal.c.hash).where(
        journal.c.chain == head.chain, journal.c.seq == head.seq
    )
    found = session.execute(there).scalar()
    if found != head.hash:
        _report_cut(session, head, "the head file", wrong)


def _report_cut(session: Session, end: Head, who: str, wrong: _Problems) -> None:
    """Report a chain that lacks its known end. who: knows the end."""
    last = last_row(session, end.chain)
    have = last.seq if last else 0
    if have < end.seq:
        first = have + 1
        rows = f"row {first} is" if first == end.seq else f"rows {first} to {end.seq} are"
        what = f"{rows} missing at the end: {who} knows of row {end.seq}"
        wrong.add(end.chain, first, what, end.seq)
    else:
        wrong.add(end.chain, end.seq, f"it is not the row that {who} knows")


class Stretch:
    """Rows that lead to each other by their hashes: its newest good seal covers all before it.

    unchecked: there is a seal whose signature was not checked.
    """

    def __init__(
        self, session: Session, trust: Trust, wrong: _Problems, chain: str, first: int
    ) -> None:
        self._session = session
        self._trust = trust
        self._wrong = wrong
        self._chain = chain
        self.begin(first)

    def begin(self, first: int) -> None:
        self._first = first
        self.unchecked = False

    def close(self, last: int) -> None:
        """Check the newest seal up to the last row; each of them when that is not good."""
        if not self.unchecked:
            return
        row, seal = journal.c, journal_seal.c
        there = sa.and_(row.chain == seal.chain, row.seq == seal.seq, row.hash == seal.hash)
        found = sa.select(seal.chain, seal.seq, seal.hash, seal.signature).join(journal, there)
        seals = found.where(seal.chain == self._chain, seal.seq.between(self._first, last))
        newest = self._session.execute(seals.order_by(seal.seq.desc()).limit(1)).first()
        if newest is None or self._trust.accepts(Head(*newest)):
            return
        for some in self._session.execute(seals.order_by(seal.seq)).partitions(CHUNK):
            for sealed in some:
                if self._wrong.too_many(self._chain):
                    return
                if not self._trust.accepts(Head(*sealed)):
                    self._wrong.add(self._chain, sealed.seq, NOT_ITS_KEY)


class _RowProblem(Exception):
    """A problem with one row."""

    def __init__(self, seq: int, what: str) -> None:
        super().__init__(what)
        self.seq = seq
        self.what = what


class _Check:
    """Walks through chains, one row at a time."""

    def __init__(
        self, session: Session, trust: Trust, progress: Progress, reach: VerificationBounds
    ) -> None:
        self._reach = reach
        self._ends: dict[str, Head] = {}
        self._from: dict[str, int] = {}
        self.whole = True
        self._session = session
        self._trust = trust
        self._progress = progress
        self._redacted = _Redacted(session, trust)
        self._collected = _Collected(session)
        self.wrong = _Problems()
        self.gone = _RecordedGaps(session, trust)
        self.superseded = _Superseded(session, trust)
        self._unused = _Unused(session, trust)
        self._signatures = reach.signatures
        self._attendance = attendance_columns(session)
        self._rows_as_stored = journal_columns(session)
        self.rows = 0
        self.total = session.execute(sa.select(sa.func.count()).select_from(journal)).scalar_one()
        self.notes: list[str] = []

    def chain(self, chain: str) -> None:
        """Check all rows of a chain within bounds, with their private parts, seals and attendance
        rows."""
        sealed, last = self._trust.sealed_end(chain), last_row(self._session, chain)
        begun = self.gone.beginning(chain)
        start = self._mark(chain, begun) or begun
        self._from[chain] = start.seq
        # from the beginning, rows before it are read as well: there should be none
        after = _BEFORE_ALL if start is begun else start.seq
        end = self._ends[chain] = self._walk(chain, start, sealed, after)
        self.whole = self.whole and end.seq >= sealed
        if last is None:
            self._nothing_left(chain, begun)
        elif self.wrong.too_many(chain):
            self.wrong.all_of(chain, last.seq)
        elif sealed < last.seq:
            self._unsealed(chain, sealed, last.seq)
        self.notes += self.gone.notes(chain)

    def marks(self) -> dict[str, Head]:
        """Return the last row up to which each chain is right, from its beginning on."""
        found = {}
        for chain, end in self._ends.items():
            wrong = self.wrong.first(chain)
            if end.seq and (wrong is None or wrong > end.seq):
                found[chain] = end
            elif chain in self._reach.since and (wrong or 0) > self._from[chain]:
                found[chain] = self._reach.since[chain]
        return found

    def walked(self, chain: str, seq: int) -> bool:
        """Return whether a row was checked this time."""
        return self.whole and seq > self._from.get(chain, 0)

    def _mark(self, chain: str, begun: Head) -> Head | None:
        """Return the mark of a chain, if its row still exists."""
        known = self._reach.since.get(chain)
        if known is None or known.seq <= max(begun.seq, 1):
            return None
        row = journal.c
        there = sa.select(row.hash).where(row.chain == chain, row.seq == known.seq)
        if self._session.execute(there).scalar() != known.hash:
            return None
        if (
            first := self._session.execute(
                sa.select(journal).where(row.chain == chain, row.seq == 1)
            ).first()
        ) is not None:
            self._begins_well(first)
        return known

    def _begins_well(self, row: Any) -> None:
        try:
            self._first(_fields(row, Head(row.chain, 0, GENESIS)))
        except _RowProblem as wrong:
            self.wrong.add(row.chain, wrong.seq, wrong.what)

    def _nothing_left(self, chain: str, begun: Head) -> None:
        for table in (journal_private, journal_seal, attendance_logs):
            rows = table.c.chain == chain
            first, last = self._session.execute(
                sa.select(sa.func.min(table.c.seq), sa.func.max(table.c.seq)).where(rows)
            ).one()
            if first is not None:
                name = _NAMES[table.name]
                self.wrong.add(chain, first, f"{name} without a journal row", last)
                return
        self.wrong.add(chain, begun.seq + 1, "all rows of the chain are missing")

    def _unsealed(self, chain: str, sealed: int, last: int) -> None:
        what = "no seal covers it: this gate did not write it"
        if not sealed and key_of(self._session, chain) != self._trust.key_of(chain):
            what = "no seal covers it: it is sealed with another key than this gate's"
        self.rows += last - sealed
        self.wrong.add(chain, sealed + 1, what, last)

    def _walk(self, chain: str, end: Head, sealed: int, after: int) -> Head:
        """Check the rows up to the last sealed one, and rows of other tables without a journal row.

        end: the row before the first one. after: rows up to this number are not read. Returns the
        last row that was checked.
        """
        sides = self._sides(chain, after)
        until = self._until(chain, end.seq, sealed)
        stretch = Stretch(self._session, self._trust, self.wrong, chain, end.seq + 1)
        sound = SoundRows(self._session, chain, self._exceptions(chain)).holds
        private, seals, projected = sides
        last, hash_ = end.seq, end.hash
        for row in _stream(self._session, self._rows_as_stored, chain, self.wrong, until, after):
            seq = row[1]
            if seq != last + 1:
                stretch.close(last)
                stretch.begin(seq)
                end = self._before(Head(chain, last, hash_), row)
                last, hash_ = end.seq, end.hash
            parts = private.at(seq) if private.seq <= seq else ()
            sealing = seals.at(seq) if seals.seq <= seq else ()
            found = projected.at(seq) if projected.seq <= seq else ()
            if (
                0 < last == seq - 1  # the first row has more to say
                and not self._reach.closely
                and sound(row, hash_, parts, found)
                and (not sealing or self._well_sealed(row, sealing, stretch))
            ):
                last, hash_ = seq, row[10]
            else:
                end = self._check_row(row, Head(chain, last, hash_), stretch, parts, sealing, found)
                if self.wrong.too_many(chain):
                    return end
                last, hash_ = end.seq, end.hash
            self.rows += 1
            if self.rows % CHUNK == 0:
                self._progress(self.rows, self.total)
        stretch.close(last)
        there = last_row(self._session, chain)
        for side in sides:
            if there is not None and until == sealed:
                side.end(there.seq)
        return Head(chain, last, hash_)

    def _sides(self, chain: str, after: int) -> tuple[_SideTable, _SideTable, _SideTable]:
        """Return the streams of private parts, seals and the attendance log."""
        part, seal = journal_private.c, journal_seal.c
        wanted: tuple[tuple[str, Sequence[Any]], ...] = (
            ("journal_private", [part[name] for name in PRIVATE]),
            ("journal_seal", [seal[name] for name in SEAL]),
            ("attendance_logs", self._attendance),
        )
        private, seals, projected = (
            _SideTable(
                _stream(self._session, columns, chain, self.wrong, after=after),
                chain,
                name,
                self.wrong,
            )
            for name, columns in wanted
        )
        return private, seals, projected

    def _until(self, chain: str, start: int, sealed: int) -> int:
        """Return the row up to which to walk: one with a seal, so that nothing counts without
        one."""
        if sealed - start <= self._reach.limit:
            return sealed
        seal, until = journal_seal.c, start + self._reach.limit
        there = sa.select(sa.func.max(seal.seq)).where(
            seal.chain == chain, seal.seq > start, seal.seq <= until
        )
        return self._session.execute(there).scalar() or until

    def _exceptions(self, chain: str) -> Exceptions:
        def redacted(role: str, seq: int) -> bool:
            return self._redacted.covers(chain, role, seq)

        collected = chain in self._trust.collected
        return Exceptions(self.superseded.old, self._unused.rows, redacted, collected)

    def _well_sealed(self, row: Any, sealing: Sequence[Any], stretch: Stretch) -> bool:
        """Return whether the seal of a row is right, as far as signatures are to be checked."""
        if len(sealing) != 1 or sealing[0][1] != row[10]:
            return False
        if self._signatures <= 0:
            stretch.unchecked = True
            return True
        self._signatures -= 1
        return self._trust.accepts(Head(row[0], row[1], row[10], sealing[0][2]))

    def _check_row(
        self,
        row: Any,
        end: Head,
        stretch: Stretch,
        parts: Sequence[Any],
        sealing: Sequence[Any],
        found: Sequence[Any],
    ) -> Head:
        """Check a row in full and report its problem, if any; return the end of the chain with
        it."""
        chain, wrong = row.chain, None
        try:
            fields = _fields(row, end)
            if row.seq == 1:
                self._first(fields)
            payloads = self._private(fields, parts)
            for seal in sealing:
                self._seal(row, seal)
            here = self._attendance_of(chain, row.seq) if found else []
            self._projection({**fields, "hash": row.hash}, payloads, here)
        except _RowProblem as error:
            wrong = error
        if wrong is not None:
            stretch.close(end.seq)
            stretch.begin(row.seq)
            self.wrong.add(chain, wrong.seq, wrong.what)
        return end if row.seq <= end.seq else Head(chain, row.seq, row.hash)

    def _before(self, end: Head, row: Any) -> Head:
        """Return the head that the row has to follow; report missing rows before it."""
        end = self.gone.skip_gap(end, row)
        if row.seq > end.seq + 1:
            self.wrong.add(row.chain, end.seq + 1, "it is missing", row.seq - 1)
            return Head(row.chain, row.seq - 1, row.prev)
        return end

    def _attendance_of(self, chain: str, seq: int) -> list[Any]:
        """Return the rows of the attendance log, each value as the program reads it."""
        log = attendance_logs.c
        there = sa.select(attendance_logs).where(log.chain == chain, log.seq == seq)
        try:
            return list(self._session.execute(there).all())
        except (ValueError, TypeError):
            self.wrong.add(chain, seq, f"attendance_logs {_UNREADABLE}")
            return []

    def _seal(self, row: Any, seal: Any) -> None:
        if seal.hash != row.hash:
            raise _RowProblem(row.seq, "its seal is that of another row")
        if not self._trust.accepts(Head(row.chain, row.seq, row.hash, seal.signature)):
            raise _RowProblem(row.seq, NOT_ITS_KEY)

    def _projection(
        self, fields: dict[str, Any], payloads: Mapping[str, Any], found: list[Any]
    ) -> None:
        chain, seq = fields["chain"], fields["seq"]
        by = self.superseded.take(chain, seq)
        if not self._collected.excuses(chain, seq, found):
            here = self._collected.as_here(chain, payloads, found)
            _projection(fields, self._unused.adjusted(_wanted(fields, here)), by, found)

    def _first(self, fields: Mapping[str, Any]) -> None:
        try:
            self._beginning(fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise _RowProblem(1, "it does not say how the chain begins") from error

    def _beginning(self, fields: Mapping[str, Any]) -> None:
        """Check the first row of a chain: its cause, and the end of the chain before it."""
        chain, body = fields["chain"], fields["body"]
        if fields["kind"] != "chain_started":
            raise _RowProblem(1, "the chain does not begin with its first row")
        if before := body["previous"]:
            self._previous(chain, Head(before["chain"], before["seq"], before["hash"]), body)
        if body["cause"] in (FIRST, ROTATED):
            return
        self.notes.append(f"{chain} was begun anew: {body['cause']}")
        if self._trust.is_own(chain):
            raise _RowProblem(1, _broken(body["cause"], body["previous"]))

    def _previous(self, chain: str, end: Head, body: Mapping[str, Any]) -> None:
        if self.gone.excuses(end):
            return
        there = sa.select(journal.c.hash).where(
            journal.c.chain == end.chain, journal.c.seq == end.seq
        )
        if end.seq and self._session.execute(there).scalar() != end.hash:
            _report_cut(self._session, end, chain, self.wrong)
        elif body["cause"] == ROTATED and last_row(self._session, end.chain) != end:
            raise _RowProblem(1, "the chain before it did not end where it says")

    def _private(self, fields: Mapping[str, Any], parts: Sequence[Any]) -> dict[str, Any]:
        """Return the payloads of a row by role. Raises: _RowProblem for an added, altered or
        missing one."""
        chain, seq, commits = fields["chain"], fields["seq"], fields["commits"]
        payloads = {}
        for part in parts:
            if part.role not in commits:
                raise _RowProblem(seq, f"a private part ({part.role}) was added")
            payload = _payload(seq, part, commits[part.role])
            if part.uid != payload.get("uid"):
                raise _RowProblem(seq, f"its private part ({part.role}) says otherwise whose it is")
            payloads[part.role] = payload
        for role in commits.keys() - payloads.keys():
            if not self._redacted.covers(chain, role, seq):
                raise _RowProblem(seq, f"its private part ({role}) is missing, never redacted")
        return payloads


def _payload(seq: int, part: Any, committed: str) -> dict[str, Any]:
    """Return the payload of a private part. Raises: _RowProblem when it is not what the row commits
    to."""
    try:
        text = f"{part.salt}{part.payload}".encode("ascii")
        if hashlib.sha256(text).hexdigest() == committed:
            payload: dict[str, Any] = json.loads(part.payload)
            return payload
    except (ValueError, RecursionError):
        pass
    payload = _parse(seq, part.payload, "its private part")
    try:
        right = commitment(part.salt, payload) == committed
    except (ValueError, TypeError, AttributeError):
        right = False
    if not right:
        raise _RowProblem(seq, f"its private part ({part.role}) was altered")
    return payload


def _broken(cause: str, previous: Mapping[str, Any] | None) -> str:
    """Return the sentence for a chain that was begun anew."""
    where = f" behind row {previous['seq']} of {previous['chain']}" if previous else ""
    why = _CAUSES.get(cause, cause)
    return f"the journal could not go on{where} ({cause}): {why}"


NOT_ITS_KEY = "its seal was not made with the key of the chain"

_CAUSES = {
    "lost": "the database had lost the chain",
    "behind_head": "the database lacked rows that the head file knows, or held others",
    "unsealed": "rows stood there that this gate had not sealed",
    "new_key": "it was sealed with another key than this gate's",
    "head_missing": "the head file was missing or damaged",
    FOREIGN: "the database said that it is another gate's",
    "behind_hub": "the hub knew more rows than this gate did",
    "forked": "the hub knew other rows than this gate did",
    RESTORED: "a backup was put in place, and what was written after it is not known here",
}

_NAMES = {
    "journal_private": "a private part",
    "journal_seal": "a seal",
    "attendance_logs": "the attendance log",
}


class _RecordedGaps:
    """The rows whose absence is on record: pruned on a gate, or dropped before they reached the
    hub."""

    def __init__(self, session: Session, trust: Trust) -> None:
        self._session = session
        self._trust = trust
        self._pruned: dict[str, PrunedRange] = {}
        for row in trust.rows_of_kind(session, PRUNED):
            cut = read(PrunedRange, row.body)
            # the newest record of a gate counts; rows that it has pruned may still be here, on the
            # hub
            if cut is not None and split(cut.chain)[0] == split(row.chain)[0]:
                self._keep(cut)
        self._gaps = {}
        gates = {split(chain)[0] for chain in trust.collected}  # all rows of a chain may be missing
        for row in trust.rows_of_kind(session, DROPPED):
            gap = read(ExplainedGap, row.body)
            if gap is not None and split(gap.chain)[0] in gates:
                self._gaps[gap.chain, gap.seq] = gap

    def _keep(self, cut: PrunedRange) -> None:
        gate = split(cut.chain)[0]
        known = self._pruned.get(gate)
        if known is None or not known.covers(cut.chain, cut.seq):
            self._pruned[gate] = cut

    def covers(self, chain: str, seq: int) -> bool:
        """Return whether the absence of a row is on record."""
        cut = self._cut(chain)
        there = cut is not None and cut.covers(chain, seq)
        gaps = (gap for gap in self._gaps.values() if gap.chain == chain)
        return there or any(gap.first <= seq <= gap.seq for gap in gaps)

    def beginning(self, chain: str) -> Head:
        """Return the head before the first row of a chain that still exists."""
        cut = self._cut(chain)
        if cut is None or cut.chain != chain:
            return Head(chain, 0, GENESIS)
        return Head(chain, cut.seq, cut.hash)

    def skip_gap(self, end: Head, row: Any) -> Head:
        """Return the head that the next row follows: `end`, or the end of a recorded gap after
        it."""
        gap = self._gap(Head(row.chain, row.seq - 1, row.prev), end)
        return end if gap is None else Head(gap.chain, gap.seq, gap.hash)

    def excuses(self, end: Head) -> bool:
        """Return whether the absence of the end of a chain is on record."""
        cut, last = self._cut(end.chain), last_row(self._session, end.chain)
        if cut is not None and cut.covers(end.chain, end.seq):
            return True
        return self._gap(end, last or Head(end.chain, 0, GENESIS)) is not None

    def _gap(self, to: Head, after: Head) -> ExplainedGap | None:
        """Return the recorded gap that ends with one row and begins after another."""
        gap = self._gaps.get((to.chain, to.seq))
        right = gap is not None and (gap.first, gap.hash) == (after.seq + 1, to.hash)
        return gap if right else None

    def notes(self, chain: str) -> Iterator[str]:
        """Yield sentences on the gaps of a chain."""
        cut = self._cut(chain)
        if cut is not None and cut.chain == chain:
            yield (
                f"{chain} begins behind row {cut.seq}: {cut.rows} rows were dropped last, of which "
                f"{cut.unacknowledged} had reached no hub"
            )
        for gap in self._gaps.values():
            if gap.chain == chain:
                yield f"rows {gap.first} to {gap.seq} of {chain} were dropped before they came"

    def _cut(self, chain: str) -> PrunedRange | None:
        return self._pruned.get(split(chain)[0])


class _Collected:
    """Knows the chains that came from gates, whose person ids are those of the gates."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._chains = set(session.execute(sa.select(sync_chains.c.chain)).scalars())
        flaw = sync_quarantine.c
        rows = sa.select(flaw.chain, flaw.seq).where(flaw.reason == "projection")
        self._unprojected = set(map(tuple, session.execute(rows)))

    def excuses(self, chain: str, seq: int, found: list[Any]) -> bool:
        """Return whether it is on record that this row could make no attendance row."""
        return not found and (chain, seq) in self._unprojected

    def as_here(self, chain: str, payloads: Mapping[str, Any], found: list[Any]) -> dict[str, Any]:
        """Return the payloads with the person's id on this hub, None where it had none yet."""
        subject = payloads.get("subject")
        if chain not in self._chains or subject is None:
            return dict(payloads)
        there = sa.select(persons.c.id).where(persons.c.uid == subject.get("uid"))
        id_ = self._session.execute(there).scalar()
        if found and found[0].person_id is None:
            id_ = None  # enrolled here after the passage, or not at all
        return {**payloads, "subject": {**subject, "person_id": id_}}


class _SideTable:
    """Reads a table along with the journal, by rising row number, its first column.

    seq: of the row that comes next.
    """

    def __init__(self, rows: Iterator[Any], chain: str, table: str, wrong: _Problems) -> None:
        self._rows = rows
        self._chain = chain
        self._name = _NAMES[table]
        self._wrong = wrong
        self._advance()

    def _advance(self) -> None:
        self._next = next(self._rows, None)
        self.seq: int = _AFTER_ALL if self._next is None else self._next[0]

    def at(self, seq: int) -> Sequence[Any]:
        """Return the rows with this number; report others before it."""
        found = []
        while self.seq <= seq:
            if self.seq < seq:
                self._stray()
            else:
                found.append(self._next)
            self._advance()
        return found

    def end(self, last: int) -> None:
        """Report rows after the last row of the journal; earlier ones belong to rows with
        problems."""
        while self._next is not None and not self._wrong.too_many(self._chain):
            if self.seq > last:
                self._stray()
            self._advance()

    def _stray(self) -> None:
        self._wrong.add(self._chain, self.seq, f"{self._name} without a journal row")


_UNREADABLE = "holds what cannot be read"


def _stream(
    session: Session,
    columns: Iterable[Any],
    chain: str,
    wrong: _Problems,
    until: int = LAST,
    after: int = _BEFORE_ALL,
) -> Iterator[Any]:
    """Yield these columns of a chain's rows by number, in chunks; report rows that cannot be
    read."""
    wanted = sa.select(*columns)
    (table,) = wanted.get_final_froms()
    assert isinstance(table, sa.Table)  # noqa: S101
    key = [c for c in table.primary_key if c.name in ("seq", "role")] or [table.c.seq]
    ordered = wanted.where(table.c.chain == chain, table.c.seq <= until).order_by(*key)
    last: tuple[Any, ...] = (after,) if len(key) == 1 else (after + 1, "")
    size = CHUNK
    while True:
        later = sa.tuple_(*key) > sa.tuple_(*map(sa.literal, last, (c.type for c in key)))
        try:
            rows = session.execute(ordered.where(later).limit(size)).all()
        except (ValueError, TypeError):
            if size == 1:
                named = sa.select(*key).where(table.c.chain == chain, later).order_by(*key)
                last = tuple(session.execute(named.limit(1)).one())
                wrong.add(chain, int(last[0]), f"{table.name} {_UNREADABLE}")
            size = 1  # row by row, to find the one
            continue
        yield from rows
        if len(rows) < size:
            return
        last = tuple(getattr(rows[-1], c.name) for c in key)


class _Redacted:
    """Knows the private parts whose erasure is on record: ranges by chain and role."""

    def __init__(self, session: Session, trust: Trust) -> None:
        found: dict[tuple[str, str], list[list[int]]] = {}
        for row in trust.rows_of_kind(session, "redacted", own=False):
            body = trust.body(row)
            try:
                ranges = [[int(first), int(last)] for first, last in body["seqs"]]
                chain, role = str(body["chain"]), str(body["role"])
            except (ValueError, KeyError, TypeError):
                continue  # malformed: reported by the walk through its chain
            if trust.may_speak_of(row.chain, chain):
                found.setdefault((chain, role), []).extend(ranges)
        self._ranges = {key: _merged(ranges) for key, ranges in found.items()}

    def covers(self, chain: str, role: str, seq: int) -> bool:
        """Return whether a redaction covers this part."""
        ranges = self._ranges.get((chain, role), [])
        at = bisect_right(ranges, seq, key=lambda r: r[0]) - 1
        return at >= 0 and ranges[at][0] <= seq <= ranges[at][1]


class _Superseded:
    """Knows the superseded rows of the attendance log, from the corrections in the journal."""

    def __init__(self, session: Session, trust: Trust) -> None:
        self.old: dict[tuple[str, int], tuple[int, str, int]] = {}
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
                counts = trust.counts(row.chain, row.seq) and trust.may_speak_of(row.chain, old[0])
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # malformed: reported by the walk through its chain
            if not counts:
                continue
            first = self.old.setdefault(old, (row.id, row.chain, row.seq))
            if first[0] != row.id:
                self._twice.append((row.chain, row.seq))

    def take(self, chain: str, seq: int) -> int | None:
        """Return the id of the row that supersedes this one, once; None without one."""
        by = self.old.pop((chain, seq), None)
        return by and by[0]

    def end(
        self, gone: _RecordedGaps, wrong: _Problems, walked: Callable[[str, int], bool]
    ) -> None:
        """Report corrections of a row that does not exist or was corrected before."""
        for chain, seq in self._twice:
            wrong.add(chain, seq, "it corrects a row that was corrected before")
        for old, (_, chain, seq) in self.old.items():
            if walked(*old) and not gone.covers(*old):
                wrong.add(chain, seq, "it corrects a row that is not there")


class _Unused:
    """Knows the grants that were not used, from later rows of the journal."""

    def __init__(self, session: Session, trust: Trust) -> None:
        self.rows: dict[tuple[str, str], list[int]] = {}
        for row in trust.rows_of_kind(session, "not_used", own=False):
            visit = unused({"kind": "not_used", "body": trust.body(row)})
            if isinstance(visit, str):
                self.rows.setdefault((row.chain, visit), []).append(row.seq)

    def adjusted(self, wanted: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return the attendance row with its status adjusted by later rows."""
        if wanted is None or wanted["reason"] != str(Reason.GRANTED):
            return wanted
        later_rows = self.rows.get((wanted["chain"], wanted["visit_uid"]), [])
        seq = wanted["seq"]
        if any(seq < later <= seq + UNUSED_REACH for later in later_rows):
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
    """Return the hashed fields of a row. Raises: _RowProblem when it does not follow `end` or was
    altered."""
    if row.seq <= end.seq:
        raise _RowProblem(row.seq, "it was dropped, and is there again")
    if row.prev != end.hash:
        raise _RowProblem(row.seq, "it does not follow the row before it")
    fields = {name: getattr(row, name) for name in FIELDS}
    if fields["clock_ok"] not in (True, False):
        raise _RowProblem(row.seq, "it was altered: clock_ok is neither 0 nor 1")
    fields["clock_ok"] = bool(fields["clock_ok"])
    quick = _quick(row, fields, end)
    if quick is not None:
        return quick
    body = _parse(row.seq, row.body, "its body")
    commits = _parse(row.seq, row.commits, "its commitments")
    stored = {**fields, "body": row.body, "commits": row.commits}
    try:
        right = stored_row_hash(end.hash, stored) == row.hash
    except (ValueError, TypeError, AttributeError):
        right = False
    if not right:
        raise _RowProblem(row.seq, "it was altered: the hash does not fit")
    return {**fields, "body": body, "commits": commits}


def _quick(row: Any, fields: dict[str, Any], end: Head) -> dict[str, Any] | None:
    """Return the fields of a row whose hash fits its stored texts; None for others.

    The hash is over the texts as they were written, so a fitting one needs no canonical encoding.
    """
    try:
        stored = {**fields, "body": row.body, "commits": row.commits}
        if stored_row_hash(end.hash, stored) != row.hash:
            return None
        body, commits = json.loads(row.body), json.loads(row.commits)
    except (ValueError, TypeError, RecursionError, AttributeError):
        return None
    right = isinstance(body, dict) and isinstance(commits, dict)
    return {**fields, "body": body, "commits": commits} if right else None


def _parse(seq: int, text: Any, what: str) -> dict[str, Any]:
    """Parse canonical JSON. Raises: _RowProblem for any other text."""
    try:
        return read_canonical(text)
    except (ValueError, TypeError, RecursionError):
        raise _RowProblem(seq, f"{what} was altered: it is no canonical JSON") from None


def _wanted(fields: dict[str, Any], payloads: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return project(fields, payloads)
    except (KeyError, ValueError, TypeError, OverflowError):
        raise _RowProblem(fields["seq"], "no attendance row can be made of it") from None


def _projection(
    fields: dict[str, Any],
    wanted: dict[str, Any] | None,
    superseded_by: int | None,
    found: list[Any],
) -> None:
    """Check that the attendance log holds exactly what follows from the row. Raises:
    _RowProblem."""
    seq = fields["seq"]
    if wanted is None:
        if superseded_by:
            raise _RowProblem(seq, "a correction replaces it, and it makes no attendance row")
        if found:
            raise _RowProblem(seq, "the attendance log has a row that does not follow from it")
        return
    if not found:
        raise _RowProblem(seq, "its row of the attendance log is missing")
    wanted["superseded_by"] = superseded_by
    lies = [name for name, value in wanted.items() if getattr(found[0], name) != value]
    if lies:
        raise _RowProblem(seq, f"the attendance log says otherwise: {', '.join(sorted(lies))}")
