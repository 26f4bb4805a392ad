"""Decisions of the hub on edits of a gate, on their way down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gated.core.values import moment
from gated.database import change_feed
from gated.fleet.gate import edge_edit_store, replica
from gated.fleet.hub import edit_store
from gated.fleet.wire.edits import CREATE
from gated.fleet.wire.kind import ApplyContext, FeedKind, OutboundPage
from gated.fleet.wire.states import EditState


def _collect(page: OutboundPage, uids: Sequence[str] | None) -> Mapping[str, EditState]:
    decided = edit_store.of_gate(page.session, page.gate.id, uids)
    return {
        uid: EditState.of(state=state, reason=reason) for uid, (state, reason) in decided.items()
    }


def _apply(page: ApplyContext, states: Mapping[str, EditState]) -> None:
    """Note the decisions; the person's state, which comes next, undoes what a refused edit did."""
    session, at = page.session, moment(page.now)
    for uid, decided in states.items():
        edit = edge_edit_store.decide(session, uid, decided.state, decided.reason, at)
        if edit is not None and edit.kind == CREATE and decided.state == edit_store.REFUSED:
            page.unneeded += replica.remove(session, edit.person)


def _keep(page: ApplyContext, uid: str) -> None:
    """Do nothing: a decision stays known where the edit was made."""


EDIT = FeedKind(change_feed.EDIT, EditState, _collect, _apply, _keep)
