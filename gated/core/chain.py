"""Computes the journal: canonical JSON, commitments, the hash chain, the projection.

    hash = SHA-256(prev || canonical(the other fields))        prev and hash are lower-case hex
    commits[role] = SHA-256(salt || canonical(payload))        salt is hex of fixed length

A row carries no personal data, only commitments to it, so that personal data can be erased and the
chain still verifies. `project` computes the attendance row of a journal row. Appending and
verifying both use it, so a manipulated attendance log is detected.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_spelled = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_TEXTS = frozenset({"body", "commits"})

_VARIANT = {f"{i:x}": f"{i & 0x3 | 0x8:x}" for i in range(16)}

GENESIS = "0" * 64
"""`prev` of the first row of a chain."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FIRST_US, LAST_US = (
    (datetime(year, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) for year in (2, 9999)
)
"""Times that the calendar has in every time zone."""

UNUSED_REACH = 4096
"""A grant is at most this many rows before the row that marks it as not used."""

PROJECTED = frozenset({"decision", "corrected", "manual_punch"})
"""Kinds of rows that have a row in the attendance log."""


def canonical(value: Any) -> bytes:
    """Encode JSON as ASCII bytes, uniquely per value: sorted keys, no spaces, floats by repr.

    Raises: ValueError for NaN and infinities, TypeError for keys that are no strings and for
    unknown types.
    """
    _require_string_keys(value)
    return _spelled(value).encode("ascii")


def read_canonical(text: str) -> dict[str, Any]:
    """Decode a canonical text. Raises: ValueError for text that `canonical` never makes."""
    value = json.loads(text)
    if not isinstance(value, dict) or _spelled(value) != text:
        raise ValueError("no canonical JSON")
    return value


def _require_string_keys(value: Any) -> None:
    # json.dumps would turn the keys 1 and "1" into the same text
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{key!r} is no text and cannot be a key")
            _require_string_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _require_string_keys(item)


def commitment(salt: str, payload: Mapping[str, Any]) -> str:
    """Return SHA-256 of salt and payload, hex: binds a row to personal data but hides it."""
    return hashlib.sha256(salt.encode("ascii") + canonical(payload)).hexdigest()


def row_hash(prev: str, fields: Mapping[str, Any]) -> str:
    """Return the hash of a row, hex, from the hash before it and all its other fields."""
    return hashlib.sha256(prev.encode("ascii") + canonical(fields)).hexdigest()


def stored_row_hash(prev: str, row: Mapping[str, str | int]) -> str:
    """Return `row_hash` of a stored row, whose `body` and `commits` are canonical texts.

    Canonical texts are inserted as they are: no decoding and encoding.
    """
    parts = ",".join(
        f'"{name}":{row[name] if name in _TEXTS else _spelled(row[name])}' for name in sorted(row)
    )
    return hashlib.sha256(f"{prev}{{{parts}}}".encode("ascii")).hexdigest()


def uuid7(unix_ms: int, entropy: bytes) -> str:
    """Return a UUID of version 7 (RFC 9562, 5.7) from milliseconds since 1970 and 10 bytes of
    entropy."""
    bits = (unix_ms & (1 << 48) - 1) << 80 | int.from_bytes(entropy[:10], "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    h = f"{bits:032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def row_uid(at_us: int, hash_: str) -> str:
    """Return the uid of a row's attendance row: `uuid7` of time and hash, in one format step."""
    ms = at_us // 1000 & (1 << 48) - 1
    variant = _VARIANT[hash_[4]]
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{hash_[1:4]}-{variant}{hash_[5:8]}-{hash_[8:20]}"


def utc(microseconds: int) -> datetime:
    """Return the aware UTC datetime of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def utc_or(value: Any, otherwise: int) -> datetime:
    """Return `utc` of a value that may be anything; of the other one where it is no time."""
    is_time = isinstance(value, int) and FIRST_US <= value <= LAST_US
    return utc(value if is_time else otherwise)


def microseconds(at: datetime) -> int:
    """Return the microseconds from 1970 to an aware datetime."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def project(
    row: Mapping[str, Any], private: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return the attendance columns that follow from a journal row; None when it makes no log row.

    row: fields of the journal with `body` as a mapping, and `hash`. private: payload by role; a
    redacted row has none and names nobody. `id` and `recorded_at` are local and not projected;
    `superseded_by` follows from a later row: see `superseded`.
    """
    if row["kind"] not in PROJECTED:
        return None
    body = row["body"]
    at_us = row["at_utc"]
    return {
        "uid": uuid7(at_us // 1000, bytes.fromhex(row["hash"])),
        "chain": row["chain"],
        "seq": row["seq"],
        "person_id": private.get("subject", {}).get("person_id"),
        "gate_name": body["gate"],
        "camera_name": body["camera"],
        "site": body["site"],
        "direction": body["direction"],
        "status": body["status"],
        "reason": body["reason"],
        "method": body["method"],
        "rule": body.get("rule"),
        "confidence_score": body["confidence"],
        "score": body.get("score"),
        "threshold": body.get("threshold"),
        "margin": body.get("margin"),
        "frames": body.get("frames", 0),
        "pad": body.get("pad"),
        "flags": list(body.get("flags", ())),
        "visit": body.get("visit"),
        "visit_uid": body.get("visit_uid"),
        "sight_to_decision_ms": body.get("sight_to_decision_ms"),
        "usable_to_decision_ms": body.get("usable_to_decision_ms"),
        # a correction is written now and concerns an earlier passage
        "created_at": utc(body.get("passed_at_utc", at_us)),
        # of the gate; rows of earlier versions have none
        "timezone": body.get("timezone"),
        "superseded_by": None,
    }


def unused(row: Mapping[str, Any]) -> str | None:
    """Return the visit whose grant was not used, by a row that says so; None for other rows."""
    return row["body"].get("visit_uid") if row["kind"] == "not_used" else None


def superseded(row: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return (chain, seq) of the row that a correction replaces; None for other rows."""
    if row["kind"] != "corrected":
        return None
    corrects = row["body"]["corrects"]
    return corrects["chain"], corrects["seq"]
