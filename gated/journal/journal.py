"""The journal: an append-only, hash-chained log of everything that must not be lost or altered.

    journal          hash-chained rows without personal data; chain = gate uid / epoch
    journal_private  the personal part of a row, salted; the row commits to it
    journal_seal     signature of the last hash of each batch; the newest is copied to a head file
    attendance_logs  what follows from the rows, written in the same transaction

A chain begins with `chain_started`, which names the key that seals it and how the chain before it
ended. Rows are appended only to a chain whose last row this gate has sealed itself, according to
its memory, the head file and its key. Otherwise it begins a new chain (epoch) and raises an alarm:
the database was restored or truncated, or holds foreign rows. That is a failure until it is
acknowledged with a reason, and stays visible, as the new chain records the end of the old one. A
head file behind the database is normal: the power failed between the commit and its renewal. A
missing one is not, as a head of row 0 is written before the first row is committed.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
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
from gated.core.clock import CLOCK_UNSET
from gated.core.messages import Decision
from gated.core.values import Instant, PersonRef, Reason
from gated.database import change_feed, site_zones, stored_settings
from gated.database.engine import Database, after_commit, is_write_session
from gated.database.request_origin import current
from gated.database.rows import in_parts
from gated.database.tables import (
    attendance_logs,
    edge_edits,
    fleet_edits,
    journal,
    journal_private,
    journal_seal,
    new_uid,
    persons,
    sync_quarantine_private,
    utcnow,
)
from gated.errors import AlreadyDone, StorageError
from gated.journal import (
    alarm_store,
    erasure_ledger,
    key_rotation,
    notes,
    quarantine,
    site_presence_store,
)
from gated.journal.chain_tip import (
    Head,
    has_rows_after,
    holds,
    identity_of,
    keep_head,
    key_of,
    last_row,
    newest_epoch,
    read_head,
    sealed_with,
    was_replaced,
    write_head,
)
from gated.journal.erasure_ledger import ErasureLedger
from gated.journal.key_rotation import ROTATIONS, KeyEra, KeyRotation, eras, key_at, rotation_of
from gated.journal.kind_index import newest_of_kind
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
from gated.journal.marks import MARKS, read_marks, write_marks
from gated.journal.outbox import sealed_until
from gated.journal.proven import is_sealed, unbroken
from gated.journal.pruned_ranges import PRUNED, PrunedRange, own_chains, read
from gated.journal.site_presence_store import PassageChanges
from gated.vault.sealing import journal_key

if TYPE_CHECKING:
    from gated.journal.verify import IncrementalResult, JournalEvidence, Verification

log = logging.getLogger(__name__)

SALT = 32

PASSAGES = frozenset({"decision", "manual_punch"})
"""Kinds of rows that hold the time zone of the passage; a correction keeps that of its row."""

BROKEN = "journal_broken"
KEY_ROTATED = "key_rotated"

LOOK = 20_000
"""The most rows of one incremental verification, so that nobody waits for long."""

_TIP = "gated_journal_tip"
_WRITTEN = "gated_journal_written"

_NO_PRIVATE: Mapping[str, Mapping[str, Any]] = {}


@dataclass(frozen=True)
class Entry:
    """Something to append. body: no personal data; private: role (subject, actor) -> payload."""

    at: Instant
    kind: str
    body: Mapping[str, Any]
    private: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _NO_PRIVATE)

    def from_here(self) -> Entry:
        """Return the entry, its actor completed with the origin of the present request."""
        origin = current()
        if origin is None or "actor" not in self.private:
            return self
        actor = {**origin.as_dict(), **self.private["actor"]}
        return replace(self, private={**self.private, "actor": actor})


@dataclass(frozen=True, slots=True)
class Receipt:
    """The row of an appended entry, and the id of its row in the attendance log."""

    chain: str
    seq: int
    hash: str
    attendance_id: int | None = None


def _silent(done: int, total: int) -> None:
    """Ignore the progress."""


@dataclass(frozen=True, slots=True)
class GateLabel:
    """Names that a gate writes into its rows. timezone: of this machine; None: of its site."""

    name: str = "gate"
    site: str = "site"
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class LastRow:
    """The newest sealed row of a kind. Of a pruned one only the body is kept.

    boot, mono, utc: when it was written, on both clocks.
    """

    body: Mapping[str, Any]
    boot: str = ""
    mono: float = 0.0
    utc: float = 0.0


class Journal:
    """Appends to the newest chain of this gate, from any number of threads and processes.

    shared: other processes with keys of their own write journals into the same database, as those
    of one hub do; each has its own chains then. boot: by default the present boot.
    """

    def __init__(
        self,
        db: Database,
        signer: Ed25519PrivateKey,
        head_file: Path,
        gate: GateLabel | None = None,
        *,
        shared: bool = False,
        boot: str | None = None,
    ) -> None:
        gate = gate or GateLabel()
        self.db = db
        self.head_file = head_file
        self.ledger = ErasureLedger(head_file.with_name(erasure_ledger.NAME))
        self._gate_name = gate.name
        self._site = gate.site
        self._timezone = gate.timezone
        self.on_gone: Callable[[Sequence[str]], object] = lambda uids: None
        """Called with uids that were added to the erasure ledger."""
        self.on_append: Callable[[], None] = lambda: None
        """Called after each commit by this process, in the thread that made it; must be quick."""
        self.boot = boot or boot_id()
        """The boot, within which monotonic times of rows can be compared."""
        self._sealed: Head | None = None
        self._shared = shared
        self._use(signer)

    def append(self, entries: Sequence[Entry], session: Session | None = None) -> list[Receipt]:
        """Append a batch under one seal, durably on return, all or nothing.

        With a session of `Database.write` the batch belongs to that transaction. A private subject
        who was erased meanwhile (an unknown `person_id`) is left out. Raises: StorageError;
        Conflict for a second correction of the same row; ValueError and TypeError when a body or
        payload is no JSON.
        """
        if not entries:
            return []
        if session is None:
            with self.db.write() as own:
                return self._append(own, entries)
        if not is_write_session(session) or session.in_nested_transaction():
            # after the rollback of a savepoint the head would name rows that do not exist
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
        """Delete the private parts of rows of a chain, and record that in the journal."""
        wanted = sorted(set(seqs))
        private, projected = journal_private.c, attendance_logs.c
        for some in in_parts(wanted):
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
        """Redact all rows about the person with this uid; `persons.delete` may follow.

        The private part of a row whose note names the person is redacted, too: see `notes`. The
        erasure ledger has the uid once the session is committed.
        """
        self.keep_out(session, [uid])
        return self._erase(session, at, uid, reason)

    def erase_persons(
        self, session: Session, at: Instant, uids: Sequence[str], reason: str
    ) -> None:
        """Redact all rows about persons who were erased elsewhere, of whom few may be known here.

        Who was erased before and is not here again costs nothing: a hub names them each time.
        """
        here = _mentioned(session, uids)
        news = set(uids) - change_feed.erased(session, uids)
        self.keep_out(session, sorted(here | news))
        for uid in sorted(here):
            self._erase(session, at, uid, reason)
        change_feed.note_erasures(session, sorted(news - here))

    def _erase(self, session: Session, at: Instant, uid: str, reason: str) -> list[Receipt]:
        stored_settings.touch_gallery(session)  # the locks in their order: see `locks`
        stored_settings.lock_rules(session)
        change_feed.note_erasures(session, [uid])
        # waits for transactions that are inserting rows about this person
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
        if (naming := notes.naming_of(session, uid)) is not None:
            for chain, seq, role in list(notes.notes_about(session, naming)):
                parts.setdefault((chain, role), []).append(seq)
        return [
            self.redact(session, at, chain, seqs, reason, role)
            for (chain, role), seqs in parts.items()
        ]

    def keep_out(self, session: Session, uids: Sequence[str]) -> None:
        """Add uids to the erasure ledger once the session is committed."""
        if uids:
            after_commit(session, f"ledger {uids[0]}", lambda: self._keep_out(uids))

    def _keep_out(self, uids: Sequence[str]) -> None:
        self.ledger.add(uids)
        self.on_gone(uids)

    def start_new_chain(self, at: Instant, cause: str) -> Receipt:
        """Begin a new chain; its first row records the cause.

        Raises an alarm except for a rotation, and for a restore, which is acknowledged at once.
        """
        with self.db.write() as session:
            gate, epoch = self._identity(session, self._head())
            before = last_row(session, f"{gate}/{epoch}")
            broken = _Break(cause, gate, epoch, before)
            tip = self._start(session, at, broken)
            rows = [] if cause in (ROTATED, RESTORED) else [self._alarm(at, broken)]
            return self._write(session, rows, tip)

    def rotate(self, at: Instant, signer: Ed25519PrivateKey, actor: str, cause: str) -> Head:
        """Rotate the key: begin a new chain that another key seals, endorsed by the present one.

        Returns the end of that chain. One transaction: after a failure nothing has changed. Other
        open journals of the same gate must be reopened.
        """
        former = self._signer
        try:
            with self.db.write() as session:
                tip = self._rotated(session, at, signer, {"name": actor, "cause": cause})
                end, rotation = self._sign(tip), rotation_of(session, tip.chain)
                assert rotation is not None  # noqa: S101
                # stored before the commit: a rotation that is never committed is ignored
                key_rotation.keep(self.rotations, rotation.confirmed_by(signer))
        except BaseException:
            self._use(former)
            raise
        return end

    def _rotated(
        self, session: Session, at: Instant, signer: Ed25519PrivateKey, by: Mapping[str, Any]
    ) -> Head:
        tip, broken = self._tip(session, at)
        if broken is not None:
            self._write(session, [] if broken.cause == FIRST else [self._alarm(at, broken)], tip)
            tip = session.info[_TIP]
        former = self._signer
        self._use(signer)
        began = self._start(session, at, _Break(ROTATED, tip.gate, tip.epoch, tip), former)
        self._write(session, [Entry(at, KEY_ROTATED, {}, {"actor": by})], began)
        end: Head = session.info[_TIP]
        return end

    def _use(self, signer: Ed25519PrivateKey) -> None:
        """Use this key for seals from now on."""
        self._signer = signer
        self._eras: list[KeyEra] = []
        self.public_key = signer.public_key().public_bytes_raw().hex()
        self._identity_key = f"{IDENTITY}/{self.public_key[:16]}" if self._shared else IDENTITY

    def start_pending_chain(self, at: Instant) -> None:
        """Begin the new chain that the next row would begin, if any, without an alarm.

        For callers that acknowledge the cause at once.
        """
        with self.db.write() as session:
            tip, broken = self._tip(session, at)
            if broken is not None:
                self._write(session, [], tip)

    def gate_uid(self) -> str:
        """Return the uid with which all chains of this gate begin; create it at the first call."""
        head = self._head()
        if head is not None:
            return head.gate
        with self.db.read() as session:
            known = self.gate_uid_if_known(session)
        if known is not None:
            return known
        with self.db.write() as session:
            return self._identity(session, None)[0]

    def gate_uid_if_known(self, session: Session) -> str | None:
        """Return that uid, or None before it was created."""
        known = identity_of(session, self._identity_key)
        return str(known["gate"]) if known and "gate" in known else None

    def proves(self, session: Session, chain: str, seq: int) -> bool:
        """Return whether a row is unaltered and under a seal of this gate's own key."""
        if type(chain) is not str:  # SQLite stores any type in any column
            return False
        keys = {self.key_for(session, chain)}
        if self._shared:  # other processes have keys of their own
            keys.add(key_of(session, chain))
        return is_sealed(session, chain, seq, keys)

    def key_for(self, session: Session, chain: str) -> str:
        """Return the key of this gate (public, hex) that seals a chain: the one of its era."""
        if not self._eras:
            gate = self._known_gate(session)
            known = eras(session, gate, self.public_key, self.rotations) if gate else []
            self._eras = known or [KeyEra(0, self.public_key)]
        return key_at(self._eras, chain)

    @property
    def rotations(self) -> Path:
        """The file of the rotations of this gate's key."""
        return self.head_file.with_name(ROTATIONS)

    def sealed_ends(self, session: Session) -> dict[str, int]:
        """Return the chains of this gate, each with the number of its last sealed row."""
        gate = self._known_gate(session)
        chains = own_chains(session, gate) if gate is not None else []
        return {c: sealed_until(session, c, self.key_for(session, c)) for c in chains}

    def _known_gate(self, session: Session) -> str | None:
        head = self._head()
        return head.gate if head is not None else self.gate_uid_if_known(session)

    def last_body(self, session: Session, kind: str) -> Mapping[str, Any] | None:
        """Return the body of this gate's newest sealed row of a kind, also a pruned one; None
        without one."""
        found = self.last_sealed(session, kind)
        return None if found is None else found.body

    def last_sealed(self, session: Session, kind: str) -> LastRow | None:
        """Return this gate's newest sealed row of a kind, also a pruned one; None without one."""
        gate = self._known_gate(session)
        if gate is None:
            return None
        if (found := self._newest(session, gate, kind)) is not None:
            chain, seq, body = found
            where = journal.c.chain == chain, journal.c.seq == seq
            columns = journal.c.boot_id, journal.c.mono_ns, journal.c.at_utc
            boot, mono_ns, at_utc = session.execute(sa.select(*columns).where(*where)).one()
            return LastRow(json.loads(body), boot, mono_ns / 1e9, at_utc / 1e6)
        record = self._newest(session, gate, PRUNED)
        pruned = read(PrunedRange, record[2]) if record is not None else None
        kept = None if pruned is None else pruned.state.get(kind)
        return None if kept is None else LastRow(kept)

    def is_newest(self, session: Session, kind: str) -> bool:
        """Return whether no row can be missing after the newest one of a kind, or since the
        beginning.

        Checks that all rows up to the end in the head file exist, and that the newest `LOOK` of
        them follow from each other by their hashes.
        """
        gate, head = self._known_gate(session), self._head()
        if gate is None or head is None:
            # nothing is missing of a gate that has written nothing yet, whether it has a uid or not
            unwritten = not self.head_file.exists() and not newest_epoch(session, gate or "")
            return head is None and (gate is None or unwritten)
        found = self._newest(session, gate, kind)
        chains = own_chains(session, gate)
        first = chains.index(found[0]) if found is not None else 0
        left = LOOK
        for chain in reversed(chains[first:]):
            start = found[1] if found is not None and found[0] == chain else 0
            least = head.seq if chain == head.chain else 0
            walked = unbroken(session, chain, start, least, self.key_for(session, chain), left)
            if walked is None:
                return False
            left -= min(walked, left)
        return True

    def _newest(self, session: Session, gate: str, kind: str) -> tuple[str, int, str] | None:
        for chain in reversed(own_chains(session, gate)):
            found = newest_of_kind(session, chain, kind)
            while found is not None:
                seq, body = found
                if self.proves(session, chain, seq):
                    return chain, seq, body
                found = newest_of_kind(session, chain, kind, before=seq)
        return None

    def renew_head(self) -> None:
        """Bring the head file up to the database, where a power cut prevented its renewal.

        Until then rows after the end in the head file could be cut off unnoticed.
        """
        head = self._head()
        if head is None:
            return
        with self.db.read() as session:
            chains = own_chains(session, head.gate)
            tip = last_row(session, chains[-1]) if chains else None
            if tip is None or tip.place <= head.place:
                return
            if self._break_cause(session, head.gate, tip, head):
                return
        write_head(self.head_file, self._sign(tip), self.public_key)

    def is_behind(self) -> bool:
        """Return whether the row in the head file is missing: an older database was restored."""
        head = self._head()
        if head is None or not head.seq:
            return False
        with self.db.read() as session:
            return not holds(session, head)

    def verify(self, progress: Progress = _silent, *, closely: bool = False) -> Verification:
        """Check chains, seals, head file, private parts and attendance log, in bounded memory.

        closely: check every row in full, and every signature; it takes long.
        """
        from gated.journal.verify import verify

        return verify(self.evidence(), progress, closely=closely)

    def look(self, limit: int = LOOK, *, keep: bool = True) -> IncrementalResult:
        """Verify incrementally: the ends of all chains, and rows since the last mark, `limit` at
        most.

        keep: move the mark to the last row that was found right, and sign it; else nothing is
        written.
        """
        from gated.journal.verify import VerificationBounds, look

        place = self.head_file.with_name(MARKS)
        since = read_marks(place, self.public_key)
        looked = look(self.evidence(), _silent, VerificationBounds(since, limit))
        if keep and dict(looked.marks) != since:
            write_marks(place, looked.marks, self._signer)
        return looked

    def evidence(self) -> JournalEvidence:
        """Return the evidence on which `verify` relies."""
        from gated.journal.verify import JournalEvidence

        return JournalEvidence(
            self.db,
            self.head_file,
            self.public_key,
            self.ledger,
            self.rotations,
            self._identity_key,
            self._shared,
        )

    def acknowledge(self, at: Instant, actor: str, cause: str) -> Verification:
        """Record that an administrator acknowledges all present problems; return them.

        An acknowledged problem is no failure any more as long as its rows do not change. Raises:
        Conflict when nothing is wrong.
        """
        from gated.journal.verify import acknowledgement

        self.start_pending_chain(at)
        found = self.verify()
        if found.ok:
            raise AlreadyDone("nothing is wrong with the journal: there is nothing to acknowledge")
        with self.db.write() as session:
            body = acknowledgement(session, found)
            by = {"actor": {"name": actor, "cause": cause}}
            (receipt,) = self.append([Entry(at, ACKNOWLEDGED, body, by)], session)
            standing = alarm_store.standing(session, BROKEN)
            if standing is not None:
                when = datetime.fromtimestamp(at.utc, UTC)
                alarm_store.acknowledge(session, standing, when, receipt.chain, receipt.seq)
        return found

    # --- appending ---

    def _append(self, session: Session, entries: Sequence[Entry]) -> list[Receipt]:
        tip, broken = self._tip(session, entries[0].at)
        if broken is not None and broken.cause != FIRST:
            self._write(session, [self._alarm(entries[0].at, broken)], tip)
            tip = session.info[_TIP]
        self._write(session, entries, tip)
        receipts: list[Receipt] = session.info[_WRITTEN]
        return receipts

    def _write(self, session: Session, entries: Sequence[Entry], tip: Head) -> Receipt:
        """Append rows after `tip` and seal them; return the receipt of the last one."""
        entries = [e.from_here() for e in _without_erased(session, entries)]
        written = _Batch(tip.chain, self.boot)
        for entry in self._placed(session, entries):
            tip = written.add(entry, tip)
        ids = written.insert(session) if written.rows else {}
        self._seal(session, tip)
        site_presence_store.apply_changes(session, self._site, written.passed)
        session.info[_TIP] = tip
        session.info[_WRITTEN] = [
            Receipt(tip.chain, r["seq"], r["hash"], ids.get(r["seq"])) for r in written.rows
        ]
        return Receipt(tip.chain, tip.seq, tip.hash)

    def _placed(self, session: Session, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return the entries, with the time zone of passages."""
        if not any(e.kind in PASSAGES and "timezone" not in e.body for e in entries):
            return entries
        timezone = self._timezone or site_zones.timezone_at(session, self._site)
        if timezone is None:
            return entries
        return [
            replace(e, body={"timezone": timezone, **e.body}) if e.kind in PASSAGES else e
            for e in entries
        ]

    def _tip(self, session: Session, at: Instant) -> tuple[Head, _Break | None]:
        """Return the end of the chain to append to, and why a new chain was begun, if one was."""
        known: Head | None = session.info.get(_TIP)
        if known is not None:
            return known, None
        gate, epoch = self._identity(session, self._head())
        head = self._head()  # read again under the lock: its last holder may have written one
        tip = last_row(session, f"{gate}/{epoch}")
        cause = self._break_cause(session, gate, tip, head)
        if not cause and tip is not None:
            return tip, None
        before = head if head is not None and head.seq else tip
        if head is not None:
            # a restored database may have fewer epochs than there were
            gate, epoch = head.gate, max(epoch, head.epoch) if head.gate == gate else head.epoch
        broken = _Break(cause, gate, epoch, before)
        return self._start(session, at, broken), broken

    def _break_cause(self, session: Session, gate: str, tip: Head | None, head: Head | None) -> str:
        """Return why nothing may be appended to the chain; empty when it may.

        Rows are appended only after a row that this gate has sealed. What the database says, the
        key of a chain included, never outweighs the head.
        """
        if head is None:
            return self._without_head(session, gate, tip)
        if head.gate != gate:
            return FOREIGN
        if tip is None:
            return FIRST if head.seq == 0 and not newest_epoch(session, gate) else "lost"
        there = holds(session, head) or was_replaced(session, tip, head)
        if not there or head.place > tip.place:
            return "behind_head"
        if tip.hash != head.hash and not sealed_with(session, tip, self.public_key):
            return self._not_ours(session, tip)
        return "unsealed" if has_rows_after(session, tip) else ""

    def _without_head(self, session: Session, gate: str, tip: Head | None) -> str:
        if tip is None and not newest_epoch(session, gate):
            # a head file that is not ours is that of a lost key, or forged
            return FIRST if not self.head_file.exists() else "head_missing"
        if tip is not None and sealed_with(session, tip, self.public_key):
            return "head_missing"
        return "lost" if tip is None else self._not_ours(session, tip)

    def _not_ours(self, session: Session, tip: Head) -> str:
        rotation = rotation_of(session, tip.chain)
        ours = rotation is not None and rotation.previous_key == self.public_key
        if rotation is not None and ours and rotation.is_agreed:
            in_file = journal_key(self.head_file.parent)
            if in_file is not None and in_file.public_bytes_raw().hex() != self.public_key:
                raise StorageError(
                    "the journal's key was rotated meanwhile: start this program anew"
                )
        return "unsealed" if key_of(session, tip.chain) == self.public_key else "new_key"

    def _head(self) -> Head | None:
        """Return the newest seal that this process knows: that of the head file, or its own last
        one."""
        head, own = read_head(self.head_file), self._sealed
        if head is not None and not head.is_signed_by(self.public_key):
            head = None
        if own is None or (head is not None and head.gate == own.gate and head.place > own.place):
            return head
        return own

    def _identity(self, session: Session, head: Head | None) -> tuple[str, int]:
        """Return gate uid and epoch, locked until the transaction ends."""
        gate, epoch = (head.gate, head.epoch) if head else (new_uid(), 1)
        new = {"gate": gate, "epoch": epoch}
        stored_settings.create(session, self._identity_key, new)
        try:
            value = stored_settings.get_locked(session, self._identity_key)
            return str(value["gate"]), int(value["epoch"])
        except (KeyError, TypeError, ValueError):
            stored_settings.set_(session, self._identity_key, new)
            return gate, epoch

    def _start(
        self,
        session: Session,
        at: Instant,
        broken: _Break,
        former: Ed25519PrivateKey | None = None,
    ) -> Head:
        """Begin a chain with a row that records the cause, and the end of the chain before it.

        former: the key that endorses the present one.
        """
        gate, epoch, cause = broken.gate, broken.epoch, broken.cause
        if cause != FIRST:
            if cause not in (ROTATED, RESTORED):
                log.error("the journal begins a new chain (%s): see `gated journal verify`", cause)
            # above all epochs in the database, which may be older or hold foreign rows
            epoch = max(epoch, newest_epoch(session, gate)) + 1
            stored_settings.set_(session, self._identity_key, {"gate": gate, "epoch": epoch})
            keep_head(self.head_file, epoch)
        body = {
            "gate": gate,
            "gate_name": self._gate_name,
            "epoch": epoch,
            "public_key": self.public_key,
            "cause": cause,
            "previous": broken.before and broken.before.as_dict(),
        }
        if rotations := key_rotation.newest_rotations(self.rotations, gate):
            # the chains with these rotations may be lost before a hub has received them
            body["rotations"] = rotations
        nothing = self._sign(Head(f"{gate}/{epoch}", 0, GENESIS))
        if former is not None:  # the head file keeps the former head until the commit
            body |= _agreement(nothing.chain, former, self.public_key)
        elif cause == FIRST or self._head() is None:
            write_head(self.head_file, nothing)
        first = _Batch(nothing.chain, self.boot)
        tip = first.add(Entry(at, "chain_started", body), nothing)
        first.insert(session)
        return tip

    def _alarm(self, at: Instant, broken: _Break) -> Entry:
        """Return the entry of the alarm that the chain before could not be continued."""
        before = broken.before
        where = {"chain": before.chain, "row": before.seq + 1} if before else {}
        body = {"gate": self._gate_name, "cause": broken.cause, **where, "severity": "alarm"}
        return Entry(at, BROKEN, body)

    def _seal(self, session: Session, tip: Head) -> None:
        sealed = self._sign(tip)
        values = {**sealed.as_dict(), "signature": sealed.signature}
        session.execute(sa.insert(journal_seal).values(values))
        after_commit(session, f"head {self.head_file}", lambda: self._committed(sealed))

    def _sign(self, tip: Head) -> Head:
        return replace(tip, signature=self._signer.sign(tip.message()).hex())

    def _committed(self, sealed: Head) -> None:
        self._sealed = sealed
        write_head(self.head_file, sealed, self.public_key)
        self.on_append()


@dataclass(frozen=True, slots=True)
class _Break:
    """The cause for which a chain cannot be continued, its gate and epoch, and our last row."""

    cause: str
    gate: str
    epoch: int
    before: Head | None


class _Batch:
    """Collects rows of one chain, and inserts them with all that follows from them."""

    def __init__(self, chain: str, boot: str) -> None:
        self._chain = chain
        self._boot = boot
        self.rows: list[dict[str, Any]] = []
        self.passed = PassageChanges()
        self._private: list[dict[str, Any]] = []
        self._attendance: list[dict[str, Any]] = []
        self._superseded: dict[int, tuple[str, int]] = {}
        self._unused: dict[int, str] = {}
        self._alarms: list[dict[str, Any]] = []

    def add(self, entry: Entry, tip: Head) -> Head:
        """Add the row that follows `tip`; return the new tip."""
        seq = tip.seq + 1
        salts = {role: secrets.token_hex(SALT) for role in entry.private}
        commits = {role: commitment(salts[role], p) for role, p in entry.private.items()}
        fields = {
            "chain": self._chain,
            "seq": seq,
            "at_utc": round(entry.at.utc * 1e6),
            "boot_id": self._boot,
            "mono_ns": round(entry.at.mono * 1e9),
            "clock_ok": entry.at.sure,
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
        # from the stored form, as in verification, not from the arguments
        self._follow({**fields, "body": json.loads(body), "hash": hash_}, entry.private)
        return Head(self._chain, seq, hash_)

    def _follow(self, row: dict[str, Any], private: Mapping[str, Mapping[str, Any]]) -> None:
        """Collect what follows from a row: attendance, forgiving, corrections, alarms."""
        if projected := project(row, private):
            self._attendance.append(projected)
        self.passed.forgive(row, private)
        if old := superseded(row):
            self._superseded[row["seq"]] = old
        if visit := unused(row):
            self._unused[row["seq"]] = visit
        if row["body"].get("severity") in alarm_store.STANDING:
            self._alarms.append(row)

    def insert(self, session: Session) -> dict[int, int]:
        """Insert everything; return seq -> id of the attendance rows."""
        session.execute(sa.insert(journal), self.rows)
        if self._private:
            session.execute(sa.insert(journal_private), self._private)
        ids = self._insert_attendance(session)
        for seq, visit in self._unused.items():
            self.passed.people |= mark_unused(session, self._chain, seq, visit)
        for row in self._alarms:
            alarm_store.raise_(session, row)
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
    """Mark a row of the attendance log as superseded; return its person's id, if any.

    Raises: Conflict when it was superseded already.
    """
    old = attendance_logs.c
    found = session.execute(
        sa.update(attendance_logs)
        .where(old.chain == chain, old.seq == seq, old.superseded_by.is_(None), old.id != by)
        .values(superseded_by=by)
        .returning(old.person_id)
    ).first()
    if found is None:
        raise AlreadyDone(f"row {seq} of {chain} is not there any more, or was corrected already")
    return {found.person_id} - {None}


def mark_unused(session: Session, chain: str, seq: int, visit_uid: str) -> set[int]:
    """Mark the grant of this visit, some rows before, as not used; return its person's id, if
    any."""
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


def _agreement(chain: str, former: Ed25519PrivateKey, public_key: str) -> dict[str, str]:
    """Return the fields of a rotation in the first row of a chain, signed by the former key."""
    before = former.public_key().public_bytes_raw().hex()
    rotation = KeyRotation(chain, before, public_key).agreed_by(former)
    return {"previous_key": rotation.previous_key, "agreed": rotation.agreed}


def decision_entry(
    decision: Decision, gate: str, camera: str, site: str, visit_uid: str | None = None
) -> Entry:
    """Return a decision as an entry; person and operator go into the private parts.

    visit_uid: identifies the visit in later rows.
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
        "flags": [*decision.flags, *(() if decision.at.sure else (CLOCK_UNSET,))],
        "flaws": [*decision.flaws],
        "sight_to_decision_ms": _milliseconds(decision.first_seen, decision.at.mono),
        "usable_to_decision_ms": _milliseconds(decision.usable_since, decision.at.mono),
    }
    private: dict[str, Mapping[str, Any]] = {}
    if (person := decision.person) is not None:
        private["subject"] = subject_of(person)
    if decision.actor is not None:
        private["actor"] = {"name": decision.actor}
    return Entry(decision.at, "decision", body, private)


