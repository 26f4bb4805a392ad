"""The journal: everything that must not be lost or altered, through one append function.

    journal          hash-chained rows without personal data; chain = gate uid / epoch
    journal_private  the personal part of a row, salted; the row commits to it
    journal_seal     signature of the last hash of each batch; the newest is copied to a head file
    attendance_logs  what follows from the rows, written in the same transaction

A chain begins with `chain_started`, which names the key that seals it and how the chain before it
ended. A new chain (epoch) begins when the database does not hold what the head file knows: it was
restored or cut. The loss stays visible for ever, as the new chain tells what the old one held.
A head file behind the database is normal: the power failed between commit and head. That there is
none is not, as a head of row 0 is written before a first row is committed.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from gated.core.chain import (
    GENESIS,
    UNUSED_REACH,
    canonical,
    commitment,
    project,
    row_hash,
    superseded,
    unused,
)
from gated.core.model import Decision, Instant, PersonRef, Reason
from gated.errors import Conflict
from gated.storage import alarms, changes, erasures, quarantine, settings, site_presence
from gated.storage.cuts import newest_cut
from gated.storage.engine import Database, after_commit, is_write_session
from gated.storage.erasures import ErasureLedger
from gated.storage.heads import Head, holds, key_of, last_row, read_head, write_head
from gated.storage.origin import current
from gated.storage.site_presence import Passed
from gated.storage.tables import (
    attendance_logs,
    edge_edits,
    fleet_edits,
    journal,
    journal_private,
    journal_seal,
    new_uid,
    persons,
    utcnow,
)

if TYPE_CHECKING:
    from gated.storage.verify import Verification

log = logging.getLogger(__name__)

IDENTITY = "journal_identity"
SALT = 32

NOT_USED = "granted_not_used"
"""The status of a grant after which nobody went through."""

_CHECKED = "gated_journal_checked"

_NO_PRIVATE: Mapping[str, Mapping[str, Any]] = {}


@dataclass(frozen=True)
class Entry:
    """Something to append. body: no personal data; private: role (subject, actor) -> payload."""

    at: Instant
    kind: str
    body: Mapping[str, Any]
    private: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _NO_PRIVATE)

    def from_here(self) -> Entry:
        """The same entry, its actor completed with where the request came from."""
        origin = current()
        if origin is None or "actor" not in self.private:
            return self
        actor = {**origin.told(), **self.private["actor"]}
        return replace(self, private={**self.private, "actor": actor})


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an entry stands, and the row of the attendance log that it made."""

    chain: str
    seq: int
    hash: str
    attendance_id: int | None = None


