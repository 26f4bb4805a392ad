"""Operators of the hub who may work at a gate, on their way down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gated.services.sync.kind import Kind, Taking, Telling, Told
from gated.services.sync.operator_keys import DERIVATION
from gated.storage import changes, editors, mirror
from gated.storage.mirror import MirroredOperator


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


OPERATOR = Kind(changes.OPERATOR, _tell_operators, _read_operator, _put_operator, _drop_operator)
