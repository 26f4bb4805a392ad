"""Time zones by their IANA names, and what to say of a name that is none.

The data are those of the operating system; where it has none, those of the package `tzdata`, which
is installed with the program.
"""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

LONGEST = 64
DEFAULT = "UTC"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
# `localtime` is whatever this machine has; the others count leap seconds or are no zones
_REFUSED = re.compile(r"(posix|right)/|localtime$|posixrules$|Factory$", re.IGNORECASE)
_OFFSET = re.compile(r"(utc|gmt|z)?\s*[+-]\s*\d{1,2}(:?\d\d)?", re.IGNORECASE)
_ABBREVIATIONS = {
    "cest": "Europe/Berlin",
    "mez": "Europe/Berlin",
    "mesz": "Europe/Berlin",
    "bst": "Europe/London",
    "west": "Europe/Lisbon",
    "eest": "Europe/Athens",
    "edt": "America/New_York",
    "cst": "America/Chicago",
    "cdt": "America/Chicago",
    "mdt": "America/Denver",
    "pst": "America/Los_Angeles",
    "pdt": "America/Los_Angeles",
    "ist": "Asia/Kolkata",
    "jst": "Asia/Tokyo",
    "aest": "Australia/Sydney",
    "aedt": "Australia/Sydney",
}


@lru_cache(maxsize=1024)
def find_zone(name: str | None) -> tzinfo | None:
    """The zone of this name; None where there is none, or this machine does not know it."""
    if name is None or len(name) > LONGEST or not _NAME.fullmatch(name) or _REFUSED.match(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC if name == DEFAULT else None


def zone_of(name: str) -> tzinfo:
    """The zone of this name. ValueError with advice where there is none."""
    found = find_zone(name)
    if found is None:
        raise ValueError(advice(name))
    return found


def advice(name: str) -> str:
    """A sentence about a name that is no time zone: what to write instead."""
    wrong = f"{name[:LONGEST]!r} is not an IANA time zone"
    known = [n for n in available_timezones() if not _REFUSED.match(n)]
    if len(known) < 2:
        return f"{wrong} that this machine knows: it has no time-zone data (apt install tzdata)"
    if name and _OFFSET.fullmatch(name.strip()):
        return f"{wrong}: an offset does not know when clocks change; name a place: Europe/Berlin"
    meant = _meant(name, known)
    return f"{wrong}: did you mean {meant}?" if meant else f"{wrong} such as Europe/Berlin"


def _meant(name: str, known: list[str]) -> str | None:
    """The zone whose name, or whose place, is most alike; None when none is."""
    wanted = re.sub(r"[\s_]+", "_", name.strip()[:LONGEST]).casefold()
    if wanted in _ABBREVIATIONS:
        return _ABBREVIATIONS[wanted]
    places: dict[str, str] = {}
    # a region's own name comes before the old ones that stand for it
    for zone in sorted(known, key=lambda n: ("/" not in n, n.count("/"), n)):
        places.setdefault(zone.casefold(), zone)
        places.setdefault(zone.rpartition("/")[2].casefold(), zone)
    for tried in (wanted, wanted.rpartition("/")[2]):
        if close := get_close_matches(tried, places, n=1, cutoff=0.8):
            return places[close[0]]
    return None