class Journal:
    """Appends to the newest chain of this gate; any number of threads and processes may.

    shared: others, with keys of their own, keep journals in the same database, as the processes of
    one hub do; each writes chains of its own then.
    """

    def __init__(
        self,
        db: Database,
        signer: Ed25519PrivateKey,
        head_file: Path,
        gate_name: str = "gate",
        site: str = "site",
        *,
        shared: bool = False,
    ) -> None:
        self.db = db
        self.head_file = head_file
        self.ledger = ErasureLedger(head_file.with_name(erasures.NAME))
        self._signer = signer
        self._gate_name = gate_name
        self._site = site
        self.on_append: Callable[[], None] = lambda: None
        """Called after each commit by this process, in the thread that made it; must be quick."""
        self._boot_id = boot_id()
        self._sealed: Head | None = None
        self.public_key = signer.public_key().public_bytes_raw().hex()
        self._identity_key = f"{IDENTITY}/{self.public_key[:16]}" if shared else IDENTITY

    def append(self, entries: Sequence[Entry], session: Session | None = None) -> list[Receipt]:
        """Append a batch under one seal, durably on return; StorageError, then nothing is written.

        With a session of `Database.write` the batch belongs to that transaction. ValueError and
        TypeError when a body or a payload is no JSON. A private subject who was erased meanwhile
        (`person_id` of nobody) is left out. Conflict for a second correction of the same row.
        """
        if not entries:
            return []
        if session is None:
            with self.db.write() as own:
                return self._append(own, entries)
        if not is_write_session(session) or session.in_nested_transaction():
            # after a savepoint's rollback the head would speak of rows that never were
            raise ValueError("the journal needs a session of Database.write, and no savepoint")
        return self._append(session, entries)

    def redact(
        self,
        session: Session,
        at: Instant,
        chain: str,
        seqs: Iterable[int],
        reason: str,
        role: str = "subject",
    ) -> Receipt:
        """Delete the private parts of rows of a chain for ever, and say so in the journal."""
        wanted = sorted(set(seqs))
        private, projected = journal_private.c, attendance_logs.c
        for some in _chunks(wanted, 500):
            session.execute(
                sa.delete(journal_private).where(
                    private.chain == chain, private.role == role, private.seq.in_(some)
                )
            )
            if role == "subject":
                session.execute(
                    sa.update(attendance_logs)
                    .where(projected.chain == chain, projected.seq.in_(some))
                    .values(person_id=None)
                )
        body = {"chain": chain, "role": role, "seqs": list(ranges(wanted)), "reason": reason}
        return self.append([Entry(at, "redacted", body)], session)[0]

    def erase_person(self, session: Session, at: Instant, uid: str, reason: str) -> list[Receipt]:
        """Redact all that speaks of the person with this uid; `persons.delete` may follow.

        The ledger has the uid once the session is committed.
        """
        self.keep_out(session, [uid])
        settings.touch_gallery(session)  # the locks in their order: see `changes`
        settings.lock_rules(session)
        changes.note_erasure(session, uid)
        # whoever is taking in rows of this person has committed then
        session.execute(sa.select(persons.c.id).where(persons.c.uid == uid).with_for_update())
        for edits in (edge_edits, fleet_edits):
            session.execute(sa.delete(edits).where(edits.c.person == uid))
        quarantine.forget_person(session, uid)
        private = journal_private.c
        found = session.execute(
            sa.select(private.chain, private.role, private.seq)
            .where(private.uid == uid)
            .order_by(private.chain, private.role, private.seq)
        )
        parts: dict[tuple[str, str], list[int]] = {}
        for chain, role, seq in found:
            parts.setdefault((chain, role), []).append(seq)
        return [
            self.redact(session, at, chain, seqs, reason, role)
            for (chain, role), seqs in parts.items()
        ]

    def keep_out(self, session: Session, uids: Sequence[str]) -> None:
        """When the session is committed, the ledger has what must not come back."""
        if uids:
            after_commit(session, f"ledger {uids[0]}", lambda: self.ledger.add(uids))

    def begin_anew(self, at: Instant, cause: str) -> Receipt:
        """Begin another chain, as the present one must not go on: its first row says why."""
        with self.db.write() as session:
            gate, epoch = self._identity(session)
            before = last_row(session, f"{gate}/{epoch}")
            chain, tip = self._start(session, at, (gate, epoch), cause, before)
            self._seal(session, tip)
            return Receipt(chain, tip.seq, tip.hash)

    def gate_uid(self) -> str:
        """The uid that all chains of this gate begin with; made when it is first asked for."""
        with self.db.read() as session:
            known = settings.get(session, self._identity_key)
        if known is not None:
            return str(known["gate"])
        with self.db.write() as session:
            return self._identity(session)[0]

    def is_behind(self) -> bool:
        """Whether this database lacks rows that the head file knows: an older one was restored."""
        head = read_head(self.head_file)
        if head is None or not head.seq:
            return False
        with self.db.read() as session:
            known = key_of(session, head.chain) or self.public_key
            return head.is_signed_by(known) and not holds(session, head)

    def verify(self) -> Verification:
        """Check chains, seals, head file, private parts and attendance log, in constant memory."""
        from gated.storage.verify import verify

        return verify(self.db, self.head_file, self.public_key, self.ledger, self._identity_key)

    # --- appending ---

    def _append(self, session: Session, entries: Sequence[Entry]) -> list[Receipt]:
        chain, tip = self._tip(session, entries[0].at)
        entries = [e.from_here() for e in _without_erased(session, entries)]
        written = _Batch(chain, self._boot_id)
        for entry in entries:
            tip = written.add(entry, tip)
        ids = written.insert(session)
        self._seal(session, tip)
        site_presence.noted(session, self._site, written.passed)
        return [Receipt(chain, r["seq"], r["hash"], ids.get(r["seq"])) for r in written.rows]

    def _tip(self, session: Session, at: Instant) -> tuple[str, Head]:
        """The chain to append to and its end; begins a new chain when there must be one."""
        gate, epoch = self._identity(session)
        chain = f"{gate}/{epoch}"
        tip = last_row(session, chain)
        if session.info.get(_CHECKED) == chain and tip:
            return chain, tip
        head = self._head(session)
        cause = self._why_anew(session, chain, tip, head)
        if cause or tip is None:
            before = head if cause in ("lost", "behind_head") and head and head.seq else tip
            # a restored database may know less epochs than there were
            epochs = epoch, head.epoch if head and head.gate == gate else 0
            chain, tip = self._start(session, at, (gate, max(epochs)), cause, before)
        session.info[_CHECKED] = chain
        return chain, tip

    def _why_anew(self, session: Session, chain: str, tip: Head | None, head: Head | None) -> str:
        """Why the chain cannot go on; empty when it can."""
        if tip is None:
            return "first" if head is None or head.seq == 0 else "lost"
        if key_of(session, chain) != self.public_key:
            return "new_key"
        if head is None:
            return "head_missing"
        return "" if holds(session, head) else "behind_head"

    def _head(self, session: Session) -> Head | None:
        """The newest seal that this process knows of: the head file's, or one of its own."""
        head = read_head(self.head_file)
        if head and not head.is_signed_by(key_of(session, head.chain) or self.public_key):
            head = None
        own = self._sealed
        if own and (head is None or (head.chain == own.chain and head.seq < own.seq)):
            return own
        return head

    def _identity(self, session: Session) -> tuple[str, int]:
        """Gate uid and epoch, locked until the transaction ends."""
        settings.create(session, self._identity_key, {"gate": new_uid(), "epoch": 1})
        value = settings.get_locked(session, self._identity_key)
        return value["gate"], value["epoch"]

    def _start(
        self,
        session: Session,
        at: Instant,
        identity: tuple[str, int],
        cause: str,
        before: Head | None,
    ) -> tuple[str, Head]:
        """Begin a chain with a row that says why, and where the one before it ended."""
        gate, epoch = identity
        if cause != "first":
            log.error("the journal begins a new chain (%s): see `gated journal verify`", cause)
            epoch += 1
            settings.set_(session, self._identity_key, {"gate": gate, "epoch": epoch})
        body = {
            "gate": gate,
            "gate_name": self._gate_name,
            "epoch": epoch,
            "public_key": self.public_key,
            "cause": cause,
            "previous": before and before.told(),
        }
        nothing = self._sign(Head(f"{gate}/{epoch}", 0, GENESIS))
        if cause in ("first", "head_missing"):
            write_head(self.head_file, nothing)
        first = _Batch(nothing.chain, self._boot_id)
        tip = first.add(Entry(at, "chain_started", body), nothing)
        first.insert(session)
        return nothing.chain, tip

    def _seal(self, session: Session, tip: Head) -> None:
        sealed = self._sign(tip)
        values = {**sealed.told(), "signature": sealed.signature}
        session.execute(sa.insert(journal_seal).values(values))
        after_commit(session, f"head {self.head_file}", lambda: self._committed(sealed))

    def _sign(self, tip: Head) -> Head:
        return replace(tip, signature=self._signer.sign(tip.message()).hex())

    def _committed(self, sealed: Head) -> None:
        self._sealed = sealed
        write_head(self.head_file, sealed)
        self.on_append()


