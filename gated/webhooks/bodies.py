"""Bodies of other programs: templates that are filled with what an event says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

IN_OUT = {"entry": "IN", "exit": "OUT"}


def fields_of(event: Mapping[str, Any]) -> dict[str, str]:
    """Flatten an event to the texts of WEBHOOK_FIELDS; what it lacks is empty."""
    person, data = event["person"] or {}, event["data"]
    at = datetime.fromisoformat(event["time"])
    direction = str(data.get("direction") or "")
    replacements = {
        **{name: event[name] for name in ("id", "type", "kind", "time", "gate", "site")},
        **{n: data.get(n) for n in ("reason", "method", "confidence", "severity", "detail")},
        "local_time": at.replace(tzinfo=None).isoformat(" ", "seconds"),
        "unix": int(at.timestamp()),
        "direction": direction,
        "in_out": IN_OUT.get(direction, ""),
        "personnel_code": person.get("personnel_code"),
        "person_uid": person.get("uid"),
        "person_name": person.get("name"),
    }
    return {name: "" if value is None else str(value) for name, value in replacements.items()}


def filled(template: Any, fields: Mapping[str, str]) -> Any:
    """Fill a template: JSON whose texts may hold `{field}`. A template of None is not filled."""
    if isinstance(template, Mapping):
        return {str(key): filled(value, fields) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [filled(value, fields) for value in template]
    return template.format_map(fields) if isinstance(template, str) else template
