"""Finds the names of erased people in free text: the reasons and notes of others.

Such a text is stored with its subject where that is known, and erased with it. Where it is not, the
text is stored with the actor; this module finds those that name somebody who is erased.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.text import search_key
from gated.database.tables import correction_requests, journal, journal_private, persons

NOTED = (
    "alarm_acknowledged",
    "corrected",
    "door_fire_reset",
    "door_mode",
    "door_remote_refused",
    "door_remote_unlock",
    "edit_refused",
    "gate_key_accepted",
    "journal_acknowledged",
    "key_rotated",
    "manual_punch",
    "person_erased",
    "presence_forgiven",
)
"""Kinds of rows with a free text in the private part of the actor."""

OF_TWO = ("duplicate_overridden",)
"""Kinds of rows with a free text about two persons, in the private part of one of them."""

TEXTS = ("cause", "reason")
"""The keys of such a text there."""

SHORTEST_PHONE = 6
_WORD = re.compile(r"\w+")
_NO_DIGIT = re.compile(r"\D")


@dataclass(frozen=True, slots=True)
class Naming:
    """Matches texts that name one person: by last name, code, e-mail address or phone number.

    Matches whole words, without case and accents. A first name alone is too common to count.
    """

    terms: tuple[tuple[str, ...], ...]
    phone: str

    @classmethod
    def of(cls, last_name: str, code: str, email: str | None, phone: str | None) -> Naming:
        """Return the matcher of a person with these fields."""
        terms = [_words(text) for text in (last_name, code, email or "")]
        digits = _NO_DIGIT.sub("", phone or "")
        long_enough = tuple(t for t in terms if len("".join(t)) > 1)
        return cls(long_enough, digits if len(digits) >= SHORTEST_PHONE else "")

    def is_in(self, text: str) -> bool:
        """Return whether the text names the person."""
        if self.phone and self.phone in _NO_DIGIT.sub("", text):
            return True
        words = _words(text)
        return any(
            words[at : at + len(term)] == term
            for term in self.terms
            for at in range(len(words) - len(term) + 1)
        )


def naming_of(session: Session, uid: str) -> Naming | None:
    """Return the matcher of a stored person; None for an unknown uid."""
    p = persons.c
    known = sa.select(p.last_name, p.personnel_code, p.email, p.phone).where(p.uid == uid)
    found = session.execute(known).first()
    return None if found is None else Naming.of(*found)


def notes_about(session: Session, person: Naming) -> Iterator[tuple[str, int, str]]:
    """Yield chain, number and role of the private parts that hold a text that names the person."""
    row, part = journal.c, journal_private.c
    beside = sa.and_(part.chain == row.chain, part.seq == row.seq)
    found = sa.select(row.chain, row.seq, part.payload).join(journal_private, beside)
    for role, kinds in (("actor", NOTED), ("subject", OF_TWO)):
        noted = found.where(row.kind.in_(kinds), part.role == role)
        for chain, seq, payload in session.execute(noted):
            if any(person.is_in(text) for text in _texts(payload)):
                yield chain, seq, role


def count_left(session: Session, uid: str) -> int:
    """Count the texts beside other people that name a stored person: an erasure leaves them.

    They are the reasons of entries about others, and what others wrote to have a time corrected.
    """
    person = naming_of(session, uid)
    if person is None:
        return 0
    row, part = journal.c, journal_private.c
    beside = sa.and_(part.chain == row.chain, part.seq == row.seq)
    about_others = part.role == "subject", part.uid != uid
    reasons = (
        sa.select(part.payload).join(journal, beside).where(row.kind.in_(NOTED), *about_others)
    )
    found = [text for payload in session.scalars(reasons) for text in _texts(payload)]
    asked = correction_requests.c
    requests = sa.select(asked.reason, asked.answer).join(persons, persons.c.id == asked.person_id)
    for wish in session.execute(requests.where(persons.c.uid != uid)):
        found += [text for text in wish if text]
    return sum(map(person.is_in, found))


def _texts(payload: Any) -> Iterator[str]:
    try:
        found = json.loads(payload)
        yield from (str(found[name]) for name in TEXTS if name in found)
    except (ValueError, TypeError):
        return  # no JSON of ours: `verify` names it


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(search_key(text)))