class _Batch:
    """Rows of one chain in the making."""

    def __init__(self, chain: str, boot: str) -> None:
        self._chain = chain
        self._boot = boot
        self.rows: list[dict[str, Any]] = []
        self.passed = Passed()
        self._private: list[dict[str, Any]] = []
        self._attendance: list[dict[str, Any]] = []
        self._superseded: dict[int, tuple[str, int]] = {}
        self._unused: dict[int, str] = {}
        self._alarms: list[dict[str, Any]] = []

    def add(self, entry: Entry, tip: Head) -> Head:
        """Add the row that follows `tip`; returns the new tip."""
        seq = tip.seq + 1
        salts = {role: secrets.token_hex(SALT) for role in entry.private}
        commits = {role: commitment(salts[role], p) for role, p in entry.private.items()}
        fields = {
            "chain": self._chain,
            "seq": seq,
            "at_utc": round(entry.at.utc * 1e6),
            "boot_id": self._boot,
            "mono_ns": round(entry.at.mono * 1e9),
            "clock_ok": entry.at.clock_ok,
            "kind": entry.kind,
            "body": dict(entry.body),
            "commits": commits,
        }
        hash_ = row_hash(tip.hash, fields)
        body, commits_text = canonical(fields["body"]), canonical(commits)
        self.rows.append(
            {
                **fields,
                "body": body.decode(),
                "commits": commits_text.decode(),
                "prev": tip.hash,
                "hash": hash_,
            }
        )
        for role, payload in entry.private.items():
            self._private.append(
                {
                    "chain": self._chain,
                    "seq": seq,
                    "role": role,
                    "salt": salts[role],
                    "payload": canonical(payload).decode(),
                    "uid": payload.get("uid"),
                }
            )
        # from what is stored, as verifying does, not from what was given
        seen = {**fields, "body": json.loads(body), "hash": hash_}
        if projected := project(seen, entry.private):
            self._attendance.append(projected)
        self.passed.forgive(seen, entry.private)
        if old := superseded(seen):
            self._superseded[seq] = old
        if visit := unused(seen):
            self._unused[seq] = visit
        if entry.body.get("severity") in alarms.STANDING:
            self._alarms.append(fields)
        return Head(self._chain, seq, hash_)

    def insert(self, session: Session) -> dict[int, int]:
        """Write everything; returns seq -> id of the attendance rows."""
        session.execute(sa.insert(journal), self.rows)
        if self._private:
            session.execute(sa.insert(journal_private), self._private)
        ids = self._insert_attendance(session)
        for seq, visit in self._unused.items():
            self.passed.people |= mark_unused(session, self._chain, seq, visit)
        for row in self._alarms:
            alarms.raised(session, row)
        return ids

    def _insert_attendance(self, session: Session) -> dict[int, int]:
        if not self._attendance:
            return {}
        now = utcnow()
        statement = sa.insert(attendance_logs).returning(
            attendance_logs.c.seq, attendance_logs.c.id
        )
        made = session.execute(statement, [{**r, "recorded_at": now} for r in self._attendance])
        ids = {row.seq: row.id for row in made}
        self.passed.people |= {r["person_id"] for r in self._attendance} - {None}
        for seq, (chain, old) in self._superseded.items():
            self.passed.corrected |= supersede(session, chain, old, ids[seq])
        return ids


