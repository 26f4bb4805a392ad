"""The journals of the gates on their hub: raw rows verified and stored, then projected.

A batch is taken under the lock of its chain, so that of deliveries at the same time, twice or out
of order each row is stored once. A faulty row is reported and kept in quarantine, and never
keeps the others from being acknowledged:

    fork         another row of this number is here already: two units write as one gate
    gap          rows were lost on the gate before they came here, and nothing tells why
    altered      the hash does not fit the row, or a private part not its commitment
    seal         a seal that was not made with the key of the chain, or a row that no seal covers
    projection   the row is here, and no row of the attendance log can be made of it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import (
    GENESIS,
    commitment,
    project,
    read_canonical,
    stored_row_hash,
    superseded,
    unused,
)
from gated.database import rows as rows_
from gated.database.tables import (
    attendance_logs,
    erasures,
    journal,
    journal_private,
    journal_seal,
    persons,
    sync_chains,
    utcnow,
)
from gated.errors import Conflict
from gated.fleet.hub import journal_keys, row_validation
from gated.journal import quarantine
from gated.journal.chain_tip import Head, key_of
from gated.journal.journal import mark_unused, supersede
from gated.journal.key_rotation import successor_keys
from gated.journal.outbox import ROW, Batch, Part
from gated.journal.pruned_ranges import PRUNED, ExplainedGap, PrunedRange, read, split
from gated.journal.site_presence_store import PassageChanges

Names = Mapping[str, Mapping[str, Any]]
"""Role -> payload of a private part."""

_NOBODY: Names = {}


@dataclass(frozen=True, slots=True)
class Flaw:
    """A fault of a row, and the row as it came."""

    seq: int
    reason: str
    row: Mapping[str, Any]


@dataclass(slots=True)
class IngestResult:
    """The outcome of a batch. acknowledged: the gate may forget up to here.

    stored: rows that are new. flaws: only those that were not known. forked: the gate must begin
    another chain. private_of_erased: (role, seqs) whose private parts were not kept, as their
    person was erased here meanwhile. holes: what the gate has dropped before it came here, as a
    sealed row of the gate tells. passed: what it says of who passed where.
    """

    acknowledged: int
    stored: int = 0
    flaws: list[Flaw] = field(default_factory=list)
    forked: bool = False
    private_of_erased: list[tuple[str, list[int]]] = field(default_factory=list)
    holes: list[ExplainedGap] = field(default_factory=list)
    passed: PassageChanges = field(default_factory=PassageChanges)


@dataclass(frozen=True, slots=True)
class ProvenCut:
    """Rows of a chain that a gate has dropped, and the key under which it says so."""

    range: PrunedRange
    key: str


def proven_cut(batch: Batch, former: Sequence[str]) -> ProvenCut | None:
    """Return what the gate has dropped of the chain of a batch; None without its word.

    former: keys of the gate (public, hex). The row counts under one of them, or under a later one
    to which they lead.
    """
    part = batch.cut
    if part is None:
        return None
    row = {name: part[name] for name in ROW}
    try:
        made = _Row.read(part["chain"], row, part["prev"])
    except (ValueError, TypeError, RecursionError):
        return None
    head = Head(made.chain, made.seq, row["hash"], part["signature"])
    cut = read(PrunedRange, row["body"])
    if row["kind"] != PRUNED or cut is None or cut.chain != batch.chain:
        return None
    gate = split(batch.chain)[0]
    keys = (*former, *successor_keys(made.fields["body"], gate, former))
    key = next((k for k in keys if head.gate == gate and head.is_signed_by(k)), None)
    return None if key is None else ProvenCut(cut, key)


class BatchConflict(Exception):
    """The projection of the rows cannot be entered at once: take them again, one by one."""


def take(
    session: Session, gate_id: int, batch: Batch, key: str = "", *, one_by_one: bool = False
) -> IngestResult:
    """Store what is new of a batch; needs a session of `Database.write`.

    key: the public key (hex) of the gate's journal, as far as the hub knows it.
    one_by_one: what follows from each row is entered apart, so that one which does not fit keeps
    no other away. It takes several times as long. Raises: BatchConflict without, when one does not
    fit; then nothing is stored.
    """
    end = _locked(session, gate_id, batch.chain)
    taken = _Ingest(session, gate_id, batch, end, key, one_by_one).run()
    if taken.flaws:
        quarantine.trim(session, gate_id)
    return taken


def positions(session: Session, gate_id: int) -> dict[str, int]:
    """Return how far the chains of a gate are here."""
    found = sa.select(sync_chains.c.chain, sync_chains.c.seq)
    return dict(session.execute(found.where(sync_chains.c.gate_id == gate_id)).all())


def recognise(session: Session, uid: str, person_id: int) -> bool:
    """Let the log name a person who passed at gates before being known here; whether anybody did.

    Rows whose private part was redacted stay without.
    """
    part, row = journal_private.c, attendance_logs.c
    theirs = sa.select(part.chain, part.seq).where(part.uid == uid, part.role == "subject")
    named = sa.update(attendance_logs).values(person_id=person_id)
    named = named.where(row.person_id.is_(None), sa.tuple_(row.chain, row.seq).in_(theirs))
    return session.execute(named.returning(row.id)).first() is not None


def _locked(session: Session, gate_id: int, chain: str) -> Head:
    """The end of a chain as it is here, locked until the transaction ends."""
    c = sync_chains.c
    wanted = sa.select(c.chain, c.seq, c.hash).where(c.chain == chain).with_for_update()
    found = session.execute(wanted).first()
    if found is None:
        begun = rows_.insert_for(session)(sync_chains)
        begun = begun.values(chain=chain, gate_id=gate_id, seq=0, hash=GENESIS)
        session.execute(begun.on_conflict_do_nothing(index_elements=["chain"]))
        found = session.execute(wanted).one()
    return Head(*found)


class _Ingest:
    """One batch on its way in."""

    def __init__(
        self, session: Session, gate_id: int, batch: Batch, end: Head, key: str, one_by_one: bool
    ) -> None:
        self._session = session
        self._gate_id = gate_id
        self._batch = batch
        self._end = end
        self._one_by_one = one_by_one
        self._key = key
        self._cut = proven_cut(batch, [key])
        self._taken = IngestResult(end.seq)
        self._private = _by_seq(batch.private)
        self._seals = _by_seq(batch.seals)

    def run(self) -> IngestResult:
        batch, end = self._batch, self._end
        if batch.after.seq > end.seq and not batch.lost:
            return self._taken  # the rows between are still to come
        if self._is_fork():
            return self._fork()
        new = [row for row in batch.rows if row["seq"] > end.seq]
        if new:
            self._look_for_holes(new[0])
        rows = self._with_room(self._verified(self._sealed(new)))
        if rows:
            rows_.insert_many(self._session, journal, [r.stored for r in rows])
            self._store_private(rows)
            self._project(rows)
            self._mark_unused(rows)
            self._redact(rows)
        if new:
            self._store_seals(rows)
            self._move(new[-1])
        return self._taken

    # --- holes --------------------------------------------------------------------------------

    def _look_for_holes(self, first: Part) -> None:
        """Judge rows missing before the first new one: reported by the gate, or a flaw."""
        pruned_to, end = None if self._cut is None else self._cut.range, self._end
        if first["seq"] != end.seq + 1:
            after = self._batch.after
            if pruned_to is not None and (pruned_to.seq, pruned_to.hash) == (after.seq, after.hash):
                self._taken.holes.append(ExplainedGap(end.chain, end.seq + 1, *_end_of(pruned_to)))
            else:
                self._flaw(first, "gap")
        elif pruned_to is not None and pruned_to.seq == 0 and first["kind"] == "chain_started":
            self._hole_before_the_chain(first)

    def _hole_before_the_chain(self, first: Part) -> None:
        """The end of the chain before, when all that was left of it was dropped."""
        try:
            before = read_canonical(first["body"])["previous"]
            chain, seq, hash_ = str(before["chain"]), int(before["seq"]), str(before["hash"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return  # the first chain, or a row that is set apart for itself
        if split(chain)[0] != split(self._batch.chain)[0]:
            return
        here = sa.select(sync_chains.c.seq).where(sync_chains.c.chain == chain)
        last = self._session.execute(here).scalar() or 0
        if last < seq:
            key = key_of(self._session, chain) or self._key
            self._taken.holes.append(ExplainedGap(chain, last + 1, seq, hash_, key))

    # --- forks --------------------------------------------------------------------------------

    def _is_fork(self) -> bool:
        if self._batch.after.seq == self._end.seq:
            return self._end.seq > 0 and self._batch.after.hash != self._end.hash
        known = {self._batch.after.seq: self._batch.after.hash}
        known |= {row["seq"]: row["hash"] for row in self._batch.rows}
        here = self._here([seq for seq in known if 0 < seq <= self._end.seq])
        return any(known[seq] != hash_ for seq, hash_ in here.items())

    def _here(self, seqs: Sequence[int]) -> dict[int, str]:
        found: dict[int, str] = {}
        row = journal.c
        for some in rows_.in_parts(seqs):
            there = row.chain == self._batch.chain, row.seq.in_(some)
            known = sa.select(row.seq, row.hash).where(*there)
            found |= dict(self._session.execute(known).all())
        return found

    def _fork(self) -> IngestResult:
        """Keep the rows of the other branch apart; they are not asked for again."""
        for row in self._batch.rows:
            self._flaw(row, "fork", self._names_of(row))
        last = self._batch.rows[-1]["seq"] if self._batch.rows else self._batch.after.seq
        self._taken.acknowledged = max(last, self._end.seq)
        self._taken.forked = True
        return self._taken

    def _sealed(self, rows: Sequence[Part]) -> Sequence[Part]:
        """The rows that a seal of the gate covers; the others are set apart, with their names."""
        key = key_of(self._session, self._batch.chain) or self._key_told(rows)
        if not key and self._cut is not None and self._cut.range.seq == self._batch.after.seq:
            key = self._cut.range.key
        key = key or self._key
        hashes = {row["seq"]: row["hash"] for row in rows}
        covered = 0
        for seal in sorted(self._batch.seals, key=lambda s: int(s["seq"]), reverse=True):
            head = Head(self._batch.chain, seal["seq"], seal["hash"], seal["signature"])
            if seal["hash"] == hashes.get(seal["seq"]) and head.is_signed_by(key):
                covered = head.seq
                break
        ended = journal_keys.ended_at(self._session, self._batch.chain)
        if ended is not None:
            covered = min(covered, ended)  # whoever has the old key can add nothing to its chains
        for row in rows:
            if row["seq"] > covered:
                self._flaw(row, "seal", self._names_of(row))
        return [row for row in rows if row["seq"] <= covered]

    @staticmethod
    def _key_told(rows: Sequence[Part]) -> str:
        """The key that the first row of a chain names, where it is among these."""
        if not rows or rows[0]["seq"] != 1:
            return ""
        try:
            return str(read_canonical(rows[0]["body"])["public_key"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return ""

    # --- storing ------------------------------------------------------------------------------

    def _verified(self, rows: Sequence[Part]) -> list[_Row]:
        """The rows that fit; the others are in quarantine, and the chain goes on behind them."""
        good, prev = [], self._end.hash
        if rows and rows[0]["seq"] != self._end.seq + 1:
            prev = self._batch.after.hash  # behind a gap there is no other hash to follow
        for row in rows:
            try:
                made = _Row.read(self._batch.chain, row, prev)
            except (ValueError, TypeError, RecursionError):
                self._flaw(row, "altered", self._names_of(row))
            else:
                good.append(made)
            prev = row["hash"]
        self._taken.stored = len(good)
        return good

    def _with_room(self, rows: list[_Row]) -> list[_Row]:
        """The rows in whose place nothing stands that somebody has put there; others are apart."""
        if not rows:
            return rows
        there: set[int] = set()
        for table in (journal, journal_private, journal_seal, attendance_logs):
            of_chain = table.c.chain == self._batch.chain
            these = table.c.seq.between(rows[0].seq, rows[-1].seq)
            found = sa.select(table.c.seq).where(of_chain, these)
            there |= set(self._session.execute(found).scalars())
        for row in rows:
            if row.seq in there:
                self._flaw({name: row.stored[name] for name in ROW}, "fork")
        free = [row for row in rows if row.seq not in there]
        self._taken.stored = len(free)
        return free

    def _store_private(self, rows: Sequence[_Row]) -> None:
        parts = []
        for row in rows:
            for part in self._private.get(row.seq, ()):
                try:
                    payload = row.payload(part)
                    uid = _uid_of(payload)
                    if part["role"] in row.private:
                        raise ValueError("sent twice")
                except (ValueError, TypeError, KeyError, RecursionError):
                    self._flaw(part, "altered")
                    continue
                row.private[part["role"]] = payload
                parts.append({**part, "chain": row.chain, "uid": uid})
        gone = self._erased({p["uid"] for p in parts if p["uid"]})
        kept = [p for p in parts if p["uid"] not in gone]
        rows_.insert_many(self._session, journal_private, kept)
        for role in ("subject", "actor"):
            seqs = [p["seq"] for p in parts if p["uid"] in gone and p["role"] == role]
            if seqs:
                self._taken.private_of_erased.append((role, seqs))

    def _erased(self, uids: set[str]) -> set[str]:
        return {
            uid
            for some in rows_.in_parts(sorted(uids))
            for uid in self._session.execute(
                sa.select(erasures.c.uid).where(erasures.c.uid.in_(some))
            ).scalars()
        }

    def _store_seals(self, rows: Sequence[_Row]) -> None:
        # of a chain whose beginning never came the gate's own key is all that is known
        key = key_of(self._session, self._batch.chain) or self._key
        hashes = {row.seq: row.stored["hash"] for row in rows}
        good = []
        for seal in self._batch.seals:
            if seal["seq"] not in hashes:
                continue
            head = Head(self._batch.chain, seal["seq"], seal["hash"], seal["signature"])
            if seal["hash"] == hashes[seal["seq"]] and head.is_signed_by(key):
                good.append({**seal, "chain": head.chain})
            else:
                self._flaw(seal, "seal")
        rows_.insert_many(self._session, journal_seal, good)

    def _move(self, last: Part) -> None:
        chain = sync_chains.c
        moved = sa.update(sync_chains).where(chain.chain == self._batch.chain)
        self._session.execute(moved.values(seq=last["seq"], hash=last["hash"]))
        self._taken.acknowledged = last["seq"]

    # --- what follows from the rows -----------------------------------------------------------

    def _project(self, rows: Sequence[_Row]) -> None:
        ids = self._person_ids(rows)
        made: list[tuple[_Row, dict[str, Any]]] = []
        for row in rows:
            try:
                self._taken.passed.forgive(row.fields, row.private)
                values = self._projected(row)
            except (KeyError, ValueError, TypeError, OverflowError, AttributeError):
                self._flaw(row.stored, quarantine.PROJECTION)
                continue
            if values is not None:
                values["person_id"] = ids.get(row.subject_uid)
                values["recorded_at"] = utcnow()
                made.append((row, values))
                self._taken.passed.people |= {values["person_id"]} - {None}
        if not made:
            return
        if self._one_by_one:
            for row, values in made:
                self._enter_alone(row, values)
        else:
            self._enter_together([values for _, values in made])
        self._supersede([row for row, _ in made])

    def _projected(self, row: _Row) -> dict[str, Any] | None:
        """Its row of the attendance log; KeyError, ValueError, TypeError and the like for none."""
        values = project(row.fields, row.private)
        if values is not None:
            row_validation.require(values)
        old = superseded(row.fields)
        if old is not None:
            row_validation.number(old[1])
            if split(old[0])[0] != split(row.chain)[0]:
                raise ValueError("it corrects a row of another gate")
        return values

    def _enter_together(self, values: Sequence[Mapping[str, Any]]) -> None:
        try:
            rows_.insert_many(self._session, attendance_logs, values)
        except sa.exc.StatementError as error:
            if not _is_of_the_row(error):
                raise
            raise BatchConflict from error

    def _enter_alone(self, row: _Row, values: Mapping[str, Any]) -> None:
        try:
            with self._session.begin_nested():
                self._session.execute(sa.insert(attendance_logs).values(dict(values)))
        except sa.exc.StatementError as error:
            if not _is_of_the_row(error):
                raise
            self._flaw(row.stored, quarantine.PROJECTION)

    def _supersede(self, rows: Sequence[_Row]) -> None:
        corrected = [row for row in rows if row.fields["kind"] == "corrected"]
        for row in corrected:
            log = attendance_logs.c
            by = self._session.execute(
                sa.select(log.id).where(log.chain == row.chain, log.seq == row.seq)
            ).scalar()
            old = superseded(row.fields)
            if by is None or old is None:
                continue
            try:
                self._taken.passed.corrected |= supersede(self._session, *old, by)
            except Conflict:
                self._flaw(row.stored, quarantine.PROJECTION)

    def _mark_unused(self, rows: Sequence[_Row]) -> None:
        for row in rows:
            try:
                if visit := unused(row.fields):
                    people = mark_unused(
                        self._session, row.chain, row.seq, row_validation.text(visit)
                    )
                    self._taken.passed.people |= people
            except ValueError:
                self._flaw(row.stored, quarantine.PROJECTION)

    def _person_ids(self, rows: Sequence[_Row]) -> dict[str | None, int]:
        """uid -> id here; the gate's own numbers mean nothing to us. Locked against erasure."""
        uids = sorted({row.subject_uid for row in rows if row.subject_uid})
        found: dict[str | None, int] = {}
        for some in rows_.in_parts(uids):
            there = sa.select(persons.c.uid, persons.c.id).where(persons.c.uid.in_(some))
            there = there.with_for_update(read=True, key_share=True)
            found |= dict(self._session.execute(there).all())
        return found

    def _redact(self, rows: Sequence[_Row]) -> None:
        """Forget here what the gate has redacted of its own rows."""
        for row in rows:
            if row.fields["kind"] != "redacted":
                continue
            try:
                chain, role = (
                    row_validation.text(row.fields["body"][k]) for k in ("chain", "role")
                )
                if chain.rpartition("/")[0] != row.chain.rpartition("/")[0]:
                    raise ValueError("not a chain of this gate")
                for first, last in row.fields["body"]["seqs"]:
                    ends = row_validation.number(first), row_validation.number(last)
                    _forget(self._session, chain, role, *ends)
            except (KeyError, ValueError, TypeError, AttributeError):
                self._flaw(row.stored, quarantine.PROJECTION)

    def _flaw(self, part: Part, reason: str, private: Names = _NOBODY) -> None:
        """Set a row, or what hangs on one, apart, once."""
        chain = self._batch.chain
        if quarantine.add(self._session, self._gate_id, chain, part, reason, private):
            self._taken.flaws.append(Flaw(part["seq"], reason, part))

    def _names_of(self, row: Part) -> Names:
        """The private parts of a row that will stand nowhere else, of who is not erased."""
        names: dict[str, Mapping[str, Any]] = {}
        for part in self._private.get(row["seq"], ()):
            try:
                commits, payload = read_canonical(row["commits"]), read_canonical(part["payload"])
                right = commitment(part["salt"], payload) == commits.get(part["role"])
                uid = _uid_of(payload)
            except (ValueError, TypeError, RecursionError):
                continue
            if right and not (uid and self._erased({uid})):
                names[part["role"]] = payload
        return names


