"""Cards, PINs and badges: given, taken away, and recognised when somebody presents one.

Of a card or badge an HMAC-SHA256 is stored, of a PIN an argon2id hash of one. Both need a key that
follows from the sealing key: a stolen database alone says nothing, though cards have few numbers
and PINs fewer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import re
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from gated.core.model import Instant
from gated.core.plan import UnsetClock
from gated.errors import ChangedMeanwhile, WeakPassword
from gated.services import passwords
from gated.services.access_plan import site_rules_of
from gated.services.obligations import moment
from gated.services.people import person_entry
from gated.services.workspace import Service
from gated.storage import access, credentials, persons
from gated.storage.records import Credential, Person

__all__ = ["Credential", "Credentials"]

BADGE = "GATED:"
"""What the content of our badges begins with: any other code in the picture is none of ours."""

BADGE_BITS = 120


class Credentials(Service):
    """The credentials in a workspace; `actor` is who makes a change."""

    def list_(self, person_id: int) -> list[Credential]:
        """The credentials of a person, without their secrets. NotFound."""
        with self._workspace.database.read() as session:
            return credentials.list_(session, person_id)

    def get(self, id_: int) -> Credential:
        """The credential with this id; NotFound."""
        with self._workspace.database.read() as session:
            return credentials.get(session, id_)

    def add(
        self,
        person_id: int,
        kind: str,
        secret: str | None,
        fields: Mapping[str, Any],
        *,
        actor: str,
    ) -> tuple[Credential, str | None]:
        """Give a person a card (its number), a PIN, or (secret None) a badge, whose content is
        returned this once. NotFound, Conflict, WeakPassword."""
        content = None
        if kind == "qr":
            content = BADGE + _random_token()
            secret = content
        assert secret is not None  # noqa: S101 - the schema asks for it
        with self._workspace.database.read() as session:
            person = persons.get(session, person_id)
        digest = pin_hash = None
        if kind == "pin":
            minimum = self._workspace.settings.credentials.pin_digits
            require_good_pin(secret, minimum, person.personnel_code)
            # slow on purpose, so not inside the transaction that others wait for
            pin_hash = passwords.hash_password(self._pin_digest(person, secret))
        else:
            digest = self.digest(kind, secret)
        with self._workspace.database.write() as session:
            given = credentials.add(
                session, person_id, kind, digest=digest, pin_hash=pin_hash, **fields
            )
            self._record(session, "credential_given", given, actor)
        return given, content

    def update(
        self, id_: int, changes: Mapping[str, Any], *, actor: str, version: int | None = None
    ) -> Credential:
        """Change label, times or whether it counts; NotFound, ChangedMeanwhile."""
        with self._workspace.database.write() as session:
            before = credentials.get(session, id_)
            if version not in (None, before.version):
                raise ChangedMeanwhile("the credential was changed meanwhile: read it again")
            after = credentials.update(session, id_, **changes)
            self._record(session, "credential_changed", after, actor)
        return after

    def delete(self, id_: int, *, actor: str) -> None:
        """Take a credential away; NotFound."""
        with self._workspace.database.write() as session:
            gone = credentials.get(session, id_)
            credentials.delete(session, id_)
            self._record(session, "credential_taken", gone, actor)

    def whose(self, kind: str, text: str) -> int | None:
        """The person whose card or badge this is; None when it is nobody's or does not count."""
        with self._workspace.database.read() as session:
            found = credentials.by_digest(session, kind, self.digest(kind, text))
            counts = found is not None and self.counts(session, found, self._clock.now())
            return found.person_id if found is not None and counts else None

    def counts(self, session: Session, found: Credential, now: Instant) -> bool:
        """Whether it is valid now; one with dates is not while nobody has set the clock, unless
        the site trusts it."""
        if not now.clock_ok and (found.valid_from or found.valid_until):
            rules = site_rules_of(access.site_rules(session))
            if rules.unset_clock is UnsetClock.REFUSE:
                return False
        return found.is_valid(moment(now))

    def digest(self, kind: str, text: str) -> str:
        """What is stored of a card or badge."""
        return self._keyed(kind, card_number(text) if kind == "card" else text)

    def pin_is(self, person: Person, pin: str, stored: str) -> bool:
        """Whether this is the PIN that was stored; slow on purpose."""
        return passwords.verify(self._pin_digest(person, pin), stored)[0]

    def _pin_digest(self, person: Person, pin: str) -> str:
        return self._keyed("pin", person.uid, pin)

    def _keyed(self, *parts: str) -> str:
        key = self._workspace.keys.credentials
        return hmac.new(key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()

    def _record(self, session: Session, kind: str, credential: Credential, actor: str) -> None:
        person = persons.get(session, credential.person_id)
        named = [f"{credential.kind} {credential.uid}"]
        entry = person_entry(self._clock.now(), kind, person, actor, named)
        self._workspace.journal.append([entry], session)


def card_number(text: str) -> str:
    """A card's number as it is compared: readers differ in case, separators, leading zeros."""
    return re.sub(r"[\s:-]", "", text).casefold().lstrip("0") or "0"


def require_good_pin(pin: str, digits: int, personnel_code: str) -> None:
    """WeakPassword for a PIN that is too short, or among those that are tried first."""
    if not re.fullmatch(r"[0-9]{4,12}", pin) or len(pin) < digits:
        raise WeakPassword(f"a PIN has {digits} to 12 digits")
    steps = {(int(b) - int(a)) % 10 for a, b in itertools.pairwise(pin)}
    halves = len(pin) % 2 == 0 and pin[: len(pin) // 2] == pin[len(pin) // 2 :]
    if steps <= {0} or steps == {1} or steps == {9} or halves or pin == personnel_code:
        raise WeakPassword("this PIN is one of those that are tried first")


def _random_token() -> str:
    return base64.b32encode(secrets.token_bytes(BADGE_BITS // 8)).decode()