def supersede(session: Session, chain: str, seq: int, by: int) -> set[int]:
    """Let a row of the attendance log point at the one in its place; whose it was.

    Conflict when one is in its place already.
    """
    old = attendance_logs.c
    found = session.execute(
        sa.update(attendance_logs)
        .where(old.chain == chain, old.seq == seq, old.superseded_by.is_(None), old.id != by)
        .values(superseded_by=by)
        .returning(old.person_id)
    ).first()
    if found is None:
        raise Conflict(f"row {seq} of {chain} is not there any more, or was corrected already")
    return {found.person_id} - {None}


def mark_unused(session: Session, chain: str, seq: int, visit_uid: str) -> set[int]:
    """Let the grant of this visit, some rows before, say that nobody went through; whose it was."""
    row = attendance_logs.c
    marked = session.execute(
        sa.update(attendance_logs)
        .where(
            row.chain == chain,
            row.seq.between(seq - UNUSED_REACH, seq - 1),
            row.visit_uid == visit_uid,
            row.reason == str(Reason.GRANTED),
        )
        .values(status=NOT_USED)
        .returning(row.person_id)
    )
    return {id_ for id_ in marked.scalars() if id_ is not None}


def last_body(session: Session, kind: str) -> Mapping[str, Any] | None:
    """The body of this gate's newest row of a kind; None when there is none."""
    identity = settings.get(session, IDENTITY)
    if identity is None:
        return None
    for epoch in range(identity["epoch"], 0, -1):
        found = session.execute(
            sa.select(journal.c.body)
            .where(journal.c.kind == kind, journal.c.chain == f"{identity['gate']}/{epoch}")
            .order_by(journal.c.seq.desc())
            .limit(1)
        ).scalar()
        if found is not None:
            body: Mapping[str, Any] = json.loads(found)
            return body
    cut = newest_cut(session, identity["gate"])
    return None if cut is None else cut.state.get(kind)


