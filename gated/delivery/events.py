"""Makes events for partners from rows of the journal.

The id of an event is the uid of its row, which never changes: a partner that receives an event
twice recognises it by the id. An event names people as far as its subscriber's `person` setting
allows, and nobody who was erased meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from gated.config import EventType
from gated.config.zones import find_zone
from gated.core.chain import row_uid, utc_or
from gated.delivery.stream_store import StreamRow
from gated.journal.stored_object import shown_object_in

People = Literal["none", "code", "name"]
"""The personal data that a partner receives: none, uid and personnel code, or also the name."""


def type_of(kind: str, body: Mapping[str, Any]) -> EventType:
    """Return the type of a row; `audit` is the rest: acts of administration."""
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
    body = shown_object_in(row["body"])
    type_ = type_of(row["kind"], body)
    at = utc_or(body.get("passed_at_utc"), row["at_utc"])
    own = find_zone(_text(body.get("timezone")))
    return {
        "id": row_uid(row["at_utc"], row["hash"]),
        "type": type_,
        "kind": row["kind"],
        "time": _iso(at, own or zone),
        "clock_ok": bool(row["clock_ok"]),
        "gate": _text(body.get("gate")),
        "site": _text(body.get("site")),
        "person": _person(found.subject, people),
        "actor": _text(found.actor.get("name")) if found.actor and people == "name" else None,
        "data": {k: v for k, v in body.items() if k not in ("gate", "site", "timezone")},
    }


def _iso(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).isoformat(timespec="milliseconds")


def _person(subject: Mapping[str, Any] | None, people: People) -> dict[str, Any] | None:
    if subject is None or people == "none":
        return None
    names = ("uid", "personnel_code", "name") if people == "name" else ("uid", "personnel_code")
    return {name: _text(subject.get(name)) for name in names}


def _text(value: Any) -> str | None:
    """Return a text of a row, which another machine may have written; None for anything else."""
    return value if isinstance(value, str) else None