def subject_of(person: PersonRef) -> dict[str, Any]:
    """Return the private part of a row about a person."""
    return {
        "person_id": person.id,
        "uid": person.uid,
        "personnel_code": person.personnel_code,
        "name": person.name,
    }


def _float(value: float | None) -> float | None:
    """Return a float that JSON can hold; None for the infinite margin of a lone candidate."""
    return None if value is None or not math.isfinite(value) else float(value)


def _milliseconds(since: float | None, now: float) -> float | None:
    return None if since is None else round((now - since) * 1000, 1)


def _mentioned(session: Session, uids: Sequence[str]) -> set[str]:
    """Return those of these persons of whom anything is left here."""
    columns = (
        *(persons.c.uid, journal_private.c.uid, sync_quarantine_private.c.uid),
        *(edge_edits.c.person, fleet_edits.c.person),
    )
    found: set[str] = set()
    for some in in_parts(uids):
        for column in columns:
            there = sa.select(column).where(column.in_(some)).distinct()
            found |= set(session.execute(there).scalars())
    return found


def _without_erased(session: Session, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries, without subjects that were erased while the entry waited to be
    written."""
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
    """Yield rising numbers as [first, last] ranges."""
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
    """Return the id of this boot, within which monotonic times can be compared."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(uuid.uuid4())