def decision_entry(
    decision: Decision, gate: str, camera: str, site: str, visit_uid: str | None = None
) -> Entry:
    """A decision as an entry; whom it speaks of goes into the private parts.

    visit_uid: names the visit for rows that come later.
    """
    body = {
        "gate": gate,
        "camera": camera,
        "site": site,
        "outcome": str(decision.outcome),
        "status": "granted" if decision.granted else "denied",
        "reason": str(decision.reason),
        "method": str(decision.method),
        "factors": [str(factor) for factor in decision.factors],
        "rule": decision.rule or None,
        "direction": str(decision.direction),
        "confidence": _float(decision.confidence) or 0.0,
        "score": _float(decision.score),
        "threshold": _float(decision.threshold),
        "margin": _float(decision.margin),
        "frames": int(decision.frames),
        "pad": _float(decision.pad),
        "visit": int(decision.visit),
        "visit_uid": visit_uid,
        "flags": [*decision.flags],
        "flaws": [*decision.flaws],
        "sight_to_decision_ms": _milliseconds(decision.first_seen, decision.at.mono),
        "usable_to_decision_ms": _milliseconds(decision.usable_since, decision.at.mono),
    }
    private: dict[str, Mapping[str, Any]] = {}
    if (person := decision.person) is not None:
        private["subject"] = told_of(person)
    if decision.actor is not None:
        private["actor"] = {"name": decision.actor}
    return Entry(decision.at, "decision", body, private)


def told_of(person: PersonRef) -> dict[str, Any]:
    """The private part that says whom a row speaks of."""
    return {
        "person_id": person.id,
        "uid": person.uid,
        "personnel_code": person.personnel_code,
        "name": person.name,
    }


def _float(value: float | None) -> float | None:
    """A plain float that JSON has: the margin to nobody is infinite and told as null."""
    return None if value is None or not math.isfinite(value) else float(value)


def _milliseconds(since: float | None, now: float) -> float | None:
    return None if since is None else round((now - since) * 1000, 1)


def _without_erased(session: Session, entries: Sequence[Entry]) -> list[Entry]:
    """The entries, without subjects that were erased while the entry waited to be written."""
    ids = {_subject_id(e) for e in entries} - {None}
    if not ids:
        return list(entries)
    there = sa.select(persons.c.id).where(persons.c.id.in_(ids))
    known = set(session.execute(there.with_for_update(read=True, key_share=True)).scalars())
    return [
        e
        if (id_ := _subject_id(e)) is None or id_ in known
        else replace(
            e,
            body={**e.body, "subject_erased": True},
            private={role: p for role, p in e.private.items() if role != "subject"},
        )
        for e in entries
    ]


def _subject_id(entry: Entry) -> int | None:
    id_: int | None = entry.private.get("subject", {}).get("person_id")
    return id_


def ranges(numbers: Iterable[int]) -> Iterator[list[int]]:
    """Rising numbers as [first, last] ranges."""
    first = last = None
    for n in numbers:
        if first is None or last is None:
            first = last = n
        elif n == last + 1:
            last = n
        else:
            yield [first, last]
            first = last = n
    if first is not None and last is not None:
        yield [first, last]


def boot_id() -> str:
    """Names the boot of this machine, within which monotonic times can be compared."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(uuid.uuid4())


def _chunks(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for i in range(0, len(items), size):
        yield items[i : i + size]
