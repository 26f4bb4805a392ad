"""Finds the gate that has made a row of the log: its uid, which stays, and its name of today.

A row has the name that the gate had then. Whose journal it is from says which gate that was: one
that sent it to this hub, or this machine. What stands in the place of a row by a correction is of
the gate of that row, whoever corrected it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.text import code_key
from gated.database import stored_settings
from gated.database.hub_ownership import MEMBERSHIP
from gated.database.rows import in_parts
from gated.database.tables import attendance_logs as log
from gated.database.tables import gates, sync_chains
from gated.journal.pruned_ranges import split
from gated.workspace import Workspace

CORRECTED = "corrected"
"""The reason of a row that somebody put in the place of another one."""


FEW_ROWS = 5_000
"""So many rows of a gate are gathered and sorted; of more the newest rows of all are gone
through."""


@dataclass(frozen=True, slots=True)
class NamedGate:
    """A gate by its uid, and its present name; None where that is not known."""

    uid: str
    name: str | None

    def now(self, then: str) -> str | None:
        """The present name where it is another one than `then`."""
        return None if self.name == then else self.name


RowPlace = tuple[int, str, str]
"""id, chain and reason of a row."""


class GateNames:
    """The gates of rows, looked up for many rows at a time and kept for the next ones."""

    def __init__(self, workspace: Workspace, session: Session) -> None:
        self._here = own_gate(workspace, session)
        self._device = workspace.journal.gate_uid_if_known(session)
        self._chains: dict[str, NamedGate] = {}

    def of(self, session: Session, rows: Iterable[RowPlace]) -> dict[int, NamedGate | None]:
        """id -> gate of each row; None where the row that was corrected is gone."""
        rows = list(rows)
        origin: dict[int, str | None] = {id_: chain for id_, chain, _ in rows}
        corrected = [id_ for id_, _, reason in rows if reason == CORRECTED]
        if corrected:
            origin |= dict.fromkeys(corrected)
            for some in in_parts(corrected):
                origin |= _origins(session, some)
        self._learn(session, {chain for chain in origin.values() if chain is not None})
        return {id_: None if c is None else self._chains[c] for id_, c in origin.items()}

    def _learn(self, session: Session, chains: set[str]) -> None:
        new = chains - self._chains.keys()
        if not new:
            return
        found = sa.select(sync_chains.c.chain, gates.c.uid, gates.c.name).join(
            gates, gates.c.id == sync_chains.c.gate_id
        )
        for chain, uid, name in session.execute(found.where(sync_chains.c.chain.in_(new))):
            self._chains[chain] = NamedGate(uid, name)
        for chain in new - self._chains.keys():
            device = split(chain)[0]
            self._chains[chain] = self._here if device == self._device else NamedGate(device, None)


def own_gate(workspace: Workspace, session: Session) -> NamedGate:
    """This machine: under the uid that its hub has given to it, else that of its journal."""
    uid = workspace.journal.gate_uid_if_known(session) or ""
    stored = stored_settings.get(session, MEMBERSHIP)
    if stored is not None:
        plain = workspace.keys.sealer.unseal(base64.b64decode(stored), MEMBERSHIP)
        uid = str(json.loads(plain)["gate"])
    return NamedGate(uid, workspace.settings.gate.name)


def _origins(session: Session, ids: Iterable[int]) -> dict[int, str]:
    """id of a corrected row -> chain of the row that stood in its place first."""
    line = sa.select(log.c.id.label("id"), log.c.id.label("before")).where(log.c.id.in_(ids))
    before = line.cte("before", recursive=True)
    older = sa.select(before.c.id, log.c.id).join(log, log.c.superseded_by == before.c.before)
    before = before.union(older)  # and not all: a ring, which only tampering makes, ends
    found = sa.select(before.c.id, log.c.chain).join(log, log.c.id == before.c.before)
    return dict(session.execute(found.where(log.c.reason != CORRECTED)).all())


def made_by(
    session: Session, gate: str, here: NamedGate, few: int = FEW_ROWS
) -> sa.ColumnElement[bool]:
    """The condition for rows of a gate by its uid, its present name or the name it had then."""
    key, g = code_key(gate), gates.c
    sent = sa.select(sync_chains.c.chain)
    same = sent.join(gates, g.id == sync_chains.c.gate_id)
    chains = session.execute(same.where((g.uid == gate) | (g.name_key == key))).scalars().all()
    is_here = gate == here.uid or key == code_key(here.name or "")
    if not is_here and not chains:
        return log.c.gate_name == gate
    rows = sa.select(log.c.id).where(log.c.chain.in_(chains))
    corrected = sa.select(_corrections(chains))
    if not is_here and len(session.execute(rows.limit(few + 1)).all()) <= few:
        return sa.or_(log.c.id.in_(rows), log.c.id.in_(corrected), log.c.gate_name == gate)
    # the newest rows of all are gone through: many of them are of this gate
    found = [log.c.gate_name.concat("") == gate]
    if chains:
        found += [log.c.chain.concat("").in_(chains), (log.c.id + 0).in_(corrected)]
    if is_here:
        others = sa.select(_corrections(sent))
        found.append(sa.and_(log.c.chain.concat("").not_in(sent), (log.c.id + 0).not_in(others)))
    return sa.or_(*found)


def _corrections(chains: Sequence[str] | sa.Select[tuple[str]]) -> sa.ColumnElement[int]:
    """The ids of rows in the place of rows of these chains."""
    later = log.c.superseded_by
    first = sa.select(later.label("id")).where(later.is_not(None), log.c.chain.in_(chains))
    line = first.cte(recursive=True)
    next_ = sa.select(later).join(line, log.c.id == line.c.id).where(later.is_not(None))
    return line.union(next_).c.id
