"""What decides about passing, on its way down: schedules, groups with their rules, the site's rules
and holidays, and the keys under which cards and PINs are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from gated.core.schedule import Hours
from gated.services import credential_keys
from gated.services.access_plan import site_rules_of
from gated.services.sync.kind import Kind, Taking, Telling, Told
from gated.storage import carried, carried_rules, changes, mirror, mirror_rules, sites
from gated.storage.carried import CarriedCredential
from gated.storage.journal import Entry
from gated.storage.mirror_rules import MirroredSchedule
from gated.storage.sealing import KEY

REPLACED = "own_rules_replaced"
"""What a gate tells of rules that were set at it before the hub gave others."""


# --- schedules ----------------------------------------------------------------------------------


def _tell_schedules(telling: Telling, uids: Sequence[str] | None) -> Mapping[str, Told]:
    return {
        s.uid: {
            "name": s.name,
            "week": s.week,
            "holiday": s.holiday,
            "exceptions": {day.isoformat(): hours for day, hours in s.exceptions.items()},
        }
        for s in carried_rules.schedules_of(telling.session, telling.gate, uids)
    }


def _read_schedule(told: Told) -> MirroredSchedule:
    week = [_hours(day) for day in told["week"]]
    if len(week) != 7:
        raise ValueError("no week")
    return MirroredSchedule(
        str(told["name"]),
        week,
        None if told["holiday"] is None else _hours(told["holiday"]),
        {date.fromisoformat(day): _hours(h) for day, h in told["exceptions"].items()},
    )


def _hours(told: Sequence[str]) -> list[str]:
    return [str(Hours.parse(text)) for text in told]


def _put_schedule(taking: Taking, uid: str, told: MirroredSchedule) -> None:
    mirror_rules.put_schedule(taking.session, uid, told, taking.snapshot)


def _drop_schedule(taking: Taking, uid: str) -> None:
    mirror_rules.drop_schedule(taking.session, uid)


# --- groups -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    here: tuple[str | None, ...]
    elsewhere: bool


def _tell_groups(telling: Telling, uids: Sequence[str] | None) -> Mapping[str, Told]:
    return {
        g.uid: {"name": g.name, "here": g.here, "elsewhere": g.elsewhere}
        for g in carried_rules.groups_of(telling.session, telling.gate, uids)
    }


def _read_group(told: Told) -> _Group:
    here = tuple(None if uid is None else str(uid) for uid in told["here"])
    return _Group(str(told["name"]), here, bool(told["elsewhere"]))


def _put_group(taking: Taking, uid: str, told: _Group) -> None:
    session, snapshot = taking.session, taking.snapshot
    known = mirror.is_from_hub(session, changes.GROUP, uid)
    id_ = mirror.put_group(session, uid, told.name, snapshot)
    before = mirror_rules.put_rules_of_group(session, id_, told.here, told.elsewhere, snapshot)
    if before and not known:
        rules = [asdict(rule) for rule in before]
        taking.entries.append(_replaced(taking, {"group": uid, "rules": rules}))


def _drop_group(taking: Taking, uid: str) -> None:
    mirror.drop_group(taking.session, uid)


# --- the site -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Site:
    rules: Mapping[str, Any]
    holidays: Mapping[date, str]


def _tell_site(telling: Telling, uids: Sequence[str] | None) -> Mapping[str, Told]:
    session, gate = telling.session, telling.gate
    changed = None if uids is None else carried_rules.sites_among(session, gate, uids)
    named = [mirror_rules.HERE] if changed is None else changed
    if not named:
        return {}
    found = carried_rules.site_of(session, gate)
    told = {
        "rules": found.rules,
        "holidays": {h.day.isoformat(): h.name for h in found.holidays},
    }
    return dict.fromkeys(named, told)


def _read_site(told: Told) -> _Site:
    rules = dict(told["rules"])
    site_rules_of(rules)
    days = {date.fromisoformat(day): str(name) for day, name in told["holidays"].items()}
    return _Site(rules, days)


def _put_site(taking: Taking, uid: str, told: _Site) -> None:
    session = taking.session
    if not mirror.is_from_hub(session, changes.SITE, mirror_rules.HERE):
        here = taking.workspace.settings.gate.site
        rules = dict(sites.rules(session, here).values)
        days = {h.day.isoformat(): h.name for h in sites.list_holidays(session, here)}
        if rules or days:
            taking.entries.append(_replaced(taking, {"rules": rules, "holidays": days}))
    mirror_rules.put_site(session, told.rules, told.holidays, taking.snapshot)


def _drop_site(taking: Taking, uid: str) -> None:
    """Nothing: a site that is gone was another one."""


def _replaced(taking: Taking, body: Mapping[str, Any]) -> Entry:
    return Entry(taking.now, REPLACED, dict(body))


# --- persons ------------------------------------------------------------------------------------


def read_access(told: Told | None) -> Mapping[str, Any] | None:
    """What one person may do, as it was told; ValueError, KeyError or TypeError for no sense."""
    if told is None:
        return None
    flags = {name: bool(told[name]) for name in carried.ACCESS if not name.startswith("valid")}
    return {
        "valid_from": _moment(told["valid_from"]),
        "valid_until": _moment(told["valid_until"]),
        **flags,
    }


def read_credential(told: Told) -> CarriedCredential:
    """A card, badge or PIN as it was told; ValueError, KeyError or TypeError for no sense."""
    digest, pin_hash = told["digest"], told["pin_hash"]
    if (digest is None) == (pin_hash is None):
        raise ValueError("a credential is a card, a badge or a PIN")
    return CarriedCredential(
        str(told["uid"]),
        str(told["kind"]),
        int(told["key_count"]),
        digest and str(digest),
        pin_hash and str(pin_hash),
        bool(told["is_active"]),
        _moment(told["valid_from"]),
        _moment(told["valid_until"]),
    )


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at


# --- keys ---------------------------------------------------------------------------------------


def _tell_keys(telling: Telling, uids: Sequence[str] | None) -> Mapping[str, Told]:
    keys = credential_keys.own(telling.workspace, telling.session)
    return {credential_keys.ALL: {"keys": [key.hex() for key in keys]}}


def _read_keys(told: Told) -> list[bytes]:
    keys = [bytes.fromhex(key) for key in told["keys"]]
    if not keys or any(len(key) != KEY for key in keys):
        raise ValueError("no keys")
    return keys


def _put_keys(taking: Taking, uid: str, keys: Sequence[bytes]) -> None:
    credential_keys.keep_those_of_hub(taking.workspace, taking.session, keys)


def _drop_keys(taking: Taking, uid: str) -> None:
    """Nothing: a hub has keys always."""


SCHEDULE = Kind(changes.SCHEDULE, _tell_schedules, _read_schedule, _put_schedule, _drop_schedule)
GROUP = Kind(changes.GROUP, _tell_groups, _read_group, _put_group, _drop_group)
SITE = Kind(changes.SITE, _tell_site, _read_site, _put_site, _drop_site)
CREDENTIAL_KEYS = Kind(changes.CREDENTIAL_KEYS, _tell_keys, _read_keys, _put_keys, _drop_keys)
