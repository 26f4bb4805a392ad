"""Rows of the journal -> events for others.

An event names its row by a uid that never changes: whoever gets one twice sees that by it. It names
people as far as its target is allowed to know them, and nobody who was erased meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from gated.config import EventType
from gated.config.zones import find_zone
from gated.core.chain import row_uid, utc
from gated.delivery.stream_store import StreamRow

People = Literal["none", "code", "name"]
"""How much a partner may know of people: nothing, uid and personnel code, names as well."""


def type_of(kind: str, body: Mapping[str, Any]) -> EventType:
    """Name the type of a row; `audit` is all that has no other one: acts of administration."""
    if kind == "decision":
        return "passage" if body.get("status") == "granted" else "refusal"
    if kind in ("manual_punch", "corrected"):
        return "punch"
    if kind.startswith(("person_", "enrollment_", "consent_")):
        return "person"
    if body.get("severity") in ("warning", "alarm"):
        return "alarm"
    return "door" if kind.startswith("door_") or kind in ("passed", "not_used") else "audit"


def event_of(found: StreamRow, people: People, zone: tzinfo = UTC) -> dict[str, Any]:
    """Make the event of a row of the journal.

    zone: of the times of rows that keep none of their own.
    """
    row = found.fields
    body = json.loads(row["body"])
    type_ = type_of(row["kind"], body)
    at = utc(body.get("passed_at_utc", row["at_utc"]))
    own = find_zone(body["timezone"]) if body.get("timezone") else None
    return {
        "id": row_uid(row["at_utc"], row["hash"]),
        "type": type_,
        "kind": row["kind"],
        "time": _iso(at, own or zone),
        "clock_ok": bool(row["clock_ok"]),
        "gate": body.get("gate"),
        "site": body.get("site"),
        "person": _person(found.subject, people),
        "actor": found.actor.get("name") if found.actor and people == "name" else None,
        "data": {k: v for k, v in body.items() if k not in ("gate", "site", "timezone")},
    }


def _iso(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).isoformat(timespec="milliseconds")


def _person(subject: Mapping[str, Any] | None, people: People) -> dict[str, Any] | None:
    if subject is None or people == "none":
        return None
    told = {"uid": subject.get("uid"), "personnel_code": subject.get("personnel_code")}
    if people == "name":
        told["name"] = subject.get("name")
    return told
