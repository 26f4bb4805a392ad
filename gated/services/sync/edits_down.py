"""What travels down of edits: what the hub has decided on those of a gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gated.services.obligations import moment
from gated.services.sync.edits import CREATE
from gated.services.sync.kind import Kind, Taking, Telling, Told
from gated.storage import changes, edge_edits, fleet_edits, mirror


def _tell_edits(telling: Telling, uids: Sequence[str] | None) -> Mapping[str, Told]:
    decided = fleet_edits.of_gate(telling.session, telling.gate.id, uids)
    return {uid: {"state": state, "reason": reason} for uid, (state, reason) in decided.items()}


def _read_edit(told: Told) -> tuple[str, str | None]:
    if told["state"] not in (fleet_edits.ACCEPTED, fleet_edits.REFUSED):
        raise ValueError("a verdict that this version does not know")
    return told["state"], None if told["reason"] is None else str(told["reason"])


def _put_edit(taking: Taking, uid: str, verdict: tuple[str, str | None]) -> None:
    """What a refused edit did here is undone by what the hub tells next of the person."""
    state, reason = verdict
    session, at = taking.session, moment(taking.now)
    edit = edge_edits.decide(session, uid, state, reason, at)
    if edit is not None and edit.kind == CREATE and state == fleet_edits.REFUSED:
        taking.unneeded += mirror.let_go(session, edit.person)


def _keep_edit(taking: Taking, uid: str) -> None:
    """What became of an edit stays known where it was made."""


EDIT = Kind(changes.EDIT, _tell_edits, _read_edit, _put_edit, _keep_edit)
