"""The heartbeat of a gate, as far as it makes sense: a gate may say anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from gated.fleet.hub.watched import KEY, troubles_of
from gated.journal.site_presence_store import clock_offset

T = TypeVar("T")

LARGEST = 2**53
"""A number of a gate that is as large as this is none."""


@dataclass(frozen=True, slots=True)
class ReportedSettings:
    """The progress of settings that a gate was given; see `fleet.gate.config_trial`.

    revision: the one that it runs; 0: none, its file alone. state: running, waiting, trial or
    refused. reason: why it refused the last one. overruled: the keys for which its file or
    environment says something else.
    """

    revision: int = 0
    state: str | None = None
    reason: str | None = None
    overruled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reported:
    """One gate in its own words; None for what it did not say.

    gallery: digest of whom it knows. clock_offset_s: its clock less the hub's, when it was heard.
    disk_free: bytes. backlog: rows of its journal that the hub does not have.
    """

    version: str | None
    started_at: str | None
    people: int | None
    templates: int | None
    gallery: str | None
    clock_ok: bool | None
    clock_offset_s: float | None
    disk_free: int | None
    backlog: int | None
    alarms: tuple[str, ...]
    problems: tuple[str, ...]
    settings: ReportedSettings
    troubles: tuple[str, ...] = ()
    """Problems that the hub itself found: forked, clock_off, backlog_grows."""


def received(status: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return what a gate said, as the hub keeps it: with its clock compared to ours, now."""
    found = clock_offset(status, now)
    said = {name: value for name, value in status.items() if name != KEY}
    return {**said, "clock_offset_s": None if found is None else round(found[0], 3)}


def reported(status: Mapping[str, Any]) -> Reported:
    """Return what the hub has kept of a gate's words."""
    stored = status.get("settings")
    settings = stored if isinstance(stored, Mapping) else {}
    return Reported(
        version=_some(status.get("version"), str),
        started_at=_some(status.get("started_at"), str),
        people=_some(status.get("people"), int),
        templates=_some(status.get("templates"), int),
        gallery=_some(status.get("gallery"), str),
        clock_ok=_some(status.get("clock_ok"), bool),
        clock_offset_s=_some(status.get("clock_offset_s"), float),
        disk_free=_some(status.get("disk_free"), int),
        backlog=_some(status.get("backlog"), int),
        alarms=words(status.get("alarms")),
        problems=words(status.get("problems")),
        settings=ReportedSettings(
            revision=_some(settings.get("revision"), int) or 0,
            state=_some(settings.get("state"), str),
            reason=_some(settings.get("reason"), str),
            overruled=words(settings.get("overruled")),
        ),
        troubles=troubles_of(status),
    )


def words(value: Any) -> tuple[str, ...]:
    """The texts of a list, none of anything else."""
    return tuple(_shown(w) for w in value if isinstance(w, str)) if isinstance(value, list) else ()


def _some(value: Any, kind: type[T]) -> T | None:
    if isinstance(value, str) and kind is str:
        return _shown(value)  # type: ignore[return-value]
    if not isinstance(value, kind) or (isinstance(value, int) and abs(value) >= LARGEST):
        return None
    return value


def _shown(text: str) -> str:
    """A text that a terminal can be trusted with."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