@dataclass(slots=True)
class _Row:
    """A row whose hash fits."""

    chain: str
    seq: int
    fields: dict[str, Any]
    stored: dict[str, Any]
    private: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, chain: str, row: Part, prev: str) -> _Row:
        """ValueError when the row was altered, or does not follow `prev`."""
        fields = {name: row[name] for name in row if name != "hash"}
        fields["chain"] = chain
        body, commits = read_canonical(row["body"]), read_canonical(row["commits"])
        if stored_row_hash(prev, fields) != row["hash"]:
            raise ValueError("the hash does not fit")
        stored = {**row, "chain": chain, "prev": prev}
        fields |= {"body": body, "commits": commits, "hash": row["hash"]}
        return cls(chain, row["seq"], fields, stored)

    def payload(self, part: Part) -> dict[str, Any]:
        """A private part of this row; ValueError, KeyError when the row does not commit to it."""
        payload = read_canonical(part["payload"])
        if commitment(part["salt"], payload) != self.fields["commits"][part["role"]]:
            raise ValueError("the private part does not fit its commitment")
        return payload

    @property
    def subject_uid(self) -> str | None:
        uid = self.private.get("subject", {}).get("uid")
        return uid if isinstance(uid, str) else None


def _is_of_the_row(error: sa.exc.StatementError) -> bool:
    """Return whether the values of a row are why it cannot be entered."""
    # a trouble of the database is over in a moment, and must not keep a row out of the log for good
    return not isinstance(error, sa.exc.OperationalError | sa.exc.InternalError)


def _uid_of(payload: Mapping[str, Any]) -> str | None:
    """Return whom a private part speaks of; ValueError for what is no uid."""
    uid = payload.get("uid")
    return None if uid is None else row_validation.text(uid)


def _forget(session: Session, chain: str, role: str, first: int, last: int) -> None:
    part, log = journal_private.c, attendance_logs.c
    there = (part.chain == chain, part.role == role, part.seq >= first, part.seq <= last)
    session.execute(sa.delete(journal_private).where(*there))
    if role == "subject":
        rows = (log.chain == chain, log.seq >= first, log.seq <= last)
        session.execute(sa.update(attendance_logs).where(*rows).values(person_id=None))


def _end_of(cut: PrunedRange) -> tuple[int, str, str]:
    return cut.seq, cut.hash, cut.key


def _by_seq(parts: Sequence[Part]) -> dict[int, list[Part]]:
    found: dict[int, list[Part]] = {}
    for part in parts:
        found.setdefault(part["seq"], []).append(part)
    return found
