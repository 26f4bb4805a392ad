"""The kinds of things that travel down, besides persons: what the hub tells of each, and what a
gate makes of it.

A kind is small: all of it fits into the first page of a snapshot. Things that speak of others name
them by uid, and what is spoken of stands before in `KINDS`; a gate may still hear of it later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from gated.core.model import Instant
from gated.services.sync.operator_keys import DERIVATION
from gated.services.workspace import Workspace
from gated.storage import carried, changes, editors, mirror
from gated.storage.gates import GateRow
from gated.storage.mirror import MirroredOperator

Told = Mapping[str, Any]
"""The state of one thing, as JSON."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One page for one gate, on its way out of the hub."""

    workspace: Workspace
    session: Session
    gate: GateRow


@dataclass(slots=True)
class Taking:
    """One page on its way into a gate, in one transaction.

    snapshot: number of the present or last one. unneeded: files to remove after the commit.
    """

    workspace: Workspace
    session: Session
    now: Instant
    snapshot: int
    unneeded: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing.

    tell: on the hub, uid -> state of those of the named things (None: of all) that a gate is given;
    what it leaves out is gone for this gate. read: on the gate, a state that was told as `put`
    wants it; ValueError, KeyError, TypeError or AttributeError for one that makes no sense. put,
    drop: on the gate, let a thing be as told, or go; only what the hub gave is ever dropped.
    """

    name: str
    tell: Callable[[Telling, Sequence[str] | None], Mapping[str, Told]]
    read: Callable[[Told], Any]
    put: Callable[[Taking, str, Any], None]
    drop: Callable[[Taking, str], None]


# --- groups -------------------------------------------------------------------------------------


def _tell_groups(telling: Telling, uids: Sequence[str] | None) -> Mapping[str, Told]:
    found = carried.groups_of(telling.session, telling.gate, uids)
    return {uid: {"name": name} for uid, name in found.items()}


def _read_group(told: Told) -> str:
    return str(told["name"])


def _put_group(taking: Taking, uid: str, name: str) -> None:
    mirror.put_group(taking.session, uid, name, taking.snapshot)


def _drop_group(taking: Taking, uid: str) -> None:
    mirror.drop_group(taking.session, uid)


# --- operators ----------------------------------------------------------------------------------


def _tell_operators(telling: Telling, uids: Sequence[str] | None) -> Mapping[str, Told]:
    gate = telling.gate
    return {
        e.uid: {
            "username": e.username,
            "derivation": DERIVATION,
            "salt": e.salt,
            "public_key": e.public_key,
            "everyone": e.everyone,
            "at_once": gate.edits == editors.AT_ONCE,
            "groups": dict(e.groups),
        }
        for e in editors.of_gate(telling.session, gate, uids)
    }


def _read_operator(told: Told) -> dict[str, Any]:
    if told["derivation"] != DERIVATION:
        raise ValueError("a key of a kind that this version does not know")
    bytes.fromhex(told["salt"] + told["public_key"])
    return {
        **{name: str(told[name]) for name in ("username", "salt", "public_key")},
        **{name: bool(told[name]) for name in ("everyone", "at_once")},
        "groups": {str(uid): str(name) for uid, name in told["groups"].items()},
    }


def _put_operator(taking: Taking, uid: str, told: dict[str, Any]) -> None:
    mirror.put_operator(taking.session, MirroredOperator(uid, **told), taking.snapshot)


def _drop_operator(taking: Taking, uid: str) -> None:
    mirror.drop_operator(taking.session, uid)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(changes.GROUP, _tell_groups, _read_group, _put_group, _drop_group),
        Kind(changes.OPERATOR, _tell_operators, _read_operator, _put_operator, _drop_operator),
    )
}
"""By name, in the order in which a snapshot tells of them; they are dropped the other way round."""
