"""Operators of the hub who may work at a gate, on their way down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gated.accounts.operator_keys import DERIVATION
from gated.database import change_feed, editor_store
from gated.fleet.gate import replica
from gated.fleet.wire.kind import ApplyContext, FeedKind, OutboundPage
from gated.fleet.wire.states import OperatorState


def _collect(page: OutboundPage, uids: Sequence[str] | None) -> Mapping[str, OperatorState]:
    return {
        e.uid: OperatorState.of(
            username=e.username,
            derivation=DERIVATION,
            salt=e.salt,
            public_key=e.public_key,
            everyone=e.everyone,
            at_once=page.gate.edits == editor_store.AT_ONCE,
            groups=dict(e.groups),
        )
        for e in editor_store.of_gate(page.session, page.gate, uids)
    }


def _apply(page: ApplyContext, states: Mapping[str, OperatorState]) -> None:
    for uid, state in states.items():
        replica.put_operator(page.session, uid, state, page.snapshot)


def _drop(page: ApplyContext, uid: str) -> None:
    replica.drop_operator(page.session, uid)


OPERATOR = FeedKind(change_feed.OPERATOR, OperatorState, _collect, _apply, _drop)
